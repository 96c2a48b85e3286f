"""Asks the first master over one SSH connection until every way in leads somewhere, or says which doesn't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from components.dashboards.check import View, Wanted, judge
from components.driver import DriverError, progress
from components.problem import Code, Problem, first_of, told
from components.remote.connection import connect
from components.remote.host import Result
from components.remote.models import Fleet, Request

SCRIPT = Path(__file__).with_name("check.sh")
INTERVAL = 2.0
"""Seconds between two looks."""


class CheckRequest(Request):
    """What `check` reads.

    Attributes:
        fleet: how to reach the first master.
        wanted: what must be true.
        manifests: a hash of the objects; it only makes another request of other objects.
    """

    fleet: Fleet
    wanted: Wanted
    manifests: str = ""


class _Host(Protocol):
    async def run(self, script: Path | str, files: dict[str, bytes], timeout: float) -> Result: ...  # noqa: ASYNC109


async def check(request: CheckRequest) -> str:
    """Waits for the ways in; the checked objects as JSON.

    Raises:
        DriverError: when time is up; every problem in one message.
        MachineError: when the first master can't be reached.
    """
    machine = request.fleet.first_master
    async with connect(machine, request.fleet.login) as host:
        await wait(host, request.wanted, lambda text: progress(machine.name, text))
    return json.dumps({"valid": list(request.wanted.objects)})


async def wait(
    host: _Host,
    wanted: Wanted,
    say: Callable[[str], None],
    clock: Callable[[], float] = monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """`check` on an open connection."""
    end = clock() + wanted.timeout
    said = ""
    while problems := await _look(host, wanted):
        first = first_of(problems)
        if first != said:
            say(f"waiting: {first}")
            said = first
        if clock() >= end:
            lines = [f"the dashboards can't be reached after {wanted.timeout:g} s:", *told(problems)]
            lines.append(
                "Mend what is named above, or give it more time (dashboards.readyTimeout), and run `pulumi up` again."
            )
            raise DriverError("\n".join(lines))
        await sleep(INTERVAL)
    say("every way in leads to a dashboard")


async def _look(host: _Host, wanted: Wanted) -> list[Problem]:
    files = {"namespace": wanted.namespace.encode(), "objects": "".join(f"{o}\n" for o in wanted.objects).encode()}
    if wanted.secret:
        files["secret"] = wanted.secret.encode()
        files["secret_namespace"] = (wanted.secret_namespace or wanted.namespace).encode()
    result = await host.run(SCRIPT, files, 90)
    name = "the first master"
    if result.status != 0:
        words = (result.stderr.strip() or result.stdout.strip() or f"exit status {result.status}").splitlines()
        return [Problem(Code.DASHBOARDS_UNKNOWN, name, f"the API server did not answer kubectl: {words[-1]}")]
    try:
        found: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        return [Problem(Code.DASHBOARDS_UNKNOWN, name, f"kubectl printed no JSON: {result.stdout[:200]!r}")]
    return judge(
        wanted,
        View(ways=_items(found["ways"]), services=_items(found["services"]), secret=(found["secret"] or {}).get("is")),
    )


def _items(answer: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """kubectl prints a list for several objects, and the object itself for one."""
    if answer is None:
        return ()
    return tuple(answer["items"]) if answer["kind"].endswith("List") else (answer,)
