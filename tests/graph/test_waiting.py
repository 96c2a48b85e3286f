"""While an update waits for machines, the program waits as well, instead of polling for as long as that takes."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pulumi import _types
from pulumi.output import UNKNOWN
from pulumi.runtime import rpc
from pulumi.runtime.settings import SETTINGS
from pulumi_command.local import Command

from components.registrations import Outstanding, contains_unknowns
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


def _in_a_circle(last: Any) -> list[Any]:
    circle: list[Any] = [{"a": 1}]
    circle += [circle, last]
    return circle


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        UNKNOWN,
        {"a": [1, {"b": UNKNOWN}]},
        {"a": [1, {"b": 2}]},
        [UNKNOWN],
        _in_a_circle(1),
        _in_a_circle(UNKNOWN),
        ({"in a tuple": UNKNOWN},),
        {UNKNOWN: "a key"},
    ],
)
def test_what_is_unknown_is_found_as_by_the_sdk(value: Any) -> None:
    """A canary: also that the SDK still has its own at that place."""
    assert contains_unknowns(value) == rpc.contains_unknowns(value)


def test_what_is_outstanding_is_kept_as_in_the_sdks_deque() -> None:
    """A canary as well: these are all that the SDK does with it."""
    loop = asyncio.new_event_loop()
    first, second, third = (loop.create_future() for _ in range(3))
    deque = type(SETTINGS.outputs)()
    for kept in (deque, Outstanding()):
        for future in (first, second, third):
            kept.append(future)
        kept.remove(second)
        with pytest.raises(ValueError, match=r"deque|Future"):
            kept.remove(second)
        assert (len(kept), kept.popleft(), kept.popleft(), len(kept)) == (2, first, third, 0)
    loop.close()


def test_a_class_has_the_same_types_whenever_it_is_asked() -> None:
    assert _types._types_from_py_properties(Command) == _types._types_from_py_properties(Command)
