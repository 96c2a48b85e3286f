#!/usr/bin/env bash
# Prints what a sealos says about its version (one that can't be run says nothing), or which Kubernetes a package holds.
# $1: the script's private directory, with lib.sh and sealos or package (its path).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

if [[ -e $dir/package ]]; then
    package_facts "$(value package)"
else
    sealos_version || cat -- "$dir/sealos-why" 2>/dev/null || true
fi
