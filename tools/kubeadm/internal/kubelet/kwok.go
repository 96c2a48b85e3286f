package kubelet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sealos-istio/tools/kubeadm/internal/lab"
)

// kwokConfig gives kwok the stages for played pods. Pods that are really run are left out, so that their status is
// never painted over, and so is the node: this kubelet reports it.
func kwokConfig() string {
	values := map[string][]string{}
	var keys []string
	for _, owned := range ownedLabels {
		if !slices.Contains(keys, owned.Key) {
			keys = append(keys, owned.Key)
		}
		values[owned.Key] = append(values[owned.Key], owned.Value)
	}
	var exclude strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&exclude, "    - {key: '.metadata.labels[\"%s\"]', operator: NotIn, values: [%s]}\n", key, strings.Join(values[key], ", "))
	}
	return strings.ReplaceAll(kwokStages, "    EXCLUDE\n", exclude.String())
}

const kwokStages = `# Written by the lab's kubelet. What kwok plays on this node.
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-untouched}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.metadata.name', operator: DoesNotExist}
  next: {statusTemplate: ""}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
    - {key: '.status.phase', operator: In, values: [Pending]}
    EXCLUDE
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
      conditions:
      - {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }}}
      {{ range .spec.readinessGates }}
      - {type: {{ .conditionType | Quote }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}}
      {{ end }}
      initContainerStatuses:
      {{ range .spec.initContainers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        restartCount: 0
        state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-complete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
    - {key: '.status.phase', operator: In, values: [Running]}
    - {key: '.metadata.ownerReferences.[].kind', operator: In, values: [Job]}
    EXCLUDE
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Succeeded
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: false
        started: false
        restartCount: 0
        state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: Exists}
    EXCLUDE
  next: {delete: true}
`

// keepKwok runs the real kwok for this node with the node's own login and starts it again when it ends.
func (k *Kubelet) keepKwok(ctx context.Context, kubeconfig string) {
	path, there := lab.Image("kwok")
	if !there {
		logf("kwok: %s is not there; played pods stay Pending", path)
		return
	}
	config := filepath.Join(lab.KubeletDir, "kwok.yaml")
	for ctx.Err() == nil {
		if err := k.runKwok(ctx, path, config, kubeconfig); err != nil && ctx.Err() == nil {
			logf("kwok: %v; it starts again", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (k *Kubelet) runKwok(ctx context.Context, path, config, kubeconfig string) error {
	if err := lab.WriteFile(config, []byte(kwokConfig()), 0o644); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(lab.LogDir, "kwok.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(path, "--config="+config, "--kubeconfig="+kubeconfig, "--manage-single-node="+k.name, "--node-ip="+k.who.NodeAddress,
		"--node-name="+k.name, "--node-port=0", "--node-lease-duration-seconds=0", "--cidr=100.64.0.0/24", "--server-address=")
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "HOME="+lab.KubeletDir)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	record("kwok", command.Process.Pid)
	defer lab.Forget("kwok")
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-ctx.Done():
			_ = command.Process.Kill()
		case <-finished:
		}
	}()
	return command.Wait()
}
