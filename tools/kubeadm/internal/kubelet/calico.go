package kubelet

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// placeholder is what the lab copies for a CNI plugin: no container network is set up, so nothing ever calls it.
func placeholder(name string) []byte {
	return fmt.Appendf(nil, "#!/bin/sh\n# Placeholder of the sealos-istio lab for the CNI plugin %s.\necho 'placeholder of the lab, not a plugin' >&2\nexit 1\n", name)
}

// calicoPlugins are the programs that Calico 3.8's install-cni puts into /opt/cni/bin.
var calicoPlugins = []string{"bandwidth", "calico", "calico-ipam", "flannel", "host-local", "loopback", "portmap", "tuning"}

// writeCalico does what calico-node's install-cni init container does to the node: plugins, login and network list. The
// list comes from the container's own variables CNI_NETWORK_CONFIG (of ConfigMap calico-config) and CNI_CONF_NAME.
func writeCalico(pod *kube.Pod, who Identity, sources Sources) error {
	variables := map[string]string{}
	for _, container := range append(append([]kube.Container{}, pod.Spec.Init...), pod.Spec.Containers...) {
		lines, err := Environment(pod, &container, who, sources)
		if err != nil {
			return err
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			if value != "" || variables[name] == "" {
				variables[name] = value
			}
		}
	}
	network := variables["CNI_NETWORK_CONFIG"]
	if network == "" {
		return errors.New("no container of the calico-node pod has the variable CNI_NETWORK_CONFIG")
	}
	token, ca, err := serviceAccount(pod, sources)
	if err != nil {
		return err
	}
	for _, plugin := range calicoPlugins {
		if err := lab.WriteFile(filepath.Join(lab.CNIBinDir, plugin), placeholder(plugin), 0o755); err != nil {
			return err
		}
	}
	loginPath := filepath.Join(lab.CNIConfDir, "calico-kubeconfig")
	if err := lab.WriteFile(loginPath, pluginLogin("https://["+who.Service+"]:443", ca, token, "calico"), 0o600); err != nil {
		return err
	}
	mtu := variables["CNI_MTU"]
	if mtu == "" {
		mtu = "1440"
	}
	network = strings.NewReplacer(
		"__KUBERNETES_NODE_NAME__", pod.Spec.NodeName, "__KUBECONFIG_FILEPATH__", loginPath, "__CNI_MTU__", mtu,
		"__KUBERNETES_SERVICE_HOST__", who.Service, "__KUBERNETES_SERVICE_PORT__", "443", "__LOG_LEVEL__", "info",
		"__SERVICEACCOUNT_TOKEN__", token, "__ETCD_ENDPOINTS__", "",
	).Replace(network)
	if !json.Valid([]byte(network)) {
		return errors.New("the network list of ConfigMap calico-config is not JSON once filled in")
	}
	name := variables["CNI_CONF_NAME"]
	if name == "" {
		name = "10-calico.conflist"
	}
	return lab.WriteFile(filepath.Join(lab.CNIConfDir, filepath.Base(name)), []byte(network), 0o644)
}

// serviceAccount finds the token and authority in the secret volume that the API server mounts into the pod.
func serviceAccount(pod *kube.Pod, sources Sources) (token string, ca []byte, err error) {
	for _, container := range append(append([]kube.Container{}, pod.Spec.Containers...), pod.Spec.Init...) {
		for _, mount := range container.Mounts {
			if mount.Path != serviceAccountPath {
				continue
			}
			for _, volume := range pod.Spec.Volumes {
				if volume.Name != mount.Name || volume.Secret == nil {
					continue
				}
				data, err := sources.Secret(pod.Meta.Namespace, volume.Secret.Name)
				if err != nil {
					return "", nil, err
				}
				if data == nil {
					return "", nil, fmt.Errorf("secret %q not found", volume.Secret.Name)
				}
				return string(data["token"]), data["ca.crt"], nil
			}
		}
	}
	return "", nil, errors.New("the pod has no service account token")
}

// pluginLogin is the kubeconfig that a CNI plugin uses.
func pluginLogin(server string, ca []byte, token, user string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: %s
    certificate-authority-data: %q
users:
- name: %s
  user:
    token: %q
contexts:
- name: %s-context
  context:
    cluster: local
    user: %s
current-context: %s-context
`, server, base64.StdEncoding.EncodeToString(ca), user, token, user, user, user)
}
