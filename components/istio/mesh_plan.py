"""The mesh's plan: the IstioOperator, what is expected of it, and the objects that Istio's own renderer makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.config.mesh import IstioSettings
from components.istio import refused, renderer
from components.istio.istio_operator import ControlPlanePlan
from components.istio.renderer import Absent, Rendered, RenderError


@dataclass(frozen=True)
class MeshPlan:
    """What a mesh's settings come to, known before anything is registered.

    Attributes:
        control_plane: the IstioOperator, and what is expected of it.
        rendered: the objects that Istio's own renderer makes of it.
    """

    control_plane: ControlPlanePlan
    rendered: Rendered | Absent

    @property
    def istio(self) -> IstioSettings:
        """The settings."""
        return self.control_plane.istio


def plan_mesh(plan: ControlPlanePlan, kubernetes: str) -> MeshPlan:
    """Renders. Called before the first resource is made, so that no machine is touched for a mesh that can't be.

    Args:
        plan: of the settings.
        kubernetes: the cluster's version, as `v1.16.3`.

    Raises:
        pulumi.RunError: with everything that Istio's own renderer or Kubernetes could not carry out.
    """
    version = plan.istio.version
    try:
        made = renderer.rendered(plan.manifest, version)
    except RenderError as error:
        raise _refused([f"istio: Istio {version}'s own renderer refuses it: {error}"]) from None
    if not isinstance(made, Absent):
        unfit, judged_by = refused.problems(made, plan.istio, kubernetes)
        missed = renderer.unfulfilled(plan.manifest, made)
        if judged_by:
            for problem in unfit:
                pulumi.warn(f"sealos-istio:{problem}. Kubernetes {kubernetes} may see it otherwise: {judged_by} is the newest schema here")
        else:
            missed += unfit
        if missed:
            raise _refused(list(map(str, missed)))
    return MeshPlan(plan, made)


def _refused(problems: Sequence[str]) -> pulumi.RunError:
    return pulumi.RunError("\n".join(f"sealos-istio:{problem}" for problem in problems))


def gate_request(plan: ControlPlanePlan, machines: Sequence[str], rendered: Any) -> dict[str, Any]:
    """What the ready gate, and whoever judges the mesh as it does, goes by; see components/istio/readiness/model.py, `with_rendered`.

    Args:
        plan: of the settings.
        machines: names of all of the stack's; it tells of no others.
        rendered: a `RenderedSet` as data, or an output of one.
    """
    return {"wanted": {**plan.wanted, "machines": list(machines)}, "spec": renderer.spec_hash(plan.manifest), "rendered": rendered}
