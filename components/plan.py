"""What a stack's settings come to, made once and carried to all who need it: the settings' own checks, the graph, drift. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from components.config.stack import Settings
from components.istio import istio_operator
from components.istio.host_ports import HostGateway, host_gateways
from components.istio.istio_operator import ControlPlanePlan


@dataclass(frozen=True)
class Plan:
    """What the mesh of a stack is to be.

    Attributes:
        mesh: its IstioOperator, and what is expected of it; None for a cluster without one.
        host_gateways: those of its gateways that take ports of their nodes.
    """

    mesh: ControlPlanePlan | None = None
    host_gateways: tuple[HostGateway, ...] = ()


def plan_of(settings: Settings) -> Plan:
    """The plan of these settings.

    Raises:
        OverlayError: when a gateway can't be made safe, or something else can't be carried out.
    """
    if settings.istio is None:
        return Plan()
    mesh = istio_operator.plan(settings.istio)
    return Plan(mesh, host_gateways(mesh))
