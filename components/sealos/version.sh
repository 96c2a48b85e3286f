#!/usr/bin/env bash
# Prints what a sealos says about its version; one that can't be run says nothing.
# $1: the script's private directory, with lib.sh and sealos (its path).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

sealos_version
