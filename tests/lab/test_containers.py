"""What is real on the lab's machines does what it does elsewhere: pods, networks, injection, kubelet, power cuts, certificates; and faults.

The tests of this file share one stack, dev on a lab of their own, and follow each other.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools import parts
from lab import cgroups, faults, package
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import OTHER, Kubectl, bare, dev_of, drift, shell, until
from tests.project import Project

GATEWAY = ("-n", "istio-system", "-l", "app=istio-ingressgateway")
BUSYBOX = "istio/proxyv2:1.5.0"
"""An image that is on every machine and has a busybox."""
CHAIN = "/etc/cni/net.d/10-calico.conflist"
RENEWAL = ("docs/operations.md", "Renew certificates")
ANOTHER_CA = ("docs/operations.md", "Another CA")
REDIRECTED = "15001"
"""The port of a sidecar that the rules of istio-cni lead to."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # the stand-in as a sealos that somebody gave: on sealos04 its `sealos ipvs` does nothing, as a real one's without IPVS
    given = parts.binary("sealos")
    with Lab(tmp_path_factory.mktemp("containers"), OTHER, count=4, sealos=given) as lab:
        without_ipvs = {"step": "ipvs", "host": lab.addresses["sealos04"], "action": "fail"}
        shell(lab, "sealos01", "cat >/root/.sealos-standin-faults.json", stdin=json.dumps({"faults": [without_ipvs]}))
        yield lab
    assert not list(cgroups.ROOT.glob(f"*/{cgroups.name_of(lab.directory)}"))


