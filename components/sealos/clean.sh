#!/usr/bin/env bash
# Takes what the cluster left on this machine, as sealos's clean does and more; prints what it could not take. May run again.
# What stays on purpose is written in components/sealos/teardown.py.
# $1: the script's private directory, with lib.sh, vip, role, copy (path of the package that sealos copied here; perhaps), sealos
#     (path where the user put it; perhaps), lock-wait (on a first master).
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

if [[ -e $dir/lock-wait ]]; then lock; fi
if [[ -x /usr/bin/kubeadm ]]; then
    timeout 120 /usr/bin/kubeadm reset -f -v 0 >"$dir/reset" 2>&1 || say "kubeadm reset: $(tail -n 1 "$dir/reset")"
fi
if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl disable --now kubelet >/dev/null 2>&1 || true
fi

# volumes of pods must be gone before their mount points are, or their content would go with them
mounts() { awk '$2 ~ "^/var/lib/kubelet/" { print $2 }' /proc/mounts | sort -r; }
while IFS= read -r mount; do
    umount -- "$mount" 2>/dev/null || umount -l -- "$mount" 2>/dev/null || true
done < <(mounts)
if [[ -z $(mounts) ]]; then
    rm -rf --one-file-system -- /var/lib/kubelet
fi

rm -rf --one-file-system -- /etc/kubernetes /var/lib/etcd /var/etcd /var/lib/cni /var/lib/calico /etc/cni /opt/cni \
    /root/.kube /root/kube /root/kubeadm-config.yaml /root/kubeadm-join-config.yaml /tmp/cni.yaml /tmp/sealos \
    /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl /usr/bin/kubelet-pre-start.sh /usr/bin/crictl \
    /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d /etc/systemd/system/multi-user.target.wants/kubelet.service \
    "$log_dir" /run/sealos-istio-joins 2>"$dir/why" || say "$(tail -n 3 "$dir/why")"
if [[ $(value sealos) != /usr/bin/sealos ]]; then
    rm -f -- /usr/bin/sealos
fi
copy=$(value copy)
if [[ -n $copy ]]; then
    rm -f -- "$copy"
fi
if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl daemon-reload || true
fi

if grep -q 'apiserver\.cluster\.local' /etc/hosts; then
    if mountpoint -q /etc/hosts; then
        # nothing can be renamed over a mount; it gets shorter, so written over itself it needs no room
        replace "$dir/hosts" sed '/apiserver\.cluster\.local/d' /etc/hosts
        dd if="$dir/hosts" of=/etc/hosts conv=notrunc,fsync status=none
        truncate -s "$(stat -c %s -- "$dir/hosts")" -- /etc/hosts
    else
        replace /etc/hosts sed '/apiserver\.cluster\.local/d' /etc/hosts
    fi
fi
if [[ -e /root/.bashrc ]]; then
    replace /root/.bashrc sed '/kubectl completion/d; /sealos completion/d' /root/.bashrc
fi
if command -v ip >/dev/null; then
    vip=$(value vip)
    if [[ -n $vip && -n $(ip -4 route show "$vip" 2>/dev/null) ]]; then
        ip -4 route del "$vip" || true
    fi
    ip link delete kube-ipvs0 2>/dev/null || true
fi

remains() {
    leftovers
    for path in /etc/kubernetes /var/lib/etcd /var/lib/kubelet /var/lib/cni /etc/cni /opt/cni /root/.sealos /root/.kube /root/kube \
        /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl; do
        if [[ -e $path ]]; then echo "$path"; fi
    done
    # a node may have services of its own where a master has the API server and etcd
    awk -v role="$(value role)" '
        BEGIN { ports["280A"] = 10250; if (role != "node") { ports["192B"] = 6443; ports["094B"] = 2379 } }
        $4 == "0A" { split($2, part, ":"); if (part[2] in ports) print "a process that still listens on port " ports[part[2]] }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# our notes and the CA that sealos made go last of all, because they say whose the rest is
remains >"$dir/left"
if ! grep -vq '^/root/\.sealos' "$dir/left"; then
    rm -rf --one-file-system -- /root/.sealos "$etc" 2>"$dir/why" || say "$(tail -n 3 "$dir/why")"
    remains >"$dir/left"
fi
sort -u "$dir/left"
