"""The life of a mesh on the real 1.5.0 operator, its bad habits included: each is met, and ends well or in words.

The tests of this file share one cluster and follow each other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.machines import NAMES, Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, standing
from tests.project import ROOT, Project

NAME = "example-istiocontrolplane"
RECOVERY = ("docs/istio-lifecycle.md", "Recovery")
OVERLAYS = "/spec/components/pilot"
BAD_OVERLAY = {
    "k8s": {
        "overlays": [
            {
                "kind": "Deployment",
                "name": "istiod",
                "patches": [{"path": "spec.template.spec.noSuchKey.inside", "value": 1}],
            }
        ]
    }
}


def mesh(profile: str, **more: Any) -> dict[str, Any]:
    cni = {"excludeNamespaces": ["istio-system", "kube-system"]}
    # with meshConfig, 1.5 leaves the CNI plugin behind
    return {
        "version": "1.5.0", "profile": profile, "name": NAME, "cni": cni, "meshConfig": {"enableTracing": True}, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    config = {**dev_config, "istio": mesh("minimal")}
    project = Project.copy(tmp_path_factory.mktemp("lifecycle") / "project", "lifecycle", config)
    (project.directory / ".venv").symlink_to(ROOT / ".venv")
    yield from standing(project)


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def good(project: Project, *arguments: str) -> str:
    """`pulumi up`, which must end well, and leave nothing to change."""
    done = project.up(*arguments)
    assert done.status == 0, done.text
    unchanged(project)
    return done.text


def unchanged(project: Project) -> None:
    done = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert done.status == 0, done.text


def deployments(kubectl: Kubectl) -> set[str]:
    return {d["metadata"]["name"] for d in kubectl.json("-n", "istio-system", "get", "deployments")["items"]}


def status(kubectl: Kubectl) -> Any:
    found = kubectl.json("-n", "istio-system", "get", "istiooperator", NAME)
    return (found.get("status") or {}).get("status")


def take_out(project: Project) -> None:
    """Istio out of the stack, the cluster stays."""
    project.edit_config(lambda config: config.pop("istio"))
    good(project)


def left_behind(kubectl: Kubectl, lab: Lab) -> list[str]:
    """Everything of Istio in the cluster and on the nodes, its definitions apart."""
    kinds = "daemonsets,deployments,services,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,namespaces"
    found = [
        f"{o['kind']}/{o['metadata']['name']}"
        for o in kubectl.json("get", kinds, "--all-namespaces")["items"]
        if "istio" in o["metadata"]["name"]
    ]
    for name in sorted(kubectl.nodes()):
        chain = json.loads(lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout)["plugins"]
        found += [f"{name}: istio-cni in its chain" for plugin in chain if plugin["type"] == "istio-cni"]
        files = lab.run(name, "sh", "-c", "ls /etc/cni/net.d/ZZZ-istio-cni-kubeconfig /opt/cni/bin/istio-cni").stdout
        found += [f"{name}: {path}" for path in files.split()]
    return found


def definitions(kubectl: Kubectl) -> int:
    return kubectl("get", "crd", "-o", "name").count(".istio.io")


def typing(project: Project, kubectl: Kubectl) -> Terminal:
    """Where a person types, in the stack's folder."""
    terminal = Terminal.of(project)
    terminal.environment["KUBECONFIG"] = str(kubectl.file)
    return terminal


