#!/usr/bin/env bash
# After a join: removes the kubeadm configuration with the bootstrap token, which sealos leaves on the machine.
set -euo pipefail
rm -f -- /root/kubeadm-join-config.yaml
