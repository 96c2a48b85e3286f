package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func spec(dir string) Spec {
	return Spec{
		Dir: dir, EtcdDir: filepath.Join(dir, "etcd"), NodeName: "sealos01", NodeIP: "198.51.100.11", ServiceCIDR: "10.96.0.0/12",
		DNSDomain: "cluster.local", AltNames: []string{"127.0.0.1", "apiserver.cluster.local", "198.51.100.11", "198.51.100.12", "api.example.com", "10.103.97.2"},
	}
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	der, err := readPEM(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificatesAreWhatAControlPlaneNeeds(t *testing.T) {
	dir := t.TempDir()
	if err := Generate(spec(dir)); err != nil {
		t.Fatal(err)
	}
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for _, c := range []struct {
		file, authority, commonName, group string
		usages                             []x509.ExtKeyUsage
		names                              []string
	}{
		{"apiserver", "ca", "kube-apiserver", "", []x509.ExtKeyUsage{server}, []string{
			"apiserver.cluster.local", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
			"sealos01", "api.example.com", "127.0.0.1", "10.96.0.1", "10.103.97.2", "198.51.100.11", "198.51.100.12"}},
		{"apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", "system:masters", []x509.ExtKeyUsage{client}, nil},
		{"front-proxy-client", "front-proxy-ca", "front-proxy-client", "", []x509.ExtKeyUsage{client}, nil},
		{"apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client", "system:masters", []x509.ExtKeyUsage{client}, nil},
		{"etcd/server", "etcd/ca", "sealos01", "", []x509.ExtKeyUsage{server, client}, []string{"sealos01", "localhost", "127.0.0.1", "198.51.100.11"}},
		{"etcd/peer", "etcd/ca", "sealos01", "", []x509.ExtKeyUsage{server, client}, []string{"sealos01", "localhost", "127.0.0.1", "198.51.100.11"}},
		{"etcd/healthcheck-client", "etcd/ca", "kube-etcd-healthcheck-client", "system:masters", []x509.ExtKeyUsage{client}, nil},
	} {
		got := certificate(t, filepath.Join(dir, c.file+".crt"))
		roots := x509.NewCertPool()
		roots.AddCert(certificate(t, filepath.Join(dir, c.authority+".crt")))
		for _, usage := range c.usages {
			for _, at := range []time.Time{time.Now(), time.Now().AddDate(98, 0, 0)} {
				if _, err := got.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at}); err != nil {
					t.Errorf("%s for usage %v in %d: %v", c.file, usage, at.Year(), err)
				}
			}
		}
		for _, name := range c.names {
			if err := got.VerifyHostname(name); err != nil {
				t.Errorf("%s: %v", c.file, err)
			}
		}
		if got.Subject.CommonName != c.commonName || strings.Join(got.Subject.Organization, ",") != c.group {
			t.Errorf("%s is %s", c.file, got.Subject)
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(dir, c.file+".crt"), filepath.Join(dir, c.file+".key")); err != nil {
			t.Errorf("%s: key and certificate: %v", c.file, err)
		}
		if info, err := os.Stat(filepath.Join(dir, c.file+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s.key: %v, %v; want mode 0600", c.file, info.Mode(), err)
		}
	}
	private, err := readPEM(filepath.Join(dir, "sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := readPEM(filepath.Join(dir, "sa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS1PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := x509.MarshalPKIXPublicKey(key.Public()); !bytes.Equal(public, want) {
		t.Error("sa.pub is not the public half of sa.key")
	}
	if err := certificate(t, filepath.Join(dir, "apiserver.crt")).VerifyHostname("elsewhere.example.com"); err == nil {
		t.Error("the API server's certificate accepts any name")
	}
}

func TestAuthoritiesAreUsedAgainAndLeavesMadeAnew(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if err := Generate(spec(dir)); err != nil {
		t.Fatal(err)
	}
	kept := []string{"ca.crt", "ca.key", "etcd/ca.crt", "front-proxy-ca.crt", "sa.key", "sa.pub"}
	before := map[string]string{"apiserver.crt": read("apiserver.crt")}
	for _, name := range kept {
		before[name] = read(name)
	}
	other := spec(dir)
	other.NodeName, other.NodeIP = "sealos02", "198.51.100.12"
	if err := Generate(other); err != nil {
		t.Fatal(err)
	}
	for _, name := range kept {
		if read(name) != before[name] {
			t.Errorf("%s changed", name)
		}
	}
	if read("apiserver.crt") == before["apiserver.crt"] {
		t.Error("apiserver.crt was kept")
	}
	if err := certificate(t, filepath.Join(dir, "etcd/peer.crt")).VerifyHostname("198.51.100.12"); err != nil {
		t.Error(err)
	}
}

func TestBadSpecsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"service CIDR": func(s *Spec) { s.ServiceCIDR = "10.96.0.0" },
		"node address": func(s *Spec) { s.NodeIP = "" },
		"node's name":  func(s *Spec) { s.NodeName = "" },
	} {
		s := spec(t.TempDir())
		change(&s)
		if err := Generate(s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKubeconfigs(t *testing.T) {
	dir := t.TempDir()
	if _, err := ensureAuthority(filepath.Join(dir, "pki"), "ca", "kubernetes"); err != nil {
		t.Fatal(err)
	}
	write := func(server string) error { return WriteKubeconfigs(filepath.Join(dir, "pki"), dir, "sealos01", server) }
	const server = "https://apiserver.cluster.local:6443"
	if err := write(server); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]struct{ user, group string }{
		"admin.conf":              {"kubernetes-admin", "system:masters"},
		"controller-manager.conf": {"system:kube-controller-manager", ""},
		"scheduler.conf":          {"system:kube-scheduler", ""},
		"kubelet.conf":            {"system:node:sealos01", "system:nodes"},
	} {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var k Kubeconfig
		if err := yaml.Unmarshal(data, &k); err != nil {
			t.Fatal(err)
		}
		if k.Clusters[0].Cluster.Server != server || k.CurrentContext != want.user+"@kubernetes" {
			t.Errorf("%s: server %s, context %s", file, k.Clusters[0].Cluster.Server, k.CurrentContext)
		}
		decode := func(text string) []byte {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		pair, err := tls.X509KeyPair(decode(k.Users[0].User.ClientCertificateData), decode(k.Users[0].User.ClientKeyData))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(decode(k.Clusters[0].Cluster.CertificateAuthorityData))
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		groups := pair.Leaf.Subject.Organization
		if pair.Leaf.Subject.CommonName != want.user || (want.group != "" && !slices.Equal(groups, []string{want.group})) || (want.group == "" && len(groups) > 0) {
			t.Errorf("%s is for %s", file, pair.Leaf.Subject)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", file, info.Mode(), err)
		}
	}
	before, _ := os.ReadFile(filepath.Join(dir, "admin.conf"))
	if err := write(server); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "admin.conf")); !bytes.Equal(before, after) {
		t.Error("a fitting admin.conf was written again")
	}
	if err := write("https://other:6443"); err == nil || !strings.Contains(err.Error(), "wrong API Server URL") {
		t.Errorf("other server: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "pki")); err != nil {
		t.Fatal(err)
	}
	if _, err := ensureAuthority(filepath.Join(dir, "pki"), "ca", "kubernetes"); err != nil {
		t.Fatal(err)
	}
	if err := write(server); err == nil || !strings.Contains(err.Error(), "wrong CA cert") {
		t.Errorf("other CA: %v", err)
	}
}
