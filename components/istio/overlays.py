"""Makes a gateway's intent safe for Istio's operator: what is written as published comes out as leaf patches.

Istio replaces what an overlay's path points at, maps and lists alike, although its documentation says "merge": a map at
`spec.template.spec` leaves a pod without containers. 1.5 has further traps (a path through a missing key fails the whole
component, `[-1]` makes the operator panic, a map's key can't be deleted, of two overlays for one object the first is lost,
the service's ports can be added to but never cut). So the intent is collected as a tree, and written back as patches of
leaves that can't lose what nobody named. What is clear is made safe and noted; what isn't is refused with the fix.

Pure: no Pulumi, no SSH. Sources: Istio 1.5.0, operator/pkg/patch/patch.go, operator/pkg/tpath/tpath.go,
operator/pkg/util/path.go (the path's grammar), and runs of its renderer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.istio.shapes import GatewayKind, Shape, gateway_objects
from components.istio.versions import Release, release

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

_TEXT_MAPS = frozenset(["annotations", "labels", "matchLabels", "nodeSelector", "selector"])

_IDENTITY = (["apiVersion"], ["kind"], ["metadata", "name"], ["metadata", "namespace"])
"""Paths that say which object it is."""

ENVOY_METRICS_PORT = 15090
"""The chart's container port that no setting removes (1.5.0: manifests/gateways/istio-ingress/templates/deployment.yaml)."""


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


@dataclass(frozen=True)
class SafeGateways:
    """Gateways as the operator may have them.

    Attributes:
        gateways: the list for spec.components.ingressGateways or .egressGateways.
        values: what has to be merged under spec.values, the user's own values winning.
        notes: what was changed.
        host_network: names of the gateways whose pods live in the node's network.
        ports: by gateway's name, exactly the service's ports; absent where they are the profile's.
    """

    gateways: tuple[dict[str, Any], ...]
    values: dict[str, Any]
    notes: tuple[Note, ...]
    host_network: frozenset[str] = frozenset()
    ports: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


def make_safe(
    gateways: Sequence[Mapping[str, Any]],
    kind: GatewayKind,
    istio: str,
    values: Mapping[str, Any],
    key: str | None = None,
) -> SafeGateways:
    """The same intent in a form that the operator carries out.

    Args:
        gateways: as in an IstioOperator's spec.components.ingressGateways (or egressGateways).
        kind: which of the two.
        istio: Istio's version.
        values: the user's spec.values.
        key: what the list is called in messages; istio.ingressGateways by default.

    Raises:
        OverlayError: with every problem found.
    """
    key = key or f"istio.{kind}Gateways"
    problems: list[str] = []
    notes: list[Note] = []
    safe: list[dict[str, Any]] = []
    more_values: dict[str, Any] = {}
    host_network: set[str] = set()
    ports: dict[str, tuple[dict[str, Any], ...]] = {}
    known = release(istio)
    if known.gateway_names and len(gateways) > 1:
        problems.append(
            f"{key}: Istio {istio} has one {kind} gateway, {known.gateway_names[kind]}: its chart gives every entry that name, "
            f"so they would overwrite each other; keep one entry"
        )
    names = [gateway.get("name") or gateway_chart(kind) for gateway in gateways]
    if not known.gateway_names and (doubled := sorted({str(n) for n in names if names.count(n) > 1})):
        problems.append(f"{key}: {', '.join(doubled)} is listed twice; every gateway needs a name of its own")
    for position, gateway in enumerate(gateways):
        one = _Gateway(f"{key}[{position}]", gateway, kind, known, istio, values, problems, notes)
        if (result := one.safe()) is None:
            continue
        safe.append(result)
        if one.values:
            more_values = merge_under(more_values, {"gateways": {one.chart: one.values}})
        if one.host_network:
            host_network.add(one.name)
        if one.ports is not None:
            ports[one.name] = tuple(one.ports)
    if problems:
        raise OverlayError(problems)
    return SafeGateways(tuple(safe), more_values, tuple(notes), frozenset(host_network), ports)


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


class _Delete:
    """A patch without a value."""


@dataclass
class _Leaf:
    value: Any


_Branch = dict[str, Any]
"""By path element: a _Branch, a _Leaf or a _Delete."""

_MISSING: Any = object()


