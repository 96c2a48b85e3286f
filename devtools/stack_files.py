"""Stack files: their JSON schema, made from the settings' models, and new ones from a few answers (docs/environments.md)."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from components.config.base import PROJECT, Model, SettingsError
from components.config.cluster import ClusterSettings
from components.config.hosts import Machine
from components.config.load import KEYS, NONE, parse
from components.config.stack import Settings
from devtools import parts

SCHEMA = "stack.schema.json"
"""The schema's file; a stack file names it in its first line, so that editors complete and check what is written."""

MODELINE = f"# yaml-language-server: $schema={SCHEMA}"


class StackFileError(Exception):
    """The stack's file can't be written; the text says why."""


# --- the schema ---------------------------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a stack's file."""
    sections = dict(_sections())
    models: list[type[BaseModel]] = [Machine, *sections.values()]
    refs, definitions = models_json_schema([(model, "validation") for model in models])
    found = definitions["$defs"]
    for model in _all_models(models):
        if model.__name__ in found:
            _describe(model, found[model.__name__])
    machine = found["Machine"]
    # its role is the list that it stands in
    machine["properties"].pop("role")
    machine["required"] = ["name", "address"]
    documented = yaml.safe_load((parts.ROOT / "Pulumi.yaml").read_text())["config"]
    keys: dict[str, Any] = {}
    for key in KEYS:
        about: dict[str, Any] = {"description": documented[f"{PROJECT}:{key}"]["description"]}
        if key in ("masters", "nodes"):
            about |= {"type": "array", "items": refs[(Machine, "validation")]}
        elif key in sections:
            about |= refs[(sections[key], "validation")]
            if documented[f"{PROJECT}:{key}"].get("default") == NONE:
                about["minProperties"] = 1  # empty, it is no way to say none
        else:
            about |= {"$ref": "#/$defs/Secret"}
        keys[f"{PROJECT}:{key}"] = about
    found["Secret"] = {
        "description": "A secret, as `pulumi config set --secret` writes it.",
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of sealos-istio",
        "description": "Made by `make schema` from components/config.",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": keys,
                "patternProperties": {"^(?!sealos-istio:)[^:]+:": True},
                "additionalProperties": False,
            },
            **{name: {"type": "string"} for name in ("encryptionsalt", "encryptedkey", "secretsprovider")},
            "environment": True,
        },
        "additionalProperties": False,
        "$defs": dict(sorted(found.items())),
    }


def schema_text() -> str:
    """The schema as its file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The keys that hold an object, each with its model."""
    for key, about in Settings.model_fields.items():
        for kind in (about.annotation, *get_args(about.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and key in KEYS:
                yield key, kind


def _all_models(models: Iterable[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The models of this program's settings, nested ones included."""
    yield from models
    left = Model.__subclasses__()
    while left:
        yield (model := left.pop())
        left += model.__subclasses__()


def _describe(model: type[BaseModel], found: dict[str, Any]) -> None:
    """Gives each property the words of the class's docstring."""
    told = attributes(inspect.getdoc(model) or "")
    for name, about in model.model_fields.items():
        if (text := told.get(name)) and (entry := found.get("properties", {}).get(about.alias or name)):
            entry["description"] = text
    found["description"] = (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")


def attributes(docstring: str) -> dict[str, str]:
    """What a Google-style docstring says about each attribute; a line may speak of several ("a, b: text")."""
    _, _, section = docstring.partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if not line.startswith("    "):
            break
        if entry := re.fullmatch(r"    ([a-z0-9_]+(?:, [a-z0-9_]+)*): (.*)", line):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


# --- a new stack --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What a new stack's file is made of.

    Attributes:
        name: the stack's.
        masters, nodes: the machines, as `host=address`.
        known_hosts: a known_hosts file with their keys.
        private_key_file: what to log in with; without one, a password is set as a secret afterwards.
        kubernetes: its version.
        profile: Istio's; empty for a cluster without a mesh.
        protect: whether Pulumi refuses to delete the cluster.
    """

    name: str
    masters: tuple[str, ...]
    nodes: tuple[str, ...]
    known_hosts: str
    private_key_file: str = ""
    kubernetes: str = "v1.16.3"
    profile: str = ""
    protect: bool = False


def config(answers: Answers) -> dict[str, Any]:
    """The configuration that the answers make: only what differs from the defaults.

    Raises:
        StackFileError: with everything that is wrong with them.
    """
    problems = [] if re.fullmatch(r"[a-z0-9][a-z0-9-]*", answers.name) else [f"{answers.name!r} is no name for a stack"]
    machines = {}
    for key, listed in (("masters", answers.masters), ("nodes", answers.nodes)):
        machines[key] = [dict(zip(("name", "address"), text.partition("=")[::2], strict=True)) for text in listed]
        problems += [f"{text!r} is no machine: write host=address" for text in listed if "=" not in text]
    if problems:
        raise StackFileError("\n".join(problems))
    ssh = {"knownHosts": answers.known_hosts}
    if answers.private_key_file:
        ssh["privateKeyFile"] = answers.private_key_file
    cluster: dict[str, Any] = {}
    if answers.kubernetes != ClusterSettings().kubernetes_version:
        cluster["kubernetesVersion"] = answers.kubernetes
    if answers.protect:
        cluster["protect"] = True
    # the mesh's key must be there, and not be empty, for there to be one
    istio = {"profile": answers.profile} if answers.profile else {}
    found = {"ssh": ssh, **machines, "cluster": cluster, "istio": istio}
    found = {key: value for key, value in found.items() if value}
    try:
        parse({**found, **({} if answers.private_key_file else {"password": "to come"})}, answers.name)
    except SettingsError as error:
        raise StackFileError(str(error)) from None
    return found


def text(name: str, found: Mapping[str, Any]) -> str:
    """The stack's file."""
    keys = {f"{PROJECT}:{key}": value for key, value in found.items()}
    body = yaml.safe_dump({"config": keys}, sort_keys=False, default_flow_style=False)
    return f"{MODELINE}\n# Stack {name}: what differs from the defaults (components/config, Pulumi.yaml).\n{body}"


def write(answers: Answers, directory: Path = parts.ROOT) -> Path:
    """Writes the stack's file; never over one that is there.

    Raises:
        StackFileError: it is there, or the answers make no stack.
    """
    file = directory / f"Pulumi.{answers.name}.yaml"
    content = text(answers.name, config(answers))
    try:
        with file.open("x") as handle:
            handle.write(content)
    except FileExistsError:
        raise StackFileError(f"{file.name} is there already; edit it, or remove it first.") from None
    return file


def next_steps(answers: Answers) -> list[str]:
    """What to do with a new stack's file, a command each."""
    addresses = " ".join(machine.partition("=")[2] for machine in (*answers.masters, *answers.nodes))
    steps = [
        f"ssh-keyscan -t ed25519 {addresses} >> {answers.known_hosts}   # compare the keys on the machines' consoles",
        f"pulumi stack init {answers.name}   # --secrets-provider=… for another than a passphrase",
    ]
    if not answers.private_key_file:
        steps.append(f"pulumi config set --stack {answers.name} --secret {PROJECT}:password")
    return [*steps, f"make preview STACK={answers.name}"]
