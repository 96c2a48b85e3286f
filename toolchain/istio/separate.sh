#!/usr/bin/env bash
# separate.sh OUTDIR BINARY…: what profile `separate` of the Istio that go.mod pins runs beside istiod, without Mixer. Run by
# `python -m devtools build` as build.sh in a copy of the module's folder.
set -euo pipefail
out=$1
version=$(cat VERSION)
revision=$(go list -m -f '{{.Version}}' istio.io/istio)
declare -A package=([galley]=galley/cmd/galley [istio_ca]=security/cmd/istio_ca [sidecar-injector]=sidecar-injector/cmd/sidecar-injector)

stamp="-s -w"
for value in buildVersion="$version" buildGitRevision="${revision##*-}" buildTag="$version" buildHub=docker.io/istio buildStatus=Clean; do
    stamp+=" -X istio.io/pkg/version.$value"
done
packages=()
for binary in "${@:2}"; do
    packages+=("istio.io/istio/${package[$binary]}")
done
go build -ldflags "$stamp" -o "$out/" "${packages[@]}"
