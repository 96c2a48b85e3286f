"""What leads to a dashboard: Ingress, HTTPProxy, or Gateway and VirtualService. Pure; manifests out.

Every way gives each dashboard a host name of its own: the add-ons of Istio 1.5 serve at `/` (Grafana's and Prometheus's
contextPath is not wired to their servers), so path prefixes would not work. All objects live beside the services, since
an Ingress and an HTTPProxy can lead to nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.config.dashboards import DashboardSettings
from components.dashboards.catalog import Dashboard, dashboards_of
from components.istio.gateways.model import gateway_chart
from components.istio.gateways.path import parse_path
from components.istio.gateways.ports import chart_ports, protocol_of
from components.istio.gateways.tree import Delete, Leaf, put
from components.istio.istio_operator import ControlPlanePlan
from components.istio.releases.table import release
from components.kubernetes.values import as_map

Manifest = dict[str, Any]

TLS_SECRET = "dashboards-tls"  # noqa: S105 (a Secret's name)
"""The Secret made of a given certificate."""

BASIC_AUTH_SECRET = "dashboards-basic-auth"  # noqa: S105 (a Secret's name)

NGINX = "nginx.ingress.kubernetes.io"
CONTOUR = "projectcontour.io"
WEBSOCKET_TIMEOUT = 3600
"""Seconds that ingress-nginx leaves an idle websocket open; its default is 60 (ingress-nginx, Miscellaneous, Websockets)."""

GATEWAY = "dashboards"


@dataclass(frozen=True)
class Route:
    """One dashboard and the host name it gets."""

    dashboard: Dashboard
    host: str

    @property
    def name(self) -> str:
        """The name of the objects that lead to it."""
        return f"dashboard-{self.dashboard.name}"


def routes_of(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> list[Route]:
    """The routes that are wanted, in the dashboards' own order. Those that the mesh lacks are refused elsewhere (`fit`)."""
    there = dashboards_of(mesh)
    return [Route(there[name], dashboards.hosts[name]) for name in there if name in dashboards.hosts]


