package kubeadm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// Join makes this machine a node of the cluster, with ControlPlane also a master.
func Join(config *JoinConfig, ignored []string) error {
	fmt.Println("[preflight] Running pre-flight checks")
	found := ThisMachine().JoinChecks(config.ControlPlane)
	if config.ControlPlane {
		found = append(found, missingImages("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")...)
		for _, path := range neededFiles() {
			if _, err := os.Stat(path); err != nil {
				found = append(found, finding{"Certificates", path + " is missing; the lab's kubeadm takes what sealos has copied"})
			}
		}
	}
	if err := refuse(found, ignored); err != nil {
		return err
	}
	node, address, err := self(config.Advertise)
	if err != nil {
		return err
	}
	info, err := discover(config)
	if err != nil {
		return fmt.Errorf("error execution phase preflight: couldn't validate the identity of the API Server: %w", err)
	}
	client, err := bootstrapClient(info, config.Token)
	if err != nil {
		return err
	}
	cluster, kubeletDoc, err := readCluster(client)
	if err != nil {
		return err
	}
	network := lab.LoadNetwork()
	network.PodSubnet = cluster.Networking.PodSubnet
	if network.ServiceIP, err = FirstAddress(cluster.Networking.ServiceSubnet, 1); err != nil {
		return err
	}
	if err := network.Apply(); err != nil {
		return err
	}
	if err := lab.WriteFile(filepath.Join(pki, "ca.crt"), info.ca, 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(lab.ManifestsDir, 0o700); err != nil {
		return err
	}
	login := filepath.Join(lab.KubernetesDir, "bootstrap-kubelet.conf")
	if err := lab.WriteFile(login, bootstrapLogin(info, config.Token), 0o600); err != nil {
		return err
	}
	// The bootstrap login is of no use once the node has its own, and it holds the token.
	defer os.Remove(login)
	if err := startKubelet(kubeletDoc); err != nil {
		return err
	}
	fmt.Println("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap...")
	if err := waitForNode(node, 40*time.Second); err != nil {
		return fmt.Errorf("error execution phase kubelet-start: %w; see %s/kubelet.log", err, lab.LogDir)
	}
	if config.ControlPlane {
		if err := joinControlPlane(cluster, node, address); err != nil {
			return err
		}
	}
	fmt.Print("\nThis node has joined the cluster:\n* Certificate signing request was sent to apiserver and a response was received.\n" +
		"* The Kubelet was informed of the new secure connection details.\n\nRun 'kubectl get nodes' on the control-plane to see this node join the cluster.\n")
	return nil
}

// clusterInfo is what discovery gives: where the API server is and whom to trust.
type clusterInfo struct {
	server string
	ca     []byte
}

// discover finds the API server and pins it: its cluster-info must be signed by the token and its authority must have
// one of the hashes.
func discover(config *JoinConfig) (*clusterInfo, error) {
	host, _, err := net.SplitHostPort(config.Endpoint)
	if err != nil {
		return nil, err
	}
	var info *clusterInfo
	var last error
	for end := time.Now().Add(config.Timeout); ; {
		if last = reach(host, config); last == nil {
			info, last = readInfo(config)
			if last == nil {
				return info, nil
			}
			var wrong *pinError
			if errors.As(last, &wrong) {
				return nil, last
			}
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s within %s: %w", config.Endpoint, config.Timeout, last)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// reach makes sure that the endpoint leads somewhere. Nodes join through the virtual IP of sealos, which IPVS serves on
// real machines; where the kernel has none, the neighbours are searched for API servers of the pinned authority and the
// virtual IP is led to those. Only the lab's kubeadm does this.
func reach(host string, config *JoinConfig) error {
	addresses, err := net.LookupHost(host)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(addresses, func(address string) bool { return lab.Answers(address, lab.APIServerPort, time.Second) }) {
		return nil
	}
	own, err := lab.NodeAddress()
	if err != nil {
		return err
	}
	if own.Contains(net.ParseIP(addresses[0])) {
		return fmt.Errorf("%s does not answer", config.Endpoint)
	}
	masters := lab.Search(lab.Neighbours(own), func(address string) bool {
		return lab.Answers(address, lab.APIServerPort, 300*time.Millisecond) && pinned(address, config.CAHashes) == nil
	})
	if len(masters) == 0 {
		return fmt.Errorf("%w: neither %s nor a neighbour in %s with the pinned authority", errNoMaster, config.Endpoint, own)
	}
	fmt.Printf("[discovery] %s is not served here (no IPVS); it leads to %s from now on\n", host, strings.Join(masters, ", "))
	network := lab.LoadNetwork()
	network.Masters = masters
	if !slices.Contains(network.VIPs, addresses[0]) {
		network.VIPs = append(network.VIPs, addresses[0])
	}
	return network.Apply()
}

type pinError struct{ text string }

func (e *pinError) Error() string { return e.text }

// pinned checks that the server's certificate chains to an authority with one of the hashes. A server that does not
// send its authority is checked through its cluster-info.
func pinned(address string, hashes []string) error {
	_, _, err := fetchInfo("https://"+net.JoinHostPort(address, fmt.Sprint(lab.APIServerPort)), hashes)
	return err
}

// fetchInfo reads the ConfigMap cluster-info, first without knowing the server, then again with the authority that it
// named, if that is a pinned one.
func fetchInfo(server string, hashes []string) (data map[string]string, config *kube.Config, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	const path = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
	var object struct {
		Data map[string]string `json:"data"`
	}
	// Discovery trusts nothing of this first answer but the authority it names, which must fit a hash given by the user.
	if err := kube.New(server, "", &tls.Config{InsecureSkipVerify: true}).Get(ctx, path, &object); err != nil {
		return nil, nil, err
	}
	config, err = kube.ParseConfig([]byte(object.Data["kubeconfig"]))
	if err != nil {
		return nil, nil, fmt.Errorf("cluster-info: %w", err)
	}
	ca, err := config.CA()
	if err != nil {
		return nil, nil, err
	}
	certificates, err := kube.Certificates(ca)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(certificates, func(c *x509.Certificate) bool { return slices.Contains(hashes, kube.KeyHash(c)) }) {
		return nil, nil, &pinError{fmt.Sprintf("the authority of %s has none of the given hashes", server)}
	}
	secure, err := kube.Trusting(ca)
	if err != nil {
		return nil, nil, err
	}
	object.Data = nil
	if err := kube.New(server, "", secure).Get(ctx, path, &object); err != nil {
		return nil, nil, err
	}
	return object.Data, config, nil
}

func readInfo(config *JoinConfig) (*clusterInfo, error) {
	data, info, err := fetchInfo("https://"+config.Endpoint, config.CAHashes)
	if err != nil {
		return nil, err
	}
	id, _, _ := strings.Cut(config.Token, ".")
	signature, signed := data["jws-kubeconfig-"+id]
	if !signed {
		return nil, fmt.Errorf("the token id %q is invalid for this cluster or it has expired", id)
	}
	if err := VerifySignature(data["kubeconfig"], signature, config.Token); err != nil {
		return nil, err
	}
	ca, err := info.CA()
	if err != nil {
		return nil, err
	}
	// The server that cluster-info names goes by a name that each machine's /etc/hosts leads to where it shall go.
	return &clusterInfo{server: info.Clusters[0].Cluster.Server, ca: ca}, nil
}

func bootstrapLogin(info *clusterInfo, token string) []byte {
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "tls-bootstrap-token-user@kubernetes",
		"clusters": []any{map[string]any{"name": "kubernetes", "cluster": map[string]any{"server": info.server, "certificate-authority-data": base64.StdEncoding.EncodeToString(info.ca)}}},
		"contexts": []any{map[string]any{"name": "tls-bootstrap-token-user@kubernetes", "context": map[string]any{"cluster": "kubernetes", "user": "tls-bootstrap-token-user"}}},
		"users":    []any{map[string]any{"name": "tls-bootstrap-token-user", "user": map[string]any{"token": token}}},
	})
	if err != nil {
		panic(err) // plain maps always marshal
	}
	return data
}

func bootstrapClient(info *clusterInfo, token string) (*kube.Client, error) {
	return kube.FromConfig(bootstrapLogin(info, token))
}

func readCluster(client *kube.Client) (*ClusterConfiguration, []byte, error) {
	fmt.Println("[preflight] Reading configuration from the cluster...")
	ctx := context.Background()
	var object struct {
		Data map[string]string `json:"data"`
	}
	if err := client.Get(ctx, "/api/v1/namespaces/kube-system/configmaps/kubeadm-config", &object); err != nil {
		return nil, nil, fmt.Errorf("unable to fetch the kubeadm-config ConfigMap: %w", err)
	}
	config, err := ParseInit([]byte(object.Data["ClusterConfiguration"]))
	if err != nil {
		return nil, nil, err
	}
	if err := client.Get(ctx, "/api/v1/namespaces/kube-system/configmaps/"+kubeletConfig(), &object); err != nil {
		return nil, nil, err
	}
	return &config.Cluster, []byte(object.Data["kubelet"]), nil
}

// waitForNode waits until the kubelet has its login and has registered the node.
func waitForNode(node string, limit time.Duration) error {
	return eventually(limit, func() error {
		client, err := kube.FromFile(filepath.Join(lab.KubernetesDir, "kubelet.conf"))
		if err != nil {
			return err
		}
		return client.Get(context.Background(), "/api/v1/nodes/"+node, nil)
	})
}

// joinControlPlane makes the node a master: a member of etcd and the control plane's programs.
func joinControlPlane(cluster *ClusterConfiguration, node, address string) error {
	client, err := kube.FromFile(filepath.Join(lab.KubernetesDir, "admin.conf"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	masters, err := apiMasters(ctx, client)
	if err != nil {
		return err
	}
	fmt.Println("[etcd] Announcing the new etcd member to the existing etcd cluster")
	initial, err := addMember(ctx, masters, node, address)
	if err != nil {
		return fmt.Errorf("error execution phase control-plane-join/etcd: %w", err)
	}
	p := plane{cluster: *cluster, node: node, address: address, etcdInitial: initial, etcdState: "existing"}
	if err := p.write("etcd"); err != nil {
		return err
	}
	if err := eventually(60*time.Second, func() error { return etcdHealthy(ctx, "127.0.0.1") }); err != nil {
		return fmt.Errorf("error execution phase control-plane-join/etcd: the new member is not healthy: %w", err)
	}
	if err := p.write("kube-apiserver", "kube-controller-manager", "kube-scheduler"); err != nil {
		return err
	}
	if err := eventually(2*time.Minute, func() error {
		if !lab.Answers(address, lab.APIServerPort, time.Second) {
			return fmt.Errorf("the API server of this machine does not answer on %d", lab.APIServerPort)
		}
		return client.Get(ctx, "/healthz", nil)
	}); err != nil {
		return err
	}
	if err := markMaster(ctx, client, node); err != nil {
		return err
	}
	if err := serveVIPs(ctx, client); err != nil {
		return err
	}
	return noteMaster(ctx, client, node, address)
}

// serveVIPs lets the virtual IP of kube-proxy's configuration work on a joined master as it does on the first.
func serveVIPs(ctx context.Context, client *kube.Client) error {
	var object struct {
		Data map[string]string `json:"data"`
	}
	if err := client.Get(ctx, "/api/v1/namespaces/kube-system/configmaps/kube-proxy", &object); err != nil {
		return err
	}
	vips, err := excluded([]byte(object.Data["config.conf"]))
	if err != nil {
		return err
	}
	network := lab.LoadNetwork()
	network.VIPs = append(network.VIPs, vips...)
	return network.Apply()
}

// noteMaster enters the master into the ClusterStatus of ConfigMap kubeadm-config; an empty address takes it out.
func noteMaster(ctx context.Context, client *kube.Client, node, address string) error {
	const path = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
	return eventually(20*time.Second, func() error {
		var object struct {
			Metadata kube.Meta         `json:"metadata"`
			Data     map[string]string `json:"data"`
		}
		if err := client.Get(ctx, path, &object); err != nil {
			return err
		}
		var status struct {
			Endpoints map[string]struct {
				Address string `yaml:"advertiseAddress"`
			} `yaml:"apiEndpoints"`
		}
		if err := yaml.Unmarshal([]byte(object.Data["ClusterStatus"]), &status); err != nil {
			return err
		}
		masters := map[string]string{}
		for name, endpoint := range status.Endpoints {
			masters[name] = endpoint.Address
		}
		if delete(masters, node); address != "" {
			masters[node] = address
		}
		text, err := clusterStatus(masters)
		if err != nil {
			return err
		}
		return client.Patch(ctx, path, kube.Object{"metadata": kube.Object{"resourceVersion": object.Metadata.ResourceVersion}, "data": kube.Object{"ClusterStatus": text}}, nil)
	})
}

func apiMasters(ctx context.Context, client *kube.Client) ([]string, error) {
	var endpoints struct {
		Subsets []struct {
			Addresses []struct {
				IP string `json:"ip"`
			} `json:"addresses"`
		} `json:"subsets"`
	}
	if err := client.Get(ctx, "/api/v1/namespaces/default/endpoints/kubernetes", &endpoints); err != nil {
		return nil, err
	}
	var masters []string
	for _, subset := range endpoints.Subsets {
		for _, address := range subset.Addresses {
			masters = append(masters, address.IP)
		}
	}
	if len(masters) == 0 {
		return nil, errNoMaster
	}
	return masters, nil
}
