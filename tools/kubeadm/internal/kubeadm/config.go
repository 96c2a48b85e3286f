// Package kubeadm is the lab's kubeadm: init, join, reset and the small commands that sealos v3 drives, with the answers
// that sealos parses.
package kubeadm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/lab"
)

// UserError is a message for the user that needs no more explanation.
type UserError struct{ Text string }

func (e *UserError) Error() string { return e.Text }

// ClusterConfiguration is the part of the document that the lab acts on.
type ClusterConfiguration struct {
	APIVersion           string `yaml:"apiVersion"`
	Kind                 string `yaml:"kind"`
	KubernetesVersion    string `yaml:"kubernetesVersion"`
	ControlPlaneEndpoint string `yaml:"controlPlaneEndpoint"`
	ImageRepository      string `yaml:"imageRepository"`
	Networking           struct {
		DNSDomain     string `yaml:"dnsDomain"`
		PodSubnet     string `yaml:"podSubnet"`
		ServiceSubnet string `yaml:"serviceSubnet"`
	} `yaml:"networking"`
	APIServer struct {
		Component `yaml:",inline"`
		CertSANs  []string `yaml:"certSANs"`
	} `yaml:"apiServer"`
	ControllerManager Component `yaml:"controllerManager"`
	Scheduler         Component `yaml:"scheduler"`
}

// Component holds what a user adds to one control plane program.
type Component struct {
	ExtraArgs    map[string]string `yaml:"extraArgs"`
	ExtraVolumes []ExtraVolume     `yaml:"extraVolumes"`
}

// ExtraVolume is a folder or file of the host in a control plane pod.
type ExtraVolume struct {
	Name      string `yaml:"name"`
	HostPath  string `yaml:"hostPath"`
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly"`
	PathType  string `yaml:"pathType"`
}

// InitConfig is what `kubeadm init --config` reads.
type InitConfig struct {
	Cluster    ClusterConfiguration
	ClusterDoc []byte // the document as it stands, for ConfigMap kubeadm-config
	KubeletDoc []byte
	ProxyDoc   []byte
	Advertise  string
	VIPs       []string // single addresses that kube-proxy's IPVS must leave alone: sealos' virtual IP
}

// JoinConfig is what `kubeadm join --config` reads.
type JoinConfig struct {
	Endpoint     string // host:port
	Token        string
	CAHashes     []string
	Timeout      time.Duration
	ControlPlane bool
	Advertise    string
}

