package kubeadm

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

//go:embed objects.yaml
var objects string

// Init starts the control plane on this machine.
func Init(config *InitConfig, upload bool, ignored []string) error {
	begun := time.Now()
	fmt.Printf("[init] Using Kubernetes version: %s\n[preflight] Running pre-flight checks\n", lab.KubernetesVersion)
	found := append(ThisMachine().InitChecks(), missingImages("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")...)
	for _, path := range neededFiles() {
		if _, err := os.Stat(path); err != nil {
			found = append(found, finding{"Certificates", path + " is missing; the lab's kubeadm takes what sealos has made and makes none itself"})
		}
	}
	if err := refuse(found, ignored); err != nil {
		return err
	}
	node, address, err := self(config.Advertise)
	if err != nil {
		return err
	}
	serviceIP, err := FirstAddress(config.Cluster.Networking.ServiceSubnet, 1)
	if err != nil {
		return err
	}
	network := lab.Network{VIPs: config.VIPs, ServiceIP: serviceIP, Masters: []string{address}, PodSubnet: config.Cluster.Networking.PodSubnet}
	if err := network.Apply(); err != nil {
		return err
	}
	fmt.Printf("[certs] Using existing certificates and keys in %q\n[kubeconfig] Using existing kubeconfig files in %q\n", pki, lab.KubernetesDir)
	p := plane{cluster: config.Cluster, node: node, address: address, etcdInitial: fmt.Sprintf("%s=https://%s:2380", node, address), etcdState: "new"}
	if err := p.write("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"); err != nil {
		return err
	}
	if err := startKubelet(config.KubeletDoc); err != nil {
		return err
	}
	admin := filepath.Join(lab.KubernetesDir, "admin.conf")
	client, err := waitForAPI(admin, 4*time.Minute)
	if err != nil {
		return err
	}
	fmt.Printf("[apiclient] All control plane components are healthy after %.1f seconds\n", time.Since(begun).Seconds())
	token, err := furnish(client, config, p)
	if err != nil {
		return err
	}
	key := ""
	if upload {
		if key, err = UploadCerts(); err != nil {
			return err
		}
	}
	if err := markMaster(context.Background(), client, node); err != nil {
		return err
	}
	hash, err := caHash()
	if err != nil {
		return err
	}
	server, err := endpoint(admin)
	if err != nil {
		return err
	}
	fmt.Print(Success(server, token, hash, key))
	return nil
}

// Success is the end of init's output. sealos takes the token, the hash and the key from it and looks for "Please note".
func Success(server, token, hash, key string) string {
	command := fmt.Sprintf("kubeadm join %s --token %s \\\n    --discovery-token-ca-cert-hash %s ", server, token, hash)
	text := "\nYour Kubernetes control-plane has initialized successfully!\n\n"
	if key != "" {
		text += "You can now join any number of the control-plane node running the following command on each as root:\n\n  " + command +
			"\\\n    --control-plane --certificate-key " + key +
			"\n\nPlease note that the certificate-key gives access to cluster sensitive data, keep it secret!\n\n"
	}
	return text + "Then you can join any number of worker nodes by running the following on each as root:\n\n" + command + "\n"
}

// self is this node's name and address; a given address must be the machine's own.
func self(advertise string) (node, address string, err error) {
	node, err = lab.NodeName()
	if err != nil {
		return "", "", err
	}
	own, err := lab.NodeAddress()
	if err != nil {
		return "", "", err
	}
	address = own.IP.String()
	if advertise != "" && advertise != address {
		return "", "", fmt.Errorf("localAPIEndpoint.advertiseAddress %s is not the address of this machine (%s)", advertise, address)
	}
	return node, address, nil
}

