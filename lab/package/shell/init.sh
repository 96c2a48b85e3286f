#!/bin/bash
# Prepares a machine for kubeadm, as the init.sh of the real offline package does (called by sealos: cd kube/shell && bash init.sh).
# Like the real one it has no `set -e`: what the machine cannot do is passed over, and the exit status is that of the last command.
cd "$(dirname "$0")" || exit 1

if [[ -e containerd.sh ]]; then # in packages of Kubernetes 1.20 and later
  bash containerd.sh
  load() { ctr -n k8s.io images import "$1" >/dev/null; }
else
  bash docker.sh
  load() { docker load -q -i "$1"; }
fi
for module in ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh nf_conntrack br_netfilter; do
  modprobe "$module" 2>/dev/null
done
mkdir -p /etc/sysctl.d
cat >/etc/sysctl.d/k8s.conf <<EOF
net.ipv4.ip_forward = 1
net.ipv4.conf.all.rp_filter = 0
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
EOF
sysctl -q -p /etc/sysctl.d/k8s.conf 2>/dev/null
swapoff -a 2>/dev/null
setenforce 0 2>/dev/null

for archive in ../images/*.tar; do
  load "$archive" || true
done
install -m 0755 ../bin/* /usr/bin/

mkdir -p /etc/systemd/system/kubelet.service.d
install -m 0644 ../conf/kubelet.service /etc/systemd/system/kubelet.service
install -m 0644 ../conf/10-kubeadm.conf /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
install -m 0644 ../conf/kubelet.default /etc/default/kubelet
if [[ -e containerd.sh ]]; then
  socket=unix:///run/containerd/containerd.sock
  sed -i "s#^KUBELET_EXTRA_ARGS=.*#& --container-runtime=remote --runtime-request-timeout=15m --container-runtime-endpoint=$socket --image-service-endpoint=$socket#" /etc/default/kubelet
fi
mkdir -p /var/lib/kubelet /etc/kubernetes
cat >/var/lib/kubelet/config.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
failSwapOn: false
healthzBindAddress: 127.0.0.1
healthzPort: 10248
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
EOF
systemctl daemon-reload
systemctl enable kubelet.service
