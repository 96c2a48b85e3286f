package kubeadm

import (
	"fmt"

	"sealos-istio/tools/kubeadm/internal/lab"
)

// conventions are what differs between the versions of kubeadm that this one stands for.
type conventions struct {
	etcd, coreDNS string   // tags of their images
	criSocket     string   // of the container runtime that sealos's package of the time brings
	masterLabels  []string // of a master's node; the taint is the first one's
	ports         []int    // of scheduler and controller manager, which must be free
	issuesTokens  bool     // whether the API server is told how to issue tokens, which it refuses to start without from 1.20 on
}

// ofVersion gives those of the version that this program was built to stand for. The sources are kubeadm's: app/constants/constants.go,
// app/phases/controlplane/manifests.go and app/phases/markcontrolplane of 1.16.3, 1.19.16 and 1.20.15.
func ofVersion() conventions {
	minor := lab.KubernetesMinor()
	made := conventions{
		etcd: "3.3.15-0", coreDNS: "1.6.2", criSocket: "/var/run/dockershim.sock",
		masterLabels: []string{"node-role.kubernetes.io/master"}, ports: []int{10251, 10252},
	}
	if minor >= 19 {
		made.etcd, made.coreDNS, made.ports = "3.4.13-0", "1.7.0", []int{10259, 10257}
	}
	if minor >= 20 {
		made.criSocket, made.issuesTokens = "/run/containerd/containerd.sock", true
		made.masterLabels = append(made.masterLabels, "node-role.kubernetes.io/control-plane")
	}
	return made
}

// kubeletConfig is the ConfigMap that nodes take their kubelet's configuration from.
func kubeletConfig() string { return fmt.Sprintf("kubelet-config-1.%d", lab.KubernetesMinor()) }