// ParseInit reads the documents of a kubeadm configuration for init.
func ParseInit(data []byte) (*InitConfig, error) {
	config := &InitConfig{}
	err := documents(data, func(kind string, document []byte) error {
		switch kind {
		case "ClusterConfiguration":
			config.ClusterDoc = document
			return yaml.Unmarshal(document, &config.Cluster)
		case "InitConfiguration":
			var init struct {
				Local localEndpoint `yaml:"localAPIEndpoint"`
			}
			err := yaml.Unmarshal(document, &init)
			config.Advertise = init.Local.Address
			return err
		case "KubeProxyConfiguration":
			config.ProxyDoc = document
			var err error
			config.VIPs, err = excluded(document)
			return err
		case "KubeletConfiguration":
			config.KubeletDoc = document
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	cluster := &config.Cluster
	if cluster.Kind == "" {
		return nil, errors.New("there is no ClusterConfiguration document")
	}
	if cluster.KubernetesVersion == "" {
		cluster.KubernetesVersion = lab.KubernetesVersion
	}
	if cluster.KubernetesVersion != lab.KubernetesVersion {
		return nil, fmt.Errorf("kubernetesVersion %s: this package holds %s", cluster.KubernetesVersion, lab.KubernetesVersion)
	}
	setDefault(&cluster.ImageRepository, "k8s.gcr.io")
	setDefault(&cluster.Networking.DNSDomain, "cluster.local")
	setDefault(&cluster.Networking.ServiceSubnet, "10.96.0.0/12")
	for _, subnet := range []string{cluster.Networking.ServiceSubnet, cluster.Networking.PodSubnet} {
		if _, _, err := net.ParseCIDR(subnet); subnet != "" && err != nil {
			return nil, fmt.Errorf("networking: %w", err)
		}
	}
	return config, nil
}

// excluded reads the single addresses that a KubeProxyConfiguration tells IPVS to leave alone.
func excluded(document []byte) (addresses []string, err error) {
	var proxy struct {
		IPVS struct {
			Exclude []string `yaml:"excludeCIDRs"`
		} `yaml:"ipvs"`
	}
	if err := yaml.Unmarshal(document, &proxy); err != nil {
		return nil, err
	}
	for _, cidr := range proxy.IPVS.Exclude {
		if address, single := strings.CutSuffix(cidr, "/32"); single {
			addresses = append(addresses, address)
		}
	}
	return addresses, nil
}

type localEndpoint struct {
	Address string `yaml:"advertiseAddress"`
	Port    int    `yaml:"bindPort"`
}

// ParseJoin reads the documents of a kubeadm configuration for join.
func ParseJoin(data []byte) (*JoinConfig, error) {
	config := &JoinConfig{Timeout: 5 * time.Minute}
	found := false
	err := documents(data, func(kind string, document []byte) error {
		if kind != "JoinConfiguration" {
			return nil
		}
		found = true
		var join struct {
			Discovery struct {
				Timeout   string `yaml:"timeout"`
				TLSToken  string `yaml:"tlsBootstrapToken"`
				Bootstrap struct {
					Endpoint string   `yaml:"apiServerEndpoint"`
					Token    string   `yaml:"token"`
					Hashes   []string `yaml:"caCertHashes"`
				} `yaml:"bootstrapToken"`
			} `yaml:"discovery"`
			ControlPlane *struct {
				Local localEndpoint `yaml:"localAPIEndpoint"`
			} `yaml:"controlPlane"`
		}
		if err := yaml.Unmarshal(document, &join); err != nil {
			return err
		}
		config.Endpoint, config.Token, config.CAHashes = join.Discovery.Bootstrap.Endpoint, join.Discovery.Bootstrap.Token, join.Discovery.Bootstrap.Hashes
		if join.Discovery.Timeout != "" {
			timeout, err := time.ParseDuration(join.Discovery.Timeout)
			if err != nil {
				return err
			}
			config.Timeout = timeout
		}
		if join.ControlPlane != nil {
			config.ControlPlane, config.Advertise = true, join.ControlPlane.Local.Address
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errors.New("there is no JoinConfiguration document")
	}
	return config, config.check()
}

func (c *JoinConfig) check() error {
	if _, _, err := net.SplitHostPort(c.Endpoint); err != nil {
		return fmt.Errorf("discovery.bootstrapToken.apiServerEndpoint: %w", err)
	}
	if !tokenForm.MatchString(c.Token) {
		return errors.New("discovery.bootstrapToken.token: must be six and sixteen lower-case letters or digits with a dot between")
	}
	if len(c.CAHashes) == 0 {
		return errors.New("discovery.bootstrapToken.caCertHashes: at least one is needed")
	}
	for _, hash := range c.CAHashes {
		if !strings.HasPrefix(hash, "sha256:") || len(hash) != len("sha256:")+64 {
			return fmt.Errorf("discovery.bootstrapToken.caCertHashes: %q is not sha256:<64 hex digits>", hash)
		}
	}
	return nil
}

// ReadFile reads a configuration file by parse and names the file in errors.
func ReadFile[C any](path string, parse func([]byte) (*C, error)) (*C, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

func documents(data []byte, visit func(kind string, document []byte) error) error {
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		if err := node.Decode(&head); err != nil {
			return err
		}
		if strings.HasPrefix(head.APIVersion, "kubeadm.k8s.io/") && head.APIVersion != "kubeadm.k8s.io/v1beta1" && head.APIVersion != "kubeadm.k8s.io/v1beta2" {
			return fmt.Errorf("apiVersion %s: kubeadm %s knows v1beta1 and v1beta2", head.APIVersion, lab.KubernetesVersion)
		}
		document, err := yaml.Marshal(&node)
		if err != nil {
			return err
		}
		if err := visit(head.Kind, document); err != nil {
			return fmt.Errorf("%s: %w", head.Kind, err)
		}
	}
}

func setDefault(value *string, fallback string) {
	if *value == "" {
		*value = fallback
	}
}

// FirstAddress is the first usable address of a subnet, which the service "kubernetes" gets; offset counts from the base.
func FirstAddress(subnet string, offset byte) (string, error) {
	_, network, err := net.ParseCIDR(subnet)
	if err != nil {
		return "", err
	}
	base := network.IP.To4()
	if base == nil {
		return "", fmt.Errorf("%s is not an IPv4 subnet", subnet)
	}
	return net.IPv4(base[0], base[1], base[2], base[3]+offset).String(), nil
}
