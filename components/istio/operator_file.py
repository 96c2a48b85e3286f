"""A whole IstioOperator written by others, as settings: it goes through the same models and checks as the keys of a stack.

Pure but for reading the file. Source: Istio 1.5.0, operator/pkg/apis/istio/v1alpha1 (the spec's fields).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

OWN_KEYS: Mapping[str, str] = {
    "profile": "profile",
    "hub": "hub",
    "tag": "version",
    "meshConfig": "meshConfig",
    "addonComponents": "addonComponents",
    "values": "values",
}
"""Keys of an IstioOperator's spec that are one key of `istio` each."""

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
        documents = [document for document in yaml.safe_load_all(file.read_text()) if document is not None]
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
    problems = [
        f"{shown} holds {document.get('kind')} too, which is not applied; take it out, and apply it another way"
        for document in documents
        if document is not operator and not _is_its_namespace(document, found.get("namespace", "istio-system"))
    ]
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


def _is_its_namespace(document: Mapping[str, Any], namespace: str) -> bool:
    metadata = document.get("metadata")
    return document.get("kind") == "Namespace" and isinstance(metadata, Mapping) and metadata.get("name") == namespace


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
