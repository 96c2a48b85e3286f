"""What changes in the mesh, as the objects that Istio makes of the settings: the program keeps them beside the IstioOperator in one resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

Objects = Mapping[str, Any]
"""Kubernetes objects by `Kind namespace/name`."""

_MOST = 3
"""Differences of one object that are shown; the rest is counted."""

_LONGEST = 200
"""Characters of a value that are shown."""

_LINE = "⏎"
"""Where a line of a text ends."""


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
        yield f"{path} {' → '.join(shown(old, new))}"


def shown(old: str | None, new: str | None) -> tuple[str, str]:
    """Two texts that differ, as people see them: of long ones the lines in which they do."""
    if old is None or new is None:
        return cut(old), cut(new)
    if max(len(old), len(new)) > _LONGEST:
        before, after = old.split(_LINE), new.split(_LINE)
        same = _alike(before, after)
        rest = _alike(before[same:][::-1], after[same:][::-1])
        old, new = (_LINE.join(lines[same : len(lines) - rest]) or "nothing" for lines in (before, after))
        if max(len(old), len(new)) > _LONGEST:  # one line is that long
            begin = max(_alike(old, new) - _LONGEST // 4, 0)
            old, new = (f"…{text[begin:]}" if begin else text for text in (old, new))
    return cut(old), cut(new)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def cut(text: str | None, most: int = _LONGEST) -> str:
    """A text of bounded length."""
    if text is None:
        return "unset"
    return text if len(text) <= most else f"{text[:most]}…"


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
        yield path, text.replace("\n", _LINE)
