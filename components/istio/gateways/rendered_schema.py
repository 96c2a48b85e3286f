"""What Istio's charts always render of a component: the keys an overlay can rely on, by object.

Only the shape counts: a map is a map of the rendered object, a list holds the items that are always there (more may follow,
or stand between), everything else stands for "a value". Taken from what the renderers make of their profiles (`istioctl
manifest generate`); what depends on the version comes from components/istio/releases/table.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.istio.gateways.model import GatewayKind, Target
from components.istio.gateways.path import index_of, key_and_value
from components.istio.gateways.ports import ENVOY_METRICS_PORT, chart_ports, pod_ports
from components.istio.releases.model import Release

Shape = dict[str, Any]

VALUE = "…"
UNKNOWN: Any = object()
"""The shape of an object that only the renderer knows."""
MISSING: Any = object()
"""Of what is not rendered."""


@dataclass(frozen=True)
class Component:
    """A gateway or another component as its overlays meet it.

    Attributes:
        known, istio: the release, and Istio's version.
        objects: what there is, by kind and name; UNKNOWN where only the renderer knows what it holds.
        others: whether there are further objects that only the renderer knows.
        container: the one whose environment can be set by k8s.env, which adds and changes alike; None where k8s.env does nothing.
        hints: what to do instead of appending to a list, by its name, where that can't be done.
        perhaps: names of items that are there in some releases, so that they are patched and never appended.
        grows: whether containers can be appended by their number, which must be certain up to 1.6.
    """

    known: Release
    istio: str
    objects: Mapping[Target, Shape]
    others: bool = False
    container: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    perhaps: frozenset[str] = frozenset()
    grows: bool = True


def inside(shape: Any, element: str) -> Any:
    """The part of a shape that a path's element leads to."""
    if isinstance(shape, dict):
        return shape.get(element, MISSING)
    if isinstance(shape, list):
        if (number := index_of(element)) is not None:
            return shape[number] if 0 <= number < len(shape) else MISSING
        key, value = key_and_value(element)
        return next((i for i in shape if isinstance(i, dict) and str(i.get(key)) == value), MISSING)
    return UNKNOWN if shape is UNKNOWN else MISSING


_SECRET = {"secret": {"optional": VALUE, "secretName": VALUE}}
_CONFIG_MAP = {"configMap": {"name": VALUE}}
_EMPTY: Shape = {"emptyDir": {}}
_VOLUMES: Mapping[str, Shape] = {
    "istiod-ca-cert": _CONFIG_MAP,
    "podinfo": {"downwardAPI": {"items": []}},
    "ingressgatewaysdsudspath": _EMPTY,
    "gatewaysdsudspath": _EMPTY,
    "istio-envoy": _EMPTY,
    "istio-data": _EMPTY,
    "istio-token": {"projected": {"sources": []}},
    "config-volume": {"configMap": {"name": VALUE, "optional": VALUE}},
    **{f"{kind}gateway-{what}": _SECRET for kind in ("ingress", "egress") for what in ("certs", "ca-certs")},
    **dict.fromkeys(("workload-socket", "credential-socket", "workload-certs"), _EMPTY),
    "cacerts": _SECRET,
    "local-certs": {"emptyDir": {"medium": VALUE}},
}
"""Sources of the charts' volumes by their names."""

