#!/usr/bin/env bash
# By hand, on each other machine after new_ca.sh: its kubelet takes the new CA and a certificate by it.
#   ssh root@MASTER tar -cf - -C /root/sealos-istio-new-ca/NAME . | ssh root@NAME "$(cat components/sealos/new_ca_node.sh)"
# Pods that run go on. Standard input: an archive with ca.crt and kubelet.conf.
set -euo pipefail
export LC_ALL=C HOME=/root
umask 077
k=/etc/kubernetes
note=/etc/sealos-istio/member.json

die() {
    echo "$*" >&2
    exit 1
}

[[ -e $k/kubelet.conf && ! -e $k/manifests/kube-apiserver.yaml ]] || die "this machine is no node of a cluster"
new=$(mktemp -d /root/.sealos-istio-new-ca.XXXXXX)
trap 'rm -rf -- "$new"' EXIT
tar -xf - -C "$new" || die "standard input is no archive of new_ca.sh"
[[ -s $new/ca.crt && -s $new/kubelet.conf ]] || die "standard input is no archive of new_ca.sh"
sed -nE 's/^ *client-certificate-data: //p' "$new/kubelet.conf" | base64 -d | sed '/^-----/d' | base64 -d | grep -qaF "system:node:$(hostname)" ||
    die "that is the kubeconfig of another machine's kubelet"
before=$(sha256sum <"$k/pki/ca.crt" | cut -d' ' -f1)
after=$(sha256sum <"$new/ca.crt" | cut -d' ' -f1)
cp -- "$new/kubelet.conf" "$k/kubelet.conf.new"
cp -- "$new/ca.crt" "$k/pki/ca.crt.new"
mv -f -- "$k/pki/ca.crt.new" "$k/pki/ca.crt"
mv -f -- "$k/kubelet.conf.new" "$k/kubelet.conf"
rm -f -- /var/lib/kubelet/pki/kubelet-client-*
# our note of whose the machine is
if [[ -e $note ]]; then sed -i "s/$before/$after/" "$note"; fi
systemctl restart kubelet
echo "$(hostname) has the new CA"
