"""What only real machines tell, on the lab (root; docs/lab.md): `make bench LAB=yes`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

from bench.figures import Figure
from bench.measure import Failed, Program, Run, in_turns
from bench.previews import preview
from bench.standing import succeeded
from devtools import engine as engines
from lab.machines import Lab
from tests.lab.conftest import bare_of, dev_of, listed
from tests.project import ROOT, Project

NETWORK = "198.18.27.0/24"
ONE_MORE, TEN_MORE = 1, 10


def figures(folder: Path, runs: int) -> Iterator[Figure]:
    """Up, up again, drift and destroy of the stack dev; then nodes that are added to a stack without a mesh."""
    with Lab(folder / "lab", NETWORK, count=4) as lab:
        project = Project.copy(folder / "dev", "dev", dev_of(lab))
        yield from _whole(project, lab, folder, runs)
    with Lab(folder / "large", NETWORK, count=4 + TEN_MORE) as lab:
        project = Project.copy(folder / "nodes", "nodes", bare_of(lab) | listed(lab, 1, (2, 3, 4)))
        succeeded(project.up())
        one, ten = _added(project, lab, ONE_MORE, runs), _added(project, lab, TEN_MORE, runs)
        succeeded(project.destroy())
        what = ("ten nodes added to four, at once", ten)
        yield Figure.compare(("nodes added", TEN_MORE), what, ("one node added to four", one), goal=1.3)


def _whole(project: Project, lab: Lab, folder: Path, runs: int) -> Iterator[Figure]:
    ups, destroys, cleans = [], [], []
    for number in range(runs):
        ups.append(_timed(lambda: succeeded(project.up())))
        if number == 0:
            yield from _standing(project, folder, runs)
        destroys.append(_timed(lambda: succeeded(project.destroy())))
        # the same cluster, taken down by sealos alone
        succeeded(project.up())
        cleans.append(_timed(lambda: _sealos_clean(lab)))
        lab.reset()
        succeeded(project.pulumi("stack", "rm", "--yes", "--force", "--preserve-config", project.stack))
        succeeded(project.pulumi("stack", "init", project.stack))
    yield Figure.compare(("destroy", 4), ("destroy of 4 nodes, mesh", destroys), ("`sealos clean --all`", cleans), goal=1.2)
    yield Figure.compare(("up", 4), ("first up of 4 nodes, mesh", ups), ("its destroy", destroys))


def _standing(project: Project, folder: Path, runs: int) -> Iterator[Figure]:
    """Of a stack that is up: up again and drift, against a preview."""
    look = preview(project, folder)
    again = Program([str(engines.present().pulumi), "up", "--yes", "--skip-preview", "--stack", project.stack], look.folder, look.environment)
    drift = [sys.executable, "-m", "drift", "--stack", project.stack, "--directory", str(project.directory)]
    programs = {"preview": look, "up": again, "drift": Program(drift, ROOT, look.environment)}
    runs_of = in_turns(programs, runs)
    against = ("a preview without a change", runs_of["preview"])
    yield Figure.compare(("second up", 4), ("up without a change, 4 nodes, mesh", runs_of["up"]), against, goal=1.5)
    yield Figure.compare(("drift", 4), ("drift of a clean stack, 4 nodes, mesh", runs_of["drift"]), against)


def _added(project: Project, lab: Lab, more: int, runs: int) -> list[Run]:
    """That many nodes, added to a master and three nodes and taken out again."""
    found = []
    for _ in range(runs):
        project.edit_config(lambda config: config.update(listed(lab, 1, tuple(range(2, 5 + more)))))
        found.append(_timed(lambda: succeeded(project.up())))
        project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
        succeeded(project.up())
    return found


def _sealos_clean(lab: Lab) -> None:
    done: subprocess.CompletedProcess[str] = lab.run(lab.names[0], "sealos", "clean", "--all", "--force", timeout=600)
    if done.returncode:
        raise Failed(done.stderr[-2000:])


def _timed(do: Callable[[], object]) -> Run:
    """Processor time is left out: most of it is the machines'."""
    began = monotonic()
    do()
    return Run(monotonic() - began, 0.0)
