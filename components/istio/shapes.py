"""What Istio's charts always render for a gateway: the keys an overlay can rely on, by object.

Only the shape counts: a map is a map of the rendered object, a list holds the items that are always there, everything else
stands for "a value". Taken from what the renderers make of their profiles (`istioctl manifest generate`); what
depends on the version comes from components/istio/versions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

from components.istio.versions import Release

Shape = dict[str, Any]
GatewayKind = Literal["ingress", "egress"]

_VALUE = "…"


def _metadata() -> Shape:
    return dict.fromkeys(("name", "namespace"), _VALUE)


_HARDENED = {
    "pod": ("runAsGroup", "runAsNonRoot", "runAsUser"),
    "container": ("allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem"),
}
"""Keys of the security contexts that a gateway has which does not run as root."""


def _deployment(known: Release, mounts: Mapping[str, str], as_root: bool) -> Shape:
    labels = {"app": _VALUE, "istio": _VALUE, "release": _VALUE}
    container = {
        "name": "istio-proxy",
        "args": [],
        "env": [],
        "image": _VALUE,
        # 1.5's profiles set the pull policy, later ones leave it to Kubernetes
        **({"imagePullPolicy": _VALUE} if known.gateway_names else {}),
        "ports": [],
        "readinessProbe": {
            "httpGet": {"path": _VALUE, "port": _VALUE, "scheme": _VALUE},
            **dict.fromkeys(
                (
                    "failureThreshold",
                    "initialDelaySeconds",
                    "periodSeconds",
                    "successThreshold",
                    "timeoutSeconds",
                ),
                _VALUE,
            ),
        },
        "resources": {"limits": {"cpu": _VALUE, "memory": _VALUE}, "requests": {"cpu": _VALUE, "memory": _VALUE}},
        "volumeMounts": [{"mountPath": path} for path in mounts.values()],
    }
    pod: Shape = {}
    if not as_root:
        pod["securityContext"] = dict.fromkeys(_HARDENED["pod"], _VALUE)
        if known.gateway_fs_group:
            pod["securityContext"]["fsGroup"] = _VALUE
        container["securityContext"] = {**dict.fromkeys(_HARDENED["container"], _VALUE), "capabilities": {"drop": []}}
    # without a list of architectures both are rendered as null
    terms = {
        "preferredDuringSchedulingIgnoredDuringExecution": [],
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []},
    }
    affinity = {"nodeAffinity": terms if known.gateway_architectures else {}}
    return {
        "apiVersion": _VALUE,
        "kind": _VALUE,
        "metadata": {**_metadata(), "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": {"app": _VALUE, "istio": _VALUE}},
            "strategy": {"rollingUpdate": {"maxSurge": _VALUE, "maxUnavailable": _VALUE}},
            "template": {
                "metadata": {"annotations": {"sidecar.istio.io/inject": _VALUE}, "labels": {**labels, "chart": _VALUE}},
                "spec": {
                    **pod,
                    "affinity": affinity,
                    "containers": [container],
                    "serviceAccountName": _VALUE,
                    "volumes": [{"name": volume} for volume in mounts],
                },
            },
        },
    }


def _service() -> Shape:
    return {
        "apiVersion": _VALUE,
        "kind": _VALUE,
        # `annotations` is rendered as null when nothing asks for one, so it counts as missing
        "metadata": {**_metadata(), "labels": {"app": _VALUE, "istio": _VALUE, "release": _VALUE}},
        "spec": {"ports": [], "selector": {"app": _VALUE, "istio": _VALUE}, "type": _VALUE},
    }


def gateway_objects(
    gateway: GatewayKind, k8s: Mapping[str, Any], known: Release, name: str, as_root: bool
) -> dict[tuple[str, str], Shape]:
    """The objects of a gateway by (kind, name), as the operator's overlays find them.

    Args:
        gateway: which of the two charts.
        k8s: the gateway's own k8s settings, which the operator merges in before overlays.
        known: Istio's release.
        name: the gateway's.
        as_root: whether it runs as root.
    """
    mounts = known.ingress_mounts if gateway == "ingress" else known.egress_mounts
    deployment = _deployment(known, mounts, as_root)
    service = _service()
    _merge_settings(deployment, service, k8s)
    plain: Shape = {"apiVersion": _VALUE, "kind": _VALUE, "metadata": {**_metadata(), "labels": {"release": _VALUE}}}
    objects = {
        ("Deployment", name): deployment,
        ("Service", name): service,
        ("ServiceAccount", f"{name}-service-account"): deepcopy(plain),
    }
    # 1.5's chart calls the ingress gateway's by another name
    disruption = "ingressgateway" if gateway == "ingress" and known.gateway_names else name
    objects["PodDisruptionBudget", disruption] = {
        **deepcopy(plain),
        "spec": {"minAvailable": _VALUE, "selector": {"matchLabels": {}}},
    }
    if gateway == "ingress" or known.egress_sds:
        objects["Role", f"{name}-sds"] = deepcopy(plain)
        objects["RoleBinding", f"{name}-sds"] = deepcopy(plain)
    if k8s.get("hpaSpec"):
        objects["HorizontalPodAutoscaler", name] = {**deepcopy(plain), "spec": {}}
    return objects


def _merge_settings(deployment: Shape, service: Shape, k8s: Mapping[str, Any]) -> None:
    """The effect of k8s settings on the shape (1.5.0: operator/data/translateConfig/translateConfig-1.5.yaml)."""
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    template = deployment["spec"]["template"]["metadata"]
    for key, into in (
        ("affinity", pod),
        ("nodeSelector", pod),
        ("resources", container),
        ("strategy", deployment["spec"]),
    ):
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
