#!/usr/bin/env bash
# Takes istio-cni out of a node whose istio-cni-node pod did not do so at its end.
# $1: a directory with config_file (its name) and, when the chain still holds the plugin, conflist (the chain without it).
set -euo pipefail

folder=${CNI_FOLDER:-/etc/cni/net.d}
binaries=${CNI_BINARIES:-/opt/cni/bin}
agent=${CNI_AGENT:-/var/run/istio-cni}
config=$folder/$(cat -- "$1/config_file")

if [[ -f $1/conflist ]]; then
  # beside it and over it: kubelet reads the folder at any time
  install -m "$(stat -c %a -- "$config")" -- "$1/conflist" "$config.sealos-istio"
  sync -- "$config.sealos-istio"
  mv -- "$config.sealos-istio" "$config"
fi
rm -f -- "$folder/ZZZ-istio-cni-kubeconfig" "$agent/istio-cni-kubeconfig" "$binaries/istio-cni" "$binaries/istio-iptables" "$binaries/istio-cni-repair"