ENVIRONMENT: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "CANONICAL_REVISION", "CANONICAL_SERVICE", "HOST_IP", "INSTANCE_IP", "ISTIO_META_CONFIG_NAMESPACE", "ISTIO_META_POD_NAME",
            "NODE_NAME", "POD_NAME", "POD_NAMESPACE", "SERVICE_ACCOUNT",
        ),
        "fieldRef",
    ),
    **dict.fromkeys(("ISTIO_CPU_LIMIT", "GOMAXPROCS", "GOMEMLIMIT"), "resourceFieldRef"),
    **dict.fromkeys(
        (
            "CA_ADDR", "CLUSTER_ID", "GODEBUG", "INJECTION_WEBHOOK_CONFIG_NAME", "ISTIOD_ADDR", "ISTIO_AUTO_MTLS_ENABLED",
            "ISTIO_META_CLUSTER_ID", "ISTIO_META_MESH_ID", "ISTIO_META_OWNER", "ISTIO_META_ROUTER_MODE", "ISTIO_META_UNPRIVILEGED_POD",
            "ISTIO_META_USER_SDS", "ISTIO_META_WORKLOAD_NAME", "JWT_POLICY", "PILOT_CERT_PROVIDER", "PILOT_ENABLE_ANALYSIS",
            "PILOT_TRACE_SAMPLING", "REVISION", "TRUST_DOMAIN",
        ),
        "value",
    ),
}
"""Variables of the charts' gateways and of istiod, of any release, by what gives them their value."""


def _metadata() -> Shape:
    return dict.fromkeys(("name", "namespace"), VALUE)


_HARDENED = {
    "pod": ("runAsGroup", "runAsNonRoot", "runAsUser"),
    "container": ("allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem"),
}
"""Keys of the security contexts that a gateway has which does not run as root."""

_PROBE = ("failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold", "timeoutSeconds")
_ROLLING = {"rollingUpdate": {"maxSurge": VALUE, "maxUnavailable": VALUE}}


def _volumes(names: Sequence[str]) -> list[Shape]:
    return [{"name": volume, **deepcopy(_VOLUMES[volume])} for volume in names]


def _mounted(mounts: Mapping[str, str]) -> list[Shape]:
    return [{"name": volume, "mountPath": path} for volume, path in mounts.items()]


def _deployment(known: Release, mounts: Mapping[str, str], as_root: bool, ports: Sequence[Mapping[str, Any]]) -> Shape:
    labels = {"app": VALUE, "istio": VALUE, "release": VALUE}
    container = {
        "name": "istio-proxy",
        "args": [VALUE] * 3,
        "env": [],
        "image": VALUE,
        # 1.5's profiles set the pull policy, later ones leave it to Kubernetes
        **({"imagePullPolicy": VALUE} if known.gateway_names else {}),
        "ports": [
            *({"containerPort": number} for number in pod_ports(ports, known)),
            {"containerPort": ENVOY_METRICS_PORT, "name": "http-envoy-prom"},
        ],
        "readinessProbe": {"httpGet": {"path": VALUE, "port": VALUE, "scheme": VALUE}, **dict.fromkeys(_PROBE, VALUE)},
        "resources": {"limits": {"cpu": VALUE, "memory": VALUE}, "requests": {"cpu": VALUE, "memory": VALUE}},
        "volumeMounts": _mounted(mounts),
    }
    pod: Shape = {}
    if not as_root:
        pod["securityContext"] = dict.fromkeys(_HARDENED["pod"], VALUE)
        if known.gateway_fs_group:
            pod["securityContext"]["fsGroup"] = VALUE
        container["securityContext"] = {**dict.fromkeys(_HARDENED["container"], VALUE), "capabilities": {"drop": [VALUE]}}
    # without a list of architectures both are rendered as null
    terms = {
        "preferredDuringSchedulingIgnoredDuringExecution": [],
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []},
    }
    affinity = {"nodeAffinity": terms if known.gateway_architectures else {}}
    return {
        "apiVersion": VALUE,
        "kind": VALUE,
        "metadata": {**_metadata(), "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": {"app": VALUE, "istio": VALUE}},
            "strategy": deepcopy(_ROLLING),
            "template": {
                "metadata": {"annotations": {"sidecar.istio.io/inject": VALUE}, "labels": {**labels, "chart": VALUE}},
                "spec": {
                    **pod,
                    "affinity": affinity,
                    "containers": [container],
                    "serviceAccountName": VALUE,
                    "volumes": _volumes(list(mounts)),
                },
            },
        },
    }