def urls(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> dict[str, str]:
    """Where to point a browser, by dashboard."""
    scheme = "https" if dashboards.tls else "http"
    return {r.dashboard.name: f"{scheme}://{r.host}{r.dashboard.base_path}" for r in routes_of(dashboards, mesh)}


def tls_secret_name(dashboards: DashboardSettings) -> str | None:
    """The Secret with the certificate; None without TLS."""
    if dashboards.tls is None:
        return None
    return dashboards.tls.secret_name or TLS_SECRET


def manifests(dashboards: DashboardSettings, mesh: ControlPlanePlan, kubernetes: str) -> list[Manifest]:
    """All objects of the chosen way.

    Args:
        dashboards: way, host names, TLS.
        mesh: whose they are.
        kubernetes: the cluster's version, as `v1.16.3`.
    """
    routes = routes_of(dashboards, mesh)
    match dashboards.way:
        case "ingress":
            return [ingress(route, dashboards, mesh.istio.namespace, kubernetes) for route in routes]
        case "contour":
            return [http_proxy(route, dashboards, mesh.istio.namespace) for route in routes]
        case "gateway":
            virtual = [virtual_service(route, mesh.istio.namespace) for route in routes]
            return [gateway(routes, dashboards, mesh), *virtual] if routes else []


def ingress_api(kubernetes: str) -> str:
    """The API version of Ingress that the cluster has.

    networking.k8s.io/v1 came with Kubernetes 1.19, its v1beta1 with 1.14 (and went with 1.22); before that Ingress was in
    extensions (Kubernetes, Deprecated API Migration Guide).
    """
    match = re.fullmatch(r"v(\d+)\.(\d+)\..*", kubernetes)
    if match is None:
        raise ValueError(f"{kubernetes!r} is no version of Kubernetes")
    version = (int(match[1]), int(match[2]))
    if version >= (1, 19):
        return "networking.k8s.io/v1"
    return "networking.k8s.io/v1beta1" if version >= (1, 14) else "extensions/v1beta1"


def ingress(route: Route, dashboards: DashboardSettings, namespace: str, kubernetes: str) -> Manifest:
    """An Ingress for one dashboard."""
    api = ingress_api(kubernetes)
    stable = api == "networking.k8s.io/v1"
    dashboard, chosen = route.dashboard, dashboards.ingress
    annotations = _controller_annotations(route, dashboards)
    spec: dict[str, Any] = {}
    if chosen.class_name and stable:
        spec["ingressClassName"] = chosen.class_name
    elif chosen.class_name:
        annotations["kubernetes.io/ingress.class"] = chosen.class_name
    if secret := tls_secret_name(dashboards):
        spec["tls"] = [{"hosts": [route.host], "secretName": secret}]
    if stable:
        backend: dict[str, Any] = {"service": {"name": dashboard.service, "port": {"number": dashboard.port}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
    else:
        path = {"path": "/", "backend": {"serviceName": dashboard.service, "servicePort": dashboard.port}}
    spec["rules"] = [{"host": route.host, "http": {"paths": [path]}}]
    return {
        "apiVersion": api,
        "kind": "Ingress",
        "metadata": _metadata(route.name, namespace, annotations),
        "spec": spec,
    }


def _controller_annotations(route: Route, dashboards: DashboardSettings) -> dict[str, str]:
    """What only the controller's own annotations can say; the Ingress API knows none of it."""
    dashboard, controller = route.dashboard, dashboards.ingress.controller
    found: dict[str, str] = {}
    if controller == "nginx":
        if dashboard.needs_redirect:
            found[f"{NGINX}/app-root"] = dashboard.base_path
        if dashboard.websockets:
            # upgrades are on by default, but an idle websocket would be cut after a minute
            for direction in ("read", "send"):
                found[f"{NGINX}/proxy-{direction}-timeout"] = str(WEBSOCKET_TIMEOUT)
        if dashboards.basic_auth:
            found[f"{NGINX}/auth-type"] = "basic"
            found[f"{NGINX}/auth-secret"] = BASIC_AUTH_SECRET
            found[f"{NGINX}/auth-realm"] = "Istio dashboards"
    elif controller == "contour" and dashboard.websockets:
        found[f"{CONTOUR}/websocket-routes"] = "/"
    return found


def http_proxy(route: Route, dashboards: DashboardSettings, namespace: str) -> Manifest:
    """Contour's HTTPProxy for one dashboard (projectcontour.io/v1, as of Contour 1.9)."""
    dashboard = route.dashboard
    service = {"name": dashboard.service, "port": dashboard.port}

    def leads(prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {"conditions": [{"prefix": prefix}], "services": [dict(service)]}
        return found | ({"enableWebsockets": True} if dashboard.websockets else {})

    routes = [leads("/")]
    if dashboard.needs_redirect:
        # 1.9 has no redirect: / is answered with the start page, whose links all begin with the base path
        routes[0]["pathRewritePolicy"] = {"replacePrefix": [{"prefix": "/", "replacement": f"{dashboard.base_path}/"}]}
        routes.append(leads(dashboard.base_path))
    host: dict[str, Any] = {"fqdn": route.host}
    if secret := tls_secret_name(dashboards):
        host["tls"] = {"secretName": secret}
    annotations = {}
    if dashboards.ingress.class_name:
        annotations[f"{CONTOUR}/ingress.class"] = dashboards.ingress.class_name
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": _metadata(route.name, namespace, annotations),
        "spec": {"virtualhost": host, "routes": routes},
    }


def gateway(routes: Sequence[Route], dashboards: DashboardSettings, mesh: ControlPlanePlan) -> Manifest:
    """One Gateway for all dashboards, on the mesh's ingress gateway."""
    hosts = [route.host for route in routes]
    chosen = entrance(dashboards, mesh)
    plain: dict[str, Any] = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": hosts}
    servers = [plain]
    if secret := tls_secret_name(dashboards):
        plain["tls"] = {"httpsRedirect": True}
        https = {"number": 443, "name": "https", "protocol": "HTTPS"}
        if chosen and not chosen.has(80):
            servers = []
        servers.append({"port": https, "tls": {"mode": "SIMPLE", "credentialName": secret}, "hosts": hosts})
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "Gateway",
        "metadata": _metadata(GATEWAY, mesh.istio.namespace),
        "spec": {"selector": {"istio": chosen.label if chosen else CHARTS_LABEL}, "servers": servers},
    }


CHARTS_LABEL = "ingressgateway"
"""What the charts give the pods of an ingress gateway that has no label of its own."""


@dataclass(frozen=True)
class Entrance:
    """An ingress gateway by which the dashboards could be reached.

    Attributes:
        name, namespace: its own.
        label: its pods' label `istio`.
        ports: the TCP ports of its service; None where they are the chart's, which has 80 and 443.
    """

    name: str
    namespace: str
    label: str = CHARTS_LABEL
    ports: frozenset[int] | None = None

    def has(self, port: int) -> bool:
        """Whether its service has the port."""
        return self.ports is None or port in self.ports


def entrances(mesh: ControlPlanePlan) -> list[Entrance]:
    """The mesh's ingress gateways that are there, as the operator gets them."""
    safe, istio, own = mesh.ingress, mesh.istio, gateway_chart("ingress")
    known = release(istio.version)
    chart = as_map(as_map(istio.values.get("gateways")).get(own))
    label = str(as_map(chart.get("labels")).get("istio", CHARTS_LABEL))
    if not safe.gateways:
        # from 1.6 on the profiles list the ports of theirs, before which the chart's come to nothing
        listed = chart.get("ports") if known.service_ports == "added" else None
        return [Entrance(own, istio.namespace, label, _tcp(listed))] if own in mesh.wanted["deployments"] else []
    found = []
    for gateway in safe.gateways:
        if gateway["enabled"]:
            ports = list(safe.ports.get(gateway["name"]) or chart_ports("ingress", known))
            its_label = (gateway.get("label") or {}).get("istio", label)
            for path, node in _patches(gateway):
                if path[:3] == ["Service", "spec", "ports"] and len(path) > 3:
                    ports = put(ports, path[3:], node)
                elif path == ["Deployment", "spec", "template", "metadata", "labels", "istio"] and isinstance(node, Leaf):
                    its_label = str(node.value)
            found.append(Entrance(gateway["name"], gateway.get("namespace") or istio.namespace, its_label, _tcp(ports)))
    return found


def _patches(gateway: Mapping[str, Any]) -> Iterator[tuple[list[str], Leaf | Delete]]:
    """What its overlays change: the object's kind and the path in it, and what comes there."""
    for overlay in (gateway.get("k8s") or {}).get("overlays") or ():
        for patch in overlay["patches"]:
            yield [overlay["kind"], *parse_path(patch["path"])], Leaf(patch["value"]) if "value" in patch else Delete()


def _tcp(ports: Any) -> frozenset[int] | None:
    listed = [port for port in ports if isinstance(port, Mapping) and "port" in port] if isinstance(ports, Sequence) else None
    return None if listed is None else frozenset(port["port"] for port in listed if protocol_of(port) == "TCP")


def entrance(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> Entrance | None:
    """The gateway that the dashboards are behind: the first that browsers can come to, else the first; None without any."""
    there = entrances(mesh)
    return next((one for one in there if one.has(needed_port(dashboards))), next(iter(there), None))


def needed_port(dashboards: DashboardSettings) -> int:
    """The port that there must be: with TLS a plain one only sends on to it."""
    return 443 if dashboards.tls else 80


def tls_namespace(dashboards: DashboardSettings, mesh: ControlPlanePlan) -> str:
    """Where the certificate's Secret has to be: beside the gateway, which reads it, or beside the objects that name it."""
    chosen = entrance(dashboards, mesh) if dashboards.way == "gateway" else None
    return chosen.namespace if chosen else mesh.istio.namespace


def virtual_service(route: Route, namespace: str) -> Manifest:
    """The VirtualService for one dashboard. Websockets need no setting: Istio's proxies let them through."""
    dashboard = route.dashboard
    destination = {
        "host": f"{dashboard.service}.{namespace}.svc.cluster.local",
        "port": {"number": dashboard.port},
    }
    http: list[dict[str, Any]] = [{"route": [{"destination": destination}]}]
    if dashboard.needs_redirect:
        http.insert(0, {"match": [{"uri": {"exact": "/"}}], "redirect": {"uri": dashboard.base_path}})
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "VirtualService",
        "metadata": _metadata(route.name, namespace),
        "spec": {"hosts": [route.host], "gateways": [GATEWAY], "http": http},
    }


def _metadata(name: str, namespace: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "namespace": namespace}
    return found | ({"annotations": dict(annotations)} if annotations else {})
