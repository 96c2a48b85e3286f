"""docs/troubleshooting.md and the program's messages are in step: every entry is one, and every one has an entry.

A message is what an exception of the program's own, or pulumi.RunError, is made with, or what a remote script stops with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from markdown_it import MarkdownIt

from components.remote.models import Cause
from tests.project import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ROOMS = ("components", "review", "drift", "devtools", "lab")
GAP = "\0"

_QUOTED = r'"(?:[^"\\$]|\\.|\$\([^)]*\)|\$)*"'
STOPS = re.compile(rf"\b(?:die|fail) {_QUOTED}|echo {_QUOTED} >&2\n\s*exit 1")
VALUE = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}|\$[\w*]+")

SETTINGS = "the stack's configuration has … problem(s):"
TOLD_UNDER = {
    "SettingsError": SETTINGS,
    "OverlayError": SETTINGS,
    "components/istio/render_command.py _settings": SETTINGS,
    "components/settings.py load": SETTINGS,
    "devtools/stack_files.py config": SETTINGS,
    "drift/look.py stack_of": SETTINGS,
    "components/remote/connection.py host_keys": "the bastion …: …",
    "components/remote/connection.py on_all": "the bastion …: …",
    "components/dashboards/check_probe.py wait": "the dashboards can't be reached after … s:",
    "components/sealos/artifacts.py _fitting": "… holds Kubernetes …, not … (cluster.kubernetesVersion)",
    "components/sealos/artifacts.py _look": "arrived with another SHA-256 than it was sent with",
    "components/sealos/steps/kubeconfig.py run_kubeconfig": "admin.conf is no kubeconfig",
    "devtools/builder.py _into_the_cache": "should print …, but printed …",
    "DrainBlocked": "could not be drained within … s (cluster.timeouts.drain)",
    "RenderError": "Istio …'s own renderer refuses it: …",
    "components/istio/control_plane.py _refused": "Istio …'s own renderer refuses it: …",
    "components/sealos/steps/join.py _join": "it is a member of this cluster by what is on it, but the cluster has no Node of that name",
    "components/sealos/steps/install.py _install": "our own installation of cluster …",
    "components/sealos/steps/preflight.py run_preflight": "preflight of … machines: …",
    "components/istio/recover.py recover": "is still there … s after the operator was put back",
}
"""Exceptions whose text is made elsewhere, by class or by file and function, and the entry that speaks of it."""


def entries() -> Iterator[str]:
    """The messages that the page speaks of: level-3 headings, and the first column of tables of messages."""
    tokens = MarkdownIt("commonmark").enable("table").parse(PAGE)
    messages = False
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h3":
            yield from (c.content for c in tokens[index + 1].children or () if c.type == "code_inline")
        elif token.type == "th_open" and tokens[index - 1].type == "tr_open":
            messages = tokens[index + 1].content == "message"
        elif token.type == "td_open" and tokens[index - 1].type == "tr_open" and messages:
            yield from (c.content for c in tokens[index + 1].children or () if c.type == "code_inline")


ENTRIES = tuple(entries())


@dataclass(frozen=True)
class Message:
    """What one exception is made with: its texts, with a gap for each value, and where it stands."""

    kind: str
    where: str
    texts: tuple[str, ...]


def texts_in(node: ast.AST, known: dict[str, str]) -> Iterator[str]:
    """The texts of an expression, joined ones once and with gaps."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.Name) and node.id in known:
        yield known[node.id]
    for child in ast.iter_child_nodes(node):
        yield from texts_in(child, known)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield file, ast.parse(file.read_text())


def scripts() -> Iterator[tuple[Path, str]]:
    """What the remote scripts stop with."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.sh")):
            for found in STOPS.finditer(file.read_text()):
                text = VALUE.sub(GAP, found[0].partition('"')[2].rpartition('"')[0])
                if text != GAP:
                    yield file, text


@cache
def exceptions() -> frozenset[str]:
    """The exceptions that a user sees: the program's own, and what Pulumi shows without a traceback."""
    own = {
        node.name
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base) in ("Exception", "RuntimeError", "ValueError") for base in node.bases)
    }
    return frozenset({name for name in own if not name.startswith("_")} | {"RunError"})


@cache
def messages() -> tuple[Message, ...]:
    """Every message of the program."""
    found = []
    for file, tree in modules():
        place = file.relative_to(ROOT).as_posix()
        known = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kind = ast.unparse(call.func).rpartition(".")[2]
            if kind in exceptions():
                inside = [f for f in functions if f.lineno <= call.lineno <= (f.end_lineno or 0)]
                name = max(inside, key=lambda f: f.lineno).name if inside else ""
                texts = tuple(text for word in call.args for text in texts_in(word, known))
                found.append(Message(kind, f"{place} {name}", texts))
    found += [Message("script", f"{file.relative_to(ROOT)}", (text,)) for file, text in scripts()]
    return tuple(found)


@cache
def printed() -> str:
    """Every text of the program, with a gap for each value that is put into it."""
    texts = [text for _, tree in modules() for text in texts_in(tree, {})]
    return "\n\n".join([*texts, *(text for _, text in scripts())])


def pattern(entry: str) -> str:
    return re.escape(entry).replace("…", f"[^\\n]*{GAP}[^\\n]*")


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_a_message_of_the_program(entry: str) -> None:
    assert re.search(pattern(entry), printed()), f"the program does not print: {entry}"


def test_every_message_of_the_program_has_an_entry() -> None:
    patterns = [pattern(entry) for entry in ENTRIES]
    missing, used = [], set()
    for message in messages():
        if under := {message.kind, message.where} & set(TOLD_UNDER):
            used |= under
        elif not any(re.search(p, text) for p in patterns for text in message.texts):
            missing.append((message.where, *(text.replace(GAP, "…") for text in message.texts)))
    assert not missing, "\n".join(map(str, missing))
    assert used == set(TOLD_UNDER), f"no longer needed: {set(TOLD_UNDER) - used}"
    assert set(TOLD_UNDER.values()) <= set(ENTRIES)
    assert len(messages()) > 150, "the finder finds too little"


@pytest.mark.parametrize("cause", get_args(Cause))
def test_every_kind_of_trouble_with_a_machine_has_an_entry(cause: str) -> None:
    assert f"Cause `{cause}`" in PAGE


def test_an_entry_stands_once_and_says_something() -> None:
    assert len(ENTRIES) == len(set(ENTRIES)) > 20
    for section in PAGE.split("\n### ")[1:]:
        assert len(section.partition("\n")[2].split("\n## ")[0].strip()) > 20, section
