"""A whole IstioOperator written by others, as settings: it goes through the same models and checks as the keys of a stack.

Pure but for reading the file. Source: Istio 1.5.0, operator/pkg/apis/istio/v1alpha1 (the spec's fields).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.documents import load_all

OWN_KEYS: Mapping[str, str] = {
    "profile": "profile",
    "hub": "hub",
    "tag": "version",
    "meshConfig": "meshConfig",
    "addonComponents": "addonComponents",
    "values": "values",
}
"""Keys of an IstioOperator's spec that are one key of `istio` each."""

_GROUP = "install.istio.io/"
_METADATA = frozenset(
    (
        *("name", "namespace", "labels", "annotations"),
        *("creationTimestamp", "finalizers", "generation", "managedFields", "resourceVersion", "selfLink", "uid"),
    )
)
"""Keys of metadata that are kept, and those that the API server and the operator add to one that was read from a cluster."""

CNI_VALUES: Mapping[str, str] = {
    "excludeNamespaces": "excludeNamespaces",
    "logLevel": "logLevel",
    "cniConfFileName": "configFile",
}
"""Keys of spec.values.cni that `istio.cni` has under a name of its own."""


def read(file: Path, shown: str) -> tuple[dict[str, Any], list[str]]:
    """The settings that an IstioOperator in a file stands for.

    Args:
        file: where it is.
        shown: how the user named it.

    Returns:
        What `istio` would say in the stack's file, and what is wrong with the file, one line each.
    """
    try:
        documents = [document for document in load_all(file.read_text()) if document is not None]
    except OSError as error:
        return {}, [f"{shown} can't be read ({error.strerror}); it is looked for in the project's directory"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, [f"{shown} is no YAML: {' '.join(str(error).split())}"]
    if not all(isinstance(document, Mapping) for document in documents):
        return {}, [f"{shown} must hold objects of Kubernetes, each with kind and metadata"]
    operators = [document for document in documents if document.get("kind") == "IstioOperator"]
    if len(operators) != 1:
        return {}, [f"{shown} holds {len(operators)} objects of kind IstioOperator; it must be exactly one"]
    return _settings(operators[0], documents, shown)


def _settings(
    operator: Mapping[str, Any], documents: list[Mapping[str, Any]], shown: str
) -> tuple[dict[str, Any], list[str]]:
    metadata, spec = operator.get("metadata") or {}, operator.get("spec") or {}
    if not isinstance(metadata, Mapping) or not isinstance(spec, Mapping):
        return {}, [f"{shown}: metadata and spec must be objects"]
    found: dict[str, Any] = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    if kept := _labelled(metadata):
        found["metadata"] = kept
    problems = [f"{shown}: metadata.{key} is not supported; take it out" for key in metadata if key not in _METADATA]
    if not str(operator.get("apiVersion", _GROUP)).startswith(_GROUP):
        problems.append(f"{shown}: apiVersion is {operator['apiVersion']}; an IstioOperator's is {_GROUP}v1alpha1")
    problems += _beside(operator, documents, found, shown)
    for key, value in spec.items():
        if key in OWN_KEYS:
            found[OWN_KEYS[key]] = str(value) if key == "tag" else value
        elif key != "components":
            problems.append(f"{shown}: spec.{key} is not supported; take it out")
    components = spec.get("components") or {}
    if not isinstance(components, Mapping):
        return {}, [*problems, f"{shown}: spec.components must be an object"]
    rest = dict(components)
    for key in ("ingressGateways", "egressGateways"):
        if (gateways := rest.pop(key, None)) is not None:
            found[key] = gateways
    found["cni"] = _cni(rest.pop("cni", None), found)
    if rest:
        found["components"] = rest
    return found, problems


def _beside(
    operator: Mapping[str, Any], documents: list[Mapping[str, Any]], found: dict[str, Any], shown: str
) -> Iterator[str]:
    """Takes the labels and annotations of the mesh's Namespace; one line for everything else that the file holds."""
    for document in documents:
        if document is operator:
            continue
        if not _is_its_namespace(document, found.get("namespace", "istio-system")):
            yield f"{shown} holds {document.get('kind')} too, which is not applied; take it out, and apply it another way"
        elif kept := _labelled(document["metadata"]):
            found["namespaceMetadata"] = kept


def _is_its_namespace(document: Mapping[str, Any], namespace: str) -> bool:
    metadata = document.get("metadata")
    return document.get("kind") == "Namespace" and isinstance(metadata, Mapping) and metadata.get("name") == namespace


def _labelled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}


