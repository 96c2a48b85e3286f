"""A manifest as the provider's native resource, without importing the provider's generated modules.

`pulumi_kubernetes.core.v1` alone costs half a second at every preview; the resource's type, inputs and behaviour are the
same when the plain manifest is registered under the type that the generated class would have used.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pulumi


def type_token(manifest: Mapping[str, Any]) -> str:
    """The type that pulumi_kubernetes gives such an object; the core group is called `core` there."""
    version = str(manifest["apiVersion"])
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def kubernetes_object(name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """Registers one Kubernetes object.

    Args:
        name: the resource's name.
        manifest: the whole object, in Kubernetes' own spelling.
        opts: with a provider, or a parent that has one: the default provider would dial whatever kubeconfig is around.
    """
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), **_annotations(manifest)}
    inputs: dict[str, Any] = {**manifest, "metadata": metadata}
    return pulumi.CustomResource(type_token(manifest), name, inputs, opts)


def _annotations(manifest: Mapping[str, Any]) -> dict[str, str]:
    """How the provider applies it, so that an object which a killed run had made is taken over and not stumbled upon."""
    # the stack owns these fields; an API server of 1.16 counts its own defaults of a new CRD as another owner's
    found = {"pulumi.com/patchForce": "true"}
    # the provider would wait for an account's token that is new, and one that exists has got its own already;
    # and for an Ingress's address in its status, which a controller on bare machines has none to write into
    if manifest["kind"] in ("ServiceAccount", "Ingress"):
        found["pulumi.com/skipAwait"] = "true"
    return found


def secret_json(request: Mapping[str, Any]) -> pulumi.Output[str]:
    """A driver's request as text, secret as a whole since it says how to log in.

    Args:
        request: what JSON can hold; Outputs only as values of its own keys.
    """
    known: pulumi.Output[dict[str, Any]] = pulumi.Output.secret({})
    for key, value in request.items():
        if isinstance(value, pulumi.Output):
            known = _with(known, key, value)
    # sorted, because the engine hands maps over in any order, and another order would be a change
    return known.apply(lambda found: json.dumps({**request, **found}, sort_keys=True))


def _with(known: pulumi.Output[dict[str, Any]], key: str, value: pulumi.Output[Any]) -> pulumi.Output[dict[str, Any]]:
    """What Output.all would do, which makes Outputs and tasks of every value in the maps and lists that it is handed."""
    return known.apply(lambda found: value.apply(lambda this: {**found, key: this}))


def secret_manifest(
    name: str, namespace: str, values: Mapping[str, pulumi.Input[str]], kind: str = "Opaque"
) -> dict[str, Any]:
    """A Secret whose values are secret in Pulumi's state, too.

    Args:
        name: the Secret's.
        namespace: where it lives.
        values: by key, as text.
        kind: the Secret's type, as `kubernetes.io/tls`.
    """

    def encoded(value: pulumi.Input[str]) -> pulumi.Output[str]:
        text: pulumi.Output[str] = pulumi.Output.from_input(value)
        return pulumi.Output.secret(text.apply(lambda plain: base64.b64encode(plain.encode()).decode()))

    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": kind,
        "data": {key: encoded(value) for key, value in values.items()},
    }


FOUND_CHANGED_AT = "FOUND_CHANGED_AT"


def drift_environment(found_changed_at: pulumi.Input[str]) -> dict[str, pulumi.Input[str]] | None:
    """The variable that takes a command anew when an update finds the mesh changed (components/istio/readiness/change_detection.py)."""
    return None if pulumi.runtime.is_dry_run() else {FOUND_CHANGED_AT: found_changed_at}


def ignored_in_preview() -> list[str]:
    """A preview asks no host, so it leaves that variable as it is."""
    return ["environment"] if pulumi.runtime.is_dry_run() else []
