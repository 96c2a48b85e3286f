// Package manifests builds the documents that sealos v3 writes to the hosts, and reads what kubeadm prints.
package manifests

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"
)

//go:embed templates/*.tmpl
var files embed.FS

func render(name string, data any) (string, error) {
	text, err := files.ReadFile("templates/" + name)
	if err != nil {
		return "", err
	}
	return renderText(string(text), data)
}

func renderText(text string, data any) (string, error) {
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var buffer bytes.Buffer
	if err := parsed.Execute(&buffer, data); err != nil {
		return "", err
	}
	return strings.TrimRight(buffer.String(), "\n"), nil
}

var versionForm = regexp.MustCompile(`^v1\.(\d+)\.\d+`)

// Minor is the middle number of a Kubernetes version such as v1.16.3.
func Minor(version string) (int, error) {
	found := versionForm.FindStringSubmatch(version)
	if found == nil {
		return 0, fmt.Errorf("version %q does not look like v1.16.3", version)
	}
	return strconv.Atoi(found[1])
}

// KubeadmInit is the data of kubeadm-config.yaml; the names are those that a --kubeadm-config template may use.
type KubeadmInit struct {
	Version, ApiServer, Repo, PodCIDR, SvcCIDR, VIP, Master0, CgroupDriver string
	Masters, CertSANS                                                      []string
}

// CriSocket is where the container runtime listens.
func (k KubeadmInit) CriSocket() string {
	_, socket := forVersion(k.Version)
	return socket
}

// APIVersion is kubeadm's configuration version.
func (k KubeadmInit) APIVersion() string {
	version, _ := forVersion(k.Version)
	return version
}

// forVersion is the version of kubeadm's configuration and the container runtime's socket for a Kubernetes: both changed with 1.20.
func forVersion(version string) (apiVersion, criSocket string) {
	if minor, err := Minor(version); err == nil && minor >= 20 {
		return "v1beta2", "/run/containerd/containerd.sock"
	}
	return "v1beta1", "/var/run/dockershim.sock"
}

// withKubelet adds the document that ends both configurations; kubeadm reads it in `init` alone.
func withKubelet(text, cgroupDriver string) (string, error) {
	kubelet, err := render("kubelet.yaml.tmpl", struct{ CgroupDriver string }{cgroupDriver})
	return text + "\n---\n" + kubelet, err
}

// Text renders the built-in template, or custom when that is not empty.
func (k KubeadmInit) Text(custom string) (string, error) {
	if custom != "" {
		return renderText(custom, k)
	}
	text, err := render("kubeadm-init.yaml.tmpl", k)
	if err != nil {
		return "", err
	}
	return withKubelet(text, k.CgroupDriver)
}

// Template is the built-in template for `sealos config -t NAME` (kubeadm or join).
func Template(name string) (string, error) {
	switch name {
	case "", "kubeadm":
		name = "init"
	case "join":
	default:
		return "", fmt.Errorf("no template %q: kubeadm or join", name)
	}
	text, err := files.ReadFile("templates/kubeadm-" + name + ".yaml.tmpl")
	return string(text), err
}

// ClusterNames reads the DNS domain (cluster.local when not given) and the API server's names from a kubeadm-config.yaml.
func ClusterNames(kubeadmConfig string) (dnsDomain string, certSANs []string, err error) {
	decoder := yaml.NewDecoder(strings.NewReader(kubeadmConfig))
	for {
		var document struct {
			Kind       string `yaml:"kind"`
			Networking struct {
				DNSDomain string `yaml:"dnsDomain"`
			} `yaml:"networking"`
			APIServer struct {
				CertSANs []string `yaml:"certSANs"`
			} `yaml:"apiServer"`
		}
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return "", nil, errors.New("no ClusterConfiguration in the kubeadm configuration")
		} else if err != nil {
			return "", nil, err
		}
		if document.Kind != "ClusterConfiguration" {
			continue
		}
		if document.Networking.DNSDomain == "" {
			document.Networking.DNSDomain = "cluster.local"
		}
		return document.Networking.DNSDomain, document.APIServer.CertSANs, nil
	}
}

// Join is what kubeadm hands out for joining.
type Join struct {
	Token, CACertHash, CertificateKey string
}

// ParseJoin reads the join command out of kubeadm's words (LF or CRLF line ends); a missing command is an error.
func ParseJoin(output string) (Join, error) {
	var join Join
	_, command, found := strings.Cut(output, "kubeadm join")
	if !found {
		return join, errors.New(`kubeadm's output has no "kubeadm join"`)
	}
	command, _, _ = strings.Cut(command, "Please note")
	words := strings.Fields(strings.ReplaceAll(command, "\\", " "))
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case "--token":
			join.Token = words[i+1]
		case "--discovery-token-ca-cert-hash":
			join.CACertHash = words[i+1]
		case "--certificate-key":
			join.CertificateKey = words[i+1]
		}
	}
	return join, nil
}

// ParseCertificateKey reads the key out of `kubeadm init phase upload-certs`. As in sealos v3 the lines must end with
// CRLF, as they do on a terminal.
func ParseCertificateKey(output string) (string, error) {
	_, rest, found := strings.Cut(output, "Using certificate key:\r\n")
	if !found {
		return "", errors.New("kubeadm's output has no certificate key (lines ending with CRLF are expected: was there a terminal?)")
	}
	key, _, _ := strings.Cut(rest, "\r\n")
	return strings.TrimSpace(key), nil
}

// JoinConfig renders kubeadm-join-config.yaml: for a master when master (its IP) is given, else for a node.
func JoinConfig(version, endpoint, master, cgroupDriver string, join Join) (string, error) {
	apiVersion, socket := forVersion(version)
	text, err := render("kubeadm-join.yaml.tmpl", struct {
		Join
		APIVersion, Endpoint, Master, CriSocket string
	}{join, apiVersion, endpoint, master, socket})
	if err != nil {
		return "", err
	}
	return withKubelet(text, cgroupDriver)
}

// Lvscare renders the static pod that keeps the way to the masters on a node.
func Lvscare(vip, image string, masters []string) (string, error) {
	return render("lvscare.yaml.tmpl", struct {
		VIP, Image string
		Masters    []string
	}{vip, image, masters})
}

// Calico renders Calico's objects. networkInterface is a name pattern, or an IPv4 address that must be reachable.
func Calico(version, networkInterface, podCIDR, mtu string, bgp bool) (string, error) {
	method, ipip := "interface="+networkInterface, "Always"
	if ip, err := netip.ParseAddr(networkInterface); err == nil && ip.Is4() {
		method = "can-reach=" + networkInterface
	}
	if bgp {
		ipip = "Off"
	}
	return render("calico.yaml.tmpl", struct{ CalicoVersion, Autodetection, PodCIDR, MTU, IPIP string }{version, method, podCIDR, mtu, ipip})
}
