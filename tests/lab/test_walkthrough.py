"""The walk-through on the lab, on real parts: up, what must be seen, nothing to change, small changes, nothing secret, down, up again.

The tests of this file share one stack and follow each other.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from lab.machines import NAMES, Lab
from tests.lab.conftest import Kubectl, in_plain
from tests.project import Done, Project, changes

DEPLOYMENTS = {
    "grafana",
    "istio-egressgateway",
    "istio-ingressgateway",
    "istio-tracing",
    "istiod",
    "kiali",
    "prometheus",
}
EXCLUDED = ["istio-system", "kube-system", "monitoring"]
GATEWAY_PORTS = [("status-port", 15020), ("http2", 80), ("https", 443)]
GONE = (
    "/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubelet", "/root/.sealos", "/root/.kube", "/etc/cni", "/opt/cni", "/usr/bin/kubelet",
    "/usr/bin/kubeadm", "/usr/bin/kubectl", "/root/kube", "/root/kubeadm-config.yaml", "/root/kubeadm-join-config.yaml",
    "/usr/local/bin/istioctl", "/etc/sealos-istio",
)  # fmt: skip


class CommandLines:
    """Every word of the command line and environment of every process of this host (the lab's included) while it watches."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            for process in os.scandir("/proc"):
                if process.name.isdigit():
                    for kind in ("cmdline", "environ"):
                        try:
                            words = Path(process.path, kind).read_bytes().split(b"\0")
                        except OSError:
                            continue
                        # the engine hands a program its configuration this way (PULUMI_CONFIG); only its owner can read it
                        self.seen.update(word for word in words if not word.startswith(b"PULUMI_CONFIG="))


class Stack:
    """The stack of this file and what its first `up` left to look at."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.command_lines: set[bytes] = set()

    def up(self) -> Done:
        """`pulumi up`, watched."""
        with CommandLines() as watched:
            done = self.project.up()
        self.command_lines |= watched.seen
        return done

    def set_secret(self, key: str, value: str) -> None:
        """Sets a secret as a user does."""
        key = f"sealos-istio:{key}"
        done = self.project.pulumi("config", "set", "--secret", "--stack", self.project.stack, key, stdin=value)
        assert done.status == 0, done.text


@pytest.fixture(scope="module")
def stack(lab: Lab, password_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    project = Project.copy(
        tmp_path_factory.mktemp("walkthrough") / "project", "walk", {**password_config, "password": ""}
    )
    stack = Stack(project)
    stack.set_secret("password", lab.password)
    yield stack
    done = project.destroy()
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def up(stack: Stack) -> Stack:
    done = stack.up()
    assert done.status == 0, done.text
    return stack


@pytest.fixture(scope="module")
def kubectl(up: Stack) -> Kubectl:
    return Kubectl(up.project)


def test_first_preview_shows_every_resource_and_dials_nobody(stack: Stack, lab: Lab) -> None:
    before = [
        lab.run(name, "sh", "-c", "find / -xdev -type f -newer /proc/1 2>/dev/null | sort").stdout for name in NAMES
    ]
    preview = stack.project.preview()
    assert set(changes(preview).values()) == {"create"}
    # the stack; cluster: 7 steps, 3 members; operator: 7 objects; mesh: rendered set, namespace, Kiali's passphrase and
    # Secret, IstioOperator, leftovers, gate; a CNI check a node; istioctl; what protects all
    assert len(preview["steps"]) == 1 + (1 + 7 + 3) + (1 + 7) + (1 + 7) + (1 + 4) + (1 + 1) + 1
    after = [
        lab.run(name, "sh", "-c", "find / -xdev -type f -newer /proc/1 2>/dev/null | sort").stdout for name in NAMES
    ]
    assert before == after


def test_four_nodes_ready(kubectl: Kubectl) -> None:
    nodes = {node["metadata"]["name"]: node for node in kubectl.json("get", "nodes")["items"]}
    assert sorted(nodes) == list(NAMES)
    for node in nodes.values():
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.16.3"
    masters = [name for name, node in nodes.items() if "node-role.kubernetes.io/master" in node["metadata"]["labels"]]
    assert masters == ["sealos01"]


def test_the_mesh_runs(kubectl: Kubectl) -> None:
    deployments = kubectl.json("-n", "istio-system", "get", "deployments")["items"]
    assert {d["metadata"]["name"] for d in deployments} == DEPLOYMENTS
    assert all(d["status"]["availableReplicas"] == d["spec"]["replicas"] for d in deployments)
    cni = kubectl.json("-n", "kube-system", "get", "daemonset", "istio-cni-node")
    assert (cni["status"]["numberReady"], cni["status"]["desiredNumberScheduled"]) == (4, 4)
    operator = kubectl.json("-n", "istio-system", "get", "istiooperator", "example-istiocontrolplane")
    assert operator["status"]["status"] == 3  # HEALTHY, which 1.5 writes as a number (istio.md section 4)


def test_the_gateway_is_the_published_one_made_safe(kubectl: Kubectl) -> None:
    deployment = kubectl.json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert pod["nodeSelector"] == {"kubernetes.io/hostname": "sealos02"}
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": "100%", "maxSurge": "0%"}
    [proxy] = pod["containers"]
    assert proxy["name"] == "istio-proxy"
    assert proxy["image"].endswith("/proxyv2:1.5.0")
    assert proxy["readinessProbe"]
    service = kubectl.json("-n", "istio-system", "get", "service", "istio-ingressgateway")
    assert service["spec"]["type"] == "ClusterIP"
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == GATEWAY_PORTS
    [running] = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway")["items"]
    assert running["spec"]["nodeName"] == "sealos02"


@pytest.mark.parametrize("name", NAMES)
def test_istio_cni_ends_every_chain(up: Stack, lab: Lab, name: str) -> None:
    chain = json.loads(lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout)["plugins"]
    assert [plugin["type"] for plugin in chain].count("istio-cni") == 1
    assert chain[-1]["type"] == "istio-cni"
    assert chain[-1]["kubernetes"]["exclude_namespaces"] == EXCLUDED
    assert chain[-1]["log_level"] == "info"


def test_the_operator_runs_for_real_with_its_own_account(kubectl: Kubectl, lab: Lab) -> None:
    [pod] = kubectl.json("-n", "istio-operator", "get", "pods", "-l", "name=istio-operator")["items"]
    node = pod["spec"]["nodeName"]
    [pid] = lab.run(node, "pgrep", "-x", "operator").stdout.split()
    token = lab.run(node, "cat", f"/proc/{pid}/root/run/secrets/kubernetes.io/serviceaccount/token").stdout
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == "system:serviceaccount:istio-operator:istio-operator"
    lock = kubectl.json("-n", "istio-operator", "get", "configmap", "istio-operator-lock")
    leader = json.loads(lock["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"])
    assert leader["holderIdentity"].startswith(pod["metadata"]["name"] + "_")


def test_istioctl_with_completion_on_the_first_master(up: Stack, lab: Lab) -> None:
    assert "1.5.0" in lab.run("sealos01", "/usr/local/bin/istioctl", "version", "--remote=false").stdout
    completed = lab.run("sealos01", "bash", "-ic", "complete -p istioctl")
    assert completed.returncode == 0, completed.stderr
    assert "istioctl" in lab.run("sealos01", "cat", "/root/.zshrc").stdout


def test_outputs(up: Stack, lab: Lab) -> None:
    outputs = up.project.outputs()
    assert set(outputs) == {"kubeconfig", "sealosBackup", "apiServer", "nodes", "istio", "ingressGateway", "kiali"}
    assert outputs["apiServer"] == {"url": f"https://{lab.addresses['sealos01']}:6443", "version": "v1.16.3"}
    assert [(n["name"], n["role"], n["address"], n["version"]) for n in outputs["nodes"]] == [
        (name, "master" if name == "sealos01" else "node", lab.addresses[name], "v1.16.3") for name in NAMES
    ]
    assert outputs["istio"]["status"] == "HEALTHY"
    assert set(outputs["istio"]["deployments"]) == DEPLOYMENTS
    gateway = outputs["ingressGateway"]
    assert (gateway["addresses"], gateway["nodes"], gateway["type"]) == (
        [lab.addresses["sealos02"]],
        ["sealos02"],
        "ClusterIP",
    )
    assert [(p["name"], p["port"]) for p in gateway["ports"]] == GATEWAY_PORTS
    plain = up.project.pulumi("stack", "output", "--json", "--stack", "walk")
    assert json.loads(plain.stdout)["kubeconfig"] == "[secret]"


def test_kiali_asks_for_a_passphrase_of_the_stacks_own(up: Stack, kubectl: Kubectl) -> None:
    given = up.project.outputs()["kiali"]
    secret = kubectl.json("-n", "istio-system", "get", "secret", "kiali")["data"]
    found = {key: base64.b64decode(value).decode() for key, value in secret.items()}
    assert found == given
    assert given["username"] == "kiali"
    assert len(given["passphrase"]) >= 24
    assert spread(up, given["passphrase"]) == []


def test_nothing_changes_when_nothing_changed(up: Stack, lab: Lab) -> None:
    done = up.project.pulumi("preview", "--diff", "--expect-no-changes", "--stack", "walk")
    assert done.status == 0, done.text
    done = up.up()
    assert done.status == 0, done.text
    assert re.search(r"Resources:\s+\d+ unchanged\n\n", done.stdout), done.stdout
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1"


def test_one_label_of_the_gateway_is_one_object(up: Stack) -> None:
    def label(config: dict[str, Any]) -> None:
        config["istio"]["ingressGateways"][0]["label"] = {"team": "edge"}

    before = up.project.config_file.read_text()
    up.project.edit_config(label)
    found = changes(up.project.preview())
    up.project.config_file.write_text(before)
    # what Istio will make of it is shown beside it; the gate guards that object, so it looks again
    assert found == {
        "pulumi:index:Stash istio-rendered": "update",
        "kubernetes:install.istio.io/v1alpha1:IstioOperator istio-istio-operator": "update",
        "command:local:Command istio-gate": "update",
    }


def test_a_comment_in_a_script_changes_nothing_in_kubernetes(up: Stack) -> None:
    scripts = sorted((up.project.directory / "components").rglob("*.sh"))
    assert len(scripts) > 5
    for script in scripts:
        script.write_text(script.read_text() + "# a comment\n")
    assert not [change for change in changes(up.project.preview()) if change.startswith("kubernetes:")]


def spread(stack: Stack, needle: str) -> list[str]:
    """Where on this host a secret shows: state, output, command lines."""
    places = in_plain(stack.project, None, needle)
    places += [f"ps: {line[:80]!r}" for line in stack.command_lines if needle.encode() in line]
    return places


def test_no_secret_where_it_does_not_belong(up: Stack, lab: Lab) -> None:
    kubeconfig = up.project.outputs()["kubeconfig"]
    client_key = re.search(r"client-key-data: (\S+)", kubeconfig)
    assert client_key
    assert len(up.command_lines) > 50, "nothing was watched"
    assert in_plain(up.project, lab, lab.password) == []
    for secret in (lab.password, json.dumps(lab.password)[1:-1], client_key[1]):
        assert spread(up, secret) == []
    tokens = set(re.findall(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "".join(text for _, text in up.project.printed)))
    assert not tokens, "a join token was printed"
    logs = "".join(
        lab.run(name, "sh", "-c", "cat /root/.sealos/sealos.log /var/log/sealos-istio/* 2>/dev/null").stdout
        for name in NAMES
    )
    assert not re.findall(r"--token [a-z0-9]{6}\.[a-z0-9]{16}\b", logs), "a join token stands in a log of a machine"


def test_destroy_leaves_clean_machines_in_under_a_minute(up: Stack, lab: Lab) -> None:
    began = time.monotonic()
    done = up.project.destroy()
    assert done.status == 0, done.text
    assert time.monotonic() - began < 60
    for name in NAMES:
        left = lab.run(name, "sh", "-c", f"ls -d {' '.join(GONE)} 2>/dev/null").stdout.split()
        assert not left, f"{name}: {left}"
        programs = set(lab.run(name, "sh", "-c", "cat /proc/[0-9]*/comm").stdout.split())
        assert not programs & {"kubelet", "kwok", "etcd", "kube-apiserver", "istio-operator"}, name
        assert "apiserver.cluster.local" not in lab.run(name, "cat", "/etc/hosts").stdout
    assert lab.run("sealos01", "ls", "/root/sealos", "/root/kube1.16.3.tar.gz").returncode == 0, (
        "the user's own files went, too"
    )


def test_up_again_with_a_key(up: Stack, lab: Lab) -> None:
    up.set_secret("privateKey", lab.key.read_text())
    up.set_secret("password", "not the password")
    done = up.up()
    assert done.status == 0, done.text
    assert len(Kubectl(up.project).json("get", "nodes")["items"]) == 4
    body = lab.key.read_text().splitlines()[2]  # the first line of a key's body is the same in all keys
    assert in_plain(up.project, lab, body) == []
    assert spread(up, body) == []
