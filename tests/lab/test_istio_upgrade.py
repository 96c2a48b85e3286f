"""One release of Istio after the other on the real operators of each, in place, from the walk-through's own mesh.

The tests of this file share one cluster and follow each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools import parts
from lab import package
from lab.machines import ISTIO, NAMES, Lab
from tests.lab.conftest import Kubectl, standing
from tests.lab.test_containers import REDIRECTED, apply, namespace, pod, rules
from tests.lab.test_istio_lifecycle import deployments, left_behind, take_out, unchanged
from tests.project import Project, changes

PARTS = ("istio-on-1.16",)

NAME = "example-istiocontrolplane"
LATER = package.RELEASES[0].istios
ADD_ONS = {"grafana", "istio-tracing", "kiali", "prometheus"}
MESH = {"istiod", "istio-ingressgateway", "istio-egressgateway"}
KINDS = (
    "deployments,daemonsets,services,configmaps,serviceaccounts,roles,rolebindings,horizontalpodautoscalers,"
    "poddisruptionbudgets,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"
)


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    project = Project.copy(tmp_path_factory.mktemp("upgrade") / "project", "upgrade", dev_config)
    renderers = [str(parts.binary(f"istioctl-{version}").parent) for version in LATER]
    path = project.variables()["PATH"]
    project.environment["PATH"] = ":".join([*renderers, str(parts.binary("istioctl").parent), path])
    yield from standing(project)


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def ask_for(project: Project, version: str) -> None:
    def change(config: dict[str, Any]) -> None:
        config["istio"] |= {"version": version, "istioctl": {"path": f"/root/istioctl-{version}"}}

    project.edit_config(change)


def refused(project: Project, version: str) -> str:
    """What the preview says of a version that can't be had from here; the settings are as before then."""
    before = project.config_file.read_text()
    ask_for(project, version)
    done = project.pulumi("preview", "--stack", project.stack)
    project.config_file.write_text(before)
    assert done.status != 0, done.text
    return done.text


def of_other_versions(kubectl: Kubectl, version: str) -> list[str]:
    """Objects that an operator made for the mesh and that its present one did not make or take over."""
    found = kubectl.json("get", KINDS, "--all-namespaces")["items"]
    owners = ("install.operator.istio.io/owner-name", "install.operator.istio.io/owning-resource")
    return [
        f"{known['kind']} {known['metadata']['name']}"
        for known in found
        if (labels := known["metadata"].get("labels") or {}) and NAME in [labels.get(owner) for owner in owners]
        if labels.get("operator.istio.io/version") != version
    ]


def all_of_version(kubectl: Kubectl, lab: Lab, version: str) -> None:
    """Asserts that pods, objects, every node's chain and the first master's istioctl are of the version."""
    pods = kubectl.json("get", "pods", "--all-namespaces")["items"]
    images = {c["image"] for pod in pods for c in pod["spec"]["containers"] if "istio/" in c["image"]}
    assert images == {f"istio/{name}:{version}" for name in ("operator", "pilot", "proxyv2", "install-cni")}
    assert of_other_versions(kubectl, version) == []
    for name in NAMES:
        chain = json.loads(lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout)["plugins"]
        assert [plugin["type"] for plugin in chain].count("istio-cni") == 1
        assert chain[-1]["type"] == "istio-cni"
    assert version in lab.run("sealos01", "istioctl", "version", "--remote=false").stdout


def settled(kubectl: Kubectl) -> Any:
    """The operator's status once it has ended; from 1.6 on it reconciles now and then again, a healthy mesh, too."""
    end = time.monotonic() + 60
    while True:
        status = kubectl.json("-n", "istio-system", "get", "istiooperator", NAME)["status"]["status"]
        if status not in ("RECONCILING", "UPDATING") or time.monotonic() > end:
            return status
        time.sleep(1)


def injects(kubectl: Kubectl, lab: Lab, version: str, tmp_path: Path) -> None:
    """Asserts that a pod gets a sidecar of the version, starts with it, and is redirected to it."""
    apply(kubectl, tmp_path, namespace("shop", **{"istio-injection": "enabled"}), pod("web", "shop", "sealos03", "sleep", "3600"))
    kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod/web", "--timeout=90s", limit=100)
    containers = kubectl.json("-n", "shop", "get", "pod", "web")["spec"]["containers"]
    assert [c["image"] for c in containers if c["name"] == "istio-proxy"] == [f"istio/proxyv2:{version}"]
    assert REDIRECTED in rules(lab, "sealos03", "shop", "web")
    kubectl("delete", "namespace", "shop")