def _service(ports: Sequence[Mapping[str, Any]]) -> Shape:
    return {
        "apiVersion": VALUE,
        "kind": VALUE,
        # `annotations` is rendered as null when nothing asks for one, so it counts as missing
        "metadata": {**_metadata(), "labels": {"app": VALUE, "istio": VALUE, "release": VALUE}},
        "spec": {
            "ports": [{key: port[key] for key in ("name", "port") if key in port} for port in ports],
            "selector": {"app": VALUE, "istio": VALUE},
            "type": VALUE,
        },
    }


def gateway_objects(
    gateway: GatewayKind,
    k8s: Mapping[str, Any],
    known: Release,
    name: str,
    as_root: bool,
    ports: Sequence[Mapping[str, Any]] | None = None,
    scaled: bool = False,
) -> dict[Target, Shape]:
    """The objects of a gateway by (kind, name), as the operator's overlays find them.

    Args:
        gateway: which of the two charts.
        k8s: the gateway's own k8s settings, which the operator merges in before overlays.
        known: Istio's release.
        name: the gateway's.
        as_root: whether it runs as root.
        ports: the service's, where the settings list them; the charts' by default.
        scaled: whether the chart makes an autoscaler.
    """
    mounts = known.ingress_mounts if gateway == "ingress" else known.egress_mounts
    listed = ports if ports is not None else chart_ports(gateway, known)
    deployment = _deployment(known, mounts, as_root, listed)
    service = _service(listed)
    _merge_settings(deployment, service, k8s)
    plain: Shape = {"apiVersion": VALUE, "kind": VALUE, "metadata": {**_metadata(), "labels": {"release": VALUE}}}
    objects = {("Deployment", name): deployment, ("Service", name): service, ("ServiceAccount", f"{name}-service-account"): deepcopy(plain)}
    # 1.5's chart calls the ingress gateway's by another name
    disruption = "ingressgateway" if gateway == "ingress" and known.gateway_names else name
    objects["PodDisruptionBudget", disruption] = {**deepcopy(plain), "spec": {"minAvailable": VALUE, "selector": {"matchLabels": {}}}}
    if gateway == "ingress" or known.egress_sds:
        objects["Role", f"{name}-sds"] = deepcopy(plain)
        objects["RoleBinding", f"{name}-sds"] = deepcopy(plain)
    if scaled or k8s.get("hpaSpec"):
        spec = {"maxReplicas": VALUE, "minReplicas": VALUE, "scaleTargetRef": dict.fromkeys(("apiVersion", "kind", "name"), VALUE)}
        objects["HorizontalPodAutoscaler", name] = {**deepcopy(plain), "spec": {**spec, "metrics": [{}]}}
    return objects


COMPONENTS: Mapping[str, str] = {"pilot": "discovery"}
"""By the key of a component, the container that its k8s.env is for."""

PERHAPS: Mapping[str, frozenset[str]] = {
    "pilot": frozenset(
        (
            "config-volume", "extracacerts", "inject", "istio-csr-ca-configmap", "istio-csr-dns-cert", "istio-kubeconfig", "istiod",
            "local-certs", "pilot-envoy-config",
        )
    ),
    "cni": frozenset(("repair-cni",)),
}
"""By the key of a component, volumes and containers that it has in some releases."""

_ISTIOD_MOUNTS = {"istio-token": "/var/run/secrets/tokens", "local-certs": "/var/run/secrets/istio-dns", "cacerts": "/etc/cacerts"}


