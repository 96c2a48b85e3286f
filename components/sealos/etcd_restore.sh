#!/usr/bin/env bash
# On the first master: makes it the only member of a new etcd with what a snapshot holds. Whatever was in etcd is kept beside it. A job.
# $1: the script's private directory, with lib.sh, room (a folder with snapshot.db), limit (seconds for etcd and the API server to end, and
#     again to answer), lock-wait, and state (a gzipped archive as backup.sh makes it; on a machine that was installed anew for this).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

room=$(value room) limit=$(value limit)
data=/var/lib/etcd
aside=/etc/kubernetes/sealos-istio-restore # the static pods' manifests while they stand still
stamp=$(date -u +%Y%m%dT%H%M%S)

put_back() {
    local manifest
    if [[ -d $aside ]]; then
        for manifest in "$aside"/*.yaml; do
            if [[ -e $manifest ]]; then mv -f -- "$manifest" "$manifests/"; fi
        done
        rmdir -- "$aside"
    fi
}

# The process of this machine's own etcd: the one that has the machine's data folder, which no other container sees.
own_etcd() {
    local process
    for process in /proc/[0-9]*; do
        if [[ $(cat "$process/comm" 2>/dev/null) == etcd && $(stat -c %d:%i "$process/root$data" 2>/dev/null) == "$(stat -c %d:%i "$data")" ]]; then
            echo "$process"
        fi
    done
}

# etcd's images hold the etcdctl of the same version; so it is had offline, whichever container runtime there is.
find_etcdctl() {
    local process end=$((SECONDS + limit))
    while :; do
        for process in $(own_etcd); do
            if cp -- "$process/root/usr/local/bin/etcdctl" "$room/etcdctl" 2>/dev/null; then
                chmod 0700 -- "$room/etcdctl" && echo "$room/etcdctl"
                return
            fi
        done
        if command -v etcdctl; then return; fi
        if ((SECONDS >= end)); then
            die "no etcdctl within $limit s: etcd did not start, or its container has none. Put that of etcd's version into /usr/local/bin of this machine and run it again; nothing was changed"
        fi
        sleep 0.2
    done
}

listening() { awk '$4 == "0A" { split($2, part, ":"); print part[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eqx '094B|192B'; }

lock
put_back # of a run that was ended half-way
[[ -s $pki/ca.crt && -s $manifests/etcd.yaml ]] || die "no master: $pki/ca.crt or $manifests/etcd.yaml is missing on this machine"
# the CA's certificate stands in a ConfigMap that every API server writes (kube-system/extension-apiserver-authentication)
own_line=$(grep -v -e ----- "$pki/ca.crt" | tail -n 2 | head -n 1)
grep -zqaF -e "$own_line" "$room/snapshot.db" || die "the snapshot is another cluster's: this machine's CA is not in it; nothing was changed"

argument() { sed -nE "s/^ *- *--$1=([^ ]+) *$/\1/p" "$manifests/etcd.yaml"; }
name=$(argument name) peer=$(argument initial-advertise-peer-urls)
[[ -n $name && $peer == https://* ]] || die "$manifests/etcd.yaml does not say --name and --initial-advertise-peer-urls; nothing was changed"
mkdir -p "$data"
etcdctl=$(find_etcdctl)
rm -rf -- "$data/restored"
say "making etcd's data of the snapshot …"
if ! ETCDCTL_API=3 "$etcdctl" snapshot restore "$room/snapshot.db" --name "$name" --initial-cluster "$name=$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster-token "restored-$stamp" --data-dir "$data/restored" >"$dir/said" 2>&1; then
    rm -rf -- "$data/restored"
    die "etcdctl snapshot restore failed ($(tail -n 1 "$dir/said" | cut -c 1-300)); nothing was changed"
fi

say "stopping etcd and what works with it …"
trap put_back EXIT
set_aside "$aside"
end=$((SECONDS + limit))
while listening || [[ -n $(own_etcd) ]]; do
    ((SECONDS < end)) || die "etcd or the API server did not end within $limit s; nothing was changed. Is kubelet running?"
    sleep 0.3
done

if [[ -e $data/member ]]; then mv -T -- "$data/member" "$data/member.before-$stamp"; fi
mv -T -- "$data/restored/member" "$data/member"
rm -rf -- "$data/restored"
if [[ -e $dir/state ]]; then
    # what an installation of the first master alone doesn't know: the other machines
    tar -xzf "$dir/state" -C "$dir" root/.sealos/config.yaml etc/sealos-istio
    replace "$config" cat -- "$dir/root/.sealos/config.yaml"
    cp -a --no-clobber -- "$dir/etc/sealos-istio/." "$etc/"
fi
say "starting them with what the snapshot holds …"
put_back
end=$((SECONDS + limit))
until kube get nodes -o name >"$dir/nodes" 2>"$dir/why"; do
    if ((SECONDS >= end)); then
        die "the API server did not answer within $limit s afterwards. What was in etcd before is in $data/member.before-$stamp; look at the logs of etcd and kube-apiserver"
    fi
    sleep 0.5
done
wc -l <"$dir/nodes"