def test_a_release_is_not_left_out(project: Project) -> None:
    text = refused(project, "1.7.8")
    assert "Istio 1.5.0 can't go to 1.7.8 in one step" in text
    assert "go by 1.6.5" in text


@pytest.mark.parametrize("version", LATER)
def test_the_next_release_is_a_previewed_change_and_ends_healthy(
    project: Project, kubectl: Kubectl, lab: Lab, version: str, tmp_path: Path
) -> None:
    ask_for(project, version)
    previewed = changes(project.preview())
    operator = "kubernetes:apps/v1:Deployment istio-operator-deployment"
    mesh = "kubernetes:install.istio.io/v1alpha1:IstioOperator istio-istio-operator"
    assert {previewed[operator], previewed[mesh]} == {"update"}
    gone = {name for name, op in previewed.items() if op != "update"}
    # with 1.7 the profiles have no add-ons any more, and with them goes Kiali's log-in
    kiali = {"kubernetes:core/v1:Secret istio-kiali", "command:local:Command istio-kiali-passphrase"}
    assert gone == (kiali if version == "1.7.8" else set())
    done = project.up()
    assert done.status == 0, done.text
    unchanged(project)

    assert settled(kubectl) == "HEALTHY", "from 1.6 on it is a word"
    assert deployments(kubectl) == MESH | (ADD_ONS if version < "1.7" else set())
    all_of_version(kubectl, lab, version)

    gateway = kubectl.json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")["spec"]["template"][
        "spec"
    ]
    assert (gateway["hostNetwork"], gateway["nodeSelector"]) == (True, {"kubernetes.io/hostname": "sealos02"})
    assert not gateway.get("securityContext"), "ports 80 and 443 of the node take root"
    assert sorted(port["containerPort"] for port in gateway["containers"][0]["ports"]) == [80, 443, 15020, 15090]
    service = kubectl.json("-n", "istio-system", "get", "service", "istio-ingressgateway")["spec"]
    assert [(port["name"], port["port"]) for port in service["ports"]] == [
        ("status-port", 15020),
        ("http2", 80),
        ("https", 443),
    ]
    injects(kubectl, lab, version, tmp_path)


def test_there_is_no_way_back(project: Project) -> None:
    assert f"Istio 1.8.0 can't go back to {ISTIO}" in refused(project, ISTIO)


def test_a_second_gateway_has_its_own_name_ports_and_node(project: Project, kubectl: Kubectl) -> None:
    def add(config: dict[str, Any]) -> None:
        config["istio"]["ingressGateways"] += [
            {"name": "istio-edge", "hostNetwork": {"nodes": ["sealos03"], "ports": [{"name": "https", "port": 8443}]}}
        ]

    project.edit_config(add)
    done = project.up()
    assert done.status == 0, done.text
    unchanged(project)
    edge = kubectl.json("-n", "istio-system", "get", "deployment", "istio-edge")["spec"]
    assert edge["selector"]["matchLabels"] == {"app": "istio-edge", "istio": "edge"}
    assert sorted(p["containerPort"] for p in edge["template"]["spec"]["containers"][0]["ports"]) == [8443, 15090]
    assert deployments(kubectl) == MESH | {"istio-edge"}
    for name, node in (("istio-edge", "sealos03"), ("istio-ingressgateway", "sealos02")):
        [pod] = kubectl.json("-n", "istio-system", "get", "pods", "-l", f"app={name}")["items"]
        assert pod["spec"]["nodeName"] == node


def test_taken_out_nothing_of_any_version_is_left(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    take_out(project)
    assert left_behind(kubectl, lab) == []


def test_a_later_release_is_installed_from_nothing_and_put_right(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    """None of the later operators has 1.5.0's habit of forgetting an IstioOperator that was made anew; this one may hang."""
    version = LATER[0]
    settings = {"version": version, "profile": "minimal", "name": NAME, "cni": {"excludeNamespaces": ["kube-system"]}}
    project.edit_config(lambda config: config.update(istio=settings))
    for spoil in ([], ["deployment", "istiod"], ["istiooperator", NAME]):
        if spoil:
            kubectl("-n", "istio-system", "delete", *spoil)
        done = project.up("--refresh")
        assert done.status == 0, done.text
        unchanged(project)
        assert (deployments(kubectl), settled(kubectl)) == ({"istiod"}, "HEALTHY")
    take_out(project)
    assert left_behind(kubectl, lab) == []