@pytest.fixture(scope="module")
def project(machines: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.copy(tmp_path_factory.mktemp("project") / "project", "containers", dev_of(machines))
    done = project.up(limit=850)  # beside another lab it takes twice as long as alone
    assert done.status == 0, done.text
    return project


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    return Kubectl(project)


def pod(
    name: str, namespace: str, node: str, *command: str, labels: dict[str, str] | None = None, image: str = BUSYBOX
) -> dict[str, Any]:
    """A pod on a machine that runs a command of busybox."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "busybox", "image": image, "command": ["/bin/busybox", *command]}],
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


def across(kubectl: Kubectl, tmp_path: Path, image: str = BUSYBOX) -> None:
    """Asserts that a pod on sealos04 reaches one on sealos03, and a Service of that by its name; they stay in the namespace plain."""
    server = ("sh", "-c", "mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp/www")
    apply(
        kubectl,
        tmp_path,
        namespace("plain"),
        pod("web", "plain", "sealos03", *server, labels={"app": "web"}, image=image),
        pod("client", "plain", "sealos04", "sleep", "3600", image=image),
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


def test_pods_and_services_reach_each_other_across_machines_by_name(kubectl: Kubectl, tmp_path: Path) -> None:
    across(kubectl, tmp_path)


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
    """Whether a container runs on a machine, by its name in its pod; with Docker, what follows that in the pod's own may go along."""
    if lab.release.runtime is package.CONTAINERD:
        return lab.run(node, "crictl", "ps", "-q", "--name", f"^{container}$").stdout != ""
    return lab.run(node, "docker", "ps", "-q", "--filter", f"name=k8s_{container}_").stdout != ""


def rules(lab: Lab, node: str, namespace: str, name: str) -> str:
    """What is in the network namespace of a pod."""
    if lab.release.runtime is package.CONTAINERD:
        pause = f"$(crictl pods -q --state Ready --namespace '^{namespace}$' --name '^{name}$' | head -1)"
        first = f"crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {pause}"
    else:
        pause = f"$(docker ps -q --filter name=k8s_POD_{name}_{namespace}_ | head -1)"
        first = f"docker inspect -f '{{{{.State.Pid}}}}' {pause}"
    inside = f"nsenter -t $({first}) -n"
    return shell(lab, node, f"{inside} nft list ruleset; {inside} iptables-save")


def test_istiod_injects_and_istio_cni_redirects_where_it_is_not_excluded(
    kubectl: Kubectl, machines: Lab, tmp_path: Path
) -> None:
    labels = {"istio-injection": "enabled"}
    apply(kubectl, tmp_path, namespace("shop", **labels), namespace("monitoring", **labels))

    def started(place: str) -> None:
        apply(kubectl, tmp_path, pod("web", place, "sealos03", "sleep", "3600"))
        containers = kubectl.json("-n", place, "get", "pod", "web")["spec"]["containers"]
        assert {container["name"] for container in containers} == {"busybox", "istio-proxy"}

    started("shop")
    kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod/web", "--timeout=90s", limit=100)
    assert REDIRECTED in rules(machines, "sealos03", "shop", "web")
    started("monitoring")  # among istio.cni.excludeNamespaces: without rules it fails its validation, and the plugin's repair deletes it then
    until(lambda: runs(machines, "sealos03", "POD_web_monitoring"), "the excluded pod's namespaces")
    assert REDIRECTED not in rules(machines, "sealos03", "monitoring", "web")
    kubectl("delete", "namespace", "shop", "monitoring", "plain", "--wait=false", "--ignore-not-found")


def test_a_node_that_was_deleted_stays_away_until_its_kubelet_starts_anew(kubectl: Kubectl, machines: Lab) -> None:
    kubectl("delete", "node", "sealos04")
    time.sleep(15)  # longer than kubelet's interval of reporting, 10 s
    assert kubectl.nodes() == {"sealos01", "sealos02", "sealos03"}
    shell(machines, "sealos04", "systemctl restart kubelet")
    until(lambda: "sealos04" in kubectl.nodes(), "sealos04 registers again")
    kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=60s", limit=70)


def cut(kubectl: Kubectl, machines: Lab) -> None:
    """Cuts sealos03's power, and asserts that it comes back with its pods."""
    machines.stop_machine("sealos03")
    machines.start_machine("sealos03")
    kubectl("wait", "--for=condition=Ready", "node/sealos03", "--timeout=120s", limit=130)
    until(lambda: runs(machines, "sealos03", "kube-proxy"), "kube-proxy runs again", 90)


def test_a_machine_comes_back_from_a_power_cut_with_its_pods(kubectl: Kubectl, machines: Lab) -> None:
    cut(kubectl, machines)


def fails(lab: Lab, name: str, text: str) -> bool:
    """Whether a piece of bash fails on a machine, asked without SSH."""
    environment = f"export KUBECONFIG=/etc/kubernetes/admin.conf KEPT={faults.KEPT}"
    return lab.inside(name, "bash", "-c", f"{environment}\n{text}").returncode != 0


ACCOUNT = "system:serviceaccount:istio-operator:istio-operator"
TRIED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "tried"},
    "spec": {"containers": [{"name": "none", "image": "none", "imagePullPolicy": "Never"}]},
}
FELT = {  # what fails while a fault is there and not otherwise, and on which machine it is put
    "refusing": ("sealos04", "timeout 3 bash -c 'exec 3<>/dev/tcp/$(hostname)/22'"),
    "mute": ("sealos04", "timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; read -r -t 2 <&3'"),
    "host-key": ("sealos04", "cd /etc/ssh; [[ ! -e $KEPT/ssh_host_ed25519_key ]] || cmp ssh_host_ed25519_key $KEPT/ssh_host_ed25519_key"),
    "clock": ("sealos04", "(( $(date +%s) + 30 > $(python3 -c 'import time; print(int(time.time()))') ))"),
    "twin-hostname": ("sealos04", "[[ $(hostname) = sealos04 ]]"),
    "full-disk": ("sealos04", "mkdir -p /root/.sealos && head -c 1M /dev/zero >/root/.sealos/more && rm /root/.sealos/more"),
    "read-only": ("sealos04", "touch /etc/written && rm /etc/written"),
    "half-package": ("sealos01", "gzip -t /root/kube*.tar.gz"),
    "kubeadm": ("sealos04", "kubeadm version"),
    "kubelet": ("sealos04", "systemctl is-active kubelet"),
    "image": ("sealos04", "docker image inspect istio/pilot:1.5.0"),
    "operator-rights": ("sealos01", f"kubectl auth can-i list deployments.apps -n istio-system --as={ACCOUNT}"),
    "webhook": ("sealos01", f"kubectl create -f - <<<'{json.dumps(TRIED)}' && kubectl delete pod tried --now"),
    "finalizer": ("sealos01", "! kubectl -n istio-system get istiooperators -o yaml | grep -q lab.example/planted"),
    "component": ("sealos01", "timeout 5 kubectl get nodes"),
}
TRIED_ELSEWHERE = {"runtime", "slow", "sealos-killed", "cni-chain"}


