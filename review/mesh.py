"""What changes in the mesh, as the objects that Istio makes of the settings: the program keeps them beside the IstioOperator in one resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Objects = Mapping[str, Any]
"""Kubernetes objects by `Kind namespace/name`."""

_MOST = 3
"""Differences of one object that are shown; the rest is counted."""

_LONGEST = 200
"""Characters of a value that are shown."""


def rendered(inputs: Mapping[str, Any]) -> Objects:
    """The objects that the inputs of that resource hold; none where no renderer was at hand."""
    found = inputs.get("input")
    objects = found.get("objects") if isinstance(found, Mapping) else None
    return objects if isinstance(objects, Mapping) else {}


def differences(before: Objects, after: Objects) -> Iterator[tuple[str, str, str]]:
    """Each object that differs: sign, title, and what differs in it.

    Nothing where there was no mesh or will be none: every object of it would be a line.
    """
    if not before or not after:
        return
    for title in sorted({*before, *after}):
        if title not in before:
            yield "+", title, ""
        elif title not in after:
            yield "-", title, ""
        elif found := list(changed(before[title], after[title])):
            more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
            yield "~", title, "; ".join(found[:_MOST]) + more


def changed(before: Any, after: Any) -> Iterator[str]:
    """Each leaf in which two structures differ, as `path old → new`."""
    for path, old, new in compared(dict(leaves(before)), dict(leaves(after))):
        yield f"{path} {'unset' if old is None else old} → {'unset' if new is None else new}"


def compared(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str | None, str | None]]:
    """Each path whose texts differ, with both; None where there is none."""
    for path in dict.fromkeys([*before, *after]):
        if (old := before.get(path)) != (new := after.get(path)):
            yield path, old, new


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each leaf of a structure by its path, as one line of text; items of a list by their names, where each has one of its own."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        names = [inner.get("name") if isinstance(inner, Mapping) else None for inner in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for position, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{names[position] if named else position}]")
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        text = text.replace("\n", "⏎")
        yield path, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
