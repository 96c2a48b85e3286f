#!/usr/bin/env bash
# By hand, on the first master, when it is the only one: gives the cluster another CA, with what this machine has of certificates by it.
#   ssh root@MASTER "$(cat components/sealos/new_ca.sh)"
# The kubeconfigs of the other machines' kubelets are then in /root/sealos-istio-new-ca/NAME, for new_ca_node.sh (docs/operations.md). What
# was there before stays in /root/sealos-istio-old-ca, and is put back when a step fails.
set -euo pipefail
export LC_ALL=C HOME=/root
umask 077
k=/etc/kubernetes
own=/root/.sealos
config=/root/kubeadm-config.yaml
old=/root/sealos-istio-old-ca
new=/root/sealos-istio-new-ca

die() {
    echo "$*" >&2
    exit 1
}
kube() { kubectl --kubeconfig "$k/admin.conf" --request-timeout=20s "$@"; }
phase() { kubeadm init phase "$@" >"$new/said" 2>&1 || die "kubeadm init phase $* failed: $(tail -n 3 "$new/said")"; }
api_listens() { awk '$4 == "0A" { split($2, part, ":"); print part[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qx 192B; }

[[ -e $k/pki/ca.key && -e $own/pki/ca.key && -e $config ]] || die "this is not the first master of a cluster that sealos made: $k/pki/ca.key, $own/pki/ca.key or $config is missing"
[[ ! -e $old ]] || die "$old is there, of a change of the CA before. When that is done with, move it away"
names=$(kube get nodes -o 'jsonpath={.items[*].metadata.name}') || die "the cluster's API server did not answer on this machine; nothing was changed"
masters=$(kube get nodes -l node-role.kubernetes.io/master -o name | wc -l)
((masters == 1)) || die "the cluster has $masters masters: take out all but the first, and add them again afterwards; nothing was changed"
endpoint=$(sed -nE 's|^ *server: https://([^ ]+).*|\1|p' "$k/kubelet.conf")
node=$(hostname)

rm -rf -- "$new"
mkdir -p "$new" "$old.part"
cp -a -- "$k" "$own" /var/lib/kubelet/pki "$old.part/"
mv -T -- "$old.part" "$old"

# Kubernetes's own programs read the CA when they start. etcd has another one.
restart() {
    local pod
    mkdir -p "$k/sealos-istio-aside"
    for pod in kube-apiserver kube-controller-manager kube-scheduler; do mv -- "$k/manifests/$pod.yaml" "$k/sealos-istio-aside/"; done
    for ((second = 0; second < 60; second++)); do
        api_listens || break
        sleep 1
    done
    mv -- "$k/sealos-istio-aside/"* "$k/manifests/"
    rmdir -- "$k/sealos-istio-aside"
    systemctl restart kubelet
    for ((second = 0; second < 120; second++)); do
        if kube get nodes -o name >/dev/null 2>&1; then return; fi
        sleep 1
    done
    die "the API server did not answer within 120 s after it was started anew; look at its log (/var/log/pods)"
}

put_back() {
    trap - EXIT
    echo "putting back what was there" >&2
    if [[ -d $k/sealos-istio-aside ]]; then mv -- "$k/sealos-istio-aside/"* "$k/manifests/" && rmdir -- "$k/sealos-istio-aside"; fi
    cp -a -- "$old/kubernetes/." "$k/"
    cp -a -- "$old/.sealos/." "$own/"
    rm -f -- /var/lib/kubelet/pki/kubelet-client-*
    cp -a -- "$old/pki/." /var/lib/kubelet/pki/
    rm -rf -- "$old" "$new"
    restart
}
trap put_back EXIT

cd "$k"
rm -f -- pki/ca.crt pki/ca.key pki/apiserver.crt pki/apiserver.key pki/apiserver-kubelet-client.crt pki/apiserver-kubelet-client.key \
    admin.conf controller-manager.conf scheduler.conf kubelet.conf /var/lib/kubelet/pki/kubelet-client-*
phase certs ca --config "$config"
phase certs apiserver --config "$config"
phase certs apiserver-kubelet-client --config "$config"
phase kubeconfig all --config "$config"
for name in $names; do
    if [[ $name != "$node" ]]; then
        # an address is asked for, and the endpoint is what is written
        phase kubeconfig kubelet --node-name "$name" --kubeconfig-dir "$new/$name" --apiserver-advertise-address 127.0.0.1 \
            --control-plane-endpoint "$endpoint"
        cp -- pki/ca.crt "$new/$name/"
    fi
done
# sealos joins masters by its own copies
cp -- pki/ca.crt pki/ca.key pki/apiserver.crt pki/apiserver.key pki/apiserver-kubelet-client.crt pki/apiserver-kubelet-client.key "$own/pki/"
for file in admin controller-manager scheduler kubelet; do
    if [[ -e $own/$file.conf ]]; then cp -- "$file.conf" "$own/"; fi
done
restart
phase bootstrap-token --config "$config" # what joins trusts the CA in kube-public/cluster-info
trap - EXIT
mkdir -p /root/.kube
cp -- admin.conf /root/.kube/config
rm -f -- "$new/said"
echo "$node has a new CA. Next, for each other machine: new_ca_node.sh"