def test_each_fault_is_felt_and_can_be_taken_away(kubectl: Kubectl, machines: Lab) -> None:
    assert FELT.keys() | TRIED_ELSEWHERE == {fault.name for fault in faults.FAULTS}
    for name, (machine, text) in FELT.items():
        assert not fails(machines, machine, text), name
        faults.put(machines, machine, name)
        until(lambda machine=machine, text=text: fails(machines, machine, text), f"{name} is felt")  # type: ignore[misc]
        faults.put(machines, machine, name, undo=True)
        until(lambda machine=machine, text=text: not fails(machines, machine, text), f"{name} is gone")  # type: ignore[misc]


def test_what_is_slow_is_slow(machines: Lab) -> None:
    def seconds() -> float:
        began = time.monotonic()
        assert len(machines.run("sealos04", "head", "-c", "100000", "/dev/zero").stdout) == 100000
        return time.monotonic() - began

    faults.put(machines, "sealos04", "slow", "256")
    slow = seconds()
    faults.put(machines, "sealos04", "slow", undo=True)
    assert slow > 2 > seconds()


def test_sealos_is_killed_while_it_runs(machines: Lab) -> None:
    shell(machines, "sealos01", "cp /usr/bin/sleep /tmp/sealos; (setsid /tmp/sealos 60 >/dev/null 2>&1 </dev/null &)")
    faults.put(machines, "sealos01", "sealos-killed")
    assert fails(machines, "sealos01", "pgrep -x sealos")


def test_a_chain_without_istio_cni_is_put_right_by_its_installer(kubectl: Kubectl, machines: Lab) -> None:
    chained = f"grep -q istio-cni {CHAIN}"
    faults.put(machines, "sealos04", "cni-chain")
    until(lambda: not fails(machines, "sealos04", chained), "the installer starts anew and appends it")


def test_a_container_runtime_that_was_stopped_is_found_by_drift(project: Project, kubectl: Kubectl, machines: Lab) -> None:
    faults.put(machines, "sealos04", "runtime")
    kubectl("wait", "--for=condition=Ready=False", "node/sealos04", "--timeout=120s", limit=130)
    done = drift(project)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "sealos04" in done.stdout
    faults.put(machines, "sealos04", "runtime", undo=True)
    kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=120s", limit=130)


def test_images_from_a_file_are_loaded_where_they_are_missing(project: Project, machines: Lab) -> None:
    image, file = "istio/operator:1.5.0", project.directory / "mesh.tar"
    shell(machines, "sealos01", f"docker save -o /root/mesh.tar {image}")
    shutil.copy(machines.root("sealos01") / "root/mesh.tar", file)
    lacks = next(name for name in machines.names if not fails(machines, name, f"docker rmi {image}"))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    project.edit_config(lambda config: config["istio"].update(images={"file": file.name, "sha256": sha256}))
    done = project.up(limit=850)
    assert done.status == 0, done.text
    assert f"{lacks}] sending mesh.tar" in done.text, done.text
    assert done.text.count("sending mesh.tar") == 1
    assert not fails(machines, lacks, f"docker image inspect {image}")


