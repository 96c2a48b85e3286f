#!/usr/bin/env bash
# Prints what the preflight and the installation judge a machine by: "key value" lines, data only. Changes nothing.
# $1: the script's private directory, with lib.sh, vip (perhaps), and with package, sealos, istioctl and their sums
#     (package-sha256 …) on the first master.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

blob() { base64 -w0 <"$1" 2>/dev/null || true; }

echo "uid $(id -u)"
echo "hostname $(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
echo "machine_id $(cat /etc/machine-id 2>/dev/null || true)"
# busybox's hostname knows no -I
for address in $(hostname -I 2>/dev/null || ip -o addr show scope global 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4 }'); do
    echo "address $address"
done
echo "kernel $(uname -s)"
echo "arch $(uname -m)"
if [[ -r /etc/os-release ]]; then
    # read, not sourced: data is never run
    sed -nE "s/^(ID|ID_LIKE)=[\"']?([^\"']*)[\"']?\$/\2/p" /etc/os-release | tr -s ' \n' '\n' | sed 's/^/os /'
fi
echo "cpus $(nproc 2>/dev/null || grep -c ^processor /proc/cpuinfo || true)"
awk '$1 == "MemTotal:" { print "memory " $2 }' /proc/meminfo
# interface, destination, gateway and mask, in the kernel's own hexadecimal
awk 'NR > 1 { print "route " $1, $2, $3, $8 }' /proc/net/route 2>/dev/null || true
ip -o -4 addr show up 2>/dev/null | awk '$2 != "lo" { print "interface " $2, $4 }' || true
# where systemd-resolved runs, kubelet gives pods its list (kubeadm, resolvConf)
sed -nE 's/^[[:space:]]*nameserver[[:space:]]+([0-9A-Fa-f.:]+).*/nameserver \1/p' /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null | sort -u || true
# sealos greps for the name, and kubelet looks it up, which knows no capitals
name=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)
if [[ -n $name ]] && grep -q -- "$name" /etc/hosts 2>/dev/null; then
    echo "named_in_hosts yes"
fi
awk -v name="${name,,}" '{ sub(/#.*/, ""); for (field = 2; field <= NF; field++) if (tolower($field) == name) print "own_entry " $1 }' /etc/hosts 2>/dev/null || true
if [[ -e $dir/.proxies ]]; then
    sed 's/^/proxy /' "$dir/.proxies"
    echo "no_proxy ${NO_PROXY:-${no_proxy:-}}" # as Go reads them
fi
echo "login_shell $(awk -F: '$1 == "root" { print $7 }' /etc/passwd 2>/dev/null || true)"
echo "cgroups $(stat -fc %T /sys/fs/cgroup 2>/dev/null || true)"
echo "swap $(($(wc -l </proc/swaps) - 1))"
awk '$4 == "0A" { split($2, part, ":"); print "port " part[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u
# who listens, where ss is there to say it
ss -Hltnp 2>/dev/null | sed -nE 's/^[A-Z-]+ +[0-9]+ +[0-9]+ +[^ ]*:([0-9]+) +[^ ]+ +users:\(\("([^"]+)",pid=([0-9]+).*/listener \1 \3 \2/p' | sort -u || true
# ours, sealos's (hostname, gzip), and what kubeadm wants to find (InPathCheck)
for tool in awk base64 cmp curl df find flock sed setsid sha256sum tail timeout hostname gzip ip iptables mount nsenter; do
    command -v "$tool" >/dev/null || echo "missing_tool $tool"
done
for program in dockerd containerd; do
    if command -v "$program" >/dev/null; then
        echo "runtime $program"
    fi
done
# what kubelet gives CoreDNS to ask
if ! grep -Eqs '^[[:space:]]*nameserver[[:space:]]' /etc/resolv.conf /run/systemd/resolve/resolv.conf; then
    echo "no_nameserver yes"
