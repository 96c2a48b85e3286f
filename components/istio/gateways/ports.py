"""A gateway's ports: its Service's, which 1.5 adds to but never cuts, as exactly those that were asked for, and its pod's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from components.istio.gateways.model import Gateway, GatewayKind, Judged, Note, Patch, Refusal, Target
from components.istio.gateways.tree import Branch, put, subtree
from components.istio.releases.model import Release

ISTIOD_PORT = 15012
ENVOY_METRICS_PORT = 15090
"""The chart's container port that no setting removes (1.5.0: manifests/gateways/istio-ingress/templates/deployment.yaml)."""

_PORTS_OF_FIVE: Mapping[GatewayKind, Mapping[str, int]] = {
    "ingress": {"status-port": 15020, "http2": 80, "https": 443, "kiali": 15029, "prometheus": 15030, "grafana": 15031, "tracing": 15032,
                "tls": 15443},
    "egress": {"http2": 80, "https": 443, "tls": 15443},
}  # fmt: skip
"""The ports of 1.5's gateways by kind (1.5.0: operator/data/profiles/default.yaml)."""


def pod_ports(ports: Sequence[Mapping[str, Any]], known: Release) -> list[int]:
    """The container ports that a gateway's chart makes of its service's: 1.5's of `port`, later ones' of `targetPort`."""
    numbers = []
    for port in ports:
        target = port.get("targetPort") if known.service_ports == "whole" else None
        numbers.append(target if isinstance(target, int) and target else port["port"])
    return numbers


def container_ports(ports: Sequence[Mapping[str, Any]], known: Release) -> list[dict[str, Any]]:
    """What the pod of a gateway with these ports opens in its nodes' network, Envoy's metrics included: UDP and TCP of one number are two."""
    opened = {(number, protocol_of(port)) for port, number in zip(ports, pod_ports(ports, known), strict=True)}
    told = known.port_protocols or doubled(ports)
    return [
        {"containerPort": number, **({"protocol": protocol} if told and protocol != "TCP" else {})}
        for number, protocol in sorted(opened | {(ENVOY_METRICS_PORT, "TCP")})
    ]