def ssh(machines: Lab, name: str) -> dict[str, str]:
    """What the docs write for logging in, and what it is here."""
    return {f"ssh root@{name}": shlex.join(machines.ssh_command(name))}


def read_anew(project: Project, up: Callable[[], str]) -> None:
    """Asserts that another kubeconfig on the first master is found by drift, and read by the documented up, which replaces none of the cluster."""
    before = project.outputs()["kubeconfig"]
    found = drift(project)
    assert "its kubeconfig is not that of /etc/kubernetes/admin.conf any more" in found.stdout, found.stdout + found.stderr
    preview = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert preview.status == 0, preview.text
    printed = up()
    replaced = [line.split() for line in printed.splitlines() if "replaced" in line]
    assert {words[2] for words in replaced if len(words) > 2} <= {"cluster-backup"}, printed  # the summary has a number alone
    assert project.outputs()["kubeconfig"] != before
    Kubectl(project)("get", "nodes")


def test_a_renewed_kubeconfig_is_read_by_the_next_up_and_nothing_is_replaced(project: Project, machines: Lab) -> None:
    terminal = Terminal.of(project)
    terminal.documented(*RENEWAL, "ssh", replace=ssh(machines, "sealos01"))
    until(lambda: not fails(machines, "sealos01", "kubectl get nodes"), "the API server answers with its new certificate", 120)
    read_anew(project, lambda: terminal.documented(*RENEWAL, "pulumi up", limit=850))
    found = drift(project)
    assert found.returncode == 0, found.stdout + found.stderr


def test_another_ca_leaves_a_cluster_that_works(project: Project, machines: Lab, tmp_path: Path) -> None:
    terminal = Terminal.of(project)
    ca = "sha256sum </etc/kubernetes/pki/ca.crt"
    before = shell(machines, "sealos01", ca)
    terminal.documented(*ANOTHER_CA, 'ssh root@sealos01 "$(cat', replace=ssh(machines, "sealos01"))
    now = shell(machines, "sealos01", ca)
    assert now != before
    assert shell(machines, "sealos01", "sha256sum </root/.sealos/pki/ca.crt") == now
    for name in machines.names[1:]:
        there = {"ssh root@sealos02": shlex.join(machines.ssh_command(name)), "new-ca/sealos02": f"new-ca/{name}", "sealos02 has": f"{name} has"}
        terminal.documented(*ANOTHER_CA, "ssh root@sealos01 tar", replace=there | ssh(machines, "sealos01"))
        assert shell(machines, name, ca) == now
    backup = project.outputs()["sealosBackup"]
    read_anew(project, lambda: terminal.documented(*ANOTHER_CA, "pulumi up", limit=850))
    assert project.outputs()["sealosBackup"] != backup
    kubectl = Kubectl(project)
    kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s", limit=130)
    terminal.environment["KUBECONFIG"] = str(kubectl.file)
    terminal.documented(*ANOTHER_CA, "kubectl", limit=300)
    done = project.up(limit=850)
    assert done.status == 0, done.text
    across(kubectl, tmp_path)
    found = drift(project)
    assert found.returncode == 0, found.stdout + found.stderr


def emptied(project: Project, machines: Lab) -> None:
    """Destroys the stack, and asserts that the machines are clean: no container, no mount and no cgroup of a pod is left."""
    done = project.destroy()
    assert done.status == 0, done.text
    listed = "docker ps -aq" if machines.release.runtime is package.DOCKER else "ctr -n k8s.io containers list -q"
    for name in machines.names:
        bare(machines, name)
        assert shell(machines, name, listed) == ""
        assert shell(machines, name, "awk '$2 ~ \"^/(var/lib/kubelet|var/lib/docker|run/containerd)/.\" { print $2 }' /proc/mounts") == ""
        assert shell(machines, name, "find /sys/fs/cgroup -type d -path '*/kubepods*'") == ""


def test_a_destroy_leaves_clean_machines(project: Project, machines: Lab) -> None:
    emptied(project, machines)
