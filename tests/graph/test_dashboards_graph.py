"""The ways in by the real engine's preview: which resources, what they wait for, and that no secret is in plain."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.documented import Terminal
from tests.project import Project, stack_config

pytestmark = pytest.mark.slow

Config = dict[str, Any]
PASSWORD = "not-for-anyone"
HOSTS = {name: f"{name}.example.com" for name in ("grafana", "kiali", "prometheus", "jaeger")}
COMMAND = "command:local:Command"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.copy(tmp_path_factory.mktemp("ways") / "project", "ways", {})


@pytest.fixture
def preview(project: Project) -> Callable[..., dict[str, dict[str, Any]]]:
    def look(dashboards: Config, **secrets: str) -> dict[str, dict[str, Any]]:
        project.write_config({**stack_config(), "dashboards": dashboards})
        for key, value in secrets.items():
            set_to = ("config", "set", "--secret", "--stack", "ways", f"sealos-istio:{key}")
            assert project.pulumi(*set_to, stdin=value).status == 0
        steps = project.preview()["steps"]
        mine = [s for s in steps if "sealos-istio:dashboards:" in s["urn"]]
        return {s["urn"].split("::")[-1]: s["newState"] for s in mine}

    return look


def after(state: dict[str, Any]) -> set[str]:
    return {urn.split("::")[-1] for urn in state.get("dependencies", [])}


def test_an_ingress_waits_for_the_mesh_and_its_secrets(preview: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = preview(
        {
            "way": "ingress",
            "hosts": HOSTS,
            "ingress": {"controller": "nginx"},
            "basicAuth": {"username": "ops"},
            "tls": {"certificate": "-----BEGIN CERTIFICATE-----"},
        },
        dashboardsPassword=PASSWORD,
        dashboardsTlsKey=f"key {PASSWORD}",
    )
    ways = {f"dashboards-ingress-{name}" for name in HOSTS}
    secrets = {"dashboards-tls", "dashboards-basic-auth"}
    assert set(found) == {"dashboards", "dashboards-htpasswd", "dashboards-check", *secrets, *ways}
    for name in ways:
        assert after(found[name]) == {"istio-gate", *secrets}
        assert found[name]["inputs"]["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    assert after(found["dashboards-check"]) == {"istio-gate", *secrets, *ways}
    assert after(found["dashboards-basic-auth"]) == {"istio-gate", "dashboards-htpasswd"}
    assert PASSWORD not in json.dumps(found)
    key = base64.b64encode(f"key {PASSWORD}".encode()).decode()
    assert key not in json.dumps(found)
    assert set(found["dashboards-tls"]["inputs"]["data"].values()) == {"[secret]"}
    in_cluster = [s for name, s in found.items() if name != "dashboards"]
    assert all(s["deletedWith"].endswith("::cluster-wanted") for s in in_cluster)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("contour", {f"dashboards-httpproxy-{name}" for name in HOSTS}),
        ("gateway", {"dashboards-gateway-dashboards", *(f"dashboards-virtualservice-{name}" for name in HOSTS)}),
    ],
)
def test_the_other_ways(way: str, expected: set[str], preview: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = preview({"way": way, "hosts": HOSTS})
    assert set(found) == {"dashboards", "dashboards-check", *expected}
    assert all(after(found[name]) == {"istio-gate"} for name in expected)


def test_contour_comes_before_what_it_judges(preview: Callable[..., dict[str, dict[str, Any]]]) -> None:
    images = {"file": "contour.tar", "sha256": "0" * 64}
    contour = {"nodes": ["sealos03", "sealos04"], "registry": "registry.example.com:5000", "images": images}
    found = preview({"way": "contour", "hosts": HOSTS, "contour": contour})
    assert all(after(found[f"dashboards-httpproxy-{name}"]) == {"istio-gate", "contour-deployment"} for name in HOSTS)
    assert after(found["contour-deployment"]) >= {
        "contour-crd-httpproxy",
        "contour-service-account-contour",
        "contour-cluster-role-binding",
        "contour-role-binding",
        "contour-certificates-contour",
    }
    assert "contour-images" in after(found["contour-deployment"]) & after(found["contour-daemon-set"])
    assert after(found["contour-images"]) == {"cluster-provider"}
    [container] = found["contour-deployment"]["inputs"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com:5000/projectcontour/contour:v1.9.0"
    [_, envoy] = found["contour-daemon-set"]["inputs"]["spec"]["template"]["spec"]["containers"]
    assert envoy["image"] == "registry.example.com:5000/envoyproxy/envoy:v1.15.1"
    assert set(found["contour-certificates"]["additionalSecretOutputs"]) == {"stdout", "stderr"}


def test_a_dashboard_that_the_profile_lacks_is_refused_in_preview(project: Project) -> None:
    config = stack_config()
    config["istio"]["profile"] = "default"
    project.write_config({**config, "dashboards": {"way": "gateway", "hosts": HOSTS}})
    printed = Terminal.of(project).documented("docs/dashboards.md", "Dashboards: the ways in", status=255)
    for name in ("grafana", "kiali", "jaeger"):
        assert printed.count(f"sealos-istio:dashboards.hosts.{name}: this mesh has no such dashboard") == 1, printed
    assert "Traceback" not in printed


def test_its_secrets_are_set_as_the_docs_say(project: Project) -> None:
    terminal = Terminal.of(project)
    (project.directory / "key.pem").write_text(f"key {PASSWORD}")
    terminal.documented("docs/dashboards.md", "A certificate of your own")
    terminal.documented("docs/dashboards.md", "Basic authentication", stdin=PASSWORD)
    shown = project.pulumi("config", "--show-secrets", "--json", "--stack", "ways").stdout
    told = {key.partition(":")[2]: value for key, value in json.loads(shown).items()}
    assert (told["dashboardsTlsKey"]["value"], told["dashboardsTlsKey"]["secret"]) == (f"key {PASSWORD}", True)
    assert (told["dashboardsPassword"]["value"], told["dashboardsPassword"]["secret"]) == (PASSWORD, True)
    assert PASSWORD not in project.config_file.read_text()


def test_the_sum_of_contours_images_is_taken_as_the_docs_say(
    project: Project, preview: Callable[..., dict[str, dict[str, Any]]]
) -> None:
    (project.directory / "contour.tar").write_bytes(b"images")
    told = Terminal.of(project).documented("docs/dashboards.md", "Contour for traffic from outside", "sha256sum")
    images = {"file": "contour.tar", "sha256": told.split()[0]}
    found = preview({"way": "contour", "hosts": HOSTS, "contour": {"nodes": ["sealos03"], "images": images}})
    assert told.split() == [hashlib.sha256(b"images").hexdigest(), "contour.tar"]
    assert "contour-images" in found
