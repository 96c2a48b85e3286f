// Package kube is a small client of the Kubernetes API: JSON over HTTPS with a client certificate or a token.
package kube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// MergePatch is the content type of a JSON merge patch.
const MergePatch = "application/merge-patch+json"

// Object is any JSON object.
type Object = map[string]any

// Client talks to one API server. Its zero limits are five seconds to connect and twenty for an answer.
type Client struct {
	Server string
	Token  string
	http   *http.Client
	stream *http.Client
}

// StatusError is an answer of the API server that says no.
type StatusError struct {
	Code    int
	Reason  string
	Message string
}

func (e *StatusError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("the API server answered %d %s", e.Code, e.Reason)
}

// IsCode says whether err is an answer of the API server with this HTTP status.
func IsCode(err error, code int) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == code
}

// New makes a client. A nil config means no verification of the server, which only the first step of discovery uses.
func New(server, token string, config *tls.Config) *Client {
	transport := &http.Transport{
		TLSClientConfig:     config,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     10 * time.Second,
		MaxIdleConnsPerHost: 4,
	}
	return &Client{
		Server: strings.TrimSuffix(server, "/"), Token: token,
		http:   &http.Client{Transport: transport, Timeout: 20 * time.Second},
		stream: &http.Client{Transport: transport},
	}
}

// CloseIdle drops open connections, for example after the address of the server has moved.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Config is the part of a kubeconfig file that is read and written here.
type Config struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Clusters   []struct {
		Name    string `yaml:"name"`
		Cluster struct {
			Server string `yaml:"server"`
			CAData string `yaml:"certificate-authority-data,omitempty"`
			CAFile string `yaml:"certificate-authority,omitempty"`
		} `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		Name string `yaml:"name"`
		User struct {
			CertificateData string `yaml:"client-certificate-data,omitempty"`
			CertificateFile string `yaml:"client-certificate,omitempty"`
			KeyData         string `yaml:"client-key-data,omitempty"`
			KeyFile         string `yaml:"client-key,omitempty"`
			Token           string `yaml:"token,omitempty"`
		} `yaml:"user"`
	} `yaml:"users"`
}

// ParseConfig reads a kubeconfig.
func ParseConfig(data []byte) (*Config, error) {
	var config Config
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, err
	}
	if len(config.Clusters) == 0 || config.Clusters[0].Cluster.Server == "" {
		return nil, errors.New("no cluster with a server in it")
	}
	return &config, nil
}

// CA returns the PEM text of the cluster's certificate authority.
func (c *Config) CA() ([]byte, error) {
	cluster := c.Clusters[0].Cluster
	return inlineOrFile(cluster.CAData, cluster.CAFile)
}

// FromFile makes a client from a kubeconfig file.
func FromFile(path string) (*Client, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	client, err := FromConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return client, nil
}

// FromConfig makes a client from the text of a kubeconfig.
func FromConfig(data []byte) (*Client, error) {
	config, err := ParseConfig(data)
	if err != nil {
		return nil, err
	}
	ca, err := config.CA()
	if err != nil {
		return nil, err
	}
	secure, err := Trusting(ca)
	if err != nil {
		return nil, err
	}
	token := ""
	if len(config.Users) > 0 {
		user := config.Users[0].User
		token = user.Token
		certificate, err := inlineOrFile(user.CertificateData, user.CertificateFile)
		if err != nil {
			return nil, err
		}
		key, err := inlineOrFile(user.KeyData, user.KeyFile)
		if err != nil {
			return nil, err
		}
		if len(certificate) > 0 {
			pair, err := tls.X509KeyPair(certificate, key)
			if err != nil {
				return nil, err
			}
			secure.Certificates = []tls.Certificate{pair}
		}
	}
	return New(config.Clusters[0].Cluster.Server, token, secure), nil
}

// Trusting makes a TLS configuration that accepts servers of this authority only.
func Trusting(ca []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the certificate authority is not a PEM certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func inlineOrFile(inline, path string) ([]byte, error) {
	if inline != "" {
		return base64.StdEncoding.DecodeString(inline)
	}
	if path != "" {
		return os.ReadFile(path)
	}
	return nil, nil
}

// KeyHash is the pin of a certificate: "sha256:" and the hex SHA-256 of its subject public key information.
func KeyHash(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Certificates reads all certificates of a PEM text.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate found")
	}
	return all, nil
}

func (c *Client) request(ctx context.Context, method, path, contentType string, body any) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Server+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "lab-kubernetes")
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return request, nil
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body, out any) error {
	request, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return statusError(response.StatusCode, data)
	}
	switch target := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*target = data
		return nil
	default:
		return json.Unmarshal(data, out)
	}
}

func statusError(code int, data []byte) error {
	failure := &StatusError{Code: code, Reason: http.StatusText(code)}
	var status struct{ Reason, Message string }
	if json.Unmarshal(data, &status) == nil && status.Message != "" {
		failure.Reason, failure.Message = status.Reason, status.Message
	}
	return failure
}

// Get reads path into out (a *[]byte takes the raw answer).
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, "", nil, out)
}

// Post creates an object in the collection at path.
func (c *Client) Post(ctx context.Context, path string, body, out any) error {
	return c.do(ctx, http.MethodPost, path, "application/json", body, out)
}

// Put replaces the object at path.
func (c *Client) Put(ctx context.Context, path string, body, out any) error {
	return c.do(ctx, http.MethodPut, path, "application/json", body, out)
}

// Patch changes the object at path by a JSON merge patch.
func (c *Client) Patch(ctx context.Context, path string, body, out any) error {
	return c.do(ctx, http.MethodPatch, path, MergePatch, body, out)
}

// Delete removes the object at path.
func (c *Client) Delete(ctx context.Context, path string, options any) error {
	return c.do(ctx, http.MethodDelete, path, "application/json", options, nil)
}

// Ensure creates the object in the collection at path; one that is there already stays as it is.
func (c *Client) Ensure(ctx context.Context, path string, body any) error {
	if err := c.Post(ctx, path, body, nil); err != nil && !IsCode(err, http.StatusConflict) {
		return err
	}
	return nil
}

// Watch follows a list path (with its query) until the stream ends and hands over each event.
func (c *Client) Watch(ctx context.Context, path string, event func(kind string, object json.RawMessage) error) error {
	request, err := c.request(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	response, err := c.stream.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		data, _ := io.ReadAll(response.Body)
		return statusError(response.StatusCode, data)
	}
	for decoder := json.NewDecoder(response.Body); ; {
		var next struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := decoder.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := event(next.Type, next.Object); err != nil {
			return err
		}
	}
}
