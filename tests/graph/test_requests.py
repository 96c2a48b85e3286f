"""A step's request is put together as the SDK would, from what is known at once and what is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi.output import UNKNOWN

from components.istio.objects import secret_json

Made = Callable[[], dict[str, Any]]


def unknown() -> pulumi.Output[Any]:
    """As of a resource that a preview would create."""

    async def value(found: Any) -> Any:
        return found

    return pulumi.Output(set(), value(UNKNOWN), value(False))


async def seen(output: pulumi.Output[str]) -> tuple[Any, bool, bool]:
    return await output.future(), await output.is_known(), await output.is_secret()


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(dict, id="empty"),
        pytest.param(lambda: {"b": [1, {"z": None, "a": 2.5}], "a": "ä"}, id="plain"),
        pytest.param(lambda: {"fleet": pulumi.Output.secret({"y": [1], "x": {}}), "a": 1}, id="secret"),
        pytest.param(lambda: {"b": pulumi.Output.from_input({"y": []}), "a": pulumi.Output.from_input(None)}, id="two"),
        pytest.param(lambda: {"b": unknown(), "a": pulumi.Output.secret("x")}, id="unknown"),
    ],
)
def test_it_is_what_the_sdk_would_make_of_it(made: Made) -> None:
    async def both() -> None:
        of_the_sdk: pulumi.Output[str] = pulumi.Output.json_dumps(made(), sort_keys=True)
        assert await seen(secret_json(made())) == await seen(pulumi.Output.secret(of_the_sdk))

    asyncio.run(both())
