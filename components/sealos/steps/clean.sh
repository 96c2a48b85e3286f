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
# Where the folder $1 is. A link to data on another disk is followed, as kubeadm does; any other goes as a link.
place_of() { if [[ ! -L $1 || $1 == /var/lib/* ]]; then readlink -m -- "$1"; else echo "$1"; fi; }

# The mount points at the folder $1 and below it, the deepest first.
mounted_at() { awk -v at="$1" '$5 == at || index($5, at "/") == 1 { print $5 }' /proc/self/mountinfo | sort -r; }

# kubeadm's reset, sealos's among them, unmounts all that is below kubelet's folder: volumes of pods, and a disk that somebody put there
kubelet=$(place_of /var/lib/kubelet)
mapfile -t disks < <({ mounted_at "$kubelet" && findmnt --fstab -nro TARGET; } 2>/dev/null |
    awk -v at="$kubelet/" 'index($0, at) == 1 && !index(substr($0, length(at) + 1), "/")' | sort -u)

if [[ -x /usr/bin/kubeadm ]]; then
    timeout 120 /usr/bin/kubeadm reset -f -v 0 >"$dir/reset" 2>&1 || say "kubeadm reset: $(tail -n 1 "$dir/reset")"
fi
if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl disable --now kubelet >/dev/null 2>&1 || true
fi

# kubeadm's reset passes over a pod that does not end within crictl's 2 s; only kubelet's containers are in this namespace
pods() { command -v ctr >/dev/null && timeout 20 ctr -n k8s.io "$1" list -q 2>/dev/null || true; }
for task in $(pods tasks); do
    timeout 30 ctr -n k8s.io tasks delete --force "$task" >/dev/null 2>"$dir/why" || say "containerd: $(tail -n 1 "$dir/why")"
done
for container in $(pods containers); do
    netns=$(timeout 20 ctr -n k8s.io containers info "$container" | sed -nE 's#.*"path": "(/[a-z/]+/netns/cni-[^"]+)".*#\1#p')
    timeout 20 ctr -n k8s.io containers delete "$container" 2>"$dir/why" || say "containerd: $(tail -n 1 "$dir/why")"
    if [[ -n $netns ]]; then
        umount -- "$netns" 2>/dev/null || true
        rm -f -- "$netns"
    fi
    umount -- "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/$container/shm" 2>/dev/null || true
done

# Whether the folder $1 is a disk of its own, has one below it, or is a link to one.
on_own_disk() { [[ -d $1 && ! $1 -ef / ]] && [[ -L $1 && $1 == /var/lib/* || -n $(mounted_at "$(place_of "$1")") ]]; }

# Takes files and folders away. A disk of its own is emptied and stays; one that is mounted below without being named is not touched.
wipe() {
    local path place mount kept
    for path; do
        if ! on_own_disk "$path"; then
            rm -rf --one-file-system -- "$path" || true
            continue
        fi
        place=$(place_of "$path") kept=()
        while IFS= read -r mount; do
            if [[ $mount != "$place" ]]; then kept+=(! -path "$mount" ! -path "$mount/*"); fi
        done < <(mounted_at "$place")
        find "$place" -xdev -depth -mindepth 1 "${kept[@]}" \( ! -type d -o -empty \) -delete || true
    done
}

# volumes of pods must be gone before their mount points are, or their content would go with them
mounts() { mounted_at "$kubelet" | grep -Fxv -- "$kubelet" || true; }
while IFS= read -r mount; do
    umount -- "$mount" 2>/dev/null || umount -l -- "$mount" 2>/dev/null || true
done < <(mounts)
if [[ -z $(mounts) ]]; then
    wipe /var/lib/kubelet
fi
for disk in "${disks[@]}"; do
    if ! mountpoint -q -- "$disk"; then
        say "warning: $disk is not mounted any more, since \`kubeadm reset\` unmounts what is below $kubelet; what is on it stays. Before the next installation: mkdir -p $disk && mount $disk"
    fi
done

# what leftovers looks at by itself may be a mount of its own
wipe /etc/kubernetes/manifests /etc/kubernetes/pki /etc/cni/net.d \
    /etc/kubernetes /var/lib/etcd /var/etcd /var/lib/cni /var/lib/calico /etc/cni /opt/cni \
    /root/.kube /root/kube /root/sealos-istio-old-ca /root/sealos-istio-new-ca /root/kubeadm-config.yaml /root/kubeadm-join-config.yaml /tmp/cni.yaml /tmp/sealos \
    /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl /usr/bin/kubelet-pre-start.sh /usr/bin/crictl \
    /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d /etc/systemd/system/multi-user.target.wants/kubelet.service \
    "$log_dir" /run/sealos-istio-joins 2>"$dir/why"
if [[ -s $dir/why ]]; then say "$(tail -n 3 "$dir/why")"; fi
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

# pods' cgroups without processes, which a kubelet that was stopped first leaves
for top in /sys/fs/cgroup/{,*/}kubepods{,.slice}; do
    if [[ -d $top ]]; then find "$top" -depth -type d -exec rmdir -- {} + 2>/dev/null || true; fi
done
# Without this a node that joins again is never Ready: containerd no longer looks into /etc/cni/net.d when the folder has been away (up to
# 1.6 at least, labring/sealos#938). With Docker it is not asked for networks.
if ! command -v dockerd >/dev/null && [[ -d /run/systemd/system ]] && systemctl is-active --quiet containerd; then
    timeout 60 systemctl restart containerd 2>"$dir/why" || say "containerd: $(tail -n 1 "$dir/why")"
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
    leftovers # of /etc/cni what is in it; containerd makes the folder by itself
    mounts
    pods containers | sed 's/^/the container /'
    for path in /etc/kubernetes /var/lib/etcd /var/lib/kubelet /var/lib/cni /opt/cni /root/.sealos /root/.kube /root/kube \
        /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl; do
        if on_own_disk "$path"; then
            if [[ -n $(find "$(place_of "$path")" ! -type d -print -quit) ]]; then echo "$path"; fi
        elif [[ -e $path ]]; then
            echo "$path"
        fi
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
    wipe /root/.sealos/pki /root/.sealos "$etc" 2>"$dir/why"
    if [[ -s $dir/why ]]; then say "$(tail -n 3 "$dir/why")"; fi
    remains >"$dir/left"
fi
sort -u "$dir/left"
