"""Whether every way in leads somewhere, judged by what the API server (and Contour) says. Pure: no SSH, no Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.problem import Code, Problem
from components.remote.models import Request

Object = Mapping[str, Any]


class Backend(Request):
    """What a way leads to.

    Attributes:
        dashboard: its name.
        service: in the namespace of the request.
        port: the service's.
    """

    dashboard: str
    service: str
    port: int


class Wanted(Request):
    """What must be true.

    Attributes:
        namespace: of everything here.
        objects: Ingresses, HTTPProxies, Gateways and VirtualServices, as `Kind/name`.
        backends: where they lead.
        secret: the TLS Secret; None without TLS.
        secret_namespace: its own, where that is another one.
        timeout: seconds until it is given up.
    """

    namespace: str
    objects: tuple[str, ...]
    backends: tuple[Backend, ...]
    secret: str | None = None
    secret_namespace: str | None = None
    timeout: float


class View(Request):
    """What the API server said in one look.

    Attributes:
        ways: the objects that lead to dashboards.
        services: Services and Endpoints of the namespace.
        secret: type and keys of the TLS Secret, its values left out; None when it isn't there.
    """

    ways: tuple[dict[str, Any], ...]
    services: tuple[dict[str, Any], ...]
    secret: tuple[str, ...] | None = None


TLS_TYPE = "kubernetes.io/tls"
TLS_KEYS = ("tls.crt", "tls.key")


def judge(wanted: Wanted, view: View) -> list[Problem]:
    """Every problem, each naming the object; none means that all ways lead somewhere."""
    return [*_secret(wanted, view), *_backends(wanted, view), *_ways(wanted, view)]


def _secret(wanted: Wanted, view: View) -> Iterator[Problem]:
    if wanted.secret is None:
        return
    where = f"Secret {wanted.secret_namespace or wanted.namespace}/{wanted.secret}"
    if view.secret is None:
        yield Problem(Code.TLS_SECRET, where, "does not exist")
        return
    kind, *keys = view.secret
    if kind != TLS_TYPE:
        yield Problem(Code.TLS_SECRET, where, f"is of type {kind}, not {TLS_TYPE}")
    if missing := [key for key in TLS_KEYS if key not in keys]:
        yield Problem(Code.TLS_SECRET, where, f"lacks {' and '.join(missing)}")


def _backends(wanted: Wanted, view: View) -> Iterator[Problem]:
    found = {(o["kind"], o["metadata"]["name"]): o for o in view.services}
    for backend in wanted.backends:
        where = f"{backend.dashboard}: Service {wanted.namespace}/{backend.service}"
        service = found.get(("Service", backend.service))
        if service is None:
            yield Problem(Code.BACKEND, where, "does not exist")
        elif backend.port not in (ports := [port["port"] for port in service["spec"].get("ports", [])]):
            yield Problem(Code.BACKEND, where, f"has no port {backend.port}, only {', '.join(map(str, ports))}")
        elif not any(
            subset.get("addresses") for subset in found.get(("Endpoints", backend.service), {}).get("subsets") or []
        ):
            yield Problem(Code.BACKEND, where, "has no ready pod behind it")


def _ways(wanted: Wanted, view: View) -> Iterator[Problem]:
    found = {f"{o['kind']}/{o['metadata']['name']}": o for o in view.ways}
    for name in wanted.objects:
        if (way := found.get(name)) is None:
            yield Problem(Code.ROUTE, name, f"does not exist in {wanted.namespace}")
        elif way["kind"] == "HTTPProxy" and (text := _proxy(way)):
            yield Problem(Code.PROXY_INVALID, name, text)


def _proxy(proxy: Object) -> str | None:
    """What Contour says against it; its status names the generation that was judged (conditions, from 1.8)."""
    status = proxy.get("status") or {}
    word = status.get("currentStatus")
    judged = [c.get("observedGeneration", 0) for c in status.get("conditions", []) if c.get("type") == "Valid"]
    stale = bool(judged) and max(judged) < proxy["metadata"].get("generation", 0)
    if word in (None, "NotReconciled") or stale:
        return "Contour has not judged it yet"
    if word == "valid":
        return None
    reasons = [
        f"{error.get('reason')}: {error.get('message')}"
        for condition in status.get("conditions", [])
        for error in condition.get("errors") or []
    ]
    return f"{word}: {status.get('description', '')}" + (f" ({'; '.join(reasons)})" if reasons else "")
