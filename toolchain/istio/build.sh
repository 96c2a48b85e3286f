#!/usr/bin/env bash
# build.sh OUTDIR BINARY…: istioctl, operator, and what runs in the mesh's containers, of the Istio that go.mod pins and the file VERSION
# names; a binary's name is its own and the version, but for those that Istio 1.5.0 has (tools/parts.py). Run by `python -m tools build`
# in a copy of this folder; the other releases that the lab runs link to it.
set -euo pipefail
shopt -s extglob
out=$1
version=$(cat VERSION)

# A copy of the module takes the place of the verified one in the module cache, which nothing may change.
go mod download istio.io/istio # before it, `go list` names no folder
module=$(go list -m -f '{{.Dir}}' istio.io/istio)
revision=$(go list -m -f '{{.Version}}' istio.io/istio)
cp -R --no-preserve=mode -- "$module" module

# From 1.6 to 1.9 releases are built with the charts in the program, which the repository does not keep there (Makefile.core.mk: gen-charts,
# operator/scripts/create_assets_gen.sh).
if grep -q go-bindata go.mod; then
    go build -o go-bindata github.com/go-bindata/go-bindata/go-bindata
    mkdir assets
    cp -R -- module/manifests/charts module/manifests/profiles assets/
    if [[ -d module/operator/data ]]; then cp -R -- module/operator/data/. assets/; fi
    (cd assets && ../go-bindata --nocompress --nometadata --pkg vfs -o ../module/operator/pkg/vfs/assets.gen.go ./...)
fi
go mod edit -replace istio.io/istio=./module

# The brackets around the API server's address, which is IPv4 here, are refused by a plugin that is built with a Go of 2025-10 or later
# (docs/reference/containers.md).
find module -path '*/cni/*/kubeconfig.go' -exec sed -i 's/\[{{\.KubernetesServiceHost}}\]/{{.KubernetesServiceHost}}/' {} +

# Programs that share most of their packages are linked into one file, which goes by the name that it is called by.
together() { # NAME PACKAGE…: the packages of programs
    local folder=module/lab/$1 package name
    shift
    mkdir -p "$folder"
    {
        printf 'package main\n\nimport (\n\t"fmt"\n\t"os"\n\t"path/filepath"\n\t"strings"\n'
        for package; do
            sed -i 's/^package main$/package program/; s/^func main() {$/func Main() {/' "module/$package"/*.go
            name=$(basename "$package")
            printf '\t%s "istio.io/istio/%s"\n' "${name//-/_}" "$package"
        done
        printf ')\n\nfunc main() {\n\tname := filepath.Base(os.Args[0])\n\tswitch strings.TrimSuffix(strings.TrimPrefix(name, "istio-"), "-%s") {\n' "$version"
        for package; do
            name=$(basename "$package")
            printf '\tcase "%s":\n\t\t%s.Main()\n' "${name#istio-}" "${name//-/_}"
        done
        printf '\tdefault:\n\t\tfmt.Fprintln(os.Stderr, "no program", name)\n\t\tos.Exit(2)\n\t}\n}\n'
    } >"$folder/main.go"
}
mains=() plugins=() built=()
for binary in "${@:2}"; do
    case ${binary%"-$version"} in
        istioctl) built+=(istioctl/cmd/istioctl) ;;
        istio) built+=(lab/istio) ;;
        istio-operator) mains+=(operator/cmd/operator) ;;
        pilot-discovery | pilot-agent) mains+=("pilot/cmd/${binary%"-$version"}") ;;
        istio-iptables) mains+=(tools/istio-iptables) ;; # from 1.6 on pilot-agent has it
        install-cni) mains+=(cni/cmd/install-cni) ;;
        istio-cni) built+=(lab/istio-cni) plugins+=(cni/cmd/istio-cni) ;;
        istio-cni-repair) plugins+=(cni/cmd/istio-cni-repair) ;;
        istio-cni-iptables) built+=(tools/istio-iptables) ;;
    esac
done
if ((${#mains[@]})); then together istio "${mains[@]}"; fi
if ((${#plugins[@]})); then together istio-cni "${plugins[@]}"; fi

stamp="-s -w"
for value in buildVersion="$version" buildGitRevision="${revision##*-}" buildTag="$version" buildHub=docker.io/istio buildStatus=Clean; do
    stamp+=" -X istio.io/pkg/version.$value"
done
mkdir built
go build -ldflags "$stamp" -o built/ "${built[@]/#/istio.io/istio/}"
for binary in "${@:2}"; do
    name=${binary%"-$version"}
    case $name in
        istio-operator | pilot-discovery | pilot-agent | istio-iptables | install-cni) ln -s "istio${binary#"$name"}" "$out/$binary" ;;
        istio-cni-repair) ln -s "${binary/-repair/}" "$out/$binary" ;;
        istio-cni-iptables) mv built/istio-iptables "$out/$binary" ;;
        envoy-bootstrap) install -m 0755 module/tools/packaging/common/envoy_bootstrap?(_v2).json "$out/$binary" ;;
        *) mv "built/$name" "$out/$binary" ;;
    esac
done