class _Gateway:
    """One gateway on its way to being safe."""

    def __init__(
        self,
        where: str,
        given: Mapping[str, Any],
        kind: GatewayKind,
        known: Release,
        istio: str,
        values: Mapping[str, Any],
        problems: list[str],
        notes: list[Note],
    ) -> None:
        self.where, self.kind, self.known, self.istio = where, kind, known, istio
        self.given = deepcopy(dict(given))
        self.own_values: Mapping[str, Any] = {}
        self.all_values = values
        self.problems, self.notes = problems, notes
        self.name = ""
        self.chart = gateway_chart(kind)
        self.values: dict[str, Any] = {}
        self.host_network = False
        self.ports: list[dict[str, Any]] | None = None
        self.moved_env: dict[str, dict[str, Any]] = {}

    def refuse(self, where: str, text: str) -> None:
        self.problems.append(f"{self.where}{where}: {text}")

    def note(self, where: str, text: str) -> None:
        self.notes.append(Note(f"{self.where}{where}", text))

    def safe(self) -> dict[str, Any] | None:
        before = len(self.problems)
        self._name()
        gateways = self.all_values.get("gateways")
        own = gateways.get(self.chart) if isinstance(gateways, Mapping) else None
        self.own_values = own if isinstance(own, Mapping) else {}
        if not isinstance(self.given.setdefault("enabled", True), bool):
            self.given["enabled"] = self._boolean(self.given["enabled"], ".enabled")
        k8s = self.given.get("k8s", {})
        if not isinstance(k8s, Mapping):
            self.refuse(".k8s", "must be an object with service, strategy, nodeSelector, overlays and the like")
            return None
        k8s = dict(k8s)
        overlays = k8s.pop("overlays", None)
        overlays = [] if overlays is None else overlays
        if not isinstance(overlays, list):
            self.refuse(".k8s.overlays", "must be a list of overlays, each with kind, name and patches")
            return None
        as_root = bool(self.own_values.get("runAsRoot", self.known.gateway_runs_as_root))
        written = self._overlays(overlays, gateway_objects(self.kind, k8s, self.known, self.name, as_root))
        if self.moved_env:
            k8s["env"] = _merge_named(k8s.get("env") or [], self.moved_env)
        self._ports(k8s, written)
        if self.host_network:
            self._one_pod_a_node(k8s, written["Deployment", self.name])
        if written:
            k8s["overlays"] = [
                {"kind": kind, "name": name, "patches": patches} for (kind, name), patches in written.items() if patches
            ]
        if k8s:
            self.given["k8s"] = k8s
        return self.given if len(self.problems) == before else None

    def _name(self) -> None:
        given = self.given.get("name")
        only = self.known.gateway_names.get(self.kind)
        if only is None:
            if not given:
                self.note(".name", f"is missing; taken as {self.chart}, the name of the profiles' own")
            self.name = str(given or self.chart)
            # the chart takes `label` for the selector as well, in place of its own labels
            own = {"app": self.name, "istio": self.name.removeprefix("istio-")}
            if self.given.get("label") or self.name != self.chart:
                self.given["label"] = {**own, **(self.given.get("label") or {})}
        else:
            if given not in (None, only):
                self.refuse(
                    ".name", f"{given!r} has no effect in Istio {self.istio}: its chart always says {only}; write that"
                )
            self.name = only
            if self.given.get("label"):
                self.refuse(
                    ".label",
                    f"has no effect in Istio {self.istio}, whose chart always has its own labels; add one to the pods by an overlay of "
                    f"Deployment {only}: path spec.template.metadata.labels.NAME, with its value",
                )
        self.given = {"name": self.name, **{k: v for k, v in self.given.items() if k != "name"}}

    def _overlays(
        self, overlays: list[Any], objects: dict[tuple[str, str], Shape]
    ) -> dict[tuple[str, str], list[dict[str, Any]]]:
        intents: dict[tuple[str, str], _Branch] = {}
        origin: dict[tuple[str, str], str] = {}
        for position, overlay in enumerate(overlays):
            where = f".k8s.overlays[{position}]"
            if not isinstance(overlay, Mapping):
                self.refuse(where, "must be an object with kind, name and patches")
                continue
            target = self._target(where, overlay, objects)
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
        written = {}
        for target, tree in intents.items():
            label = f".k8s.overlays for {target[0]} {target[1]}"
            written[target] = list(self._patches(label, tree, objects[target], []))
        spec = intents.get(("Deployment", self.name), {})
        node = spec
        for element in ("spec", "template", "spec", "hostNetwork"):
            node = node.get(element, {}) if isinstance(node, dict) else {}
        self.host_network = isinstance(node, _Leaf) and node.value is True
        return written

    def _target(
        self, where: str, overlay: Mapping[str, Any], objects: dict[tuple[str, str], Shape]
    ) -> tuple[str, str] | None:
        kind, name = str(overlay.get("kind", "")), overlay.get("name")
        kinds = {known: known for known, _ in objects}
        if kind not in kinds and (match := [k for k in kinds if k.lower() == kind.lower()]):
            self.note(f"{where}.kind", f"{kind} read as {match[0]}")
            kind = match[0]
        names = [known for of, known in objects if of == kind]
        if name is None and len(names) == 1:
            self.note(f"{where}.name", f"is missing; taken as {names[0]}, the gateway's only {kind}")
            name = names[0]
        if (kind, name) in objects:
            return kind, str(name)
        listed = ", ".join(f"{of} {known}" for of, known in objects)
        self.refuse(
            where,
            f"{kind or 'an object without kind'} {name or 'without name'} is not among the gateway's objects, and one unknown "
            f"target fails the whole gateway in Istio {self.istio}; there are {listed}",
        )
        return None

    def _add(self, where: str, patch: Any, tree: _Branch, target: tuple[str, str]) -> None:
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
        value = patch.get("value")
        if value is None:
            node: Any = _Delete()
        else:
            if isinstance(value, Mapping):
                self.note(
                    f"{where}.value", f"a map at {path} would replace all that is there; written as one patch per leaf"
                )
            node = self._expand(f"{where}.value", value, elements, target)
        _insert(tree, elements, node)

    def _expand(self, where: str, value: Any, at: list[str], target: tuple[str, str]) -> Any:
        """The tree that merging `value` at the path `at` means."""
        if isinstance(value, Mapping):
            branch: _Branch = {}
            for name, item in value.items():
                if not _KEY.fullmatch(str(name)) or "//" in str(name):
                    self.refuse(
                        where,
                        f"{name!r} can't be named in an overlay's path; set the map that holds it by a path of its own",
                    )
                elif item is None:
                    branch[str(name)] = _Delete()
                else:
                    branch[str(name)] = self._expand(f"{where}.{name}", item, [*at, str(name)], target)
            return branch or _Leaf({})
        if isinstance(value, list):
            merge_key = KEYED_LISTS.get(at[-1])
            if merge_key and value and all(isinstance(item, Mapping) and merge_key in item for item in value):
                return {
                    f"[{merge_key}:{item[merge_key]}]": self._expand(
                        f"{where}[{number}]", {k: v for k, v in item.items() if k != merge_key}, [*at, "[]"], target
                    )
                    for number, item in enumerate(value)
                }
            return _Leaf([self._typed_item(where, item, at) for item in value])
        return _Leaf(self._typed(where, value, at))

    def _typed_item(self, where: str, item: Any, at: list[str]) -> Any:
        if isinstance(item, Mapping):
            return {k: self._typed_item(f"{where}.{k}", v, [*at, str(k)]) for k, v in item.items()}
        if isinstance(item, list):
            return [self._typed_item(where, each, at) for each in item]
        return self._typed(where, item, at)

    def _typed(self, where: str, value: Any, at: list[str]) -> Any:
        """`value` in the type that Kubernetes wants at this place, where only one can be meant."""
        if len(at) > 1 and (at[-2] in _TEXT_MAPS or (at[-1] == "value" and "env" in at)):
            if isinstance(value, str):
                return value
            text = str(value).lower() if isinstance(value, bool) else str(value)
            self.note(
                where,
                f"{value!r} written as the text {text!r}, which is all that {at[-2].strip('[]') or 'env'} can hold",
            )
            return text
        if at[-1] in _BOOLEANS and not isinstance(value, bool):
            return self._boolean(value, where)
        if at[-1] in _INTEGERS and isinstance(value, str) and value.isdecimal():
            self.note(where, f"the text {value!r} written as a number")
            return int(value)
        return value

    def _boolean(self, value: Any, where: str) -> Any:
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            self.note(where, f"the text {value!r} written as true or false: Istio hands texts on as they are")
            return value.strip().lower() == "true"
        self.refuse(where, f"{value!r} must be true or false")
        return value

    def _patches(self, where: str, node: Any, shape: Any, at: list[str]) -> Iterator[dict[str, Any]]:
        """The leaf patches that carry out `node` on an object of this shape."""
        path = format_path(at)
        if at[-1:] == ["env"] and isinstance(node, dict) and "containers" in at:
            yield from self._env(where, node, at)
        elif isinstance(node, dict) and isinstance(shape, dict):
            for element, child in node.items():
                if element.startswith("["):
                    self.refuse(where, f"{path} is a map, so {element} selects nothing in it")
                else:
                    yield from self._patches(where, child, shape.get(element, _MISSING), [*at, element])
        elif isinstance(node, dict) and isinstance(shape, list):
            yield from self._items(where, node, shape, at)
        elif isinstance(node, dict) and shape is not _MISSING:
            self.refuse(where, f"{path} holds a single value, so {next(iter(node))} can't be set in it")
        elif isinstance(node, _Delete):
            yield from self._deletion(where, shape, at)
        elif isinstance(node, dict) and self.known.creates_missing_parents and not any(e.startswith("[") for e in node):
            # a path makes what it goes through, so that nothing is replaced that is there all the same
            for element, child in node.items():
                yield from self._patches(where, child, _MISSING, [*at, element])
        else:
            yield from self._value(where, node, shape, at)

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
        value = self._build(where, node, at)
        if isinstance(shape, dict) and isinstance(node, _Leaf) and value == {}:
            return  # an empty map adds nothing to a map that is there
        if isinstance(shape, dict) and not isinstance(value, dict):
            self.refuse(where, f"{path} is a map; {value!r} would replace it. Name the key inside it")
        elif isinstance(shape, list) and not isinstance(value, list):
            self.refuse(where, f"{path} is a list; {value!r} would replace it. Write the whole list")
        else:
            yield {"path": path, "value": value}

    def _items(self, where: str, node: _Branch, shape: list[Any], at: list[str]) -> Iterator[dict[str, Any]]:
        path = format_path(at)
        added = 0
        for element, child in node.items():
            inside = element[1:-1]
            if not element.startswith("["):
                self.refuse(where, f"{path} is a list: select an item, as {path}.[name:istio-proxy].{element}")
            elif re.fullmatch(r"-?\d+", inside):
                if 0 <= int(inside) < len(shape):
                    yield from self._patches(where, child, shape[int(inside)], [*at, element])
                elif int(inside) == -1 or int(inside) >= len(shape) + added:
                    yield from self._append(where, child, shape, at, added)
                    added += 1
                else:
                    self.refuse(
                        where, f"{path}.{element}: there is no such item; select it by its name, as [name:istio-proxy]"
                    )
            elif (parts := inside.split(":", 1))[0] and len(parts) == 2:
                item = next((i for i in shape if isinstance(i, dict) and str(i.get(parts[0])) == parts[1]), None)
                if item is not None:
                    yield from self._patches(where, child, item, [*at, element])
                elif isinstance(child, _Delete):
                    self.refuse(
                        where, f"{path}.{element} selects nothing, which fails the whole gateway in Istio {self.istio}"
                    )
                else:
                    yield from self._append(where, child, shape, at, added, {parts[0]: parts[1]})
                    added += 1
            else:  # an entry of a list of texts, by pattern; which there are depends on the mesh's values
                yield from self._patches(where, child, "…", [*at, element])

    def _append(
        self,
        where: str,
        child: Any,
        shape: list[Any],
        at: list[str],
        added: int,
        named: Mapping[str, str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """A new item. Up to 1.6 [-1] panics but a list grows at an index that is its length, so that must be certain."""
        path = format_path(at)
        if self.known.appends_at_minus_one:
            value = self._build(where, child, [*at, "[]"])
            yield {
                "path": format_path([*at, "[-1]"]),
                "value": {**(named or {}), **value} if isinstance(value, dict) else value,
            }
            return
        if at[-1] != "containers" or self.own_values.get("sds"):
            fix = "set k8s.tolerations" if at[-1] == "tolerations" else f"use values.gateways.{self.chart}.secretVolumes"
            if at[-1] not in ("tolerations", "volumes", "volumeMounts"):
                fix = f"patch {path} with the whole list"
            self.refuse(
                where,
                f"{path}: an item can't be added safely in Istio {self.istio} ([-1] crashes the operator, and how long the list "
                f"is depends on the mesh's values); {fix}",
            )
            return
        index = len(shape) + added
        value = self._build(where, child, [*at, "[]"])
        if isinstance(value, dict):
            value = {**(named or {}), **value}
        self.note(where, f"{path}: the item is appended as [{index}], since [-1] crashes Istio {self.istio}'s operator")
        yield {"path": format_path([*at, f"[{index}]"]), "value": value}

    def _env(self, where: str, node: _Branch, at: list[str]) -> Iterator[dict[str, Any]]:
        """Environment variables go to k8s.env, which the operator merges by name before overlays, whether they exist or not."""
        path = format_path(at)
        if at[-2] not in ("[name:istio-proxy]", "[0]"):
            self.refuse(where, f"{path}: only istio-proxy's environment can be set here")
            return
        for element, child in node.items():
            name = element[6:-1] if element.startswith("[name:") else None
            if isinstance(child, _Delete):
                if name is None:
                    self.refuse(where, f"{path}.{element}: select the variable to delete by its name, as [name:…]")
                else:
                    yield {"path": format_path([*at, element])}
                continue
            value = self._build(where, child, [*at, element])
            if not isinstance(value, dict) or not (name := name or value.get("name")):
                self.refuse(where, f"{path}.{element}: a variable needs its name and a value or valueFrom")
                continue
            self.note(
                where,
                f"{path}: {name} is set through k8s.env, which adds or changes it; an overlay can do only one of the two",
            )
            self.moved_env[str(name)] = {"name": str(name), **value}

    def _build(self, where: str, node: Any, at: list[str]) -> Any:
        """The plain value of a tree that stands where nothing is yet."""
        if isinstance(node, _Leaf):
            return node.value
        if isinstance(node, _Delete):
            self.refuse(where, f"{format_path(at)} has no value and nothing is there to delete")
            return None
        if node and all(element.startswith("[") for element in node):
            items = []
            for element, child in node.items():
                item = self._build(where, child, [*at, element])
                selector = element[1:-1].split(":", 1)
                items.append(
                    {selector[0]: selector[1], **item} if len(selector) == 2 and isinstance(item, dict) else item
                )
            return items
        return {element: self._build(where, child, [*at, element]) for element, child in node.items()}

    def _ports(self, k8s: dict[str, Any], written: Mapping[tuple[str, str], list[dict[str, Any]]]) -> None:
        """Cuts the ports that were not asked for, in the Service and, where the pod shares the node's network, in the pod."""
        service = k8s.get("service")
        own = self.own_values
        wished = next((p["value"] for p in written.get(("Service", self.name), []) if p["path"] == "spec.ports"), None)
        asked = ".k8s.overlays for Service spec.ports"
        from_setting = False
        if wished is None and isinstance(service, Mapping) and service.get("ports"):
            wished, asked, from_setting = service["ports"], ".k8s.service.ports", True
        if wished is None:
            wished, asked = own.get("ports"), ""
        if wished is not None:
            if not isinstance(wished, list) or not all(
                isinstance(p, Mapping) and isinstance(p.get("port"), int) for p in wished
            ):
                self.refuse(asked, "must be a list of ports, each with name, port and targetPort")
                return
            self.ports = [dict(port) for port in wished]
        if self.host_network:
            self._cut_host_ports(own, k8s)
        elif from_setting and "ports" not in own and self.known.service_ports == "added":
            self.values["ports"] = _chart_ports(self.ports or (), ("name", "port", "targetPort", "nodePort"))
            self.note(
                asked,
                f"Istio {self.istio} merges it by port and cuts none, so the same list is set as values.gateways.{self.chart}.ports",
            )
        if self.known.service_ports == "whole":
            self._whole_ports(k8s)

    def _whole_ports(self, k8s: dict[str, Any]) -> None:
        """From 1.6 on k8s.service.ports is the list for Service and pod (translate.go, applyGatewayTranslations), empty if left out."""
        service = k8s.get("service")
        if not isinstance(service, Mapping) and self.ports is None:
            return
        service = dict(service) if isinstance(service, Mapping) else {}
        inherits = self.known.merges_gateways and self.name == self.chart
        if not service.get("ports") and (self.ports is not None or not inherits):
            if self.ports is None:
                self.note(".k8s.service", f"Istio {self.istio} takes a service without ports as one of no port; the chart's are written out")
            service["ports"] = self.ports or [dict(port) for port in self.known.chart_ports[self.kind]]
            k8s["service"] = service

    def _one_pod_a_node(self, k8s: dict[str, Any], patches: list[dict[str, Any]]) -> None:
        """What host network takes besides the ports, where its author left it out."""
        paths = [patch["path"] for patch in patches]
        if "spec.template.spec.dnsPolicy" not in paths:
            patches.append({"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"})
            self.note(
                "",
                "hostNetwork asks the node's own DNS, which does not know istiod, so dnsPolicy ClusterFirstWithHostNet",
            )
        if "strategy" not in k8s and not any(path.startswith("spec.strategy") for path in paths):
            k8s["strategy"] = {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
            self.note(
                "",
                "hostNetwork leaves a new pod no port before the old one has gone, so maxUnavailable 100 % and maxSurge 0",
            )

    def _cut_host_ports(self, own: Mapping[str, Any], k8s: Mapping[str, Any]) -> None:
        values = f"values.gateways.{self.chart}"
        if not own.get("autoscaleEnabled") and not k8s.get("hpaSpec"):
            self.values["autoscaleEnabled"] = False  # two gateways can't share a node's ports
        elif own.get("autoscaleEnabled"):
            self.note(
                "", f"{values}.autoscaleEnabled: a second replica on the same node can't have the same host ports"
            )
        if self.known.mesh_expansion_ports and "meshExpansionPorts" not in own:
            self.values["meshExpansionPorts"] = []
        if self.ports is None:
            self.note(
                "", "hostNetwork makes every container port a port of the node; list the service's ports to cut them"
            )
            return
        if self.known.service_ports == "added" and "ports" not in own:
            self.values["ports"] = _chart_ports(self.ports, ("name", "port", "targetPort"))
        low = [str(port) for port in pod_ports(self.ports, self.known) if port < 1024]
        if low and not self.known.gateway_runs_as_root and "runAsRoot" not in own:
            self.values["runAsRoot"] = True
            self.note("", f"ports {', '.join(low)} of the node take root, which Istio {self.istio} gives up: {values}.runAsRoot")
        listed = ", ".join(str(port["port"]) for port in self.ports)
        how = values if self.known.service_ports == "added" else "k8s.service.ports"
        self.note(
            "",
            f"hostNetwork makes every container port a port of the node, so the pod's are cut to the service's ({listed}) by {how}",
        )


def gateway_chart(kind: GatewayKind) -> str:
    """The key in spec.values.gateways for all gateways of a kind, which is also the name of the profiles' own."""
    return f"istio-{kind}gateway"


def pod_ports(ports: Sequence[Mapping[str, Any]], known: Release) -> list[int]:
    """The container ports that a gateway's chart makes of its service's: 1.5's of `port`, later ones' of `targetPort`."""
    numbers = []
    for port in ports:
        target = port.get("targetPort") if known.service_ports == "whole" else None
        numbers.append(target if isinstance(target, int) and target else port["port"])
    return numbers


def _chart_ports(ports: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[dict[str, Any]]:
    """Ports in the form of the chart's values, which know fewer keys (1.5.0: PortsConfig) and refuse all others."""
    return [{key: port[key] for key in known if key in port} for port in ports]


def _insert(tree: _Branch, elements: Sequence[str], node: Any) -> None:
    """Puts `node` at the path; maps merge, everything else replaces what an earlier patch said."""
    *parents, last = elements
    for element in parents:
        child = tree.get(element)
        if not isinstance(child, dict):
            child = tree[element] = _branch_of(child)
        tree = child
    known = tree.get(last)
    if isinstance(known, dict) and isinstance(node, dict):
        for element, child in node.items():
            _insert(known, [element], child)
    else:
        tree[last] = node


def _branch_of(node: Any) -> _Branch:
    """An earlier value at a path that a later patch goes through."""
    if isinstance(node, _Leaf) and isinstance(node.value, Mapping):
        return {str(k): _Leaf(v) for k, v in node.value.items()}
    return {}


def _merge_named(given: Sequence[Any], more: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    kept = [item for item in given if not (isinstance(item, Mapping) and item.get("name") in more)]
    return [*kept, *(dict(item) for item in more.values())]


def merge_under(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with what of `more` it does not say itself; maps are merged, lists are not."""
    merged = dict(values)
    for key, value in more.items():
        if key not in merged:
            merged[key] = deepcopy(value)
        elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
            merged[key] = merge_under(merged[key], value)
    return merged
