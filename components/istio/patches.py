"""Patches of overlays, collected as intents and written back as leaves that can't lose what nobody named.

Istio replaces what an overlay's path points at, maps and lists alike, although its documentation says "merge": a map at
`spec.template.spec` leaves a pod without containers. 1.5 has further traps (a path through a missing key fails the whole
component, `[-1]` makes the operator panic, a map's key can't be deleted, of two overlays for one object the first is lost).
So what is asked of an object is collected as a tree, and written back as patches of leaves. Where Kubernetes takes one of
several keys only (a probe's handler, a volume's source), the one asked for takes the place of the others. What is
clear is made safe and noted; what isn't is refused with the fix.

Pure: no Pulumi, no SSH. Sources: Istio 1.5.0, operator/pkg/patch/patch.go, operator/pkg/tpath/tpath.go,
operator/pkg/util/path.go (the path's grammar); 1.6.5 to 1.13.4, operator/pkg/tpath/tree.go; and runs of their renderers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.istio.releases.model import Release
from components.istio.shapes import UNKNOWN, VALUE, Shape
from components.kubernetes.rules import BUDGET, ONE_OF

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

_BOOLEANS = frozenset(
    (
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "optional",
        "paused",
        "privileged",
        "publishNotReadyAddresses",
        "readOnly",
        "readOnlyRootFilesystem",
        "runAsNonRoot",
        "shareProcessNamespace",
        "stdin",
        "tty",
    )
)
_INTEGERS = frozenset(
    (
        "containerPort",
        "fsGroup",
        "hostPort",
        "minReadySeconds",
        "nodePort",
        "port",
        "progressDeadlineSeconds",
        "replicas",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsUser",
        "terminationGracePeriodSeconds",
    )
)
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")
"""Keys that survive Istio's reading of paths, which trims dots and tidies up slashes (filepath.Clean)."""

_TEXT_MAPS = frozenset(["annotations", "data", "labels", "matchLabels", "nodeSelector", "selector", "stringData"])

_IDENTITY = (["apiVersion"], ["kind"], ["metadata", "name"], ["metadata", "namespace"])
"""Paths that say which object it is."""

_ONE_OF: Mapping[str, frozenset[str]] = {**ONE_OF, "spec": BUDGET}  # of a PodDisruptionBudget, which no other object's spec has
"""By the name of a map, keys of which Kubernetes takes one only."""


class OverlayError(ValueError):
    """A gateway that can't be made safe.

    Args:
        problems: one line each: where, why, and what to write instead.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Note:
    """Something that was made safe.

    Attributes:
        where: the settings key.
        text: what was done, and why.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


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


class Delete:
    """A patch without a value."""


@dataclass
class Leaf:
    """A value to be written as it is."""

    value: Any


Branch = dict[str, Any]
"""By path element: a Branch, a Leaf or a Delete. `[+0]`, `[+1]` … are items to be appended, in that order."""

Target = tuple[str, str]
"""An object's kind and name."""

_MISSING: Any = object()


def rivals(at: Sequence[str], asked: Mapping[str, Any], there: Iterable[str]) -> list[str]:
    """Those of the keys `there` that Kubernetes does not take beside what is `asked` for.

    Args:
        at: the path of the map.
        asked: a Branch, or plain data.
        there: keys that the map has already.
    """
    given = {key for key, value in asked.items() if value is not None and not isinstance(value, Delete)}
    if at[-1] in ("strategy", "updateStrategy"):
        kind = asked.get("type")
        kind = kind.value if isinstance(kind, Leaf) else kind
        return [key for key in there if key == "rollingUpdate" and key not in given and kind not in (None, "RollingUpdate")]
    if len(at) > 1 and at[-1].startswith("[") and at[-2] in ("env", "volumes"):
        one_of = {"value", "valueFrom"} if at[-2] == "env" else {*given, *there} - {"name"}
    else:
        one_of = set(_ONE_OF.get(at[-1], ()))
    return [key for key in there if key in one_of and key not in given] if given & one_of else []


