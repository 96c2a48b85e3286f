package kubeadm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// As sealos v3.3.9 writes it, with what matters here.
const initText = `
apiVersion: kubeadm.k8s.io/v1beta1
kind: ClusterConfiguration
kubernetesVersion: v1.16.3
controlPlaneEndpoint: "apiserver.cluster.local:6443"
imageRepository: k8s.gcr.io
networking:
  # dnsDomain: cluster.local
  podSubnet: 100.64.0.0/10
  serviceSubnet: 10.96.0.0/12
apiServer:
  certSANs: [127.0.0.1, apiserver.cluster.local, 10.103.97.2]
  extraArgs:
    feature-gates: TTLAfterFinished=true
  extraVolumes:
  - {name: localtime, hostPath: /etc/localtime, mountPath: /etc/localtime, readOnly: true, pathType: File}
controllerManager:
  extraArgs:
    feature-gates: TTLAfterFinished=true
    leader-elect: "false"
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: "ipvs"
ipvs:
  excludeCIDRs:
  - "10.103.97.2/32"
  - "10.0.0.0/8"
`

const joinText = `
apiVersion: kubeadm.k8s.io/v1beta1
caCertPath: /etc/kubernetes/pki/ca.crt
discovery:
  bootstrapToken:
    apiServerEndpoint: 10.103.97.2:6443
    token: abcdef.0123456789abcdef
    caCertHashes:
    - sha256:HASH
  timeout: 5m0s
kind: JoinConfiguration
nodeRegistration:
  criSocket: /var/run/dockershim.sock
`

var hash = strings.Repeat("0a", 32)

