#!/usr/bin/env bash
# build.sh OUTDIR BINARY…: the lab's played-kubeadm and played-kubelet, for Kubernetes 1.16.3 or, as played-kubeadm-VERSION, for another that the lab has
# (lab/package). Run by `python -m tools build` in a copy of this folder.
set -euo pipefail
out=$1
shift
for binary in "$@"; do
    version=1.16.3
    program=${binary#played-}
    if [[ $program == *-* ]]; then version=${program#*-}; fi
    go build -ldflags "-s -w -X sealos-istio/tools/kubeadm/internal/lab.KubernetesVersion=v$version" -o "$out/$binary" "./cmd/${program%%-*}"
done
