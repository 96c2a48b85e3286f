"""What the API server refuses although its schema allows it: two of a kind where it takes one, names that are given twice, texts that mean nothing.

Not all of its validation: that which a setting, or an overlay, can break in what Istio's charts make. A variable that is given twice is none
of it: Kubernetes takes the last.

Pure. Sources: Kubernetes 1.16.3, pkg/apis/core/validation/validation.go, pkg/apis/apps/validation/validation.go,
pkg/apis/policy/validation/validation.go and pkg/apis/autoscaling/validation/validation.go; the functions are named below.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kubernetes import values
from components.kubernetes.quantities import quantity
from components.kubernetes.values import as_map
from components.kubernetes.versions import minor_of

Path = tuple[str | int, ...]
"""Keys, and positions in lists."""

_LONGEST = 120
"""Characters of a value that are shown."""

HANDLERS = frozenset(("exec", "httpGet", "tcpSocket", "grpc", "sleep"))
ONE_OF: Mapping[str, frozenset[str]] = {
    # validateHandler
    **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe", "preStop", "postStart"), HANDLERS),
    # validateEnvVarValueFrom
    "valueFrom": frozenset(("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")),
}
"""By the name of a map, keys of which exactly one must be there."""

BUDGET = frozenset(("minAvailable", "maxUnavailable"))
"""Keys of a PodDisruptionBudget's spec of which one at most may be there (ValidatePodDisruptionBudgetSpec)."""

_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_STRATEGIES = ("RollingUpdate", "Recreate")


@dataclass(frozen=True)
class Finding:
    """Something in an object that the API server would not take.

    Attributes:
        path: where.
        expected, observed: in words.
    """

    path: Path
    expected: str
    observed: str


