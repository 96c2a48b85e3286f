package kube

import (
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

// Meta is the part of an object's metadata that is used here.
type Meta struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	DeletionTimestamp string            `json:"deletionTimestamp,omitempty"`
	DeletionGrace     *int64            `json:"deletionGracePeriodSeconds,omitempty"`
}

// Pod is the part of a pod that is used here.
type Pod struct {
	APIVersion string    `json:"apiVersion,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	Meta       Meta      `json:"metadata"`
	Spec       PodSpec   `json:"spec"`
	Status     PodStatus `json:"status"`
}

// Key is "namespace/name".
func (p *Pod) Key() string { return p.Meta.Namespace + "/" + p.Meta.Name }

// PodSpec is the part of a pod's specification that decides what runs.
type PodSpec struct {
	NodeName       string      `json:"nodeName,omitempty"`
	HostNetwork    bool        `json:"hostNetwork,omitempty"`
	ServiceAccount string      `json:"serviceAccountName,omitempty"`
	Init           []Container `json:"initContainers,omitempty"`
	Containers     []Container `json:"containers"`
	Volumes        []Volume    `json:"volumes,omitempty"`
}

// Container is one program of a pod.
type Container struct {
	Name       string        `json:"name"`
	Image      string        `json:"image"`
	Command    []string      `json:"command,omitempty"`
	Args       []string      `json:"args,omitempty"`
	WorkingDir string        `json:"workingDir,omitempty"`
	Env        []EnvVar      `json:"env,omitempty"`
	EnvFrom    []EnvFrom     `json:"envFrom,omitempty"`
	Mounts     []VolumeMount `json:"volumeMounts,omitempty"`
}

// EnvVar is a variable with a value or a source of one.
type EnvVar struct {
	Name  string     `json:"name"`
	Value string     `json:"value,omitempty"`
	From  *EnvSource `json:"valueFrom,omitempty"`
}

// EnvSource says where a variable's value comes from; exactly one field is set.
type EnvSource struct {
	Field *struct {
		Path string `json:"fieldPath"`
	} `json:"fieldRef,omitempty"`
	ConfigMap *KeyRef `json:"configMapKeyRef,omitempty"`
	Secret    *KeyRef `json:"secretKeyRef,omitempty"`
	Resource  *struct {
		Resource string `json:"resource"`
	} `json:"resourceFieldRef,omitempty"`
}

// KeyRef names one key of a ConfigMap or Secret.
type KeyRef struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional bool   `json:"optional,omitempty"`
}

// EnvFrom takes all keys of a ConfigMap or Secret as variables.
type EnvFrom struct {
	Prefix    string   `json:"prefix,omitempty"`
	ConfigMap *NameRef `json:"configMapRef,omitempty"`
	Secret    *NameRef `json:"secretRef,omitempty"`
}

// NameRef names a ConfigMap or Secret.
type NameRef struct {
	Name     string `json:"name"`
	Optional bool   `json:"optional,omitempty"`
}

// VolumeMount says where a volume appears in a container.
type VolumeMount struct {
	Name     string `json:"name"`
	Path     string `json:"mountPath"`
	SubPath  string `json:"subPath,omitempty"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// KeyPath puts one key of a ConfigMap or Secret volume into a file.
type KeyPath struct {
	Key  string `json:"key"`
	Path string `json:"path"`
}

// Volume is a source of files.
type Volume struct {
	Name     string `json:"name"`
	HostPath *struct {
		Path string `json:"path"`
		Type string `json:"type,omitempty"`
	} `json:"hostPath,omitempty"`
	EmptyDir *struct{} `json:"emptyDir,omitempty"`
	Secret   *struct {
		Name     string    `json:"secretName"`
		Items    []KeyPath `json:"items,omitempty"`
		Optional bool      `json:"optional,omitempty"`
	} `json:"secret,omitempty"`
	ConfigMap *struct {
		Name     string    `json:"name"`
		Items    []KeyPath `json:"items,omitempty"`
		Optional bool      `json:"optional,omitempty"`
	} `json:"configMap,omitempty"`
}

// PodStatus is the part of a pod's status that is read back.
type PodStatus struct {
	Phase      string      `json:"phase,omitempty"`
	StartTime  string      `json:"startTime,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is one condition of a pod or node.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason,omitempty"`
	Message            string `json:"message,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
	LastHeartbeatTime  string `json:"lastHeartbeatTime,omitempty"`
}

// PodList is a list of pods.
type PodList struct {
	Meta  Meta  `json:"metadata"`
	Items []Pod `json:"items"`
}

// FromYAML reads one YAML document into a value by its JSON field names.
func FromYAML(data []byte, out any) error {
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("not a plain object: %w", err)
	}
	return json.Unmarshal(text, out)
}
