"""While an update waits for machines, the program waits as well, instead of polling for as long as that takes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.project import ROOT, Project

PROGRAM = """
import atexit, json, time
from pathlib import Path

from pulumi_command import local

from components import registrations

first = local.Command("first", create="sleep 4")
local.Command("second", create=first.stdout.apply(lambda _: "sleep 1"))
registrations.begin()
cpu, wall = time.process_time(), time.monotonic()
atexit.register(lambda: Path("waited.json").write_text(json.dumps([time.process_time() - cpu, time.monotonic() - wall])))
"""


@pytest.mark.slow
def test_a_waiting_program_takes_next_to_no_cpu(tmp_path: Path) -> None:
    project = Project.copy(tmp_path, "waiting", {})
    (tmp_path / "__main__.py").write_text(PROGRAM)
    done = project.up()
    assert done.status == 0, done.text
    cpu, wall = json.loads((tmp_path / "waited.json").read_text())
    assert wall > 4.5
    assert cpu < wall / 20


def test_it_is_the_programs_last_call() -> None:
    last = ast.parse((ROOT / "__main__.py").read_text()).body[-1]
    assert ast.unparse(last) == "registrations.begin()"
