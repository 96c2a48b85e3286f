"""IstioOperator: Istio's in-cluster operator as seven native resources, so that a preview shows each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.config.mesh import IstioSettings
from components.config.operator_file import pull_secrets
from components.istio import operator_manifests as manifests
from components.istio.images import Images, ImagesArgs
from components.istio.objects import kubernetes_object
from components.istio.releases.compatibility import check_upgrade


@dataclass(frozen=True)
class IstioOperatorArgs:
    """What the operator needs to know.

    Attributes:
        istio: version, hub, and which IstioOperator it will serve.
        images: with what they are loaded on every node before its pod starts, where the mesh has a file of them.
    """

    istio: IstioSettings
    images: ImagesArgs | None = None


class IstioOperator(pulumi.ComponentResource):
    """The operator, ready to carry out an IstioOperator.

    Attributes:
        deployment: the operator itself.
        needed_to_clear_finalizers: what an IstioOperator must depend on. Its finalizer is cleared by the operator alone, so
            all of these have to outlive it on the way down.
    """

    deployment: pulumi.CustomResource
    needed_to_clear_finalizers: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: IstioOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:Operator", name, None, opts)
        istio = args.istio

        def child(
            suffix: str,
            manifest: manifests.Manifest,
            *after: pulumi.Resource,
            hooks: pulumi.ResourceHookBinding | None = None,
        ) -> pulumi.CustomResource:
            options = pulumi.ResourceOptions(
                parent=self,
                depends_on=list(after),
                hooks=hooks,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=f"{istio.ready_timeout}s", update=f"{istio.ready_timeout}s", delete="5m"
                ),
            )
            return kubernetes_object(f"{name}-{suffix}", manifest, options)

        crd = child("crd", manifests.crd())
        namespace = child("namespace", manifests.namespace())
        account = child("service-account", manifests.service_account(), namespace)
        role = child("cluster-role", manifests.cluster_role(istio.version))
        # after both, so that a binding never grants rights to whoever takes the account's name first
        binding = child("cluster-role-binding", manifests.cluster_role_binding(), role, account)
        identity = manifests.control_plane_identity(istio.namespace, istio.name)
        loaded = Images(f"{name}-images", args.images, pulumi.ResourceOptions(parent=self)).loaded if istio.images and args.images else ()
        # its process ends when the CRD isn't served or the lock can't be had, so it starts after what it needs
        self.deployment = child(
            "deployment",
            manifests.deployment(
                istio.hub, istio.version, istio.namespace, identity, istio.image_tag, [*pull_secrets(istio.values)]
            ),
            namespace,
            account,
            binding,
            crd,
            *loaded,
            hooks=pulumi.ResourceHookBinding(
                before_update=[
                    pulumi.ResourceHook(
                        f"{name}-version", _refuse_another_way, pulumi.ResourceHookOptions(on_dry_run=True)
                    )
                ]
            ),
        )
        # the provider waits for a Service's endpoints: after the Deployment there is one message when that fails, not two
        child("service", manifests.service(), self.deployment)
        self.needed_to_clear_finalizers = [self.deployment, account, role, binding, crd, namespace]
        self.register_outputs({"image": f"{istio.hub}/operator:{istio.image_tag}", "namespace": manifests.NAMESPACE})


def _refuse_another_way(args: pulumi.ResourceHookArgs) -> None:
    """Before the operator is updated, in a preview as well: a version that can't be reached from the one that runs is refused.

    Raises:
        ValueError: when it can't; the engine shows its text as the resource's error.
    """
    before, after = _version(args.old_inputs), _version(args.new_inputs)
    if before and after and (problem := check_upgrade(before, after)):
        raise ValueError(problem)


def _version(inputs: Mapping[str, Any] | None) -> str | None:
    """Istio's version by the operator's image in the inputs of its Deployment."""
    try:
        image: str = (inputs or {})["spec"]["template"]["spec"]["containers"][0]["image"]
    except (KeyError, IndexError, TypeError):
        return None
    found = re.match(r"\d+\.\d+\.\d+", image.rpartition(":")[2])
    return found[0] if found else None
