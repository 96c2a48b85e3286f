"""Quantities are compared by value: the API server writes them in a form of its own."""

from __future__ import annotations

from typing import Any

import pytest

from components.istio.match import covers
from components.istio.readiness.judge import judge
from components.istio.readiness.model import View, Wanted
from components.istio.renderer import Rendered, unfulfilled
from components.kubernetes.quantities import quantity
from components.problem import Code
from tests.unit.test_istio_gate import NAME, WANTED, ready

CONTAINER = ("spec", "template", "spec", "containers", "[name:istio-proxy]")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("2000m", "2"), (2, "2"), (0.5, "500m"), ("0.5", "500m"), ("1.5Gi", "1536Mi"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("1E3", "1k"),
        ("1E", "1000P"), ("0.1n", "1n"), ("100000u", "100m"), (".5", "500m"), ("1000Ki", "1000Ki"), ("0", "0"), (1024, "1Ki"),
        ("1000M", "1G"), ("+1", "1"),
    ],
)  # fmt: skip
def test_equal_quantities(asked: Any, kept: str) -> None:
    assert quantity(asked) == quantity(kept) is not None


@pytest.mark.parametrize(("asked", "kept"), [("1G", "1Gi"), ("2", "2m"), ("1M", "1m"), ("1E3", "1E"), ("1000Mi", "1Gi")])
def test_different_quantities(asked: str, kept: str) -> None:
    assert quantity(asked) != quantity(kept)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1KiB", "ten", True, None, "1.2.3", "1ki", {}])
def test_no_quantities(text: Any) -> None:
    assert quantity(text) is None


def test_only_where_kubernetes_has_quantities() -> None:
    assert covers("2", "2000m", ("resources", "limits", "cpu"))
    assert not covers("2", "2000m", ("metadata", "annotations", "cpu"))
    assert not covers({"replicas": "2"}, {"replicas": "2000m"})
    assert covers({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}})
    assert not covers(None, "0", ("resources", "limits", "cpu"))


RESOURCES = {"requests": {"cpu": "1000m", "memory": "512Mi"}, "limits": {"cpu": "2000m", "memory": "1024Mi"}}
KEPT = {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
FIELDS = [
    ([*CONTAINER, "resources"], RESOURCES),
    ([*CONTAINER, "resources", "limits", "memory"], "1024Mi"),
    (["spec", "template", "spec", "volumes"], [{"name": "scratch", "emptyDir": {"sizeLimit": "0.5Gi"}}]),
]


@pytest.mark.parametrize(("path", "value"), FIELDS)
def test_the_gate_takes_what_the_api_server_makes_of_usual_quantities(path: list[str], value: Any) -> None:
    live = ready()
    pod = live["mesh"][1]["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = KEPT
    pod["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": "512Mi"}}]
    field = {"kind": "Deployment", "name": NAME, "path": path, "value": value}
    wanted = Wanted.model_validate({**WANTED.model_dump(by_alias=True), "fields": [field]})
    assert judge(wanted, View.model_validate(live)).problems == ()
    pod["containers"][0]["resources"] = {"limits": {"cpu": "3", "memory": "3Gi"}}
    pod["volumes"][0]["emptyDir"]["sizeLimit"] = "3Gi"
    assert [problem.code for problem in judge(wanted, View.model_validate(live)).problems] == [Code.OBJECT_DIFFERS]


def test_the_preview_takes_them_as_well() -> None:
    patch = {"path": "spec.template.spec.containers.[name:istio-proxy].resources.limits.cpu", "value": "2000m"}
    overlays = [{"kind": "Deployment", "name": NAME, "patches": [patch]}]
    manifest = {"spec": {"components": {"ingressGateways": [{"name": NAME, "k8s": {"overlays": overlays}}]}}}
    container = {"name": "istio-proxy", "resources": {"limits": {"cpu": 2}}}
    made = {"kind": "Deployment", "metadata": {"name": NAME}, "spec": {"template": {"spec": {"containers": [container]}}}}
    assert unfulfilled(manifest, Rendered((made,))) == []
