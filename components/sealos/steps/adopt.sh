#!/usr/bin/env bash
# Writes down that the live cluster on this first master is the stack's from now on; changes nothing of it. A job.
# $1: the script's private directory, with lib.sh, cluster.json and lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

lock
if [[ -e $etc/cluster.json ]]; then
    exit "$busy"
fi
keep cluster.json
