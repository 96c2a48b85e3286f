package kubelet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// Bootstrap gets a client certificate for system:node:NAME by a certificate signing request with the bootstrap login
// (TLS bootstrap) and writes the kubeconfig with it.
func Bootstrap(ctx context.Context, bootstrapPath, kubeconfigPath, node string) error {
	data, err := os.ReadFile(bootstrapPath)
	if err != nil {
		return fmt.Errorf("no login: neither %s nor a bootstrap login (%w)", kubeconfigPath, err)
	}
	client, err := kube.FromConfig(data)
	if err != nil {
		return fmt.Errorf("%s: %w", bootstrapPath, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
	}, key)
	if err != nil {
		return err
	}
	certificate, err := sign(ctx, client, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	if err != nil {
		return fmt.Errorf("certificate of the node: %w", err)
	}
	rawKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	pair := append(certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: rawKey})...)
	const pairPath = lab.KubeletDir + "/pki/kubelet-client-current.pem"
	if err := lab.WriteFile(pairPath, pair, 0o600); err != nil {
		return err
	}
	from, err := kube.ParseConfig(data)
	if err != nil {
		return err
	}
	ca, err := from.CA()
	if err != nil {
		return err
	}
	config, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "default-context",
		"clusters": []any{map[string]any{"name": "default-cluster", "cluster": map[string]any{
			"server": from.Clusters[0].Cluster.Server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca),
		}}},
		"contexts": []any{map[string]any{"name": "default-context", "context": map[string]any{"cluster": "default-cluster", "user": "default-auth", "namespace": "default"}}},
		"users":    []any{map[string]any{"name": "default-auth", "user": map[string]any{"client-certificate": pairPath, "client-key": pairPath}}},
	})
	if err != nil {
		return err
	}
	return lab.WriteFile(kubeconfigPath, config, 0o600)
}

func sign(ctx context.Context, client *kube.Client, request []byte) ([]byte, error) {
	const collection = "/apis/certificates.k8s.io/v1beta1/certificatesigningrequests"
	var created struct {
		Metadata kube.Meta `json:"metadata"`
	}
	err := client.Post(ctx, collection, kube.Object{
		"apiVersion": "certificates.k8s.io/v1beta1", "kind": "CertificateSigningRequest",
		"metadata": kube.Object{"generateName": "csr-"},
		"spec":     kube.Object{"request": request, "usages": []string{"digital signature", "key encipherment", "client auth"}},
	}, &created)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var answer struct {
			Status struct {
				Certificate []byte `json:"certificate"`
				Conditions  []struct {
					Type    string `json:"type"`
					Message string `json:"message"`
				} `json:"conditions"`
			} `json:"status"`
		}
		if err := client.Get(ctx, collection+"/"+created.Metadata.Name, &answer); err != nil {
			return nil, err
		}
		for _, condition := range answer.Status.Conditions {
			if condition.Type == "Denied" {
				return nil, fmt.Errorf("denied: %s", condition.Message)
			}
		}
		if len(answer.Status.Certificate) > 0 {
			return answer.Status.Certificate, nil
		}
	}
	return nil, errors.New("the request was not approved and signed within 60 seconds")
}
