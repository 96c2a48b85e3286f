"""A manifest as the provider's native resource, without importing the provider's generated modules.

`pulumi_kubernetes.core.v1` alone costs half a second at every preview; the resource's type, inputs and behaviour are the
same when the plain manifest is registered under the type that the generated class would have used.
"""

from __future__ import annotations

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
    inputs: dict[str, Any] = dict(manifest)
    return pulumi.CustomResource(type_token(manifest), name, inputs, opts)


def secret_json(request: Mapping[str, Any]) -> pulumi.Output[str]:
    """A driver's request as text, secret as a whole since it says how to log in."""
    text: pulumi.Output[str] = pulumi.Output.json_dumps(request)
    return pulumi.Output.secret(text)
