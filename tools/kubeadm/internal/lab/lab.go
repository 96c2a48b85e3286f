// Package lab holds what the lab's kubeadm and kubelet share: places, recorded processes and the node's network rules.
package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// KubernetesVersion is the version both stand-ins answer with; the control plane's programs are of the same version. build.sh sets
// another one for the pair that goes into another package.
var KubernetesVersion = "v1.16.3"

const (
	// RunDir records every process that is started on the machine, so that a reset ends exactly those.
	RunDir = "/run/lab-kubernetes"
	// LogDir keeps one log file for each process.
	LogDir = "/var/log/kube"

	KubernetesDir = "/etc/kubernetes"
	ManifestsDir  = "/etc/kubernetes/manifests"
	PKIDir        = "/etc/kubernetes/pki"
	EtcdDir       = "/var/lib/etcd"
	KubeletDir    = "/var/lib/kubelet"
	CNIConfDir    = "/etc/cni/net.d"
	CNIBinDir     = "/opt/cni/bin"
	APIServerPort = 6443
	KubeletPort   = 10250
	defaultImages = "/var/lib/lab-images/bin"
	interfaceName = "eth0"
)

// Images is the folder with the real programs, which stands for the loaded container images. LAB_IMAGES moves it.
func Images() string {
	if dir := os.Getenv("LAB_IMAGES"); dir != "" {
		return dir
	}
	return defaultImages
}

// Image returns the path of a real program in the images folder, and whether it is there.
func Image(name string) (string, bool) {
	path := filepath.Join(Images(), name)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// KubernetesMinor is the middle number of KubernetesVersion.
func KubernetesMinor() int {
	middle, _, _ := strings.Cut(strings.TrimPrefix(KubernetesVersion, "v1."), ".")
	minor, err := strconv.Atoi(middle)
	if err != nil {
		panic(fmt.Sprintf("built for Kubernetes %q, which is no version such as v1.16.3", KubernetesVersion))
	}
	return minor
}

// NodeName is the host name in lower case, as kubelet and sealos name the node.
func NodeName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return strings.ToLower(strings.TrimSpace(name)), nil
}

// NodeAddress is the first IPv4 address of eth0, or of the first other interface that is up and is not loopback.
func NodeAddress() (*net.IPNet, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found *net.IPNet
	for _, candidate := range interfaces {
		if candidate.Flags&net.FlagLoopback != 0 || candidate.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := candidate.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			network, ok := address.(*net.IPNet)
			if !ok || network.IP.To4() == nil {
				continue
			}
			if candidate.Name == interfaceName {
				return network, nil
			}
			if found == nil {
				found = network
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no network interface has an IPv4 address")
	}
	return found, nil
}
