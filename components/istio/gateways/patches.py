"""Trees written as patches of leaves, which can't lose what nobody named.

Istio replaces what an overlay's path points at, maps and lists alike, although its documentation says "merge": a map at
`spec.template.spec` leaves a pod without containers. 1.5 has further traps (a path through a missing key fails the whole
component, `[-1]` makes the operator panic, a map's key can't be deleted, of two overlays for one object the first is lost).
What is clear is made safe and noted; what isn't is refused with the fix.

Sources: Istio 1.5.0, operator/pkg/patch/patch.go, operator/pkg/tpath/tpath.go; 1.6.5 to 1.13.4, operator/pkg/tpath/tree.go;
and runs of their renderers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.istio.gateways.model import Judged, Note, Patch, Refusal, Target, within
from components.istio.gateways.overlays import structured
from components.istio.gateways.path import format_path, index_of, key_and_value
from components.istio.gateways.rendered_schema import MISSING, UNKNOWN, VALUE, Component, Shape
from components.istio.gateways.tree import ONE_OF, Branch, Delete, Leaf, exclusive


@dataclass(frozen=True)
class Written:
    """What carries out the trees of a component.

    Attributes:
        patches: by object.
        env: variables that have to be set through k8s.env, by name.
    """

    patches: dict[Target, list[Patch]]
    env: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Variable:
    """Among patches, a variable for k8s.env."""

    name: str
    value: dict[str, Any]


_Writing = Judged[list[Patch | _Variable]]


def write(trees: Mapping[Target, Branch], component: Component) -> Judged[Written]:
    """The patches and the variables that carry them out."""
    patches: dict[Target, list[Patch]] = {}
    env: dict[str, dict[str, Any]] = {}
    for target, tree in trees.items():
        writing = _patches(tree, component.objects.get(target, UNKNOWN), [], component)
        made = yield from within(f".k8s.overlays for {target[0]} {target[1]}", writing)
        patches[target] = [each for each in made if not isinstance(each, _Variable)]
        env |= {each.name: each.value for each in made if isinstance(each, _Variable)}
    return Written(patches, env)


def _patches(node: Any, shape: Any, at: list[str], of: Component) -> _Writing:
    """The leaf patches that carry out `node` at the path `at`, where the component `of` renders this shape."""
    if not isinstance(node, dict):
        return (yield from (_deletion(shape, at, of) if isinstance(node, Delete) else _value(node, shape, at, of)))
    if at[-1:] == ["env"] and "containers" in at and of.container is not None:
        return (yield from _env(node, at, of))
    if isinstance(shape, dict):
        return (yield from _keys(node, shape, at, of))
    if isinstance(shape, list):
        return (yield from _items(node, shape, at, of))
    if shape is UNKNOWN:
        return (yield from _into_the_unknown(node, at, of))
    if shape is not MISSING:
        yield Refusal("", f"{format_path(at)} holds a single value, so {next(iter(node))} can't be set in it")
        return []
    if of.known.creates_missing_parents and not any(e.startswith("[") for e in node):
        # a path makes what it goes through, so that nothing is replaced that is there all the same
        written: list[Patch | _Variable] = []
        for element, child in node.items():
            written += yield from _patches(child, MISSING, [*at, element], of)
        return written
    return (yield from _value(node, shape, at, of))


def _keys(node: Branch, shape: Shape, at: list[str], of: Component) -> _Writing:
    path = format_path(at)
    written: list[Patch | _Variable] = []
    gone = exclusive(at, node, shape) if at else []
    if gone:
        node = {element: child for element, child in node.items() if element not in gone}
        if of.known.deletes_map_keys and at[-1] in ONE_OF and at[-1] != "valueFrom":
            # with a deleted key, what else the map holds can stay
            written += ({"path": format_path([*at, key])} for key in gone)
        elif at == ["spec"]:
            yield Refusal(
                "",
                f"{path}.{gone[0]} is there, Kubernetes takes no {next(iter(node))} beside it, and Istio {of.istio} can't "
                f"delete it; set {path}.{gone[0]} instead",
            )
            return []
        else:
            name = dict([key_and_value(at[-1])]) if ":" in at[-1] else {}
            yield Note("", f"{path} is replaced, since Kubernetes takes no {', '.join(gone)} beside what it is to hold")
            value = yield from _build(node, at)
            return [{"path": path, "value": {**name, **value}}]
    for element, child in node.items():
        if element.startswith("["):
            yield Refusal("", f"{path} is a map, so {element} selects nothing in it")
        else:
            written += yield from _patches(child, shape.get(element, MISSING), [*at, element], of)
    return written


def _into_the_unknown(node: Branch, at: list[str], of: Component) -> _Writing:
    """Patches of an object that only the renderer knows: leaf by leaf, as far as the release makes what a path goes through.

    What the item of a volume has for a source isn't known either, so one that names its own takes its place.
    """
    if at[-2:-1] == ["volumes"]:
        value = yield from _build(node, at)
        # a path of a source within (`hostPath.path`) may mean the source that is there
        if isinstance(value, dict) and "name" in value and len(value) > 1:
            return [{"path": format_path(at), "value": {"name": key_and_value(at[-1])[1], **value}}]
    written: list[Patch | _Variable] = []
    for element, child in node.items():
        if element.startswith("[+"):
            written.append((yield from _appended(child, None, at, 0, of)))
        else:
            written += yield from _patches(child, UNKNOWN, [*at, element], of)
    return written


def _deletion(shape: Any, at: list[str], of: Component) -> _Writing:
    path = format_path(at)
    if at[-1].startswith("[") or (of.known.deletes_map_keys and shape is not MISSING):
        return [{"path": path}]
    if of.known.deletes_map_keys:
        yield Refusal("", f"{path} has no value and nothing is there to delete; take the patch out")
    else:
        yield Refusal(
            "",
            f"{path} has no value: Istio {of.istio} deletes items of lists that way but silently ignores a map's key; "
            f"set the value that you want instead",
        )
    return []


def _value(node: Any, shape: Any, at: list[str], of: Component) -> _Writing:
    path = format_path(at)
    value = yield from _build(node, at)
    if isinstance(shape, dict) and isinstance(node, Leaf) and value == {}:
        return []  # an empty map adds nothing to a map that is there
    if isinstance(shape, dict) and not isinstance(value, dict):
        yield Refusal("", f"{path} is a map; {value!r} would replace it. Name the key inside it")
    elif isinstance(shape, list) and not isinstance(value, list):
        yield Refusal("", f"{path} is a list; {value!r} would replace it. Write the whole list")
    elif isinstance(value, str) and of.known.reads_texts and isinstance(structured(value), Mapping):
        yield Refusal(
            "",
            f"{path}: Istio {of.istio} reads the text {value!r} as a map, and Kubernetes wants a text there; set an annotation by "
            f"k8s.podAnnotations or k8s.serviceAnnotations, and everything else by the mesh's values",
        )
    else:
        return [{"path": path, "value": value}]
    return []


def _items(node: Branch, shape: list[Any], at: list[str], of: Component) -> _Writing:
    path = format_path(at)
    written: list[Patch | _Variable] = []
    added = 0
    for element, child in node.items():
        key, value = key_and_value(element)
        if not element.startswith("["):
            yield Refusal("", f"{path} is a list: select an item, as {path}.[name:istio-proxy].{element}")
        elif element.startswith("[+"):
            written.append((yield from _appended(child, shape, at, added, of)))
            added += 1
        elif (number := index_of(element)) is not None:
            if 0 <= number < len(shape):
                written += yield from _patches(child, shape[number], [*at, element], of)
            else:
                yield Refusal("", f"{path}.{element}: there is no such item; select it by its name, as [name:istio-proxy]")
        elif key and ":" in element:
            item = next((i for i in shape if isinstance(i, dict) and str(i.get(key)) == value), None)
            if item is not None:
                written += yield from _patches(child, item, [*at, element], of)
            elif value in of.perhaps or _is_there(child, key, at, of):
                written += yield from _patches(child, UNKNOWN, [*at, element], of)
            elif isinstance(child, Delete):
                yield Refusal("", f"{path}.{element} selects nothing, which fails the whole gateway in Istio {of.istio}")
            else:
                # in the type that the list's other items have there
                numbers = value.isdecimal() and any(isinstance(i, dict) and isinstance(i.get(key), int) for i in shape)
                named = {key: int(value) if numbers else value}
                written.append((yield from _appended(child, shape, at, added, of, named)))
                added += 1
        else:  # an entry of a list of texts, by pattern; which there are depends on the mesh's values
            written += yield from _patches(child, VALUE, [*at, element], of)
    return written


def _is_there(child: Any, key: str, at: Sequence[str], of: Component) -> bool:
    """Whether only a port that a profile has can be meant: one to be added needs its name and its number."""
    needed = {"name", "port"} - ({key, *child} if isinstance(child, dict) else {key})
    return of.known.appends_at_minus_one and at == ["spec", "ports"] and bool(needed)


def _appended(
    child: Any, shape: Sequence[Any] | None, at: list[str], added: int, of: Component, named: Mapping[str, Any] | None = None
) -> Judged[Patch]:
    """A new item. 1.5's [-1] panics, but a list grows at an index that is its length, so that must be certain; 1.6 has neither."""
    path, last = format_path(at), "[-1]"
    value = yield from _build(child, [*at, "[]"])
    if isinstance(value, dict):
        value = {**(named or {}), **value}
    if not of.known.appends_at_minus_one and (shape is None or not of.known.appends_at_length or at[-1] != "containers" or not of.grows):
        why = "how long the list is depends on the mesh's values" if of.known.appends_at_length else "no index does either"
        fix = of.hints.get(at[-1]) or f"patch {path} with the whole list"
        yield Refusal("", f"{path}: an item can't be added safely in Istio {of.istio} ([-1] crashes the operator, and {why}); {fix}")
    elif not of.known.appends_at_minus_one and shape is not None:
        last = f"[{len(shape) + added}]"
        yield Note("", f"{path}: the item is appended as {last}, since [-1] crashes Istio {of.istio}'s operator")
    return {"path": format_path([*at, last]), "value": value}


