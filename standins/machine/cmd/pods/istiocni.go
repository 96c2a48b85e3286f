package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealos-istio/standins/machine/internal/cni"
)

// Up to Istio 1.6 the CNI plugin is installed by a script of istio/cni, a repository that can't be had; this stands for it. The plugins
// themselves are real, of 1.7.8.
var istioPlugins = []string{"istio-cni", "istio-iptables"}

// installIstio reads the container's variables, installs, looks once a second whether that holds, and ends with an error when it does
// not; it cleans up at its end.
func installIstio() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	name, err := install()
	if err != nil {
		return err
	}
	defer cleanUp(name)
	fmt.Println("The lab's stand-in for install-cni.sh: the chain in", name, "ends with istio-cni")
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := cni.Check(hostNetworks, name, os.Getenv("CNI_CONF_NAME") != ""); err != nil {
			return err
		}
	}
}

// install puts plugins, login and entry in place and returns the file that has the entry.
func install() (string, error) {
	token, tokenErr := os.ReadFile(tokens + "/token")
	ca, caErr := os.ReadFile(tokens + "/ca.crt")
	if err := errors.Join(tokenErr, caErr); err != nil {
		return "", err
	}
	for _, plugin := range istioPlugins {
		data, err := os.ReadFile(filepath.Join(plugins, plugin))
		if err != nil {
			return "", err
		}
		if err := cni.Write(filepath.Join(hostPlugins, plugin), data, 0o755); err != nil {
			return "", err
		}
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if err := cni.Write(filepath.Join(hostNetworks, cni.KubeconfigName), login("https://"+net.JoinHostPort(host, port), ca, string(token)), 0o600); err != nil {
		return "", err
	}
	text := strings.NewReplacer(
		"__KUBECONFIG_FILENAME__", cni.KubeconfigName, "__KUBECONFIG_FILEPATH__", filepath.Join(os.Getenv("CNI_NET_DIR"), cni.KubeconfigName),
		"__KUBERNETES_SERVICE_HOST__", host, "__KUBERNETES_SERVICE_PORT__", port,
		"__KUBERNETES_NODE_NAME__", os.Getenv("KUBERNETES_NODE_NAME"), "__SERVICEACCOUNT_TOKEN__", string(token), "__LOG_LEVEL__", "info",
	).Replace(os.Getenv("CNI_NETWORK_CONFIG"))
	entry := map[string]any{}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		return "", fmt.Errorf("CNI_NETWORK_CONFIG: %w", err)
	}
	name := os.Getenv("CNI_CONF_NAME")
	if name == "" {
		if name = cni.First(hostNetworks); name == "" {
			name = cni.FallbackName
		}
	}
	return cni.Append(hostNetworks, name, entry)
}

// cleanUp takes away what install left; name is the file that has the entry.
func cleanUp(name string) {
	if err := cni.Remove(hostNetworks, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.Remove(filepath.Join(hostNetworks, cni.KubeconfigName))
	for _, plugin := range istioPlugins {
		_ = os.Remove(filepath.Join(hostPlugins, plugin))
	}
}

// login is the plugin's kubeconfig, in the lines that Istio's script writes: whoever looks for the token looks for such a line.
func login(server string, ca []byte, token string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: istio-cni
  user:
    token: %q
contexts:
- name: istio-cni-context
  context:
    cluster: local
    user: istio-cni
current-context: istio-cni-context
`, server, base64.StdEncoding.EncodeToString(ca), token)
}
