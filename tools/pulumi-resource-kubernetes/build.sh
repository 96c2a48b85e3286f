#!/usr/bin/env bash
# build.sh OUTDIR: the Kubernetes provider from the pinned module and main.go beside this script. Run by `python -m tools build` in a
# copy of this folder.
set -euo pipefail
out=$1
provider=github.com/pulumi/pulumi-kubernetes/provider/v4

go mod download "$provider"
schemas=$(go list -m -f '{{.Dir}}' "$provider")/cmd/pulumi-resource-kubernetes
install -m 0644 "$schemas/schema.json" "$schemas/terraform-mapping.json" .
go build -trimpath -ldflags "-s -w -X main.version=4.25.0" -o "$out/pulumi-resource-kubernetes" .
