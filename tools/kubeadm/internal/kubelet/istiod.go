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
	"math/big"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
)

// webhookCommand and a dash begin the name under which this program acts as a container that serves Istio's webhooks.
const webhookCommand = "lab-webhook"

// webhookServices are the Services of Istio 1.5.0's webhooks, by the image of the program behind each.
var webhookServices = map[string]string{"pilot": "istiod", "galley": "istio-galley", "sidecar_injector": "istio-sidecar-injector"}

const (
	webhookKinds = "/apis/admissionregistration.k8s.io/v1beta1/"
	caConfigMap  = "istio-ca-root-cert"
	caSecret     = "istio-ca-secret"
)

// ServeWebhooks stands for what istiod 1.5.0 (and galley and the injector of profile separate) leaves in the cluster: an
// authority of its own, its certificate in every webhook that points to the program, and in a ConfigMap of every namespace.
// It serves nothing: no pod network leads to it. So the validating webhook's failurePolicy, which the real one turns from
// Ignore to Fail once it is served, stays Ignore.
func ServeWebhooks(service string) error {
	read := func(name string) (string, error) {
		data, err := os.ReadFile(filepath.Join(serviceAccountPath, name))
		return strings.TrimSpace(string(data)), err
	}
	token, tokenErr := read("token")
	ca, caErr := read("ca.crt")
	namespace, namespaceErr := read("namespace")
	if err := errors.Join(tokenErr, caErr, namespaceErr); err != nil {
		return err
	}
	trusting, err := kube.Trusting([]byte(ca))
	if err != nil {
		return err
	}
	server := fmt.Sprintf("https://%s:%s", os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	api := kube.New(server, token, trusting)
	fmt.Println("webhook: stand-in of the sealos-istio lab for the program behind Service", service)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	for tick := time.NewTicker(2 * time.Second); ; {
		if err := keepAuthority(ctx, api, namespace, service); err != nil && ctx.Err() == nil {
			fmt.Println("webhook:", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func keepAuthority(ctx context.Context, api *kube.Client, namespace, service string) error {
	certificate := []byte("\n")
	if service == webhookServices["pilot"] {
		made, err := authority(ctx, api, namespace)
		if err != nil {
			return err
		}
		certificate = made
		if err := spreadAuthority(ctx, api, certificate); err != nil {
			return err
		}
	} else {
		// the real ones take theirs from a file that citadel's Secret puts there; any authority will do here
		_, made, err := newAuthority()
		if err != nil {
			return err
		}
		certificate = made
	}
	for _, kind := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		var list struct{ Items []kube.Object }
		err := api.Get(ctx, webhookKinds+kind, &list)
		if kube.IsCode(err, http.StatusForbidden) { // the injector's role knows its own configuration only, which has its name
			err = api.Get(ctx, webhookKinds+kind+"?fieldSelector=metadata.name%3D"+service, &list)
		}
		if err != nil {
			// a Role that doesn't know the kind belongs to a program that has nothing to do with it
			if kube.IsCode(err, http.StatusForbidden) {
				continue
			}
			return err
		}
		for _, object := range list.Items {
			if !fillIn(object, namespace, service, base64.StdEncoding.EncodeToString(certificate)) {
				continue
			}
			path := webhookKinds + kind + "/" + object["metadata"].(kube.Object)["name"].(string)
			var err error
			if kind == "mutatingwebhookconfigurations" { // each by the verb that 1.5.0's roles allow
				err = api.Patch(ctx, path, kube.Object{"webhooks": object["webhooks"]}, nil)
			} else {
				err = api.Put(ctx, path, object, nil)
			}
			if err != nil && !kube.IsCode(err, http.StatusConflict) && !kube.IsCode(err, http.StatusNotFound) {
				return err
			}
			fmt.Println("webhook: filled the authority into", path)
		}
	}
	return nil
}

// fillIn puts an authority into the webhooks of a configuration that point to the service and have none.
func fillIn(configuration kube.Object, namespace, service, bundle string) (changed bool) {
	webhooks, _ := configuration["webhooks"].([]any)
	for _, item := range webhooks {
		webhook, _ := item.(kube.Object)
		client, _ := webhook["clientConfig"].(kube.Object)
		target, _ := client["service"].(kube.Object)
		if target["name"] == service && target["namespace"] == namespace && (client["caBundle"] == nil || client["caBundle"] == "") {
			client["caBundle"] = bundle
			changed = true
		}
	}
	return changed
}

// authority is the one in Secret istio-ca-secret; made when there is none.
func authority(ctx context.Context, api *kube.Client, namespace string) ([]byte, error) {
	secrets := "/api/v1/namespaces/" + namespace + "/secrets"
	var found struct{ Data map[string][]byte }
	err := api.Get(ctx, secrets+"/"+caSecret, &found)
	if err == nil {
		return found.Data["ca-cert.pem"], nil
	}
	if !kube.IsCode(err, http.StatusNotFound) {
		return nil, err
	}
	key, certificate, err := newAuthority()
	if err != nil {
		return nil, err
	}
	return certificate, api.Post(ctx, secrets, kube.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "istio.io/ca-root", "metadata": kube.Object{"name": caSecret, "namespace": namespace},
		"data": kube.Object{"ca-cert.pem": certificate, "ca-key.pem": key},
	}, nil)
}

func newAuthority() (key, certificate []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{Organization: []string{"cluster.local"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// spreadAuthority leaves the authority's certificate in every namespace, where nobody takes it away again.
func spreadAuthority(ctx context.Context, api *kube.Client, certificate []byte) error {
	var list struct {
		Items []struct{ Metadata, Status kube.Object }
	}
	if err := api.Get(ctx, "/api/v1/namespaces", &list); err != nil {
		return err
	}
	for _, namespace := range list.Items {
		if namespace.Status["phase"] == "Terminating" {
			continue
		}
		configMaps := "/api/v1/namespaces/" + namespace.Metadata["name"].(string) + "/configmaps"
		err := api.Get(ctx, configMaps+"/"+caConfigMap, nil)
		if kube.IsCode(err, http.StatusNotFound) {
			err = api.Ensure(ctx, configMaps, kube.Object{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": kube.Object{"name": caConfigMap},
				"data": kube.Object{"root-cert.pem": string(certificate)},
			})
		}
		if err != nil && !kube.IsCode(err, http.StatusNotFound) && !kube.IsCode(err, http.StatusForbidden) {
			return err
		}
	}
	return nil
}
