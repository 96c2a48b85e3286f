"""Istio from 1.8 on, on the Kubernetes that it needs: the real operators of each, in place where Istio supports that.

For the files of each Kubernetes, whose tests share one cluster and follow each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.istio.releases.compatibility import check_upgrade
from devtools import parts
from lab import faults, package
from lab.machines import Lab
from tests.lab.conftest import OTHER, Kubectl, bare_of, listed, shell, standing, until
from tests.lab.test_containers import across, cut, emptied, runs
from tests.lab.test_istio_lifecycle import deployments, left_behind, take_out, unchanged
from tests.lab.test_istio_upgrade import MESH, NAME, all_of_version, refused, settled
from tests.project import Project, changes

INGRESS = {"hostNetwork": {"nodes": ["sealos02"]}}
CNI = {"excludeNamespaces": ["istio-system", "kube-system"], "logLevel": "info"}


def settings(version: str) -> dict[str, Any]:
    return {
        "version": version,
        "profile": "demo",
        "name": NAME,
        "istioctl": {"path": f"/root/istioctl-{version}"},
        "cni": CNI,
        "ingressGateways": [INGRESS],
    }


def as_wanted(project: Project, kubectl: Kubectl, lab: Lab, version: str) -> None:
    """Asserts that the mesh is of the version, whole, and that nothing is left to change."""
    unchanged(project)
    assert (deployments(kubectl), settled(kubectl)) == (MESH, "HEALTHY")
    all_of_version(kubectl, lab, version)
    deployed = kubectl.json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")["spec"]
    assert deployed["template"]["spec"]["hostNetwork"] is True
    [pod] = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway")["items"]
    assert pod["spec"]["nodeName"] == "sealos02"
    ports = deployed["template"]["spec"]["containers"][0]["ports"]
    assert sorted(port["containerPort"] for port in ports) == [80, 443, 15090]


def follow(project: Project, kubectl: Kubectl, lab: Lab, before: str | None, version: str) -> None:
    """The release in place of the one before where that may be, else from nothing, and then put right after deletions by hand."""
    refusal = before and check_upgrade(before, version)
    if refusal:
        assert f"Istio {before} can't go to {version} in one step" in refused(project, version)
        take_out(project)
        assert left_behind(kubectl, lab) == []
    project.edit_config(lambda config: config.update(istio=settings(version)))
    operator = "kubernetes:apps/v1:Deployment istio-operator-deployment"
    mesh = "kubernetes:install.istio.io/v1alpha1:IstioOperator istio-istio-operator"
    previewed = changes(project.preview())
    in_place = before is not None and not refusal
    assert {previewed[operator], previewed[mesh]} == {"update" if in_place else "create"}
    done = project.up()
    assert done.status == 0, done.text
    as_wanted(project, kubectl, lab, version)
    if in_place:
        return
    for spoil in (["deployment", "istiod"], ["istiooperator", NAME]):
        kubectl("-n", "istio-system", "delete", *spoil)
        done = project.up("--refresh")
        assert done.status == 0, done.text
        as_wanted(project, kubectl, lab, version)


BUSYBOX = f"calico/node:{package.CALICO}"
"""An image that is on every machine and has a busybox."""


class Releases:
    """What is tried of versions of Istio on a Kubernetes."""

    release: package.Release
    istios: tuple[str, ...]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "before" in metafunc.fixturenames:
            metafunc.parametrize(("before", "version"), [*itertools.pairwise([None, *self.istios])])

    @pytest.fixture(scope="class")
    def later(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
        with Lab(tmp_path_factory.mktemp("later"), OTHER, count=4, kubernetes=self.release.version) as later:
            yield later

    @pytest.fixture(scope="class")
    def project(self, later: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
        config = bare_of(later) | {"cluster": {"kubernetesVersion": later.release.version}}
        project = Project.copy(tmp_path_factory.mktemp("later") / "project", "later", config)
        renderers = [str(parts.binary(f"istioctl-{version}").parent) for version in self.istios]
        project.environment["PATH"] = ":".join([*renderers, project.variables()["PATH"]])
        yield from standing(project)

    @pytest.fixture(scope="class")
    def kubectl(self, project: Project) -> Kubectl:
        return Kubectl(project)

    def test_the_cluster_is_of_that_kubernetes(self, project: Project, kubectl: Kubectl, later: Lab) -> None:
        unchanged(project)
        nodes = kubectl.json("get", "nodes")["items"]
        assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {later.release.version}
        assert kubectl.json("version")["serverVersion"]["gitVersion"] == later.release.version
        manifests = later.root("sealos01").glob("etc/kubernetes/manifests/*.yaml")
        pods = [yaml.safe_load(file.read_text()) for file in manifests]
        tags = {c["image"].rpartition(":")[2] for pod in pods for c in pod["spec"]["containers"]}
        assert tags == {later.release.version, later.release.tags["etcd"]}
        runtimes = {node["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0] for node in nodes}
        assert runtimes == {later.release.runtime.name}

    def test_each_release_follows_the_one_before_in_place_where_istio_supports_that(
        self, project: Project, kubectl: Kubectl, later: Lab, before: str | None, version: str
    ) -> None:
        follow(project, kubectl, later, before, version)

    def test_taken_out_nothing_of_any_version_is_left(self, project: Project, kubectl: Kubectl, later: Lab) -> None:
        take_out(project)
        assert left_behind(kubectl, later) == []


class Machines(Releases):
    """The same, and then what is tried of the machines of each Kubernetes."""

    def test_pods_reach_each_other_and_can_be_looked_into(self, kubectl: Kubectl, later: Lab, tmp_path: Path) -> None:
        across(kubectl, tmp_path, BUSYBOX)  # asks by `kubectl exec`
        assert "CoreDNS-1.7.0" in kubectl("-n", "kube-system", "logs", "-l", "k8s-app=kube-dns", "--tail=-1")
        kubectl("delete", "namespace", "plain")

    def test_a_machine_comes_back_from_a_power_cut(self, kubectl: Kubectl, later: Lab) -> None:
        cut(kubectl, later)

    def test_faults_of_the_runtime_are_felt_and_can_be_taken_away(self, kubectl: Kubectl, later: Lab) -> None:
        faults.put(later, "sealos04", "runtime")
        kubectl("wait", "--for=condition=Ready=False", "node/sealos04", "--timeout=120s", limit=130)
        faults.put(later, "sealos04", "runtime", undo=True)
        kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=120s", limit=130)
        image = f"k8s.gcr.io/kube-proxy:{later.release.version}"
        has = f"! command -v docker >/dev/null || exec docker image inspect {image}; crictl inspecti {image}"
        faults.put(later, "sealos04", "image", image)
        assert later.run("sealos04", "bash", "-c", has).returncode != 0
        faults.put(later, "sealos04", "image", image, undo=True)
        shell(later, "sealos04", has)
        until(lambda: runs(later, "sealos04", "kube-proxy"), "kube-proxy runs again", 90)

    def test_a_machine_that_was_taken_out_can_be_taken_in_again(self, project: Project, kubectl: Kubectl, later: Lab) -> None:
        for nodes in ((2, 3), (2, 3, 4)):
            project.edit_config(lambda config, nodes=nodes: config.update(listed(later, 1, nodes)))  # type: ignore[misc]
            done = project.up()
            assert done.status == 0, done.text
            assert len(kubectl.nodes()) == 1 + len(nodes)

    def test_a_destroy_leaves_clean_machines_which_can_be_a_cluster_again(self, project: Project, later: Lab) -> None:
        emptied(project, later)
        done = project.up()
        assert done.status == 0, done.text
        emptied(project, later)
