#!/usr/bin/env bash
# build.sh OUTDIR: Pulumi's language host for Python (sdk/v3 3.79.0 is the last module that contains it) and the helper scripts of the
# same module. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
sdk=github.com/pulumi/pulumi/sdk/v3

go build -ldflags "-s -w" -o "$out/pulumi-language-python" "$sdk/python/cmd/pulumi-language-python"
dist=$(go list -m -f '{{.Dir}}' "$sdk")/python/dist
install -m 0755 "$dist/pulumi-resource-pulumi-python" "$dist/pulumi-analyzer-policy-python" "$out/"