def shown(value: Any) -> str:
    """A value on one line, of bounded length."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def broken(known: Mapping[str, Any]) -> Iterator[Finding]:
    """What an object breaks. One that isn't as its schema says is passed over where it isn't: that was told already."""
    yield from (Finding(path, expected, shown(value)) for path, expected, value in values.odd(known))
    spec = as_map(known.get("spec"))
    match known.get("kind"):
        case "Deployment":
            yield from _strategy(as_map(spec.get("strategy")), ("spec", "strategy"))
            yield from _workload(spec)
        case "DaemonSet" | "StatefulSet":
            yield from _workload(spec)
        case "Service":
            yield from _service(spec)
        case "PodDisruptionBudget":
            yield from _at_most_one(spec, BUDGET, ("spec",))
        case "HorizontalPodAutoscaler":
            least, most = spec.get("minReplicas"), spec.get("maxReplicas")
            if isinstance(least, int) and isinstance(most, int) and most < least:
                yield Finding(("spec", "maxReplicas"), f"no less than minReplicas, {least}", shown(most))


CRITICAL = ("system-cluster-critical", "system-node-critical")


def unadmitted(known: Mapping[str, Any], kubernetes: str) -> Iterator[Finding]:
    """What the plugin Priority refuses before Kubernetes 1.17 (plugin/pkg/admission/priority): critical pods outside kube-system."""
    if known.get("kind") not in values.WORKLOADS or minor_of(kubernetes) >= (1, 17) or as_map(known.get("metadata")).get("namespace") == "kube-system":
        return
    name = as_map(as_map(as_map(known.get("spec")).get("template")).get("spec")).get("priorityClassName")
    if name in CRITICAL:
        path = ("spec", "template", "spec", "priorityClassName")
        yield Finding(path, "another class, since up to Kubernetes 1.16 critical pods may only run in kube-system", shown(name))


def _strategy(strategy: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """ValidateDeploymentStrategy, ValidateRollingUpdateDeployment."""
    kind, rolling = strategy.get("type", "RollingUpdate"), strategy.get("rollingUpdate")
    if kind not in _STRATEGIES:
        yield Finding((*path, "type"), _one(_STRATEGIES), shown(kind))
    elif kind == "Recreate" and rolling is not None:
        yield Finding((*path, "rollingUpdate"), "none beside type Recreate", shown(rolling))
    elif {str(as_map(rolling).get(key)) for key in ("maxSurge", "maxUnavailable")} <= {"0", "0%"}:
        yield Finding((*path, "rollingUpdate"), "maxSurge or maxUnavailable above 0", shown(rolling))


def _workload(spec: Mapping[str, Any]) -> Iterator[Finding]:
    template = as_map(spec.get("template"))
    labels = as_map(as_map(template.get("metadata")).get("labels"))
    for key, value in as_map(as_map(spec.get("selector")).get("matchLabels")).items():
        if labels.get(key) != value:  # ValidateDeploymentSpec: "`selector` does not match template `labels`"
            yield Finding(("spec", "template", "metadata", "labels", key), f"{value}, as in spec.selector", shown(labels.get(key)))
    pod, path = as_map(template.get("spec")), ("spec", "template", "spec")
    yield from _inside(pod, path)
    yield from _pod(pod, path, {str(as_map(claim.get("metadata")).get("name")) for _, claim in _items(spec, "volumeClaimTemplates", ())})


def _pod(pod: Mapping[str, Any], path: Path, claims: set[str]) -> Iterator[Finding]:
    """ValidatePodSpec: what its parts must be to one another."""
    volumes = list(_items(pod, "volumes", path))
    yield from _once(volumes, "name")
    for at, volume in volumes:
        # validateVolumeSource
        sources = sorted(key for key, value in volume.items() if key != "name" and value is not None)
        if len(sources) != 1:
            yield Finding(at, "exactly one source", ", ".join(sources) or "none")
    names = {str(volume.get("name")) for _, volume in volumes} | claims
    containers = [*_items(pod, "initContainers", path), *_items(pod, "containers", path)]
    yield from _once(containers, "name")
    for at, container in containers:
        yield from _container(container, at, names)
        for place, port in _items(container, "ports", at) if pod.get("hostNetwork") else ():
            if port.get("hostPort") not in (None, port.get("containerPort")):
                yield Finding((*place, "hostPort"), f"{port.get('containerPort')}, as its containerPort, in the nodes' network", shown(port["hostPort"]))
    if pod.get("dnsPolicy") == "None" and not as_map(pod.get("dnsConfig")).get("nameservers"):  # validatePodDNSConfig
        yield Finding((*path, "dnsConfig", "nameservers"), "one at least with dnsPolicy None", "none")
    for at, toleration in _items(pod, "tolerations", path):
        yield from _toleration(toleration, at)


def _toleration(toleration: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """ValidateTolerations."""
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key") and not exists:
        yield Finding((*path, "operator"), "Exists, where there is no key", shown(toleration.get("operator")))
    if exists and toleration.get("value"):
        yield Finding((*path, "value"), "none with operator Exists", shown(toleration["value"]))
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield Finding((*path, "effect"), "NoExecute, with tolerationSeconds", shown(toleration.get("effect")))


def _container(container: Mapping[str, Any], path: Path, volumes: set[str]) -> Iterator[Finding]:
    """validateContainers, ValidateVolumeMounts, ValidateEnv."""
    if not container.get("image"):
        yield Finding((*path, "image"), "an image (a name that no other container has makes one more)", "none")
    yield from _once(_items(container, "ports", path), "name")
    mounts = list(_items(container, "volumeMounts", path))
    yield from _once(mounts, "mountPath")
    for at, mount in mounts:
        if str(mount.get("name")) not in volumes:
            listed = ", ".join(sorted(volumes)) or "none"
            yield Finding((*at, "name"), f"one of the pod's volumes ({listed})", shown(mount.get("name")))
    resources = as_map(container.get("resources"))
    for name, most in as_map(resources.get("limits")).items():  # ValidateResourceRequirements
        limit, asked = quantity(most), quantity(least := as_map(resources.get("requests")).get(name))
        if limit is not None and asked is not None and asked > limit:
            yield Finding((*path, "resources", "requests", name), f"no more than its limit, {most}", shown(least))
    for at, variable in _items(container, "env", path):
        if variable.get("value") and variable.get("valueFrom") is not None:
            yield Finding(at, "value or valueFrom", "both")


def _inside(value: Any, path: Path) -> Iterator[Finding]:
    """What goes by the names of keys, at any depth of a pod."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _inside(item, (*path, position))
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if inner is None:
            continue
        at = (*path, key)
        if key == "matchExpressions":
            for place, wanted in _items(value, key, path):
                yield from _expression(wanted, place)
        if key in ONE_OF and isinstance(inner, Mapping):
            given = sorted(ONE_OF[key] & {name for name, there in inner.items() if there is not None})
            if len(given) != 1:
                yield Finding(at, f"one of {', '.join(sorted(ONE_OF[key]))}", ", ".join(given) or "none of them")
        yield from _inside(inner, at)


