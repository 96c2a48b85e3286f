"""Every profile of Istio 1.5.0 on the real operator, one after the other; a mesh that can't run, and a gateway's node that leaves.

The tests of this file share one cluster and follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.istio.releases.table import release
from lab.machines import Lab
from tests.lab.conftest import Kubectl, listed, standing
from tests.lab.test_istio_lifecycle import deployments, good, left_behind, mesh, status, take_out, typing
from tests.project import ROOT, Project

PARTS = ("istio-separate",)


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    config = {key: value for key, value in dev_config.items() if key != "istio"}
    project = Project.copy(tmp_path_factory.mktemp("profiles") / "project", "profiles", config)
    (project.directory / ".venv").symlink_to(ROOT / ".venv")
    yield from standing(project)


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def test_a_mesh_that_can_not_run_is_told_in_the_words_of_kubernetes(project: Project, kubectl: Kubectl) -> None:
    """On a bare cluster, where no istiod has filled its authority into the webhook yet. The next test goes on from here."""
    nobody = {"pilot": {"k8s": {"nodeSelector": {"example.org/nobody": "has-it"}}}}
    project.edit_config(lambda config: config.update(istio=mesh("minimal", components=nobody, readyTimeout=45)))
    printed = typing(project, kubectl).documented(
        "docs/istio-lifecycle.md", "A mesh that does not get ready", status=255
    )
    assert "Traceback" not in printed


@pytest.mark.parametrize("profile", sorted(set(release("1.5.0").profiles) - {"minimal"}))
def test_the_profiles_come_up_and_go_down(project: Project, kubectl: Kubectl, lab: Lab, profile: str) -> None:
    """`minimal` is what test_istio_lifecycle.py runs."""
    project.edit_config(lambda config: config.update(istio=mesh(profile)))
    good(project)
    assert (deployments(kubectl), status(kubectl)) == (set(release("1.5.0").profiles[profile]), 3)
    assert project.outputs()["istio"]["status"] == "HEALTHY"
    if profile == "default":
        the_gateways_node_leaves(project, kubectl, lab)
    take_out(project)
    assert left_behind(kubectl, lab) == []


def the_gateways_node_leaves(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    """Istio's budget keeps the gateway's only pod where it is, as the preview says, until the settings let it go."""

    def place() -> str:
        pods = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway")["items"]
        [node] = {pod["spec"]["nodeName"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
        return str(node)

    leaving = place()
    staying = tuple(number for number in (2, 3, 4) if f"sealos{number:02}" != leaving)
    assert project.outputs()["ingressGateway"]["nodes"] == [leaving]

    def without_it(config: dict[str, Any]) -> None:
        config.update(listed(lab, 1, staying))
        config["cluster"]["timeouts"] = {"drain": 4}

    project.edit_config(without_it)
    done = project.up()
    assert done.status != 0
    assert "A node that has the pod of istio-ingressgateway can't be removed as it is" in done.text
    assert (
        "PodDisruptionBudget ingressgateway allows no disruption now (1 of 1 pods are healthy, 1 must be)" in done.text
    )
    budgets = {"global": {"defaultPodDisruptionBudget": {"enabled": False}}}

    def let_go(config: dict[str, Any]) -> None:
        config["istio"].update(values=budgets)
        config["cluster"]["timeouts"] = {"drain": 60}  # a real gateway takes seconds to end

    project.edit_config(let_go)
    done = project.up()
    assert done.status == 0, done.text
    assert project.outputs()["istio"]["cni"]["ready"] == 1 + len(staying)
    assert leaving not in project.outputs()["ingressGateway"]["nodes"]
    good(project)  # the pod has found its place only after the machine had left
    assert project.outputs()["ingressGateway"]["nodes"] == [place()]
    assert place() != leaving
