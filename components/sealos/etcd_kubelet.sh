#!/usr/bin/env bash
# After a restore: starts this machine's kubelet anew. What it saw last is later than what the API server has now, and before Kubernetes 1.19 it
# would wait for that for ever.
# $1: the script's private directory, with lib.sh.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl restart kubelet
fi