def driver(project: Project, verb: str, stdin: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of components.istio, as a person or Pulumi runs it."""
    return subprocess.run(
        [sys.executable, "-m", "components.istio", verb, *arguments],
        cwd=project.directory, input=stdin, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def export(project: Project) -> str:
    return project.pulumi("stack", "export", "--show-secrets", "--stack", project.stack).stdout


def request_of(project: Project, resource: str) -> dict[str, Any]:
    """What the stack last gave to the driver behind one of its commands."""
    resources = json.loads(export(project))["deployment"]["resources"]
    [found] = [r for r in resources if r["urn"].endswith(f"::{resource}")]
    request: dict[str, Any] = json.loads(json.loads(found["inputs"]["stdin"]["plaintext"]))
    return request


def test_the_status_is_a_number_and_healthy_in_our_words(project: Project, kubectl: Kubectl) -> None:
    assert status(kubectl) == 3
    assert project.outputs()["istio"]["status"] == "HEALTHY"
    webhook = kubectl.json("get", "mutatingwebhookconfiguration", "istio-sidecar-injector")["webhooks"][0]
    assert webhook["clientConfig"]["caBundle"], "the gate did not wait for the webhook's authority"


def test_a_changed_chain_reaches_every_node(project: Project, lab: Lab) -> None:
    """The installer reads its ConfigMap as environment: only new pods of it hear of a change."""

    def told() -> set[tuple[str, ...]]:
        texts = (lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout for name in NAMES)
        plugins = [json.loads(text)["plugins"][-1] for text in texts]
        return {(plugin["log_level"], *plugin["kubernetes"]["exclude_namespaces"]) for plugin in plugins}

    project.edit_config(
        lambda config: config["istio"]["cni"].update(logLevel="debug", excludeNamespaces=["kube-system"])
    )
    good(project)
    assert told() == {("debug", "kube-system")}
    project.edit_config(lambda config: config["istio"].update(cni=mesh("minimal")["cni"]))
    good(project)
    assert told() == {("info", "istio-system", "kube-system")}


def test_a_dead_machine_holds_nothing_up_and_is_named(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    pods = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istiod")["items"]
    pods += kubectl.json("-n", "istio-operator", "get", "pods")["items"]
    dead = next(name for name in NAMES[1:] if name not in {pod["spec"]["nodeName"] for pod in pods})
    lab.stop_machine(dead)
    try:
        kubectl("wait", "--for=condition=Ready=Unknown", f"node/{dead}", "--timeout=150s", limit=160)
        text = good(project)
        assert f"{dead} is not Ready: Kubelet stopped posting node status. It is not waited for. Bring it back" in text
        assert project.outputs()["istio"]["cni"]["ready"] == len(NAMES) - 1
    finally:
        lab.start_machine(dead)
        kubectl("wait", "--for=condition=Ready", f"node/{dead}", "--timeout=150s", limit=160)
    kubectl("-n", "kube-system", "rollout", "status", "daemonset/istio-cni-node", "--timeout=150s", limit=160)
    assert f"{dead} is not Ready" not in good(project)
    assert project.outputs()["istio"]["cni"]["ready"] == len(NAMES)


def test_a_deployment_deleted_by_hand_is_restored_by_the_next_up(project: Project, kubectl: Kubectl) -> None:
    terminal = typing(project, kubectl)
    istiod = {"kiali": "istiod"}
    terminal.documented("docs/istio-lifecycle.md", "Somebody changed the mesh by hand", "kubectl", replace=istiod)
    unchanged(project)  # a preview asks no host
    terminal.documented("docs/istio-lifecycle.md", "Somebody changed the mesh by hand", "pulumi up", replace=istiod)
    unchanged(project)
    assert deployments(kubectl) == {"istiod"}
    assert project.outputs()["istio"]["operatorRestarted"] is True, "the operator's cache restored it by itself?"


def test_a_broken_chain_is_found_by_the_next_up(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    file = "/etc/cni/net.d/10-calico.conflist"
    text = json.loads(lab.run("sealos03", "cat", file).stdout)
    text["plugins"] = [plugin for plugin in text["plugins"] if plugin["type"] != "istio-cni"]
    # as Calico's own installer does when it starts anew after Istio's (istio#14327)
    lab.run("sealos03", "sh", "-c", f"cat >{file}", stdin=json.dumps(text))
    good(project)
    plugins = json.loads(lab.run("sealos03", "cat", file).stdout)["plugins"]
    assert plugins[-1]["type"] == "istio-cni"


def test_every_race_of_the_plugin_is_found(project: Project, kubectl: Kubectl, lab: Lab, tmp_path: Path) -> None:
    """Another one on every node, and its rights gone on all; then put right as people would, and found to be."""
    file = "/etc/cni/net.d/10-calico.conflist"
    request = request_of(project, "istio-cni-sealos02") | {"node": None, "fleet": request_of(project, "istio-leftovers")["fleet"]}
    before = lab.run("sealos03", "cat", file).stdout
    # the repair's role lets the same account get pods
    names = ("istio-cni", "istio-cni-repair-rolebinding")
    bindings = kubectl.json("get", "clusterrolebinding", *names)
    kubectl("delete", "clusterrolebinding", *names)
    lab.run("sealos02", "sh", "-c", "echo '{}' >/etc/cni/net.d/05-other.conf")
    lab.run("sealos03", "rm", file)  # the plugin, started anew, finds none of Calico's
    lab.run("sealos04", "rm", "/opt/cni/bin/istio-cni", "/etc/cni/net.d/ZZZ-istio-cni-kubeconfig")
    end = time.monotonic() + 60
    while lab.run("sealos03", "cat", file).returncode and time.monotonic() < end:
        time.sleep(0.5)
    done = driver(project, "cni-check", json.dumps(request | {"timeout": 1}))
    assert done.returncode == 1
    for words in (
        "with /etc/cni/net.d/ZZZ-istio-cni-kubeconfig the plugin may not get pods (no",
        "sealos02: /etc/cni/net.d/05-other.conf comes before 10-calico.conflist",
        "sealos03: /etc/cni/net.d/10-calico.conflist has istio-cni alone",
        "sealos04: /opt/cni/bin/istio-cni does not exist",
        "sealos04: /etc/cni/net.d/ZZZ-istio-cni-kubeconfig does not exist",
    ):
        assert words in done.stderr, done.stderr
    manifest = tmp_path / "bindings.json"
    for binding in bindings["items"]:
        binding["metadata"] = {key: binding["metadata"][key] for key in ("name", "labels")}
    manifest.write_text(json.dumps(bindings))
    kubectl("create", "-f", str(manifest))
    lab.run("sealos02", "rm", "/etc/cni/net.d/05-other.conf")
    lab.run("sealos03", "sh", "-c", f"cat >{file}", stdin=before)
    pods = kubectl.json("-n", "kube-system", "get", "pods", "-l", "k8s-app=istio-cni-node")["items"]
    [pod] = [pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == "sealos04"]
    kubectl("-n", "kube-system", "delete", "pod", pod)
    done = driver(project, "cni-check", json.dumps(request | {"timeout": 60}))
    assert done.returncode == 0, done.stderr


def test_a_field_that_the_live_object_lacks_is_named(project: Project) -> None:
    request = request_of(project, "istio-gate")
    field = {"kind": "Deployment", "name": "istiod", "path": ["spec", "template", "spec", "hostNetwork"], "value": True}
    request["wanted"] |= {"timeout": 5, "fields": [*request["wanted"]["fields"], field]}
    done = driver(project, "gate", json.dumps(request))
    assert done.returncode == 1
    assert "Deployment istio-system/istiod: spec.template.spec.hostNetwork is not set, wanted True" in done.stderr
    assert "the mesh was not ready after 5 s" in done.stderr


def test_deleted_and_made_again_it_is_installed_and_not_only_healthy(project: Project, kubectl: Kubectl) -> None:
    kubectl("-n", "istio-system", "delete", "istiooperator", NAME)
    assert deployments(kubectl) == set()
    good(project, "--refresh")
    assert (deployments(kubectl), status(kubectl)) == ({"istiod"}, 3)


def test_an_overlay_that_the_operator_refuses_ends_the_gate_soon_in_its_words(
    project: Project, kubectl: Kubectl
) -> None:
    request = json.dumps(request_of(project, "istio-gate"))
    patch = [{"op": "add", "path": OVERLAYS, "value": BAD_OVERLAY}]
    kubectl("-n", "istio-system", "patch", "istiooperator", NAME, "--type=json", "-p", json.dumps(patch))
    done = driver(project, "gate", request)
    assert done.returncode == 1
    assert "the mesh was not ready after" not in done.stderr, "it waited until its time was over"
    assert f"IstioOperator istio-system/{NAME}: the operator can't carry it out" in done.stderr
    assert "path not found at element noSuchKey" in done.stderr
    assert "the operator's last words" in done.stderr
    assert status(kubectl) == 3, "1.5.0 writes no status here; the old one stays"
    kubectl("-n", "istio-system", "patch", "istiooperator", NAME, "--type=json", "-p", json.dumps([{"op": "remove", "path": OVERLAYS}]))  # fmt: skip
    assert driver(project, "gate", request).returncode == 0


def test_an_operator_gone_before_its_istio_operator_is_put_back_when_asked(project: Project, kubectl: Kubectl) -> None:
    kubectl("delete", "clusterrolebinding", "istio-operator")
    kubectl("-n", "istio-operator", "delete", "deployment", "istio-operator")
    kubectl("-n", "istio-system", "delete", "istiooperator", NAME, "--wait=false")
    terminal = typing(project, kubectl)
    terminal.documented(*RECOVERY, "pulumi stack export --show-secrets | .venv/bin/python -m components.istio recover")
    stuck = kubectl.json("-n", "istio-system", "get", "istiooperator", NAME)["metadata"]
    assert stuck["deletionTimestamp"]
    assert stuck["finalizers"]
    terminal.documented(
        *RECOVERY, "pulumi stack export --show-secrets | .venv/bin/python -m components.istio recover --apply"
    )
    assert deployments(kubectl) == set()
    terminal.documented(*RECOVERY, "pulumi up")
    unchanged(project)
    assert deployments(kubectl) == {"istiod"}


def test_taken_out_of_the_stack_nothing_is_left_but_the_definitions(
    project: Project, kubectl: Kubectl, lab: Lab
) -> None:
    before = definitions(kubectl)
    take_out(project)
    assert left_behind(kubectl, lab) == []
    assert definitions(kubectl) == before - 1 > 20, "all but the IstioOperator's own"
