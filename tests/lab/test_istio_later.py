"""Istio from 1.9 on, which does not run on the lab's usual Kubernetes: the real operators of each on a lab of Kubernetes 1.20.

The tests of this file share one cluster and follow each other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.istio.versions import check_upgrade
from lab import package
from lab.machines import NAMES, Lab
from tests.lab.conftest import NETWORK, Kubectl, listed
from tests.lab.test_istio_lifecycle import deployments, left_behind, take_out, unchanged
from tests.lab.test_istio_upgrade import NAME, of_other_versions, refused, settled
from tests.project import Project, changes
from tools import parts

KUBERNETES = package.RELEASES[-1]
MESH = {"istiod", "istio-ingressgateway", "istio-egressgateway"}
INGRESS = {"hostNetwork": {"nodes": ["sealos02"]}}
CNI = {"excludeNamespaces": ["istio-system", "kube-system"], "logLevel": "info"}


@pytest.fixture(scope="module")
def later(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab.down()  # its network is needed
    try:
        with Lab(tmp_path_factory.mktemp("later"), NETWORK, count=4, kubernetes=KUBERNETES.version) as later:
            yield later
    finally:
        lab.up()


@pytest.fixture(scope="module")
def project(later: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    config = bare_config | listed(later, 1, (2, 3, 4)) | {"cluster": {"kubernetesVersion": KUBERNETES.version}}
    config["ssh"] = {"knownHosts": str(later.known_hosts), "privateKeyFile": str(later.key)}
    project = Project.copy(tmp_path_factory.mktemp("later") / "project", "later", config)
    renderers = [str(parts.binary(f"istioctl-{version}").parent) for version in KUBERNETES.istios]
    project.environment["PATH"] = ":".join([*renderers, project.variables()["PATH"]])
    done = project.up()
    assert done.status == 0, done.text
    yield project
    done = project.destroy()
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def test_the_cluster_is_of_that_kubernetes(project: Project, kubectl: Kubectl, later: Lab) -> None:
    unchanged(project)
    nodes = kubectl.json("get", "nodes")["items"]
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {KUBERNETES.version}
    assert kubectl.json("version")["serverVersion"]["gitVersion"] == KUBERNETES.version
    written = later.run("sealos01", "sh", "-c", "cat /etc/kubernetes/manifests/*.yaml").stdout
    tags = {
        container["image"].rpartition(":")[2]
        for pod in yaml.safe_load_all(written.replace("apiVersion: v1", "---\napiVersion: v1"))
        if pod
        for container in pod["spec"]["containers"]
    }
    assert tags == {KUBERNETES.version, KUBERNETES.tags["etcd"]}


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
    pods = kubectl.json("get", "pods", "--all-namespaces")["items"]
    images = {c["image"] for pod in pods for c in pod["spec"]["containers"] if "istio/" in c["image"]}
    assert {image.partition("istio/")[2] for image in images} == {
        f"{name}:{version}" for name in ("operator", "pilot", "proxyv2", "install-cni")
    }
    assert of_other_versions(kubectl, version) == []
    deployed = kubectl.json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")["spec"]
    assert deployed["template"]["spec"]["hostNetwork"] is True
    [pod] = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway")["items"]
    assert pod["spec"]["nodeName"] == "sealos02"
    ports = deployed["template"]["spec"]["containers"][0]["ports"]
    assert sorted(port["containerPort"] for port in ports) == [80, 443, 15090]
    for name in NAMES:
        chain = json.loads(lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout)["plugins"]
        assert [plugin["type"] for plugin in chain].count("istio-cni") == 1
        assert chain[-1]["type"] == "istio-cni"
    assert version in lab.run("sealos01", "istioctl", "version", "--remote=false").stdout


@pytest.mark.parametrize(("before", "version"), itertools.pairwise([None, *KUBERNETES.istios]))
def test_each_release_follows_the_one_before_in_place_where_istio_supports_that(
    project: Project, kubectl: Kubectl, later: Lab, before: str | None, version: str
) -> None:
    refusal = before and check_upgrade(before, version)
    if refusal:
        assert f"Istio {before} can't go to {version} in one step" in refused(project, version)
        assert take_out(project) < 90
        assert left_behind(kubectl, later) == []
    project.edit_config(lambda config: config.update(istio=settings(version)))
    operator = "kubernetes:apps/v1:Deployment istio-operator-deployment"
    mesh = "kubernetes:install.istio.io/v1alpha1:IstioOperator istio-istio-operator"
    previewed = changes(project.preview())
    in_place = before is not None and not refusal
    assert {previewed[operator], previewed[mesh]} == {"update" if in_place else "create"}
    done = project.up()
    assert done.status == 0, done.text
    as_wanted(project, kubectl, later, version)
    for spoil in ([], [["deployment", "istiod"], ["istiooperator", NAME]])[not in_place]:
        kubectl("-n", "istio-system", "delete", *spoil)
        done = project.up("--refresh")
        assert done.status == 0, done.text
        as_wanted(project, kubectl, later, version)


def test_taken_out_nothing_of_any_version_is_left(project: Project, kubectl: Kubectl, later: Lab) -> None:
    assert take_out(project) < 90
    assert left_behind(kubectl, later) == []
