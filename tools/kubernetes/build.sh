#!/usr/bin/env bash
# build.sh OUTDIR: kube-apiserver, kube-controller-manager, kube-scheduler and kubectl 1.16.3 from the pinned modules. Run by
# `python -m tools build` in a copy of this folder.
#
# The module of Kubernetes does not carry its generated OpenAPI definitions. They are generated here by the generator of that time,
# which reads packages as a GOPATH has them; the vendor directory, seen through a link, is one.
set -euo pipefail
out=$1
work=$PWD
definitions=k8s.io/kubernetes/pkg/generated/openapi

go mod vendor
export GOFLAGS="-mod=vendor -buildvcs=false"
mkdir -p gopath
ln -sfn "$work/vendor" gopath/src
go build -trimpath -o openapi-gen k8s.io/kube-openapi/cmd/openapi-gen

# every package that asks for definitions: the rule of Kubernetes' own Makefile
packages=$(grep -rl --include='*.go' '^// +k8s:openapi-gen=' vendor/k8s.io | xargs -n1 dirname | sed 's#^vendor/##' | LC_ALL=C sort -u | paste -sd,)
GO111MODULE=off GOPATH="$work/gopath" GOFLAGS='' GODEBUG=gotypesalias=0 ./openapi-gen --logtostderr -i "$packages" \
    -p "$definitions" -O zz_generated.openapi -h /dev/null -r "$work/violations.report" -o "$work/generated"
install -m 0644 "generated/$definitions/zz_generated.openapi.go" "vendor/$definitions/"

stamp="-s -w"
for package in k8s.io/kubectl/pkg/version k8s.io/component-base/version k8s.io/kubernetes/pkg/version k8s.io/client-go/pkg/version; do
    for value in gitVersion=v1.16.3 gitMajor=1 gitMinor=16 gitTreeState=clean \
        gitCommit=b3cbbae08ec52a7fc73d334838e18d17e8512749 buildDate=2019-11-13T11:13:49Z; do
        stamp+=" -X $package.$value"
    done
done
for command in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
    go build -trimpath -ldflags "$stamp" -o "$out/$command" "k8s.io/kubernetes/cmd/$command"
done
