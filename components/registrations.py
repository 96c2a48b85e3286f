"""What Pulumi's SDK (3.220) does in more time than it takes, put right in private places of it; tests/graph/test_waiting.py holds them."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from typing import Any

from pulumi import _types
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.sync_await import _sync_await


def hasten() -> None:
    """What grows with the square of the resources grows with their number; called before the first of them."""
    rpc.contains_unknowns = contains_unknowns
    # each resource of a class works out its properties' types again
    _types._types_from_py_properties = functools.cache(_types._types_from_py_properties)  # noqa: SLF001
    outstanding = Outstanding()
    for future in SETTINGS.outputs:
        outstanding.append(future)
    SETTINGS.outputs = outstanding


def begin() -> None:
    """Lets the registrations of all resources begin; the program's last call.

    Without it Python's host polls for as long as an update takes: pulumi/runtime/stack.py (3.220), `wait_for_rpcs`, blocks on
    registrations that have begun, but none has when a program ends that never awaited anything; what it then waits for are
    outputs, by `sleep(0)`. Measured on an update of 15 s: 14.7 s of CPU without, 0.4 s with it. The way to await something in a
    synchronous program is the SDK's own for invokes, which has no public name.
    """
    _sync_await(asyncio.sleep(0))


def contains_unknowns(val: Any) -> bool:
    """In place of the SDK's own (pulumi/runtime/rpc.py): the same answer in time that grows with what there is, not with its square.

    That one looks for every map and list among all that it has seen before, one by one: thirteen million comparisons for what
    Istio makes of a mesh, a third of the program's time in a preview.
    """
    seen: set[int] = set()
    left = [val]
    while left:
        known = left.pop()
        if isinstance(known, Unknown):
            return True
        if isinstance(known, dict | list) and id(known) not in seen:
            seen.add(id(known))
            left += known.values() if isinstance(known, dict) else known
    return False


class Outstanding:
    """In place of the SDK's deque of what is not resolved yet: taking one of tens of thousands out of its middle looks at half of them."""

    def __init__(self) -> None:
        self._futures: OrderedDict[asyncio.Future[Any], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._futures)

    def append(self, future: asyncio.Future[Any]) -> None:
        """As the deque's."""
        self._futures[future] = None

    def popleft(self) -> asyncio.Future[Any]:
        """As the deque's."""
        return self._futures.popitem(last=False)[0]

    def remove(self, future: asyncio.Future[Any]) -> None:
        """As the deque's.

        Raises:
            ValueError: it is not there; the SDK counts on it.
        """
        if future not in self._futures:
            raise ValueError(future)
        del self._futures[future]
