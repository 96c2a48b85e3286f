// Package pki makes the certificates of a kubeadm control plane the way sealos v3 does: RSA, valid for 99 years, an
// existing CA or service-account key is used again, leaf certificates are made anew.
package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	keyBits = 2048
	years   = 99
)

// Spec says for which control-plane node the certificates are.
type Spec struct {
	Dir, EtcdDir string   // e.g. /etc/kubernetes/pki and /etc/kubernetes/pki/etcd
	NodeName     string   // hostname
	NodeIP       string   // IPv4
	ServiceCIDR  string   // its first address is the API server's in the cluster
	DNSDomain    string   // e.g. cluster.local
	AltNames     []string // further names and addresses of the API server
}

// Authority is a CA with its key.
type Authority struct {
	Certificate *x509.Certificate
	key         *rsa.PrivateKey
}

type leaf struct {
	dir, name  string
	authority  *Authority
	commonName string
	groups     []string
	usages     []x509.ExtKeyUsage
	sans       []string
}

// Generate writes CAs (kubernetes, etcd, front-proxy), the service-account key pair and all leaf certificates below
// spec's folders, in kubeadm's layout; folders are made, keys are 0600.
func Generate(spec Spec) error {
	first, err := firstServiceIP(spec.ServiceCIDR)
	if err != nil {
		return err
	}
	if net.ParseIP(spec.NodeIP) == nil {
		return fmt.Errorf("node address %q is not an IP address", spec.NodeIP)
	}
	if spec.NodeName == "" {
		return errors.New("the node's name is empty")
	}
	cluster, err := ensureAuthority(spec.Dir, "ca", "kubernetes")
	if err != nil {
		return err
	}
	frontProxy, err := ensureAuthority(spec.Dir, "front-proxy-ca", "front-proxy-ca")
	if err != nil {
		return err
	}
	etcd, err := ensureAuthority(spec.EtcdDir, "ca", "etcd-ca")
	if err != nil {
		return err
	}
	if err := ensureServiceAccountKey(spec.Dir); err != nil {
		return err
	}
	apiServer := append([]string{
		spec.NodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + spec.DNSDomain,
		"localhost", "127.0.0.1", "::1", first, spec.NodeIP,
	}, spec.AltNames...)
	member := []string{spec.NodeName, "localhost", spec.NodeIP, "127.0.0.1", "::1"}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	admins := []string{"system:masters"}
	return writeAll([]leaf{
		{spec.Dir, "apiserver", cluster, "kube-apiserver", nil, server, apiServer},
		{spec.Dir, "apiserver-kubelet-client", cluster, "kube-apiserver-kubelet-client", admins, client, nil},
		{spec.Dir, "front-proxy-client", frontProxy, "front-proxy-client", nil, client, nil},
		{spec.Dir, "apiserver-etcd-client", etcd, "kube-apiserver-etcd-client", admins, client, nil},
		{spec.EtcdDir, "server", etcd, spec.NodeName, nil, both, member},
		{spec.EtcdDir, "peer", etcd, spec.NodeName, nil, both, member},
		{spec.EtcdDir, "healthcheck-client", etcd, "kube-etcd-healthcheck-client", admins, client, nil},
	})
}

func writeAll(leaves []leaf) error {
	problems := make([]error, len(leaves))
	var group sync.WaitGroup
	for i, l := range leaves {
		group.Go(func() {
			certificate, key, err := l.authority.sign(l.commonName, l.groups, l.usages, l.sans)
			if err == nil {
				err = writePair(l.dir, l.name, certificate, key)
			}
			problems[i] = err
		})
	}
	group.Wait()
	return errors.Join(problems...)
}

// firstServiceIP is the address of the Service "kubernetes".
func firstServiceIP(cidr string) (string, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", fmt.Errorf("service CIDR %q: %w", cidr, err)
	}
	return prefix.Masked().Addr().Next().String(), nil
}

// LoadAuthority reads dir/name.crt and dir/name.key.
func LoadAuthority(dir, name string) (*Authority, error) {
	certificate, err := readPEM(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, err
	}
	key, err := readPEM(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	a := &Authority{}
	if a.Certificate, err = x509.ParseCertificate(certificate); err != nil {
		return nil, fmt.Errorf("%s.crt: %w", name, err)
	}
	if a.key, err = x509.ParsePKCS1PrivateKey(key); err != nil {
		return nil, fmt.Errorf("%s.key: %w", name, err)
	}
	return a, nil
}

func ensureAuthority(dir, name, commonName string) (*Authority, error) {
	existing, err := LoadAuthority(dir, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return existing, err
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(commonName, time.Now())
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := writePair(dir, name, der, key); err != nil {
		return nil, err
	}
	return LoadAuthority(dir, name)
}

func newTemplate(commonName string, from time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: commonName},
		NotBefore: from.UTC(), NotAfter: time.Now().AddDate(years, 0, 0).UTC(),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}, nil
}

func (a *Authority) sign(commonName string, groups []string, usages []x509.ExtKeyUsage, sans []string) ([]byte, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate(commonName, a.Certificate.NotBefore)
	if err != nil {
		return nil, nil, err
	}
	template.Subject.Organization, template.ExtKeyUsage = groups, usages
	for _, san := range sans {
		if ip := net.ParseIP(san); ip != nil {
			if !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
				template.IPAddresses = append(template.IPAddresses, ip)
			}
		} else if !slices.Contains(template.DNSNames, san) {
			template.DNSNames = append(template.DNSNames, san)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, key.Public(), a.key)
	return der, key, err
}

func ensureServiceAccountKey(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "sa.key")); err == nil {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "sa.key"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY", public, 0o600)
}

func writePair(dir, name string, certificate []byte, key *rsa.PrivateKey) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, name+".key"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", certificate, 0o644)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, encode(kind, der), mode)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	return block.Bytes, nil
}
