#!/usr/bin/env bash
# What the ready gate asks of the cluster, on the first master with its own kubectl.
# $1: a directory with `verb` (look, logs or restart) and the names that it needs, one file each.
set -euo pipefail

dir=$1
kubectl=${KUBECTL:-/usr/bin/kubectl}
export KUBECONFIG=${ADMIN_CONF:-/etc/kubernetes/admin.conf}

ask() { "$kubectl" --request-timeout=15s "$@"; }
# an object that isn't there is an answer; an API server that doesn't answer is not
part() {
  local json
  json=$(ask get "${@:2}" --ignore-not-found -o json)
  printf '"%s": %s' "$1" "${json:-null}"
}
read_name() { cat -- "$dir/$1"; }

case $(read_name verb) in
  look)
    namespace=$(read_name namespace)
    # before the CRD is served, kubectl can't say "not found" politely
    if ask get crd istiooperators.install.istio.io -o name >/dev/null 2>&1; then
      operator=$(part istioOperator -n "$namespace" istiooperators.install.istio.io "$(read_name name)")
    else
      operator='"istioOperator": null'
    fi
    mesh=$(part mesh -n "$namespace" deployments,services,pods)
    daemon_set='"daemonSet": null'
    if [[ -f $dir/cni_name ]]; then
      daemon_set=$(part daemonSet -n "$(read_name cni_namespace)" daemonsets "$(read_name cni_name)")
    fi
    nodes=$(part nodes nodes)
    own=$(part operator -n istio-operator deployments,pods)
    # the status has no generation, but the log tells whether the last thing that was begun has been finished
    begun_or_done=$'\t(Reconciling IstioOperator|end reconciling resources)$'
    last=$(ask -n istio-operator logs deployment/istio-operator 2>/dev/null | grep -aE "$begun_or_done" | tail -n 1 || true)
    case $last in
      *'end reconciling resources') settled=true ;;
      *'Reconciling IstioOperator') settled=false ;;
      *) settled=null ;;
    esac
    printf '{%s,%s,%s,%s,%s,"settled":%s}\n' "$operator" "$mesh" "$daemon_set" "$nodes" "$own" "$settled"
    ;;
  logs)
    ask -n istio-operator logs deployment/istio-operator --tail=600
    ;;
  restart)
    # the pod, not a rollout: a rollout would change the pod template that Pulumi owns
    ask -n istio-operator delete pods -l name=istio-operator --wait=false
    ;;
  *)
    echo "gate.sh knows look, logs and restart" >&2
    exit 64
    ;;
esac
