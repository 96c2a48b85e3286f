"""Which module may import which: no circles, and rooms that know nothing of those above them. Read from the source, all imports in functions included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SETTINGS = {
    "components.config",
    "components.documents",
    "components.kubernetes",
    "components.problem",
    "components.sealos.defaults",
    "components.sealos.findings",
}
"""What the settings' models may import: each other, and modules that import nothing, or the codes alone."""

JUDGES = {"components.config.load", "components.config.validate"}
"""Of the settings' room, those that know more than models do."""

ROOMS: dict[str, set[str]] = {
    "components.problem": set(),
    "components.documents": set(),
    "components.sealos.defaults": set(),
    "components.sealos.findings": {"components.problem"},
    "components.config.load": {"components.config", "components.plan"},
    "components.config.validate": {"components.config", "components.dashboards.fit", "components.istio", "components.kubernetes", "components.plan"},
    "components.plan": {"components.config.stack", "components.istio.host_ports", "components.istio.istio_operator"},
    "components.kubernetes": {"components.kubernetes"},
    "components.remote.models": {"components.printable", "components.problem"},
    "components.remote.script": set(),
    "components.remote.errors": {"components.printable", "components.remote.models"},
    "components.remote.host": {"components.printable", "components.remote"},
    "components.remote.connection": {"components.remote"},
    "components.istio.releases": {"components.istio.releases", "components.kubernetes.versions"},
    "components.istio.gateways.model": {"components.istio.releases.model"},
    "components.istio.gateways.path": set(),
    "components.istio.gateways.tree": {"components.istio.gateways.path", "components.kubernetes"},
    "components.istio.gateways.ports": {
        "components.istio.gateways.model",
        "components.istio.gateways.tree",
        "components.istio.releases.model",
    },
    "components.istio.gateways": {"components.istio.gateways", "components.istio.releases", "components.kubernetes", "components.config.mesh"},
    "components.istio.readiness.model": {"components.problem", "components.remote.models", "components.sealos.nodes"},
    "components.istio.readiness.judge": {
        "components.istio.gateways.ports",
        "components.istio.match",
        "components.istio.readiness.model",
        "components.istio.releases",
        "components.kubernetes",
        "components.problem",
    },
}
"""What of the program a room may import."""


@cache
def imports() -> dict[str, set[str]]:
    """The program's modules with those that each imports."""
    files = {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in (ROOT / "components").rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                inner = (f"{node.module}.{alias.name}" for alias in node.names)
                named |= {name if name in files else node.module for name in inner}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        found[module] = (named & files.keys()) - {module}
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules that each import all others of their group, by whatever way."""

    def reached(module: str) -> set[str]:
        seen: set[str] = set()
        left = [module]
        while left:
            more = graph[left.pop()] - seen
            seen |= more
            left += more
        return seen

    far = {module: reached(module) for module in graph}
    return {frozenset(other for other in far[module] if module in far[other]) for module in graph if module in far[module]}


def within(module: str, rooms: set[str]) -> bool:
    """Whether a module is one of these, or in one of them."""
    return any((module + ".").startswith(room + ".") for room in rooms)


def test_there_is_no_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {frozenset({"b", "c"})}
    assert circles(imports()) == set()


def test_models_of_the_settings_import_only_each_other_and_leaves() -> None:
    models = {module: others for module, others in imports().items() if module.startswith("components.config.") and module not in JUDGES}
    assert "components.config.stack" in models
    assert {m: found for m, others in models.items() if (found := others & JUDGES)} == {}
    assert {m: found for m, others in models.items() if (found := {o for o in others if not within(o, SETTINGS)})} == {}


def test_only_the_loading_of_the_settings_imports_pulumi() -> None:
    of_pulumi = {
        file.stem
        for file in (ROOT / "components" / "config").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [*(alias.name for alias in node.names), (isinstance(node, ast.ImportFrom) and node.module) or ""]
        if name.partition(".")[0] in ("pulumi", "pulumi_command", "pulumi_kubernetes")
    }
    assert of_pulumi == {"load"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    inside = {module: others for module, others in imports().items() if within(module, {room})}
    assert inside, f"{room} is not there"
    known = {module: {o for o in others if not within(o, ROOMS[room])} for module, others in inside.items()}
    assert {module: others for module, others in known.items() if others} == {}
