#!/usr/bin/env bash
# build.sh OUTDIR: crictl with its version set. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
version=$(go list -m -f '{{.Version}}' sigs.k8s.io/cri-tools)

go build -ldflags "-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=$version" -o "$out/crictl" sigs.k8s.io/cri-tools/cmd/crictl
