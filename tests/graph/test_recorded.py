"""Every step of the four stack files is what it was: its resource's name, type, commands and request byte for byte, and the outputs.

A live stack sees any other byte as a change. Where one is meant, `python -m tests.graph.recorded` writes tests/graph/golden/ anew, `git diff`
shows what users will see, and CHANGELOG.md says it.
"""

from __future__ import annotations

import difflib
from itertools import islice

import pytest

from tests.graph.recorded import GOLDEN, STACKS, record
from tests.project import ROOT


@pytest.mark.parametrize("name", STACKS)
def test_its_steps_are_what_live_stacks_have(name: str) -> None:
    golden = GOLDEN / f"{name}.yaml"
    now = record(name)
    lines = difflib.unified_diff(golden.read_text().splitlines(), now.splitlines(), str(golden.relative_to(ROOT)), "now", lineterm="")
    assert not (shown := "\n".join(islice(lines, 200))), f"`python -m tests.graph.recorded` would write:\n{shown}"


def test_every_stack_file_is_recorded() -> None:
    assert {f"Pulumi.{name}.yaml" for name in STACKS} == {file.name for file in ROOT.glob("Pulumi.*.yaml")}
