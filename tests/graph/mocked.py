"""The program, or a part of it, on Pulumi's mocks: no engine, no host; what an engine would be asked is kept for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

from bench.standing import ANSWERS

COMMAND = "command:local:Command"
STACK = "pulumi:pulumi:Stack"


class Hooks:
    """In place of the engine's calls back: the resource hooks that were registered, by name."""

    def __init__(self) -> None:
        self.registered: dict[str, pulumi.ResourceHook] = {}

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self.registered[hook.name] = hook

    async def shutdown(self) -> None:
        """Nothing was started."""


class Engine(mocks.MockMonitor):
    """In the engine's place.

    Attributes:
        requests: every resource as it was registered, by its name; edges and options are in it.
        inputs: the same resources' inputs, secrets wrapped.
        looks: what was run in no resource.
        hooks: what may refuse a change.
        exported: the stack's outputs as they were registered; None before.
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__(_Steps(self, {**ANSWERS, **answers}))
        self.requests: dict[str, Any] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        self.looks: list[mocks.MockCallArgs] = []
        self.hooks = Hooks()
        self.exported: Any = None

    @property
    def types(self) -> dict[str, str]:
        """The resources' types by name, but for the stack itself."""
        return {name: request.type for name, request in self.requests.items() if request.type != STACK}

    def commands(self) -> dict[str, dict[str, Any]]:
        """The inputs of the steps."""
        return {name: self.inputs[name] for name, kind in self.types.items() if kind == COMMAND}

    def after(self, name: str) -> set[str]:
        """The resources that must be there before this one."""
        return {urn.split("::")[-1] for urn in self.requests[name].dependencies}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        assert request.name not in self.requests, f"{request.name} is registered twice"
        self.requests[request.name] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        if request.urn.split("::")[2] == STACK:
            self.exported = request.outputs
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Steps(mocks.Mocks):
    def __init__(self, engine: Engine, answers: Mapping[str, str]) -> None:
        self.engine, self.answers = engine, answers

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.engine.inputs[args.name] = args.inputs
        printed = {"stdout": self._prints(args.inputs["create"]), "stderr": ""} if args.typ == COMMAND else {}
        return f"{args.name}-id", {**args.inputs, **printed}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        assert args.token == "command:local:run"
        self.engine.looks.append(args)
        return {"stdout": self._prints(args.args["command"]), "stderr": ""}, []

    def _prints(self, command: str) -> str:
        return self.answers.get(command.rsplit(maxsplit=1)[-1], "")


@contextmanager
def engine(answers: Mapping[str, str], stack: str = "dev", *, preview: bool = False) -> Iterator[Engine]:
    """What is registered meanwhile comes to the engine that is given.

    Args:
        answers: what steps print, by the driver's verb, where that is another than a healthy cluster's.
        stack: the stack's name.
        preview: whether it is a preview, not an update.
    """
    # Pulumi's mocks want a current event loop, which a test before may have taken away
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made = Engine(answers)
    pulumi.runtime.set_mocks(made.mocks, project="sealos-istio", stack=stack, preview=preview, monitor=made)
    pulumi.runtime.settings.SETTINGS.callbacks = made.hooks
    try:
        yield made
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def resolved(program: Callable[[], Mapping[str, pulumi.Output[Any]]]) -> dict[str, tuple[Any, bool]]:
    """Runs a program on the engine; what it returns as (value, whether it is secret), by name."""
    found: dict[str, tuple[Any, bool]] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def wrapped() -> pulumi.Output[Any]:
        outputs = program()

        async def look() -> None:
            for name, output in outputs.items():
                found[name] = (await output.future(), await output.is_secret())

        return pulumi.Output.from_input(look())

    wrapped()
    assert found, "nothing was resolved, so nothing was tested"
    return found


def plain(value: Any) -> str:
    """A secret input's text."""
    assert isinstance(value, dict), "a request holds how to log in and must be a secret"
    assert value.get(rpc._special_sig_key) == rpc._special_secret_sig
    return str(value["value"])
