"""What workloads of a cluster say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]


def unready(deployment: Object, pods: Sequence[Object]) -> list[str]:
    """Why a Deployment isn't available in its current form; empty when it is."""
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return ["its last change has not been seen by the controller yet"]
    replicas = deployment["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= replicas and available >= replicas and status.get("replicas", 0) == updated:
        return []
    reasons = [f"{available} of {replicas} replicas available, {updated} up to date"]
    for condition in status.get("conditions", []):
        failing = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        stuck = condition["type"] == "Progressing" and condition["status"] == "False"
        if failing or stuck:
            reasons.append(f"{condition.get('reason')}: {condition.get('message')}")
    reasons += [reason for pod in pods for reason in _pod_reasons(pod)]
    return ["; ".join(reasons)]


def _pod_reasons(pod: Object) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"pod {name}: {condition.get('reason')}: {condition.get('message')}"
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            message = f": {waiting['message']}" if waiting.get("message") else ""
            ended = (container.get("lastState") or {}).get("terminated")
            last = f"; it ended with status {ended.get('exitCode')}: {ended.get('reason')}" if ended else ""
            yield f"pod {name}, container {container['name']}: {waiting.get('reason')}{message}{last}"
    if status.get("phase") == "Failed":
        yield f"pod {name}: {status.get('reason', 'Failed')}: {status.get('message', 'no reason given')}"
