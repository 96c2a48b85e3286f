package kubelet

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"sealos-istio/tools/kubeadm/internal/kube"
)

// Sources gives what a pod refers to. Both return nil without an error when the object does not exist.
type Sources interface {
	ConfigMap(namespace, name string) (map[string]string, error)
	Secret(namespace, name string) (map[string][]byte, error)
}

// Identity is what the downward API tells of the place where a pod runs.
type Identity struct {
	NodeAddress string
	PodAddress  string
	// Service is the address of the service "kubernetes".
	Service string
}

// Environment works out the variables of a container as a kubelet does: those of the service "kubernetes", envFrom,
// then env in order, where $(NAME) stands for an earlier variable. It returns NAME=value lines.
func Environment(pod *kube.Pod, container *kube.Container, who Identity, sources Sources) ([]string, error) {
	order := []string{}
	values := map[string]string{}
	set := func(name, value string) {
		if _, known := values[name]; !known {
			order = append(order, name)
		}
		values[name] = value
	}
	set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	set("HOSTNAME", pod.Meta.Name)
	set("HOME", "/root")
	if who.Service != "" {
		url := "tcp://" + who.Service + ":443"
		for _, pair := range [][2]string{
			{"KUBERNETES_SERVICE_HOST", who.Service}, {"KUBERNETES_SERVICE_PORT", "443"}, {"KUBERNETES_SERVICE_PORT_HTTPS", "443"},
			{"KUBERNETES_PORT", url}, {"KUBERNETES_PORT_443_TCP", url}, {"KUBERNETES_PORT_443_TCP_PROTO", "tcp"},
			{"KUBERNETES_PORT_443_TCP_PORT", "443"}, {"KUBERNETES_PORT_443_TCP_ADDR", who.Service},
		} {
			set(pair[0], pair[1])
		}
	}
	for _, from := range container.EnvFrom {
		var data map[string]string
		var missing, what string
		var err error
		switch {
		case from.ConfigMap != nil:
			data, err = sources.ConfigMap(pod.Meta.Namespace, from.ConfigMap.Name)
			if data == nil && !from.ConfigMap.Optional {
				missing, what = from.ConfigMap.Name, "configmap"
			}
		case from.Secret != nil:
			var raw map[string][]byte
			raw, err = sources.Secret(pod.Meta.Namespace, from.Secret.Name)
			data = text(raw)
			if raw == nil && !from.Secret.Optional {
				missing, what = from.Secret.Name, "secret"
			}
		}
		if err != nil {
			return nil, err
		}
		if missing != "" {
			return nil, fmt.Errorf("%s %q not found", what, missing)
		}
		for _, key := range sortedKeys(data) {
			set(from.Prefix+key, data[key])
		}
	}
	for _, variable := range container.Env {
		value, keep, err := value(pod, variable, who, sources, values)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		if keep {
			set(variable.Name, value)
		}
	}
	lines := make([]string, 0, len(order))
	for _, name := range order {
		lines = append(lines, name+"="+values[name])
	}
	return lines, nil
}

func value(pod *kube.Pod, variable kube.EnvVar, who Identity, sources Sources, known map[string]string) (string, bool, error) {
	from := variable.From
	switch {
	case from == nil:
		return Expand(variable.Value, known), true, nil
	case from.Field != nil:
		value, err := Field(pod, from.Field.Path, who)
		return value, err == nil, err
	case from.ConfigMap != nil:
		data, err := sources.ConfigMap(pod.Meta.Namespace, from.ConfigMap.Name)
		if err != nil {
			return "", false, err
		}
		return pick(data, *from.ConfigMap, "configmap")
	case from.Secret != nil:
		data, err := sources.Secret(pod.Meta.Namespace, from.Secret.Name)
		if err != nil {
			return "", false, err
		}
		return pick(text(data), *from.Secret, "secret")
	case from.Resource != nil:
		// No limit is enforced here, so the honest figure for every resource is "none".
		return "0", true, nil
	}
	return "", false, fmt.Errorf("its source is not known here")
}

func pick(data map[string]string, key kube.KeyRef, what string) (string, bool, error) {
	if value, ok := data[key.Key]; ok {
		return value, true, nil
	}
	if key.Optional {
		return "", false, nil
	}
	if data == nil {
		return "", false, fmt.Errorf("%s %q not found", what, key.Name)
	}
	return "", false, fmt.Errorf("key %q not found in %s %q", key.Key, what, key.Name)
}

var subscript = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// Field gives the value of a downward API field of the pod.
func Field(pod *kube.Pod, path string, who Identity) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Meta.Name, nil
	case "metadata.namespace":
		return pod.Meta.Namespace, nil
	case "metadata.uid":
		return pod.Meta.UID, nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccount, nil
	case "status.hostIP":
		return who.NodeAddress, nil
	case "status.podIP":
		return who.PodAddress, nil
	}
	if match := subscript.FindStringSubmatch(path); match != nil {
		if match[1] == "labels" {
			return pod.Meta.Labels[match[2]], nil
		}
		return pod.Meta.Annotations[match[2]], nil
	}
	return "", fmt.Errorf("field path %q is not known here", path)
}

var reference = regexp.MustCompile(`\$\$|\$\(([^)]+)\)`)

// Expand replaces $(NAME) by the known variable; an unknown one stays, and $$ is a plain dollar sign.
func Expand(text string, known map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$$" {
			return "$"
		}
		if value, ok := known[match[2:len(match)-1]]; ok {
			return value
		}
		return match
	})
}

// ExpandAll expands each text with the variables of NAME=value lines.
func ExpandAll(texts, environment []string) []string {
	known := map[string]string{}
	for _, line := range environment {
		name, value, _ := strings.Cut(line, "=")
		known[name] = value
	}
	expanded := make([]string, len(texts))
	for index, text := range texts {
		expanded[index] = Expand(text, known)
	}
	return expanded
}

func text(raw map[string][]byte) map[string]string {
	if raw == nil {
		return nil
	}
	out := make(map[string]string, len(raw))
	for key, value := range raw {
		out[key] = string(value)
	}
	return out
}

func sortedKeys[V any](values map[string]V) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