const kubeletDefaults = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDomain: cluster.local
staticPodPath: /etc/kubernetes/manifests
`

// startKubelet writes the kubelet's configuration and starts it detached, as its service would.
func startKubelet(document []byte) error {
	if len(document) == 0 {
		document = []byte(kubeletDefaults)
	}
	fmt.Printf("[kubelet-start] Writing kubelet configuration to file %q\n", lab.KubeletDir+"/config.yaml")
	if err := lab.WriteFile(lab.KubeletDir+"/config.yaml", document, 0o644); err != nil {
		return err
	}
	for _, process := range lab.Recorded() {
		if process.Name == "kubelet" {
			fmt.Println("[kubelet-start] The kubelet runs already; it is started again")
			if err := process.Stop(10 * time.Second); err != nil {
				return err
			}
		}
	}
	program, err := besides("kubelet")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(lab.LogDir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(lab.LogDir, "kubelet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program, "--bootstrap-kubeconfig="+lab.KubernetesDir+"/bootstrap-kubelet.conf", "--kubeconfig="+lab.KubernetesDir+"/kubelet.conf", "--config="+lab.KubeletDir+"/config.yaml")
	command.Dir, command.Stdout, command.Stderr = "/", log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	fmt.Println("[kubelet-start] Activating the kubelet service")
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	client := &http.Client{Timeout: time.Second}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			return fmt.Errorf("the kubelet ended at once (%v); see %s/kubelet.log", err, lab.LogDir)
		default:
		}
		if response, err := client.Get("http://127.0.0.1:10248/healthz"); err == nil {
			response.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("the kubelet does not answer on 127.0.0.1:10248; see %s/kubelet.log", lab.LogDir)
}

// besides finds a program in the folder of this one, else on PATH.
func besides(name string) (string, error) {
	if own, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(own), name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// waitForAPI asks until the API server is healthy.
func waitForAPI(login string, limit time.Duration) (*kube.Client, error) {
	fmt.Printf("[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods. This can take up to %s\n", limit)
	client, err := kube.FromFile(login)
	if err != nil {
		return nil, err
	}
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		last = client.Get(ctx, "/healthz", nil)
		cancel()
		if last == nil {
			return client, nil
		}
	}
	return nil, fmt.Errorf("error execution phase wait-control-plane: the API server at %s is not healthy: %w; see %s/kubelet.log and kube-apiserver.log", client.Server, last, lab.LogDir)
}

// furnish creates what kubeadm init leaves in the cluster and returns a token to join with.
func furnish(client *kube.Client, config *InitConfig, p plane) (string, error) {
	ctx := context.Background()
	dns, err := FirstAddress(config.Cluster.Networking.ServiceSubnet, 10)
	if err != nil {
		return "", err
	}
	if err := configMaps(ctx, client, config, p); err != nil {
		return "", err
	}
	for _, document := range strings.Split(filledObjects(config.Cluster, dns), "\n---\n") {
		var object kube.Object
		if err := kube.FromYAML([]byte(document), &object); err != nil {
			return "", err
		}
		_, rest, _ := strings.Cut(document, "# path: ")
		path, _, _ := strings.Cut(rest, "\n")
		if err := client.Ensure(ctx, path, object); err != nil {
			return "", fmt.Errorf("%v: %w", object["kind"], err)
		}
	}
	fmt.Println("[bootstrap-token] Configured RBAC rules to allow Node Bootstrap tokens to post CSRs, and the csrapprover to approve them")
	fmt.Println("[addons] Applied essential addon: CoreDNS\n[addons] Applied essential addon: kube-proxy")
	return createToken(ctx, client)
}

// filledObjects are those of objects.yaml, with nothing left to fill in.
func filledObjects(cluster ClusterConfiguration, dns string) string {
	return strings.NewReplacer(
		"<BOOTSTRAPPERS>", bootstrapGroup, "<REPOSITORY>", cluster.ImageRepository, "<VERSION>", cluster.KubernetesVersion, "<DNS>", dns,
		"<MINOR>", strconv.Itoa(lab.KubernetesMinor()), "<COREDNS>", ofVersion().coreDNS,
	).Replace(objects)
}

func configMap(namespace, name string, data kube.Object) kube.Object {
	return kube.Object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": kube.Object{"name": name, "namespace": namespace}, "data": data}
}

func configMaps(ctx context.Context, client *kube.Client, config *InitConfig, p plane) error {
	status, err := clusterStatus(map[string]string{p.node: p.address})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return err
	}
	info, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "preferences": map[string]any{}, "users": []any{}, "contexts": nil, "current-context": "",
		"clusters": []any{map[string]any{"name": "", "cluster": map[string]any{"server": client.Server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}}},
	})
	if err != nil {
		return err
	}
	kubelet := config.KubeletDoc
	if len(kubelet) == 0 {
		kubelet = []byte(kubeletDefaults)
	}
	for _, object := range []kube.Object{
		configMap("kube-system", "kubeadm-config", kube.Object{"ClusterConfiguration": string(config.ClusterDoc), "ClusterStatus": status}),
		configMap("kube-system", kubeletConfig(), kube.Object{"kubelet": string(kubelet)}),
		configMap("kube-system", "kube-proxy", kube.Object{"config.conf": string(config.ProxyDoc)}),
		configMap("kube-system", "coredns", kube.Object{"Corefile": ".:53 {\n    errors\n    health\n    ready\n    kubernetes " + config.Cluster.Networking.DNSDomain + " in-addr.arpa ip6.arpa\n    cache 30\n}\n"}),
		configMap("kube-public", "cluster-info", kube.Object{"kubeconfig": string(info)}),
	} {
		namespace := object["metadata"].(kube.Object)["namespace"].(string)
		// The API server makes the two namespaces itself, a moment after it is healthy.
		if err := eventually(10*time.Second, func() error { return client.Ensure(ctx, "/api/v1/namespaces/"+namespace+"/configmaps", object) }); err != nil {
			return err
		}
	}
	return nil
}

func clusterStatus(masters map[string]string) (string, error) {
	endpoints := map[string]any{}
	for name, address := range masters {
		endpoints[name] = map[string]any{"advertiseAddress": address, "bindPort": lab.APIServerPort}
	}
	data, err := yaml.Marshal(map[string]any{"apiVersion": "kubeadm.k8s.io/v1beta2", "kind": "ClusterStatus", "apiEndpoints": endpoints})
	return string(data), err
}

// eventually repeats step until it succeeds or the limit is over.
func eventually(limit time.Duration, step func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := step()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// markMaster gives the node the labels and the taint of a master, once the kubelet has registered it.
func markMaster(ctx context.Context, client *kube.Client, node string) error {
	const role = "node-role.kubernetes.io/master"
	fmt.Printf("[mark-control-plane] Marking the node %s as control-plane\n", node)
	return eventually(60*time.Second, func() error {
		var object struct {
			Metadata kube.Meta `json:"metadata"`
			Spec     struct {
				Taints []map[string]any `json:"taints"`
			} `json:"spec"`
		}
		path := "/api/v1/nodes/" + node
		if err := client.Get(ctx, path, &object); err != nil {
			return err
		}
		taints := slices.DeleteFunc(object.Spec.Taints, func(taint map[string]any) bool { return taint["key"] == role })
		taints = append(taints, map[string]any{"key": role, "effect": "NoSchedule"})
		labels := kube.Object{}
		for _, label := range ofVersion().masterLabels {
			labels[label] = ""
		}
		err := client.Patch(ctx, path, kube.Object{
			"metadata": kube.Object{
				"resourceVersion": object.Metadata.ResourceVersion, "labels": labels,
				"annotations": kube.Object{"kubeadm.alpha.kubernetes.io/cri-socket": ofVersion().criSocket},
			},
			"spec": kube.Object{"taints": taints},
		}, nil)
		if err != nil {
			return err
		}
		return nil
	})
}

var errNoMaster = errors.New("no API server answers")
