"""What a build server runs: `make test`, then shards of the rest, in turn, as far as the time goes (docs/testing.md).

`python3 -m tests.turns --gone SECONDS` needs nothing installed. Which shard comes first is told by the number of commits, so
that every shard is the first once within as many commits as there are shards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from devtools import parts
from tests import tiers

MINUTE = 60.0
LAST_START = 20 * MINUTE
"""Since the start; no shard begins later. Early, as long as most of the lab's files have estimates for durations (`make durations`)."""

PLANNED_END = 75 * MINUTE
"""No shard begins that would probably end later."""

HARD_END = 84 * MINUTE
"""What still runs is ended, because the build server would end it without cleaning up."""

SPARE = 1.2
"""How much longer than planned a shard may take, before one of the other shards has told how fast this machine is."""

Run = Callable[[list[str], str, float], int]


@dataclass
class Clock:
    """Time since the build server began.

    Attributes:
        before: seconds that were gone when this program started.
    """

    before: float
    _began: float = field(default_factory=time.monotonic)

    def gone(self) -> float:
        """Seconds since the build server began."""
        return self.before + time.monotonic() - self._began


def run(command: list[str], said: str, limit: float) -> int:
    """Runs a command with all below it to its end; when the limit (seconds) is over, or this program is told to end, so is that.

    Args:
        command: what to run.
        said: what the tests print above their own last line.
        limit: how long it may take; then the tests are interrupted, which puts their labs away.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def interrupt(*_: object) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)

    # before it starts: where SIGINT is ignored, as in what a shell runs in its background, the tests would ignore it as well
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command, cwd=tiers.ROOT, env={**os.environ, "TESTS_SAID": said}, process_group=0)
    processes.append(process)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"`{' '.join(command)}` was given up after {limit / MINUTE:.0f} min", flush=True)
        interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MINUTE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait() or 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _git(*arguments: str) -> str:
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", *arguments], cwd=tiers.ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()
    return ""


def first_of(commits: str, shallow: bool, commit: str, number: int) -> int:
    """The shard whose turn it is: by the number of commits, where that is known, else by chance, told by the commit's name.

    Args:
        commits: how many there are, as git prints it; empty where there is no repository.
        shallow: whether git has the newest commits only, whose number is always the same.
        commit: the newest commit's name.
        number: how many shards there are.
    """
    if commits.isdecimal() and not shallow:
        return int(commits) % number + 1
    return int(commit[:8] or "0", 16) % number + 1


def turns(number: int = tiers.SHARDS) -> Iterator[int]:
    """Every shard once, beginning with the one whose turn it is."""
    shallow = _git("rev-parse", "--is-shallow-repository") == "true"
    first = first_of(_git("rev-list", "--count", "HEAD"), shallow, _git("rev-parse", "HEAD"), number)
    for index in range(number):
        yield (first - 1 + index) % number + 1


def planned(shard: int, number: int = tiers.SHARDS) -> float:
    """Seconds that a shard will take here, what it has to build included."""
    files = tiers.shard(f"{shard}/{number}")
    needed = {name for file in files for name in tiers.parts_of(file)}
    return tiers.running(files) + tiers.building(name for name in needed if not parts.is_built(parts.part(name)))


def said(ran: list[int], order: list[int]) -> str:
    """What ran and what comes next, for the tests' last lines."""
    shards = f", shard {', '.join(map(str, ran))}" if ran else ""
    left = [shard for shard in order if shard not in ran] or order
    return f"ran: core{shards}; next: shard {left[0]}"


def take_turns(clock: Clock, order: list[int], plan: Callable[[int], float], run: Run) -> int:
    """`make test`, and the shards in that order as far as the time goes; one that would take too long now is left for later.

    Args:
        clock: what time it is.
        order: every shard once.
        plan: seconds that a shard will take.
        run: runs a command, with what the tests shall say and a limit in seconds.

    Returns:
        The exit status of the first that failed, else 0.
    """
    print(f"core: make test, then shard {order[0]}/{len(order)}", flush=True)
    if status := run(["make", "test"], said([], order), HARD_END - clock.gone()):
        return status
    slowness, ran = SPARE, list[int]()
    for shard in order:
        began, expected = clock.gone(), plan(shard)
        if began > LAST_START:
            break
        if began + slowness * expected > PLANNED_END:
            continue
        name = f"{shard}/{len(order)}"
        print(f"\nshard {name}: {', '.join(tiers.shard(name))}", flush=True)
        ran.append(shard)
        if status := run(["make", "test-all", f"SHARD={name}"], said(ran, order), HARD_END - began):
            return status
        slowness = max(slowness, (clock.gone() - began) / expected)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 when everything that ran succeeded."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.turns", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gone", type=float, default=0.0, help="seconds since the build server began")
    chosen = parser.parse_args(arguments)
    return take_turns(Clock(chosen.gone), list(turns()), planned, run)


if __name__ == "__main__":
    sys.exit(main())
