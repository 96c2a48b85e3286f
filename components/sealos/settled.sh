#!/usr/bin/env bash
# On the first master: takes the machine's facts when no job of ours is at work on it. A job itself, as it may have to wait.
# $1: the script's private directory, with lib.sh, facts.sh and lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

lock
# with the lock held no sealos of ours runs; one that a restart of the machine ended left the password in its config
if [[ -e $config && (-e $etc/cluster.json || -e $etc/installing.json) ]]; then
    disarm
fi
bash "$dir/facts.sh" "$dir"
