"""ControlPlane: the mesh's namespace, its IstioOperator, and the gate that lets nobody past before the mesh is true."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.config.hosts import Machine
from components.config.mesh import IstioSettings
from components.config.operator_file import pull_secrets
from components.istio import renderer
from components.istio.cni_check import chain
from components.istio.kiali import KialiLogin, kiali_login
from components.istio.mesh_plan import MeshPlan, gate_request
from components.istio.objects import drift_environment, ignored_in_preview, kubernetes_object, secret_json
from components.istio.operator import IstioOperator
from components.istio.operator_manifests import namespace as namespace_manifest
from components.istio.releases.compatibility import unproven
from components.istio.releases.table import release
from components.istio.renderer import Absent, Rendered

GATE = "python3 -m components.istio gate"
"""No path of this machine, so that another one sees no change."""

LOOK = "python3 -m components.istio look"
SWEEP = "python3 -m components.istio sweep"


@dataclass(frozen=True)
class ControlPlaneArgs:
    """What makes the mesh.

    Attributes:
        plan: what is wanted, and what it comes to.
        first_master: how to reach it (components/remote/fleet.py); secret.
        fleet: how to reach every machine; secret.
        operator: who carries it out.
        machines: all of them; the outputs tell of no others.
        kiali_passphrase: what Kiali asks for; one is made when it is None.
    """

    plan: MeshPlan
    first_master: pulumi.Input[Mapping[str, Any]]
    fleet: pulumi.Input[Mapping[str, Any]]
    operator: IstioOperator
    machines: Sequence[Machine]
    kiali_passphrase: pulumi.Output[str] | None = None


class ControlPlane(pulumi.ComponentResource):
    """The mesh.

    Attributes:
        gate: the ready gate; what needs the mesh depends on it.
        found_changed_at: what an update's look at the mesh said, see components/istio/readiness/change_detection.py; nothing in a preview.
        report: what the gate found, see components/istio/readiness/report.py `report`; nothing in it is secret.
        kiali: what opens Kiali; None without it.
    """

    gate: local.Command
    found_changed_at: pulumi.Output[str]
    kiali: KialiLogin | None
    report: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:ControlPlane", name, None, opts)
        istio, plan, made = args.plan.istio, args.plan.control_plane, args.plan.rendered
        for note in plan.notes:
            pulumi.info(f"sealos-istio:{note}", resource=self)

        if warning := unproven(istio.version):
            pulumi.warn(f"sealos-istio:istio.version: {warning}", resource=self)
        pulumi.info(_said(made, istio), resource=self)
        last = pulumi.Stash(
            f"{name}-rendered",
            input={} if isinstance(made, Absent) else {"spec": renderer.spec_hash(plan.manifest), "objects": made.shown()},
            # where there is no renderer, what was rendered last stays, so that it shows no change
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["input"] if isinstance(made, Absent) else None),
        )

        more = istio.namespace_metadata
        namespace = kubernetes_object(
            f"{name}-namespace",
            namespace_manifest(istio.namespace, more.labels, more.annotations),
            pulumi.ResourceOptions(parent=self),
        )
        # those of gateways come after the others: Istio's operator makes none
        namespaces = [
            kubernetes_object(f"{name}-namespace-{own}", namespace_manifest(own), pulumi.ResourceOptions(parent=self))
            for own in plan.namespaces
        ]
        # It exists for its delete, which comes after the IstioOperator's: what 1.5's operator leaves behind is taken away.
        leftovers = local.Command(
            f"{name}-leftovers",
            create="true",
            delete=SWEEP,
            stdin=secret_json(
                {
                    "fleet": args.fleet,
                    "name": istio.name,
                    "namespace": istio.namespace,
                    "hub": istio.hub,
                    "version": istio.version,
                    "crds": istio.crds,
                    "configFile": istio.cni.config_file if istio.cni.enabled else None,
                    # without what is as ever: what changes is made again
                    **({"tag": istio.tag} if istio.tag else {}),
                    **({"pullSecrets": names} if (names := [*pull_secrets(istio.values)]) else {}),
                }
            ),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.kiali = None
        if plan.needs_kiali_login:
            options = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
            secret = plan.needs_kiali_login
            self.kiali = kiali_login(f"{name}-kiali", secret, istio.namespace, args.kiali_passphrase, options)
        resource = kubernetes_object(
            f"{name}-istio-operator",
            plan.manifest,
            pulumi.ResourceOptions(
                parent=self,
                # whoever clears the finalizer, its rights included, must still be there when this is deleted
                depends_on=[
                    namespace,
                    *namespaces,
                    leftovers,
                    *args.operator.needed_to_clear_finalizers,
                    *([self.kiali.secret] if self.kiali else []),
                ],
                # two IstioOperators at once would fight over the same objects
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete="10m"),
            ),
        )
        rendered = last.input.apply(lambda found: renderer.gate_view(found, istio.namespace))
        expected = gate_request(plan, [machine.name for machine in args.machines], rendered)
        self.found_changed_at = _look({"fleet": args.fleet, **expected, "chain": chain(istio) if istio.cni.enabled else None})
        metadata: pulumi.Output[dict[str, Any]] = resource.__dict__["metadata"]
        request = {
            "fleet": args.first_master,
            **expected,
            # one that was made again is another one: 1.5.0's operator says HEALTHY to it and does nothing (istio#22325)
            "uid": metadata.apply(lambda found: str(found.get("uid", ""))),
        }
        self.gate = local.Command(
            f"{name}-gate",
            create=GATE,
            stdin=secret_json(request),
            environment=drift_environment(self.found_changed_at),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[resource], ignore_changes=ignored_in_preview()),
        )
        stdout: pulumi.Output[str] = pulumi.Output.unsecret(self.gate.stdout)
        self.report = stdout.apply(json.loads)
        self.register_outputs({"report": self.report})


def _said(made: Rendered | Absent, istio: IstioSettings) -> str:
    """For the preview: what the settings come to."""
    if isinstance(made, Absent):
        installs = ", ".join(sorted(release(istio.version).profiles[istio.profile])) or "nothing by itself"
        return (
            f"profile {istio.profile} installs {installs}. What Istio makes of all settings is not shown: {made.reason} "
            f"(docs/istio.md)"
        )
    held = (
        f". A node that has the pod of {', '.join(names)} can't be removed as it is, since Istio's own PodDisruptionBudget keeps it there "
        f"(docs/operations.md, Remove machines)"
        if (names := made.held())
        else ""
    )
    return (
        f"Istio {istio.version} makes {len(made.objects)} objects of profile {istio.profile} and the settings, to run: "
        f"{', '.join(made.workloads()) or 'nothing'}. `pulumi preview --diff` shows how they change, `make render` shows them whole{held}"
    )


def _look(request: Mapping[str, Any]) -> pulumi.Output[str]:
    """Asks the machines, in an update only: a preview has no host to need."""
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input("")
    looked = local.run_output(
        command=LOOK, stdin=secret_json(request), add_previous_output_in_env=False, logging=local.Logging.STDERR
    )
    answer: pulumi.Output[str] = pulumi.Output.unsecret(looked).apply(lambda result: str(result.stdout))
    return answer
