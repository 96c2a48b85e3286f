#!/usr/bin/env bash
# Takes away a file that we had put on this machine; one that is no longer ours stays.
# $1: the script's private directory, with path and sha256.
set -euo pipefail
dir=$1

path=$(<"$dir/path")
rm -f -- "$path.part"
if [[ -f $path && $(sha256sum <"$path" | cut -d' ' -f1) == "$(<"$dir/sha256")" ]]; then
    rm -f -- "$path"
elif [[ -e $path ]]; then
    echo "$path is another file than the one that was put there; it stays" >&2
fi
