#!/usr/bin/env bash
# Before a join: notes on the machine which cluster it is about to be joined to, so that it can say whose it is if that fails, and takes
# away what a new disk has and kubeadm refuses.
# $1: the script's private directory, with lib.sh and member.json.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

keep member.json
new_disks_for_kubeadm
