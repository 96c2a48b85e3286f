package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealos-istio/standins/machine/internal/cni"
)

const (
	plugins      = "/opt/cni/bin" // in calico/cni's image, and on the machine
	hostPlugins  = "/host/opt/cni/bin"
	hostNetworks = "/host/etc/cni/net.d"
	podCIDR      = "/var/lib/calico/podcidr" // in place of the real one's /var/lib/calico/nodename
	tokens       = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// installCalico copies the image's plugins to the machine and writes the chain.
func installCalico() error {
	entries, err := os.ReadDir(plugins)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(plugins, entry.Name()))
		if err != nil {
			return err
		}
		if err := cni.Write(filepath.Join(hostPlugins, entry.Name()), data, 0o755); err != nil {
			return err
		}
	}
	chain := strings.NewReplacer(
		"__KUBERNETES_NODE_NAME__", os.Getenv("KUBERNETES_NODE_NAME"),
		"__CNI_MTU__", os.Getenv("CNI_MTU"),
		"__KUBECONFIG_FILEPATH__", "/etc/cni/net.d/calico-kubeconfig",
	).Replace(os.Getenv("CNI_NETWORK_CONFIG"))
	return cni.Write(filepath.Join(hostNetworks, os.Getenv("CNI_CONF_NAME")), []byte(chain), 0o644)
}

// plugin answers as a CNI plugin by asking ptp, which makes a pair of interfaces and a route as Calico does.
func plugin() error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var config struct {
		CNIVersion string          `json:"cniVersion"`
		Name       string          `json:"name"`
		MTU        int             `json:"mtu"`
		PrevResult json.RawMessage `json:"prevResult,omitempty"`
	}
	if err := json.Unmarshal(input, &config); err != nil {
		return err
	}
	cidr, err := os.ReadFile(podCIDR)
	if err != nil && os.Getenv("CNI_COMMAND") == "ADD" {
		return fmt.Errorf("%w: check that the calico/node container is running and has mounted /var/lib/calico/", err)
	}
	asked := map[string]any{
		"cniVersion": config.CNIVersion, "name": config.Name, "type": "ptp", "mtu": config.MTU,
		"ipam": map[string]any{
			"type": "host-local", "subnet": strings.TrimSpace(string(cidr)), "routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}
	if config.PrevResult != nil {
		asked["prevResult"] = config.PrevResult
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	command := exec.Command(filepath.Join(plugins, "ptp"))
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(text), os.Stdout, os.Stderr
	err = command.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode()) // ptp has said why, on standard output, as the runtime wants it
	}
	return err
}

type nodeList struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			PodCIDR string `json:"podCIDR"`
		} `json:"spec"`
		Status struct {
			Addresses []struct {
				Type    string `json:"type"`
				Address string `json:"address"`
			} `json:"addresses"`
		} `json:"status"`
	} `json:"items"`
}

// node keeps the routes to the other nodes' pods, for as long as it runs.
func node() error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	said := ""
	for {
		if err := look(); err != nil && err.Error() != said {
			said = err.Error()
			fmt.Fprintln(os.Stderr, said)
		}
		select {
		case <-end:
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

func look() error {
	nodes, err := listNodes()
	if err != nil {
		return err
	}
	wanted := map[string]string{} // by podCIDR, the node's address
	for _, item := range nodes.Items {
		cidr, err := netip.ParsePrefix(item.Spec.PodCIDR)
		if err != nil {
			continue // not handed out yet
		}
		if item.Metadata.Name == os.Getenv("NODENAME") {
			if err := cni.Write(podCIDR, []byte(cidr.String()+"\n"), 0o644); err != nil {
				return err
			}
			continue
		}
		for _, address := range item.Status.Addresses {
			if ip, err := netip.ParseAddr(address.Address); err == nil && address.Type == "InternalIP" {
				wanted[cidr.String()] = ip.String()
			}
		}
	}
	listed, err := exec.Command("ip", "-4", "route").Output()
	if err != nil {
		return fmt.Errorf("ip route: %w", err)
	}
	for _, line := range strings.Split(string(listed), "\n") {
		// a network by way of another machine: nobody else makes such a route there
		words := strings.Fields(line)
		if len(words) > 1 && words[1] == "via" && strings.Contains(words[0], "/") && wanted[words[0]] == "" {
			if output, err := exec.Command("ip", "-4", "route", "del", words[0]).CombinedOutput(); err != nil {
				return fmt.Errorf("ip route del %s: %s", words[0], output)
			}
		}
	}
	for cidr, address := range wanted {
		if output, err := exec.Command("ip", "-4", "route", "replace", cidr, "via", address).CombinedOutput(); err != nil {
			return fmt.Errorf("ip route replace %s via %s: %s", cidr, address, output)
		}
	}
	return nil
}

func listNodes() (*nodeList, error) {
	token, err := os.ReadFile(tokens + "/token")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(tokens + "/ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://%s:%s/api/v1/nodes", os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("nodes: %s", answer.Status)
	}
	nodes := &nodeList{}
	return nodes, json.NewDecoder(answer.Body).Decode(nodes)
}