def _expression(wanted: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """ValidateNodeSelectorRequirement, ValidateLabelSelectorRequirement."""
    listed, operator = wanted.get("values"), wanted.get("operator")
    count = len(listed) if isinstance(listed, list) else 0
    if operator in ("In", "NotIn") and not count:
        yield Finding((*path, "values"), f"one at least with operator {operator}", "none")
    elif operator in ("Exists", "DoesNotExist") and count:
        yield Finding((*path, "values"), f"none with operator {operator}", shown(listed))
    elif operator in ("Gt", "Lt") and count != 1:
        yield Finding((*path, "values"), f"one with operator {operator}", shown(listed))


def _service(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """ValidateService, validateServicePort."""
    kind, path = spec.get("type") or "ClusterIP", ("spec",)
    if kind not in _SERVICE_TYPES:
        yield Finding(("spec", "type"), _one(_SERVICE_TYPES), shown(kind))
    if kind == "ExternalName":
        return
    ports = list(_items(spec, "ports", path))
    if not ports and spec.get("clusterIP") != "None":
        yield Finding(("spec", "ports"), "one at least", "none")
    yield from _once(ports, "name")
    for key in ("port", "nodePort"):
        yield from _once([(at, {key: f"{port[key]}/{port.get('protocol') or 'TCP'}"}) for at, port in ports if port.get(key)], key)
    for at, port in ports:
        if len(ports) > 1 and not port.get("name"):
            yield Finding((*at, "name"), "a name, where there are several ports", "none")
        if port.get("nodePort") and kind == "ClusterIP":
            yield Finding((*at, "nodePort"), "none with type ClusterIP", shown(port["nodePort"]))
    if kind == "ClusterIP" and spec.get("externalTrafficPolicy"):
        yield Finding((*path, "externalTrafficPolicy"), "none with type ClusterIP", shown(spec["externalTrafficPolicy"]))
    if kind != "LoadBalancer" and spec.get("loadBalancerSourceRanges"):
        yield Finding((*path, "loadBalancerSourceRanges"), f"none with type {kind}", shown(spec["loadBalancerSourceRanges"]))


def _at_most_one(value: Mapping[str, Any], keys: frozenset[str], path: Path) -> Iterator[Finding]:
    if len(given := sorted(key for key in keys if value.get(key) is not None)) > 1:
        yield Finding(path, f"one of {', '.join(sorted(keys))}", ", ".join(given))


def _once(items: Iterable[tuple[Path, Mapping[str, Any]]], key: str) -> Iterator[Finding]:
    """Each item whose `key` an earlier one has, too."""
    seen: set[str] = set()
    for path, item in items:
        if not isinstance(value := item.get(key), str):
            continue
        if value in seen:
            yield Finding((*path, key), f"another {key} than an earlier item's", value)
        seen.add(value)


def _items(value: Mapping[str, Any], key: str, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    listed = value.get(key)
    for position, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, Mapping):
            yield (*path, key, position), item


def _one(words: Sequence[str]) -> str:
    return f"one of {', '.join(words)}"
