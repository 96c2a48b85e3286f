#!/usr/bin/env bash
# Sent by components/remote/host.py with a script and its files; runs it within its time limit and leaves nothing behind.
# $1: the private directory with .script, .timeout and the script's files.
set -euo pipefail

dir=$1

# None of our own calls goes by a proxy; facts.sh says which ones root has here.
for name in http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; do
    if [[ -n ${!name:-} ]]; then echo "$name" >>"$dir/.proxies"; fi
    unset "$name"
done
export LC_ALL=C PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
trap 'rm -rf -- "$dir"' EXIT

timeout -k 5 "$(<"$dir/.timeout")" bash "$dir/.script" "$dir" </dev/null &
script=$!
# timeout runs the script in a process group of its own, which a signal from sshd would not reach
trap 'kill -TERM "$script" 2>/dev/null || true; wait "$script" || true; exit 143' HUP INT TERM
wait "$script"
