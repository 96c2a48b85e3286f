"""Kiali's log-in, made by us and there before the mesh: the demo profile's own is admin/admin.

Istio 1.5's chart mounts a Secret with the keys `username` and `passphrase` into Kiali's pod
(manifests/istio-telemetry/kiali/templates/deployment.yaml); `values.kiali.createDemoSecret` is turned off with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_command import local

from components.istio.objects import kubernetes_object, secret_json, secret_manifest

USERNAME = "kiali"
PASSPHRASE = "python3 -m components.istio passphrase"  # noqa: S105 (a command)


@dataclass(frozen=True)
class KialiLogin:
    """What opens Kiali.

    Attributes:
        secret: the Secret, which must be there before Kiali's pod.
        passphrase: secret; `username` is always USERNAME.
    """

    secret: pulumi.CustomResource
    passphrase: pulumi.Output[str]

    @property
    def login(self) -> dict[str, pulumi.Input[str]]:
        """As people are told it."""
        return {"username": USERNAME, "passphrase": self.passphrase}


def kiali_login(
    name: str, secret: str, namespace: str, given: pulumi.Output[str] | None, opts: pulumi.ResourceOptions
) -> KialiLogin:
    """Registers the Secret.

    Args:
        name: prefix of the resources' names.
        secret: what the Secret is called.
        namespace: the mesh's.
        given: the passphrase from the stack's settings; None has one made, once.
        opts: parent, and the namespace as dependency.
    """
    if given is None:
        made = local.Command(
            f"{name}-passphrase",
            create=PASSPHRASE,
            stdin=secret_json({}),
            add_previous_output_in_env=False,
            logging=local.Logging.NONE,
            opts=pulumi.ResourceOptions(parent=opts.parent, additional_secret_outputs=["stdout", "stderr"]),
        )
        given = made.stdout
    passphrase: pulumi.Output[str] = pulumi.Output.secret(given)
    manifest = secret_manifest(secret, namespace, {"username": USERNAME, "passphrase": passphrase})
    return KialiLogin(kubernetes_object(name, manifest, opts), passphrase)
