"""Finding Istio's renderer and reading what it prints; what it really makes of settings is in tests/lab/test_istio_versions_rendered.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from components.istio import renderer
from components.istio.readiness.model import Field, RenderedSet, Wanted, with_rendered
from components.istio.renderer import NOT_SHOWN, Absent, Rendered, RenderError

MANIFEST: dict[str, Any] = {"spec": {"profile": "empty"}}


def program(folder: Path, name: str, body: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_the_exact_name_is_taken_unasked(tmp_path: Path) -> None:
    program(tmp_path, "istioctl", "echo 1.26.0")
    exact = program(tmp_path, "istioctl-1.5.0", "exit 1")
    assert renderer.istioctl("1.5.0", str(tmp_path)) == exact


@pytest.mark.parametrize("said", ["1.5.0", "client version: 1.5.0"])
def test_an_istioctl_of_the_version_is_taken(tmp_path: Path, said: str) -> None:
    found = program(tmp_path, "istioctl", f"echo '{said}'")
    assert renderer.istioctl("1.5.0", str(tmp_path)) == found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "istioctl 1.5.0 is not on PATH"),
        ("echo client version: 1.26.0", "is 1.26.0, not 1.5.0"),
        ("exit 3", "is of no known version, not 1.5.0"),
    ],
)
def test_its_absence_is_said_with_the_reason(tmp_path: Path, body: str | None, words: str) -> None:
    if body:
        program(tmp_path, "istioctl", body)
    absent = renderer.istioctl("1.5.0", str(tmp_path))
    assert isinstance(absent, Absent)
    assert words in absent.reason


def test_a_line_of_log_between_objects_costs_nothing(tmp_path: Path) -> None:
    log = "2020-03-06T10:00:00.000000Z\\tinfo\\tProcess component Pilot"
    noisy = program(tmp_path, "istioctl", f"printf 'kind: Service\\n{log}\\nmetadata: {{name: a}}\\n---\\n'")
    assert [renderer.title(known) for known in renderer.render(MANIFEST, noisy).objects] == ["Service a"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'proto: noise' >&2; echo 'Error: no such key' >&2; exit 1", "^no such key$"),
        ("echo 'panic: runtime error: index out of range' >&2; exit 2", "crashes .*and so would the operator"),
        ("echo 'Error: json: no text: YAML:' >&2; echo 'spec:' >&2; exit 1", "^json: no text$"),
        ("exit 1", "gave no reason"),
        ("echo '{'", "no YAML"),
    ],
)
def test_a_refusal_is_one_line(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(RenderError, match=words) as refused:
        renderer.render(MANIFEST, program(tmp_path, "istioctl", body))
    assert "\n" not in str(refused.value)


def test_a_text_that_other_readers_of_yaml_take_for_something_else_stays_one(tmp_path: Path) -> None:
    body = f'cp "$4" {tmp_path}/given'
    renderer.render({"spec": {"env": ["n", "Y", "0o7"]}}, program(tmp_path, "istioctl", body))
    assert (tmp_path / "given").read_text() == '{"spec": {"env": ["n", "Y", "0o7"]}}'


def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "TIMEOUT", 0.2)
    with pytest.raises(RenderError, match="did not end within"):
        renderer.render(MANIFEST, program(tmp_path, "istioctl", "exec sleep 60"))


def test_it_sees_neither_the_users_cluster_nor_their_environment(tmp_path: Path) -> None:
    body = 'printf "kind: ConfigMap\\nmetadata: {name: \'%s\'}\\n" "$KUBECONFIG $HOME $SECRET"'
    os.environ["SECRET"] = "known"
    try:
        [made] = renderer.render(MANIFEST, program(tmp_path, "istioctl", body)).objects
    finally:
        del os.environ["SECRET"]
    assert made["metadata"]["name"].startswith("/dev/null ")
    assert "known" not in made["metadata"]["name"]
    assert str(Path.home()) + " " not in made["metadata"]["name"]


def test_what_is_shown_hides_secrets_and_shortens_what_buries() -> None:
    objects = (
        {"kind": "Secret", "metadata": {"name": "kiali"}, "data": {"passphrase": "YWRtaW4="}},
        {"kind": "ConfigMap", "metadata": {"name": "dashboard"}, "data": {"a": "x" * 5000, "b": "short"}},
        {"apiVersion": "v1", "kind": "CustomResourceDefinition", "metadata": {"name": "crd"}, "spec": {"names": {}}},
    )
    shown = Rendered(objects).shown()
    assert shown["Secret kiali"]["data"] == {"passphrase": NOT_SHOWN}
    assert shown["ConfigMap dashboard"]["data"]["b"] == "short"
    assert shown["ConfigMap dashboard"]["data"]["a"].startswith("sha256:")
    assert shown["ConfigMap dashboard"]["data"]["a"].endswith("(5000 characters)")
    assert "spec" not in shown["CustomResourceDefinition crd"]


def deployment(**pod: Any) -> dict[str, Any]:
    metadata = {"name": "istio-ingressgateway", "namespace": "istio-system"}
    containers = [{"name": "istio-proxy", "image": "istio/proxyv2:1.5.0", "args": ["a", "b"]}]
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"template": {"spec": {"containers": containers, **pod}}},
    }


def overlay(*patches: dict[str, Any], name: str = "istio-ingressgateway", enabled: bool = True) -> dict[str, Any]:
    overlays = [{"kind": "Deployment", "name": name, "patches": list(patches)}]
    gateway = {"name": "istio-ingressgateway", "enabled": enabled, "k8s": {"overlays": overlays}}
    return {"spec": {"components": {"ingressGateways": [gateway]}}}


@pytest.mark.parametrize(
    ("manifest", "made", "words"),
    [
        pytest.param(
            overlay({"path": "spec.template.spec.hostNetwork", "value": True}),
            deployment(hostNetwork=True),
            [],
            id="there",
        ),
        pytest.param(
            overlay({"path": "spec.template.spec.hostNetwork", "value": True}),
            deployment(),
            ["istio.ingressGateways[0].k8s.overlays for Deployment istio-ingressgateway", "hostNetwork is None"],
            id="ignored",
        ),
        pytest.param(
            overlay({"path": "spec.replicas", "value": 1}, name="edge"),
            deployment(),
            ["makes no such object"],
            id="no target",
        ),
        pytest.param(
            overlay({"path": "spec.replicas", "value": 1}, name="edge", enabled=False), deployment(), [], id="off"
        ),
        pytest.param(
            overlay({"path": "spec.template.spec.containers.[name:istio-proxy]"}),
            deployment(),
            ["is still there", "Deployment"],
            id="not deleted",
        ),
        pytest.param({"spec": {}}, deployment(containers=[]), ["comes out without containers"], id="no containers"),
    ],
)
def test_what_was_asked_for_must_be_in_what_istio_makes(
    manifest: dict[str, Any], made: dict[str, Any], words: list[str]
) -> None:
    said = renderer.unfulfilled(manifest, Rendered((made,)))
    assert bool(said) == bool(words)
    assert [word for word in words if word not in "\n".join(map(str, said))] == []


def wanted() -> Wanted:
    fields = (Field(kind="Deployment", name="istio-ingressgateway", path=("spec",), value={"replicas": 1}),)
    return Wanted(
        version="1.5.0", name="x", namespace="istio-system", timeout=60, deployments=("istiod",), fields=fields
    )


def test_the_gate_goes_by_the_rendered_set_of_the_same_spec_only() -> None:
    made = {"spec": "abc", "objects": Rendered((deployment(),)).shown()}
    taken = renderer.gate_view(made, "istio-system")
    assert taken is not None
    rendered = RenderedSet.model_validate(taken)
    assert rendered.deployments == ("istio-ingressgateway",)
    more = with_rendered(wanted(), "abc", rendered)
    assert more.deployments == ("istio-ingressgateway",)
    assert [field.value for field in more.fields] == [{"replicas": 1}, "istio/proxyv2:1.5.0"]
    assert with_rendered(wanted(), "other", rendered) == wanted()
    assert with_rendered(wanted(), "abc", None) == wanted()


def test_the_gate_is_told_what_may_place_a_pod() -> None:
    known = deployment()
    known["spec"]["template"]["spec"] |= {"nodeSelector": {"zone": "a"}, "tolerations": None, "priorityClassName": ""}
    known["spec"]["template"]["spec"]["containers"][0]["ports"] = [
        {"containerPort": 80, "hostPort": 80},
        {"containerPort": 443},
    ]
    taken = renderer.gate_view({"spec": "abc", "objects": Rendered((known,)).shown()}, "istio-system")
    assert taken is not None
    [pod] = taken["pods"]
    assert pod["name"] == known["metadata"]["name"]
    assert pod["hostPorts"] == [80]
    assert pod["spec"] == {"nodeSelector": {"zone": "a"}, "priorityClassName": ""}


def turned(value: Any) -> Any:
    """The same with every map's keys in another order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def test_the_order_in_which_the_engine_hands_the_objects_back_is_no_change() -> None:
    service = {
        "kind": "Service",
        "metadata": {"name": "istiod", "namespace": "istio-system"},
        "spec": {"selector": {"b": "1", "a": "2"}},
    }
    made = {"spec": "abc", "objects": Rendered((deployment(), service)).shown()}
    assert json.dumps(renderer.gate_view(turned(made), "istio-system")) == json.dumps(
        renderer.gate_view(made, "istio-system")
    )


def test_what_was_never_rendered_is_nothing_to_go_by() -> None:
    assert renderer.gate_view({}, "istio-system") is None
    assert renderer.gate_view(None, "istio-system") is None
    assert renderer.gate_view({"spec": "abc", "objects": {}}, "istio-system") == {
        "spec": "abc",
        "deployments": [],
        "fields": [],
        "pods": [],
    }


def test_what_is_made_up_at_every_rendering_is_not_shown() -> None:
    config = "login_token:\n  signing_key: {key}\nserver:\n  port: 20001\n"
    shown = [
        Rendered(
            (
                {
                    "kind": "ConfigMap",
                    "metadata": {"name": "kiali", "namespace": "istio-system"},
                    "data": {"config.yaml": config.format(key=key)},
                },
            )
        ).shown()
        for key in ('"LpfA505Eov"', '"S1uHcIz5hR"')
    ]
    assert shown[0] == shown[1]
    assert "port: 20001" in shown[0]["ConfigMap istio-system/kiali"]["data"]["config.yaml"]
