#!/usr/bin/env bash
# After a join: removes the kubeadm configuration with the bootstrap token, which sealos leaves on the machine, closes the
# files with keys, and notes which cluster the machine is a member of (for a teardown without the first master).
# $1: the script's private directory, with lib.sh and member.json.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

rm -f -- /root/kubeadm-join-config.yaml
close_files
keep member.json
