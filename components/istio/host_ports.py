"""Which ports of which machine the gateways take for themselves (host network), for the preflight. Pure."""

from __future__ import annotations

from components.config.mesh import IstioSettings
from components.istio.host_network import pinned_to
from components.istio.istio_operator import KINDS, safe_gateways
from components.istio.releases.table import release
from components.istio.shapes import ENVOY_METRICS_PORT, pod_ports, protocol_of

_USUAL = ({"port": 80}, {"port": 443}, {"port": 15020})
"""http2, https and status-port of 1.5's ingress gateway, for one that lists no ports of its own."""


def host_ports(istio: IstioSettings) -> dict[str | None, dict[int, str]]:
    """Port and gateway by the host that the gateway is pinned to; None stands for whichever node it lands on.

    Raises:
        OverlayError: when a gateway can't be made safe; the settings have refused it before.
    """
    found: dict[str | None, dict[int, str]] = {}
    known = release(istio.version)
    for kind in KINDS:
        usual = set(pod_ports(known.chart_ports.get(kind, _USUAL), known))
        safe = safe_gateways(istio, kind)
        for gateway in safe.gateways:
            name: str = gateway["name"]
            if not gateway["enabled"] or name not in safe.host_network:
                continue
            hosts: list[str | None] = [*sorted(pinned_to(gateway.get("k8s", {})))] or [None]
            listed = safe.ports.get(name)
            numbers = {
                number
                for port in listed or ()
                if protocol_of(port) == "TCP"  # the preflight looks at these listeners alone
                for number in (port["port"], port.get("targetPort"))
                if isinstance(number, int)
            }
            for host in hosts:
                for number in sorted((numbers or usual) | {ENVOY_METRICS_PORT}):
                    found.setdefault(host, {})[number] = name
    return found