def component_objects(component: str, k8s: Mapping[str, Any], known: Release) -> dict[Target, Shape]:
    """The workload of istiod or of the CNI plugin, as `gateway_objects`. There is more that only the renderer knows."""
    if component == "pilot":
        container: Shape = {
            "name": "discovery",
            "args": [VALUE] * 3,
            "env": [],
            "image": VALUE,
            "ports": [{"containerPort": number} for number in (8080, 15010, 15017)],
            "readinessProbe": {
                "httpGet": {"path": VALUE, "port": VALUE},
                **dict.fromkeys(("initialDelaySeconds", "periodSeconds", "timeoutSeconds"), VALUE),
            },
            "resources": {"requests": {"cpu": VALUE, "memory": VALUE}},
            "securityContext": {"capabilities": {"drop": [VALUE]}, **dict.fromkeys(("runAsNonRoot",), VALUE)},
            "volumeMounts": _mounted(_ISTIOD_MOUNTS),
        }
        pod: Shape = {
            "containers": [container],
            "serviceAccountName": VALUE,
            "volumes": _volumes(["local-certs", "istio-token", "cacerts"]),
        }
        labels = {"app": VALUE, "istio": VALUE}
        metadata = {"annotations": {"sidecar.istio.io/inject": VALUE}, "labels": dict(labels)}
        workload: Shape = {
            "metadata": {**_metadata(), "labels": {**labels, "release": VALUE}},
            "spec": {
                "selector": {"matchLabels": {"istio": VALUE}},
                "strategy": deepcopy(_ROLLING),
                "template": {"metadata": metadata, "spec": pod},
            },
        }
        _merge_settings(workload, {"metadata": {}, "spec": {}}, k8s)
        budget: Shape = {"metadata": _metadata(), "spec": {"minAvailable": VALUE, "selector": {"matchLabels": {}}}}
        return {("Deployment", "istiod"): workload, ("PodDisruptionBudget", "istiod"): budget}
    if component == "cni":
        installer: Shape = {"name": "install-cni", "image": VALUE, "command": UNKNOWN, "env": UNKNOWN, "volumeMounts": UNKNOWN}
        if known.cni_probed:
            installer["readinessProbe"] = {"httpGet": {"path": VALUE, "port": VALUE}}
        pod = {
            "containers": [installer],
            "nodeSelector": {},
            "priorityClassName": VALUE,
            "serviceAccountName": VALUE,
            "terminationGracePeriodSeconds": VALUE,
            "tolerations": [{}, {"key": "CriticalAddonsOnly"}, {}],
            "volumes": UNKNOWN,
        }
        workload = {
            "metadata": {**_metadata(), "labels": {"k8s-app": VALUE}},
            "spec": {
                "selector": {"matchLabels": {"k8s-app": VALUE}},
                "updateStrategy": {"type": VALUE, "rollingUpdate": {"maxUnavailable": VALUE}},
                "template": {"metadata": {"annotations": {}, "labels": {"k8s-app": VALUE}}, "spec": pod},
            },
        }
        return {("DaemonSet", "istio-cni-node"): workload}
    return {}


def _merge_settings(deployment: Shape, service: Shape, k8s: Mapping[str, Any]) -> None:
    """The effect of k8s settings on the shape (1.5.0: operator/data/translateConfig/translateConfig-1.5.yaml)."""
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    template = deployment["spec"]["template"]["metadata"]
    for key, into in (("affinity", pod), ("nodeSelector", pod), ("resources", container), ("strategy", deployment["spec"])):
        if isinstance(wanted := k8s.get(key), Mapping):
            into[key] = _union(into.get(key, {}), wanted)
    if isinstance(k8s.get("tolerations"), list):
        pod["tolerations"] = list(k8s["tolerations"])
    if isinstance(k8s.get("readinessProbe"), Mapping):
        container["readinessProbe"] = _union(container["readinessProbe"], k8s["readinessProbe"])
    if isinstance(k8s.get("podAnnotations"), Mapping):
        template["annotations"] = _union(template["annotations"], k8s["podAnnotations"])
    if isinstance(k8s.get("serviceAnnotations"), Mapping):
        service["metadata"]["annotations"] = dict(k8s["serviceAnnotations"])
    if isinstance(k8s.get("service"), Mapping):
        service["spec"] = _union(service["spec"], {k: v for k, v in k8s["service"].items() if k != "ports"})


def _union(into: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(into)
    for key, value in more.items():
        known = merged.get(key)
        merged[key] = _union(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged
