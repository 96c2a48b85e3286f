"""A gateway in its nodes' network, from one setting: what that takes to be safe, and who else wants the same ports.

A host-network pod's container ports are ports of the node. So there is one pod a node at most, the old one goes before the
new one comes, nothing scales it, and two listeners on one node must differ in every port. Pure: no Pulumi, no SSH.

Sources: Istio 1.5.0, manifests/gateways/istio-ingress (chart) and pilot/docker/Dockerfile.proxyv2 (no USER, so root, which
may bind ports below 1024); 1.7.0, manifests/charts/gateways/istio-ingress/values.yaml (runAsRoot false from there on).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.config.mesh import GatewaySettings, HostNetwork
from components.config.stack import Settings
from components.istio.overlays import gateway_chart
from components.istio.patches import Note, parse_path
from components.istio.releases.model import Release
from components.istio.releases.table import release
from components.istio.shapes import GatewayKind, protocol_of

HOSTNAME = "kubernetes.io/hostname"
_AFFINITY = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"

ENVOY_PORTS: Mapping[int, str] = {15000: "Envoy's admin", 15020: "status", 15090: "Envoy's metrics"}
"""What every gateway opens besides its Service's ports (1.5.0: pilot/cmd/pilot-agent; the chart's container port 15090)."""


@dataclass(frozen=True)
class Expanded:
    """A gateway without hostNetwork, in the operator's own words.

    Attributes:
        gateway: as in an IstioOperator.
        values: what has to be merged under spec.values.
        notes: what was added.
        problems: what contradicts host network, one line each.
    """

    gateway: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()


def expand(gateway: GatewaySettings, where: str, kind: GatewayKind, istio: str, values: Mapping[str, Any]) -> Expanded:
    """What a gateway's hostNetwork stands for.

    Args:
        gateway: the settings; without hostNetwork it stays as it is.
        where: its settings key.
        kind: ingress or egress.
        istio: Istio's version.
        values: the user's spec.values.
    """
    plain = gateway.as_operator()
    if (wanted := gateway.host_network) is None:
        return Expanded(plain)
    known = release(istio)
    chart = gateway_chart(kind)
    name = known.gateway_names.get(kind) or gateway.name or chart
    if not known.gateway_names:
        plain["name"] = name
    k8s = deepcopy(dict(gateway.k8s or {}))
    own = _at(values, "gateways", chart)
    problems = [f"{where}{text}" for text in _contradictions(wanted, k8s, own, chart)]
    if problems:
        return Expanded(plain, problems=tuple(problems))
    service = dict(k8s.get("service") or {})
    service.setdefault("type", "ClusterIP")
    service["ports"] = [
        # 443's target is 443 as well: Envoy listens on the node itself, where clients come to `port`
        {"name": p.name, "port": p.port, "targetPort": p.port, "protocol": p.protocol}
        for p in wanted.ports
    ]
    k8s["service"] = service
    k8s.setdefault("strategy", _strategy(len(wanted.nodes)))
    k8s["replicaCount"] = len(wanted.nodes)
    patches = [
        {"path": "spec.template.spec.hostNetwork", "value": True},
        {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"},
        # the list is there whole, so that no port of the profile is cut by halves
        {"path": "spec.ports", "value": deepcopy(service["ports"])},
    ]
    if len(wanted.nodes) == 1:
        k8s["nodeSelector"] = {**(k8s.get("nodeSelector") or {}), HOSTNAME: wanted.nodes[0]}
    else:
        # k8s.affinity can't say it: 1.5's validation refuses every list of values in there
        match = {"key": HOSTNAME, "operator": "In", "values": list(wanted.nodes)}
        patches.insert(2, {"path": _AFFINITY, "value": [{"matchExpressions": [match]}]})
    k8s["overlays"] = [
        *(k8s.get("overlays") or []),
        {"kind": "Deployment", "name": name, "patches": patches[:-1]},
        {"kind": "Service", "name": name, "patches": patches[-1:]},
    ]
    more: dict[str, Any] = {"autoscaleEnabled": False}
    low = [str(p.port) for p in wanted.ports if p.port < 1024]
    if low and not known.gateway_runs_as_root:
        more["runAsRoot"] = True
    pods = "one pod" if len(wanted.nodes) == 1 else f"{len(wanted.nodes)} pods, one each"
    root = f"; as root, which ports {', '.join(low)} take" if low else ""
    text = f"{pods} on {', '.join(wanted.nodes)}, no autoscaling, the old pod goes before the new one comes{root}"
    return Expanded({**plain, "k8s": k8s}, {"gateways": {chart: more}}, (Note(f"{where}.hostNetwork", text),))


def _strategy(nodes: int) -> dict[str, Any]:
    """A new pod has no place before an old one has gone; of several, all but one go on serving."""
    return {"rollingUpdate": {"maxUnavailable": "100%" if nodes == 1 else 1, "maxSurge": 0}}


def _contradictions(wanted: HostNetwork, k8s: Mapping[str, Any], own: Mapping[str, Any], chart: str) -> Iterator[str]:
    values = f"istio.values.gateways.{chart}"
    if own.get("autoscaleEnabled") or k8s.get("hpaSpec"):
        what = "k8s.hpaSpec" if k8s.get("hpaSpec") else f"{values}.autoscaleEnabled"
        yield f".hostNetwork: {what} scales the gateway, but it has one pod on each of its nodes; take it out"
    if (count := k8s.get("replicaCount")) not in (None, len(wanted.nodes)):
        yield (
            f".hostNetwork.nodes names {len(wanted.nodes)}, but k8s.replicaCount is {count}: a node's ports can be taken once; "
            f"leave replicaCount out"
        )
    if (host := _at(k8s, "nodeSelector").get(HOSTNAME)) and (host,) != wanted.nodes:
        yield f".hostNetwork.nodes says {', '.join(wanted.nodes)}, k8s.nodeSelector says {host}; leave the selector out"
    if _at(k8s, "service").get("ports"):
        yield ".hostNetwork.ports and k8s.service.ports both list the ports; leave the latter out"
    rolling = _at(k8s, "strategy", "rollingUpdate")
    if rolling and _none(rolling.get("maxUnavailable", "25%"), len(wanted.nodes)):
        yield ".k8s.strategy keeps the old pod until the new one is ready, which never happens on one node's ports; leave it out"
    if doubled := sorted({str(p.port) for p in wanted.ports if [(q.port, q.protocol) for q in wanted.ports].count((p.port, p.protocol)) > 1}):
        yield f".hostNetwork.ports lists {', '.join(doubled)} twice"
    if doubled := sorted({n for n in wanted.nodes if wanted.nodes.count(n) > 1}):
        yield f".hostNetwork.nodes lists {', '.join(doubled)} twice"


def _none(unavailable: Any, replicas: int) -> bool:
    """Whether maxUnavailable comes to no pod (Kubernetes rounds it down)."""
    text = str(unavailable).removesuffix("%")
    if not text.isdecimal():
        return False  # what that is, Kubernetes says
    return (int(text) * replicas // 100 if str(unavailable).endswith("%") else int(text)) == 0


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


def crowded(
    manifest: Mapping[str, Any], host_network: frozenset[str], masters: Iterable[str], nodes: Iterable[str]
) -> Iterator[str]:
    """One line for each gateway in the nodes' network with more pods than nodes that could have one.

    Args:
        manifest: the IstioOperator, as the operator gets it.
        host_network: names of the gateways that live in the node's network.
        masters: names of the machines whose taint keeps pods off that don't tolerate it.
        nodes: names of all others.
    """
    masters, nodes = frozenset(masters), frozenset(nodes)
    for where, gateway in _in_host_network(manifest, host_network):
        k8s = gateway.get("k8s") or {}
        room = nodes | masters if k8s.get("tolerations") else nodes
        if pinned := pinned_to(k8s):
            room &= pinned
        elif k8s.get("nodeSelector"):
            continue  # chosen by labels that only the cluster knows
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
                f"{where}: {replicas} replicas in the nodes' network, but {len(room)} node(s){listed} can have one each, since a "
                f"node's ports can be taken once; the others would wait for ever"
            )


def _in_host_network(
    manifest: Mapping[str, Any], host_network: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The enabled gateways among `host_network`, each with its settings key."""
    for kind in ("ingressGateways", "egressGateways"):
        for position, gateway in enumerate(manifest["spec"]["components"].get(kind) or ()):
            if gateway.get("enabled", True) and gateway["name"] in host_network:
                yield f"istio.{kind}[{position}]", gateway


