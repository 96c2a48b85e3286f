package kubelet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
	"sealos-istio/tools/kubeadm/internal/lab"
)

const (
	mirrorAnnotation = "kubernetes.io/config.mirror"
	hashAnnotation   = "kubernetes.io/config.hash"
	sourceAnnotation = "kubernetes.io/config.source"
)

// keepStatic runs the pods of the manifests folder, also while there is no API server (it is one of them).
func (k *Kubelet) keepStatic(ctx context.Context) {
	for tick := time.NewTicker(300 * time.Millisecond); ; {
		wanted := staticPods(lab.ManifestsDir, k.name)
		k.mutex.Lock()
		before := k.static
		k.static = wanted
		var old []*work
		for file, pod := range before {
			if now, still := wanted[file]; !still || now.Meta.UID != pod.Meta.UID {
				if running := k.workers[pod.Meta.UID]; running != nil {
					old = append(old, running)
					delete(k.workers, pod.Meta.UID)
				}
			}
		}
		k.mutex.Unlock()
		for _, running := range old {
			running.end()
		}
		k.mutex.Lock()
		for _, pod := range wanted {
			if RoleOf(&pod) == Real && k.workers[pod.Meta.UID] == nil {
				logf("static pod %s starts", pod.Meta.Name)
				k.workers[pod.Meta.UID] = &work{worker: startWorker(pod, k.who, k, nil, k.changed), begun: time.Now(), static: true}
			}
		}
		k.mutex.Unlock()
		if !maps.EqualFunc(before, wanted, func(a, b kube.Pod) bool { return a.Meta.UID == b.Meta.UID }) {
			k.changed()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// staticPods reads the manifests folder; the uid of a static pod is the hash of its file.
func staticPods(dir, node string) map[string]kube.Pod {
	pods := map[string]kube.Pod{}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || entry.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		var pod kube.Pod
		if err := kube.FromYAML(data, &pod); err != nil || pod.Kind != "Pod" || pod.Meta.Name == "" {
			continue // half written, or not a pod
		}
		sum := sha256.Sum256(append([]byte(node+"/"+name+"\n"), data...))
		pod.Meta.UID = hex.EncodeToString(sum[:16])
		pod.Meta.Name += "-" + node
		if pod.Meta.Namespace == "" {
			pod.Meta.Namespace = "default"
		}
		pod.Spec.NodeName = node
		pods[name] = pod
	}
	return pods
}

// keepPods follows the node's pods and reconciles on every event, change of a process, and twice a minute.
func (k *Kubelet) keepPods(ctx context.Context) {
	go k.follow(ctx)
	for tick := time.NewTicker(5 * time.Second); ; {
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		case <-tick.C:
		}
		k.reconcile(ctx)
	}
}

func (k *Kubelet) follow(ctx context.Context) {
	query := "/api/v1/pods?fieldSelector=" + url.QueryEscape("spec.nodeName="+k.name)
	for ctx.Err() == nil {
		var list kube.PodList
		err := k.api.Get(ctx, query, &list)
		if err == nil {
			pods := map[string]kube.Pod{}
			for _, pod := range list.Items {
				pods[pod.Meta.UID] = pod
			}
			k.mutex.Lock()
			k.pods = pods
			k.mutex.Unlock()
			k.changed()
			// The server ends the watch after the time; a link that died silently is noticed then at the latest.
			watch := query + "&watch=1&timeoutSeconds=60&resourceVersion=" + url.QueryEscape(list.Meta.ResourceVersion)
			limited, cancel := context.WithTimeout(ctx, 75*time.Second)
			err = k.api.Watch(limited, watch, k.onEvent)
			cancel()
		}
		if err != nil && ctx.Err() == nil {
			logf("pods: %v", err)
			k.api.CloseIdle()
			time.Sleep(500 * time.Millisecond)
		}
	}
}

func (k *Kubelet) onEvent(kind string, object json.RawMessage) error {
	if kind == "ERROR" || kind == "BOOKMARK" {
		return errors.New("the watch is too old")
	}
	var pod kube.Pod
	if err := json.Unmarshal(object, &pod); err != nil {
		return err
	}
	k.mutex.Lock()
	if kind == "DELETED" {
		delete(k.pods, pod.Meta.UID)
	} else {
		k.pods[pod.Meta.UID] = pod
	}
	k.mutex.Unlock()
	k.changed()
	return nil
}

func path(pod *kube.Pod) string {
	return "/api/v1/namespaces/" + pod.Meta.Namespace + "/pods/" + pod.Meta.Name
}

func remove(uid string) kube.Object {
	return kube.Object{"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": kube.Object{"uid": uid}}
}

func (k *Kubelet) reconcile(ctx context.Context) {
	k.mutex.Lock()
	pods := slices.Collect(maps.Values(k.pods))
	static := slices.Collect(maps.Values(k.static))
	k.mutex.Unlock()
	mirrors := map[string]kube.Pod{}
	for _, pod := range pods {
		if pod.Meta.Annotations[mirrorAnnotation] != "" {
			mirrors[pod.Key()] = pod
			continue
		}
		if RoleOf(&pod) == Real {
			k.reconcilePod(ctx, pod)
		}
	}
	for _, pod := range static {
		k.reconcileMirror(ctx, pod, mirrors)
	}
	for _, stale := range mirrors {
		k.warn(k.api.Delete(ctx, path(&stale), remove(stale.Meta.UID)))
	}
	k.endGone(ctx, pods)
}

func (k *Kubelet) warn(err error) {
	if err != nil && !kube.IsCode(err, http.StatusNotFound) && !kube.IsCode(err, http.StatusConflict) && !errors.Is(err, context.Canceled) {
		logf("%v", err)
	}
}

func (k *Kubelet) reconcilePod(ctx context.Context, pod kube.Pod) {
	k.mutex.Lock()
	running := k.workers[pod.Meta.UID]
	who := k.who
	if running == nil && pod.Meta.DeletionTimestamp == "" && pod.Status.Phase != "Failed" && pod.Status.Phase != "Succeeded" {
		logf("pod %s starts", pod.Key())
		running = &work{begun: time.Now()}
		var prepare func() error
		if isCalico(&pod) {
			prepare = func() error { return writeCalico(&pod, k.identity(), k) }
		}
		running.worker = startWorker(pod, who, k, prepare, k.changed)
		k.workers[pod.Meta.UID] = running
	}
	k.mutex.Unlock()
	switch {
	case pod.Meta.DeletionTimestamp == "" && running != nil:
		k.report(ctx, running, pod)
	case pod.Meta.DeletionTimestamp != "" && running == nil:
		k.warn(k.api.Delete(ctx, path(&pod), remove(pod.Meta.UID)))
	case pod.Meta.DeletionTimestamp != "":
		k.endWork(running, func() { k.warn(k.api.Delete(context.WithoutCancel(ctx), path(&pod), remove(pod.Meta.UID))) })
	}
}

// endWork stops a pod's processes apart from the caller, then does what follows.
func (k *Kubelet) endWork(running *work, then func()) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if running.ending {
		return
	}
	running.ending = true
	logf("pod %s ends", running.pod.Key())
	go func() {
		running.end()
		then()
		_ = os.RemoveAll(filepath.Join(lab.KubeletDir, "pods", running.pod.Meta.UID))
		k.mutex.Lock()
		delete(k.workers, running.pod.Meta.UID)
		k.mutex.Unlock()
	}()
}

