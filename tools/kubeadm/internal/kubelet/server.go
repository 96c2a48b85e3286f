package kubelet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// serve opens the kubelet's ports: 10250 for the API server (`kubectl logs`), 10248 on loopback for health.
func (k *Kubelet) serve(ctx context.Context) error {
	certificate, err := k.servingCertificate()
	if err != nil {
		return err
	}
	secure := http.NewServeMux()
	secure.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.logs)
	secure.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		http.Error(writer, "the lab's kubelet offers container logs only; there are no containers to enter", http.StatusNotImplemented)
	})
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", func(writer http.ResponseWriter, _ *http.Request) { fmt.Fprint(writer, "ok") })
	listener, err := tls.Listen("tcp", fmt.Sprintf(":%d", lab.KubeletPort), &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return err
	}
	local, err := net.Listen("tcp", "127.0.0.1:10248")
	if err != nil {
		listener.Close()
		return err
	}
	for _, pair := range []struct {
		listener net.Listener
		handler  http.Handler
	}{{listener, authenticated(secure)}, {local, health}} {
		server := &http.Server{Handler: pair.handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(pair.listener) }()
		context.AfterFunc(ctx, func() { server.Close() })
	}
	return nil
}

// authenticated lets in who shows a client certificate of the cluster's authority with the group system:masters, which
// is what the API server's kubelet client has.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if !trusted(request) {
			http.Error(writer, "Unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(writer, request)
	})
}

func trusted(request *http.Request) bool {
	if request.TLS == nil || len(request.TLS.PeerCertificates) == 0 {
		return false
	}
	ca, err := os.ReadFile(lab.PKIDir + "/ca.crt")
	if err != nil {
		return false
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	certificate := request.TLS.PeerCertificates[0]
	_, err = certificate.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil && slices.Contains(certificate.Subject.Organization, "system:masters")
}

// servingCertificate is self-signed, as a kubelet's without --tls-cert-file.
func (k *Kubelet) servingCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: k.name}, DNSNames: []string{k.name}, IPAddresses: []net.IP{net.ParseIP(k.who.NodeAddress)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}

func (k *Kubelet) logs(writer http.ResponseWriter, request *http.Request) {
	namespace, name, container := request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container")
	var found *kube.Pod
	k.mutex.Lock()
	for _, pods := range []map[string]kube.Pod{k.pods, k.static} {
		for _, pod := range pods {
			if pod.Meta.Namespace == namespace && pod.Meta.Name == name {
				found = &pod
			}
		}
	}
	k.mutex.Unlock()
	if found == nil {
		http.Error(writer, fmt.Sprintf("pod %s/%s is not on this node", namespace, name), http.StatusNotFound)
		return
	}
	index := slices.IndexFunc(found.Spec.Containers, func(c kube.Container) bool { return c.Name == container })
	runs := false
	if index >= 0 && RoleOf(found) == Real {
		_, _, runs = program(&found.Spec.Containers[index])
	}
	if !runs {
		fmt.Fprintf(writer, "container %s of %s/%s is played by the lab; nothing runs, so there is no log\n", container, namespace, name)
		return
	}
	query := request.URL.Query()
	tail, err := strconv.Atoi(query.Get("tailLines"))
	if err != nil {
		tail = -1
	}
	limit, err := strconv.ParseInt(query.Get("limitBytes"), 10, 64)
	if err != nil {
		limit = -1
	}
	if err := copyLog(request.Context(), writer, LogPath(found, container), tail, limit, query.Get("follow") == "true"); err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
	}
}

// copyLog writes the file, from its last tail lines on (-1: all), at most limit bytes (-1: all), and goes on with follow.
func copyLog(ctx context.Context, writer http.ResponseWriter, path string, tail int, limit int64, follow bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if tail >= 0 {
		start, err := lastLines(file, tail)
		if err != nil {
			return err
		}
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	if limit >= 0 {
		_, err := io.CopyN(writer, file, limit)
		if err == io.EOF {
			err = nil
		}
		return err
	}
	for {
		if _, err := io.Copy(writer, file); err != nil || !follow {
			return err
		}
		if flusher, ok := writer.(http.Flusher); ok {
			flusher.Flush()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lastLines gives the offset where the last count lines begin.
func lastLines(file *os.File, count int) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	if count == 0 {
		return end, nil
	}
	buffer := make([]byte, 64<<10)
	seen := 0
	for position := end; position > 0; {
		size := min(position, int64(len(buffer)))
		position -= size
		if _, err := file.ReadAt(buffer[:size], position); err != nil && err != io.EOF {
			return 0, err
		}
		for index := size - 1; index >= 0; index-- {
			if buffer[index] == '\n' && position+index != end-1 {
				if seen++; seen == count {
					return position + index + 1, nil
				}
			}
		}
	}
	return 0, nil
}
