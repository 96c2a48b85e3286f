"""ControlPlane: the mesh's namespace, its IstioOperator, and the gate that lets nobody past before the mesh is true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.istio import istio_operator
from components.istio.objects import kubernetes_object, secret_json
from components.istio.operator import IstioOperator
from components.istio.operator_manifests import namespace as namespace_manifest
from components.istio.overlays import OverlayError
from components.settings import IstioSettings

GATE = "python3 -m components.istio gate"
"""No path of this machine, so that another one sees no change."""


@dataclass(frozen=True)
class ControlPlaneArgs:
    """What makes the mesh.

    Attributes:
        istio: what is wanted.
        fleet: how to reach the first master (components/fleet.py); secret.
        operator: who carries it out.
    """

    istio: IstioSettings
    fleet: pulumi.Input[Mapping[str, Any]]
    operator: IstioOperator


class ControlPlane(pulumi.ComponentResource):
    """The mesh.

    Attributes:
        gate: the ready gate; what needs the mesh depends on it.
        report: what the gate found, see components/istio/gate.py `report`; nothing in it is secret.
    """

    gate: local.Command
    report: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:ControlPlane", name, None, opts)
        istio = args.istio
        try:
            plan = istio_operator.plan(istio)
        except OverlayError as error:
            raise pulumi.RunError("\n".join(f"sealos-istio:{problem}" for problem in error.problems)) from None
        for note in plan.notes:
            pulumi.info(f"sealos-istio:{note}", resource=self)

        namespace = kubernetes_object(
            f"{name}-namespace", namespace_manifest(istio.namespace), pulumi.ResourceOptions(parent=self)
        )
        resource = kubernetes_object(
            f"{name}-istio-operator",
            plan.manifest,
            pulumi.ResourceOptions(
                parent=self,
                # whoever clears the finalizer, its rights included, must still be there when this is deleted
                depends_on=[namespace, *args.operator.needed_to_clear_finalizers],
                # two IstioOperators at once would fight over the same objects
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete="10m"),
            ),
        )
        request = {
            "fleet": args.fleet,
            "wanted": plan.wanted,
            "spec": hashlib.sha256(json.dumps(plan.manifest["spec"], sort_keys=True).encode()).hexdigest(),
        }
        self.gate = local.Command(
            f"{name}-gate",
            create=GATE,
            stdin=secret_json(request),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[resource]),
        )
        stdout: pulumi.Output[str] = pulumi.Output.unsecret(self.gate.stdout)
        self.report = stdout.apply(json.loads)
        self.register_outputs({"report": self.report})
