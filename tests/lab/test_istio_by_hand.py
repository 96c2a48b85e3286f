"""The IstioOperator as it was published: by hand it ends in ERROR, by us HEALTHY, on the same real operator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab.machines import Lab
from tests.lab.conftest import Kubectl
from tests.project import Project
from tests.unit.test_istio_operator_file import published

pytestmark = pytest.mark.unproven


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The real operator, for the moment with nothing to do; mesh.yaml is what was published."""
    lab.reset()
    config = {**dev_config, "istio": {"profile": "empty", "cni": {"enabled": False}}}
    project = Project.copy(tmp_path_factory.mktemp("file") / "project", "file", config)
    (project.directory / "mesh.yaml").write_text(yaml.safe_dump(published()))
    done = project.up()
    assert done.status == 0, done.text
    yield project
    done = project.destroy()
    assert done.status == 0, done.text


def test_by_hand_the_same_file_ends_in_error(project: Project) -> None:
    kubectl = Kubectl(project)
    name = published()["metadata"]["name"]
    kubectl("apply", "-f", str(project.directory / "mesh.yaml"))
    found: dict[str, Any] = {}
    end = time.monotonic() + 120
    while not found and time.monotonic() < end:
        found = kubectl.json("-n", "istio-system", "get", "istiooperator", name).get("status") or {}
        time.sleep(1)
    assert found["status"] == 4, found  # ERROR, see components/istio/versions.py
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
