"""How long a step's driver takes before it does anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from bench.measure import Program, in_turns
from tests.project import ROOT


def figures(folder: Path, runs: int) -> Iterator[Figure]:
    """Each package's drivers against Python alone."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    usual["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    packages = ("components.sealos", "components.istio")
    commands = {"python": ["-c", "pass"]} | {package: ["-m", package, "--help"] for package in packages}
    runs_of = in_turns({name: Program([sys.executable, *words], ROOT, usual) for name, words in commands.items()}, runs)
    for package in packages:
        what = (f"start of a step's driver ({package})", runs_of[package])
        yield Figure.compare((f"start of {package}", 0), what, ("Python alone", runs_of["python"]))
