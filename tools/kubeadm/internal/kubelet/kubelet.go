// Package kubelet is the lab's kubelet. It registers its node and reports it, runs the static pods of the control plane
// and a few workloads for real (the Istio operator, install-cni, what calico-node writes), and leaves all other pods of
// the node to kwok, which plays their status.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// Options are the kubelet's flags.
type Options struct {
	Kubeconfig string
	Bootstrap  string
	Config     string
}

// Kubelet is one running node agent.
type Kubelet struct {
	options    Options
	name       string
	api        *kube.Client
	conditions []kube.Condition
	masters    []string
	applied    bool // the network rules, by this kubelet
	begun      time.Time

	mutex   sync.Mutex
	who     Identity
	pods    map[string]kube.Pod // by uid, as the API server tells
	workers map[string]*work    // by uid; static pods by their manifest's
	static  map[string]kube.Pod // by file name
	kick    chan struct{}
}

// work is a pod that is run here.
type work struct {
	*worker
	begun  time.Time
	static bool
	ending bool
	told   string // the status that was last reported
}

var output sync.Mutex

func logf(format string, args ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Fprintf(os.Stderr, "%s kubelet: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, args...))
}

// Run is the kubelet's life; it ends with a signal or with an error at the start.
func Run(options Options) error {
	name, err := lab.NodeName()
	if err != nil {
		return err
	}
	address, err := lab.NodeAddress()
	if err != nil {
		return err
	}
	for _, process := range lab.Recorded() {
		if process.Name == "kubelet" && process.PID != os.Getpid() {
			return fmt.Errorf("a kubelet already runs here (process %d)", process.PID)
		}
	}
	if err := lab.Record("kubelet", os.Getpid()); err != nil {
		return err
	}
	defer lab.Forget("kubelet")
	// What an earlier kubelet left behind cannot be watched from here; it starts anew.
	for _, process := range lab.Recorded() {
		if process.Name != "kubelet" {
			logf("ends %s of an earlier kubelet", process.Name)
			if err := process.Stop(5 * time.Second); err != nil {
				logf("%v", err)
			}
		}
	}
	own := address.IP.String()
	k := &Kubelet{
		options: options, name: name, begun: time.Now(), who: Identity{NodeAddress: own, PodAddress: own, Service: lab.LoadNetwork().ServiceIP},
		pods: map[string]kube.Pod{}, workers: map[string]*work{}, static: map[string]kube.Pod{}, kick: make(chan struct{}, 1),
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	logf("node %s, address %s; stand-in of the sealos-istio lab, programs from %s", name, own, lab.Images())
	if err := k.serve(ctx); err != nil {
		return err
	}
	go k.keepStatic(ctx)
	var joined sync.WaitGroup
	joined.Go(func() { k.join(ctx) })
	<-ctx.Done()
	joined.Wait()
	return nil
}

// join waits for the login and the API server, then does what needs them.
func (k *Kubelet) join(ctx context.Context) {
	var said string
	try := func(what string, step func() error) bool {
		for ctx.Err() == nil {
			err := step()
			if err == nil {
				return true
			}
			if text := what + ": " + err.Error(); text != said {
				logf("%s", text)
				said = text
			}
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
		return false
	}
	if !try("login", func() error { return k.login(ctx) }) {
		return
	}
	if !try("virtual IP", func() error { return serveVirtualIP(staticPods(lab.ManifestsDir, k.name)) }) {
		return
	}
	if !try("register", func() error { return k.register(ctx) }) {
		return
	}
	logf("node %s is registered", k.name)
	if !try("network", func() error { return k.updateNetwork(ctx) }) {
		return
	}
	var all sync.WaitGroup
	all.Go(func() { k.keepNode(ctx) })
	all.Go(func() { k.keepNetwork(ctx) })
	all.Go(func() { k.keepKwok(ctx, k.options.Kubeconfig) })
	all.Go(func() { k.keepPods(ctx) })
	all.Wait()
}

func (k *Kubelet) login(ctx context.Context) error {
	if _, err := os.Stat(k.options.Kubeconfig); errors.Is(err, os.ErrNotExist) {
		if err := Bootstrap(ctx, k.options.Bootstrap, k.options.Kubeconfig, k.name); err != nil {
			return err
		}
	}
	api, err := kube.FromFile(k.options.Kubeconfig)
	if err == nil {
		k.api = api
	}
	return err
}

func (k *Kubelet) identity() Identity {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.who
}

func (k *Kubelet) setService(address string) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.who.Service = address
}

func (k *Kubelet) changed() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// ConfigMap reads a ConfigMap with the node's login, which may read those that its pods refer to.
func (k *Kubelet) ConfigMap(namespace, name string) (map[string]string, error) {
	var object struct {
		Data map[string]string `json:"data"`
	}
	found, err := k.find("/api/v1/namespaces/"+namespace+"/configmaps/"+name, &object)
	if found && object.Data == nil {
		object.Data = map[string]string{}
	}
	return object.Data, err
}

// Secret reads a Secret with the node's login, which may read those that its pods refer to.
func (k *Kubelet) Secret(namespace, name string) (map[string][]byte, error) {
	var object struct {
		Data map[string][]byte `json:"data"`
	}
	found, err := k.find("/api/v1/namespaces/"+namespace+"/secrets/"+name, &object)
	if found && object.Data == nil {
		object.Data = map[string][]byte{}
	}
	return object.Data, err
}

func (k *Kubelet) find(path string, out any) (bool, error) {
	if k.api == nil {
		return false, errors.New("the API server is not known yet")
	}
	err := k.api.Get(context.Background(), path, out)
	if kube.IsCode(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}
