package kubelet

import (
	"fmt"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
)

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// podStatus tells the truth about a really run pod: it is ready while all its processes run.
func podStatus(pod *kube.Pod, states []containerState, who Identity, begun time.Time) kube.Object {
	ready := true
	statuses := []any{}
	for index, container := range pod.Spec.Containers {
		state := states[index]
		ready = ready && state.running
		status := kube.Object{
			"name": container.Name, "image": container.Image, "imageID": "", "ready": state.running, "started": state.running,
			"restartCount": state.restarts,
		}
		if state.running {
			status["state"] = kube.Object{"running": kube.Object{"startedAt": stamp(state.started)}}
		} else {
			status["state"] = kube.Object{"waiting": kube.Object{"reason": state.reason, "message": state.message}}
		}
		status["lastState"] = kube.Object{}
		if state.last != nil {
			status["lastState"] = kube.Object{"terminated": kube.Object{
				"exitCode": state.last.code, "reason": state.last.reason, "startedAt": stamp(state.last.started), "finishedAt": stamp(state.last.finished),
			}}
		}
		if state.pid != 0 {
			status["containerID"] = fmt.Sprintf("lab://process-%d", state.pid)
		}
		statuses = append(statuses, status)
	}
	initial := []any{}
	for _, container := range pod.Spec.Init {
		initial = append(initial, kube.Object{
			"name": container.Name, "image": container.Image, "imageID": "", "ready": true, "restartCount": 0, "lastState": kube.Object{},
			"state": kube.Object{"terminated": kube.Object{"exitCode": 0, "reason": "Completed", "startedAt": stamp(begun), "finishedAt": stamp(begun)}},
		})
	}
	conditions := []any{}
	for _, kind := range []string{"Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		value, reason := "True", ""
		if !ready && (kind == "Ready" || kind == "ContainersReady") {
			value, reason = "False", "ContainersNotReady"
		}
		since := stamp(time.Now())
		for _, old := range pod.Status.Conditions {
			if old.Type == kind && old.Status == value && old.LastTransitionTime != "" {
				since = old.LastTransitionTime
			}
		}
		condition := kube.Object{"type": kind, "status": value, "lastTransitionTime": since, "lastProbeTime": nil}
		if reason != "" {
			condition["reason"] = reason
		}
		conditions = append(conditions, condition)
	}
	phase := "Pending"
	for _, state := range states {
		if state.running || state.last != nil {
			phase = "Running"
		}
	}
	return kube.Object{
		"phase": phase, "conditions": conditions, "containerStatuses": statuses, "initContainerStatuses": initial,
		"hostIP": who.NodeAddress, "podIP": who.PodAddress, "podIPs": []any{kube.Object{"ip": who.PodAddress}}, "startTime": stamp(begun),
	}
}
