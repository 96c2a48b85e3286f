"""What the steps ask: a machine for its facts, and the first master for what it has written down and for what the cluster says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace

from components.driver import DriverError, progress
from components.remote.host import Host
from components.remote.models import Machine, MachineError
from components.sealos import facts as facts_of
from components.sealos import nodes, requests
from components.sealos.facts import Facts
from components.sealos.steps.script import PAUSE, PROBE, SHORT, files, job, path

_GRACE = 2 * nodes.SILENT  # seconds within which the cluster sees that a machine is gone


async def show(host: Host, what: str) -> str:
    """One thing of the first master, one of the words in show.sh.

    Raises:
        DriverError: when it can't be had.
    """
    result = await host.run(path("show.sh"), files(what=what), SHORT)
    if result.status:
        raise DriverError(f"{host.machine.name}: its cluster does not answer: {result.last_words}")
    return result.stdout


async def nodes_of(first: Host) -> dict[str, nodes.Node]:
    """The cluster's nodes; none when its API server does not answer right now."""
    try:
        return nodes.parse(json.loads(await show(first, "nodes")))
    except (DriverError, ValueError):
        return {}


async def look(host: Host, given: Mapping[str, bytes] | None = None, limit: float = SHORT) -> Facts:
    """A machine's facts, as they are right now.

    Args:
        host: the machine.
        given: files for facts.sh, when it is asked for more than what it says about itself.
        limit: seconds.

    Raises:
        MachineError: when it can't be looked at.
    """
    result = await host.run(path("facts.sh"), given or files(), limit)
    if result.status:
        raise MachineError(host.machine.name, f"could not be looked at ({result.last_words})", "Look at it by hand.")
    return replace(facts_of.parse(result.stdout), shell_said=result.shell_said)


async def settled(host: Host, lock_wait: float) -> Facts:
    """A first master's facts, taken when no job of ours is at work on it (a killed `pulumi up` leaves its job running)."""
    given = {**files(lock_wait=lock_wait), "facts.sh": (path("facts.sh")).read_bytes()}
    return facts_of.parse(await at_rest(host, given))


async def at_rest(host: Host, given: Mapping[str, bytes]) -> str:
    """Waits until no job of ours is at work on a first master; what facts.sh, when it is among the files `given`, then prints."""
    result = await job(host, "settled.sh", given, PROBE)
    if result.status:
        raise DriverError(f"{host.machine.name}: could not be looked at: {result.last_words}")
    return result.stdout


async def known_of(first: Host) -> list[Machine]:
    """Every machine that was ever wanted in the cluster and has not been seen clean since, as the first master has them written down."""
    found = {}
    for line in (await show(first, "machines")).splitlines():
        try:
            machine = Machine.model_validate_json(line)
        except ValueError:
            progress(first.machine.name, "warning: a note in /etc/sealos-istio/machines can't be read; it is left out")
            continue
        found[machine.name] = machine
    return list(found.values())


async def wanted_of(first: Host) -> requests.Wanted:
    """What the cluster shall have, as the first master has it written down; nothing when it has nothing."""
    text = await show(first, "wanted")
    try:
        return requests.Wanted.model_validate_json(text or "{}")
    except ValueError:
        raise DriverError(
            f"{first.machine.name}: /etc/sealos-istio/wanted.json can't be read; `pulumi up --refresh` writes it anew"
        ) from None


async def ca_of(first: Host) -> str:
    """SHA-256 of the cluster's CA certificate, as Facts.ca."""
    return (await show(first, "ca")).strip()


async def still_reports(first: Host, node: nodes.Node, begun: float, waiting: str, never: DriverError) -> bool:
    """Whether a kubelet reports as this Node. If so, it tells that only after a pause: the cluster is slow to see that one is gone.

    Args:
        first: the first master.
        node: the Node.
        begun: when the wait for its silence began, by time.monotonic.
        waiting: what is told while it lasts.
        never: what is wrong if it reports for so long that its machine must be there.

    Raises:
        DriverError: `never`.
    """
    answer = json.loads(await show(first, "leases"))
    if not nodes.reports(node, answer["leases"], answer["now"]):
        return False
    if time.monotonic() - begun > _GRACE:
        raise never
    progress(node.name, waiting)
    await asyncio.sleep(5 * PAUSE)
    return True
