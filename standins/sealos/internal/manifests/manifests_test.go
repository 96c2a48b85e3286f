package manifests

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var list []map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		list = append(list, document)
	}
}

func TestCalicoHasTheRealNames(t *testing.T) {
	text, err := Calico("v3.8.2", "eth.*|en.*|em.*", "100.64.0.0/10", "1440", false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var network string
	for _, d := range documents(t, text) {
		names = append(names, d["kind"].(string)+"/"+d["metadata"].(map[string]any)["name"].(string))
		if d["kind"] == "ConfigMap" {
			network = d["data"].(map[string]any)["cni_network_config"].(string)
		}
	}
	for _, name := range []string{"ConfigMap/calico-config", "DaemonSet/calico-node", "ServiceAccount/calico-node", "Deployment/calico-kube-controllers", "ServiceAccount/calico-kube-controllers"} {
		if !slices.Contains(names, name) {
			t.Errorf("no %s in %v", name, names)
		}
	}
	var chain struct {
		Name    string
		Plugins []struct{ Type string }
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(network, "__CNI_MTU__", "1440")), &chain); err != nil {
		t.Fatalf("%v in\n%s", err, network)
	}
	if chain.Name != "k8s-pod-network" || len(chain.Plugins) != 2 || chain.Plugins[0].Type != "calico" || chain.Plugins[1].Type != "portmap" {
		t.Errorf("the chain is %+v", chain)
	}
	if !strings.Contains(text, "value: interface=eth.*|en.*|em.*") || !strings.Contains(text, `value: "Always"`) {
		t.Error("interface or IP-in-IP mode is not as asked")
	}
	if text, _ = Calico("v3.8.2", "10.0.0.1", "100.64.0.0/10", "1440", true); !strings.Contains(text, "value: can-reach=10.0.0.1") || !strings.Contains(text, `value: "Off"`) {
		t.Error("address or BGP mode is not as asked")
	}
}

func TestParseJoin(t *testing.T) {
	want := Join{"abcdef.0123456789abcdef", "sha256:11", "22"}
	for name, ending := range map[string]string{"terminal": "\r\n", "none": "\n"} {
		output := strings.ReplaceAll("words\n  kubeadm join a:6443 --token abcdef.0123456789abcdef \\\n    --discovery-token-ca-cert-hash sha256:11 \\\n"+
			"    --control-plane --certificate-key 22\n\nPlease note that\n\nkubeadm join a:6443 --token other\n", "\n", ending)
		if got, err := ParseJoin(output); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ParseJoin("error"); err == nil {
		t.Error("no join command and no error")
	}
}

// The parser of the certificate key expects a terminal's line ends.
func TestParseCertificateKeyNeedsATerminal(t *testing.T) {
	const output = "[upload-certs] Using certificate key:\nabc\n"
	if key, err := ParseCertificateKey(strings.ReplaceAll(output, "\n", "\r\n")); err != nil || key != "abc" {
		t.Errorf("%q, %v", key, err)
	}
	if _, err := ParseCertificateKey(output); err == nil {
		t.Error("LF line ends were taken")
	}
}

func TestCustomKubeadmTemplate(t *testing.T) {
	k := KubeadmInit{Version: "v1.16.3", VIP: "10.0.0.9", Masters: []string{"10.0.0.1"}}
	text, err := k.Text("kind: ClusterConfiguration\nnetworking: {dnsDomain: my.domain}\napiServer: {certSANs: [{{.VIP}}{{range .Masters}}, {{.}}{{end}}]}")
	if err != nil {
		t.Fatal(err)
	}
	domain, names, err := ClusterNames(text)
	if err != nil || domain != "my.domain" || !slices.Equal(names, []string{"10.0.0.9", "10.0.0.1"}) {
		t.Errorf("%s %v %v", domain, names, err)
	}
	if _, err := k.Text("{{.Nonsense}}"); err == nil {
		t.Error("an unknown name was taken")
	}
	if _, _, err := ClusterNames("kind: Other"); err == nil {
		t.Error("a configuration without ClusterConfiguration was taken")
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]string{"v1.16.3": "v1beta1", "v1.19.9": "v1beta1", "v1.20.0": "v1beta2"} {
		if got := (KubeadmInit{Version: version}).APIVersion(); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
	if _, err := Minor("1.16"); err == nil {
		t.Error("1.16 was taken")
	}
}
