#!/usr/bin/env bash
# build.sh OUTDIR: Istio 1.5.0's operator, istioctl, istiod and pilot-agent (with its template for Envoy) from the pinned module. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1

stamp="-s -w"
for value in buildVersion=1.5.0 buildGitRevision=c3c353285578 buildTag=1.5.0 buildHub=docker.io/istio buildStatus=Clean; do
    stamp+=" -X istio.io/pkg/version.$value"
done
mkdir built
go build -ldflags "$stamp" -o built/ istio.io/istio/operator/cmd/operator istio.io/istio/istioctl/cmd/istioctl \
    istio.io/istio/pilot/cmd/pilot-discovery istio.io/istio/pilot/cmd/pilot-agent istio.io/istio/tools/istio-iptables
mv built/operator "$out/istio-operator"
mv built/{istioctl,pilot-discovery,pilot-agent,istio-iptables} "$out/"
install -m 0755 "$(go list -m -f '{{.Dir}}' istio.io/istio)/tools/packaging/common/envoy_bootstrap_v2.json" "$out/envoy-bootstrap"
