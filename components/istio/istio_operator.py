"""From settings to one IstioOperator, and to what must be true in the cluster once the operator has carried it out.

Pure: no Pulumi, no SSH. Sources: the profiles of each version and what its renderer makes of them (components/istio/releases/table.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.config import operator_file
from components.config.fields import KUBERNETES_OWN
from components.config.mesh import IstioSettings
from components.istio import cni_chain
from components.istio.gateways import host_network
from components.istio.gateways.model import GatewayKind, Note, OverlayError, gateway_chart
from components.istio.gateways.path import parse_path
from components.istio.gateways.ports import container_ports
from components.istio.gateways.specs import GatewaySpecs, component_spec, gateway_specs, merge_under
from components.istio.operator_manifests import MANAGED, NAMESPACE
from components.istio.releases.table import release

KINDS: tuple[GatewayKind, ...] = ("ingress", "egress")

UNSCALED = ("demo",)
"""Profiles whose gateways have no autoscaler (1.5.0: operator/data/profiles/demo.yaml)."""

GATEWAY_CONTAINER = "istio-proxy"
CNI_DAEMON_SET = "istio-cni-node"
CNI_ANNOTATION = "sealos-istio/cni-chain"
"""On the pods of the CNI plugin's installer: a digest of what its ConfigMap tells it."""

KIALI = "kiali"
"""The Deployment, and the Secret with its log-in unless values.kiali.dashboard.secretName has another."""

THERE_ANYWAY = KUBERNETES_OWN | {NAMESPACE}
"""Namespaces that Kubernetes or this program makes."""


@dataclass(frozen=True)
class ControlPlanePlan:
    """What is applied and what is expected of it.

    Attributes:
        istio: the settings.
        ingress, egress: the gateways as the operator gets them, host network written out.
        manifest: the IstioOperator.
        wanted: the ready gate's input, as JSON data; see components/istio/readiness/model.py.
        notes: what was made safe on the way.
        host_network: names of the gateways whose pods live in their nodes' network.
        needs_kiali_login: the Secret with Kiali's log-in that must be there first, empty without Kiali; the demo profile's own
            (admin/admin) is turned off.
        namespaces: of gateways, and of the CNI plugin, that have one of their own, which have to be made.
    """

    istio: IstioSettings
    ingress: GatewaySpecs
    egress: GatewaySpecs
    manifest: dict[str, Any]
    wanted: dict[str, Any]
    notes: tuple[Note, ...]
    host_network: frozenset[str] = frozenset()
    needs_kiali_login: str = ""
    namespaces: tuple[str, ...] = ()


def plan(istio: IstioSettings) -> ControlPlanePlan:
    """The IstioOperator for these settings.

    Raises:
        OverlayError: when a gateway can't be made safe, or something else can't be carried out.
    """
    if problems := [*_unheeded(istio), *cni_chain.unfit(istio)]:
        raise OverlayError(problems)
    ingress, egress = (_gateway_specs(istio, kind) for kind in KINDS)
    components, notes = _safe_components(istio, _components(istio, ingress, egress))
    manifest = {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {
            "name": istio.name,
            "namespace": istio.namespace,
            **istio.metadata.model_dump(exclude_defaults=True),
        },
        "spec": _spec(istio, ingress, egress, components),
    }
    wanted = _wanted(istio, ingress, egress, components)
    in_host_network = ingress.host_network | egress.host_network
    kiali = _kiali_secret(istio) if KIALI in wanted["deployments"] else ""
    made = {own for safe in (ingress, egress) for gateway in safe.gateways if (own := _elsewhere(istio, gateway))}
    if istio.cni.enabled:
        made.add(istio.cni.namespace)
    namespaces = tuple(sorted(made - THERE_ANYWAY - {istio.namespace}))
    notes = [*ingress.notes, *egress.notes, *notes]
    return ControlPlanePlan(istio, ingress, egress, manifest, wanted, tuple(notes), in_host_network, kiali, namespaces)


