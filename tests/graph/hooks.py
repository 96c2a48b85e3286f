"""Resource hooks in tests on mocks, which have no engine to call back."""

from __future__ import annotations

import pulumi


class Hooks:
    """In place of the engine's calls back: the resource hooks that were registered, by name."""

    def __init__(self) -> None:
        self.registered: dict[str, pulumi.ResourceHook] = {}

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self.registered[hook.name] = hook

    async def shutdown(self) -> None:
        """Nothing was started."""
