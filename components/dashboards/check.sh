#!/usr/bin/env bash
# What the dashboards' check asks of the cluster, on the first master with its own kubectl.
# $1: a directory with `namespace`, `objects` (one Kind/name a line) and, with TLS, `secret` and `secret_namespace`, one file each.
set -euo pipefail

dir=$1
kubectl=${KUBECTL:-/usr/bin/kubectl}
export KUBECONFIG=${ADMIN_CONF:-/etc/kubernetes/admin.conf}
namespace=$(cat -- "$dir/namespace")

ask() { "$kubectl" --request-timeout=15s -n "$namespace" "$@"; }
# an object that isn't there is an answer; an API server that doesn't answer is not
part() {
  local json
  json=$(ask get "${@:2}" --ignore-not-found -o json) || return # `set -e` is off in what $(…) runs
  printf '"%s": %s' "$1" "${json:-null}"
}

mapfile -t objects <"$dir/objects"
ways='"ways": null'
if ((${#objects[@]})); then
  # a kind alone may be of several groups (Gateway)
  for i in "${!objects[@]}"; do
    case ${objects[i]} in
      Ingress/*) objects[i]=ingresses.networking.k8s.io/${objects[i]#*/} ;;
      HTTPProxy/*) objects[i]=httpproxies.projectcontour.io/${objects[i]#*/} ;;
      Gateway/*) objects[i]=gateways.networking.istio.io/${objects[i]#*/} ;;
      VirtualService/*) objects[i]=virtualservices.networking.istio.io/${objects[i]#*/} ;;
    esac
  done
  ways=$(part ways "${objects[@]}")
fi
services=$(part services services,endpoints)
secret='"secret": null'
if [[ -f $dir/secret ]]; then
  # type and key names only: the private key stays where it is
  # shellcheck disable=SC2016 # the $ are the template's
  template='{"is":["{{.type}}"{{range $key, $value := .data}},"{{$key}}"{{end}}]}'
  found=$(ask get secret "$(cat -- "$dir/secret")" -n "$(cat -- "$dir/secret_namespace")" --ignore-not-found -o "go-template=$template")
  secret="\"secret\": ${found:-null}"
fi
printf '{%s,%s,%s}\n' "$ways" "$services" "$secret"
