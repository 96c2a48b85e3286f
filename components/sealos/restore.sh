#!/usr/bin/env bash
# By hand, on another master: puts a backup of the first master's ~/.sealos back, so that this machine takes its place.
#   pulumi stack output sealosBackup --show-secrets | ssh root@MASTER "$(cat components/sealos/restore.sh)"
# Standard input: the stack's output sealosBackup. Afterwards this master stands first in the stack's masters
# (docs/operations.md). Changes nothing unless everything is as it must be.
set -euo pipefail
export LC_ALL=C
umask 077
config=/root/.sealos/config.yaml

die() {
    echo "$*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || die "log in as root: sealos keeps its state in /root/.sealos"
[[ -e /etc/kubernetes/admin.conf ]] || die "this machine is no master of a cluster; take one that is"
if [[ -e $config ]] && grep -Eq '^ *- ' "$config"; then
    die "$config lists a cluster already; move /root/.sealos away first when it shall be replaced"
fi
place=$(mktemp -d /root/.sealos-restore.XXXXXX)
trap 'rm -rf -- "$place"' EXIT
base64 -d | tar -xzf - -C "$place" || die "standard input is no backup (the stack's output sealosBackup)"
[[ -s $place/root/.sealos/config.yaml && -s $place/etc/sealos-istio/cluster.json ]] || die "the backup is not complete"
cmp -s "$place/root/.sealos/pki/ca.crt" /etc/kubernetes/pki/ca.crt || die "the backup is another cluster's: its CA is not this machine's"

own=""
for address in $(hostname -I); do
    own=${own:-$(sed -nE "s/^ *- *[\"']?($address:[0-9]+)[\"']?$/\1/p" "$place/root/.sealos/config.yaml" | head -n 1)}
done
[[ -n $own ]] || die "the backup lists none of this machine's addresses: it was no member when it was taken"
# sealos works from the first master that it lists; whoever wrote the list, its entries stay indented alike
awk -v own="$own" '
    /^[A-Za-z]/ { masters = /^masters:/ }
    masters && /^ *- / {
        line = $0; sub(/^ *- */, "", line); gsub(/["\047]/, "", line)
        if (!placed) { print substr($0, 1, index($0, "-") - 1) "- " own; placed = 1 }
        if (line == own) next
    }
    { print }' "$place/root/.sealos/config.yaml" >"$place/config"
mv -f -- "$place/config" "$place/root/.sealos/config.yaml"
# the package where the first master had it; sealos copied it to /root of every machine
package=$(sed -nE "s/^pkgurl: *[\"']?([^\"']*)[\"']?$/\1/p" "$place/root/.sealos/config.yaml")
if [[ -n $package && ! -e $package && -e /root/${package##*/} ]]; then
    mkdir -p -- "${package%/*}/"
    ln -s -- "/root/${package##*/}" "$package"
fi
# all of it is on its own disk before anything that is there goes
trap 'rm -rf -- "$place" /etc/sealos-istio.new' EXIT
rm -rf -- /etc/sealos-istio.new
cp -a -- "$place/etc/sealos-istio" /etc/sealos-istio.new || die "no room in /etc for what the backup has of /etc/sealos-istio; nothing was changed"
sync
rm -rf -- /root/.sealos /etc/sealos-istio
mv -- "$place/root/.sealos" /root/.sealos
mv -- /etc/sealos-istio.new /etc/sealos-istio

# What runs here may still wait for the lost machine's API server: a pod in the machine's network keeps the /etc/hosts of its
# beginning, where sealos named this machine's own only after it had joined. A kubelet ends a static pod whose manifest is gone.
controllers=(kube-controller-manager kube-scheduler)
put_back() {
    for name in "${controllers[@]}"; do
        if [[ -e /etc/kubernetes/$name.yaml.restart ]]; then mv -- "/etc/kubernetes/$name.yaml.restart" "/etc/kubernetes/manifests/$name.yaml"; fi
    done
    rm -rf -- "$place"
}
trap put_back EXIT
for name in "${controllers[@]}"; do
    if [[ -e /etc/kubernetes/manifests/$name.yaml ]]; then mv -- "/etc/kubernetes/manifests/$name.yaml" "/etc/kubernetes/$name.yaml.restart"; fi
done
for name in "${controllers[@]}"; do
    for ((second = 0; second < 60; second++)); do
        grep -qsx "${name:0:15}" /proc/[0-9]*/comm || break # the kernel keeps 15 letters
        sleep 1
    done
done
echo "$(hostname) now has sealos's state. Next: put it first in the stack's masters, and what is gone for good in cluster.lost"
