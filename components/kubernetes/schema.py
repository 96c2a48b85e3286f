"""Whether objects are as the OpenAPI schema of a Kubernetes version has them: no unknown field, right types, all that is required.

The schemas are those that kubernetes-validate carries, one a minor release. Only its data is used, since its code goes by a
library that takes a quarter of a second to come up; jsonschema-rs takes a few hundredths for all that a mesh is made of.
No Pulumi here.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from components.kubernetes.rules import Finding, shown

_PREFIX = "#/definitions/"
_OVERRIDDEN: Mapping[str, Any] = {
    # its own decoder takes every number (k8s.io/apimachinery, pkg/api/resource/quantity.go); the schema says text or integer
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    # the same, in a form of which a failure names both types
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}
_WORDS: Mapping[str, str] = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a map",
    "array": "a list",
}


@dataclass(frozen=True)
class Schema:
    """The schema of a minor release.

    Attributes:
        minor: the release, as `1.16`.
        exact: whether it is the one that was asked for; False when that is newer than all there are, and this is the newest.
    """

    minor: str
    exact: bool

    def findings(self, known: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with an object; nothing for kinds that the schema doesn't have, as those that a CRD makes."""
        group, _, version = str(known.get("apiVersion", "")).rpartition("/")
        name = _names(self.minor).get((group, version, str(known.get("kind"))))
        if name is None:
            return []
        errors = _validator(self.minor, name).iter_errors(_plain(known))
        return [found for error in errors for found in self._said(error)]

    def _said(self, error: jsonschema_rs.ValidationError) -> Iterator[Finding]:
        path = tuple(error.instance_path)
        match error.kind:
            case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=keys):
                there = self._fields(error.schema_path)
                given: Any = error.instance
                for key in keys:
                    near = difflib.get_close_matches(key, there, 1)
                    hint = f", nearest {near[0]}" if near else ""
                    expected = f"a field that Kubernetes {self.minor} has there{hint}"
                    yield Finding((*path, key), expected, f"{key}: {shown(given[key])}")
            case jsonschema_rs.ValidationErrorKind.Required(property=key):
                yield Finding((*path, key), "a value, which is required", "none")
            case jsonschema_rs.ValidationErrorKind.Type(types=types):
                expected = " or ".join(_WORDS.get(kind, kind) for kind in types)
                yield Finding(path, expected, shown(error.instance))
            case _:
                yield Finding(path, f"what the schema says ({error.kind.name})", shown(error.instance))

    def _fields(self, at: Sequence[str | int]) -> list[str]:
        """The fields of the definition that an error's schema path leads through last."""
        node: Any = {"definitions": _definitions(self.minor)}
        for element in at[:-1]:
            node = node[element]
        return list(node.get("properties", ()))


def of(kubernetes: str) -> Schema:
    """The schema of a version of Kubernetes, as `v1.16.3`: its own, else that of the newest release there is."""
    wanted = tuple(int(number) for number in kubernetes.removeprefix("v").split(".")[:2])
    there = sorted(_releases())
    fitting = wanted if wanted in there else there[-1]
    minor = ".".join(map(str, fitting))
    return Schema(minor, fitting == wanted)


@cache
def _folder() -> Path:
    # found without importing it
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("kubernetes_validate")
    return Path(spec.submodule_search_locations[0], "kubernetes-json-schema")


@cache
def _releases() -> tuple[tuple[int, int], ...]:
    found = (re.fullmatch(r"v(\d+)\.(\d+)\.0-local-strict", folder.name) for folder in _folder().iterdir())
    return tuple((int(match[1]), int(match[2])) for match in found if match)


@cache
def _definitions(minor: str) -> dict[str, Any]:
    file = _folder() / f"v{minor}.0-local-strict" / "_definitions.json"
    definitions: dict[str, Any] = json.loads(file.read_bytes())["definitions"]
    return {**definitions, **_OVERRIDDEN}


@cache
def _names(minor: str) -> dict[tuple[str, str, str], str]:
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, definition in _definitions(minor).items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
    }


@cache
def _validator(minor: str, name: str) -> jsonschema_rs.Draft4Validator:
    definitions = _definitions(minor)
    needed: dict[str, Any] = {}
    open_ = [name]
    while open_:
        if (next_ := open_.pop()) not in needed:
            needed[next_] = definitions[next_]
            open_ += _referenced(definitions[next_])
    return jsonschema_rs.Draft4Validator({"$ref": f"{_PREFIX}{name}", "definitions": needed})


def _referenced(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        for value in schema.values():
            yield from _referenced(value)


def _plain(value: Any) -> Any:
    """As JSON has it, without nulls: the API server's decoder takes those for what isn't there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
