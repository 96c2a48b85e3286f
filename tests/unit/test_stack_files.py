"""Stack files: the schema fits the settings, every stack's file fits the schema and states no default, and new ones are good."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from components.config.base import PROJECT, SettingsError
from components.config.load import parse
from devtools import parts, stack_files
from devtools.__main__ import app
from devtools.stack_files import Answers, StackFileError
from tests.project import ROOT

FILES = sorted(ROOT.glob("Pulumi.*.yaml"))
SHORT = ("staging", "prod")
"""The stacks that state only what differs; the walk-through's spell its page out on purpose."""


def loaded(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def settings_of(config: dict[str, Any], stack: str = "x") -> Any:
    values = {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}
    return parse(values, stack)


def test_a_schema_that_is_behind_the_settings_fails_make_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = stack_files.schema_text()
    monkeypatch.setattr(stack_files, "schema_text", lambda: schema)
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    assert CliRunner().invoke(app, ["schema"]).exit_code == 0
    assert CliRunner().invoke(app, ["schema", "--check"]).exit_code == 0
    (tmp_path / stack_files.SCHEMA).write_text(schema.replace("podCidr", "podcidr"))
    behind = CliRunner().invoke(app, ["schema", "--check"])
    assert behind.exit_code == 1
    assert "tools schema --check" in (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = stack_files.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_stack_file_fits_the_schema_and_names_it(file: Path, validator: jsonschema.Draft202012Validator) -> None:
    assert file.read_text().startswith(stack_files.MODELINE + "\n")
    assert [error.message for error in validator.iter_errors(loaded(file))] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update({f"{PROJECT}:pakage": "x"}),
        lambda c: c[f"{PROJECT}:cluster"].update(kuberntesVersion="v1.16.3"),
        lambda c: c[f"{PROJECT}:masters"][0].pop("address"),
        lambda c: c[f"{PROJECT}:masters"][0].update(role="node"),
        lambda c: c.update({f"{PROJECT}:password": "plain"}),
        lambda c: c[f"{PROJECT}:istio"].update(profile="dem"),
        lambda c: c[f"{PROJECT}:cluster"].update(protect="yes"),
    ],
)
def test_the_schema_finds_what_the_program_would_refuse(
    change: Any, validator: jsonschema.Draft202012Validator
) -> None:
    document = loaded(ROOT / "Pulumi.prod.yaml")
    assert validator.is_valid(document)
    change(document["config"])
    assert not validator.is_valid(document)


def test_editors_show_the_models_own_words() -> None:
    found = stack_files.schema()
    assert (
        found["$defs"]["ClusterSettings"]["properties"]["podCidr"]["description"]
        == "IPv4 networks of pods and services."
    )
    for model in ("Ssh", "Machine", "CniSettings"):
        assert all("description" in about for about in found["$defs"][model]["properties"].values()), model


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("stack", SHORT)
def test_a_stack_file_states_only_what_differs(stack: str) -> None:
    config = loaded(ROOT / f"Pulumi.{stack}.yaml")["config"]
    wanted = settings_of(config)
    assert wanted.istio is not None
    for path in leaves(config):
        without = copy.deepcopy(config)
        place = without
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        try:
            unchanged = settings_of(without) == wanted
        except SettingsError:
            unchanged = False
        assert not unchanged, f"{'.'.join(map(str, path))} says what is the default anyway"


def test_prod_is_highly_available_and_protected() -> None:
    prod = settings_of(loaded(ROOT / "Pulumi.prod.yaml")["config"])
    assert (len(prod.masters), prod.cluster.protect) == (3, True)


GOOD = Answers("blue", ("m1=192.0.2.1",), ("n1=192.0.2.2", "n2=192.0.2.3"), "known_hosts.blue", profile="demo")


def test_a_new_stack_is_written_once_and_is_good(tmp_path: Path, validator: jsonschema.Draft202012Validator) -> None:
    file = stack_files.write(GOOD, tmp_path)
    document = loaded(file)
    assert validator.is_valid(document)
    assert set(document["config"]) == {f"{PROJECT}:{key}" for key in ("ssh", "masters", "nodes", "istio")}
    assert settings_of({**document["config"], f"{PROJECT}:password": "p"}).istio.profile == "demo"
    with pytest.raises(StackFileError, match="is there already"):
        stack_files.write(GOOD, tmp_path)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (Answers("b", ("m1",), (), "k"), "'m1' is no machine: write host=address"),
        (Answers("B!", ("m1=192.0.2.1",), (), "k"), "'B!' is no name for a stack"),
        (Answers("b", ("m1=192.0.2.1", "m2=192.0.2.2"), (), "k"), "an even number of etcd members"),
        (Answers("b", ("m1=192.0.2.1",), (), "k", kubernetes="1.16"), "is no version of the form v1.16.3"),
        (Answers("b", ("m1=192.0.2.1",), (), "k", profile="dem"), "sealos-istio:istio.profile"),
    ],
)
def test_wrong_answers_write_nothing(answers: Answers, expected: str, tmp_path: Path) -> None:
    with pytest.raises(StackFileError, match=expected):
        stack_files.write(answers, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_asks_for_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = stack_files.write
    monkeypatch.setattr(stack_files, "write", lambda answers: write(answers, tmp_path))
    asked = CliRunner().invoke(
        app,
        ["new-stack", "green", "--nodes", "n1=192.0.2.2", "--profile", ""],
        input="m1=192.0.2.1\nknown_hosts.green\n\n\ny\n",
    )
    assert asked.exit_code == 0, asked.output
    assert "Masters" in asked.output
    assert "Nodes" not in asked.output
    assert "pulumi config set --stack green --secret sealos-istio:password" in asked.output
    assert loaded(tmp_path / "Pulumi.green.yaml")["config"][f"{PROJECT}:cluster"] == {"protect": True}
    assert json.dumps(loaded(tmp_path / "Pulumi.green.yaml")).count('istio"') == 0
