"""How a program is measured: its wall-clock and processor time, and the memory of all its processes."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

RUNS = 5
"""Of each; one more, the first, warms the caches and does not count."""


class Failed(RuntimeError):
    """What was to be measured did not end well; the text says what and its last words."""


@dataclass(frozen=True)
class Program:
    """What is run.

    Attributes:
        command: with its arguments.
        folder: where.
        environment: all of it.
        before: what is done first, unmeasured.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    before: Callable[[], object] | None = None


@dataclass(frozen=True)
class Run:
    """One run of a program with all its children.

    Attributes:
        seconds: on the wall's clock.
        cpu: processor time in seconds, of this program's processes: other work on the machine changes it less.
    """

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Their median and ends."""
        return cls(round(statistics.median(values), 3), round(min(values), 3), round(max(values), 3))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def run(program: Program) -> Run:
    """Runs a program to its end.

    Raises:
        Failed: it did not succeed.
    """
    if program.before:
        program.before()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), monotonic()
    done = subprocess.run(
        program.command,
        cwd=program.folder,
        env=program.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failed(f"{' '.join(program.command)}: {(done.stdout + done.stderr)[-2000:]}")
    return Run(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turns(programs: Mapping[str, Program], runs: int) -> dict[str, list[Run]]:
    """Measures each in turn, again and again, so that what slows the machine for a while slows them all."""
    for program in programs.values():
        run(program)
    rounds = [{name: run(program) for name, program in programs.items()} for _ in range(runs)]
    return {name: [one[name] for one in rounds] for name in programs}


def peak_memory(program: Program) -> int:
    """The most that a program and all its processes had at one moment, in MiB; what they share is divided among them (Pss).

    Looking costs time, so this is a run of its own.

    Raises:
        Failed: it did not succeed.
    """
    process = subprocess.Popen(
        program.command,
        cwd=program.folder,
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    sizes = [0.0]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            sizes.append(_session(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    status = process.wait()
    ended.set()
    watcher.join()
    if status:
        raise Failed(f"{' '.join(program.command)} ended with {status}")
    return round(max(sizes))


def _session(leader: int) -> float:
    """MiB of all processes of a session."""
    size = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getsid(int(folder.name)) == leader:
                    rollup = (folder / "smaps_rollup").read_text()
                    size += int(rollup.partition("\nPss:")[2].split()[0]) / 1024
            except (OSError, IndexError):
                continue  # it ended meanwhile
    return size
