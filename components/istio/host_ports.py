"""Who listens on which port of which machine: Kubernetes, the SSH server, and gateways in their nodes' network. Pure.

One rule for all who ask: the settings' conflicts, the preflight, and Contour, whose Envoy wants ports of nodes as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.config.stack import Settings
from components.istio.gateways.host_network import AFFINITY, HOSTNAME
from components.istio.gateways.path import parse_path
from components.istio.gateways.ports import ENVOY_METRICS_PORT, chart_ports, pod_ports, protocol_of
from components.istio.istio_operator import KINDS, ControlPlanePlan
from components.istio.releases.model import Release
from components.istio.releases.table import release

_ENVOY_PORTS: Mapping[int, str] = {15000: "Envoy's admin", 15020: "status", 15090: "Envoy's metrics"}
"""What every gateway opens besides its Service's ports (1.5.0: pilot/cmd/pilot-agent; the chart's container port 15090)."""


@dataclass(frozen=True)
class HostGateway:
    """An enabled gateway in its nodes' network.

    Attributes:
        key: its settings key.
        name: its Deployment's.
        k8s: as the operator gets it.
        nodes: names of those that it is pinned to; empty for whichever it lands on.
        ports: by protocol and number, the name of each that it opens for clients. Envoy's own come on top.
    """

    key: str
    name: str
    k8s: Mapping[str, Any]
    nodes: frozenset[str]
    ports: Mapping[tuple[str, int], str]

    @property
    def by_label(self) -> bool:
        """Whether its nodes are chosen by labels that only the cluster knows."""
        return not self.nodes and bool(self.k8s.get("nodeSelector"))


def host_gateways(plan: ControlPlanePlan) -> tuple[HostGateway, ...]:
    """The mesh's gateways that take ports of their nodes."""
    known = release(plan.istio.version)
    found = []
    for kind, safe in zip(KINDS, (plan.ingress, plan.egress), strict=True):
        for position, gateway in enumerate(safe.gateways):
            name = gateway["name"]
            if gateway["enabled"] and name in safe.host_network:
                k8s = gateway.get("k8s") or {}
                ports = _opened(safe.ports.get(name) or chart_ports(kind, known), known)
                found.append(HostGateway(f"istio.{kind}Gateways[{position}]", name, k8s, _pinned_to(k8s), ports))
    return tuple(found)


def _opened(ports: Sequence[Mapping[str, Any]], known: Release) -> dict[tuple[str, int], str]:
    """What the pod listens on: 1.5's chart opens `port`, and the Service leads to `targetPort`; later ones know the latter alone."""
    found = {}
    for port, of_pod in zip(ports, pod_ports(ports, known), strict=True):
        target = port.get("targetPort")
        for number in (of_pod, target if isinstance(target, int) and target else of_pod):
            found[protocol_of(port), number] = str(port.get("name", "a port"))
    return found


def for_preflight(gateways: Iterable[HostGateway]) -> Iterator[tuple[str | None, int, str]]:
    """Node (None for any), port and gateway, as the preflight's request has them.

    Envoy's admin and status are left out: one that stands in no list of ports would show every live stack a change.
    """
    taken: dict[str | None, dict[int, str]] = {}
    for gateway in gateways:
        numbers = {number for protocol, number in gateway.ports if protocol == "TCP"}  # it looks at these listeners alone
        nodes: Sequence[str | None] = sorted(gateway.nodes) or (None,)
        for node in nodes:
            taken.setdefault(node, {}).update(dict.fromkeys(sorted(numbers | {ENVOY_METRICS_PORT}), gateway.name))
    yield from ((node, number, name) for node, ports in taken.items() for number, name in ports.items())


@dataclass(frozen=True)
class Claim:
    """Who listens where on a machine.

    Attributes:
        key: the settings key that asks for it; empty for what comes with Kubernetes.
        what: in words, as `kubelet`.
        machines: names of the machines.
        ports: by protocol and number, what it is for: UDP and TCP of one number are two ports.
    """

    key: str
    what: str
    machines: frozenset[str]
    ports: Mapping[tuple[str, int], str]


