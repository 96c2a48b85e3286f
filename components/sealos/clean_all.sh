#!/usr/bin/env bash
# On the first master: sealos's own clean of every machine in its config. A job; clean.sh sweeps after it on each machine.
# $1: the script's private directory, with lib.sh, sealos, config.yaml (of the machines that answer), login.yaml,
#     key (perhaps), lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

lock
if [[ ! -e $config || (! -x $(value sealos) && ! -x /usr/bin/sealos) ]]; then
    say "no sealos or none of its configuration here; sweeping by hand"
    exit 0
fi
say "sealos clean --all …"
if ! run_sealos clean --all --force; then
    last_words "" >&2
    say "sealos clean failed; sweeping by hand"
fi
