#!/usr/bin/env bash
# build.sh OUTDIR: istioctl of the Istio that go.mod pins and the file VERSION names. Run by `python -m tools build` in a copy of this
# folder; the other releases that the lab does not run link to it.
set -euo pipefail
out=$1
version=$(cat VERSION)
revision=$(go list -m -f '{{.Version}}' istio.io/istio)

stamp="-s -w"
for value in buildVersion="$version" buildGitRevision="${revision##*-}" buildTag="$version" buildHub=docker.io/istio buildStatus=Clean; do
    # the package moved with 1.19; of the two the linker takes the one that is there
    stamp+=" -X istio.io/pkg/version.$value -X istio.io/istio/pkg/version.$value"
done
go build -trimpath -ldflags "$stamp" -o "$out/istioctl-$version" istio.io/istio/istioctl/cmd/istioctl
