#!/usr/bin/env bash
# build.sh OUTDIR: the istioctl of the Istio that go.mod pins and the file VERSION names; no operator, for no machine of the lab runs
# it. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
version=$(cat VERSION)

# As up to 1.8 (tools/istio-1.6/build.sh), releases are built with the charts in the program; later ones embed them.
go mod download istio.io/istio # before it, `go list` names no folder
module=$(go list -m -f '{{.Dir}}' istio.io/istio)
revision=$(go list -m -f '{{.Version}}' istio.io/istio)
go build -o go-bindata github.com/go-bindata/go-bindata/go-bindata
cp -R --no-preserve=mode -- "$module" module
mkdir assets
cp -R -- module/manifests/charts module/manifests/profiles assets/
(cd assets && ../go-bindata --nocompress --nometadata --pkg vfs -o ../module/operator/pkg/vfs/assets.gen.go ./...)
go mod edit -replace istio.io/istio=./module

stamp="-s -w"
for value in buildVersion="$version" buildGitRevision="${revision##*-}" buildTag="$version" buildHub=docker.io/istio buildStatus=Clean; do
    stamp+=" -X istio.io/pkg/version.$value"
done
go build -trimpath -ldflags "$stamp" -o "$out/istioctl-$version" istio.io/istio/istioctl/cmd/istioctl
