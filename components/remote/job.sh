#!/usr/bin/env bash
# Sent by components/remote/host.py with a script and its files; runs it in a session of its own, so that it comes to its
# end whatever happens to the caller, and follows it as long as someone listens.
# $1: the private directory with .script, .timeout and the script's files. $2: "detached" in the job itself.
set -euo pipefail

dir=$1

# None of our own calls goes by a proxy; facts.sh says which ones root has here.
for name in http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; do
    if [[ -n ${!name:-} ]]; then echo "$name" >>"$dir/.proxies"; fi
    unset "$name"
done

detached() {
    export LC_ALL=C PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
    local status=0
    timeout -k 10 "$(<"$dir/.timeout")" bash "$dir/.script" "$dir" >"$dir/.stdout" 2>"$dir/.stderr" </dev/null || status=$?
    # what the script was given may be secret: it goes at once; the rest stays a moment for whoever follows
    find "$dir" -mindepth 1 ! -name .stdout ! -name .stderr -delete
    echo "$status" >"$dir/.status"
    (
        for _ in {1..60}; do
            [[ -d $dir ]] || exit 0
            sleep 1
        done
        rm -rf -- "$dir"
    ) &
}

follow() {
    : >"$dir/.stdout"
    : >"$dir/.stderr"
    setsid bash "$dir/.loader" "$dir" detached </dev/null >/dev/null 2>&1 &
    local job=$!
    tail -s 0.1 -n +1 -f --pid="$job" -- "$dir/.stderr" >&2
    wait "$job" || true
    cat -- "$dir/.stdout"
    local status
    status=$(<"$dir/.status")
    rm -rf -- "$dir"
    exit "$status"
}

if [[ ${2:-} == detached ]]; then
    detached
else
    follow
fi
