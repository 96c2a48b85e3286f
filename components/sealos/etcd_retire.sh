#!/usr/bin/env bash
# On a further master, after etcd was restored on the first one: ends its etcd and API server, which have what was there before, for good.
# They stay ended until it is wiped. Prints whether there was something to end.
# $1: the script's private directory, with lib.sh.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

[[ -e $manifests/etcd.yaml ]] || exit 0
set_aside /etc/kubernetes/sealos-istio-retired
echo retired
