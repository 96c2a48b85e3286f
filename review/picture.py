"""The graph as a picture: `pulumi stack graph`'s DOT, redrawn so that what changes stands out; SVG by Graphviz where it is."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from review.plan import Change, Plan

COLOURS = {"create": "#2da44e", "update": "#bf8700", "replace": "#8250df", "delete": "#cf222e", "same": "#d0d7de"}
"""What changes has a colour of its own; the rest stays pale."""

LIMIT = 60
"""Seconds that Graphviz may take."""

_NODE = re.compile(r'\s*(Resource\d+) \[label="(.+)"\];')
_EDGE = re.compile(r"\s*(Resource\d+) -> (Resource\d+) \[(.*)\];")
_PARENT = "#AA6639"
"""The colour that `pulumi stack graph` gives an edge to a parent (cmd/pulumi/stack, graph.go)."""


class PictureMissing(Exception):
    """There is no picture; the text says why, and what to do."""


def edges(dot: str) -> tuple[set[str], set[tuple[str, str]]]:
    """What `pulumi stack graph` wrote: the URNs, and (earlier, later) for each dependency; parents are left out.

    Args:
        dot: its DOT text; empty for a stack without resources.
    """
    urns: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for line in dot.splitlines():
        if node := _NODE.fullmatch(line):
            urns[node[1]] = node[2]
        elif (edge := _EDGE.fullmatch(line)) and _PARENT not in edge[3]:
            pairs.append((edge[1], edge[2]))
    return set(urns.values()), {(urns[a], urns[b]) for a, b in pairs if a in urns and b in urns}


def highlighted(plan: Plan, dot: str = "") -> str:
    """The graph in DOT, with what the plan changes highlighted.

    Args:
        plan: the preview.
        dot: what `pulumi stack graph` wrote about the state; what the plan adds is drawn in.
    """
    known, found = edges(dot)
    changes = {change.urn: change for change in plan.changes}
    for change in changes.values():
        found |= {(urn, change.urn) for urn in change.dependencies}
    drawn = [urn for urn in dict.fromkeys([*changes, *sorted(known)]) if not _grouping(urn)]
    # an object in the cluster comes after what it is made through, which neither the graph nor a preview says
    providers = [urn for urn in drawn if _type(urn) == "pulumi:providers:kubernetes"]
    found |= {(urn, other) for urn in providers for other in drawn if _type(other).startswith("kubernetes:")}
    return "\n".join(_dot(plan.stack, drawn, changes, found)) + "\n"


def _type(urn: str) -> str:
    return urn.split("::")[-2].rpartition("$")[2]


def _grouping(urn: str) -> bool:
    return _type(urn).startswith(("sealos-istio:", "pulumi:pulumi:Stack", "pulumi:providers:command"))


def _dot(stack: str, urns: list[str], changes: dict[str, Change], pairs: set[tuple[str, str]]) -> Iterator[str]:
    yield f'digraph "{stack}" {{'
    yield '  rankdir=LR; bgcolor="white"; fontname="sans-serif"; labelloc=t;'
    yield f'  label="{stack}: green created, yellow updated, violet replaced, red deleted";'
    yield '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];'
    ids = {urn: f"r{number}" for number, urn in enumerate(urns)}
    for urn, node in ids.items():
        change = changes.get(urn)
        operation = change.operation if change else "same"
        kind = _type(urn).rpartition(":")[2]
        label = f"<<b>{html.escape(urn.split('::')[-1])}</b><br/>{html.escape(kind)}>"
        if operation == "same":
            look = 'fillcolor="#f6f8fa", color="#d0d7de", fontcolor="#6e7781"'
        else:
            look = f'fillcolor="{COLOURS[operation]}", color="{COLOURS[operation]}", fontcolor="white", penwidth=2'
        yield f'  {node} [label={label}, {look}, tooltip="{html.escape(operation)}"];'
    for earlier, later in sorted(pairs):
        if earlier in ids and later in ids:
            yield f'  {ids[earlier]} -> {ids[later]} [color="#8c959f"];'
    yield "}"


def write(dot: str, file: Path) -> None:
    """Writes the picture as SVG.

    Raises:
        PictureMissing: Graphviz isn't there, or can't draw it; the DOT text is beside the file then, with the ending .dot.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    program = shutil.which("dot")
    if program is None:
        source = file.with_suffix(".dot")
        source.write_text(dot)
        raise PictureMissing(
            f"No picture: Graphviz is not installed (`apt-get install graphviz`). The graph in DOT is in {source}."
        )
    try:
        # without the edges that others imply, so that what follows what can be seen
        reduced = subprocess.run(
            [Path(program).with_name("tred")], input=dot, text=True, capture_output=True, check=False, timeout=LIMIT
        )
        plain = dot if reduced.returncode else reduced.stdout
        done = subprocess.run(
            [program, "-Tsvg", "-o", str(file)], input=plain, text=True, capture_output=True, check=False, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        raise PictureMissing(f"No picture: Graphviz did not draw it within {LIMIT} s.") from None
    if done.returncode:
        raise PictureMissing(f"No picture: Graphviz failed: {done.stderr.strip()[-300:]}")