def _env(node: Branch, at: list[str], of: Component) -> _Writing:
    """Environment variables go to k8s.env, which the operator merges by name before overlays, whether they exist or not."""
    path = format_path(at)
    if at[-2] not in (f"[name:{of.container}]", "[0]"):
        yield Refusal("", f"{path}: only {of.container}'s environment can be set here")
        return []
    written: list[Patch | _Variable] = []
    for element, child in node.items():
        name = element[6:-1] if element.startswith("[name:") else None
        if isinstance(child, Delete):
            if name is None:
                yield Refusal("", f"{path}.{element}: select the variable to delete by its name, as [name:…]")
            else:
                written.append({"path": format_path([*at, element])})
            continue
        value = yield from _build(child, [*at, element])
        if not isinstance(value, dict) or not (name := name or value.get("name")):
            yield Refusal("", f"{path}.{element}: a variable needs its name and a value or valueFrom")
            continue
        yield Note("", f"{path}: {name} is set through k8s.env, which adds or changes it; an overlay can do only one of the two")
        written.append(_Variable(str(name), {"name": str(name), **value}))
    return written


def _build(node: Any, at: Sequence[str]) -> Judged[Any]:
    """The plain value of a tree that stands where nothing is yet."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Delete):
        yield Refusal("", f"{format_path(at)} has no value and nothing is there to delete")
        return None
    built = {}
    for element, child in node.items():
        built[element] = yield from _build(child, [*at, element])
    if not node or not all(element.startswith("[") for element in node):
        return built
    return [
        {key_and_value(element)[0]: key_and_value(element)[1], **item} if ":" in element and isinstance(item, dict) else item
        for element, item in built.items()
    ]
