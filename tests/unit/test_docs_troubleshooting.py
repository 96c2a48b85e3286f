"""docs/troubleshooting.md speaks of what the program can print, and of every kind of trouble with a machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import get_args

import pytest

from components.login import Cause
from tests.project import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ENTRIES = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
GAP = "\0"


@cache
def printed() -> str:
    """Every text of the program, with a gap for each value that is put into it."""
    return "\n\n".join(text for room in ("components", "review", "drift", "tools", "lab") for text in _texts(room))


def _texts(room: str) -> Iterator[str]:
    for file in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_a_message_of_the_program(entry: str) -> None:
    pattern = re.escape(entry).replace("…", f"[^\\n]*{GAP}[^\\n]*")
    assert re.search(pattern, printed()), f"the program does not print: {entry}"


@pytest.mark.parametrize("cause", get_args(Cause))
def test_every_kind_of_trouble_with_a_machine_has_an_entry(cause: str) -> None:
    assert f"Cause `{cause}`." in PAGE


def test_an_entry_stands_once_and_says_something() -> None:
    assert len(ENTRIES) == len(set(ENTRIES)) > 20
    for section in PAGE.split("\n### ")[1:]:
        assert len(section.partition("\n")[2].split("\n## ")[0].strip()) > 20, section
