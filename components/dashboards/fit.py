"""Whether the ways in go together with the mesh and the machines: said before anything is changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.config.dashboards import ContourSettings, DashboardSettings
from components.config.stack import Settings
from components.dashboards.catalog import dashboards_of, why_not
from components.dashboards.routes import entrance, needed_port
from components.istio.host_ports import HostGateway
from components.istio.istio_operator import ControlPlanePlan
from components.plan import Plan

KEY = "sealos-istio:dashboards"
WEB_PORTS = (80, 443)
"""What browsers go to; Envoy of Contour and the gateway in the node's network both want them."""


@dataclass(frozen=True)
class ContourRelease:
    """One version of Contour.

    Attributes:
        contour, envoy: the versions that belong together, as image tags (Contour, Envoy Support Matrix).
        kubernetes: first and last (major, minor) (Contour, Kubernetes Support Matrix).
    """

    contour: str
    envoy: str
    kubernetes: tuple[tuple[int, int], tuple[int, int]]

    @property
    def range(self) -> str:
        """The versions of Kubernetes in words."""
        first, last = self.kubernetes
        return f"v{first[0]}.{first[1]} to v{last[0]}.{last[1]}"


CONTOUR_RELEASES = (ContourRelease("v1.9.0", "v1.15.1", ((1, 16), (1, 18))),)
"""Those that this program was run with."""


def contour_release(kubernetes: str) -> ContourRelease | None:
    """The Contour for a cluster of that version (as `v1.16.3`); None when there is none here."""
    major, minor, _ = kubernetes.removeprefix("v").split(".")
    version = (int(major), int(minor))
    return next((r for r in CONTOUR_RELEASES if r.kubernetes[0] <= version <= r.kubernetes[1]), None)


def problems(settings: Settings, plan: Plan) -> Iterator[str]:
    """What doesn't go together, each line with key, reason and fix.

    Args:
        settings: the stack's.
        plan: what they come to.
    """
    dashboards, mesh = settings.dashboards, plan.mesh
    if dashboards is None:
        return
    if mesh is None:
        yield f"{KEY}: there is no mesh whose dashboards could be reached; set sealos-istio:istio, or leave dashboards out"
        return
    yield from _hosts(dashboards, mesh)
    yield from _basic_auth(dashboards)
    if dashboards.way == "gateway" and dashboards.hosts:
        yield from _gateway(dashboards, mesh)
    if dashboards.contour:
        yield from _contour(dashboards.contour, settings, plan.host_gateways)


def _hosts(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> Iterator[str]:
    having = ", ".join(dashboards_of(mesh)) or "none"
    for name in dashboards.hosts:
        if reason := why_not(name, mesh):
            yield f"{KEY}.hosts.{name}: this mesh has no such dashboard: {reason}. It has: {having}"


def _basic_auth(dashboards: DashboardSettings) -> Iterator[str]:
    if dashboards.basic_auth is None:
        return
    match dashboards.way:
        case "ingress" if dashboards.ingress.controller != "nginx":
            yield (
                f"{KEY}.basicAuth: an Ingress has no basic authentication of its own, only ingress-nginx's annotations are "
                f"known here; set {KEY}.ingress.controller: nginx if that is yours, or take basicAuth out"
            )
        case "contour":
            yield (
                f"{KEY}.basicAuth: Contour's HTTPProxy has no basic authentication, only an authorization server of one's own "
                f"(spec.virtualhost.authorization); take basicAuth out, or use way ingress with ingress-nginx"
            )
        case "gateway":
            yield (
                f"{KEY}.basicAuth: Istio's Gateway and VirtualService have no basic authentication; take basicAuth out, or use "
                f"way ingress with ingress-nginx"
            )


def _gateway(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> Iterator[str]:
    if (chosen := entrance(dashboards, mesh)) is None:
        yield (
            f"{KEY}.way: the mesh has no ingress gateway (profile {mesh.istio.profile}, or disabled in istio.ingressGateways); "
            f"enable one, or use way ingress or contour"
        )
        return
    if not chosen.has(port := needed_port(dashboards)):
        yield (
            f"{KEY}.way: {chosen.name}'s service is cut to ports that lack {port}, so nobody would reach the dashboards through "
            f"it; add the port to istio.ingressGateways, or use another way"
        )


def _contour(contour: ContourSettings, settings: Settings, gateways: Iterable[HostGateway]) -> Iterator[str]:
    kubernetes = settings.cluster.kubernetes_version
    if contour_release(kubernetes) is None:
        known = "; ".join(f"Contour {r.contour} runs on Kubernetes {r.range}" for r in CONTOUR_RELEASES)
        yield f"{KEY}.contour: no Contour is known here for Kubernetes {kubernetes}: {known}"
    names = {machine.name for machine in settings.machines}
    for position, node in enumerate(contour.nodes):
        if node not in names:
            yield (
                f"{KEY}.contour.nodes[{position}]: no machine is named {node!r}; the machines are {', '.join(sorted(names))}"
            )
    yield from _shared_ports(contour.nodes, gateways)


def _shared_ports(nodes: Iterable[str], gateways: Iterable[HostGateway]) -> Iterator[str]:
    """A port of a node belongs to one process: Envoy's host ports and a gateway in the node's network would both want it."""
    for gateway in gateways:
        if not (clash := [port for port in WEB_PORTS if ("TCP", port) in gateway.ports]):
            continue
        shown = " and ".join(map(str, clash))
        if not gateway.nodes:
            yield (
                f"{KEY}.contour.nodes: {gateway.name} takes ports {shown} in the network of whatever node it lands on; pin it with "
                f"{gateway.key.partition('[')[0]}[].k8s.nodeSelector kubernetes.io/hostname, so that Contour's Envoy can keep off"
            )
        elif shared := sorted(gateway.nodes & set(nodes)):
            yield (
                f"{KEY}.contour.nodes: {', '.join(shared)} is where {gateway.name} takes ports {shown} in the node's own network; "
                f"Contour's Envoy needs the same ports, so name other nodes"
            )
