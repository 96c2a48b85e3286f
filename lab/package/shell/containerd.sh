#!/bin/bash
# Installs containerd where there is none, as the real package's containerd.sh does. The real one unpacks containerd's own archive
# kube/containerd/cri-containerd-cni-linux-amd64.tar.gz; here the programs lie on every machine already, out of anybody's path: Debian's.
if ! command -v ctr >/dev/null; then
  from=/usr/lib/lab-containers
  for program in containerd containerd-shim-runc-v2 ctr runc; do
    ln -sf "$from/bin/$program" /usr/bin/
  done
  mkdir -p /etc/containerd /etc/systemd/system
  # the pause image that is in the package; Debian's containerd would pull another
  cat >/etc/containerd/config.toml <<EOT
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "k8s.gcr.io/pause:3.2"
EOT
  cat >/etc/crictl.yaml <<EOT
runtime-endpoint: unix:///run/containerd/containerd.sock
EOT
  cp $from/units/containerd.service /etc/systemd/system/
  systemctl daemon-reload
  systemctl enable containerd.service
  systemctl restart containerd.service
fi
ctr version >/dev/null || systemctl restart containerd.service
