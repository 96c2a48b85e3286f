package kubelet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

// Role says who speaks for a pod on this node.
type Role int

const (
	// Played pods are left to kwok: their status is made up.
	Played Role = iota
	// Real pods are run here; their status is that of the processes.
	Real
)

// ownedLabels are the pods that kwok must leave alone, by label and value. The same table makes kwok's stages.
var ownedLabels = []struct{ Key, Value string }{
	{"tier", "control-plane"},
	{"name", "istio-operator"},
	{"app", "contour"},
	{"k8s-app", "istio-cni-node"},
	{"k8s-app", "calico-node"},
	{"app", "istiod"},
	{"app", "galley"},
	{"app", "sidecarInjectorWebhook"},
}

// RoleOf decides by the pod's labels.
func RoleOf(pod *kube.Pod) Role {
	for _, owned := range ownedLabels {
		if pod.Meta.Labels[owned.Key] == owned.Value {
			return Real
		}
	}
	return Played
}

func isCalico(pod *kube.Pod) bool { return pod.Meta.Labels["k8s-app"] == "calico-node" }

// imageName is the last part of an image reference, without tag or digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	name, _, _ := strings.Cut(image, ":")
	return name
}

// imageTag is the tag of an image reference, latest when it has none.
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if _, tag, found := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); found {
		return tag
	}
	return "latest"
}

// program finds what really runs for a container: a program of the images folder, or this one in another part.
// Containers of real pods without a program (repair-cni, calico-node itself) are played.
func program(container *kube.Container) (path string, builtin string, real bool) {
	switch name := imageName(container.Image); name {
	case "install-cni":
		// The image holds two programs; the other one (istio-cni-repair) has no pods to repair and is played. The installer is
		// install-cni.sh up to Istio 1.6, a program of that name from 1.7 on.
		if len(container.Command) > 0 && strings.TrimSuffix(filepath.Base(container.Command[0]), ".sh") != "install-cni" {
			return "", "", false
		}
		self, err := os.Executable()
		return self, installCNICommand, err == nil
	case "pilot", "galley", "sidecar_injector":
		self, err := os.Executable()
		return self, webhookCommand + "-" + webhookServices[name], err == nil
	case "operator":
		// One program for each release of Istio. One that is not there is not played: then the container can't be created.
		path, _ = lab.Image("istio-operator-" + imageTag(container.Image))
		real = true
	case "contour":
		// The image serves Envoy's pods, too, which are played.
		if len(container.Args) == 0 || container.Args[0] != "serve" {
			return "", "", false
		}
		path, _ = lab.Image("contour") // as with the operator: one that is not there is not played
		real = true
	case "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		path, real = lab.Image(name)
	}
	return path, "", real
}

type ended struct {
	code     int
	reason   string
	started  time.Time
	finished time.Time
}

// containerState is what the pod's status tells of one container.
type containerState struct {
	running  bool
	started  time.Time
	pid      int
	reason   string // why it waits
	message  string
	restarts int
	last     *ended
}

// worker runs the containers of one pod.
type worker struct {
	pod     kube.Pod
	who     Identity
	sources Sources
	changed func()
	// prepare runs once before the containers, in place of init containers.
	prepare func() error

	mutex   sync.Mutex
	states  []containerState
	stop    chan struct{}
	stopped sync.WaitGroup
}

func startWorker(pod kube.Pod, who Identity, sources Sources, prepare func() error, changed func()) *worker {
	w := &worker{pod: pod, who: who, sources: sources, prepare: prepare, changed: changed, stop: make(chan struct{})}
	w.states = make([]containerState, len(pod.Spec.Containers))
	for index := range w.states {
		w.states[index].reason = "ContainerCreating"
	}
	w.stopped.Go(w.run)
	return w
}

// end stops all containers within the grace time and waits for it.
func (w *worker) end() {
	close(w.stop)
	w.stopped.Wait()
}

func (w *worker) sleep(duration time.Duration) (stopped bool) {
	select {
	case <-w.stop:
		return true
	case <-time.After(duration):
		return false
	}
}

func (w *worker) update(index int, change func(*containerState)) {
	w.mutex.Lock()
	change(&w.states[index])
	w.mutex.Unlock()
	w.changed()
}

func (w *worker) snapshot() []containerState {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return append([]containerState(nil), w.states...)
}

