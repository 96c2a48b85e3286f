package kubeadm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sealos-istio/tools/kubeadm/internal/lab"
)

// finding is one refusal of the preflight checks; Name is what --ignore-preflight-errors takes.
type finding struct{ Name, Text string }

// Machine is what the checks look at; tests give another one.
type Machine struct {
	Kubernetes string // /etc/kubernetes
	Etcd       string // /var/lib/etcd
	PortFree   func(port int) bool
}

// ThisMachine looks at the real places.
func ThisMachine() Machine {
	return Machine{Kubernetes: lab.KubernetesDir, Etcd: lab.EtcdDir, PortFree: func(port int) bool {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err == nil {
			listener.Close()
		}
		return err == nil
	}}
}

func label(path string) string { return strings.ReplaceAll(path, "/", "-") }

func (m Machine) files(names ...string) (found []finding) {
	for _, name := range names {
		path := filepath.Join(m.Kubernetes, name)
		if _, err := os.Stat(path); err == nil {
			found = append(found, finding{"FileAvailable-" + label("/etc/kubernetes/"+name), path + " already exists"})
		}
	}
	return found
}

func (m Machine) empty(path, shown string) (found []finding) {
	if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
		found = append(found, finding{"DirAvailable-" + label(shown), path + " is not empty"})
	}
	return found
}

func (m Machine) ports(ports ...int) (found []finding) {
	for _, port := range ports {
		if !m.PortFree(port) {
			found = append(found, finding{fmt.Sprintf("Port-%d", port), fmt.Sprintf("Port %d is in use", port)})
		}
	}
	return found
}

func (m Machine) controlPlane() []finding {
	found := m.ports(slices.Concat([]int{6443}, ofVersion().ports)...)
	found = append(found, m.files("manifests/kube-apiserver.yaml", "manifests/kube-controller-manager.yaml", "manifests/kube-scheduler.yaml", "manifests/etcd.yaml")...)
	found = append(found, m.ports(10250, 2379, 2380)...)
	return append(found, m.empty(m.Etcd, "/var/lib/etcd")...)
}

// InitChecks are the refusals of `kubeadm init`. Kubeconfigs and certificates may be there: sealos puts them first.
func (m Machine) InitChecks() []finding { return m.controlPlane() }

// JoinChecks are the refusals of `kubeadm join`.
func (m Machine) JoinChecks(controlPlane bool) []finding {
	found := m.empty(filepath.Join(m.Kubernetes, "manifests"), "/etc/kubernetes/manifests")
	found = append(found, m.files("kubelet.conf", "bootstrap-kubelet.conf")...)
	if controlPlane {
		return append(found, slices.DeleteFunc(m.controlPlane(), func(f finding) bool { return strings.HasPrefix(f.Name, "FileAvailable") })...)
	}
	found = append(found, m.ports(10250)...)
	return append(found, m.files("pki/ca.crt")...)
}

// missingImages says which programs of the control plane are not on the machine, as kubeadm would of images.
func missingImages(names ...string) (found []finding) {
	for _, name := range names {
		if path, there := lab.Image(name); !there {
			found = append(found, finding{"ImagePull", fmt.Sprintf("%s is not there, and the lab pulls no images", path)})
		}
	}
	return found
}

// refuse turns findings into kubeadm's message; those named in ignored (lower case, or "all") only warn.
func refuse(found []finding, ignored []string) error {
	var text strings.Builder
	for _, one := range found {
		if slices.ContainsFunc(ignored, func(name string) bool { return strings.EqualFold(name, one.Name) || strings.EqualFold(name, "all") }) {
			fmt.Fprintf(os.Stderr, "\t[WARNING %s]: %s\n", one.Name, one.Text)
			continue
		}
		fmt.Fprintf(&text, "\t[ERROR %s]: %s\n", one.Name, one.Text)
	}
	if text.Len() == 0 {
		return nil
	}
	return &UserError{"error execution phase preflight: [preflight] Some fatal errors occurred:\n" + text.String() +
		"[preflight] `--ignore-preflight-errors=NAME` makes a check non-fatal"}
}
