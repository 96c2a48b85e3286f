#!/usr/bin/env bash
# On the first master: writes a snapshot of etcd, as etcd itself streams it, its own SHA-256 at the end, to a private folder. Nothing of it
# is printed. A job.
# $1: the script's private directory, with lib.sh and room (the folder).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

snapshot=$(value room)/snapshot.db
[[ -e $pki/apiserver-etcd-client.crt ]] || die "there is no etcd of a cluster on this machine ($pki/apiserver-etcd-client.crt is missing)"
command -v curl >/dev/null || die "curl is missing on this machine, which etcd is asked with; install it"

# /v3 since etcd 3.4, /v3beta up to 3.4; one JSON text a line, with a part of the snapshot as base64 in it
for version in v3 v3beta; do
    if curl -q -sSf --no-buffer "${etcd_login[@]}" --data '{}' \
        "https://127.0.0.1:2379/$version/maintenance/snapshot" 2>"$dir/why" \
        | sed -nE 's/.*"blob": *"([A-Za-z0-9+/=]*)".*/\1/p' | base64 -d 2>/dev/null | cat 2>"$dir/disk" >"$snapshot"; then
        exit 0
    fi
    grep -q 404 "$dir/why" || break
done
die "etcd on this machine gave no snapshot: $(cat "$dir/disk" "$dir/why" | head -n 1)"