def _unheeded(istio: IstioSettings) -> Iterator[str]:
    """Labels, annotations and places that would undo the rest, one line each."""
    key = "install.istio.io/ignoreReconcile"
    if release(istio.version).ignores_on_demand and istio.metadata.annotations.get(key, "").lower() == "true":
        yield (
            f"istio.metadata.annotations: with {key} Istio {istio.version}'s operator would leave the whole IstioOperator alone; take it out"
        )
    for key, component in istio.components.items():
        namespace = component.get("namespace") if isinstance(component, Mapping) else None
        if namespace not in (None, istio.namespace):
            yield (
                f"istio.components.{key}.namespace is {namespace!r}, but istio.namespace, where everything else and the operator look for it, is "
                f"{istio.namespace}; leave it out"
            )
    for label, value in MANAGED.items():
        if istio.namespace_metadata.labels.get(label, value) != value:
            yield (
                f"istio.namespaceMetadata.labels: Istio's own charts set {label} to {value} on the mesh's namespace, again and again; "
                f"take it out"
            )


def _elsewhere(istio: IstioSettings, gateway: Mapping[str, Any]) -> str:
    """The namespace of an enabled gateway that is not in the mesh's."""
    namespace = str(gateway.get("namespace") or istio.namespace)
    return namespace if gateway["enabled"] and namespace != istio.namespace else ""


def qualified(istio: IstioSettings, gateway: Mapping[str, Any]) -> str:
    """A gateway's name as the ready gate takes it: with its namespace where that isn't the mesh's."""
    namespace = _elsewhere(istio, gateway)
    return f"{namespace}/{gateway['name']}" if namespace else str(gateway["name"])


def _kiali_secret(istio: IstioSettings) -> str:
    """What its chart mounts (1.5.0: manifests/istio-telemetry/kiali/templates/deployment.yaml)."""
    kiali = istio.values.get("kiali")
    dashboard = kiali.get("dashboard") if isinstance(kiali, Mapping) else None
    return str((dashboard.get("secretName") if isinstance(dashboard, Mapping) else None) or KIALI)


def _gateway_specs(istio: IstioSettings, kind: GatewayKind) -> GatewaySpecs:
    """The gateways of one kind as the operator gets them, host network written out.

    Raises:
        OverlayError: when one can't be made safe.
    """
    settings = istio.ingress_gateways if kind == "ingress" else istio.egress_gateways
    problems: list[str] = []
    notes: list[Note] = []
    given, values = [], istio.values
    for position, gateway in enumerate(settings):
        where = f"istio.{kind}Gateways[{position}]"
        expanded = host_network.expand(gateway, where, kind, istio.version, istio.values)
        problems += expanded.problems
        notes += expanded.notes
        given.append(expanded.gateway)
        values = merge_under(values, expanded.values)
    if problems:
        raise OverlayError(problems)
    safe = gateway_specs(given, kind, istio.version, values, scaled=istio.profile not in UNSCALED)
    return replace(safe, values=merge_under(values, safe.values), notes=(*notes, *safe.notes))


def _components(istio: IstioSettings, ingress: GatewaySpecs, egress: GatewaySpecs) -> dict[str, Any]:
    """Of the IstioOperator's spec, overlays of other components than gateways as they were written."""
    components: dict[str, Any] = {**istio.components, "cni": {"enabled": istio.cni.enabled}}
    k8s = dict(istio.cni.k8s)
    if istio.cni.enabled:
        components["cni"]["namespace"] = istio.cni.namespace
        if release(istio.version).cni_agent:
            # 1.23.2's chart says EXCLUDED_NAMESPACES, which its installer does not read (cni/pkg/constants/constants.go)
            excluded = {"name": "EXCLUDE_NAMESPACES", "value": ",".join(istio.cni.exclude_namespaces)}
            k8s["env"] = [*k8s.get("env", ()), excluded]
    if k8s:
        components["cni"]["k8s"] = k8s
    for kind, safe in zip(KINDS, (ingress, egress), strict=True):
        if safe.gateways:
            components[f"{kind}Gateways"] = [*safe.gateways, *_left_out(kind, safe, istio.version)]
    return components


