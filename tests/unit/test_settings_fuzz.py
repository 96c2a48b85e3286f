"""Whatever a stack's file says: settings, or one message of bounded length whose every line begins with a key. Never a traceback.

By mutation of the four stack files and by what the JSON schema describes, right and wrong.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import fields
from components.config.base import MOST_PROBLEMS, SettingsError
from components.config.load import parse_and_plan
from components.config.validate import remarks
from devtools import stack_files
from tests.project import ROOT, config_of

Config = dict[str, Any]
Path = tuple[str | int, ...]


STACKS = {file.name: config_of(file.read_text()) for file in sorted(ROOT.glob("Pulumi.*.yaml"))}


def refused(config: Any) -> tuple[str, ...]:
    """The problems of a configuration; none when it is taken. Anything else than these two is a failure."""
    try:
        found = parse_and_plan(config, "dev")
    except SettingsError as error:
        told = error
    else:
        assert all(line.startswith("sealos-istio:") for line in remarks(*found, config))
        return ()
    assert len(told.problems) <= MOST_PROBLEMS + 1
    for line in told.problems:
        assert line.startswith("sealos-istio:"), line
        assert len(line) <= fields.LONGEST_LINE + 60, line
    assert len(str(told)) < (MOST_PROBLEMS + 3) * (fields.LONGEST_LINE + 70)
    str(told).encode()  # or it could not be printed
    return told.problems


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*at, key))


def changed(config: Config, at: Path, change: Callable[[Any, Any], object]) -> Config:
    found = copy.deepcopy(config)
    holder: Any = found
    for key in at[:-1]:
        holder = holder[key]
    change(holder, at[-1])
    return found


_TEXTS = st.text(max_size=12) | st.sampled_from(
    ["", " ", "a" * 100_000, "\0", "a\nb", ".", "..", "-", "://", "[-1]", "[name:", "\ud800", "é", "192.168.0.2-192.168.0.5", "10.0.0.0/8", "v1.16.3", "null"]
)  # fmt: skip
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([0, -1, 1 << 70]) | st.floats() | _TEXTS
)
_ODD = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2), max_leaves=4
)


@settings(max_examples=150)
@given(data=st.data())
def test_a_stack_file_with_an_odd_value_somewhere(data: st.DataObject) -> None:
    config = STACKS[data.draw(st.sampled_from(sorted(STACKS)))]
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(list(places(config))))
        what = data.draw(st.sampled_from(["put", "put", "add", "drop"]))
        odd = data.draw(_ODD)
        name = data.draw(_TEXTS)

        def change(holder: Any, key: Any, what: str = what, odd: Any = odd, name: str = name) -> None:
            if what == "drop":
                del holder[key]
            elif what == "add" and isinstance(holder, dict):
                holder[name] = odd
            else:
                holder[key] = odd

        config = changed(config, at, change)
    refused(config)


def from_schema(about: Any, known: Any) -> st.SearchStrategy[Any]:
    """What a part of the schema describes; a tree without a description is anything."""
    if about is True or about == {}:
        return _ODD
    if "$ref" in about:
        return from_schema(known[about["$ref"].removeprefix("#/$defs/")], known)
    if "const" in about or "enum" in about:
        return st.sampled_from(about.get("enum") or [about["const"]])
    if "anyOf" in about:
        return st.one_of([from_schema(one, known) for one in about["anyOf"]])
    kind = about["type"]
    if kind == "object":
        return objects(about, known)
    if kind == "array":
        return st.lists(from_schema(about.get("items", {}), known), min_size=about.get("minItems", 0), max_size=3)
    if kind == "string":
        return st.from_regex(re.compile(about["pattern"])) if "pattern" in about else _TEXTS
    simple: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(about.get("minimum"), about.get("maximum")),
        "number": st.floats(allow_nan=False),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple[kind]


def objects(about: Any, known: Any) -> st.SearchStrategy[Any]:
    named = {key: from_schema(inner, known) for key, inner in about.get("properties", {}).items()}
    needed = {key: named.pop(key) for key in about.get("required", ()) if key in named}
    if named or needed:
        return st.fixed_dictionaries(needed, optional=named)
    keys = from_schema(about["propertyNames"], known) if "propertyNames" in about else _TEXTS
    return st.dictionaries(keys, from_schema(about.get("additionalProperties", True), known), max_size=2)


SCHEMA = stack_files.schema()


@settings(max_examples=40)
@given(part=from_schema(SCHEMA["properties"]["config"], SCHEMA["$defs"]), name=st.sampled_from(sorted(STACKS)))
def test_a_stack_that_the_schema_describes(part: Config, name: str) -> None:
    """Alone, and each section in the place of a good stack's, so that what goes together is judged, too."""
    config = {key.removeprefix("sealos-istio:"): value for key, value in part.items()}
    refused(config)
    for key in set(config) & {"masters", "nodes", "ssh", "cluster", "istio", "dashboards"}:
        refused(STACKS[name] | {key: config[key]})


