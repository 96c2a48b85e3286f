#!/usr/bin/env bash
# build.sh OUTDIR: istioctl, and the operator where tools.go has it, of the Istio that go.mod pins and the file VERSION names. Run by
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
packages=(istio.io/istio/istioctl/cmd/istioctl)
if grep -q '"istio.io/istio/operator/cmd/operator"' tools.go; then packages+=(istio.io/istio/operator/cmd/operator); fi
mkdir built
go build -ldflags "$stamp" -o built/ "${packages[@]}"
mv built/istioctl "$out/istioctl-$version"
if [[ -e built/operator ]]; then mv built/operator "$out/istio-operator-$version"; fi
