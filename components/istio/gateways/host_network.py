"""A gateway in its nodes' network, from one setting: what that takes to be safe.

A host-network pod's container ports are ports of the node. So there is one pod a node at most, the old one goes before the
new one comes, nothing scales it, and two listeners on one node must differ in every port. Pure: no Pulumi, no SSH.

Sources: Istio 1.5.0, manifests/gateways/istio-ingress (chart) and pilot/docker/Dockerfile.proxyv2 (no USER, so root, which
may bind ports below 1024); 1.7.0, manifests/charts/gateways/istio-ingress/values.yaml (runAsRoot false from there on).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.config.mesh import GatewaySettings, HostNetwork
from components.istio.gateways.model import Gateway, GatewayKind, Judged, Note, Patch, Refusal, Target, gateway_chart
from components.istio.gateways.tree import Branch, Leaf, insert, subtree
from components.istio.releases.table import release

HOSTNAME = "kubernetes.io/hostname"
AFFINITY = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"


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
        patches.insert(2, {"path": AFFINITY, "value": [{"matchExpressions": [match]}]})
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


_POD = ("spec", "template", "spec")


def on_host(trees: Mapping[Target, Branch], gateway: Gateway) -> bool:
    """Whether overlays put the gateway's pods into their nodes' network."""
    wanted = subtree(trees.get(("Deployment", gateway.name), {}), *_POD, "hostNetwork")
    return isinstance(wanted, Leaf) and wanted.value is True


def with_cluster_dns(k8s: Mapping[str, Any], trees: dict[Target, Branch], gateway: Gateway) -> Judged[dict[Target, Branch]]:
    """Overlays of a gateway in its nodes' network without what contradicts it."""
    if not k8s.get("hpaSpec") and any(kind == "HorizontalPodAutoscaler" for kind, _ in trees):
        yield Refusal(".k8s.overlays", "a gateway in its nodes' network has no HorizontalPodAutoscaler; take the overlay out")
    deployment = trees["Deployment", gateway.name]
    policy = subtree(deployment, *_POD, "dnsPolicy")
    if not isinstance(policy, Leaf) or policy.value not in ("ClusterFirst", "Default"):
        return trees
    yield Note(
        "",
        f"hostNetwork with dnsPolicy {policy.value} asks the node's own DNS, which does not know istiod, so dnsPolicy ClusterFirstWithHostNet",
    )
    return {**trees, ("Deployment", gateway.name): insert(deployment, [*_POD, "dnsPolicy"], Leaf("ClusterFirstWithHostNet"))}


def one_pod_a_node(k8s: dict[str, Any], patches: list[Patch]) -> Judged[tuple[dict[str, Any], list[Patch]]]:
    """The gateway's k8s settings and its Deployment's patches with what host network takes besides the ports, where its author left it out."""
    paths = [patch["path"] for patch in patches]
    if "spec.template.spec.dnsPolicy" not in paths:
        patches = [*patches, {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"}]
        yield Note("", "hostNetwork asks the node's own DNS, which does not know istiod, so dnsPolicy ClusterFirstWithHostNet")
    if "strategy" not in k8s and not any(path.startswith("spec.strategy") for path in paths):
        k8s = {**k8s, "strategy": _strategy(1)}
        yield Note("", "hostNetwork leaves a new pod no port before the old one has gone, so maxUnavailable 100 % and maxSurge 0")
    return k8s, patches


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


def _at(data: Any, *path: str) -> Mapping[str, Any]:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}
