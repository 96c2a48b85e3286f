"""Previews without a change, of stacks of many sizes, against an empty Python program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import standing
from bench.figures import Figure
from bench.measure import Program, in_turns, peak_memory
from devtools import engine as engines
from tests.project import KEY, Project

GOALS = {4: 1.6, 20: 2.0, 100: 3.0, 300: 5.0}
EMPTY = "import pulumi\n"
COMMANDS = """from pulumi_command import local

for number in range(20):
    local.Command(f"command-{number}", create="true")
"""


def preview(project: Project, folder: Path) -> Program:
    """`pulumi preview`, as a person types it."""
    # Python keeps its bytecode as it does by default, whatever this shell says, and apart from all other runs'
    usual = {key: value for key, value in project.variables().items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [str(engines.present().pulumi), "preview", "--stack", project.stack, "--non-interactive"]
    return Program(command, project.directory, usual | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")})


def settings(nodes: int) -> dict[str, Any]:
    """The stack dev's, with that many machines, the first of them the master."""
    config, _ = standing.configured("dev")
    machines = [
        {"name": f"sealos{number:02}", "address": f"198.18.{number // 250}.{number % 250 + 1}", "hostKey": KEY}
        for number in range(1, nodes + 1)
    ]
    return config | {"masters": machines[:1], "nodes": machines[1:], "ssh": {"privateKeyFile": "id_ed25519"}}


def other(folder: Path, program: str) -> Project:
    """Another program's stack, brought up."""
    project = Project.copy(folder / "project", "dev", {})
    (project.directory / "__main__.py").write_text(program)
    standing.succeeded(project.up())
    return project


def figures(folder: Path, nodes: Sequence[int], runs: int) -> Iterator[Figure]:
    """Each size against both programs, in turns."""
    projects = {"empty": other(folder / "empty", EMPTY), "commands": other(folder / "commands", COMMANDS)}
    beside = {name: preview(project, folder) for name, project in projects.items()}
    for count in nodes:
        this = preview(standing.stack(folder / str(count), "dev", settings(count)), folder)
        runs_of = in_turns({**beside, "this": this}, runs)
        what = (f"preview without a change, {count} nodes, mesh", runs_of["this"])
        yield Figure.compare(
            ("preview", count), what, ("an empty program", runs_of["empty"]), goal=GOALS.get(count), memory=peak_memory(this)
        )
        yield Figure.compare(("commands", count), what, ("an empty program with twenty commands", runs_of["commands"]))