@dataclass
class Patcher:
    """Takes overlays of the objects of one component, and writes them as the operator may have them.

    Attributes:
        where: the settings key of the component.
        known, istio: the release, and Istio's version.
        objects: what there is, by kind and name; UNKNOWN where only the renderer knows what it holds.
        problems, notes: where both are said.
        others: whether there are further objects that only the renderer knows.
        container: the one whose environment can be set by k8s.env, which adds and changes alike; None where k8s.env does nothing.
        hints: what to do instead of appending to a list, by its name, where that can't be done.
        perhaps: names of items that are there in some releases, so that they are patched and never appended.
        grows: whether containers can be appended by their number, which must be certain up to 1.6.
        moved_env: variables that have to be set through k8s.env, by name.
    """

    where: str
    known: Release
    istio: str
    objects: Mapping[Target, Shape]
    problems: list[str]
    notes: list[Note]
    others: bool = False
    container: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    perhaps: frozenset[str] = frozenset()
    grows: bool = True
    moved_env: dict[str, dict[str, Any]] = field(default_factory=dict)

    def refuse(self, where: str, text: str) -> None:
        """A problem at a place in the component."""
        self.problems.append(f"{self.where}{where}: {text}")

    def note(self, where: str, text: str) -> None:
        """Something that was made safe there."""
        self.notes.append(Note(f"{self.where}{where}", text))

    def collect(self, overlays: Any) -> dict[Target, Branch]:
        """What the overlays ask for, by object."""
        intents: dict[Target, Branch] = {}
        origin: dict[Target, str] = {}
        overlays = [] if overlays is None else overlays
        if not isinstance(overlays, list):
            self.refuse(".k8s.overlays", "must be a list of overlays, each with kind, name and patches")
            return {}
        for position, overlay in enumerate(overlays):
            where = f".k8s.overlays[{position}]"
            if not isinstance(overlay, Mapping):
                self.refuse(where, "must be an object with kind, name and patches")
                continue
            target = self._target(where, overlay)
            patches = overlay.get("patches")
            if not isinstance(patches, list):
                self.refuse(f"{where}.patches", "must be a list of patches, each with path and value")
                continue
            if target is None:
                continue
            if target in intents:
                self.note(
                    where,
                    f"joined with {origin[target]}: of two overlays for one object Istio {self.istio} keeps the last",
                )
            origin.setdefault(target, where.lstrip("."))
            tree = intents.setdefault(target, {})
            for number, patch in enumerate(patches):
                self._add(f"{where}.patches[{number}]", patch, tree, target)
        return intents

    def write(self, intents: Mapping[Target, Branch]) -> dict[Target, list[dict[str, Any]]]:
        """The patches that carry them out, by object."""
        written = {}
        for target, tree in intents.items():
            label = f".k8s.overlays for {target[0]} {target[1]}"
            written[target] = list(self._patches(label, tree, self.objects.get(target, UNKNOWN), []))
        return written

    def ask(self, tree: Branch, path: str, value: Any) -> None:
        """Adds what a setting asks for to the tree of its object."""
        elements = parse_path(path)
        insert(tree, elements, self._expand(f".{path}", value, elements))

    def _target(self, where: str, overlay: Mapping[str, Any]) -> Target | None:
        kind, name = str(overlay.get("kind", "")), overlay.get("name")
        kinds = {known: known for known, _ in self.objects}
        if kind not in kinds and (match := [k for k in kinds if k.lower() == kind.lower()]):
            self.note(f"{where}.kind", f"{kind} read as {match[0]}")
            kind = match[0]
        names = [known for of, known in self.objects if of == kind]
        if name is None and len(names) == 1:
            self.note(f"{where}.name", f"is missing; taken as {names[0]}, the only {kind}")
            name = names[0]
        if (kind, name) in self.objects:
            return kind, str(name)
        if self.others and kind and isinstance(name, str) and name:
            return kind, name
        if self.others:
            self.refuse(where, "must have its object's kind and name, as kind: Deployment and name: istiod")
            return None
        listed = ", ".join(f"{of} {known}" for of, known in self.objects)
        self.refuse(
            where,
            f"{kind or 'an object without kind'} {name or 'without name'} is not among the gateway's objects, and one unknown "
            f"target fails the whole gateway in Istio {self.istio}; there are {listed}",
        )
        return None

    def _add(self, where: str, patch: Any, tree: Branch, target: Target) -> None:
        if not isinstance(patch, Mapping) or not isinstance(path := patch.get("path"), str) or not parse_path(path):
            self.refuse(where, "must have a path (as spec.template.spec.hostNetwork) and a value")
            return
        elements = parse_path(path)
        if elements in _IDENTITY:
            self.refuse(
                f"{where}.path",
                f"{path} makes another object of it, which the operator and the checks here no longer find; "
                f"for a pod on each of several nodes use hostNetwork.nodes, for another name another gateway",
            )
            return
        if any("[" in e and not (e.startswith("[") and e.endswith("]")) for e in elements):
            self.refuse(
                f"{where}.path",
                f"{path!r} has brackets that don't close; write a selector as containers.[name:istio-proxy]",
            )
            return
        elements, shape = self._located(elements, tree, self.objects.get(target, UNKNOWN))
        value = patch.get("value")
        if value is None:
            node: Any = Delete()
        else:
            value = self._structured(where, value, elements, shape)
            if isinstance(value, Mapping) and not elements[-1].startswith("[+"):
                self.note(
                    f"{where}.value", f"a map at {path} would replace all that is there; written as one patch per leaf"
                )
            node = self._expand(f"{where}.value", value, elements)
        insert(tree, elements, node)

    def _located(self, elements: Sequence[str], tree: Any, shape: Any) -> tuple[list[str], Any]:
        """The path with what it appends as `[+0]`, `[+1]` …: every `[-1]` and every index beyond the end is one item more."""
        found = []
        for given in elements:
            element = given
            if (number := _number(given)) is not None and not isinstance(tree, Leaf):
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
            shape = _inside(shape, element)
        return found, shape

    def _structured(self, where: str, value: Any, at: Sequence[str], shape: Any) -> Any:
        """A text as the map or the list that it is the YAML of, where Kubernetes has no text. Istio reads maps so from 1.6 on."""
        if not isinstance(value, str) or _holds_text(at) or shape == VALUE:
            return value
        read = _read(value)
        if read is None:
            return value
        self.note(f"{where}.value", "the text is read as the YAML that it is")
        return read

    def _expand(self, where: str, value: Any, at: Sequence[str]) -> Any:
        """The tree that merging `value` at the path `at` means."""
        if isinstance(value, Mapping):
            branch: Branch = {}
            for name, item in value.items():
                if not _KEY.fullmatch(str(name)) or "//" in str(name):
                    self.refuse(
                        where,
                        f"{name!r} can't be named in an overlay's path; set the map that holds it by a path of its own",
                    )
                elif item is None:
                    branch[str(name)] = Delete()
                else:
                    branch[str(name)] = self._expand(f"{where}.{name}", item, [*at, str(name)])
            return branch or Leaf({})
        if isinstance(value, list):
            merge_key = KEYED_LISTS.get(at[-1])
            if merge_key and value and all(isinstance(item, Mapping) and merge_key in item for item in value):
                return {
                    f"[{merge_key}:{item[merge_key]}]": self._expand(
                        f"{where}[{number}]", {k: v for k, v in item.items() if k != merge_key}, [*at, "[]"]
                    )
                    for number, item in enumerate(value)
                }
            return Leaf([self._typed_item(where, item, at) for item in value])
        return Leaf(self._typed(where, value, at))

    def _typed_item(self, where: str, item: Any, at: Sequence[str]) -> Any:
        if isinstance(item, Mapping):
            return {k: self._typed_item(f"{where}.{k}", v, [*at, str(k)]) for k, v in item.items()}
        if isinstance(item, list):
            return [self._typed_item(where, each, at) for each in item]
        return self._typed(where, item, at)

    def _typed(self, where: str, value: Any, at: Sequence[str]) -> Any:
        """`value` in the type that Kubernetes wants at this place, where only one can be meant."""
        if _holds_text(at):
            if isinstance(value, str):
                return value
            text = str(value).lower() if isinstance(value, bool) else str(value)
            self.note(
                where,
                f"{value!r} written as the text {text!r}, which is all that {at[-2].strip('[]') or 'env'} can hold",
            )
            return text
        if at[-1] in _BOOLEANS and not isinstance(value, bool):
            return self.boolean(value, where)
        if at[-1] in _INTEGERS and isinstance(value, str) and value.isdecimal():
            self.note(where, f"the text {value!r} written as a number")
            return int(value)
        return value

    def boolean(self, value: Any, where: str) -> Any:
        """`value` as true or false, or a problem."""
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            self.note(where, f"the text {value!r} written as true or false: Istio hands texts on as they are")
            return value.strip().lower() == "true"
        self.refuse(where, f"{value!r} must be true or false")
        return value

    def _patches(self, where: str, node: Any, shape: Any, at: list[str]) -> Iterator[dict[str, Any]]:
        """The leaf patches that carry out `node` on an object of this shape."""
        path = format_path(at)
        if self._is_env(at) and isinstance(node, dict):
            yield from self._env(where, node, at)
        elif isinstance(node, dict) and isinstance(shape, dict):
            yield from self._keys(where, node, shape, at)
        elif isinstance(node, dict) and isinstance(shape, list):
            yield from self._items(where, node, shape, at)
        elif isinstance(node, dict) and shape is UNKNOWN:
            yield from self._into_the_unknown(where, node, at)
        elif isinstance(node, dict) and shape is not _MISSING:
            self.refuse(where, f"{path} holds a single value, so {next(iter(node))} can't be set in it")
        elif isinstance(node, Delete):
            yield from self._deletion(where, shape, at)
        elif isinstance(node, dict) and self.known.creates_missing_parents and not any(e.startswith("[") for e in node):
            # a path makes what it goes through, so that nothing is replaced that is there all the same
            for element, child in node.items():
                yield from self._patches(where, child, _MISSING, [*at, element])
        else:
            yield from self._value(where, node, shape, at)

    def _keys(self, where: str, node: Branch, shape: Shape, at: list[str]) -> Iterator[dict[str, Any]]:
        path = format_path(at)
        gone = rivals(at, node, shape) if at else []
        if gone:
            # with a deleted key, what else the map holds can stay
            spared = self.known.deletes_map_keys and at[-1] in _ONE_OF and at[-1] != "valueFrom"
            node = {element: child for element, child in node.items() if element not in gone}
            if spared:
                yield from ({"path": format_path([*at, key])} for key in gone)
            elif at == ["spec"]:
                self.refuse(
                    where,
                    f"{path}.{gone[0]} is there, Kubernetes takes no {next(iter(node))} beside it, and Istio {self.istio} can't "
                    f"delete it; set {path}.{gone[0]} instead",
                )
                return
            else:
                name = dict([at[-1][1:-1].split(":", 1)]) if ":" in at[-1] else {}
                self.note(where, f"{path} is replaced, since Kubernetes takes no {', '.join(gone)} beside what it is to hold")
                yield {"path": path, "value": {**name, **self.build(where, node, at)}}
                return
        for element, child in node.items():
            if element.startswith("["):
                self.refuse(where, f"{path} is a map, so {element} selects nothing in it")
            else:
                yield from self._patches(where, child, shape.get(element, _MISSING), [*at, element])

    def _into_the_unknown(self, where: str, node: Branch, at: list[str]) -> Iterator[dict[str, Any]]:
        """Patches of an object that only the renderer knows: leaf by leaf, as far as the release makes what a path goes through.

        What the item of a volume has for a source isn't known either, so one that names its own takes its place.
        """
        if at[-2:-1] == ["volumes"] and isinstance(value := self.build(where, node, at), dict) and _is_whole(value):
            yield {"path": format_path(at), "value": {"name": at[-1][1:-1].partition(":")[2], **value}}
            return
        for element, child in node.items():
            if element.startswith("[+"):
                yield from self._append(where, child, None, at, 0)
            else:
                yield from self._patches(where, child, UNKNOWN, [*at, element])

    def _deletion(self, where: str, shape: Any, at: list[str]) -> Iterator[dict[str, Any]]:
        path = format_path(at)
        if at[-1].startswith("[") or (self.known.deletes_map_keys and shape is not _MISSING):
            yield {"path": path}
        elif self.known.deletes_map_keys:
            self.refuse(where, f"{path} has no value and nothing is there to delete; take the patch out")
        else:
            self.refuse(
                where,
                f"{path} has no value: Istio {self.istio} deletes items of lists that way but silently ignores a map's key; "
                f"set the value that you want instead",
            )

    def _value(self, where: str, node: Any, shape: Any, at: list[str]) -> Iterator[dict[str, Any]]:
        path = format_path(at)
        value = self.build(where, node, at)
        if isinstance(shape, dict) and isinstance(node, Leaf) and value == {}:
            return  # an empty map adds nothing to a map that is there
        if isinstance(shape, dict) and not isinstance(value, dict):
            self.refuse(where, f"{path} is a map; {value!r} would replace it. Name the key inside it")
        elif isinstance(shape, list) and not isinstance(value, list):
            self.refuse(where, f"{path} is a list; {value!r} would replace it. Write the whole list")
        elif isinstance(value, str) and self.known.reads_texts and isinstance(_read(value), Mapping):
            self.refuse(
                where,
                f"{path}: Istio {self.istio} reads the text {value!r} as a map, and Kubernetes wants a text there; set an annotation by "
                f"k8s.podAnnotations or k8s.serviceAnnotations, and everything else by the mesh's values",
            )
        else:
            yield {"path": path, "value": value}

    def _items(self, where: str, node: Branch, shape: list[Any], at: list[str]) -> Iterator[dict[str, Any]]:
        path = format_path(at)
        added = 0
        for element, child in node.items():
            inside = element[1:-1]
            if not element.startswith("["):
                self.refuse(where, f"{path} is a list: select an item, as {path}.[name:istio-proxy].{element}")
            elif element.startswith("[+"):
                yield from self._append(where, child, shape, at, added)
                added += 1
            elif (number := _number(element)) is not None:
                if 0 <= number < len(shape):
                    yield from self._patches(where, child, shape[number], [*at, element])
                else:
                    self.refuse(
                        where, f"{path}.{element}: there is no such item; select it by its name, as [name:istio-proxy]"
                    )
            elif (parts := inside.split(":", 1))[0] and len(parts) == 2:
                item = next((i for i in shape if isinstance(i, dict) and str(i.get(parts[0])) == parts[1]), None)
                if item is not None:
                    yield from self._patches(where, child, item, [*at, element])
                elif parts[1] in self.perhaps or self._is_there(child, parts[0], at):
                    yield from self._patches(where, child, UNKNOWN, [*at, element])
                elif isinstance(child, Delete):
                    self.refuse(
                        where, f"{path}.{element} selects nothing, which fails the whole gateway in Istio {self.istio}"
                    )
                else:
                    yield from self._append(where, child, shape, at, added, {parts[0]: _as_there(parts, shape)})
                    added += 1
            else:  # an entry of a list of texts, by pattern; which there are depends on the mesh's values
                yield from self._patches(where, child, VALUE, [*at, element])

    def _is_there(self, child: Any, key: str, at: Sequence[str]) -> bool:
        """Whether only a port that a profile has can be meant: one to be added needs its name and its number."""
        needed = {"name", "port"} - ({key, *child} if isinstance(child, dict) else {key})
        return self.known.appends_at_minus_one and at == ["spec", "ports"] and bool(needed)

    def _append(
        self,
        where: str,
        child: Any,
        shape: Sequence[Any] | None,
        at: list[str],
        added: int,
        named: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """A new item. 1.5's [-1] panics, but a list grows at an index that is its length, so that must be certain; 1.6 has neither."""
        path = format_path(at)
        value = self.build(where, child, [*at, "[]"])
        if isinstance(value, dict):
            value = {**(named or {}), **value}
        if self.known.appends_at_minus_one:
            yield {"path": format_path([*at, "[-1]"]), "value": value}
            return
        if shape is None or not self.known.appends_at_length or at[-1] != "containers" or not self.grows:
            why = "how long the list is depends on the mesh's values" if self.known.appends_at_length else "no index does either"
            fix = self.hints.get(at[-1]) or f"patch {path} with the whole list"
            self.refuse(
                where,
                f"{path}: an item can't be added safely in Istio {self.istio} ([-1] crashes the operator, and {why}); {fix}",
            )
            return
        index = len(shape) + added
        self.note(where, f"{path}: the item is appended as [{index}], since [-1] crashes Istio {self.istio}'s operator")
        yield {"path": format_path([*at, f"[{index}]"]), "value": value}

    def _is_env(self, at: Sequence[str]) -> bool:
        return at[-1:] == ["env"] and "containers" in at and self.container is not None

    def _env(self, where: str, node: Branch, at: list[str]) -> Iterator[dict[str, Any]]:
        """Environment variables go to k8s.env, which the operator merges by name before overlays, whether they exist or not."""
        path = format_path(at)
        if at[-2] not in (f"[name:{self.container}]", "[0]"):
            self.refuse(where, f"{path}: only {self.container}'s environment can be set here")
            return
        for element, child in node.items():
            name = element[6:-1] if element.startswith("[name:") else None
            if isinstance(child, Delete):
                if name is None:
                    self.refuse(where, f"{path}.{element}: select the variable to delete by its name, as [name:…]")
                else:
                    yield {"path": format_path([*at, element])}
                continue
            value = self.build(where, child, [*at, element])
            if not isinstance(value, dict) or not (name := name or value.get("name")):
                self.refuse(where, f"{path}.{element}: a variable needs its name and a value or valueFrom")
                continue
            self.note(
                where,
                f"{path}: {name} is set through k8s.env, which adds or changes it; an overlay can do only one of the two",
            )
            self.moved_env[str(name)] = {"name": str(name), **value}

    def build(self, where: str, node: Any, at: Sequence[str]) -> Any:
        """The plain value of a tree that stands where nothing is yet."""
        if isinstance(node, Leaf):
            return node.value
        if isinstance(node, Delete):
            self.refuse(where, f"{format_path(at)} has no value and nothing is there to delete")
            return None
        if node and all(element.startswith("[") for element in node):
            items = []
            for element, child in node.items():
                item = self.build(where, child, [*at, element])
                selector = element[1:-1].split(":", 1)
                items.append(
                    {selector[0]: selector[1], **item} if len(selector) == 2 and isinstance(item, dict) else item
                )
            return items
        return {element: self.build(where, child, [*at, element]) for element, child in node.items()}


def insert(tree: Branch, elements: Sequence[str], node: Any, at: Sequence[str] = ()) -> None:
    """Puts `node` at the path; maps merge, everything else replaces what an earlier patch said.

    Args:
        tree: the branch at the path `at`.
        elements: the path from there.
        node: a Branch, a Leaf or a Delete.
        at: where the branch stands.
    """
    element, *rest = elements
    known = tree.get(element)
    if rest and isinstance(known, Leaf) and isinstance(known.value, list):
        tree[element] = Leaf(put(known.value, rest, node))
    elif rest:
        if not isinstance(known, dict):
            known = tree[element] = _branch_of(known)
        insert(known, rest, node, (*at, element))
    elif isinstance(known, dict) and isinstance(node, dict):
        for key, child in node.items():
            insert(known, [key], child, (*at, element))
    else:
        tree[element] = node
    if at and not isinstance(node, Delete):
        for rival in rivals(at, {element: tree[element]}, [key for key in tree if key != element]):
            if not isinstance(tree[rival], Delete):
                del tree[rival]


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
        key, _, value = element[1:-1].partition(":")
        number = _number(element)
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


def _is_whole(volume: Mapping[str, Any]) -> bool:
    """Whether it says its name, or a source whole: a path of one within (`hostPath.path`) may mean the source that is there."""
    return "name" in volume and len(volume) > 1


def _is_chosen(element: str, item: Any) -> bool:
    """Whether a selector chooses an item that an earlier patch appends."""
    key, _, value = element[1:-1].partition(":")
    given = item.get(key) if isinstance(item, dict) else None
    return bool(value) and isinstance(given, Leaf) and str(given.value) == value


def _branch_of(node: Any) -> Branch:
    """An earlier value at a path that a later patch goes through."""
    if isinstance(node, Leaf) and isinstance(node.value, Mapping):
        return {str(k): Leaf(v) for k, v in node.value.items()}
    return {}


def _number(element: str) -> int | None:
    """The index that a path's element selects by."""
    return int(element[1:-1]) if re.fullmatch(r"\[-?\d+\]", element) else None


def _inside(shape: Any, element: str) -> Any:
    """The part of a shape that a path's element leads to."""
    if isinstance(shape, dict):
        return shape.get(element, _MISSING)
    if isinstance(shape, list):
        if (number := _number(element)) is not None:
            return shape[number] if 0 <= number < len(shape) else _MISSING
        key, _, value = element[1:-1].partition(":")
        return next((i for i in shape if isinstance(i, dict) and str(i.get(key)) == value), _MISSING)
    return UNKNOWN if shape is UNKNOWN else _MISSING


def _as_there(parts: Sequence[str], shape: Sequence[Any]) -> Any:
    """A selector's value in the type that the list's other items have there."""
    numbers = parts[1].isdecimal() and any(isinstance(i, dict) and isinstance(i.get(parts[0]), int) for i in shape)
    return int(parts[1]) if numbers else parts[1]


def _holds_text(at: Sequence[str]) -> bool:
    """Whether Kubernetes has a text at this place, whatever it looks like."""
    if len(at) < 2:
        return False
    return at[-2] in _TEXT_MAPS or (at[-1] == "value" and "env" in at) or (at[-1].startswith("[") and at[-2] in ("args", "command"))


def _read(text: str) -> Any:
    """The map, or the list in lines of its own, that a text is the YAML of; None when it is a text (tpath/tree.go, from 1.6 on)."""
    lines = text.strip().split("\n")
    if not (": " in text if len(lines) == 1 else ":" in text or text.startswith("- ")):
        return None
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return read if isinstance(read, Mapping) or (isinstance(read, list) and len(lines) > 1) else None
