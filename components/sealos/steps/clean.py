"""Everything of a cluster is taken off one machine."""

from __future__ import annotations

from components.driver import progress
from components.remote.host import Host
from components.sealos.steps.script import PROBE, files, path


async def sweep(
    host: Host, vip: str, copy: str | None, *, sealos: str | None = None, lock_wait: float | None = None
) -> list[str]:
    """Takes everything of the cluster off one machine.

    Args:
        host: the machine.
        vip: the cluster's.
        copy: path of the package that sealos copied there, to be removed too; None where the user put it.
        sealos: path where the user put sealos, which stays; None where there are only sealos's own copies.
        lock_wait: seconds to wait for a job of ours on a first master; None on a machine where none runs.

    Returns:
        What is still there.
    """
    given = files(vip=vip, role=host.machine.role, copy=copy, sealos=sealos, lock_wait=lock_wait)
    result = await host.run(path("clean.sh"), given, PROBE + (lock_wait or 0))
    if result.stderr.strip():
        progress(host.machine.name, result.stderr.strip())
    if result.status:
        return [f"the sweep stopped: {result.last_words}"]
    return result.stdout.splitlines()
