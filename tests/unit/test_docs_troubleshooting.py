"""docs/troubleshooting.md: one entry for each code of a problem and none besides, and messages of the settings that the program does print."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import get_args

import pytest
from markdown_it import MarkdownIt

from components.problem import CODES, Code
from components.remote.models import Cause
from devtools.problem_page import PAGE, made
from tests.project import ROOT

TEXT = PAGE.read_text()
GAP = "\0"


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def entries(text: str) -> Iterator[str]:
    """What a section speaks of: level-3 headings, and the first column of tables of messages."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    messages = False
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h3":
            yield from (c.content for c in tokens[index + 1].children or () if c.type == "code_inline")
        elif token.type == "th_open" and tokens[index - 1].type == "tr_open":
            messages = tokens[index + 1].content == "message"
        elif token.type == "td_open" and tokens[index - 1].type == "tr_open" and messages:
            yield from (c.content for c in tokens[index + 1].children or () if c.type == "code_inline")


def test_every_code_has_one_entry_and_no_entry_is_without_a_code() -> None:
    assert Counter(entries(section("Codes"))) == Counter(code.value for code in Code)
    assert made(TEXT) == TEXT, "python -m devtools codes"


def test_what_stands_below_a_codes_first_paragraph_is_kept_and_the_rest_made_anew() -> None:
    entry = "### `swap`\n"
    own = TEXT.replace(entry, f"{entry}Something old.\n\n- by hand\n\n### `of-yesterday`\nGone.\n\n", 1)
    assert "\n\n- by hand\n\n### `" in made(own)
    assert made(own).replace("\n\n- by hand", "") == TEXT


def test_every_code_is_one_that_the_program_gives() -> None:
    files = [file for room in ("components", "drift") for file in (ROOT / room).rglob("*.py") if file.name != "problem.py"]
    given = {CODES[cause] for cause in get_args(Cause)}
    given |= {Code[name] for file in files for name in re.findall(r"\bCode\.([A-Z0-9_]+)\b", file.read_text())}
    assert given == set(Code)


@pytest.mark.parametrize("code", Code)
def test_a_code_says_what_it_means_and_what_to_do(code: Code) -> None:
    assert not code.means.endswith(".")
    assert code.fix.endswith((".", "?"))


def texts_in(node: ast.AST) -> Iterator[str]:
    """The texts of a module, joined ones once and with a gap for each value that is put into them."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from texts_in(child)


@cache
def printed() -> str:
    files = [file for room in ("components", "drift", "tools") for file in (ROOT / room).rglob("*.py")]
    return "\n\n".join(text for file in files for text in texts_in(ast.parse(file.read_text())))


@pytest.mark.parametrize("entry", tuple(entries(section("The settings"))))
def test_every_message_of_the_settings_is_one_that_the_program_prints(entry: str) -> None:
    assert re.search(re.escape(entry).replace("…", f"[^\\n]*{GAP}[^\\n]*"), printed()), f"the program does not print: {entry}"
