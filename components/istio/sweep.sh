#!/usr/bin/env bash
# Takes away what Istio's operator leaves in the cluster once its IstioOperator is gone; run again, it finds nothing.
# On the first master with its own kubectl. $1: a directory with owned.sh, name and namespace (the IstioOperator's) and crds (keep
# or deleteWithMesh).
set -euo pipefail

dir=$1
kubectl=${KUBECTL:-/usr/bin/kubectl}
export KUBECONFIG=${ADMIN_CONF:-/etc/kubernetes/admin.conf}
name=$(cat -- "$dir/name")
namespace=$(cat -- "$dir/namespace")
crds=$(cat -- "$dir/crds")

ask() { "$kubectl" --request-timeout=30s "$@"; }
say() { printf '%s\n' "$*" >&2; }
# shellcheck source=owned.sh
. "$dir/owned.sh"

# one that does not answer is no cluster without the definition
crd=$(ask get crd istiooperators.install.istio.io --ignore-not-found -o name)
if [[ -n $crd ]]; then
  here=$(ask -n "$namespace" get istiooperators.install.istio.io "$name" --ignore-not-found -o name)
  if [[ -n $here ]]; then
    say "IstioOperator $namespace/$name is still there; nothing is swept while it stands. See docs/istio-lifecycle.md, Recovery"
    exit 1
  fi
fi

# With meshConfig in its spec, 1.5 looks for its own objects in the IstioOperator's namespace alone, and leaves the CNI plugin
# (operator/pkg/controller/istiocontrolplane/inputs.go). Later ones look for those of their own version alone.
left=$(delete_owned "$name")
if [[ -n $left ]]; then
  say "swept what the operator left: ${left//$'\n'/, }"
fi

# istiod writes this into every namespace and nobody takes it away; it writes it again as long as it runs.
for _ in {1..20}; do
  [[ -n $(ask -n "$namespace" get pods -l app=istiod -o name) ]] || break
  sleep 1
done
ask get namespaces -o name | while IFS=/ read -r _ each; do
  ask -n "$each" delete configmap istio-ca-root-cert --ignore-not-found >/dev/null
done

if [[ $crds == deleteWithMesh ]]; then
  ask get crds -o name | sed -n 's|^customresourcedefinition[^/]*/||p' | grep -E '\.istio\.io$' |
    grep -vxF istiooperators.install.istio.io >"$dir/doomed" || true
  if [[ -s $dir/doomed ]]; then
    xargs -r "$kubectl" --request-timeout=60s delete crd >/dev/null <"$dir/doomed"
    say "deleted Istio's $(wc -l <"$dir/doomed") definitions and everything made of them, as istio.crds asks for"
  fi
fi
