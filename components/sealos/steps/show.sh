#!/usr/bin/env bash
# Prints one thing of the first master: nodes, pods or PodDisruptionBudgets as JSON, the kubelets' Leases with its own time, its
# admin.conf, the SHA-256 of its CA, the list of wanted machines, every machine that was
# wanted and has not been seen clean, or the names of those that the stack's state has.
# $1: the script's private directory, with lib.sh and what (one of the words below).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

case $(value what) in
    nodes) kube get nodes -o json ;;
    leases)
        leases=$(kube -n kube-node-lease get leases -o json)
        printf '{"now": %s, "leases": %s}\n' "$(date +%s)" "$leases"
        ;;
    ca) sha256sum </etc/kubernetes/pki/ca.crt | cut -d' ' -f1 ;;
    kubeconfig) cat -- "$admin" ;;
    pods) kube get pods --all-namespaces -o json ;;
    budgets) kube get poddisruptionbudgets --all-namespaces -o json ;;
    machines) for file in "$etc"/machines/*; do if [[ -s $file && $file != *~ ]]; then cat -- "$file" && echo; fi; done ;;
    recorded) if [[ -e $etc/recorded ]]; then ls -A -- "$etc/recorded"; fi ;;
    wanted) if [[ -e $etc/wanted.json ]]; then cat -- "$etc/wanted.json"; fi ;;
    *) die "nothing of that name to show" ;;
esac
