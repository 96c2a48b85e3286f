"""Whether an object holds what was asked for, in whatever form Kubernetes gives it back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.kubernetes.quantities import QUANTITIES, quantity


def find(live: Any, path: Sequence[str]) -> Any:
    """The value at an overlay's path in an object; None where nothing is."""
    for element in path:
        if isinstance(live, Mapping):
            live = live.get(element)
        elif isinstance(live, list) and element.startswith("["):
            key, _, value = element[1:-1].partition(":")
            if value:
                live = next((i for i in live if isinstance(i, Mapping) and str(i.get(key)) == value), None)
            else:
                live = live[int(key)] if key.isdecimal() and int(key) < len(live) else None
        else:
            return None
    return live


APPENDED = "[-1]"
"""The end of a path that appends an item to a list."""


def holds(live: Any, path: Sequence[str], wanted: Any) -> bool:
    """Whether `live` has at an overlay's path what its patch asks for. What was appended is found by its content, wherever it stands."""
    number = re.fullmatch(r"\[(-1|\d+)\]", path[-1])
    if number and (path[-1] == APPENDED or isinstance(wanted, Mapping)):
        items = find(live, path[:-1])
        return isinstance(items, list) and any(covers(item, wanted, path) for item in items)
    return covers(find(live, path), wanted, path)


def covers(live: Any, wanted: Any, path: Sequence[str] = ()) -> bool:
    """Whether `live` holds all that `wanted` says; Kubernetes' defaults may come on top.

    Args:
        live: what is there.
        wanted: what was asked for.
        path: where both stand; at or under one of QUANTITIES values are compared as quantities.
    """
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            covers(live.get(key), value, (*path, str(key))) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(live, list) and len(live) == len(wanted)
        return same and all(covers(is_, asked, path) for is_, asked in zip(live, wanted, strict=True))
    if isinstance(wanted, bool) or isinstance(live, bool):
        return live is wanted or (wanted is False and live is None)  # the API leaves false out
    if live is None or wanted is None:
        return live is wanted
    if QUANTITIES.intersection(path) and (value := quantity(wanted)) is not None:
        return quantity(live) == value
    return str(live) == str(wanted)
