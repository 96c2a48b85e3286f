#!/usr/bin/env bash
# Looks whether a file lies on this machine as it should; with `arrived`, puts what was sent beside it in its place first.
# Prints "present", or "absent" and the bytes that are free there.
# $1: the script's private directory, with path, sha256, mode (of chmod), arrived (perhaps).
set -euo pipefail
dir=$1

path=$(<"$dir/path") wanted=$(<"$dir/sha256") mode=$(<"$dir/mode")
sum() { sha256sum <"$1" | cut -d' ' -f1; }

if [[ -e $dir/arrived ]]; then
    if [[ $(sum "$path.part") != "$wanted" ]]; then
        rm -f -- "$path.part"
        echo "$path arrived with another SHA-256 than it was sent with" >&2
        exit 1
    fi
    chmod "$mode" -- "$path.part"
    sync -- "$path.part"
    mv -f -- "$path.part" "$path"
    echo present
elif [[ -f $path && $(sum "$path") == "$wanted" ]]; then
    chmod "$mode" -- "$path"
    echo present
else
    mkdir -p -- "${path%/*}/"
    echo "absent $(df -Pk -- "${path%/*}/" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')"
fi
