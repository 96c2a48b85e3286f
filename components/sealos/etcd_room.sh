#!/usr/bin/env bash
# On the first master: prints a new private folder on the disk that etcd is on, for a snapshot on its way; or takes one away again.
# $1: the script's private directory, with lib.sh, and forget (such a folder; perhaps).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

rooms=/var/lib/sealos-istio-etcd
room=$(value forget)
if [[ -n $room ]]; then
    if [[ $room == "$rooms".* ]]; then rm -rf -- "$room"; fi
    exit 0
fi
# what a lost connection left
find /var/lib -maxdepth 1 -name "${rooms##*/}.*" -mmin +1440 -exec rm -rf -- {} +
mktemp -d "$rooms.XXXXXXXX"