def _safe_components(istio: IstioSettings, components: Mapping[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """The components with the overlays of all that are no gateways made as safe as theirs, and what was changed.

    Raises:
        OverlayError: with every problem of every component.
    """
    safe: dict[str, Any] = {}
    notes: list[Note] = []
    problems: list[str] = []
    for key, component in components.items():
        safe[key] = component
        if isinstance(component, Mapping):
            try:
                safe[key], more = component_spec(key, component, istio.version)
                notes += more
            except OverlayError as error:
                problems += error.problems
    if problems:
        raise OverlayError(problems)
    return safe, notes


def _values(istio: IstioSettings, ingress: GatewaySpecs, egress: GatewaySpecs) -> dict[str, Any]:
    """Of the IstioOperator's spec."""
    values = merge_under(merge_under(istio.values, ingress.values), egress.values)
    if release(istio.version).proxies_pull_always:
        # as below: a registry is asked also for an image that is there, and nodes are often offline
        values = merge_under(values, {"global": {"imagePullPolicy": "IfNotPresent"}})
    if istio.cni.enabled:
        cni: dict[str, Any] = {
            "excludeNamespaces": list(istio.cni.exclude_namespaces),
            "logLevel": istio.cni.log_level,
            # without it the installer takes whatever file comes first in /etc/cni/net.d at that moment
            "cniConfFileName": istio.cni.config_file,
            "podAnnotations": {CNI_ANNOTATION: _chain_digest(istio)},
        }
        if release(istio.version).cni_pulls_always:
            # the chart's `Always` asks the registry also for an image that is there, and nodes are often offline
            cni["pullPolicy"] = "IfNotPresent"
        if release(istio.version).cni_agent:
            # the plugin's level is that of this scope (1.23.2: cni/pkg/cmd/root.go)
            cni["logging"] = {"level": f"default:info,cni-plugin:{istio.cni.log_level}"}
        values = merge_under(values, {"cni": cni})
    if KIALI in expected_deployments(istio, ingress, egress):
        values = merge_under(values, {"kiali": {"createDemoSecret": False}})
    return values


def _spec(
    istio: IstioSettings, ingress: GatewaySpecs, egress: GatewaySpecs, components: Mapping[str, Any]
) -> dict[str, Any]:
    values = _values(istio, ingress, egress)
    spec: dict[str, Any] = {"profile": istio.profile, "hub": istio.hub, "tag": istio.image_tag, "components": components}
    if istio.addon_components:
        spec["addonComponents"] = {
            name: addon.model_dump(by_alias=True, exclude_unset=True) for name, addon in istio.addon_components.items()
        }
    if values:
        spec["values"] = values
    if istio.mesh_config:
        # On 1.5 this leaves the CNI plugin's objects behind when the IstioOperator is deleted
        # (operator/pkg/controller/istiocontrolplane/inputs.go: with meshConfig only its own namespace is pruned).
        spec["meshConfig"] = dict(istio.mesh_config)
    return spec


def _chain_digest(istio: IstioSettings) -> str:
    """What makes the installer's pods anew when the chain changes.

    The charts give their ConfigMap to the installer as environment and have no checksum of it (1.5.0,
    manifests/istio-cni/templates/daemonset.yaml), so what is changed on a live mesh would never reach a node.
    """
    cni = istio.cni
    told = json.dumps([sorted(cni.exclude_namespaces), cni.log_level, cni.config_file])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _left_out(kind: GatewayKind, safe: GatewaySpecs, istio: str) -> list[dict[str, Any]]:
    """The profiles' own gateway, turned off where the list has others and Istio would merge it in by its name."""
    own = gateway_chart(kind)
    if not release(istio).merges_gateways or own in [gateway["name"] for gateway in safe.gateways]:
        return []
    return [{"name": own, "enabled": False}]


def expected_deployments(istio: IstioSettings, ingress: GatewaySpecs, egress: GatewaySpecs) -> list[str]:
    """Names of the Deployments that must be there, in order of the alphabet."""
    known = release(istio.version)
    names = set(known.profiles[istio.profile])
    for key, name in known.components.items():
        component = istio.components.get(key)
        if isinstance(component, Mapping) and isinstance(component.get("enabled"), bool):
            (names.add if component["enabled"] else names.discard)(name)
    for addon, settings in istio.addon_components.items():
        (names.add if settings.enabled else names.discard)(known.addons[addon])
    for kind, safe in zip(KINDS, (ingress, egress), strict=True):
        if safe.gateways:  # the list replaces the profile's
            names.discard(gateway_chart(kind))
            names |= {qualified(istio, gateway) for gateway in safe.gateways if gateway["enabled"]}
    return sorted(names)


def _wanted(
    istio: IstioSettings, ingress: GatewaySpecs, egress: GatewaySpecs, components: Mapping[str, Any]
) -> dict[str, Any]:
    fields: list[dict[str, Any]] = []
    for safe in (ingress, egress):
        for gateway in safe.gateways:
            if gateway["enabled"]:
                fields += _gateway_fields(istio, gateway, safe)
    for component in components.values():
        if isinstance(component, Mapping) and component.get("enabled") is not False:
            fields += _patched(component.get("k8s"), "")
    enabled = [qualified(istio, gateway) for gateway in ingress.gateways if gateway["enabled"]]
    names = expected_deployments(istio, ingress, egress)
    return {
        "version": istio.version,
        "name": istio.name,
        "namespace": istio.namespace,
        "timeout": istio.ready_timeout,
        "deployments": names,
        "cni": {"namespace": istio.cni.namespace, "name": CNI_DAEMON_SET} if istio.cni.enabled else None,
        "gateway": next(iter(enabled), "istio-ingressgateway" if "istio-ingressgateway" in names else None),
        "fields": fields,
        "injector": "istio-sidecar-injector" if {"istiod", "istio-sidecar-injector"} & set(names) else None,
    }


def _gateway_fields(istio: IstioSettings, gateway: Mapping[str, Any], safe: GatewaySpecs) -> list[dict[str, Any]]:
    """What the gateway's live objects must hold: each of kind, name, path (elements) and value, or exactly the ports."""
    name: str = gateway["name"]
    place = qualified(istio, gateway).removesuffix(name)
    k8s: Mapping[str, Any] = gateway.get("k8s", {})
    container = ["spec", "template", "spec", "containers", f"[name:{GATEWAY_CONTAINER}]"]
    fields: list[dict[str, Any]] = []

    def want(kind: str, path: list[str], value: Any) -> None:
        fields.append({"kind": kind, "name": f"{place}{name}", "path": path, "value": value})

    proxy = operator_file.image(istio.hub, istio.image_tag, istio.values, release(istio.version).image_variants)
    want("Deployment", [*container, "image"], proxy)
    pod = ["spec", "template", "spec"]
    for key, kind, path in (
        ("nodeSelector", "Deployment", [*pod, "nodeSelector"]),
        ("tolerations", "Deployment", [*pod, "tolerations"]),
        ("strategy", "Deployment", ["spec", "strategy"]),
        ("resources", "Deployment", [*container, "resources"]),
    ):
        if key in k8s:
            want(kind, path, k8s[key])
    service = k8s.get("service")
    if isinstance(service, Mapping) and "type" in service:
        want("Service", ["spec", "type"], service["type"])
    fields += _patched(k8s, place)
    if name in safe.ports:
        want("Service", ["spec", "ports"], list(safe.ports[name]))
        if name in safe.host_network:
            want("Deployment", [*container, "ports"], container_ports(safe.ports[name], release(istio.version)))
    return fields


def _patched(k8s: Any, place: str) -> list[dict[str, Any]]:
    """What overlays ask of Deployments and Services, but a Service's whole list of ports.

    Args:
        k8s: the component's.
        place: what comes before its objects' names, as `qualified` has it.
    """
    return [
        {"kind": overlay["kind"], "name": f"{place}{overlay['name']}", "path": path, "value": patch["value"]}
        for overlay in (k8s.get("overlays") or () if isinstance(k8s, Mapping) else ())
        if overlay["kind"] in ("Deployment", "Service")
        for patch in overlay["patches"]
        if (path := parse_path(patch["path"])) != ["spec", "ports"] and "value" in patch
    ]
