#!/usr/bin/env bash
# build.sh OUTDIR: kwok with its version set. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
version=$(go list -m -f '{{.Version}}' sigs.k8s.io/kwok)

go build -trimpath -ldflags "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=$version" -o "$out/kwok" sigs.k8s.io/kwok/cmd/kwok