def doubled(ports: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there is a number that TCP and UDP have both."""
    numbers = [port["port"] for port in ports]
    return len(set(numbers)) < len(numbers)


def protocol_of(port: Mapping[str, Any]) -> str:
    """TCP unless a port says otherwise, as Kubernetes has it."""
    return str(port.get("protocol", "TCP"))


def chart_ports(gateway: GatewayKind, known: Release) -> list[Mapping[str, Any]]:
    """The ports that the Service of a gateway of the profiles always has: the profile demo has none for istiod."""
    of_release = known.chart_ports.get(gateway) or [{"name": name, "port": port} for name, port in _PORTS_OF_FIVE[gateway].items()]
    return [port for port in of_release if port["port"] != ISTIOD_PORT]


def _are_ports(given: Any) -> bool:
    """Whether it is a list of a Service's ports."""
    return isinstance(given, list) and all(isinstance(p, Mapping) and isinstance(p.get("port"), int) for p in given)


def listed(k8s: Mapping[str, Any], gateway: Gateway) -> list[dict[str, Any]] | None:
    """The service's ports as settings or values list them; None where they are the chart's, or no list of ports."""
    wished = _of_setting(k8s) or gateway.own.get("ports")
    return [dict(port) for port in wished] if wished and _are_ports(wished) else None


def folded(
    k8s: dict[str, Any], ports: list[dict[str, Any]], trees: dict[Target, Branch], gateway: Gateway
) -> Judged[tuple[dict[str, Any], list[dict[str, Any]], dict[Target, Branch]]]:
    """The ports that are listed with what overlays of the Service change in them: one list, which everything else goes by.

    Returns:
        The k8s settings, the ports, and the trees of overlays without what k8s.service.ports says now.
    """
    service = "Service", gateway.name
    spec = subtree(trees.get(service, {}), "spec")
    if not isinstance(spec, dict) or not isinstance(patches := spec.get("ports"), dict):
        return k8s, ports, trees
    ports = put(ports, [], patches)
    if _of_setting(k8s):
        trees = {**trees, service: {**trees[service], "spec": {key: node for key, node in spec.items() if key != "ports"}}}
        k8s = {**k8s, "service": {**k8s["service"], "ports": ports}}
        yield Note(".k8s.overlays for Service spec.ports", "written into k8s.service.ports, which lists them")
    return k8s, ports, trees


def asked_for(
    k8s: Mapping[str, Any], patches: Mapping[Target, Sequence[Patch]], known: Sequence[Mapping[str, Any]] | None, gateway: Gateway
) -> Judged[list[dict[str, Any]] | None]:
    """Exactly the Service's ports; None where they are the chart's.

    Args:
        k8s: the gateway's.
        patches: by object.
        known: what `listed` and `folded` make of them.
        gateway: whose they are.
    """
    wished: Any = next((p["value"] for p in patches.get(("Service", gateway.name), ()) if p["path"] == "spec.ports"), None)
    where = ".k8s.overlays for Service spec.ports"
    if wished is None and (wished := _of_setting(k8s)):
        where = ".k8s.service.ports"
    elif wished is None:
        wished, where = gateway.own.get("ports") if known is None else known, ""
    if wished is None or _are_ports(wished):
        return None if wished is None else [dict(port) for port in wished]
    yield Refusal(where, "must be a list of ports, each with name, port and targetPort")
    return None


def chart_values(
    ports: Sequence[Mapping[str, Any]] | None, k8s: Mapping[str, Any], patches: Mapping[Target, Sequence[Patch]], gateway: Gateway
) -> Judged[dict[str, Any]]:
    """The chart's values that cut the ports of a gateway in the cluster's network."""
    patched = any(patch["path"] == "spec.ports" for patch in patches.get(("Service", gateway.name), ()))
    if patched or not _of_setting(k8s) or "ports" in gateway.own or gateway.known.service_ports != "added":
        return {}
    yield Note(
        ".k8s.service.ports",
        f"Istio {gateway.istio} merges it by port and cuts none, so the same list is set as values.gateways.{gateway.chart}.ports",
    )
    return {"ports": _in_chart(ports or (), ("name", "port", "targetPort", "nodePort"))}


def chart_values_on_host(ports: Sequence[Mapping[str, Any]] | None, k8s: Mapping[str, Any], gateway: Gateway) -> Judged[dict[str, Any]]:
    """The chart's values that cut the ports of a gateway in its nodes' network, in the pod as well, and what else they take."""
    key, own, known = f"values.gateways.{gateway.chart}", gateway.own, gateway.known
    values: dict[str, Any] = {}
    if not own.get("autoscaleEnabled") and not k8s.get("hpaSpec"):
        values["autoscaleEnabled"] = False  # two gateways can't share a node's ports
    elif own.get("autoscaleEnabled"):
        yield Note("", f"{key}.autoscaleEnabled: a second replica on the same node can't have the same host ports")
    if known.mesh_expansion_ports and gateway.kind == "ingress" and "meshExpansionPorts" not in own:
        values["meshExpansionPorts"] = []
    if ports is None:
        yield Note("", "hostNetwork makes every container port a port of the node; list the service's ports to cut them")
        return values
    if known.service_ports == "added" and "ports" not in own:
        values["ports"] = _in_chart(ports, ("name", "port", "targetPort"))
    low = [str(port) for port in pod_ports(ports, known) if port < 1024]
    if low and not known.gateway_runs_as_root and "runAsRoot" not in own:
        values["runAsRoot"] = True
        yield Note("", f"ports {', '.join(low)} of the node take root, which Istio {gateway.istio} gives up: {key}.runAsRoot")
    numbers = ", ".join(str(port["port"]) for port in ports)
    how = key if known.service_ports == "added" else "k8s.service.ports"
    yield Note("", f"hostNetwork makes every container port a port of the node, so the pod's are cut to the service's ({numbers}) by {how}")
    return values


def _in_chart(ports: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[dict[str, Any]]:
    """Ports in the form of the chart's values, which know fewer keys (1.5.0: PortsConfig) and refuse all others."""
    return [{key: port[key] for key in known if key in port} for port in ports]


def with_service_ports(k8s: dict[str, Any], ports: list[dict[str, Any]] | None, gateway: Gateway) -> Judged[dict[str, Any]]:
    """From 1.6 on k8s.service.ports is the list for Service and pod (translate.go, applyGatewayTranslations), empty if left out."""
    service, known = k8s.get("service"), gateway.known
    if known.service_ports != "whole" or (not isinstance(service, Mapping) and ports is None):
        return k8s
    service = dict(service) if isinstance(service, Mapping) else {}
    inherits = known.merges_gateways and gateway.name == gateway.chart
    if service.get("ports") or (ports is None and inherits):
        return k8s
    if ports is None:
        yield Note(".k8s.service", f"Istio {gateway.istio} takes a service without ports as one of no port; the chart's are written out")
    return {**k8s, "service": {**service, "ports": ports or [dict(port) for port in known.chart_ports[gateway.kind]]}}


def with_both_protocols(
    patches: dict[Target, list[Patch]], ports: list[dict[str, Any]] | None, on_host: bool, gateway: Gateway
) -> dict[Target, list[Patch]]:
    """Up to 1.11 the operator merges ports by their number alone, so that of TCP and UDP on one number one would be lost."""
    if not ports or not doubled(ports):
        return patches
    service, deployment = ("Service", gateway.name), ("Deployment", gateway.name)
    if all(patch["path"] != "spec.ports" for patch in patches.get(service, ())):
        patches = {**patches, service: [*patches.get(service, ()), {"path": "spec.ports", "value": deepcopy(ports)}]}
    if on_host and not gateway.known.port_protocols:
        # Prometheus knows Envoy's metrics by their port's name
        opened = [
            {"name": "http-envoy-prom", **port} if port["containerPort"] == ENVOY_METRICS_PORT else port
            for port in container_ports(ports, gateway.known)
        ]
        patch = {"path": "spec.template.spec.containers.[name:istio-proxy].ports", "value": opened}
        patches = {**patches, deployment: [*patches[deployment], patch]}
    return patches


def without_root(
    trees: Mapping[Target, Branch], patches: Mapping[Target, Sequence[Patch]], ports: Sequence[Mapping[str, Any]] | None, gateway: Gateway
) -> Judged[None]:
    """Who isn't root can't listen below 1024; from 1.9 on istiod does not even ask it to (pilot/pkg/networking/core)."""
    pod = subtree(trees.get(("Deployment", gateway.name), {}), "spec", "template", "spec")
    containers = subtree(pod, "containers")
    given = [pod, *(containers.values() if isinstance(containers, dict) else ())]
    if any(isinstance(part, dict) and "securityContext" in part for part in given):
        return  # rights of its own may allow it
    appended = [p["value"] for p in patches.get(("Service", gateway.name), ()) if p["path"] == "spec.ports.[-1]"]
    opened = [*(ports or ()), *(appended if _are_ports(appended) else ())]
    if low := [str(number) for number in pod_ports(opened, gateway.known) if number < 1024]:
        yield Refusal(
            "",
            f"its pods would have to listen on {', '.join(low)}, which takes root, and Istio {gateway.istio}'s gateways are not root: nobody "
            f"would answer there. Write a targetPort of 1024 or more (as 8080 and 8443), or set values.gateways.{gateway.chart}.runAsRoot: true",
        )


def _of_setting(k8s: Mapping[str, Any]) -> Any:
    """The list in k8s.service.ports; None where it is empty or not there."""
    service = k8s.get("service")
    return (service.get("ports") or None) if isinstance(service, Mapping) else None
