"""A machine that is gone, or was set up anew, is taken out of the cluster and out of the notes about it."""

from __future__ import annotations

import time
from contextlib import suppress

from components.driver import DriverError, progress
from components.remote.host import Host
from components.sealos import joining, nodes
from components.sealos.steps.ask import look, nodes_of, still_reports
from components.sealos.steps.script import PROBE, SHORT, ChangedMeanwhile, files, path, work


async def take_out(first: Host, node: nodes.Node, limit: float, *, anew: bool = False) -> None:
    """Takes a Node out of the cluster, and of etcd, that no machine reports as; without a drain.

    Raises:
        ChangedMeanwhile: for a machine that was set up `anew`, when it has to be looked at again, since another job may have joined it.
    """
    given = files(
        role=node.role, name=node.name, address=node.address, gone="yes", anew="yes" if anew else None, lock_wait=limit
    )
    await work(first, "leave.sh", given, limit + PROBE, f"the removal of {node.name}")


async def _former_life(first: Host, own: Host) -> nodes.Node | None:
    """The Node of a machine that was set up anew and so is no member any more; None when it is one, or the cluster has no such Node.

    Raises:
        DriverError: when a kubelet goes on reporting as that Node, which can't be this machine's.
    """
    name, begun = own.machine.name, time.monotonic()
    while node := (await nodes_of(first)).get(name):
        if not joining.set_up_anew(await look(own)):
            return None
        if not await still_reports(
            first,
            node,
            begun,
            "holds nothing of the cluster; waiting until the cluster sees that its Node is gone …",
            DriverError(
                f"{name}: nothing of the cluster is on the machine at {own.machine.address}, but a kubelet reports as node {name}. Which "
                f"machine is that ({node.address})? Switch it off, or correct the address, and run this again"
            ),
        ):
            return node
    return None


async def end_former_life(first: Host, own: Host, limit: float) -> None:
    """Takes out the Node, and a master's etcd member, that a machine had before it was set up anew."""
    while node := await _former_life(first, own):
        progress(node.name, "holds nothing of the cluster, and its Node reports no more (set up anew?): taking that out, without a drain …")
        with suppress(ChangedMeanwhile):
            await take_out(first, node, limit, anew=True)


async def forget(first: Host, name: str) -> None:
    """Takes a machine out of those, when it was seen clean or is given up.

    Raises:
        DriverError: when the note can't be removed.
    """
    result = await first.run(path("forget.sh"), files(name=name), SHORT)
    if result.status:
        raise DriverError(f"{first.machine.name}: the note about {name} could not be removed: {result.last_words}")
