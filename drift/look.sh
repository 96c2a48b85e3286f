#!/usr/bin/env bash
# Prints what drift is judged by on one machine: "key value" lines, data only. Changes nothing.
# $1: the script's private directory.
set -euo pipefail

echo "hostname $(cat /proc/sys/kernel/hostname)"
shopt -s nullglob
for file in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /var/lib/kubelet/pki/kubelet-client-current.pem /var/lib/kubelet/pki/kubelet.crt; do
    if [[ ! -r $file ]]; then
        continue
    fi
    # of a file with a key in it, only the certificates
    echo "certificate $file $(sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$file" | base64 -w0)"
done
for file in /etc/kubernetes/*.conf; do
    data=$(sed -nE 's/^ *client-certificate-data: *([A-Za-z0-9+\/=]+).*/\1/p' "$file" | head -n 1)
    if [[ -n $data ]]; then
        echo "certificate $file $data"
    fi
done
for file in /etc/cni/net.d/ZZZ-istio-cni-kubeconfig /var/run/istio-cni/istio-cni-kubeconfig; do
    if [[ -r $file ]]; then
        # the claims alone; without the signature a token opens nothing
        echo "token $file $(sed -nE 's/^ *token: *"?[^. ]+\.([A-Za-z0-9_-]+)\..*/\1/p' "$file" | head -n 1)"
    fi
done
admin=/etc/kubernetes/admin.conf
if [[ -r $admin && -x /usr/bin/kubectl ]]; then
    ask() { /usr/bin/kubectl --kubeconfig "$admin" --request-timeout=20s "$@"; }
    if nodes=$(ask get nodes -o json 2>/dev/null); then
        echo "nodes $(base64 -w0 <<<"$nodes")"
        echo "version $(ask version -o json 2>/dev/null | base64 -w0 || true)"
        # what a bootstrap token may do and until when; never its secret
        ask -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token \
            -o 'jsonpath={range .items[*]}bootstrap {.data.token-id} {.data.expiration}{"\n"}{end}' 2>/dev/null || true
    else
        echo "api_silent yes"
    fi
fi
if [[ -r /etc/sealos-istio/wanted.json ]]; then
    echo "wanted $(base64 -w0 </etc/sealos-istio/wanted.json)"
fi
