#!/usr/bin/env bash
# Prints what a node has of the CNI chain, one `key value` a line. Changes nothing.
# $1: a directory with the file `config_file`, which holds the chain's file name.
set -euo pipefail

folder=${CNI_FOLDER:-/etc/cni/net.d}
binary=${CNI_BINARY:-/opt/cni/bin/istio-cni}
config=$folder/$(cat -- "$1/config_file")
kubeconfig=$folder/ZZZ-istio-cni-kubeconfig
kubectl=${KUBECTL:-/usr/bin/kubectl}

shopt -s nullglob
for file in "$folder"/*.conf "$folder"/*.conflist "$folder"/*.json; do
  printf 'listed %s\n' "${file##*/}"
done
if [[ -f $config ]]; then printf 'conflist %s\n' "$(base64 -w0 -- "$config")"; fi
if [[ -f $binary ]]; then printf 'binary %s\n' "$(stat -c %a -- "$binary")"; fi
if [[ -f $kubeconfig ]]; then printf 'kubeconfig %s\n' "$(stat -c %a -- "$kubeconfig")"; fi
if [[ -f $kubeconfig && -x $kubectl ]]; then
  # what the plugin asks for every pod that starts here; "no" is an answer. kubectl keeps its cache in HOME
  answer=$(HOME=$1 "$kubectl" --kubeconfig="$kubeconfig" --request-timeout=10s auth can-i get pods --all-namespaces 2>&1 || true)
  printf 'rights %s\n' "${answer##*$'\n'}"
fi
