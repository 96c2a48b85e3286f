"""Overlays read: what they ask of each object, as one tree, in the types that Kubernetes wants. What is clear is noted, what isn't refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from components.istio.gateways.model import Judged, Note, Refusal, Target
from components.istio.gateways.path import index_of, key_and_value, parse_path
from components.istio.gateways.rendered_schema import UNKNOWN, VALUE, Component, inside
from components.istio.gateways.tree import KEYED_LISTS, Branch, Delete, Leaf, insert

_BOOLEANS = frozenset((
    "allowPrivilegeEscalation", "automountServiceAccountToken", "enableServiceLinks", "hostIPC", "hostNetwork", "hostPID", "optional",
    "paused", "privileged", "publishNotReadyAddresses", "readOnly", "readOnlyRootFilesystem", "runAsNonRoot", "shareProcessNamespace",
    "stdin", "tty",
))  # fmt: skip
_INTEGERS = frozenset((
    "containerPort", "fsGroup", "hostPort", "minReadySeconds", "nodePort", "port", "progressDeadlineSeconds", "replicas",
    "revisionHistoryLimit", "runAsGroup", "runAsUser", "terminationGracePeriodSeconds",
))  # fmt: skip
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")
"""Keys that survive Istio's reading of paths, which trims dots and tidies up slashes (filepath.Clean)."""

_TEXT_MAPS = frozenset(["annotations", "data", "labels", "matchLabels", "nodeSelector", "selector", "stringData"])

_IDENTITY = (["apiVersion"], ["kind"], ["metadata", "name"], ["metadata", "namespace"])
"""Paths that say which object it is."""


def read(overlays: Any, component: Component) -> Judged[dict[Target, Branch]]:
    """What a component's k8s.overlays ask for, by object."""
    trees: dict[Target, Branch] = {}
    origin: dict[Target, str] = {}
    overlays = [] if overlays is None else overlays
    if not isinstance(overlays, list):
        yield Refusal(".k8s.overlays", "must be a list of overlays, each with kind, name and patches")
        return {}
    for position, overlay in enumerate(overlays):
        where = f".k8s.overlays[{position}]"
        if not isinstance(overlay, Mapping):
            yield Refusal(where, "must be an object with kind, name and patches")
            continue
        target = yield from _target(where, overlay, component)
        patches = overlay.get("patches")
        if not isinstance(patches, list):
            yield Refusal(f"{where}.patches", "must be a list of patches, each with path and value")
            continue
        if target is None:
            continue
        if target in trees:
            yield Note(where, f"joined with {origin[target]}: of two overlays for one object Istio {component.istio} keeps the last")
        origin.setdefault(target, where.lstrip("."))
        tree = trees.get(target, {})
        for number, patch in enumerate(patches):
            tree = yield from _with_patch(f"{where}.patches[{number}]", patch, tree, component.objects.get(target, UNKNOWN))
        trees[target] = tree
    return trees


def ask(trees: Mapping[Target, Branch], wanted: Sequence[tuple[str, str, Any]], component: Component) -> Judged[dict[Target, Branch]]:
    """The trees with what settings ask for that only overlays can do: kind, path and value of each."""
    asked = dict(trees)
    for kind, path, value in wanted:
        target = next(known for known in component.objects if known[0] == kind)
        elements = parse_path(path)
        node = yield from _expand(f".{path}", value, elements)
        asked[target] = insert(asked.get(target, {}), elements, node)
    return asked


