#!/usr/bin/env bash
# Sent by components/machines.py with a script and its files; runs it within its time limit and leaves nothing behind.
# $1: the private directory with .script, .timeout and the script's files.
set -euo pipefail

dir=$1
export LC_ALL=C PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
trap 'rm -rf -- "$dir"' EXIT

timeout -k 5 "$(<"$dir/.timeout")" bash "$dir/.script" "$dir" </dev/null &
script=$!
# timeout runs the script in a process group of its own, which a signal from sshd would not reach
trap 'kill -TERM "$script" 2>/dev/null || true; wait "$script" || true; exit 143' HUP INT TERM
wait "$script"
