"""Which dashboards a mesh has, and where: follows Istio's version, the profile and the add-ons' values. Pure.

Sources: Istio 1.5.0, manifests/istio-telemetry/*/templates (services, ports, paths) and what its renderer makes of the
profiles; Istio 1.8 release notes (add-ons are no longer installed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.config.mesh import IstioSettings
from components.istio.istio_operator import ControlPlanePlan
from components.istio.releases.table import release

NAMES = ("grafana", "kiali", "prometheus", "jaeger", "zipkin")
"""Everything that `istioctl dashboard` calls a dashboard of the mesh (the other kinds belong to single pods)."""

TRACING = "istio-tracing"
"""The Deployment of the tracing add-on, whichever its provider is."""


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        name: as `istioctl dashboard` calls it.
        service: in the mesh's namespace.
        port: the service's.
        base_path: where its pages are; `/` leads nowhere when `needs_redirect`.
        needs_redirect: whether a request for `/` must be sent to base_path (otherwise the program itself does it).
        websockets: whether its pages hold a websocket open.
    """

    name: str
    service: str
    port: int
    base_path: str = "/"
    needs_redirect: bool = False
    websockets: bool = False


def dashboards_of(mesh: ControlPlanePlan) -> dict[str, Dashboard]:
    """The dashboards that this mesh has, by name."""
    return {name: made for name in NAMES if (made := _dashboard(name, mesh)) is not None}


def why_not(name: str, mesh: ControlPlanePlan) -> str | None:
    """Why this mesh lacks a dashboard, and what to do; None when it has it."""
    if name in dashboards_of(mesh):
        return None
    istio = mesh.istio
    if not _brings_any(istio):
        return f"Istio {istio.version} installs no add-ons (they were taken out in 1.8)"
    if name in ("jaeger", "zipkin") and TRACING in mesh.wanted["deployments"]:
        return f"the mesh's tracing is {_provider(istio)}; for {name} set istio.values.tracing.provider: {name}"
    addon = "tracing" if name in ("jaeger", "zipkin") else name
    known = release(istio.version)
    having = [profile for profile, names in known.profiles.items() if known.addons[addon] in names]
    first, *others = sorted(having, key=lambda profile: (profile != "demo", profile)) or [""]
    if not first:
        return f"no profile of Istio {istio.version} has {name}; set istio.addonComponents.{addon}.enabled: true"
    also = f" (or {', '.join(others)})" if others else ""
    return f"profile {istio.profile} has no {name}; use profile {first}{also}"


def _dashboard(name: str, mesh: ControlPlanePlan) -> Dashboard | None:
    istio, deployments = mesh.istio, mesh.wanted["deployments"]
    tracing = _provider(istio) if TRACING in deployments else None
    match name:
        case "grafana" if "grafana" in deployments:
            return Dashboard("grafana", "grafana", 3000, websockets=True)
        case "kiali" if "kiali" in deployments:
            # its own server sends / to its web_root
            return Dashboard("kiali", "kiali", 20001, base_path=_text(istio, "kiali") or "/kiali")
        case "prometheus" if "prometheus" in deployments:
            return Dashboard("prometheus", "prometheus", 9090)
        case "jaeger" if tracing == "jaeger":
            path = _text(istio, "tracing") or "/jaeger"
            return Dashboard("jaeger", "jaeger-query", 16686, base_path=path, needs_redirect=path != "/")
        case "zipkin" if tracing == "zipkin":
            # with Jaeger there is a service of this name, too, but it only takes traces: it has no pages
            return Dashboard("zipkin", "zipkin", 9411, base_path="/zipkin")
    return None


def _provider(istio: IstioSettings) -> str:
    return str(_value(istio, "tracing", "provider") or "jaeger")


def _text(istio: IstioSettings, chart: str) -> str:
    path = str(_value(istio, chart, "contextPath") or "").strip()
    return f"/{path.strip('/')}" if path else ""


def _value(istio: IstioSettings, *path: str) -> Any:
    found: Any = istio.values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _brings_any(istio: IstioSettings) -> bool:
    """Whether this version installs any add-on that has pages."""
    return bool({"grafana", "kiali", "prometheus", TRACING} & set(release(istio.version).addons.values()))
