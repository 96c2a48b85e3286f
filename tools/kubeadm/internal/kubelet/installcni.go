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

// The plugins that the image install-cni of Istio 1.5.0 holds.
var istioPlugins = []string{"istio-cni", "istio-iptables"}

const hostConfDir, hostBinDir = "/host/etc/cni/net.d", "/host/opt/cni/bin"

// installsAgain says whether the image of that tag holds the program that took the place of the script with Istio 1.7: it waits until
// the network has its configuration, and installs again what no longer holds, where the script ends with an error (its pod starts
// anew). A tag that is no release is taken for a later one.
func installsAgain(tag string) bool {
	var minor int
	_, err := fmt.Sscanf(tag, "1.%d.", &minor)
	return err != nil || minor >= 7
}

// InstallCNI stands for what the image install-cni of that tag runs: it reads the container's variables, installs, checks once a
// second, and cleans up at its end. Up to 1.6 that is install-cni.sh of istio/cni, from 1.7 on cni/pkg/install of istio/istio.
func InstallCNI(tag string) error {
	fmt.Println("install-cni: stand-in of the sealos-istio lab for that of Istio", tag+"; the plugin it copies is a placeholder")
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	installed := ""
	defer func() { cleanUp(installed) }()
	for again := installsAgain(tag); ; {
		if again && !waitForNetwork(ctx, hostConfDir, os.Getenv("CNI_CONF_NAME")) {
			return nil
		}
		name, err := install(again)
		if err != nil {
			return err
		}
		installed = name
		fmt.Println("install-cni: the chain in", name, "ends with istio-cni")
		err = keep(ctx, name)
		if err == nil || !again {
			return err
		}
		fmt.Printf("install-cni: %v; installing again\n", err)
	}
}

// waitForNetwork waits until there is a configuration to append to: the named one, or any. It returns false when it is told to end.
func waitForNetwork(ctx context.Context, dir, name string) bool {
	there := func() bool {
		if name == "" {
			return cni.First(dir) != ""
		}
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	for tick := time.NewTicker(200 * time.Millisecond); !there(); {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// install puts plugin, login and entry in place and returns the file that has the entry.
func install(later bool) (string, error) {
	netDir := os.Getenv("CNI_NET_DIR")
	if netDir == "" {
		netDir = lab.CNIConfDir
	}
	text := os.Getenv("CNI_NETWORK_CONFIG")
	if text == "" {
		return "", errors.New("CNI_NETWORK_CONFIG is not set")
	}
	token, tokenErr := os.ReadFile(serviceAccountPath + "/token")
	ca, caErr := os.ReadFile(serviceAccountPath + "/ca.crt")
	if err := errors.Join(tokenErr, caErr); err != nil {
		return "", err
	}
	for _, plugin := range istioPlugins {
		if err := lab.WriteFile(filepath.Join(hostBinDir, plugin), placeholder(plugin), 0o755); err != nil {
			return "", err
		}
	}
	server := fmt.Sprintf("https://[%s]:%s", os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	if err := lab.WriteFile(filepath.Join(hostConfDir, cni.KubeconfigName), pluginLogin(server, ca, string(token), "istio-cni"), 0o600); err != nil {
		return "", err
	}
	text = strings.NewReplacer(
		"__KUBECONFIG_FILENAME__", cni.KubeconfigName, "__KUBECONFIG_FILEPATH__", filepath.Join(netDir, cni.KubeconfigName),
		"__KUBERNETES_SERVICE_HOST__", os.Getenv("KUBERNETES_SERVICE_HOST"), "__KUBERNETES_SERVICE_PORT__", os.Getenv("KUBERNETES_SERVICE_PORT"),
		"__KUBERNETES_NODE_NAME__", os.Getenv("KUBERNETES_NODE_NAME"), "__SERVICEACCOUNT_TOKEN__", string(token), "__LOG_LEVEL__", "info",
		"__LOG_UDS_ADDRESS__", "/var/run/istio-cni/log.sock",
	).Replace(text)
	entry := map[string]any{}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		return "", fmt.Errorf("CNI_NETWORK_CONFIG: %w", err)
	}
	if later {
		delete(entry, "cniVersion")
	}
	name := os.Getenv("CNI_CONF_NAME")
	if name == "" {
		if name = cni.First(hostConfDir); name == "" {
			name = cni.FallbackName
		}
	}
	return cni.Append(hostConfDir, name, entry)
}

// keep looks once a second whether the installation holds; an error says what no longer does, nil that it is told to end.
func keep(ctx context.Context, name string) error {
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := cni.Check(hostConfDir, name, os.Getenv("CNI_CONF_NAME") != ""); err != nil {
			return err
		}
	}
}

// cleanUp takes away what install left; name is the file that has the entry, "" when none was written.
func cleanUp(name string) {
	if name != "" {
		if err := cni.Remove(hostConfDir, name); err != nil {
			fmt.Fprintln(os.Stderr, "install-cni:", err)
		} else {
			fmt.Println("install-cni: took the entry out of", name)
		}
	}
	_ = os.Remove(filepath.Join(hostConfDir, cni.KubeconfigName))
	for _, plugin := range istioPlugins {
		_ = os.Remove(filepath.Join(hostBinDir, plugin))
	}
}

// Hidden runs the part that this program plays inside a container, if it was started as one.
func Hidden(arguments []string) (handled bool, err error) {
	name := filepath.Base(arguments[0])
	switch {
	case name == installCNICommand:
		return true, InstallCNI(arguments[1])
	case strings.HasPrefix(name, webhookCommand+"-"):
		return true, ServeWebhooks(strings.TrimPrefix(name, webhookCommand+"-"))
	case len(arguments) == 2 && arguments[1] == containerCommand:
		return true, BecomeContainer()
	}
	return false, nil
}
