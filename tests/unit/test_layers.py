"""Which module may import which: no new circles, and rooms that know nothing of those above them. Read from the source, all imports in functions included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

KNOWN = (
    # settings are judged by what itself reads settings
    {
        "components.settings",
        "components.remarks",
        "components.dashboards.catalog",
        "components.dashboards.fit",
        "components.dashboards.routes",
        "components.istio.cni_chain",
        "components.istio.host_network",
        "components.istio.istio_operator",
    },
    # the operator's images are those of the mesh that is planned where the operator is wired
    {"components.istio.control_plane", "components.istio.images", "components.istio.operator"},
)
"""The circles that there are still; a new one is not taken, and these may only get smaller."""

ROOMS = {
    "components.problem": set(),
    "components.kubernetes": {"components.kubernetes"},
    "components.remote.models": {"components.printable", "components.problem"},
    "components.remote.script": set(),
    "components.remote.errors": {"components.printable", "components.remote.models"},
    "components.remote.host": {"components.printable", "components.remote"},
    "components.remote.connection": {"components.remote"},
    "components.istio.releases": {"components.istio.releases", "components.kubernetes.versions"},
    "components.istio.readiness.model": {"components.problem", "components.remote.models", "components.sealos.nodes"},
    "components.istio.readiness.judge": {
        "components.istio.match",
        "components.istio.readiness.model",
        "components.istio.releases",
        "components.istio.shapes",
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


def test_there_is_no_circle_but_the_known_ones() -> None:
    assert [set(found) for found in circles(imports()) if not any(found <= known for known in KNOWN)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    inside = {module: others for module, others in imports().items() if (module + ".").startswith(room + ".")}
    assert inside, f"{room} is not there"
    known = {module: {o for o in others if not any((o + ".").startswith(a + ".") for a in ROOMS[room])} for module, others in inside.items()}
    assert {module: others for module, others in known.items() if others} == {}
