#!/usr/bin/env bash
# Prints what a node has of the CNI chain, one `key value` a line. Changes nothing.
# $1: a directory with the file `config_file`, which holds the chain's file name.
set -euo pipefail

folder=${CNI_FOLDER:-/etc/cni/net.d}
binary=${CNI_BINARY:-/opt/cni/bin/istio-cni}
config=$folder/$(cat -- "$1/config_file")
kubeconfig=$folder/ZZZ-istio-cni-kubeconfig

shopt -s nullglob
for file in "$folder"/*.conf "$folder"/*.conflist "$folder"/*.json; do
  printf 'listed %s\n' "${file##*/}"
done
if [[ -f $config ]]; then printf 'conflist %s\n' "$(base64 -w0 -- "$config")"; fi
if [[ -f $binary ]]; then printf 'binary %s\n' "$(stat -c %a -- "$binary")"; fi
if [[ -f $kubeconfig ]]; then printf 'kubeconfig %s\n' "$(stat -c %a -- "$kubeconfig")"; fi
