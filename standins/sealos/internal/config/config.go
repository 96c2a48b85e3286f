// Package config is sealos v3's config.yaml: the only place where it remembers a cluster.
package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// Config has config.yaml's keys in their order. The password stands there in clear text, as in the real one.
type Config struct {
	Masters           []string `yaml:"masters"`
	Nodes             []string `yaml:"nodes"`
	DNSDomain         string   `yaml:"dnsdomain"`
	APIServerCertSANs []string `yaml:"apiservercertsans"`
	User              string   `yaml:"user"`
	Passwd            string   `yaml:"passwd"`
	PrivateKey        string   `yaml:"privatekey"`
	PkPassword        string   `yaml:"pkpassword"`
	APIServerDomain   string   `yaml:"apiserverdomain"`
	Network           string   `yaml:"network"`
	VIP               string   `yaml:"vip"`
	PkgURL            string   `yaml:"pkgurl"`
	Version           string   `yaml:"version"`
	Repo              string   `yaml:"repo"`
	PodCIDR           string   `yaml:"podcidr"`
	SvcCIDR           string   `yaml:"svccidr"`
	CertPath          string   `yaml:"certpath"`
	CertEtcdPath      string   `yaml:"certetcdpath"`
	LvscareName       string   `yaml:"lvscarename"`
	LvscareTag        string   `yaml:"lvscaretag"`
	AliOss            AliOss   `yaml:"alioss"`
}

// AliOss is the object store of `sealos etcd save`.
type AliOss struct {
	OssEndpoint      string `yaml:"ossendpoint"`
	AccessKeyID      string `yaml:"accesskeyid"`
	AccessKeySecrets string `yaml:"accesskeysecrets"`
	BucketName       string `yaml:"bucketname"`
	ObjectPath       string `yaml:"objectpath"`
}

// Folder is sealos' own folder in home.
func Folder(home string) string { return filepath.Join(home, ".sealos") }

// Path is the config file of a run: the one named by --config, else the one in home.
func Path(home, named string) string {
	if named != "" {
		return named
	}
	return filepath.Join(Folder(home), "config.yaml")
}

// Load reads path; every value that the file leaves out is empty afterwards, also where a flag has a default.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config file %s: %w", path, err)
	}
	c := &Config{}
	if err := yaml.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	return c, nil
}

// Text is the content of config.yaml.
func (c *Config) Text() ([]byte, error) {
	var buffer bytes.Buffer
	encoder := yaml.NewEncoder(&buffer)
	encoder.SetIndent(2)
	shown := *c
	shown.Masters, shown.Nodes = nonNil(c.Masters), nonNil(c.Nodes)
	shown.APIServerCertSANs = nonNil(c.APIServerCertSANs)
	if err := encoder.Encode(&shown); err != nil {
		return nil, err
	}
	// the real one's YAML library does not indent lists
	return bytes.ReplaceAll(buffer.Bytes(), []byte("\n  - "), []byte("\n- ")), nil
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Save writes path: a new file gets mode 0644 although it holds the password, an old one keeps its mode.
func (c *Config) Save(home, path string) error {
	data, err := c.Text()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(Folder(home), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Sample is what `sealos init gen` and a join without config.yaml show.
func Sample() *Config {
	return &Config{
		Masters: []string{"192.168.0.2:22", "192.168.0.3:22", "192.168.0.4:22"},
		Nodes:   []string{"192.168.0.5:22", "192.168.0.6:22"}, DNSDomain: "cluster.local",
		APIServerCertSANs: []string{"apiserver.cluster.local", "127.0.0.1"},
		User:              "root", Passwd: "123456", PrivateKey: "/root/.ssh/id_rsa",
		APIServerDomain: "apiserver.cluster.local", Network: "calico", VIP: "10.103.97.2",
		PkgURL: "/root/kube1.16.3.tar.gz", Version: "v1.16.3", Repo: "k8s.gcr.io",
		PodCIDR: "100.64.0.0/10", SvcCIDR: "10.96.0.0/12",
		CertPath: "/root/.sealos/pki", CertEtcdPath: "/root/.sealos/pki/etcd",
		LvscareName: "fanux/lvscare", LvscareTag: "latest",
	}
}
