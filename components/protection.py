"""Protection: `pulumi destroy` of a protected stack is refused before anything has gone."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


class Protection(pulumi.ComponentResource):
    """What is protected and depends on all there is, so that it is the first that a destroy comes to, and its end.

    The installation's own `protect` alone comes last: the engine takes the leaves first, and what is `deleted_with` the
    installation leaves the state without having been asked, while the cluster goes on (pulumi 3.220, DeleteStep.Apply).

    Args:
        name: as the settings call it, since the engine's refusal repeats it.
        protect: whether a destroy is refused; false takes nothing away but the refusal.
        over: components and resources, all that the stack has.
    """

    def __init__(self, name: str, protect: bool, over: Sequence[pulumi.Resource]) -> None:
        opts = pulumi.ResourceOptions(protect=protect, depends_on=list(over))
        super().__init__("sealos-istio:Protection", name, None, opts)
        self.register_outputs({})
