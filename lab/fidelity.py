"""What is real on the lab and what is not; printed by ``lab status`` and quoted by docs/lab.md (a test holds them together)."""

from lab import package

_OWN, *_LATER = (release.istios for release in package.RELEASES)

REAL: tuple[tuple[str, str], ...] = (
    (
        "SSH",
        "this host's OpenSSH server and SFTP, one per machine, with its own host key; log-in by key and by password",
    ),
    (
        "machines",
        "own network, host name, processes, cgroups and disk each, systemd as first process, Debian's Docker (from Kubernetes 1.20 on containerd); kernel and clock are this host's",
    ),
    (
        "Kubernetes",
        "kubeadm, kubelet, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy (iptables) and kubectl v1.16.3 (v1.19.16 or v1.20.15 with LAB_KUBERNETES); etcd 3.5.1; CoreDNS 1.6.2 (1.7.0) with the plugins of kubeadm's Corefile; all in containers as kubeadm has them",
    ),
    ("pods", "run, with probes, logs, exec and port-forward, and reach each other and Services across machines"),
    (
        "Istio",
        f"operator, istiod (it injects), pilot-agent and istio-iptables 1.5.0, and those of {', '.join(_OWN[:-1])} and {_OWN[-1]} (on the later Kubernetes {_LATER[0][0]} to {_LATER[-1][-1]}) as far as they are built; the plugin istio-cni and its repair, of 1.7.8 for 1.5.0 and 1.6.5, too, since theirs can't be had; install-cni from 1.7.8 on",
    ),
    ("Contour", "1.9.0, where a stack installs it"),
    ("istioctl", "1.5.0, and the further ones as far as they are built"),
)

STAND_INS: tuple[tuple[str, str], ...] = (
    (
        "Envoy",
        "no registry has Istio's: a small server that answers pilot-agent as an Envoy that has its configuration, and carries no traffic; Contour's answers on its ports",
    ),
    (
        "IPVS",
        "this host's kernel may have none: lvscare and `sealos ipvs` make the virtual address with nftables; kube-proxy uses iptables by itself",
    ),
    (
        "Calico",
        "its objects are applied; its plugin asks Debian's ptp and host-local, and its node's pod keeps the routes to the other nodes' pods",
    ),
    (
        "install-cni.sh",
        "of 1.5.0 and 1.6.5: our own code, which appends istio-cni to the chain from the ConfigMap and ends when its work is undone, as their script does",
    ),
    ("Grafana, Kiali, Prometheus, Jaeger, Mixer", "a small server that answers on their ports; real pods, probes and Services"),
    (
        "kube-proxy's connection tables",
        "left as they are, since they are this host's; and runc starts what lacks a right that this host's root has not",
    ),
)

SEALOS = (
    "sealos",
    "a stand-in for v3.3.9 that keeps its contract; LAB_SEALOS=path puts a real one in its place",
)
GIVEN_SEALOS = ("sealos", "the one given by LAB_SEALOS")
