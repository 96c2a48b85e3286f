package kubelet

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

func readLine(path string) string {
	data, _ := os.ReadFile(path)
	return strings.TrimSpace(string(data))
}

func kernelVersion() string { return readLine("/proc/sys/kernel/osrelease") }

func osImage() string {
	data, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return "Linux"
}

// nodeObject is the Node as a kubelet v1.16.3 registers it. A Node whose nodeInfo lacks a field is refused by the API server.
func nodeObject(name, address string, conditions []kube.Condition) kube.Object {
	spec := kube.Object{}
	if cidr := lab.LoadNetwork().PodCIDR(net.ParseIP(address)); cidr != "" {
		spec["podCIDR"], spec["podCIDRs"] = cidr, []string{cidr}
	}
	return kube.Object{
		"apiVersion": "v1", "kind": "Node",
		"metadata": kube.Object{
			"name": name,
			"labels": kube.Object{
				"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH,
				"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": runtime.GOARCH,
			},
			"annotations": kube.Object{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
		},
		"spec":   spec,
		"status": nodeStatus(name, address, conditions),
	}
}

func nodeStatus(name, address string, conditions []kube.Condition) kube.Object {
	machine := readLine("/etc/machine-id")
	// Nothing is limited on a lab machine; the figures only let the scheduler place the usual workloads.
	resources := kube.Object{"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0"}
	return kube.Object{
		"addresses": []any{kube.Object{"type": "InternalIP", "address": address}, kube.Object{"type": "Hostname", "address": name}},
		"capacity":  resources, "allocatable": resources,
		"conditions":      conditions,
		"daemonEndpoints": kube.Object{"kubeletEndpoint": kube.Object{"Port": lab.KubeletPort}},
		"nodeInfo": kube.Object{
			"kubeletVersion": lab.KubernetesVersion, "kubeProxyVersion": lab.KubernetesVersion, "machineID": machine, "systemUUID": machine,
			"bootID": readLine("/proc/sys/kernel/random/boot_id"), "kernelVersion": kernelVersion(), "osImage": osImage(),
			"containerRuntimeVersion": "lab://1", "operatingSystem": "linux", "architecture": runtime.GOARCH,
		},
	}
}

// networkReady says why the container network is not ready yet, or "". The rule is the kubelet's: a CNI configuration exists.
func networkReady(dir string) string {
	for _, pattern := range []string{"*.conf", "*.conflist", "*.json"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return ""
		}
	}
	return "runtime network not ready: no CNI configuration in " + dir
}

// nodeConditions gives the four conditions of a 1.16 node and carries the transition times over.
func nodeConditions(notReady string, old []kube.Condition, now time.Time) []kube.Condition {
	ready := kube.Condition{Type: "Ready", Status: "True", Reason: "KubeletReady", Message: "the lab's kubelet is ready"}
	if notReady != "" {
		ready.Status, ready.Reason, ready.Message = "False", "KubeletNotReady", notReady
	}
	conditions := []kube.Condition{
		{Type: "MemoryPressure", Status: "False", Reason: "KubeletHasSufficientMemory", Message: "not measured"},
		{Type: "DiskPressure", Status: "False", Reason: "KubeletHasNoDiskPressure", Message: "not measured"},
		{Type: "PIDPressure", Status: "False", Reason: "KubeletHasSufficientPID", Message: "not measured"},
		ready,
	}
	for index := range conditions {
		conditions[index].LastHeartbeatTime = stamp(now)
		conditions[index].LastTransitionTime = stamp(now)
		for _, before := range old {
			if before.Type == conditions[index].Type && before.Status == conditions[index].Status && before.LastTransitionTime != "" {
				conditions[index].LastTransitionTime = before.LastTransitionTime
			}
		}
	}
	return conditions
}

// register creates the Node, or takes over the one that is there.
func (k *Kubelet) register(ctx context.Context) error {
	k.conditions = nodeConditions(networkReady(lab.CNIConfDir), nil, time.Now())
	err := k.api.Post(ctx, "/api/v1/nodes", nodeObject(k.name, k.who.NodeAddress, k.conditions), nil)
	if kube.IsCode(err, http.StatusConflict) {
		return k.reportNode(ctx)
	}
	return err
}

func (k *Kubelet) reportNode(ctx context.Context) error {
	path := "/api/v1/nodes/" + k.name
	// A merge patch replaces the whole list of conditions, so that one which another controller added would be lost: this list is the kubelet's own.
	err := k.api.Patch(ctx, path+"/status", kube.Object{"status": nodeStatus(k.name, k.who.NodeAddress, k.conditions)}, nil)
	if kube.IsCode(err, http.StatusNotFound) {
		return k.api.Post(ctx, "/api/v1/nodes", nodeObject(k.name, k.who.NodeAddress, k.conditions), nil)
	}
	return err
}

