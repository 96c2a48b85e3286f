package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sealos-istio/tools/kubeadm/internal/kube"
)

type fakeSources struct {
	configMaps map[string]map[string]string
	secrets    map[string]map[string][]byte
}

func (f fakeSources) ConfigMap(namespace, name string) (map[string]string, error) {
	return f.configMaps[namespace+"/"+name], nil
}

func (f fakeSources) Secret(namespace, name string) (map[string][]byte, error) {
	return f.secrets[namespace+"/"+name], nil
}

const podText = `
kind: Pod
metadata:
  name: istio-cni-node-x
  namespace: kube-system
  uid: u1
  labels: {k8s-app: istio-cni-node}
  annotations: {note: hello}
spec:
  nodeName: sealos03
  hostNetwork: true
  serviceAccountName: istio-cni
  containers:
  - name: install-cni
    image: docker.io/istio/install-cni:1.5.0
    command: [/install-cni.sh]
    envFrom:
    - {prefix: P_, configMapRef: {name: extra}}
    - {configMapRef: {name: absent, optional: true}}
    env:
    - {name: CNI_NETWORK_CONFIG, valueFrom: {configMapKeyRef: {name: istio-cni-config, key: cni_network_config}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['k8s-app']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: words, key: one}}}
    - {name: MAYBE, valueFrom: {secretKeyRef: {name: words, key: two, optional: true}}}
    - {name: WHERE, value: "on $(NODE) at $(KUBERNETES_SERVICE_HOST), $(UNKNOWN), $$(NODE)"}
    volumeMounts:
    - {name: conf, mountPath: /host/etc/cni/net.d}
    - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  - name: repair-cni
    image: docker.io/istio/install-cni:1.5.0
    command: [/opt/cni/bin/istio-cni-repair]
  volumes:
  - {name: conf, hostPath: {path: CONFDIR}}
  - {name: token, secret: {secretName: istio-cni-token}}
`

var sources = fakeSources{
	configMaps: map[string]map[string]string{"kube-system/istio-cni-config": {"cni_network_config": "{}"}, "kube-system/extra": {"B": "2", "A": "1"}},
	secrets:    map[string]map[string][]byte{"kube-system/words": {"one": []byte("uno")}, "kube-system/istio-cni-token": {"token": []byte("t"), "ca.crt": []byte("c")}},
}

var who = Identity{NodeAddress: "198.51.100.13", PodAddress: "198.51.100.13", Service: "10.96.0.1"}