def gateway_claims(
    manifest: Mapping[str, Any], host_network: frozenset[str], machines: Iterable[str], istio: str
) -> Iterator[Claim]:
    """What the gateways of an IstioOperator take of their nodes.

    Args:
        manifest: the IstioOperator, as the operator gets it.
        host_network: names of the gateways that live in the node's network.
        machines: names of all machines.
        istio: its version.
    """
    everywhere = frozenset(machines)
    known = release(istio)
    for where, gateway in _in_host_network(manifest, host_network):
        k8s = gateway.get("k8s") or {}
        if not (pinned := pinned_to(k8s)) and k8s.get("nodeSelector"):
            continue  # chosen by labels that only the cluster knows
        nodes = everywhere & pinned if pinned else everywhere
        ports = {**_tcp({**ENVOY_PORTS, known.status_port: "status"}), **_ports(gateway, manifest, known)}
        yield Claim(where, f"the gateway {gateway['name']}", nodes, ports)


def _ports(gateway: Mapping[str, Any], manifest: Mapping[str, Any], known: Release) -> dict[tuple[str, int], str]:
    of_chart = _at(manifest["spec"].get("values") or {}, "gateways", gateway["name"]).get("ports")
    of_service = _at(gateway.get("k8s") or {}, "service").get("ports")
    # 1.5's chart has no protocols
    wanted = (of_service or of_chart if known.service_ports == "whole" or of_service else of_chart) or ()
    return {
        (
            protocol_of(port),
            target if isinstance(target := port.get("targetPort"), int) else port["port"],
        ): str(port.get("name", "a port"))
        for port in wanted
        if isinstance(port, Mapping) and isinstance(port.get("port"), int)
    }


def pinned_to(k8s: Mapping[str, Any]) -> frozenset[str]:
    """Names of the nodes that a gateway's k8s settings pin it to; empty when they name none.

    Args:
        k8s: as the operator gets it.
    """
    selector = k8s.get("nodeSelector") or {}
    if isinstance(selector, Mapping) and HOSTNAME in selector:
        return frozenset({str(selector[HOSTNAME])})
    for overlay in k8s.get("overlays") or ():
        for patch in overlay["patches"]:
            if parse_path(patch["path"]) == parse_path(_AFFINITY):
                terms = [e for term in patch["value"] for e in term.get("matchExpressions", ()) if e["key"] == HOSTNAME]
                return frozenset(str(name) for term in terms for name in term.get("values", ()))
    return frozenset()


def _at(data: Any, *path: str) -> Mapping[str, Any]:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}