func TestParseInit(t *testing.T) {
	config, err := ParseInit([]byte(initText))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.VIPs, []string{"10.103.97.2"}) {
		t.Errorf("virtual IPs %v", config.VIPs)
	}
	if config.Cluster.Networking.PodSubnet != "100.64.0.0/10" || config.Cluster.Networking.DNSDomain != "cluster.local" {
		t.Errorf("%+v", config.Cluster.Networking)
	}
	if config.Cluster.APIServer.ExtraArgs["feature-gates"] != "TTLAfterFinished=true" || len(config.Cluster.APIServer.ExtraVolumes) != 1 {
		t.Errorf("%+v", config.Cluster.APIServer)
	}
	for wrong, want := range map[string]string{
		strings.Replace(initText, "v1.16.3", "v1.17.0", 1):            "v1.17.0",
		strings.Replace(initText, "10.96.0.0/12", "10.96.0.0", 1):     "networking",
		strings.Replace(initText, "io/v1beta1", "io/v1beta3", 1):      "v1beta3",
		"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: Nothing": "ClusterConfiguration",
		"a: [": "yaml",
	} {
		if _, err := ParseInit([]byte(wrong)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestParseJoin(t *testing.T) {
	text := strings.Replace(joinText, "HASH", hash, 1)
	config, err := ParseJoin([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if config.Endpoint != "10.103.97.2:6443" || config.ControlPlane || config.Timeout != 5*time.Minute || config.CAHashes[0] != "sha256:"+hash {
		t.Errorf("%+v", config)
	}
	master, err := ParseJoin([]byte(text + "controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: 198.51.100.12\n    bindPort: 6443\n"))
	if err != nil || !master.ControlPlane || master.Advertise != "198.51.100.12" {
		t.Errorf("%+v %v", master, err)
	}
	for old, wrong := range map[string]string{"abcdef.0123456789abcdef": "abcdef", "sha256:" + hash: "sha256:00", "10.103.97.2:6443": "10.103.97.2", "kind: JoinConfiguration": "kind: Other"} {
		if _, err := ParseJoin([]byte(strings.Replace(text, old, wrong, 1))); err == nil {
			t.Errorf("%q instead of %q passes", wrong, old)
		}
	}
}

func names(found []finding) (list []string) {
	for _, one := range found {
		list = append(list, one.Name)
	}
	return list
}

func TestPreflight(t *testing.T) {
	root := t.TempDir()
	busy := map[int]bool{}
	machine := Machine{Kubernetes: filepath.Join(root, "kubernetes"), Etcd: filepath.Join(root, "etcd"), PortFree: func(port int) bool { return !busy[port] }}
	put := func(path string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("kubernetes/admin.conf")
	put("kubernetes/pki/etcd/ca.crt")
	if found := names(machine.InitChecks()); len(found) != 0 {
		t.Errorf("sealos' certificates and logins are no obstacle, but: %v", found)
	}
	if found := names(machine.JoinChecks(false)); len(found) != 0 {
		t.Errorf("join: %v", found)
	}
	busy[6443], busy[10250] = true, true
	put("kubernetes/manifests/kube-apiserver.yaml")
	put("etcd/member/wal")
	put("kubernetes/kubelet.conf")
	put("kubernetes/pki/ca.crt")
	want := []string{"Port-6443", "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml", "Port-10250", "DirAvailable--var-lib-etcd"}
	if found := names(machine.InitChecks()); !slices.Equal(found, want) {
		t.Errorf("init: %v, want %v", found, want)
	}
	want = []string{"DirAvailable--etc-kubernetes-manifests", "FileAvailable--etc-kubernetes-kubelet.conf", "Port-10250", "FileAvailable--etc-kubernetes-pki-ca.crt"}
	if found := names(machine.JoinChecks(false)); !slices.Equal(found, want) {
		t.Errorf("join: %v, want %v", found, want)
	}
	want = []string{"DirAvailable--etc-kubernetes-manifests", "FileAvailable--etc-kubernetes-kubelet.conf", "Port-6443", "Port-10250", "DirAvailable--var-lib-etcd"}
	if found := names(machine.JoinChecks(true)); !slices.Equal(found, want) {
		t.Errorf("join of a master: %v, want %v", found, want)
	}
}

func TestRefuse(t *testing.T) {
	found := []finding{{"Port-6443", "Port 6443 is in use"}, {"DirAvailable--var-lib-etcd", "/var/lib/etcd is not empty"}}
	err := refuse(found, []string{"port-6443"})
	if err == nil || strings.Contains(err.Error(), "Port-6443") || !strings.Contains(err.Error(), "[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty") {
		t.Error(err)
	}
	if err := refuse(found, []string{"all"}); err != nil {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		token, err := NewToken()
		if err != nil || !tokenForm.MatchString(token) || seen[token] {
			t.Fatal(token, err)
		}
		seen[token] = true
	}
	secret := tokenSecret("abcdef.0123456789abcdef", time.Hour, time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC))
	data := secret["stringData"].(kube.Object)
	if secret["metadata"].(kube.Object)["name"] != "bootstrap-token-abcdef" || data["token-secret"] != "0123456789abcdef" || data["expiration"] != "2020-05-01T01:00:00Z" {
		t.Errorf("%v", secret)
	}
}

func TestVerifySignature(t *testing.T) {
	const config, token = "clusters: []\n", "abcdef.0123456789abcdef"
	sign := func(head, secret string) string {
		header := base64.RawURLEncoding.EncodeToString([]byte(head))
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(header + "." + base64.RawURLEncoding.EncodeToString([]byte(config))))
		return header + ".." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	good := sign(`{"alg":"HS256","kid":"abcdef"}`, "0123456789abcdef")
	if err := VerifySignature(config, good, token); err != nil {
		t.Error(err)
	}
	for name, signature := range map[string]string{
		"another secret": sign(`{"alg":"HS256","kid":"abcdef"}`, "fedcba9876543210"), "another token": sign(`{"alg":"HS256","kid":"zzzzzz"}`, "0123456789abcdef"),
		"no signature": sign(`{"alg":"none","kid":"abcdef"}`, "0123456789abcdef"), "another form": "a.b.c",
	} {
		if VerifySignature(config, signature, token) == nil {
			t.Errorf("%s passes", name)
		}
	}
	if VerifySignature(config+"x", good, token) == nil {
		t.Error("another text passes")
	}
}

// reference/sealos.md §2.1 step 7: what sealos looks for in the output of init.
func TestSuccessHasWhatSealosParses(t *testing.T) {
	text := Success("apiserver.cluster.local:6443", "abcdef.0123456789abcdef", "sha256:"+hash, strings.Repeat("f", 64))
	for _, form := range []string{
		`kubeadm join apiserver\.cluster\.local:6443 --token [a-z0-9]{6}\.[a-z0-9]{16}`, `--discovery-token-ca-cert-hash sha256:[0-9a-f]{64}`, `--control-plane --certificate-key [0-9a-f]{64}`, `Please note`,
	} {
		if !regexp.MustCompile(form).MatchString(text) {
			t.Errorf("%s is missing in\n%s", form, text)
		}
	}
}

func TestManifests(t *testing.T) {
	config, err := ParseInit([]byte(initText))
	if err != nil {
		t.Fatal(err)
	}
	p := plane{cluster: config.Cluster, node: "sealos01", address: "198.51.100.11", etcdInitial: "sealos01=https://198.51.100.11:2380", etcdState: "new"}
	for name, c := range map[string]struct {
		make func() ([]byte, error)
		want []string
	}{
		"etcd":                    {p.etcd, []string{"--client-cert-auth=true", "--initial-cluster=sealos01=https://198.51.100.11:2380"}},
		"kube-apiserver":          {p.apiServer, []string{"--advertise-address=198.51.100.11", "--feature-gates=TTLAfterFinished=true", "--insecure-port=0", "--service-cluster-ip-range=10.96.0.0/12"}},
		"kube-controller-manager": {p.controllerManager, []string{"--leader-elect=false", "--cluster-cidr=100.64.0.0/10"}},
		"kube-scheduler":          {p.scheduler, []string{"--leader-elect=true"}},
	} {
		data, err := c.make()
		if err != nil {
			t.Fatal(err)
		}
		var pod kube.Pod
		if err := kube.FromYAML(data, &pod); err != nil {
			t.Fatal(err)
		}
		if pod.Meta.Name != name || pod.Meta.Labels["tier"] != "control-plane" || pod.Spec.Containers[0].Command[0] != name {
			t.Errorf("%s: %+v", name, pod.Meta)
		}
		for _, argument := range c.want {
			if !slices.Contains(pod.Spec.Containers[0].Command, argument) {
				t.Errorf("%s has no %s: %v", name, argument, pod.Spec.Containers[0].Command)
			}
		}
		for _, mount := range pod.Spec.Containers[0].Mounts {
			if !slices.ContainsFunc(pod.Spec.Volumes, func(v kube.Volume) bool { return v.Name == mount.Name && v.HostPath != nil }) {
				t.Errorf("%s mounts %s, which is no volume", name, mount.Name)
			}
		}
	}
}

// standFor lets a test be of another Kubernetes than the one that a plain build stands for.
func standFor(t *testing.T, version string) {
	before := lab.KubernetesVersion
	t.Cleanup(func() { lab.KubernetesVersion = before })
	lab.KubernetesVersion = version
}

// Every object of the template parses, has its collection, and nothing is left unfilled (the first document begins with a comment on that).
func TestObjects(t *testing.T) {
	for version, wanted := range map[string][]string{
		"v1.16.3":  {"kubelet-config-1.16", "k8s.gcr.io/coredns:1.6.2", "k8s.gcr.io/kube-proxy:v1.16.3"},
		"v1.20.15": {"kubelet-config-1.20", "k8s.gcr.io/coredns:1.7.0", "k8s.gcr.io/kube-proxy:v1.20.15"},
	} {
		standFor(t, version)
		config, err := ParseInit([]byte(strings.Replace(initText, "v1.16.3", version, 1)))
		if err != nil {
			t.Fatal(err)
		}
		text := filledObjects(config.Cluster, "10.96.0.10")
		for _, document := range strings.Split(text, "\n---\n") {
			var object kube.Object
			if err := kube.FromYAML([]byte(document), &object); err != nil {
				t.Fatalf("%v in\n%s", err, document)
			}
			if !regexp.MustCompile(`(?m)^# path: /api`).MatchString(document) || object["kind"] == nil {
				t.Errorf("no collection or kind:\n%s", document)
			}
		}
		if left := regexp.MustCompile(`(?m)^[^#].*<[A-Z]+>`).FindString(text); left != "" {
			t.Errorf("%s: filled by nobody: %s", version, left)
		}
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is nowhere", version, want)
			}
		}
	}
}

// From 1.20 on the API server does not start unless it is told how to issue tokens, 1.16's is not; scheduler and controller manager answer
// on other ports.
func TestAnotherVersion(t *testing.T) {
	issuer := "--service-account-issuer=https://kubernetes.default.svc.cluster.local"
	for version, want := range map[string]struct {
		issues bool
		etcd   string
		ports  []string
	}{
		"v1.16.3":  {false, "etcd:3.3.15-0", []string{"Port-10251", "Port-10252"}},
		"v1.19.16": {false, "etcd:3.4.13-0", []string{"Port-10259", "Port-10257"}},
		"v1.20.15": {true, "etcd:3.4.13-0", []string{"Port-10259", "Port-10257"}},
	} {
		standFor(t, version)
		config, err := ParseInit([]byte(strings.Replace(initText, "v1.16.3", version, 1)))
		if err != nil {
			t.Fatal(err)
		}
		p := plane{cluster: config.Cluster, node: "sealos01", address: "198.51.100.11"}
		if manifest, err := p.apiServer(); err != nil || strings.Contains(string(manifest), issuer) != want.issues {
			t.Errorf("%s: %v %s", version, err, manifest)
		}
		if manifest, err := p.etcd(); err != nil || !strings.Contains(string(manifest), want.etcd) {
			t.Errorf("%s: %v %s", version, err, manifest)
		}
		machine := Machine{Kubernetes: t.TempDir(), Etcd: t.TempDir(), PortFree: func(port int) bool { return port < 10251 || port > 10259 }}
		var found []string
		for _, one := range machine.InitChecks() {
			found = append(found, one.Name)
		}
		if !slices.Equal(found, want.ports) {
			t.Errorf("%s: %v", version, found)
		}
	}
	standFor(t, "v1.20.15")
	if _, err := ParseInit([]byte(initText)); err == nil || !strings.Contains(err.Error(), "this package holds v1.20.15") {
		t.Errorf("another version's configuration: %v", err)
	}
}

func TestFirstAddress(t *testing.T) {
	for offset, want := range map[byte]string{1: "10.96.0.1", 10: "10.96.0.10"} {
		if got, err := FirstAddress("10.96.0.0/12", offset); err != nil || got != want {
			t.Errorf("%s %v", got, err)
		}
	}
}
