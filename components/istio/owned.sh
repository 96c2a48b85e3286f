#!/usr/bin/env bash
# Sourced by gate.sh and sweep.sh: finds and deletes what Istio's operator made for one IstioOperator. Needs `ask`.

owned_workloads=deployments,daemonsets,services,configmaps,serviceaccounts,roles,rolebindings,horizontalpodautoscalers,poddisruptionbudgets
owned_in_cluster=mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings
# 1.5 writes the IstioOperator's name into the first, later ones into the second
owner_labels=(install.operator.istio.io/owner-name install.operator.istio.io/owning-resource)

# delete_owned NAME [SELECTOR]: deletes what belongs to that IstioOperator, of those that the selector chooses, and prints it. Fails
# when the API server does not answer, also where `set -e` is off.
delete_owned() {
  local label selector found
  for label in "${owner_labels[@]}"; do
    selector=$label=$1${2:+,$2}
    found=$(ask get "$owned_workloads" --all-namespaces -l "$selector" -o name) || return
    if [[ -n $found ]]; then
      ask delete "$owned_workloads" --all-namespaces -l "$selector" --wait=false >/dev/null || return
      printf '%s\n' "$found"
    fi
    found=$(ask get "$owned_in_cluster" -l "$selector" -o name) || return
    if [[ -n $found ]]; then
      ask delete "$owned_in_cluster" -l "$selector" >/dev/null || return
      printf '%s\n' "$found"
    fi
  done
}
