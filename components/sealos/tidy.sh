#!/usr/bin/env bash
# After a join: removes the kubeadm configuration with the bootstrap token, which sealos leaves on the machine, and closes
# the files with keys.
# $1: the script's private directory, with lib.sh.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

rm -f -- /root/kubeadm-join-config.yaml
close_files
