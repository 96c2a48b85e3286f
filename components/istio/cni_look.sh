#!/usr/bin/env bash
# Prints what a node has of the CNI chain, one `key value` a line. Changes nothing.
# $1: a directory with the file `config_file`, which holds the chain's file name, and maybe `kubeconfig_path`, where the
# plugin's is to be; without it the one that is there is meant, of an early release or of a late one.
set -euo pipefail

folder=${CNI_FOLDER:-/etc/cni/net.d}
binary=${CNI_BINARY:-/opt/cni/bin/istio-cni}
config=$folder/$(cat -- "$1/config_file")
kubeconfig=$folder/ZZZ-istio-cni-kubeconfig
if [[ -f $1/kubeconfig_path ]]; then
  kubeconfig=$(cat -- "$1/kubeconfig_path")
elif [[ ! -f $kubeconfig ]]; then
  kubeconfig=${CNI_AGENT:-/var/run/istio-cni}/istio-cni-kubeconfig
fi
kubectl=${KUBECTL:-/usr/bin/kubectl}

shopt -s nullglob
for file in "$folder"/*.conf "$folder"/*.conflist "$folder"/*.json; do
  printf 'listed %s\n' "${file##*/}"
done
if [[ -f $config ]]; then printf 'conflist %s\n' "$(base64 -w0 -- "$config")"; fi
if [[ -f $binary ]]; then printf 'binary %s\n' "$(stat -c %a -- "$binary")"; fi
if [[ -f $kubeconfig ]]; then printf 'kubeconfig %s\n' "$(stat -c %a -- "$kubeconfig")"; fi
if [[ -f $kubeconfig && -x $kubectl ]]; then
  # as the installer writes it, https://[10.96.0.1]:443, newer readers refuse it
  (umask 077 && sed -E 's|https://\[([0-9.]+)\]|https://\1|' "$kubeconfig" >"$1/kubeconfig")
  # what the plugin asks for every pod that starts here. kubectl keeps its cache in HOME
  answer=$(HOME=$1 "$kubectl" --kubeconfig="$1/kubeconfig" --request-timeout=10s auth can-i get pods --all-namespaces 2>&1 || true)
  answer=${answer##*$'\n'}
  # an API server that can't be asked is no answer
  case $answer in yes | no | 'no '* | *Unauthorized*) printf 'rights %s\n' "$answer" ;; esac
fi
