"""What is asked of an object, as a tree by the elements of paths, and the same in plain data. Trees are values: whatever changes one gives another.

Where Kubernetes takes one of several keys only (a probe's handler, a volume's source), the one asked for takes the place of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from components.istio.gateways.path import index_of, key_and_value
from components.kubernetes import rules

KEYED_LISTS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
}
"""Lists that Kubernetes merges by a key of their items (patchMergeKey in k8s.io/api/core/v1)."""

ONE_OF: Mapping[str, frozenset[str]] = {**rules.ONE_OF, "spec": rules.BUDGET}  # of a PodDisruptionBudget, which no other object's spec has
"""By the name of a map, keys of which Kubernetes takes one only."""


class Delete:
    """A patch without a value."""


@dataclass(frozen=True)
class Leaf:
    """A value to be written as it is."""

    value: Any


Branch = dict[str, Any]
"""By path element: a Branch, a Leaf or a Delete. `[+0]`, `[+1]` … are items to be appended, in that order."""


def subtree(tree: Any, *path: str) -> Any:
    """The part of a tree at a path; an empty branch where nothing is."""
    for element in path:
        tree = tree.get(element, {}) if isinstance(tree, dict) else {}
    return tree


def exclusive(of: Sequence[str], asked: Mapping[str, Any], there: Iterable[str]) -> list[str]:
    """Those of the keys `there` that Kubernetes does not take beside what is `asked` for.

    Args:
        of: the path of the map.
        asked: a Branch, or plain data.
        there: keys that the map has already.
    """
    given = {key for key, value in asked.items() if value is not None and not isinstance(value, Delete)}
    if of[-1] in ("strategy", "updateStrategy"):
        kind = asked.get("type")
        kind = kind.value if isinstance(kind, Leaf) else kind
        return [key for key in there if key == "rollingUpdate" and key not in given and kind not in (None, "RollingUpdate")]
    if len(of) > 1 and of[-1].startswith("[") and of[-2] in ("env", "volumes"):
        one_of = {"value", "valueFrom"} if of[-2] == "env" else {*given, *there} - {"name"}
    else:
        one_of = set(ONE_OF.get(of[-1], ()))
    return [key for key in there if key in one_of and key not in given] if given & one_of else []


def insert(tree: Branch, elements: Sequence[str], node: Any, of: Sequence[str] = ()) -> Branch:
    """The tree with `node` at the path; maps merge, everything else replaces what an earlier patch said.

    Args:
        tree: the branch at the path `of`.
        elements: the path from there.
        node: a Branch, a Leaf or a Delete.
        of: where the branch stands.
    """
    element, *rest = elements
    known = tree.get(element)
    placed = node
    if rest and isinstance(known, Leaf) and isinstance(known.value, list):
        placed = Leaf(put(known.value, rest, node))
    elif rest:
        placed = insert(known if isinstance(known, dict) else _branch_of(known), rest, node, (*of, element))
    elif isinstance(known, dict) and isinstance(node, dict):
        placed = known
        for key, child in node.items():
            placed = insert(placed, [key], child, (*of, element))
    gone: list[str] = []
    if of and not isinstance(node, Delete):
        gone = exclusive(of, {element: placed}, [key for key in tree if key != element])
    return {key: value for key, value in {**tree, element: placed}.items() if key not in gone or isinstance(value, Delete)}


def put(data: Any, elements: Sequence[str], node: Any) -> Any:
    """Plain data with `node` at the path; of a list the item that a selector means, or one more."""
    if not elements:
        if isinstance(node, Leaf):
            return deepcopy(node.value)
        for element, child in node.items():
            data = put(data, [element], child)
        return data
    element, *rest = elements
    leaves = isinstance(node, Delete) and not rest
    if element.startswith("["):
        items = list(data) if isinstance(data, list) else []
        key, value = key_and_value(element)
        number = index_of(element)
        if value:
            places = [n for n, item in enumerate(items) if isinstance(item, Mapping) and str(item.get(key)) == value]
        else:
            places = [number] if number is not None and 0 <= number < len(items) else []
        if leaves:
            return [item for n, item in enumerate(items) if n not in places]
        if places:
            items[places[0]] = put(items[places[0]], rest, node)
        else:
            made = put({}, rest, node)
            items.append({key: value, **made} if value and isinstance(made, dict) else made)
        return items
    kept = dict(data) if isinstance(data, Mapping) else {}
    if leaves:
        kept.pop(element, None)
    else:
        kept[element] = put(kept.get(element, {}), rest, node)
    return kept


def _branch_of(node: Any) -> Branch:
    """An earlier value at a path that a later patch goes through."""
    if isinstance(node, Leaf) and isinstance(node.value, Mapping):
        return {str(k): Leaf(v) for k, v in node.value.items()}
    return {}