func testPod(t *testing.T) *kube.Pod {
	t.Helper()
	var pod kube.Pod
	if err := kube.FromYAML([]byte(strings.ReplaceAll(podText, "CONFDIR", t.TempDir())), &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

func TestEnvironment(t *testing.T) {
	pod := testPod(t)
	lines, err := Environment(pod, &pod.Spec.Containers[0], who, sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443", "KUBERNETES_PORT=tcp://10.96.0.1:443", "CNI_NETWORK_CONFIG={}",
		"NODE=sealos03", "POD_NAME=istio-cni-node-x", "APP=istio-cni-node", "NOTE=hello", "HOST=198.51.100.13", "WORD=uno", "P_A=1", "P_B=2",
		"WHERE=on sealos03 at 10.96.0.1, $(UNKNOWN), $(NODE)",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("%s is missing in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "MAYBE=") }) {
		t.Error("an optional key that does not exist gives a variable")
	}
}

func TestEnvironmentNamesWhatIsMissing(t *testing.T) {
	pod := testPod(t)
	for text, want := range map[string]string{
		`{name: X, valueFrom: {configMapKeyRef: {name: nope, key: k}}}`:             `configmap "nope" not found`,
		`{name: X, valueFrom: {configMapKeyRef: {name: istio-cni-config, key: k}}}`: `key "k" not found in configmap "istio-cni-config"`,
		`{name: X, valueFrom: {secretKeyRef: {name: nope, key: k}}}`:                `secret "nope" not found`,
		`{name: X, valueFrom: {fieldRef: {fieldPath: spec.nope}}}`:                  `"spec.nope"`,
	} {
		var variable kube.EnvVar
		if err := kube.FromYAML([]byte(text), &variable); err != nil {
			t.Fatal(err)
		}
		_, err := Environment(pod, &kube.Container{Env: []kube.EnvVar{variable}}, who, sources)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
	if _, err := Environment(pod, &kube.Container{EnvFrom: []kube.EnvFrom{{ConfigMap: &kube.NameRef{Name: "nope"}}}}, who, sources); err == nil {
		t.Error("envFrom of a ConfigMap that does not exist passes")
	}
}

func TestBuildMounts(t *testing.T) {
	pod := testPod(t)
	spec, err := build(pod, &pod.Spec.Containers[0], "/bin/true", who, sources)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Name != "" {
		t.Error("a pod on the host network has a host name of its own")
	}
	if spec.Program != "/usr/bin/install-cni.sh" || spec.Args[0] != "/install-cni.sh" {
		t.Errorf("program %s, arguments %v", spec.Program, spec.Args)
	}
	token := slices.IndexFunc(spec.Binds, func(b bind) bool { return b.Target == serviceAccountPath })
	if token < 0 || string(spec.Binds[token].Files["token"]) != "t" || spec.Binds[token].Source != "" {
		t.Errorf("service account: %+v", spec.Binds)
	}
	if slices.IndexFunc(spec.Binds, func(b bind) bool { return b.Target == "/host/etc/cni/net.d" && b.Source != "" }) < 0 {
		t.Errorf("hostPath: %+v", spec.Binds)
	}
}

func TestRolesAndPrograms(t *testing.T) {
	pod := testPod(t)
	if RoleOf(pod) != Real {
		t.Error("istio-cni-node is not run here")
	}
	if _, builtin, real := program(&pod.Spec.Containers[0]); !real || builtin != installCNICommand {
		t.Error("install-cni is not run here")
	}
	if _, _, real := program(&pod.Spec.Containers[1]); real {
		t.Error("repair-cni has the same image, but is another program")
	}
	if RoleOf(&kube.Pod{Meta: kube.Meta{Labels: map[string]string{"app": "kiali"}}}) != Played {
		t.Error("kiali is not left to kwok")
	}
	if _, builtin, real := program(&kube.Container{Image: "docker.io/istio/pilot:1.5.0"}); !real || builtin != "lab-webhook-istiod" {
		t.Error("istiod's part is not played here:", builtin)
	}
	images := t.TempDir()
	t.Setenv("LAB_IMAGES", images)
	operator := &kube.Container{Image: "hub.example:5000/istio/operator:1.5.0"}
	// whether its program is there or not: without one, the container can't be created
	if path, _, real := program(operator); !real || path != filepath.Join(images, "istio-operator-1.5.0") {
		t.Error(path, real)
	}
	if _, builtin, real := program(&kube.Container{Image: "istio/install-cni:1.7.8", Command: []string{"install-cni"}}); !real || builtin != installCNICommand {
		t.Error("the install-cni of Istio 1.7 is not run here")
	}
	if err := os.WriteFile(filepath.Join(images, "contour"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	contour := &kube.Container{Image: "docker.io/projectcontour/contour:v1.9.0", Command: []string{"contour"}, Args: []string{"serve", "--incluster"}}
	if path, _, real := program(contour); !real || path != filepath.Join(images, "contour") {
		t.Error(path, real)
	}
	if RoleOf(&kube.Pod{Meta: kube.Meta{Labels: map[string]string{"app": "contour"}}}) != Real {
		t.Error("contour is not run here")
	}
	contour.Args = []string{"envoy", "shutdown-manager"}
	if _, _, real := program(contour); real {
		t.Error("Envoy's companion has the same image, but is played")
	}
}

func TestImageTag(t *testing.T) {
	for image, want := range map[string]string{
		"operator": "latest", "istio/operator:1.5.0": "1.5.0", "host:5000/istio/operator": "latest", "host:5000/operator:1.8.0@sha256:00": "1.8.0",
	} {
		if got := imageTag(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestTheInstallerInstallsAgainFromIstio17On(t *testing.T) {
	for tag, want := range map[string]bool{"1.5.0": false, "1.6.5": false, "1.7.8": true, "1.13.4": true, "latest": true, "1.5-dev": true} {
		if got := installsAgain(tag); got != want {
			t.Errorf("%s: %v", tag, got)
		}
	}
}

// The program of 1.7 and later waits for the network's own configuration; the script makes one of its own (cni.Append).
func TestTheLaterInstallerWaitsForTheNetwork(t *testing.T) {
	dir := t.TempDir()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if waitForNetwork(ended, dir, "") {
		t.Error("an empty folder was taken for a network")
	}
	waited := make(chan bool)
	go func() { waited <- waitForNetwork(t.Context(), dir, "10-calico.conflist") }()
	if err := os.WriteFile(filepath.Join(dir, "05-other.conflist"), []byte(`{"plugins": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waited:
		t.Error("another configuration than the named one was enough")
	case <-time.After(500 * time.Millisecond):
	}
	if err := os.WriteFile(filepath.Join(dir, "10-calico.conflist"), []byte(`{"plugins": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if !<-waited || !waitForNetwork(t.Context(), dir, "") {
		t.Error("the network is there, and it waits")
	}
}

func TestImageName(t *testing.T) {
	for image, want := range map[string]string{
		"operator": "operator", "istio/operator:1.5.0": "operator", "host:5000/istio/operator": "operator", "k8s.gcr.io/etcd@sha256:00": "etcd",
	} {
		if got := imageName(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

// kwok must leave alone exactly the pods that are run here, in every stage for pods.
func TestKwokConfigExcludesRealPods(t *testing.T) {
	decoder := yaml.NewDecoder(strings.NewReader(kwokConfig()))
	stages := 0
	for {
		var stage struct {
			Spec struct {
				ResourceRef struct{ Kind string } `yaml:"resourceRef"`
				Selector    struct {
					MatchExpressions []struct {
						Key      string
						Operator string
						Values   []string
					} `yaml:"matchExpressions"`
				}
			}
		}
		if decoder.Decode(&stage) != nil {
			break
		}
		if stage.Spec.ResourceRef.Kind != "Pod" {
			continue
		}
		stages++
		for _, owned := range ownedLabels {
			if !slices.ContainsFunc(stage.Spec.Selector.MatchExpressions, func(e struct {
				Key      string
				Operator string
				Values   []string
			}) bool {
				return e.Key == `.metadata.labels["`+owned.Key+`"]` && e.Operator == "NotIn" && slices.Contains(e.Values, owned.Value)
			}) {
				t.Errorf("stage %d plays pods with %s=%s", stages, owned.Key, owned.Value)
			}
		}
	}
	if stages != 3 {
		t.Errorf("%d stages for pods, want ready, complete and delete", stages)
	}
}

func TestPodStatusIsReadyOnlyWhileEverythingRuns(t *testing.T) {
	pod := testPod(t)
	now := time.Now()
	states := []containerState{{running: true, started: now, pid: 7}, {running: true, started: now}}
	ready := func() string {
		for _, condition := range podStatus(pod, states, who, now)["conditions"].([]any) {
			if condition.(kube.Object)["type"] == "Ready" {
				return condition.(kube.Object)["status"].(string)
			}
		}
		return ""
	}
	if ready() != "True" {
		t.Error("all run, but the pod is not ready")
	}
	states[0] = containerState{reason: "CrashLoopBackOff", last: &ended{code: 137, reason: "Error", started: now, finished: now}}
	if ready() != "False" {
		t.Error("a process is dead, but the pod is ready")
	}
	if phase := podStatus(pod, states, who, now)["phase"]; phase != "Running" {
		t.Errorf("phase %v", phase)
	}
}

func TestNodeConditions(t *testing.T) {
	dir := t.TempDir()
	if networkReady(dir) == "" {
		t.Error("ready without a CNI configuration")
	}
	earlier := time.Now().Add(-time.Hour)
	first := nodeConditions(networkReady(dir), nil, earlier)
	if first[3].Type != "Ready" || first[3].Status != "False" {
		t.Errorf("%+v", first[3])
	}
	again := nodeConditions(networkReady(dir), first, time.Now())
	if again[3].LastTransitionTime != first[3].LastTransitionTime || again[3].LastHeartbeatTime == first[3].LastHeartbeatTime {
		t.Error("an unchanged condition has moved, or has no new heartbeat")
	}
	if err := os.WriteFile(filepath.Join(dir, "10-calico.conflist"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ready := nodeConditions(networkReady(dir), first, time.Now())
	if ready[3].Status != "True" || ready[3].LastTransitionTime == first[3].LastTransitionTime {
		t.Errorf("%+v", ready[3])
	}
}

// The API server refuses a Node whose nodeInfo lacks a field (OpenAPI of 1.16 marks all ten as required).
func TestNodeObjectIsComplete(t *testing.T) {
	data, err := json.Marshal(nodeObject("sealos02", "198.51.100.12", nodeConditions("", nil, time.Now())))
	if err != nil {
		t.Fatal(err)
	}
	var node struct {
		Metadata kube.Meta
		Status   struct{ NodeInfo map[string]string }
	}
	if err := json.Unmarshal(data, &node); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{
		"machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture",
	} {
		if _, there := node.Status.NodeInfo[field]; !there {
			t.Errorf("nodeInfo.%s is missing", field)
		}
	}
	for _, label := range []string{"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"} {
		if node.Metadata.Labels[label] == "" {
			t.Errorf("label %s is missing", label)
		}
	}
}

func TestStaticPods(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml":  "kind: Pod\nmetadata: {name: etcd, namespace: kube-system}\nspec: {containers: [{name: etcd, image: etcd}]}\n",
		"b.yaml":  "kind: Pod\nmetadata: {name: half",
		"c.yaml":  "kind: Service\nmetadata: {name: x}\n",
		".d.yaml": "kind: Pod\nmetadata: {name: hidden}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pods := staticPods(dir, "sealos01")
	pod, there := pods["a.yaml"]
	if len(pods) != 1 || !there || pod.Meta.Name != "etcd-sealos01" || pod.Spec.NodeName != "sealos01" {
		t.Fatalf("%+v", pods)
	}
	if other := staticPods(dir, "sealos02")["a.yaml"]; other.Meta.UID == pod.Meta.UID {
		t.Error("the same uid on two nodes")
	}
}

func TestAStaticPodOfLvscareTellsWhereTheVirtualIPLeads(t *testing.T) {
	pod := kube.Pod{Spec: kube.PodSpec{Containers: []kube.Container{{Args: strings.Fields(
		"care --vs 10.103.97.2:6443 --health-path /healthz --health-schem https --rs 198.51.100.11:6443 --rs 198.51.100.12:6443")}}}}
	if vip, masters := balanced(pod); vip != "10.103.97.2" || !slices.Equal(masters, []string{"198.51.100.11", "198.51.100.12"}) {
		t.Errorf("%q leads to %v", vip, masters)
	}
	if vip, masters := balanced(kube.Pod{Spec: kube.PodSpec{Containers: []kube.Container{{Args: []string{"--vs"}}, {}}}}); vip != "" || masters != nil {
		t.Errorf("%q leads to %v", vip, masters)
	}
}

func TestCalico(t *testing.T) {
	pod := testPod(t)
	if _, _, err := serviceAccount(pod, sources); err != nil {
		t.Error(err)
	}
	pod.Spec.Volumes = nil
	if _, _, err := serviceAccount(pod, sources); err == nil {
		t.Error("a token from nowhere")
	}
	var login map[string]any
	if err := yaml.Unmarshal(pluginLogin("https://[10.96.0.1]:443", []byte("ca"), "a.b.c", "calico"), &login); err != nil || login["current-context"] != "calico-context" {
		t.Error(login, err)
	}
}

func TestCopyLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tail  int
		limit int64
		want  string
	}{{-1, -1, "one\ntwo\nthree\n"}, {2, -1, "two\nthree\n"}, {0, -1, ""}, {9, -1, "one\ntwo\nthree\n"}, {-1, 3, "one"}} {
		recorder := httptest.NewRecorder()
		if err := copyLog(t.Context(), recorder, path, c.tail, c.limit, false); err != nil {
			t.Fatal(err)
		}
		if got := recorder.Body.String(); got != c.want {
			t.Errorf("tail %d, limit %d: %q, want %q", c.tail, c.limit, got, c.want)
		}
	}
}

func TestFillInTouchesOnlyEmptyWebhooksOfTheService(t *testing.T) {
	webhook := func(service, namespace, bundle string) any {
		return kube.Object{"clientConfig": kube.Object{"caBundle": bundle, "service": kube.Object{"name": service, "namespace": namespace}}}
	}
	bundles := func(configuration kube.Object) (found []string) {
		for _, item := range configuration["webhooks"].([]any) {
			found = append(found, item.(kube.Object)["clientConfig"].(kube.Object)["caBundle"].(string))
		}
		return found
	}
	configuration := kube.Object{"webhooks": []any{
		webhook("istiod", "istio-system", ""), webhook("istiod", "istio-system", "old"), webhook("istiod", "other", ""), webhook("another", "istio-system", ""),
	}}
	if !fillIn(configuration, "istio-system", "istiod", "new") || !slices.Equal(bundles(configuration), []string{"new", "old", "", ""}) {
		t.Error(bundles(configuration))
	}
	if fillIn(configuration, "istio-system", "istiod", "newer") {
		t.Error("filled in twice")
	}
	if fillIn(kube.Object{"webhooks": nil}, "istio-system", "istiod", "new") {
		t.Error("no webhooks, no change")
	}
}

// 1.5.0's role of the injector lets it list the one configuration that has its name, and nothing else.
func TestTheInjectorFillsTheConfigurationThatItsRoleNames(t *testing.T) {
	patched := ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPatch:
			patched = r.URL.Path
			fmt.Fprint(w, "{}")
		case strings.HasSuffix(r.URL.Path, "/mutatingwebhookconfigurations") && r.URL.Query().Get("fieldSelector") == "metadata.name=istio-sidecar-injector":
			fmt.Fprint(w, `{"items":[{"metadata":{"name":"istio-sidecar-injector"},"webhooks":[{"clientConfig":{"service":{"name":"istio-sidecar-injector","namespace":"istio-system"}}}]}]}`)
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","code":403}`)
		}
	}))
	defer api.Close()
	if err := keepAuthority(t.Context(), kube.New(api.URL, "", nil), "istio-system", "istio-sidecar-injector"); err != nil {
		t.Fatal(err)
	}
	if patched != webhookKinds+"mutatingwebhookconfigurations/istio-sidecar-injector" {
		t.Errorf("patched %q", patched)
	}
}
