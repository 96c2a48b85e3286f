#!/usr/bin/env bash
# On the first master: waits until no job of ours is at work on it, and takes the machine's facts then, where facts.sh is sent along.
# A job itself, as it may have to wait.
# $1: the script's private directory, with lib.sh, lock-wait, and facts.sh (perhaps).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

lock
# with the lock held no sealos of ours runs; one that a restart of the machine ended left the password in its config
if [[ -e $config && (-e $etc/cluster.json || -e $etc/installing.json) ]]; then
    disarm
fi
if [[ -e $dir/facts.sh ]]; then bash "$dir/facts.sh" "$dir"; fi
