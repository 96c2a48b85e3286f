"""What single values of an object must be, by where they stand: words, numbers, names, quantities, addresses.

As far as the API server refuses them although its schema allows them; of an image, what no runtime could pull. Pure. Sources: Kubernetes
1.16.3, pkg/apis/core/validation/validation.go, k8s.io/apimachinery/pkg/util/validation/validation.go; the functions are named below.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kubernetes.quantities import quantity

NODE_PORTS = (30000, 32767)
"""kube-apiserver's --service-node-port-range, which kubeadm leaves as it is."""

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PORT_NAME = r"(?!.*--)(?=[^a-z]*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?"
_IMAGE = (
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[0-9]+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?|"
)


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Attributes:
        expected: in words.
        holds: whether a value is so.
    """

    expected: str
    holds: Callable[[Any], bool]


def _words(*words: str) -> Rule:
    return Rule(f"one of {', '.join(words)}", lambda value: not isinstance(value, str) or value in ("", *words))


def _number(least: int, most: int | None = None) -> Rule:
    """Of a number; a text in its place is for others to judge."""
    expected = f"{least} or more" if most is None else f"a number from {least} to {most}"
    return Rule(expected, lambda value: not isinstance(value, int) or (value >= least and (most is None or value <= most)))


def _text(expected: str, pattern: str) -> Rule:
    return Rule(expected, lambda value: not isinstance(value, str) or bool(re.fullmatch(pattern, value)))


def _share(most: int | None = None) -> Rule:
    """A number, or a percentage (ValidatePositiveIntOrPercent, IsNotMoreThan100Percent)."""

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return bool(re.fullmatch(r"\d+%", value)) and (most is None or int(value[:-1]) <= most)
        return not isinstance(value, int) or value >= 0

    return Rule("a number, or a percentage like 25%" if most is None else f"a number, or a percentage of at most {most}%", holds)


def _parsed(expected: str, read: Callable[[str], object]) -> Rule:
    def holds(value: Any) -> bool:
        try:
            read(str(value))
        except ValueError:
            return False
        return True

    return Rule(expected, holds)


_AMOUNT = Rule(
    "a quantity like 500m or 128Mi, 0 or more",
    lambda value: isinstance(value, Mapping | list) or ((found := quantity(value)) is not None and found >= 0),
)
_PORT = _number(1, 65535)
_PORT_OF_POD = Rule(
    "a number from 1 to 65535, or a port's name of at most 15 lower-case letters, digits and '-'",
    lambda value: bool(re.fullmatch(_PORT_NAME, value)) if isinstance(value, str) else _PORT.holds(value),
)
_DNS_LABEL = _text("a name of lower-case letters, digits and '-', at most 63", LABEL)
_ADDRESS = _parsed("an IP address", ipaddress.ip_address)
_NOT_NEGATIVE = _number(0)

_OF_POD: Mapping[str, Rule] = {
    "dnsPolicy": _words("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),  # validateDNSPolicy
    "imagePullPolicy": _words("Always", "IfNotPresent", "Never"),  # validatePullPolicy
    "protocol": _words("TCP", "UDP", "SCTP"),  # validateContainerPorts
    "restartPolicy": _words("Always"),  # ValidatePodTemplateSpecForRC and its like: of a Deployment's or DaemonSet's pods
    "scheme": _words("HTTP", "HTTPS"),  # validateHTTPGetAction
    "terminationMessagePolicy": _words("File", "FallbackToLogsOnError"),  # validateContainers
    "whenUnsatisfiable": _words("DoNotSchedule", "ScheduleAnyway"),  # validateTopologySpreadConstraints
    "tolerations.operator": _words("Exists", "Equal"),  # ValidateTolerations
    "tolerations.effect": _words("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "matchExpressions.operator": _words("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),  # ValidateNodeSelectorRequirement
    "hostPath.type": _words("DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"),
    "containerPort": _PORT,
    "hostPort": _PORT,
    "httpGet.port": _PORT_OF_POD,  # ValidatePortNumOrName
    "tcpSocket.port": _PORT_OF_POD,
    "weight": _number(1, 100),  # validatePreferredSchedulingTerms, validateWeightedPodAffinityTerms
    "terminationGracePeriodSeconds": _NOT_NEGATIVE,
    # validateProbe
    **dict.fromkeys(("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), _NOT_NEGATIVE),
    **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _NOT_NEGATIVE),
    "containers.name": _DNS_LABEL,
    "initContainers.name": _DNS_LABEL,
    "volumes.name": _DNS_LABEL,
    "ports.name": _text("a name of at most 15 lower-case letters, digits and '-'", _PORT_NAME),  # IsValidPortName
    "env.name": _text("a name of letters, digits, '-', '.' and '_', without a digit first", r"[-._a-zA-Z][-._a-zA-Z0-9]*"),  # IsEnvVarName
    "hostAliases.ip": _ADDRESS,
    "image": _text("an image's name, as registry.example.org/istio/proxyv2:1.5.0", _IMAGE),
    "sizeLimit": _AMOUNT,
}
"""By the last key of a path, or the last two, of a pod's spec; positions in lists left out."""