def overlay(**change: Any) -> Config:
    good = {"kind": "Deployment", "name": "istio-ingressgateway", "patches": []}
    return {"version": "1.5.0", "ingressGateways": [{"k8s": {"overlays": [good | change]}}]}


def selector(value: Any) -> Config:
    return {"version": "1.5.0", "ingressGateways": [{"k8s": {"nodeSelector": {"kubernetes.io/hostname": value}}}]}


MISSHAPEN: tuple[Any, ...] = ({}, {"a": "b"}, [], ["a"])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("cluster", {"name": "192.168.0.2-192.168.0.5"}, "cluster.name: '192.168.0.2-192.168.0.5' has a range of addresses in it", id="a range for a name"),
        pytest.param("cluster", {"name": "dev 10.0.0.1 - 10.0.0.9"}, "cluster.name: 'dev 10.0.0.1 - 10.0.0.9' has a range", id="a range in a name"),
        pytest.param("ssh", {"bastion": {"address": "bästion"}}, "ssh.bastion.address: 'bästion' is neither a host name nor an IPv4 address", id="letters of no host name"),
        pytest.param("ssh", {"bastion": {"address": "10.0.0.256"}}, "ssh.bastion.address: '10.0.0.256' is neither", id="no address"),
        pytest.param("ssh", {"bastion": {"address": "2001:db8::7"}}, "ssh.bastion.address: '2001:db8::7' is neither a host name nor an IPv4", id="IPv6"),
        pytest.param("ssh", {"bastion": {"address": "root@host"}}, "ssh.bastion.address: 'root@host' is neither", id="with a user"),
        pytest.param("ssh", {"bastion": {"address": "host:22"}}, "ssh.bastion.address: 'host:22' is neither", id="with a port"),
        pytest.param("istio", {"cni": {"excludeNamespaces": ["a" * 100_000]}}, "istio.cni.excludeNamespaces[0] is 100000 characters long", id="long entry"),
        pytest.param("cluster", {"certSans": ["a" * 100_000]}, "cluster.certSans[0] is 100000 characters long", id="long name"),
        pytest.param("istio", {"values": {"a": {"b": "\0"}}}, "istio.values.a.b holds the character '\\x00', which is no text", id="NUL"),
        pytest.param("istio", {"values": {"a" * 400: 1}}, "istio.values has the key 'aaaa", id="long key"),
        pytest.param("istio", {"cni": {"excludeNamespaces": ["Kube"]}}, "istio.cni.excludeNamespaces: 'Kube' is no name", id="namespace"),
        *(pytest.param("istio", selector(value), "istio.ingressGateways[0].k8s: nodeSelector.kubernetes.io/hostname must be a text", id=f"selector {value}") for value in MISSHAPEN),
        *(pytest.param("istio", overlay(name=value), "istio.ingressGateways[0].k8s: overlays[0].name must be a text", id=f"name {value}") for value in (*MISSHAPEN, 7)),
        *(pytest.param("istio", overlay(kind=value), "istio.ingressGateways[0].k8s: overlays[0].kind must be a text", id=f"kind {value}") for value in MISSHAPEN),
        *(pytest.param("istio", overlay(apiVersion=value), f"overlays[0].apiVersion: {value!r} is no version of an API", id=f"version {value}") for value in (".", "apps", "/v1", "apps/", "v1/apps")),
        pytest.param("istio", {"components": {"pilot": {"k8s": {"overlays": [{"name": []}]}}}}, "istio.components: pilot.k8s.overlays[0].name must be a text", id="pilot"),
        *(
            pytest.param("istio", {"ingressGateways": [{"k8s": {key: {"a": value}}}]}, f"k8s: {key}.a must be a text, not {value!r}; write it in quotes", id=f"{key} {value}")
            for key, value in (("nodeSelector", 5), ("podAnnotations", 15020), ("serviceAnnotations", True))
        ),
        pytest.param("istio", {"cni": {"k8s": {"env": [{"name": "A", "value": 5}]}}}, "istio.cni.k8s: env[0].value must be a text, not 5", id="env"),
        pytest.param("istio", {"components": {"pilot": {"k8s": {"env": ["A"]}}}}, "istio.components: pilot.k8s.env[0] must be an object with name and value, not 'A'", id="env of texts"),
        pytest.param("istio", {"cni": {"k8s": {"overlays": [{"kind": "DaemonSet", "name": "istio-cni-node", "patches": 5}]}}}, "istio.cni.k8s.overlays[0].patches: must be a list", id="patches"),
        pytest.param("istio", {"ingressGateways": [{"k8s": {"service": "NodePort"}}]}, "k8s: service must be an object, not 'NodePort'", id="service"),
        pytest.param("istio", {"cni": {"k8s": {"tolerations": {}}}}, "istio.cni.k8s: tolerations must be a list", id="tolerations"),
    ],
)  # fmt: skip
def test_odd_values_are_refused_by_key(key: str, value: Any, expected: str) -> None:
    found = refused(STACKS["Pulumi.dev.yaml"] | {key: value})
    assert any(line.startswith("sealos-istio:") and expected in line for line in found), found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cluster", {"name": "dev-2"}),
        ("istio", overlay(apiVersion="apps/v1")),
        ("istio", overlay(apiVersion="v1")),
        ("istio", overlay(apiVersion=None, name=None)),
        ("istio", {"meshConfig": {"text": "a" * 60_000}}),
    ],
)
def test_their_right_neighbours_are_taken(key: str, value: Config) -> None:
    assert refused(STACKS["Pulumi.dev.yaml"] | {key: value}) == ()