def conflicts(claims: Sequence[Claim]) -> list[str]:
    """One line for each pair of claims that meet on a machine's port."""
    found = []
    for position, later in enumerate(claims):
        for earlier in claims[:position]:
            machines = sorted(earlier.machines & later.machines)
            ports = sorted(set(earlier.ports) & set(later.ports))
            if machines and ports and (earlier.key or later.key):
                listed = ", ".join(f"{port[1]} ({later.ports[port]})" for port in ports)
                key, other = (later.key, earlier) if later.key else (earlier.key, later)
                whose = f"{other.what} ({other.key})" if other.key else other.what
                found.append(
                    f"{key}: port {listed} of {', '.join(machines)} is {whose}'s already; choose another node or port"
                )
    return found


def machine_claims(settings: Settings) -> Iterator[Claim]:
    """What every machine's SSH server and Kubernetes itself listen on.

    Source: Kubernetes 1.16, Ports of kubeadm's control plane and nodes; Calico's requirements (BGP 179, Felix 9099).
    """
    by_port = defaultdict(set)
    for machine in settings.machines:
        by_port[machine.port].add(machine.name)
    for port, machines in by_port.items():
        yield Claim("", "the SSH server", frozenset(machines), _tcp({port: "SSH"}))
    node = {10248: "health", 10249: "kube-proxy", 10250: "kubelet", 10256: "kube-proxy"}
    master = {6443: "API server", 2379: "etcd", 2380: "etcd", 2381: "etcd", 10251: "scheduler", 10252: "controller-manager",
              10257: "controller-manager", 10259: "scheduler"}  # fmt: skip
    yield Claim("", "Kubernetes", frozenset(m.name for m in settings.machines), _tcp(node))
    yield Claim("", "the control plane", frozenset(m.name for m in settings.masters), _tcp(master))
    if settings.cluster.network == "calico":
        yield Claim("", "Calico", frozenset(m.name for m in settings.machines), _tcp({179: "BGP", 9099: "Felix"}))


def _tcp(ports: Mapping[int, str]) -> dict[tuple[str, int], str]:
    return {("TCP", number): what for number, what in ports.items()}


def gateway_claims(gateways: Iterable[HostGateway], machines: Iterable[str], istio: str) -> Iterator[Claim]:
    """What gateways take of their nodes.

    Args:
        gateways: those in their nodes' network.
        machines: names of all machines.
        istio: its version.
    """
    everywhere = frozenset(machines)
    envoys = _tcp({**_ENVOY_PORTS, release(istio).status_port: "status"})
    for gateway in gateways:
        if not gateway.by_label:
            nodes = everywhere & gateway.nodes if gateway.nodes else everywhere
            yield Claim(gateway.key, f"the gateway {gateway.name}", nodes, {**envoys, **gateway.ports})


def crowded(gateways: Iterable[HostGateway], masters: Iterable[str], nodes: Iterable[str]) -> Iterator[str]:
    """One line for each gateway in the nodes' network with more pods than nodes that could have one.

    Args:
        gateways: those in their nodes' network.
        masters: names of the machines whose taint keeps pods off that don't tolerate it.
        nodes: names of all others.
    """
    masters, nodes = frozenset(masters), frozenset(nodes)
    for gateway in gateways:
        k8s = gateway.k8s
        if gateway.by_label:
            continue
        room = nodes | masters if k8s.get("tolerations") else nodes
        if gateway.nodes:
            room &= gateway.nodes
        patched = [
            patch["value"]
            for overlay in k8s.get("overlays") or ()
            for patch in overlay["patches"]
            if overlay["kind"] == "Deployment" and patch["path"] == "spec.replicas"
        ]
        replicas = patched[-1] if patched else k8s.get("replicaCount")
        if isinstance(replicas, int) and replicas > len(room):
            listed = f" ({', '.join(sorted(room))})" if room else ""
            yield (
                f"{gateway.key}: {replicas} replicas in the nodes' network, but {len(room)} node(s){listed} can have one each, since a "
                f"node's ports can be taken once; the others would wait for ever"
            )


def _pinned_to(k8s: Mapping[str, Any]) -> frozenset[str]:
    """Names of the nodes that a gateway's k8s settings pin it to; empty when they name none.

    Args:
        k8s: as the operator gets it.
    """
    selector = k8s.get("nodeSelector") or {}
    if isinstance(selector, Mapping) and HOSTNAME in selector:
        return frozenset({str(selector[HOSTNAME])})
    for overlay in k8s.get("overlays") or ():
        for patch in overlay["patches"]:
            if parse_path(patch["path"]) == parse_path(AFFINITY):
                terms = [e for term in patch["value"] for e in term.get("matchExpressions", ()) if e["key"] == HOSTNAME]
                return frozenset(str(name) for term in terms for name in term.get("values", ()))
    return frozenset()
