"""How a step runs its scripts: what is sent along, and how one that fails is told. lib.sh comes with every one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from components.driver import DriverError, progress
from components.remote.host import Host, Result

HERE = Path(__file__).parent
LIB = HERE.with_name("lib.sh")

_BUSY = 75  # lib.sh's status for "another state than the one it was sent for"
_BLOCKED = 76  # leave.sh's, when the drain did not come to its end
SHORT = 60.0  # seconds for a script that only looks
_LONGEST_WAIT = 7200.0  # seconds that a job may wait for others on its cluster, each of which has a limit of its own
PROBE = 180.0  # the same, when it checks the sum of a large package
PAUSE = 1.0


def files(**values: str | bytes | float | None) -> dict[str, bytes]:
    """A script's files: lib.sh, and one per value, underscores in its name written as dashes. None leaves one out."""
    given = {
        name.replace("_", "-"): value
        if isinstance(value, bytes)
        else f"{value:g}".encode()
        if isinstance(value, int | float)
        else value.encode()
        for name, value in values.items()
        if value is not None
    }
    return {"lib.sh": LIB.read_bytes(), **given}


def path(script: str) -> Path:
    """A script by its name: one of the steps' own, or one of those beside this folder, which others send as well."""
    own = HERE / script
    return own if own.exists() else LIB.with_name(script)


async def work(
    host: Host,
    script: str,
    given: Mapping[str, bytes],
    limit: float,
    what: str,
    *,
    prints_secrets: bool = False,
) -> str:
    """Runs a job and shows its progress.

    Args:
        host: where.
        script: its name.
        given: its files.
        limit: seconds; where it takes the lock (lib.sh), from then on.
        what: what it is, for messages.
        prints_secrets: whether its output is secret, and so nothing of it may stand in an error.

    Raises:
        DriverError: with the job's last words.
    """
    result = await job(host, script, given, limit)
    if result.status == _BUSY:
        raise ChangedMeanwhile
    if result.status == _BLOCKED:
        raise DrainBlocked(result.stdout)
    if result.status:
        # a script that has more to tell than why it stopped prints it: sealos's own last words, or the drain's
        said, why = "" if prints_secrets else result.stdout.rstrip(), result.last_words.splitlines()
        told = (
            f"{why[-1]}\n{indented(said)}"
            if said
            else f"\n{indented(result.last_words)}"
        )
        raise DriverError(f"{host.machine.name}: {what} failed: {told}")
    return result.stdout


async def job(host: Host, script: str, given: Mapping[str, bytes], limit: float) -> Result:
    """Runs a job as `work` does; its status is left to the caller."""
    if "lock-wait" in given:
        given, limit = {**given, **files(work_limit=f"{limit:.0f}")}, limit + _LONGEST_WAIT
    return await host.job(path(script), given, limit, lambda line: progress(host.machine.name, line))


class ChangedMeanwhile(Exception):
    """Another job changed the machine between the look and the act."""


class DrainBlocked(Exception):
    """Pods did not leave a machine in time; the text is what `kubectl drain` said last."""


def indented(text: str) -> str:
    """A text of many lines, as messages show what others said."""
    return "\n".join(f"  {line}" for line in text.splitlines())