@pytest.mark.parametrize("address", ["bastion", "Bastion.Example.org", "jump_host.example.org", "192.0.2.7"])
def test_a_bastion_by_name_or_address(address: str) -> None:
    bastion = {"address": address, "hostKey": STACKS["Pulumi.walkthrough.yaml"]["masters"][0].get("hostKey")}
    found = refused(STACKS["Pulumi.dev.yaml"] | {"ssh": {"hostKeys": "unverified", "privateKeyFile": "key", "bastion": bastion}})
    assert not any("bastion.address" in line for line in found)


def test_a_long_wrong_value_is_cut_and_the_reason_stays() -> None:
    (problem,) = refused(STACKS["Pulumi.dev.yaml"] | {"pakage" * 20_000: 1})
    assert re.fullmatch(r"sealos-istio:(pakage)+p?a?k?a?g?e? … \(\d+ characters are left out here\) … .*", problem)
    assert problem.endswith(", istio, dashboards")
    (problem,) = refused(STACKS["Pulumi.dev.yaml"] | {"cluster": {"vip": "1" * 60_000}})
    assert problem.startswith("sealos-istio:cluster.vip: '111")
    assert problem.endswith("is no IPv4 address; sealos v3 takes neither names nor IPv6")


def test_many_problems_are_counted() -> None:
    found = refused(STACKS["Pulumi.dev.yaml"] | {"nodes": ["x"] * 10_000})
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1] == f"sealos-istio: … and {10_000 - MOST_PROBLEMS} more of them"


def test_a_section_that_is_too_deep() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    (problem,) = refused(STACKS["Pulumi.dev.yaml"] | {"istio": {"version": "1.5.0", "values": deep}})
    assert problem.endswith("is more than 32 levels deep")
