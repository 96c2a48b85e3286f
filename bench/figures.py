"""What comes out: figures, each a ratio of two things that were measured in turns, as JSON, a table and plots."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import Run, Spread
from devtools import engine as engines
from tests.project import ROOT

PAGE = ROOT / "docs" / "performance.md"
SAME = "the same"
"""What a figure is against that is there for its seconds only, in a plot."""
BEGIN, END = "<!-- made by make bench: begin -->", "<!-- end -->"


@dataclass(frozen=True)
class Figure:
    """One thing, and what it is measured against.

    Attributes:
        name: of the kind, by which plots put points together.
        of: how many nodes or machines; 0 where that is no question.
        what: what was measured.
        against: what it is divided by.
        seconds, cpu: of the thing itself.
        ratio, cpu_ratio: of each run to the one beside it.
        goal: what `ratio` ought not to exceed; None without one.
        memory: peak of all processes in MiB, where it was looked at.
    """

    name: str
    of: int
    what: str
    against: str
    seconds: Spread
    cpu: Spread
    ratio: Spread
    cpu_ratio: Spread
    goal: float | None = None
    memory: int | None = None

    @classmethod
    def compare(
        cls, names: tuple[str, int], what: tuple[str, Sequence[Run]], against: tuple[str, Sequence[Run]], **more: Any
    ) -> Figure:
        """From the runs of both, in the order in which they were made."""
        pairs = list(zip(what[1], against[1], strict=True))
        return cls(
            *names,
            what[0],
            against[0],
            Spread.of([run.seconds for run in what[1]]),
            Spread.of([run.cpu for run in what[1]]),
            Spread.of([one.seconds / other.seconds for one, other in pairs]),
            Spread.of([one.cpu / max(other.cpu, 0.001) for one, other in pairs]),
            **more,
        )


def environment() -> dict[str, Any]:
    """The machine and the versions."""
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    pulumi = str(engines.present().pulumi)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "processor": f"{os.cpu_count()} of {model}",
        "memory": f"{int(memory) // 2**20} GiB",
        "load": [round(value, 1) for value in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pulumi": subprocess.run([pulumi, "version"], capture_output=True, text=True, check=True).stdout.strip(),
        **{name: importlib.metadata.version(name) for name in ("pulumi-kubernetes", "pulumi-command", "asyncssh")},
    }


def write(figures: Sequence[Figure], about: Mapping[str, Any], runs: int, folder: Path) -> list[Figure]:
    """Writes figures.json and the page's table, and returns all that is in them: what was not measured this time stays, if it was measured on such a machine."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "figures.json"
    known = json.loads(file.read_text()) if file.exists() else {"about": {}}
    measured = {(figure.name, figure.of) for figure in figures}
    if known["about"].get("processor") == about["processor"]:
        kept = [_read(one) for one in known["figures"] if (one["name"], one["of"]) not in measured]
        figures = sorted([*kept, *figures], key=lambda figure: (figure.name, figure.of))
    found = {"about": dict(about), "runs": runs, "figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if folder == PAGE.with_suffix(""):
        page = PAGE.read_text()
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{markdown(figures, about, runs)}\n{END}{after}")
    return list(figures)


def _read(one: Mapping[str, Any]) -> Figure:
    spreads = {name: Spread(**one[name]) for name in ("seconds", "cpu", "ratio", "cpu_ratio")}
    return Figure(**{**one, **spreads})


def markdown(figures: Sequence[Figure], about: Mapping[str, Any], runs: int) -> str:
    """The table, with the spread of each, and on what machine it was measured."""
    lines = [
        "Medians (and least to most) of "
        f"{runs} runs in turns. " + ", ".join(f"{key} {value}" for key, value in about.items()) + ".",
        "",
        "| what | against | ratio | goal | ratio of processor time | seconds | processor seconds | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        if figure.against == SAME:
            continue
        goal = "" if figure.goal is None else f"≤ {figure.goal:g}"
        lines.append(
            f"| {figure.what} | {figure.against} | {figure.ratio} | {goal} | {figure.cpu_ratio} | {figure.seconds} | {figure.cpu} | "
            f"{figure.memory or ''} |"
        )
    return "\n".join(lines)
