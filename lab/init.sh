#!/bin/bash
# First process of a machine of the lab (installed there as /sbin/init): starts what was enabled, keeps sshd running,
# and collects processes whose parents are gone (bash does so while it waits).
set -uo pipefail
ulimit -Sn "$(ulimit -Hn)" # files: a desktop's 1024 is little for an API server

# What `systemctl enable kubelet` means after a reboot: the service's environment files and command, without its restarts.
# A machine that belongs to no cluster has no kubelet.conf, and nothing to start.
unit=/etc/systemd/system/multi-user.target.wants/kubelet.service
if [[ -e $unit && -x /usr/bin/kubelet && -e /etc/kubernetes/kubelet.conf ]]; then
  echo "$(date +%T) starting kubelet"
  mkdir -p /var/log/kube
  (
    KUBELET_KUBEADM_ARGS='' KUBELET_EXTRA_ARGS=''
    for file in /var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet; do
      # shellcheck source=/dev/null
      [[ -r $file ]] && . "$file"
    done
    # shellcheck disable=SC2086 # several arguments in one variable, as systemd splits them
    exec setsid /usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
      --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
  ) >>/var/log/kube/kubelet.log 2>&1 </dev/null &
fi

while :; do
  /usr/sbin/sshd -D -e
  echo "$(date +%T) sshd ended ($?), starting it again"
  sleep 0.3
done