func (w *worker) run() {
	for w.prepare != nil {
		err := w.prepare()
		if err == nil {
			break
		}
		for index := range w.states {
			w.update(index, func(state *containerState) { state.reason, state.message = "PodInitializing", err.Error() })
		}
		if w.sleep(time.Second) {
			return
		}
	}
	for index := range w.pod.Spec.Containers {
		w.stopped.Go(func() { w.runContainer(index) })
	}
}

func (w *worker) logPath(container string) string { return LogPath(&w.pod, container) }

// LogPath is the log file of a really run container. Control plane logs have the component's plain name.
func LogPath(pod *kube.Pod, container string) string {
	if pod.Meta.Labels["tier"] == "control-plane" {
		return filepath.Join(lab.LogDir, container+".log")
	}
	return filepath.Join(lab.LogDir, fmt.Sprintf("%s_%s_%s.log", pod.Meta.Namespace, pod.Meta.Name, container))
}

func (w *worker) runContainer(index int) {
	container := &w.pod.Spec.Containers[index]
	path, builtin, real := program(container)
	if !real {
		w.update(index, func(state *containerState) { state.running, state.started, state.reason = true, time.Now(), "" })
		<-w.stop
		return
	}
	backoff := time.Second
	for first := time.Now(); ; {
		begun := time.Now()
		err := w.runOnce(index, container, path, builtin)
		select {
		case <-w.stop:
			return
		default:
		}
		if err != nil {
			// The API server lets a node read a pod's secrets a moment after it has shown it the pod.
			if time.Since(first) < 5*time.Second {
				if w.sleep(100 * time.Millisecond) {
					return
				}
				continue
			}
			w.update(index, func(state *containerState) {
				state.running, state.pid, state.reason, state.message = false, 0, "CreateContainerError", err.Error()
			})
		}
		if time.Since(begun) > 30*time.Second {
			backoff = time.Second
		}
		if w.sleep(backoff) {
			return
		}
		backoff = min(2*backoff, 20*time.Second)
	}
}

// runOnce starts the program and waits for its end; an error means that it could not be started.
func (w *worker) runOnce(index int, container *kube.Container, path, builtin string) error {
	called := *container
	if builtin != "" {
		called.Command, called.Args = []string{builtin}, []string{imageTag(container.Image)}
		if builtin != installCNICommand {
			// it reads nothing but its account, and some of what the real program mounts is made by programs that don't run here
			called.Env, called.EnvFrom = nil, nil
			called.Mounts = slices.DeleteFunc(slices.Clone(called.Mounts), func(m kube.VolumeMount) bool { return m.Path != serviceAccountPath })
		}
	}
	spec, err := build(&w.pod, &called, path, w.who, w.sources)
	if err != nil {
		return err
	}
	command, err := spec.start(w.logPath(container.Name))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s_%s_%s", w.pod.Meta.Namespace, w.pod.Meta.Name, container.Name)
	process, recorded := record(name, command.Process.Pid)
	started := time.Now()
	w.update(index, func(state *containerState) {
		state.running, state.started, state.pid, state.reason, state.message = true, started, command.Process.Pid, "", ""
		if state.last != nil {
			state.restarts++
		}
	})
	finished := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case <-w.stop:
			terminate(command, finished, w.grace())
		case <-finished:
		}
	}()
	err = command.Wait()
	close(finished)
	<-watcher
	if recorded {
		lab.Forget(process)
	}
	code := command.ProcessState.ExitCode()
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	reason := "Completed"
	if err != nil {
		reason = "Error"
	}
	w.update(index, func(state *containerState) {
		state.running, state.pid, state.reason = false, 0, "CrashLoopBackOff"
		state.message = fmt.Sprintf("ended with status %d; starts again", code)
		state.last = &ended{code, reason, started, time.Now()}
	})
	return nil
}

func (w *worker) grace() time.Duration {
	if w.pod.Meta.DeletionGrace != nil {
		return min(time.Duration(*w.pod.Meta.DeletionGrace)*time.Second, 10*time.Second)
	}
	return 10 * time.Second
}

func terminate(command *exec.Cmd, finished <-chan struct{}, grace time.Duration) {
	_ = command.Process.Signal(syscall.SIGTERM)
	select {
	case <-finished:
		return
	case <-time.After(grace):
	}
	_ = command.Process.Kill()
}

// record notes a process; one that ended at once leaves no note.
func record(name string, pid int) (string, bool) {
	if err := lab.Record(name, pid); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			logf("record %s: %v", name, err)
		}
		return name, false
	}
	return name, true
}
