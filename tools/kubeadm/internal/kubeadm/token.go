package kubeadm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

const bootstrapGroup = "system:bootstrappers:kubeadm:default-node-token"

var tokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

func randomText(length int) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, 0, length)
	for buffer := make([]byte, 1); len(text) < length; {
		if _, err := rand.Read(buffer); err != nil {
			return "", err
		}
		if int(buffer[0]) < 252 { // 7 × 36: no letter is likelier than another
			text = append(text, letters[int(buffer[0])%len(letters)])
		}
	}
	return string(text), nil
}

// NewToken makes a bootstrap token: six and sixteen characters.
func NewToken() (string, error) {
	id, err := randomText(6)
	if err != nil {
		return "", err
	}
	secret, err := randomText(16)
	return id + "." + secret, err
}

// tokenSecret is the Secret that makes a token valid.
func tokenSecret(token string, life time.Duration, now time.Time) kube.Object {
	id, secret, _ := strings.Cut(token, ".")
	return kube.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
		"metadata": kube.Object{"name": "bootstrap-token-" + id, "namespace": "kube-system"},
		"stringData": kube.Object{
			"token-id": id, "token-secret": secret, "expiration": now.Add(life).UTC().Format(time.RFC3339),
			"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": bootstrapGroup,
		},
	}
}

func createToken(ctx context.Context, client *kube.Client) (string, error) {
	token, err := NewToken()
	if err != nil {
		return "", err
	}
	return token, client.Post(ctx, "/api/v1/namespaces/kube-system/secrets", tokenSecret(token, 24*time.Hour, time.Now()), nil)
}

// caHash is the pin of the cluster's authority.
func caHash() (string, error) {
	text, err := os.ReadFile(filepath.Join(lab.PKIDir, "ca.crt"))
	if err != nil {
		return "", err
	}
	certificates, err := kube.Certificates(text)
	if err != nil {
		return "", err
	}
	return kube.KeyHash(certificates[0]), nil
}

// endpoint is host:port of the API server in a kubeconfig.
func endpoint(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	config, err := kube.ParseConfig(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return strings.TrimPrefix(config.Clusters[0].Cluster.Server, "https://"), nil
}

// TokenCreate makes a token and prints it, with print as the join command (one line).
func TokenCreate(print bool) error {
	path := filepath.Join(lab.KubernetesDir, "admin.conf")
	client, err := kube.FromFile(path)
	if err != nil {
		return fmt.Errorf("failed to load admin kubeconfig: %w", err)
	}
	token, err := createToken(context.Background(), client)
	if err != nil {
		return err
	}
	if !print {
		fmt.Println(token)
		return nil
	}
	server, err := endpoint(path)
	if err != nil {
		return err
	}
	hash, err := caHash()
	if err != nil {
		return err
	}
	fmt.Printf("kubeadm join %s --token %s     --discovery-token-ca-cert-hash %s \n", server, token, hash)
	return nil
}

// sharedFiles are the files of the control plane that a new master needs.
var sharedFiles = []string{
	"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key",
}

// UploadCerts stores the shared certificates in Secret kubeadm-certs, encrypted by a new key, and prints the key where
// sealos looks for it: on the line after "Using certificate key:".
func UploadCerts() (string, error) {
	client, err := kube.FromFile(filepath.Join(lab.KubernetesDir, "admin.conf"))
	if err != nil {
		return "", err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	data := kube.Object{}
	for _, name := range sharedFiles {
		plain, err := os.ReadFile(filepath.Join(lab.PKIDir, name))
		if err != nil {
			return "", err
		}
		sealed, err := encrypt(key, plain)
		if err != nil {
			return "", err
		}
		data[strings.ReplaceAll(name, "/", "-")] = sealed
	}
	ctx := context.Background()
	const collection = "/api/v1/namespaces/kube-system/secrets"
	secret := kube.Object{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": kube.Object{"name": "kubeadm-certs", "namespace": "kube-system"}, "data": data}
	err = client.Post(ctx, collection, secret, nil)
	if kube.IsCode(err, http.StatusConflict) {
		err = client.Put(ctx, collection+"/kubeadm-certs", secret, nil)
	}
	if err != nil {
		return "", err
	}
	text := hex.EncodeToString(key)
	fmt.Printf("[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n[upload-certs] Using certificate key:\n%s\n", text)
	return text, nil
}

func encrypt(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, sealer.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return sealer.Seal(nonce, nonce, plain, nil), nil
}

// VerifySignature checks the detached JWS (HS256) that the bootstrap signer made of the cluster's kubeconfig with a token.
func VerifySignature(kubeconfig, signature, token string) error {
	id, secret, _ := strings.Cut(token, ".")
	header, rest, ok := strings.Cut(signature, "..")
	if !ok {
		return errors.New("the signature of cluster-info has an unknown form")
	}
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return fmt.Errorf("the signature of cluster-info: %w", err)
	}
	var head struct{ Alg, Kid string }
	if err := json.Unmarshal(raw, &head); err != nil || head.Alg != "HS256" || head.Kid != id {
		return errors.New("the signature of cluster-info is not HS256 by this token")
	}
	claimed, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil {
		return fmt.Errorf("the signature of cluster-info: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(header + "." + base64.RawURLEncoding.EncodeToString([]byte(kubeconfig))))
	if !hmac.Equal(mac.Sum(nil), claimed) {
		return errors.New("the signature of cluster-info does not fit this token")
	}
	return nil
}
