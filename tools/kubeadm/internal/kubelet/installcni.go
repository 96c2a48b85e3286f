package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/cni"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// installCNICommand is the name under which this program acts as the container install-cni.
const installCNICommand = "lab-install-cni"

// The plugins that Istio 1.5.0's install-cni image holds.
var istioPlugins = []string{"istio-cni", "istio-iptables"}

// InstallCNI stands for the script install-cni.sh of the image install-cni:1.5.0: it reads the container's variables,
// installs, checks once a second, ends with an error when the installation no longer holds, and cleans up at its end.
func InstallCNI() error {
	confDir, binDir := "/host/etc/cni/net.d", "/host/opt/cni/bin"
	netDir := os.Getenv("CNI_NET_DIR")
	if netDir == "" {
		netDir = lab.CNIConfDir
	}
	fmt.Println("install-cni: stand-in of the sealos-istio lab for the script of Istio 1.5.0; the plugin it copies is a placeholder")
	text := os.Getenv("CNI_NETWORK_CONFIG")
	if text == "" {
		return errors.New("CNI_NETWORK_CONFIG is not set")
	}
	token, err := os.ReadFile(serviceAccountPath + "/token")
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(serviceAccountPath + "/ca.crt")
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	for _, plugin := range istioPlugins {
		if err := lab.WriteFile(filepath.Join(binDir, plugin), placeholder(plugin), 0o755); err != nil {
			return err
		}
		defer os.Remove(filepath.Join(binDir, plugin))
	}
	server := fmt.Sprintf("https://[%s]:%s", os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	loginPath := filepath.Join(confDir, cni.KubeconfigName)
	if err := lab.WriteFile(loginPath, pluginLogin(server, ca, string(token), "istio-cni"), 0o600); err != nil {
		return err
	}
	defer os.Remove(loginPath)
	text = strings.NewReplacer(
		"__KUBECONFIG_FILENAME__", cni.KubeconfigName, "__KUBECONFIG_FILEPATH__", filepath.Join(netDir, cni.KubeconfigName),
		"__KUBERNETES_SERVICE_HOST__", os.Getenv("KUBERNETES_SERVICE_HOST"), "__KUBERNETES_SERVICE_PORT__", os.Getenv("KUBERNETES_SERVICE_PORT"),
		"__KUBERNETES_NODE_NAME__", os.Getenv("KUBERNETES_NODE_NAME"), "__SERVICEACCOUNT_TOKEN__", string(token), "__LOG_LEVEL__", "info",
	).Replace(text)
	entry := map[string]any{}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		return fmt.Errorf("CNI_NETWORK_CONFIG: %w", err)
	}
	name := os.Getenv("CNI_CONF_NAME")
	named := name != ""
	if !named {
		if name = cni.First(confDir); name == "" {
			name = cni.FallbackName
		}
	}
	if name, err = cni.Append(confDir, name, entry); err != nil {
		return err
	}
	defer func() {
		if err := cni.Remove(confDir, name); err != nil {
			fmt.Fprintln(os.Stderr, "install-cni:", err)
		} else {
			fmt.Println("install-cni: took the entry out of", name)
		}
	}()
	fmt.Println("install-cni: the chain in", name, "ends with istio-cni")
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := cni.Check(confDir, name, named); err != nil {
			return err
		}
	}
}

// Hidden runs the part that this program plays inside a container, if it was started as one.
func Hidden(arguments []string) (handled bool, err error) {
	name := filepath.Base(arguments[0])
	switch {
	case name == installCNICommand:
		return true, InstallCNI()
	case strings.HasPrefix(name, webhookCommand+"-"):
		return true, ServeWebhooks(strings.TrimPrefix(name, webhookCommand+"-"))
	case len(arguments) == 2 && arguments[1] == containerCommand:
		return true, BecomeContainer()
	}
	return false, nil
}
