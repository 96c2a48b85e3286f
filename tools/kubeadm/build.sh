#!/usr/bin/env bash
# build.sh OUTDIR: the lab's kubeadm and kubelet, a pair for each Kubernetes that the lab has (lab/package). Run by `python -m tools
# build` in a copy of this folder.
set -euo pipefail
out=$1

pair() { # VERSION SUFFIX: of the programs that stand for Kubernetes VERSION
    local command
    for command in kubeadm kubelet; do
        go build -trimpath -ldflags "-s -w -X sealos-istio/tools/kubeadm/internal/lab.KubernetesVersion=v$1" -o "$out/$command$2" "./cmd/$command"
    done
}
pair 1.16.3 ''
pair 1.19.16 -1.19.16
pair 1.20.15 -1.20.15
