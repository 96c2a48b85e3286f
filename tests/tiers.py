"""Which file of the tests is in which tier and shard, what is built for it, and how long it took (docs/testing.md).

Only the standard library is used here, so that tests/turns.py can plan before anything is installed.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from devtools import parts

ROOT = Path(__file__).parents[1]
TIERS = ("unit", "graph", "lab")
CORE = "tests/lab/test_core.py"
"""The walk through everything on the lab, which `make test` ends with; the other files of the lab are `the rest`."""

SHARDS = 17
"""Into how many pieces a build server cuts the rest: each is to end within half an hour, what it builds included."""

RECORD = ROOT / "tests" / "durations.json"
"""Seconds by file, each with all that its fixtures do; written by `make durations`."""

UNKNOWN = 60.0
"""Seconds that a file without a record counts for."""


def recorded(record: Path = RECORD) -> dict[str, float]:
    """The seconds of each file when they were last recorded."""
    found: dict[str, float] = json.loads(record.read_text()) if record.exists() else {}
    return found


def seconds(file: str) -> float:
    """How long a file takes in one process."""
    return recorded().get(file, UNKNOWN)


def rest() -> tuple[str, ...]:
    """The files that `make test` does not run."""
    files = sorted((ROOT / "tests" / "lab").glob("test_*.py"))
    return tuple(name for file in files if (name := file.relative_to(ROOT).as_posix()) != CORE)


@cache
def parts_of(file: str) -> tuple[str, ...]:
    """The parts that a file's tests need beside the engine's and the lab's: its constant PARTS, of names of parts and groups.

    It is read and not imported, because what decides about it must not need what is built, or installed.
    """
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS":
            wanted = ast.literal_eval(node.value)
            assert isinstance(wanted, tuple), f"{file}: PARTS is no tuple of names"
            known = {part.name for part in parts.PARTS} | {part.used_for for part in parts.PARTS}
            assert known.issuperset(wanted), f"{file}: PARTS has what is no part or group: {set(wanted) - known}"
            return tuple(part.name for part in parts.PARTS if {part.name, part.used_for} & set(wanted))
    return ()


def building(names: Iterable[str]) -> float:
    """Seconds that the first build of these parts takes."""
    return float(sum(parts.part(name).seconds for name in set(names)))


@cache
def on_machines(file: str) -> bool:
    """Whether a file's tests need the lab's machines: those of the lab do, but for what asks Istio's programs or a backend alone."""
    return file.startswith("tests/lab/") and not file.endswith(("_rendered.py", "_istioctl.py", "_backends.py"))


def running(files: Collection[str]) -> float:
    """Seconds until all of the files have run, by two processes: what needs the machines in one, the others beside it."""
    needing = sum(seconds(file) for file in files if on_machines(file))
    return max(needing, sum(seconds(file) for file in files) - needing)


@cache
def split(number: int) -> tuple[tuple[str, ...], ...]:
    """The rest in so many shards, the longest file first, each put where the longest shard stays shortest.

    A file stays whole, because its tests follow each other on one stack; and what it needs built counts, because a shard
    builds for itself, twice where another shard could have it: files of the same parts find together.
    """
    shards: list[tuple[str, ...]] = [()] * number

    def load(files: tuple[str, ...]) -> float:
        return running(files) + building(name for file in files for name in parts_of(file))

    def cost(index: int, file: str) -> float:
        there = {name for known in shards[index] for name in parts_of(known)}
        return load((*shards[index], file)) + building(set(parts_of(file)) - there)

    for file in sorted(rest(), key=lambda file: (-load((file,)), file)):
        chosen = min(range(number), key=lambda index: (cost(index, file), index))
        shards[chosen] = (*shards[chosen], file)
    return tuple(shards)


def shard(text: str) -> tuple[str, ...]:
    """The files of a shard, written as 2/6.

    Raises:
        ValueError: there is no such shard.
    """
    index, _, number = text.partition("/")
    if not (index.isdecimal() and number.isdecimal() and 1 <= int(index) <= int(number)):
        raise ValueError(f"{text!r} is no shard. Example: 2/{SHARDS}, the second of {SHARDS}")
    return split(int(number))[int(index) - 1]
