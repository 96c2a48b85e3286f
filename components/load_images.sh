#!/usr/bin/env bash
# Looks which images the machine's container runtime has; with `file`, loads them from it first and takes it away again.
# Prints one missing image a line. $1: the script's private directory, with images (one a line), file and sha256 (perhaps).
set -euo pipefail
dir=$1

if command -v docker >/dev/null && docker version >/dev/null 2>&1; then
    load() { docker load --quiet --input "$1" >&2; }
    has() { docker image inspect "$1" >/dev/null 2>&1; }
elif command -v ctr >/dev/null && ctr version >/dev/null 2>&1; then
    load() { ctr --namespace k8s.io images import "$1" >&2; }
    has() { [[ -n $(ctr --namespace k8s.io images list --quiet "name==$1") ]]; }
else
    echo "neither docker nor containerd answers here, so there is nothing to load images into" >&2
    exit 1
fi

if [[ -f $dir/file ]]; then
    file=$(<"$dir/file")
    trap 'rm -f -- "$file"' EXIT
    if [[ $(sha256sum <"$file" | cut -d' ' -f1) != "$(<"$dir/sha256")" ]]; then
        echo "$file arrived with another SHA-256 than it was sent with" >&2
        exit 1
    fi
    load "$file"
fi
while read -r image; do
    has "$image" || printf '%s\n' "$image"
done <"$dir/images"