def boolean(where: str, value: Any) -> Judged[Any]:
    """`value` as true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        yield Note(where, f"the text {value!r} written as true or false: Istio hands texts on as they are")
        return value.strip().lower() == "true"
    yield Refusal(where, f"{value!r} must be true or false")
    return value


def structured(text: str) -> Any:
    """The map, or the list in lines of its own, that a text is the YAML of; None when it is a text (tpath/tree.go, from 1.6 on)."""
    lines = text.strip().split("\n")
    if not (": " in text if len(lines) == 1 else ":" in text or text.startswith("- ")):
        return None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return data if isinstance(data, Mapping) or (isinstance(data, list) and len(lines) > 1) else None


def _target(where: str, overlay: Mapping[str, Any], component: Component) -> Judged[Target | None]:
    objects = component.objects
    kind, name = str(overlay.get("kind", "")), overlay.get("name")
    kinds = {known: known for known, _ in objects}
    if kind not in kinds and (match := [k for k in kinds if k.lower() == kind.lower()]):
        yield Note(f"{where}.kind", f"{kind} read as {match[0]}")
        kind = match[0]
    names = [known for of, known in objects if of == kind]
    if name is None and len(names) == 1:
        yield Note(f"{where}.name", f"is missing; taken as {names[0]}, the only {kind}")
        name = names[0]
    if (kind, name) in objects or (component.others and kind and isinstance(name, str) and name):
        return kind, str(name)
    if component.others:
        yield Refusal(where, "must have its object's kind and name, as kind: Deployment and name: istiod")
        return None
    listed = ", ".join(f"{of} {known}" for of, known in objects)
    yield Refusal(
        where,
        f"{kind or 'an object without kind'} {name or 'without name'} is not among the gateway's objects, and one unknown "
        f"target fails the whole gateway in Istio {component.istio}; there are {listed}",
    )
    return None


def _with_patch(where: str, patch: Any, tree: Branch, shape: Any) -> Judged[Branch]:
    """The tree of an object of this shape with what one patch asks for."""
    if not isinstance(patch, Mapping) or not isinstance(path := patch.get("path"), str) or not parse_path(path):
        yield Refusal(where, "must have a path (as spec.template.spec.hostNetwork) and a value")
        return tree
    elements = parse_path(path)
    if elements in _IDENTITY:
        yield Refusal(
            f"{where}.path",
            f"{path} makes another object of it, which the operator and the checks here no longer find; "
            f"for a pod on each of several nodes use hostNetwork.nodes, for another name another gateway",
        )
        return tree
    if any("[" in e and not (e.startswith("[") and e.endswith("]")) for e in elements):
        yield Refusal(f"{where}.path", f"{path!r} has brackets that don't close; write a selector as containers.[name:istio-proxy]")
        return tree
    elements, shape = _located(elements, tree, shape)
    value = patch.get("value")
    if value is None:
        return insert(tree, elements, Delete())
    # from 1.6 on Istio reads a map's YAML so itself
    if isinstance(value, str) and not _holds_text(elements) and shape != VALUE and (data := structured(value)) is not None:
        yield Note(f"{where}.value", "the text is read as the YAML that it is")
        value = data
    if isinstance(value, Mapping) and not elements[-1].startswith("[+"):
        yield Note(f"{where}.value", f"a map at {path} would replace all that is there; written as one patch per leaf")
    node = yield from _expand(f"{where}.value", value, elements)
    return insert(tree, elements, node)


def _located(elements: Sequence[str], tree: Any, shape: Any) -> tuple[list[str], Any]:
    """The path with what it appends as `[+0]`, `[+1]` …: every `[-1]` and every index beyond the end is one item more."""
    found = []
    for given in elements:
        element = given
        if (number := index_of(given)) is not None and not isinstance(tree, Leaf):
            length = len(shape) if isinstance(shape, list) else 0
            appended = sum(key.startswith("[+") for key in tree) if isinstance(tree, dict) else 0
            if number == -1 or (number >= length + appended and shape is not UNKNOWN):
                element = f"[+{appended}]"
            elif number >= length and shape is not UNKNOWN:
                element = f"[+{number - length}]"
        elif element.startswith("[") and isinstance(tree, dict):
            element = next((key for key, item in tree.items() if key.startswith("[+") and _is_chosen(element, item)), element)
        found.append(element)
        tree = tree.get(element, {}) if isinstance(tree, dict) else tree
        shape = inside(shape, element)
    return found, shape


def _is_chosen(element: str, item: Any) -> bool:
    """Whether a selector chooses an item that an earlier patch appends."""
    key, value = key_and_value(element)
    given = item.get(key) if isinstance(item, dict) else None
    return bool(value) and isinstance(given, Leaf) and str(given.value) == value


def _expand(where: str, value: Any, at: Sequence[str]) -> Judged[Any]:
    """The tree that merging `value` at the path `at` means."""
    branch: Branch = {}
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not _KEY.fullmatch(str(name)) or "//" in str(name):
                yield Refusal(where, f"{name!r} can't be named in an overlay's path; set the map that holds it by a path of its own")
            elif item is None:
                branch[str(name)] = Delete()
            else:
                branch[str(name)] = yield from _expand(f"{where}.{name}", item, [*at, str(name)])
        return branch or Leaf({})
    key = KEYED_LISTS.get(at[-1])
    if isinstance(value, list) and key and value and all(isinstance(item, Mapping) and key in item for item in value):
        for number, item in enumerate(value):
            more = {k: v for k, v in item.items() if k != key}
            branch[f"[{key}:{item[key]}]"] = yield from _expand(f"{where}[{number}]", more, [*at, "[]"])
        return branch
    typed = yield from _typed(where, value, at)
    return Leaf(typed)


def _typed(where: str, value: Any, at: Sequence[str]) -> Judged[Any]:
    """`value`, and what it holds, in the types that Kubernetes wants there, where only one can be meant."""
    if isinstance(value, list):
        items = []
        for each in value:
            item = yield from _typed(where, each, at)
            items.append(item)
        return items
    if isinstance(value, Mapping):
        branch = {}
        for k, v in value.items():
            branch[k] = yield from _typed(f"{where}.{k}", v, [*at, str(k)])
        return branch
    if _holds_text(at):
        if isinstance(value, str):
            return value
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield Note(where, f"{value!r} written as the text {text!r}, which is all that {at[-2].strip('[]') or 'env'} can hold")
        return text
    if at[-1] in _BOOLEANS:
        return (yield from boolean(where, value))
    if at[-1] in _INTEGERS and isinstance(value, str) and value.isdecimal():
        yield Note(where, f"the text {value!r} written as a number")
        return int(value)
    return value


def _holds_text(at: Sequence[str]) -> bool:
    """Whether Kubernetes has a text at this place, whatever it looks like."""
    if len(at) < 2:
        return False
    return at[-2] in _TEXT_MAPS or (at[-1] == "value" and "env" in at) or (at[-1].startswith("[") and at[-2] in ("args", "command"))
