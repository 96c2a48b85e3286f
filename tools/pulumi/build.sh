#!/usr/bin/env bash
# build.sh OUTDIR: the Pulumi CLI with its version set (the Automation API asks for it), and the script with which a language host
# runs Python programs, from the SDK module of the same version. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
sdk=github.com/pulumi/pulumi/sdk/v3
version=$(go list -m -f '{{.Version}}' "$sdk")

go build -trimpath -ldflags "-s -w -X $sdk/go/common/version.Version=$version" -o "$out/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
install -m 0755 "$(go list -m -f '{{.Dir}}' "$sdk")/python/cmd/pulumi-language-python-exec" "$out/"
