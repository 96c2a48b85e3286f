"""The published IstioOperator given as a file: HEALTHY on the real operator, where by hand it ends in ERROR; and its rendered preview."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab.machines import Lab
from tests.lab.conftest import Kubectl
from tests.project import Project, changes
from tests.unit.test_istio_operator_file import published
from tools import parts


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.copy(tmp_path_factory.mktemp("file") / "project", "file", {})
    (project.directory / "mesh.yaml").write_text(yaml.safe_dump(published()))
    project.write_config({**dev_config, "istio": {"file": "mesh.yaml"}})
    yield project
    done = project.destroy()
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def up(project: Project) -> Project:
    done = project.up()
    assert done.status == 0, done.text
    return project


def test_it_ends_healthy(up: Project) -> None:
    assert up.outputs()["istio"]["status"] == "HEALTHY"
    gateway = Kubectl(up).json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")
    pod = gateway["spec"]["template"]["spec"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert [container["name"] for container in pod["containers"]] == ["istio-proxy"]


def test_a_preview_shows_no_change_with_and_without_the_renderer(up: Project) -> None:
    assert changes(up.preview()) == {}
    assert changes(without_renderer(up).preview()) == {}


def test_a_change_is_shown_in_the_objects_that_istio_makes(up: Project) -> None:
    file = up.directory / "mesh.yaml"
    before = file.read_text()
    operator = yaml.safe_load(before)
    operator["spec"]["values"]["grafana"] = {"service": {"type": "NodePort"}}
    file.write_text(yaml.safe_dump(operator))
    try:
        done = up.pulumi("preview", "--diff", "--stack", "file")
        assert done.status == 0, done.text
        assert '"ClusterIP" => "NodePort"' in done.text, done.text
        assert "Service istio-system/grafana" in done.text
    finally:
        file.write_text(before)


def without_renderer(project: Project) -> Project:
    """The same project on a machine without istioctl."""
    folder = str(parts.binary("istioctl").parent)
    path = os.pathsep.join(p for p in project.variables()["PATH"].split(os.pathsep) if p != folder)
    return Project(project.directory, project.stack, {"PATH": path})