_OF_WORKLOAD: Mapping[str, Rule] = {
    **dict.fromkeys(("replicas", "minReadySeconds", "revisionHistoryLimit"), _NOT_NEGATIVE),
    "maxSurge": _share(),
    "maxUnavailable": _share(100),
    "updateStrategy.type": _words("RollingUpdate", "OnDelete"),
}

_OF_SERVICE: Mapping[str, Rule] = {
    "externalTrafficPolicy": _words("Cluster", "Local"),
    "sessionAffinity": _words("None", "ClientIP"),
    "protocol": _OF_POD["protocol"],
    "ports.port": _PORT,
    "ports.targetPort": _PORT_OF_POD,
    "ports.name": _DNS_LABEL,
    "ports.nodePort": Rule(f"a number from {NODE_PORTS[0]} to {NODE_PORTS[1]}", lambda value: not value or _number(*NODE_PORTS).holds(value)),
    "externalIPs": _ADDRESS,
    "clusterIP": Rule("an IP address, or None", lambda value: value in ("", "None") or _ADDRESS.holds(value)),
    "loadBalancerSourceRanges": _parsed("a network like 10.0.0.0/8", lambda text: ipaddress.ip_network(_with_prefix(text), strict=False)),
}
"""ValidateService, validateServicePort."""

_OTHERS: Mapping[str, Mapping[str, Rule]] = {
    "Service": _OF_SERVICE,
    "HorizontalPodAutoscaler": {
        "minReplicas": _number(1),
        "maxReplicas": _number(1),
        "metrics.type": _words("Object", "Pods", "Resource", "External", "ContainerResource"),
    },
    "PodDisruptionBudget": {"minAvailable": _share(100), "maxUnavailable": _share(100)},
}
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")

_LABELS = ("labels", "matchLabels", "nodeSelector")
_KEY = _text("a name of at most 63 letters, digits, '-', '_' and '.', with a domain and a slash before it or none", rf"({SUBDOMAIN}/)?{_NAME}")
_VALUE = _text("at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends", rf"({_NAME})?")


def as_map(value: Any) -> Mapping[str, Any]:
    """A value that is a map, and nothing for any other: what has another form, others tell of."""
    return value if isinstance(value, Mapping) else {}


def _with_prefix(text: str) -> str:
    if "/" not in text:
        raise ValueError(text)
    return text.strip()


def odd(known: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """Each value that is not what it must be: where, what is expected, and the value."""
    for key in ("labels", "annotations"):
        yield from named(as_map(known.get("metadata")).get(key), ("metadata", key))
    kind = str(known.get("kind"))
    if kind in WORKLOADS:
        yield from _walk(known.get("spec"), ("spec",), {**_OF_POD, **_OF_WORKLOAD})
    elif kind in _OTHERS:
        yield from _walk(known.get("spec"), ("spec",), _OTHERS[kind])


def _walk(value: Any, path: tuple[str | int, ...], rules: Mapping[str, Rule]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    names = [at for at in path if isinstance(at, str)]
    if isinstance(value, Mapping):
        if names[-1] in (*_LABELS, "annotations") or names[-2:] == ["spec", "selector"]:
            yield from named(value, path)
        for key, inner in value.items():
            at = (*path, str(key))
            if names[-1] in ("limits", "requests") and inner is not None and not _AMOUNT.holds(inner):
                yield at, _AMOUNT.expected, inner
            yield from _walk(inner, at, rules)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _walk(inner, (*path, position), rules)
    elif value is not None and (rule := _rule(names, rules)) and not rule.holds(value):
        yield path, rule.expected, value


def _rule(names: Sequence[str], rules: Mapping[str, Rule]) -> Rule | None:
    return rules.get(".".join(names[-2:])) or rules.get(names[-1])


def named(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """What is wrong with labels or annotations, as the path's last element says: keys, and values of labels (ValidateLabels, ValidateAnnotations)."""
    annotations = path[-1] == "annotations"
    for key, text in (value or {}).items() if isinstance(value, Mapping) else ():
        if isinstance(text, Mapping | list):
            continue  # no labels but a selector's parts, or what the schema tells of
        if not _KEY.holds(str(key).lower() if annotations else str(key)):
            yield (*path, str(key)), f"as its key {_KEY.expected}", key
        if not annotations and not _VALUE.holds(text):
            yield (*path, str(key)), _VALUE.expected, text
