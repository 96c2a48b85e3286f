#!/usr/bin/env bash
# An IstioOperator that can't go because nobody is left to clear its finalizer: looks, or puts the operator back and waits.
# On the first master with its own kubectl. $1: a directory with verb (look or apply), name, namespace (the IstioOperator's),
# and operator.json (the operator's objects as a List).
set -euo pipefail

dir=$1
kubectl=${KUBECTL:-/usr/bin/kubectl}
export KUBECONFIG=${ADMIN_CONF:-/etc/kubernetes/admin.conf}
name=$(cat -- "$dir/name")
namespace=$(cat -- "$dir/namespace")
limit=180

ask() { "$kubectl" --request-timeout=30s "$@"; }
# Fails when the API server does not answer, also where `set -e` is off: that is no word about what it holds.
state() {
  local crd stamp
  crd=$(ask get crd istiooperators.install.istio.io --ignore-not-found -o name) || return
  if [[ -z $crd ]]; then
    echo absent
    return
  fi
  stamp=$(ask -n "$namespace" get istiooperators.install.istio.io "$name" --ignore-not-found \
    -o 'jsonpath={.metadata.name}/{.metadata.deletionTimestamp}') || return
  case $stamp in
    '' | /) echo absent ;;
    */) echo present ;;
    *) echo deleting ;;
  esac
}

case $(cat -- "$dir/verb") in
  look)
    found=$(state)
    printf 'state %s\n' "$found"
    while read -r kind object; do
      ask -n istio-operator get "$kind" "$object" --ignore-not-found -o name | grep -q . || printf 'missing %s/%s\n' "$kind" "$object"
    done <<'OBJECTS'
namespace istio-operator
serviceaccount istio-operator
clusterrole istio-operator
clusterrolebinding istio-operator
deployment istio-operator
OBJECTS
    ;;
  apply)
    ask apply -f "$dir/operator.json" >/dev/null
    for ((waited = 0; waited < limit; waited++)); do
      [[ $(state) == absent ]] && exit 0
      sleep 1
    done
    echo "IstioOperator $namespace/$name is still there $limit s after the operator was put back; see its log: kubectl -n istio-operator logs deployment/istio-operator" >&2
    exit 1
    ;;
  *)
    echo "recover.sh knows look and apply" >&2
    exit 64
    ;;
esac
