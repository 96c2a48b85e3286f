"""`python -m bench`: measures, and writes JSON, a table and plots (docs/performance.md)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import facts, figures, previews, starts
from bench.figures import Figure
from bench.measure import RUNS, Failed
from devtools.golang import ToolMissing
from tests.project import ROOT

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
err = Console(stderr=True, soft_wrap=True)
OUT = figures.PAGE.with_suffix("")


class Kind(StrEnum):
    """What is measured."""

    PREVIEW = "preview"
    FACTS = "facts"
    START = "start"
    LAB = "lab"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


@app.command()
def bench(
    only: Annotated[list[Kind] | None, typer.Option(help="only these; all but the lab by default")] = None,
    runs: Annotated[int, typer.Option(min=1, help="of each, in turns; medians are told")] = RUNS,
    nodes: Annotated[str, typer.Option(help="sizes of the previewed stacks")] = "4,20,100,300",
    machines: Annotated[str, typer.Option(help="how many are asked for their facts")] = "10,50,100",
    out: Annotated[Path, typer.Option(help="where figures.json and the plots go")] = OUT,
) -> None:
    """Measure this program against an empty one and against others. It takes an hour or two on two cores, most of it for 300 nodes and 100 machines.

    Ratios are of runs made in turns on this machine; no test asserts them.
    """
    kinds = only or [Kind.PREVIEW, Kind.FACTS, Kind.START]
    folder = Path(tempfile.mkdtemp(prefix="sealos-istio-bench-"))
    found: list[Figure] = []
    try:
        for figure in _measured(kinds, folder, runs, _numbers(nodes), _numbers(machines)):
            err.print(f"{figure.what} ÷ {figure.against}: {figure.ratio}, processor time {figure.cpu_ratio}", highlight=False)
            found.append(figure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if found:
            about = figures.environment()
            print(figures.markdown(figures.write(found, about, runs, out), about, runs))
    # in its own environment, for what draws is no part of the program's
    subprocess.run([facts.OWN / "python", "-m", "bench.plots", str(out.resolve())], cwd=ROOT, check=True)


def _measured(
    kinds: list[Kind], folder: Path, runs: int, nodes: tuple[int, ...], machines: tuple[int, ...]
) -> Iterator[Figure]:
    if Kind.START in kinds:
        yield from starts.figures(folder, runs)
    if Kind.FACTS in kinds:
        yield from facts.figures(folder / "facts", machines, runs)
    if Kind.PREVIEW in kinds:
        yield from previews.figures(folder / "previews", nodes, runs)
    if Kind.LAB in kinds:
        from bench import in_lab  # it needs pytest and root

        yield from in_lab.figures(folder / "lab", runs)


def main() -> None:
    """Runs the command line; what can be put right is one message and exit status 1."""
    try:
        app(prog_name="python -m bench")
    except (Failed, ToolMissing) as error:
        err.print(str(error), highlight=False, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
