#!/usr/bin/env bash
# Makes this bare machine the first master, by one `sealos init`. A job: it comes to its end whoever watches.
# $1: the script's private directory, with lib.sh, sealos, config.yaml, login.yaml, key (perhaps), init-arguments,
#     cluster.json, name, lock-wait, and state (an archive as backup.sh makes it; perhaps), whose CA the cluster then has.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

lock
# decided before the lock was taken, so looked at again: a live cluster is never initialised twice
if [[ -n $(leftovers) || -e $etc/cluster.json ]]; then
    exit "$busy"
fi
mkdir -p "$etc"
replace "$etc/installing.json" cat -- "$dir/cluster.json"

if [[ -e $dir/state ]]; then # sealos takes a CA that is there, and makes the other certificates anew
    tar -xzf "$dir/state" -C "$dir" root/.sealos/pki
    mkdir -p /root/.sealos
    mv -T -- "$dir/root/.sealos/pki" /root/.sealos/pki
fi

new_disks_for_kubeadm
mapfile -t arguments <"$dir/init-arguments"
say "sealos init …"
if ! run_sealos init --config "$config" "${arguments[@]}"; then
    last_words ""
    die "sealos init failed"
fi
rm -f -- "$dir/config.yaml" # from here on the config is what sealos made of it

# That the node gets Ready is waited for when all have joined: a pod network takes its time, and no join needs it.
if ! kube get node "$(value name)" -o name >/dev/null 2>"$dir/why"; then
    last_words ""
    die "sealos init ended, but the API server on this machine has no node $(value name): $(cat "$dir/why")"
fi
close_files
mv -f -- "$etc/installing.json" "$etc/cluster.json"
say "$(value name) is the first master"
