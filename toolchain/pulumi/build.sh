#!/usr/bin/env bash
# build.sh OUTDIR BINARY…: these of the Pulumi CLI, its Kubernetes provider, and the stand-in for its command provider: one module, so
# that what they share (Pulumi's SDK, gRPC) is compiled once. Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
shift
sdk=github.com/pulumi/pulumi/sdk/v3
provider=github.com/pulumi/pulumi-kubernetes/provider/v4
generated=github.com/pulumi/pulumi-kubernetes/sdk/v4
declare -A package=(
    [pulumi]=github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
    [pulumi-resource-command]=./pulumi-resource-command
    [pulumi-resource-kubernetes]=./pulumi-resource-kubernetes
)

# go list names no folder of a module that was not downloaded yet
folder() {
    go mod download "$1"
    go list -m -f '{{.Dir}}' "$1"
}

packages=()
for binary in "$@"; do
    case $binary in
    pulumi-language-python-exec) # the script with which a language host runs Python programs
        install -m 0755 "$(folder $sdk)/python/cmd/$binary" "$out/"
        continue
        ;;
    pulumi-resource-kubernetes)
        schemas=$(folder $provider)/cmd/pulumi-resource-kubernetes
        install -m 0644 "$schemas/schema.json" "$schemas/terraform-mapping.json" pulumi-resource-kubernetes/
        # Of the generated SDK, 66 packages and a third of all that would be compiled here, the provider uses three packages and one
        # function of a fourth, which stands in pulumi-resource-kubernetes/sdk: the rest is left out.
        from=$(folder $generated)
        (cd "$from" && find go.mod go/kubernetes/*.go go/kubernetes/utilities go/kubernetes/helm/v4 -type f -exec install -D -m 0644 {} "$OLDPWD/generated/{}" \;)
        install -D -m 0644 pulumi-resource-kubernetes/sdk/kinds.go generated/go/kubernetes/yaml/v2/kinds.go
        go mod edit -replace "$generated=./generated"
        ;;
    esac
    packages+=("${package[$binary]}")
done
[[ ${#packages[@]} -gt 0 ]] || exit 0

version() { go list -m -f '{{.Version}}' "$1"; }
stamp="-s -w"
stamp+=" -X $sdk/go/common/version.Version=$(version $sdk)"
go build -ldflags "$stamp" -o "$out/" "${packages[@]}"
