"""On machines where containers, kubelet, kubeadm and systemd are real: what played ones could only pretend.

The tests of this file share one stack, dev on a lab of their own, and follow each other.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups
from lab.machines import Lab
from tests.lab.conftest import OTHER, Kubectl, bare, dev_of, shell
from tests.project import Project
from tools import parts

GATEWAY = ("-n", "istio-system", "-l", "app=istio-ingressgateway")
BUSYBOX = "istio/proxyv2:1.5.0"
"""An image that is on every machine and has a busybox."""
REDIRECTED = "15001"
"""The port of a sidecar that the rules of istio-cni lead to."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("containers"), OTHER, count=4, containers=True) as lab:
        yield lab
    assert not list(cgroups.ROOT.glob(f"*/{cgroups.name_of(lab.directory)}"))


@pytest.fixture(scope="module")
def project(machines: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.copy(tmp_path_factory.mktemp("project") / "project", "containers", dev_of(machines))
    done = project.up()
    assert done.status == 0, done.text
    return project


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def until(true: Callable[[], object], what: str, limit: float = 60) -> None:
    """Waits until something holds."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"not within {limit:.0f} s: {what}"
        time.sleep(0.5)


def pod(name: str, namespace: str, node: str, *command: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod on a machine that runs a command of busybox."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "busybox", "image": BUSYBOX, "command": ["/bin/busybox", *command]}],
        },
    }


def apply(kubectl: Kubectl, tmp_path: Path, *objects: dict[str, Any]) -> None:
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubectl("apply", "-f", str(file))


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_a_second_up_changes_nothing(project: Project) -> None:
    done = project.up()
    assert done.status == 0, done.text
    assert "unchanged" in done.stdout
    assert "updated" not in done.stdout


def test_pods_and_services_reach_each_other_across_machines_by_name(kubectl: Kubectl, tmp_path: Path) -> None:
    server = ("sh", "-c", "mkdir /tmp/www; hostname > /tmp/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp/www")
    apply(
        kubectl,
        tmp_path,
        namespace("plain"),
        pod("web", "plain", "sealos03", *server, labels={"app": "web"}),
        pod("client", "plain", "sealos04", "sleep", "3600"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "plain"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    kubectl("-n", "plain", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", limit=70)
    address = kubectl.json("-n", "plain", "get", "pod", "web")["status"]["podIP"]

    def asked(url: str) -> str:
        return kubectl("-n", "plain", "exec", "client", "--", "/bin/busybox", "wget", "-q", "-O", "-", url)

    assert asked(f"http://{address}:8080/") == "web\n"
    until(lambda: asked("http://web.plain.svc.cluster.local/") == "web\n", "the Service by its name")


def test_logs_exec_and_port_forward_reach_the_gateway(kubectl: Kubectl) -> None:
    [gateway] = kubectl.json("get", "pods", *GATEWAY)["items"]
    name = gateway["metadata"]["name"]
    assert "Envoy proxy is ready" in kubectl("-n", "istio-system", "logs", name)
    version = kubectl("-n", "istio-system", "exec", name, "--", "/usr/local/bin/pilot-agent", "version")
    assert 'Version:"1.5.0"' in version
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forward = subprocess.Popen(
        [parts.binary("kubectl"), f"--kubeconfig={kubectl.file}", "-n", "istio-system", "port-forward", name, f"{port}:15020"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert forward.stdout is not None
        assert "Forwarding from" in forward.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz/ready", timeout=10) as answer:
            assert answer.status == 200
    finally:
        forward.terminate()
        forward.wait()


def runs(lab: Lab, node: str, container: str) -> bool:
    """Whether a container runs on a machine, by the beginning of its name after "k8s_"."""
    return lab.run(node, "docker", "ps", "-q", "--filter", f"name=k8s_{container}_").stdout != ""


def rules(lab: Lab, node: str, namespace: str, name: str) -> str:
    """What is in the network namespace of a pod."""
    pause = "$(docker ps -q --filter name=k8s_POD_%s_%s_ | head -1)" % (name, namespace)  # noqa: UP031 - a shell's text
    inside = f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {pause}) -n"
    return shell(lab, node, f"{inside} nft list ruleset; {inside} iptables-save")


def test_istiod_injects_and_istio_cni_redirects_where_it_is_not_excluded(
    kubectl: Kubectl, machines: Lab, tmp_path: Path
) -> None:
    labels = {"istio-injection": "enabled"}
    apply(kubectl, tmp_path, namespace("shop", **labels), namespace("monitoring", **labels))
    for place in ("shop", "monitoring"):  # the second is among istio.cni.excludeNamespaces
        apply(kubectl, tmp_path, pod("web", place, "sealos03", "sleep", "3600"))
        containers = kubectl.json("-n", place, "get", "pod", "web")["spec"]["containers"]
        assert {container["name"] for container in containers} == {"busybox", "istio-proxy"}
    kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod/web", "--timeout=90s", limit=100)
    assert REDIRECTED in rules(machines, "sealos03", "shop", "web")
    until(lambda: runs(machines, "sealos03", "POD_web_monitoring"), "the excluded pod's namespaces")
    assert REDIRECTED not in rules(machines, "sealos03", "monitoring", "web")
    kubectl("delete", "namespace", "shop", "monitoring", "plain", "--wait=false")


def test_a_node_that_was_deleted_stays_away_until_its_kubelet_starts_anew(kubectl: Kubectl, machines: Lab) -> None:
    kubectl("delete", "node", "sealos04")
    time.sleep(15)  # longer than kubelet's interval of reporting, 10 s
    assert kubectl.nodes() == {"sealos01", "sealos02", "sealos03"}
    shell(machines, "sealos04", "systemctl restart kubelet")
    until(lambda: "sealos04" in kubectl.nodes(), "sealos04 registers again")
    kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=60s", limit=70)


def test_a_machine_comes_back_from_a_power_cut_with_its_pods(kubectl: Kubectl, machines: Lab) -> None:
    machines.stop_machine("sealos03")
    machines.start_machine("sealos03")
    kubectl("wait", "--for=condition=Ready", "node/sealos03", "--timeout=120s", limit=130)
    until(lambda: runs(machines, "sealos03", "kube-proxy"), "kube-proxy runs again", 90)


def test_a_container_runtime_that_was_stopped_is_found_by_drift(project: Project, kubectl: Kubectl, machines: Lab) -> None:
    shell(machines, "sealos04", "systemctl stop docker.socket docker containerd")
    kubectl("wait", "--for=condition=Ready=False", "node/sealos04", "--timeout=120s", limit=130)
    done = subprocess.run(
        [sys.executable, "-m", "drift", "--stack", project.stack, "--directory", str(project.directory)],
        env=project.variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "sealos04" in done.stdout
    shell(machines, "sealos04", "systemctl start docker.socket containerd docker")
    kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=120s", limit=130)


def test_a_destroy_leaves_clean_machines(project: Project, machines: Lab) -> None:
    done = project.destroy()
    assert done.status == 0, done.text
    for name in machines.names:
        bare(machines, name)
        assert shell(machines, name, "docker ps -aq") == ""