// keepNode reports the node's condition at once when it changes and every ten seconds, and renews the node's lease.
func (k *Kubelet) keepNode(ctx context.Context) {
	reported := time.Time{}
	last := "?"
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		notReady := networkReady(lab.CNIConfDir)
		if notReady != last || time.Since(reported) > 10*time.Second {
			k.conditions = nodeConditions(notReady, k.conditions, time.Now())
			err := k.reportNode(ctx)
			if err == nil {
				err = k.renewLease(ctx)
			}
			if err != nil {
				logf("node status: %v", err)
				k.api.CloseIdle()
			} else {
				last, reported = notReady, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *Kubelet) renewLease(ctx context.Context) error {
	const collection = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	spec := kube.Object{"holderIdentity": k.name, "leaseDurationSeconds": 40, "renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")}
	err := k.api.Patch(ctx, collection+"/"+k.name, kube.Object{"spec": spec}, nil)
	if !kube.IsCode(err, http.StatusNotFound) {
		return err
	}
	var node struct {
		Metadata kube.Meta `json:"metadata"`
	}
	if err := k.api.Get(ctx, "/api/v1/nodes/"+k.name, &node); err != nil {
		return err
	}
	return k.api.Post(ctx, collection, kube.Object{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec,
		"metadata": kube.Object{"name": k.name, "namespace": "kube-node-lease", "ownerReferences": []any{kube.Object{
			"apiVersion": "v1", "kind": "Node", "name": k.name, "uid": node.Metadata.UID,
		}}},
	}, nil)
}

// serveVirtualIP does what lvscare's static pod does on a node whose kubelet starts with the machine: the API server, which
// has to be asked before all else, is behind the virtual IP.
func serveVirtualIP(static map[string]kube.Pod) error {
	network := lab.LoadNetwork()
	if len(network.Masters) > 0 {
		return nil // the kubeadm that joined this machine found them
	}
	for _, pod := range static {
		if vip, masters := balanced(pod); vip != "" && len(masters) > 0 {
			network.VIPs, network.Masters = append(network.VIPs, vip), append(network.Masters, masters...)
		}
	}
	if len(network.Masters) == 0 {
		return nil
	}
	return network.Apply()
}

// balanced reads the arguments of lvscare: the virtual IP that it serves and the masters that this leads to.
func balanced(pod kube.Pod) (vip string, masters []string) {
	for _, container := range pod.Spec.Containers {
		for index := 1; index < len(container.Args); index++ {
			host, _, err := net.SplitHostPort(container.Args[index])
			if err != nil {
				continue
			}
			switch container.Args[index-1] {
			case "--vs":
				vip = host
			case "--rs":
				masters = append(masters, host)
			}
		}
	}
	return vip, masters
}

// keepNetwork lets the service address and the virtual IP lead to the masters that answer, whichever they are at the time.
func (k *Kubelet) keepNetwork(ctx context.Context) {
	for tick := time.NewTicker(2 * time.Second); ; {
		if err := k.updateNetwork(ctx); err != nil {
			logf("network: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *Kubelet) updateNetwork(ctx context.Context) error {
	old := lab.LoadNetwork()
	wanted := old
	if wanted.ServiceIP == "" {
		var service struct {
			Spec struct {
				ClusterIP string `json:"clusterIP"`
			} `json:"spec"`
		}
		if err := k.api.Get(ctx, "/api/v1/namespaces/default/services/kubernetes", &service); err != nil {
			return err
		}
		wanted.ServiceIP = service.Spec.ClusterIP
	}
	var endpoints struct {
		Subsets []struct {
			Addresses []struct {
				IP string `json:"ip"`
			} `json:"addresses"`
		} `json:"subsets"`
	}
	if err := k.api.Get(ctx, "/api/v1/namespaces/default/endpoints/kubernetes", &endpoints); err == nil {
		var masters []string
		for _, subset := range endpoints.Subsets {
			for _, address := range subset.Addresses {
				masters = append(masters, address.IP)
			}
		}
		if len(masters) > 0 {
			k.masters = masters
		}
	}
	if len(k.masters) > 0 {
		// As lvscare does, leave out a master that is not healthy; when none is, keep them all.
		wanted.Masters = lab.Search(k.masters, func(master string) bool { return lab.Healthy(master, 2*time.Second) })
		if len(wanted.Masters) == 0 {
			wanted.Masters = k.masters
		}
	}
	slices.Sort(wanted.Masters)
	if len(wanted.Masters) == 0 || k.applied && wanted.Equal(old) {
		return nil
	}
	if err := wanted.Apply(); err != nil {
		return err
	}
	k.applied = true
	k.setService(wanted.ServiceIP)
	logf("network: %s and virtual IPs %v lead to %v", wanted.ServiceIP, wanted.VIPs, wanted.Masters)
	return nil
}
