"""The path of an overlay's patch. Source of its grammar: Istio 1.5.0, operator/pkg/util/path.go."""

from __future__ import annotations

import re
from collections.abc import Sequence


def parse_path(path: str) -> list[str]:
    r"""The elements of an overlay's path: keys, and selectors in brackets; `\.` is a dot inside a key."""
    elements: list[str] = []
    for escaped in re.split(r"(?<!\\)\.", path.strip(".")):
        part = escaped.replace("\\.", ".")
        if (bracket := part.find("[")) > 0:
            elements += [part[:bracket], part[bracket:]]
        elif part:
            elements.append(part)
    return elements


def format_path(elements: Sequence[str]) -> str:
    """What `parse_path` takes apart."""
    return ".".join(element.replace(".", "\\.") for element in elements)


def index_of(element: str) -> int | None:
    """The index that an element selects by."""
    return int(element[1:-1]) if re.fullmatch(r"\[-?\d+\]", element) else None


def key_and_value(element: str) -> tuple[str, str]:
    """What an element selects an item by, as `[name:istio-proxy]`; no value where it selects otherwise."""
    key, _, value = element[1:-1].partition(":")
    return key, value