def of_global(values: Any) -> Mapping[str, Any]:
    """What the user's spec.values have in `global`; empty where that, or they, are no map."""
    found = values.get("global") if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def with_images(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with hub, version and tag as keys of their own, wherever they were written.

    Istio takes `values.global.hub` and `.tag` before `spec.hub` and `.tag`, so what stands there counts for every image. A tag
    may go on after the version, as `1.8.0-distroless`.

    Raises:
        ValueError: when two places say different things.
    """
    settings = dict(given)
    of_mesh = of_global(settings.get("values"))
    for key in ("hub", "tag"):
        there = of_mesh.get(key)
        if there is None:
            continue
        goes_on = str(there).startswith(f"{settings.get('version')}-")
        own = "hub" if key == "hub" else "tag" if "tag" in settings or goes_on else "version"
        if own in settings and str(settings[own]) != str(there):
            raise ValueError(
                f"{own} is {settings[own]!r}, but values.global.{key}, which Istio takes before it, is {there!r}; keep one of them"
            )
        settings[own] = str(there)
    for key in ("tag", "version"):
        tag = settings.get(key)
        numbers = re.match(r"\d+\.\d+\.\d+(?=-|$)", tag) if isinstance(tag, str) else None
        if numbers and numbers[0] != tag:
            settings.setdefault("tag", tag)
            if key == "version":
                settings["version"] = numbers[0]
        if numbers and key == "tag" and str(settings.setdefault("version", numbers[0])).partition("-")[0] != numbers[0]:
            raise ValueError(f"tag {tag} is of Istio {numbers[0]}, but version is {settings['version']}; write one of them")
    return settings


def image(hub: str, tag: str, values: Mapping[str, Any], variants: bool) -> str:
    """The proxy's image (1.5.0: manifests/gateways/istio-ingress/templates/deployment.yaml).

    Args:
        hub: where images come from.
        tag: as for all images.
        values: the user's spec.values.
        variants: whether the charts know values.global.variant.
    """
    of_mesh = of_global(values)
    proxy = of_mesh.get("proxy")
    name = str((proxy.get("image") if isinstance(proxy, Mapping) else None) or "proxyv2")
    variant = of_mesh.get("variant") if variants else None
    return name if "/" in name else f"{hub}/{name}:{tag}" + (f"-{variant}" if variant else "")


def pull_secrets(values: Mapping[str, Any]) -> Iterator[str]:
    """Names in values.global.imagePullSecrets, which its charts give to everything of the mesh but the operator."""
    names = of_global(values).get("imagePullSecrets")
    yield from (str(name) for name in (names if isinstance(names, list) else ()))


def _cni(component: Any, found: dict[str, Any]) -> Any:
    """The plugin's settings; what `istio.cni` has a key for moves there from the values."""
    # every profile leaves it off
    cni: Any = (
        dict(component) if isinstance(component, Mapping) else {"enabled": False} if component is None else component
    )
    values = found.get("values")
    if (
        not isinstance(values, Mapping)
        or not isinstance(cni, dict)
        or not isinstance(chart := values.get("cni"), Mapping)
    ):
        return cni
    cni |= {key: chart[name] for name, key in CNI_VALUES.items() if name in chart}
    left: dict[str, Any] = {name: value for name, value in chart.items() if name not in CNI_VALUES}
    found["values"] = {**{k: v for k, v in values.items() if k != "cni"}, **({"cni": left} if left else {})}
    return cni


def laid_over(given: Mapping[str, Any], file: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The file's settings with those of the stack that the file leaves open.

    Returns:
        The settings, and the keys that both state differently.
    """
    merged = dict(file)
    doubled: list[str] = []
    for key, value in given.items():
        if key == "cni" and isinstance(value, Mapping) and isinstance(file.get("cni"), Mapping):
            doubled += [f"cni.{k}" for k, v in value.items() if k in file["cni"] and file["cni"][k] != v]
            merged["cni"] = {**value, **file["cni"]}
        elif key in file and file[key] != value:
            doubled.append(key)
        else:
            merged[key] = value
    return merged, doubled
