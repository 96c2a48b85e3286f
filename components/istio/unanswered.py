"""What Kubernetes takes and what yet does nothing for anybody: Services that lead to no pod, or to a port that its pods can't have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.kubernetes.rules import Finding, shown
from components.kubernetes.values import WORKLOADS, as_map

Object = Mapping[str, Any]

_FIRST_FREE = 1024
"""The first port that a process may have which is not root."""


def findings(known: Object, objects: Sequence[Object]) -> Iterator[Finding]:
    """What is so about an object.

    Args:
        known: the object.
        objects: all that Istio makes, this one among them.
    """
    spec = as_map(known.get("spec"))
    if known["kind"] == "Service" and (selector := as_map(spec.get("selector"))):
        pods = [as_map(_template(one).get("spec")) for one in _workloads(known, objects) if _selects(selector, one)]
        if not pods:
            yield Finding(("spec", "selector"), "labels that the pods of some workload have", shown(selector))
        for position, port in enumerate(_maps(spec.get("ports"))):
            target = port.get("targetPort") or port.get("port")
            if isinstance(target, int) and target < _FIRST_FREE and pods and not any(map(_may_have_any_port, pods)):
                path = ("spec", "ports", position, "targetPort" if port.get("targetPort") else "port")
                yield Finding(path, f"{_FIRST_FREE} or more, since its pods are not root and nobody would answer there", str(target))
    if known["kind"] == "HorizontalPodAutoscaler":
        name = as_map(spec.get("scaleTargetRef")).get("name")
        if all(one["metadata"]["name"] != name for one in _workloads(known, objects)):
            yield Finding(("spec", "scaleTargetRef", "name"), "the name of a Deployment that is there", shown(name))


def _workloads(known: Object, objects: Sequence[Object]) -> list[Object]:
    """Those of the object's namespace."""
    namespace = known["metadata"].get("namespace")
    return [one for one in objects if one["kind"] in WORKLOADS and one["metadata"].get("namespace") == namespace]


def _selects(selector: Object, workload: Object) -> bool:
    labels = as_map(as_map(_template(workload).get("metadata")).get("labels"))
    return all(labels.get(key) == value for key, value in selector.items())


def _template(workload: Object) -> Object:
    return as_map(as_map(workload.get("spec")).get("template"))


def _may_have_any_port(pod: Object) -> bool:
    """Whether one of its containers may be root, or have a right that allows the same."""
    of_pod = as_map(pod.get("securityContext"))
    if any("ip_unprivileged_port_start" in str(one.get("name")) for one in _maps(of_pod.get("sysctls"))):
        return True
    return any(_may(of_pod, as_map(container.get("securityContext"))) for container in _maps(pod.get("containers")))


def _may(of_pod: Object, own: Object) -> bool:
    context = {**of_pod, **own}
    added = as_map(own.get("capabilities")).get("add")
    return not (context.get("runAsUser") or context.get("runAsNonRoot")) or "NET_BIND_SERVICE" in str(added) or bool(own.get("privileged"))


def _maps(value: Any) -> list[Object]:
    """The items of a list, each as a map: what has another form, the schema tells of."""
    return [as_map(item) for item in value] if isinstance(value, list) else []
