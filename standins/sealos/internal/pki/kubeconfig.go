package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// Kubeconfig is the part of the client configuration format that kubeadm's files use.
type Kubeconfig struct {
	APIVersion     string         `yaml:"apiVersion"`
	Clusters       []NamedCluster `yaml:"clusters"`
	Contexts       []NamedContext `yaml:"contexts"`
	CurrentContext string         `yaml:"current-context"`
	Kind           string         `yaml:"kind"`
	Preferences    struct{}       `yaml:"preferences"`
	Users          []NamedUser    `yaml:"users"`
}

// NamedCluster is an API server.
type NamedCluster struct {
	Cluster struct {
		CertificateAuthorityData string `yaml:"certificate-authority-data"`
		Server                   string `yaml:"server"`
	} `yaml:"cluster"`
	Name string `yaml:"name"`
}

// NamedContext joins a cluster and a user.
type NamedContext struct {
	Context struct {
		Cluster string `yaml:"cluster"`
		User    string `yaml:"user"`
	} `yaml:"context"`
	Name string `yaml:"name"`
}

// NamedUser is a client certificate.
type NamedUser struct {
	Name string `yaml:"name"`
	User struct {
		ClientCertificateData string `yaml:"client-certificate-data"`
		ClientKeyData         string `yaml:"client-key-data"`
	} `yaml:"user"`
}

// WriteKubeconfigs makes admin.conf, controller-manager.conf, scheduler.conf and kubelet.conf (0600) in dir from the
// CA in pkiDir. One that exists is kept when CA and server are the same, else it is an error.
func WriteKubeconfigs(pkiDir, dir, nodeName, server string) error {
	authority, err := LoadAuthority(pkiDir, "ca")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name, user string
		groups     []string
	}{
		{"admin.conf", "kubernetes-admin", []string{"system:masters"}},
		{"controller-manager.conf", "system:kube-controller-manager", nil},
		{"scheduler.conf", "system:kube-scheduler", nil},
		{"kubelet.conf", "system:node:" + nodeName, []string{"system:nodes"}},
	} {
		path := filepath.Join(dir, file.name)
		kept, err := keep(path, authority, server)
		if err != nil {
			return err
		}
		if kept {
			continue
		}
		content, err := newKubeconfig(authority, server, file.user, file.groups)
		if err != nil {
			return err
		}
		data, err := yaml.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func newKubeconfig(authority *Authority, server, user string, groups []string) (*Kubeconfig, error) {
	der, key, err := authority.sign(user, groups, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil)
	if err != nil {
		return nil, err
	}
	const cluster = "kubernetes"
	k := &Kubeconfig{APIVersion: "v1", Kind: "Config", CurrentContext: user + "@" + cluster}
	k.Clusters, k.Contexts, k.Users = make([]NamedCluster, 1), make([]NamedContext, 1), make([]NamedUser, 1)
	k.Clusters[0].Name, k.Clusters[0].Cluster.Server = cluster, server
	k.Clusters[0].Cluster.CertificateAuthorityData = base64.StdEncoding.EncodeToString(encode("CERTIFICATE", authority.Certificate.Raw))
	k.Contexts[0].Name, k.Contexts[0].Context.Cluster, k.Contexts[0].Context.User = k.CurrentContext, cluster, user
	k.Users[0].Name = user
	k.Users[0].User.ClientCertificateData = base64.StdEncoding.EncodeToString(encode("CERTIFICATE", der))
	k.Users[0].User.ClientKeyData = base64.StdEncoding.EncodeToString(encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
	return k, nil
}

func keep(path string, authority *Authority, server string) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var found Kubeconfig
	if err := yaml.Unmarshal(data, &found); err != nil || len(found.Clusters) == 0 {
		return false, fmt.Errorf("a kubeconfig file %q exists already but can't be read: %v", path, err)
	}
	ca, err := base64.StdEncoding.DecodeString(found.Clusters[0].Cluster.CertificateAuthorityData)
	if err != nil || !bytes.Equal(bytes.TrimSpace(ca), bytes.TrimSpace(encode("CERTIFICATE", authority.Certificate.Raw))) {
		return false, fmt.Errorf("a kubeconfig file %q exists already but has got the wrong CA cert", path)
	}
	if found.Clusters[0].Cluster.Server != server {
		return false, fmt.Errorf("a kubeconfig file %q exists already but has got the wrong API Server URL", path)
	}
	return true, nil
}
