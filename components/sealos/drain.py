"""Draining a machine: kubectl's arguments, and what blocks it in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.kubernetes.versions import minor_of
from components.problem import Code, Problem


def arguments(version: str, limit: float) -> bytes:
    """`kubectl drain`'s arguments, one per line; PodDisruptionBudgets are respected within the limit.

    Args:
        version: the cluster's Kubernetes; the flag for emptyDir volumes was renamed in v1.20.
        limit: seconds.
    """
    volumes = "--delete-emptydir-data" if minor_of(version) >= (1, 20) else "--delete-local-data"
    return f"--ignore-daemonsets\n{volumes}\n--force\n--timeout={limit:.0f}s\n".encode()


def blockers(node: str, pods: Mapping[str, Any], budgets: Mapping[str, Any]) -> list[Problem]:
    """One per pod that a drain of the node would have to move, with the PodDisruptionBudget that keeps it.

    Args:
        node: the Node's name.
        pods: `kubectl get pods -A -o json`.
        budgets: `kubectl get poddisruptionbudgets -A -o json`.
    """
    found = []
    for pod in pods.get("items", []):
        metadata, spec = pod["metadata"], pod.get("spec", {})
        if spec.get("nodeName") != node or _stays(pod):
            continue
        name = f"{metadata['namespace']}/{metadata['name']}"
        keeping = [b for b in budgets.get("items", []) if _covers(b, metadata) and not _allowed(b)]
        for budget in keeping:
            status = budget.get("status", {})
            text = (
                f"PodDisruptionBudget {budget['metadata']['name']} allows no disruption now ({status.get('currentHealthy', 0)} of "
                f"{status.get('expectedPods', 0)} pods are healthy, {status.get('desiredHealthy', 0)} must be)"
            )
            found.append(Problem(Code.DRAIN_BUDGET, f"pod {name}", text))
        if not keeping:
            grace = metadata.get("deletionGracePeriodSeconds")
            takes = f" (it may take {grace} s after its eviction)" if metadata.get("deletionTimestamp") and grace else ""
            found.append(Problem(Code.DRAIN_POD, f"pod {name}", f"has not ended yet{takes}"))
    return found


def _stays(pod: Mapping[str, Any]) -> bool:
    """Whether `kubectl drain` leaves the pod alone: a DaemonSet's, a static pod's mirror, or one that has ended."""
    metadata = pod["metadata"]
    owners = {owner.get("kind") for owner in metadata.get("ownerReferences", [])}
    mirrored = "kubernetes.io/config.mirror" in metadata.get("annotations", {})
    return (
        bool(owners & {"DaemonSet", "Node"})
        or mirrored
        or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    )


def _allowed(budget: Mapping[str, Any]) -> int:
    status = budget.get("status", {})
    return int(status.get("disruptionsAllowed", status.get("podDisruptionsAllowed", 0)))


def _covers(budget: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether the budget's selector takes the pod (policy/v1beta1: an empty or missing selector takes none)."""
    selector = budget.get("spec", {}).get("selector") or {}
    if budget["metadata"]["namespace"] != pod["namespace"] or not selector:
        return False
    labels: Mapping[str, str] = pod.get("labels", {})
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(rule, labels) for rule in selector.get("matchExpressions") or [])


def _matches(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = rule["key"], rule.get("values") or []
    match rule["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