// endGone ends what runs for pods that are no longer there (deleted by force, or while the API server was away).
func (k *Kubelet) endGone(_ context.Context, pods []kube.Pod) {
	there := map[string]bool{}
	for _, pod := range pods {
		there[pod.Meta.UID] = true
	}
	k.mutex.Lock()
	var gone []*work
	for uid, running := range k.workers {
		if !running.static && !there[uid] {
			gone = append(gone, running)
		}
	}
	k.mutex.Unlock()
	for _, running := range gone {
		k.endWork(running, func() {})
	}
}

// report writes the pod's status when it changed or when somebody else wrote another phase.
func (k *Kubelet) report(ctx context.Context, running *work, current kube.Pod) {
	status := podStatus(&current, running.snapshot(), k.identity(), running.begun)
	text, err := json.Marshal(status)
	if err != nil || running.told == string(text) && current.Status.Phase == status["phase"] {
		return
	}
	if err := k.api.Patch(ctx, path(&current)+"/status", kube.Object{"metadata": kube.Object{"uid": current.Meta.UID}, "status": status}, nil); err != nil {
		k.warn(err)
		return
	}
	running.told = string(text)
}

// reconcileMirror shows a static pod in the API by a mirror pod, as a kubelet does, and takes it out of mirrors.
func (k *Kubelet) reconcileMirror(ctx context.Context, pod kube.Pod, mirrors map[string]kube.Pod) {
	mirror, there := mirrors[pod.Key()]
	delete(mirrors, pod.Key())
	if there && (mirror.Meta.Annotations[hashAnnotation] != pod.Meta.UID || mirror.Meta.DeletionTimestamp != "") {
		k.warn(k.api.Delete(ctx, path(&mirror), remove(mirror.Meta.UID)))
		return
	}
	if !there {
		annotations := kube.Object{mirrorAnnotation: pod.Meta.UID, hashAnnotation: pod.Meta.UID, sourceAnnotation: "file"}
		for key, value := range pod.Meta.Annotations {
			annotations[key] = value
		}
		spec := kube.Object{}
		data, _ := json.Marshal(pod.Spec)
		_ = json.Unmarshal(data, &spec)
		spec["tolerations"] = []any{kube.Object{"operator": "Exists", "effect": "NoExecute"}}
		if pod.Meta.Namespace == "kube-system" {
			spec["priorityClassName"] = "system-cluster-critical"
		}
		k.warn(k.api.Post(ctx, "/api/v1/namespaces/"+pod.Meta.Namespace+"/pods", kube.Object{
			"apiVersion": "v1", "kind": "Pod", "spec": spec,
			"metadata": kube.Object{"name": pod.Meta.Name, "namespace": pod.Meta.Namespace, "labels": pod.Meta.Labels, "annotations": annotations},
		}, nil))
		return
	}
	k.mutex.Lock()
	running := k.workers[pod.Meta.UID]
	k.mutex.Unlock()
	if running != nil {
		k.report(ctx, running, mirror)
	}
}
