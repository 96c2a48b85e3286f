#!/usr/bin/env bash
# build.sh OUTDIR: Contour with its version set. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
version=$(go list -m -f '{{.Version}}' github.com/projectcontour/contour)

go build -ldflags "-s -w -X github.com/projectcontour/contour/internal/build.Version=$version" \
	-o "$out/contour" github.com/projectcontour/contour/cmd/contour