fi
df -Pk /root /var/lib 2>/dev/null | awk 'NR == 2 { print "free_root " $4 } NR == 3 { print "free_lib " $4 }'
for place in /var/lib/docker /var/lib/containerd /var/lib/etcd /var/lib/kubelet; do
    if [[ -d $place && $(stat -L -c %d -- "$place") != "$(stat -L -c %d /var/lib)" ]]; then
        echo "own_disk $place $(df -Pk -- "$place" | awk 'NR == 2 { print $4 }')"
    fi
done
for place in /usr/bin /etc/kubernetes /opt/cni/bin /root /var/lib/docker /var/lib/containerd /var/lib/etcd /var/lib/kubelet; do
    if [[ -L $place && ! -e $place ]]; then
        echo "broken_link $place $(readlink -m -- "$place")"
        continue
    fi
    # what is not there yet will be on its folder's disk
    at=$place
    until [[ -e $at ]]; do
        at=${at%/*}
        at=${at:-/}
    done
    if [[ ! -w $at ]]; then echo "read_only $place"; fi
    if [[ ,$(findmnt -rno OPTIONS --target "$at" 2>/dev/null | tail -n 1), == *,noexec,* ]]; then echo "noexec $place"; fi
done
while IFS= read -r path; do
    if [[ -n $path ]]; then
        echo "leftover $path"
    fi
done < <(leftovers 2>/dev/null)
if [[ -r /etc/kubernetes/pki/ca.crt ]]; then
    echo "ca $(sha256sum </etc/kubernetes/pki/ca.crt | cut -d' ' -f1)"
fi
if [[ -r /root/.sealos/pki/ca.crt ]]; then
    echo "sealos_ca $(sha256sum </root/.sealos/pki/ca.crt | cut -d' ' -f1)"
fi
alive | sed 's/^/alive /'
if [[ -r $kubelet_conf ]]; then
    if found=$(kubelet_ca); then echo "kubelet_ca $found"; fi
    echo "node_name $(node_name)"
fi
for note in cluster installing member; do
    if [[ -r $etc/$note.json ]]; then
        echo "$note $(blob "$etc/$note.json")"
    fi
done

# Somebody else's address, if anyone answers there; not asked on a member, where the cluster itself does.
vip=$(value vip)
if [[ -n $vip && ! -e /etc/kubernetes/kubelet.conf && ! -e $admin ]]; then
    # shellcheck disable=SC2016 # $1 is the inner shell's
    if ping -n -q -c 1 -W 1 "$vip" >/dev/null 2>&1; then
        echo "vip_answers ping"
    elif timeout 1 bash -c 'exec 3<>"/dev/tcp/$1/6443"' _ "$vip" 2>/dev/null; then
        echo "vip_answers port 6443"
    fi
fi

if [[ -r $config ]]; then
    echo "sealos_config $(without_keys "passwd pkpassword privatekey alioss" <"$config" | base64 -w0)"
fi

for artifact in package sealos istioctl; do
    path=$(value "$artifact")
    if [[ $artifact == sealos ]]; then path=$(sealos_program); fi
    if [[ -z $path || ! -f $path ]]; then
        continue
    fi
    echo "${artifact}_bytes $(stat -c %s -- "$path")"
    if [[ -n $(value "$artifact-sha256") ]]; then
        echo "${artifact}_sha256 $(sha256sum <"$path" | cut -d' ' -f1)"
    fi
    if [[ $artifact == package && -s $path ]]; then package_facts "$path"; fi
    if [[ $artifact != package ]]; then echo "${artifact}_arch $(program_arch "$path")"; fi
done
if version=$(sealos_version); then
    echo "sealos_version $version"
elif [[ -s $dir/sealos-why ]]; then
    echo "sealos_why $(<"$dir/sealos-why")"
fi
if [[ -x /usr/bin/kubectl && -r $admin ]]; then
    if kube get nodes -o json >"$dir/nodes" 2>"$dir/why"; then
        echo "nodes $(blob "$dir/nodes")"
    else
        echo "api_error $(tail -n 1 "$dir/why" | tr -d '\n')"
    fi
fi
