#!/usr/bin/env bash
# On the first master: notes for which machines the stack's state has a resource of their own, which is who takes them out again.
# $1: the script's private directory, with lib.sh and names (one per line).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

mkdir -p "$etc/recorded"
while read -r name; do
    : >"$etc/recorded/${name##*/}"
done <"$dir/names"
