#!/usr/bin/env bash
# build.sh OUTDIR BINARY…: istioctl, operator, and what runs in the mesh's containers, of the Istio that go.mod pins and the file VERSION
# names; a binary's name is its own and the version, but for the CNI plugin's that Istio 1.5.0 has (tools/parts.py). Run by
# `python -m tools build` in a copy of this folder; the other releases whose charts stand outside the program's sources link to it.
set -euo pipefail
out=$1
version=$(cat VERSION)

# Releases are built with the charts in the program, which the repository does not keep there (Makefile.core.mk: gen-charts,
# operator/scripts/create_assets_gen.sh). The module's copy here takes the place of the verified one in the module cache.
go mod download istio.io/istio # before it, `go list` names no folder
module=$(go list -m -f '{{.Dir}}' istio.io/istio)
revision=$(go list -m -f '{{.Version}}' istio.io/istio)
go build -o go-bindata github.com/go-bindata/go-bindata/go-bindata
cp -R --no-preserve=mode -- "$module" module
mkdir assets
cp -R -- module/manifests/charts module/manifests/profiles assets/
if [[ -d module/operator/data ]]; then cp -R -- module/operator/data/. assets/; fi
(cd assets && ../go-bindata --nocompress --nometadata --pkg vfs -o ../module/operator/pkg/vfs/assets.gen.go ./...)
go mod edit -replace istio.io/istio=./module

stamp="-s -w"
for value in buildVersion="$version" buildGitRevision="${revision##*-}" buildTag="$version" buildHub=docker.io/istio buildStatus=Clean; do
    stamp+=" -X istio.io/pkg/version.$value"
done
declare -A packages=(
    [istioctl]=istioctl/cmd/istioctl [istio-operator]=operator/cmd/operator
    [pilot-discovery]=pilot/cmd/pilot-discovery [pilot-agent]=pilot/cmd/pilot-agent
    [install-cni]=cni/cmd/install-cni [istio-cni]=cni/cmd/istio-cni [istio-cni-repair]=cni/cmd/istio-cni-repair
    [istio-cni-iptables]=tools/istio-iptables [istio-iptables]=tools/istio-iptables
)
for binary in "${@:2}"; do
    name=${binary%"-$version"}
    if [[ $name = envoy-bootstrap ]]; then
        bootstraps=(module/tools/packaging/common/envoy_bootstrap{,_v2}.json)
        for bootstrap in "${bootstraps[@]}"; do
            if [[ -e $bootstrap ]]; then install -m 0755 "$bootstrap" "$out/$binary"; fi
        done
    else
        go build -ldflags "$stamp" -o "$out/$binary" "istio.io/istio/${packages[$name]}"
    fi
done
