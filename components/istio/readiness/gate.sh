#!/usr/bin/env bash
# What the ready gate asks of the cluster, on the first master with its own kubectl.
# $1: a directory with `verb` (look, warnings, logs, trim, restart, retire or record) and what it needs, one file each.
set -euo pipefail

dir=$1
kubectl=${KUBECTL:-/usr/bin/kubectl}
export KUBECONFIG=${ADMIN_CONF:-/etc/kubernetes/admin.conf}

ask() { "$kubectl" --request-timeout=15s "$@"; }
# an object that isn't there is an answer; an API server that doesn't answer is not
part() {
  local json
  json=$(ask get "${@:2}" --ignore-not-found -o json) || return # `set -e` is off in what $(…) runs
  printf '"%s": %s' "$1" "${json:-null}"
}
read_name() { cat -- "$dir/$1"; }
# What the operator logs of an attempt: 1.5 begins and ends it in words, later ones begin it; from 1.8 on with a scope before.
gave_up='reconciling err: |Error during reconcile: |failed to (generate IstioOperator spec|merge base profile)'
attempts=$'\t(info\t(installer\t)?(Reconciling IstioOperator|end reconciling resources)$|error\t(installer\t)?('"$gave_up"'))'

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
    # those of gateways that have namespaces of their own, one a line; an API server that doesn't answer is no answer here either
    others=''
    if [[ -f $dir/namespaces ]]; then
      while IFS= read -r other; do
        more=$(ask get -n "$other" deployments,services,pods --ignore-not-found -o json)
        others+=${others:+,}${more:-null}
      done <"$dir/namespaces"
      others=",\"others\":[$others]"
    fi
    daemon_set='"daemonSet": null'
    if [[ -f $dir/cni_name ]]; then
      daemon_set=$(part daemonSet -n "$(read_name cni_namespace)" daemonsets "$(read_name cni_name)")
    fi
    nodes=$(part nodes nodes)
    own=$(part operator -n istio-operator deployments,pods)
    webhooks=$(part webhooks mutatingwebhookconfigurations,validatingwebhookconfigurations)
    record=$(part record -n istio-operator configmaps sealos-istio)
    # The status has no generation, but the log tells whether the last thing that was begun has been finished, and how often
    # it was given up since: then the status stays what it was, or none is written.
    log=$(ask -n istio-operator logs deployment/istio-operator 2>/dev/null || true)
    settled=null
    refused=()
    failed=false
    while IFS= read -r line; do
      case $line in
        *'end reconciling resources') settled=true refused=() ;;
        *'Reconciling IstioOperator')
          settled=false
          # from 1.6 on nothing is logged at the end: an attempt that logged no error was the end of those before it
          if [[ $failed == false ]]; then refused=(); fi
          failed=false
          ;;
        *)
          line=${line#*$'\terror\t'}
          line=${line#$'installer\t'}
          line=${line#reconciling err: }
          refused+=("${line#Error during reconcile: }")
          failed=true
          ;;
      esac
    done < <(grep -aE "$attempts" <<<"$log" || true)
    if [[ $(read_name says_when_done) != true ]]; then settled=null; fi
    words=$(printf '%s\n' "${refused[@]}" | base64 -w0)
    printf '{%s,%s,%s,%s,%s,%s,%s,"settled":%s,"refused":"%s"%s}\n' \
      "$operator" "$mesh" "$daemon_set" "$nodes" "$own" "$webhooks" "$record" "$settled" "$words" "$others"
    ;;
  warnings)
    # one JSON list of events a line, of the namespaces that are named one a line
    while IFS= read -r namespace; do
      ask -n "$namespace" get events --field-selector type=Warning -o json | tr -d '\n'
      echo
    done <"$dir/namespaces"
    ;;
  logs)
    ask -n istio-operator logs deployment/istio-operator --tail=600
    ;;
  trim)
    ask -n "$(read_name namespace)" patch deployment "$(read_name name)" --type=json -p "$(read_name patch)" >/dev/null
    ;;
  restart)
    # Its process alone, where its image has a shell: another pod asks the CNI chain for a network, and when the operator has taken the
    # plugin's rights away with an IstioOperator, nobody gets one until it is at work again. Else the pods, and no rollout, which would
    # change the pod template that Pulumi, or the operator, owns.
    pods=$(ask -n "$(read_name namespace)" get pods -l "$(read_name selector)" -o name)
    for pod in $pods; do
      timeout 20 "$kubectl" -n "$(read_name namespace)" exec "$pod" -- sh -c '(sleep 1; kill 1) >/dev/null 2>&1 &' ||
        ask -n "$(read_name namespace)" delete "$pod" --wait=false
    done
    ;;
  retire)
    # From 1.6 on the operator looks for its own objects by its own version's label, so what only its predecessor made stays.
    # Istio's own kinds stay as well: sidecars that have not been restarted may still need them.
    # shellcheck source=../owned.sh
    . "$dir/owned.sh"
    delete_owned "$(read_name name)" "operator.istio.io/version!=$(read_name version)"
    ;;
  record)
    ask apply -f "$dir/record" >/dev/null
    ;;
  *)
    echo "gate.sh knows look, warnings, logs, restart, retire and record" >&2
    exit 64
    ;;
esac
