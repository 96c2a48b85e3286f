"""The published IstioOperator: by hand it ends in ERROR, given as a file HEALTHY, on the same real operator; and its rendered preview.

The tests of this file share one cluster and follow each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from devtools import parts
from lab.machines import Lab
from tests.lab.conftest import Kubectl, standing
from tests.project import Project, changes
from tests.unit.test_istio_operator_file import published


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The real operator, for the moment with nothing to do; mesh.yaml is what was published."""
    lab.reset()
    config = {**dev_config, "istio": {"profile": "empty", "cni": {"enabled": False}}}
    project = Project.copy(tmp_path_factory.mktemp("file") / "project", "file", config)
    (project.directory / "mesh.yaml").write_text(yaml.safe_dump(published()))
    yield from standing(project)


def test_by_hand_the_same_file_ends_in_error(project: Project) -> None:
    kubectl = Kubectl(project)
    name = published()["metadata"]["name"]
    kubectl("apply", "-f", str(project.directory / "mesh.yaml"))
    found: dict[str, Any] = {}
    end = time.monotonic() + 120
    # numbers, see components/istio/releases/table.py: 3 is HEALTHY, 4 is ERROR, others are on the way
    while found.get("status") not in (3, 4) and time.monotonic() < end:
        found = kubectl.json("-n", "istio-system", "get", "istiooperator", name).get("status") or {}
        time.sleep(1)
    assert found.get("status") == 4, found
    failed = found["componentStatus"]["IngressGateways"]
    assert failed["status"] == 4
    assert "spec.template.spec.containers: Required value" in failed["error"]
    kubectl("-n", "istio-system", "delete", "istiooperator", name)


@pytest.fixture(scope="module")
def up(project: Project) -> Project:
    project.edit_config(lambda config: config.update(istio={"file": "mesh.yaml"}))
    done = project.up()
    assert done.status == 0, done.text
    return project


def test_by_us_it_ends_healthy(up: Project) -> None:
    assert up.outputs()["istio"]["status"] == "HEALTHY"
    name = published()["metadata"]["name"]
    assert Kubectl(up).json("-n", "istio-system", "get", "istiooperator", name)["status"]["status"] == 3
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
