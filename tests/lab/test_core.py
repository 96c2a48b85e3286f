"""What `make test` tries on the lab, on real parts: bare machines, a mesh, no change, one edit, a node in and out, a killed run
and its end, the review of changes, drift, nothing secret, and clean machines again.

The tests of this file share one stack and follow each other.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from devtools import engine as engines
from lab.machines import NAMES, Lab
from review.__main__ import STOPPED, status
from review.previews import Checkout
from review.summary import plain
from tests.lab.conftest import Kubectl, bare, drift, in_plain, listed, sealos_runs, shell
from tests.project import Done, Project, changes

pytestmark = pytest.mark.core

Figures = Callable[[str, object], None]

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
CHAIN = "/etc/cni/net.d/10-calico.conflist"
CNI_KUBECONFIG = "/etc/cni/net.d/ZZZ-istio-cni-kubeconfig"
CERTIFICATE = "/etc/kubernetes/pki/front-proxy-client.crt"
SEED = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(2**32))
"""Of when the run is killed; set TEST_SEED to have it at the same moment again."""
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
    """The stack of this file and what its `up`s left to look at.

    Attributes:
        took: seconds of the last one.
    """

    def __init__(self, project: Project, known_hosts: Path) -> None:
        self.project, self.known_hosts = project, known_hosts
        self.command_lines: set[bytes] = set()
        self.took = 0.0

    def up(self, *arguments: str) -> Done:
        """`pulumi up`, watched."""
        began = time.monotonic()
        with CommandLines() as watched:
            done = self.project.up(*arguments)
        self.took = time.monotonic() - began
        self.command_lines |= watched.seen
        return done

    def applied(self, *arguments: str) -> None:
        """`pulumi up`, which must end well and leave nothing to change."""
        done = self.up(*arguments)
        assert done.status == 0, done.text
        self.unchanged()

    def unchanged(self) -> None:
        """Asserts that a preview shows no change."""
        done = self.project.pulumi("preview", "--diff", "--expect-no-changes", "--stack", self.project.stack)
        assert done.status == 0, done.text

    def set_secret(self, key: str, value: str) -> None:
        """Sets a secret as a user does."""
        key = f"sealos-istio:{key}"
        done = self.project.pulumi("config", "set", "--secret", "--stack", self.project.stack, key, stdin=value)
        assert done.status == 0, done.text


@pytest.fixture(scope="module")
def stack(lab: Lab, password_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab.reset()
    directory = tmp_path_factory.mktemp("core")
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(lab.known_hosts.read_text())
    config = {**password_config, "ssh": {"knownHosts": str(known_hosts)}, "password": ""}
    stack = Stack(Project.copy(directory / "project", "core", config), known_hosts)
    stack.set_secret("password", lab.password)
    yield stack
    done = stack.project.destroy()
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


def mesh_runs(kubectl: Kubectl, machines: int) -> None:
    """Asserts that all of it is there, on so many machines."""
    deployments = kubectl.json("-n", "istio-system", "get", "deployments")["items"]
    assert {d["metadata"]["name"] for d in deployments} == DEPLOYMENTS
    assert all(d["status"]["availableReplicas"] == d["spec"]["replicas"] for d in deployments)
    cni = kubectl.json("-n", "kube-system", "get", "daemonset", "istio-cni-node")
    assert (cni["status"]["numberReady"], cni["status"]["desiredNumberScheduled"]) == (machines, machines)
    operator = kubectl.json("-n", "istio-system", "get", "istiooperator", "example-istiocontrolplane")
    assert operator["status"]["status"] == 3  # HEALTHY, which 1.5 writes as a number (components/istio/releases/table.py)


def test_the_mesh_runs(kubectl: Kubectl) -> None:
    mesh_runs(kubectl, 4)


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
    token = shell(lab, node, "cd /proc/$1/root; cat {var/,}run/secrets/kubernetes.io/serviceaccount/token 2>/dev/null | head -n 1", pid)
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
    plain = up.project.pulumi("stack", "output", "--json", "--stack", "core")
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
    up.unchanged()
    done = up.up()
    assert done.status == 0, done.text
    assert re.search(r"Resources:\s+\d+ unchanged\n\n", done.stdout), done.stdout
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1"


def test_a_comment_in_a_script_changes_nothing_in_kubernetes(up: Stack) -> None:
    scripts = {file: file.read_text() for file in sorted((up.project.directory / "components").rglob("*.sh"))}
    assert len(scripts) > 5
    for script, text in scripts.items():
        script.write_text(text + "# a comment\n")
    found = changes(up.project.preview())
    for script, text in scripts.items():
        script.write_text(text)
    assert not [change for change in found if change.startswith("kubernetes:")]


def test_one_edit_of_the_gateway_is_one_object(up: Stack, kubectl: Kubectl) -> None:
    annotations = {"example.org/team": "edge"}
    up.project.edit_config(
        lambda config: config["istio"]["ingressGateways"][0]["k8s"].update(podAnnotations=annotations)
    )
    # what Istio will make of it is shown beside it; the gate guards that object, so it looks again
    assert changes(up.project.preview()) == {
        "pulumi:index:Stash istio-rendered": "update",
        "kubernetes:install.istio.io/v1alpha1:IstioOperator istio-istio-operator": "update",
        "command:local:Command istio-gate": "update",
    }
    up.applied()
    gateway = kubectl.json("-n", "istio-system", "get", "deployment", "istio-ingressgateway")
    assert gateway["spec"]["template"]["metadata"]["annotations"].items() >= annotations.items()
    test_the_gateway_is_the_published_one_made_safe(kubectl)


def members(up: Stack, lab: Lab, *numbers: int) -> dict[str, str]:
    """Sets the nodes; what the preview says of the members."""
    up.project.edit_config(lambda config: config.update(listed(lab, 1, numbers)))
    prefix = "command:local:Command cluster-member-"
    found = changes(up.project.preview())
    return {name.removeprefix(prefix): op for name, op in found.items() if name.startswith(prefix)}


def nodes(kubectl: Kubectl) -> list[str]:
    """The names of the nodes, each of which must be Ready."""
    found = kubectl.json("get", "nodes")["items"]
    for node in found:
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True", node["metadata"]
    return sorted(node["metadata"]["name"] for node in found)


def test_a_node_comes_and_goes(up: Stack, kubectl: Kubectl, lab: Lab) -> None:
    joins = len(sealos_runs(lab, "join"))
    assert members(up, lab, 2, 3, 4, 5) == {"sealos05": "create"}
    up.applied()
    assert nodes(kubectl) == [*NAMES, "sealos05"]
    assert len(sealos_runs(lab, "join")) == joins + 1
    assert up.project.outputs()["istio"]["cni"]["ready"] == 5
    test_istio_cni_ends_every_chain(up, lab, "sealos05")
    assert members(up, lab, 2, 3, 4) == {"sealos05": "delete"}
    up.applied()
    assert nodes(kubectl) == [*NAMES]
    assert up.project.outputs()["istio"]["cni"]["ready"] == 4
    bare(lab, "sealos05")


def test_killed_at_any_moment_the_next_run_ends_as_if_nothing_had_been(
    up: Stack, kubectl: Kubectl, lab: Lab, record_property: Figures
) -> None:
    """While another node comes and the way in becomes a key, engine and providers and drivers alike are killed."""
    up.set_secret("privateKey", lab.key.read_text())
    up.set_secret("password", "not the password")
    assert members(up, lab, 2, 3, 4, 6) == {"sealos06": "create"} | dict.fromkeys(NAMES[1:], "update")
    moment = random.Random(SEED).uniform(0.5, 0.8 * up.took)
    record_property("seed", SEED)
    record_property("seconds until it was killed", round(moment, 1))
    process = up.project.start("up", "--yes", "--skip-preview", "--stack", up.project.stack)
    time.sleep(moment)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)  # all that it started has its process group
    process.communicate()
    # the lock of the killed run: `make up` does this by itself
    assert up.project.pulumi("cancel", "--yes", "--stack", up.project.stack).status == 0
    up.applied()
    assert nodes(kubectl) == [*NAMES, "sealos06"]
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1", "initialised twice"
    mesh_runs(kubectl, 5)


def test_the_review_of_a_change_and_the_gate(up: Stack) -> None:
    project = up.project
    checkout = Checkout(engines.present(), project.directory, project.variables())
    before = project.config_file.read_text()
    try:
        project.edit_config(lambda c: c["nodes"].pop(1))
        plan = checkout.preview(project.stack)
        assert "STOP: the node sealos03 would be deleted (label allow-node-loss)" in plain(plan)
        assert status([plan], ()) == STOPPED
        assert status([plan], ("allow-node-loss",)) == 0
        project.config_file.write_text(before)
        project.edit_config(lambda c: c["cluster"].update(name="other", identityChange="replace"))
        plan = checkout.preview(project.stack)
        assert "STOP: the cluster would be replaced" in plain(plan)
        assert status([plan], ("allow-node-loss", "allow-mesh-loss")) == STOPPED
        assert "cluster-member-sealos03" in checkout.graph(project.stack)
    finally:
        project.config_file.write_text(before)
    assert not checkout.preview(project.stack).changed


def findings(project: Project) -> list[dict[str, str]]:
    done = drift(project, "--json")
    assert done.returncode in (0, 3), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["drift"] == (done.returncode == 3) == bool(told["findings"])
    found: list[dict[str, str]] = told["findings"]
    return found


def test_a_clean_stack_has_no_drift(up: Stack) -> None:
    assert findings(up.project) == []
    done = drift(up.project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "core: settings, state, cluster and machines agree."


def ends_in(days: float) -> bytes:
    """A certificate of our own making that ends then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "planted")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=360))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def jwt(days: float) -> str:
    claims = json.dumps({"exp": int(time.time() + days * 86400)}).encode()
    return "e30." + base64.urlsafe_b64encode(claims).decode().rstrip("=") + ".c2ln"


def put(lab: Lab, machine: str, file: str, text: str) -> None:
    shell(lab, machine, f"cat > {file}", stdin=text)


def test_each_of_ten_planted_drifts_is_found(up: Stack, kubectl: Kubectl, lab: Lab, tmp_path: Path) -> None:
    project = up.project
    before = {
        (machine, file): lab.run(machine, "cat", file).stdout
        for machine, file in (
            ("sealos03", CHAIN),
            ("sealos04", CNI_KUBECONFIG),
            ("sealos01", CERTIFICATE),
            ("sealos01", "/etc/sealos-istio/wanted.json"),
        )
    }
    known_hosts = up.known_hosts
    keys, config = known_hosts.read_text(), project.config_file.read_text()

    # 1 and 2: objects; the operator first, so that it does not put right what follows
    kubectl("-n", "istio-operator", "scale", "deployment", "istio-operator", "--replicas=0")
    kubectl("-n", "istio-operator", "delete", "service", "istio-operator")
    # 3: what the operator made of the IstioOperator
    kubectl("-n", "istio-system", "delete", "deployment", "kiali")
    # 4: a node that nobody asked for
    stranger = tmp_path / "stranger.yaml"
    stranger.write_text("apiVersion: v1\nkind: Node\nmetadata: {name: stranger}\n")
    kubectl("create", "-f", str(stranger))
    # 5: a node that takes no pods
    kubectl("cordon", "sealos03")
    # 6: a join token for ever
    token = tmp_path / "token.yaml"
    token.write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: bootstrap-token-aaaaaa, namespace: kube-system}\n"
        "type: bootstrap.kubernetes.io/token\nstringData: {token-id: aaaaaa, token-secret: aaaaaaaaaaaaaaaa}\n"
    )
    kubectl("create", "-f", str(token))
    # 7: a CNI chain that something else wrote
    chain = json.loads(before["sealos03", CHAIN])
    chain["plugins"].append({"type": "tuning"})
    put(lab, "sealos03", CHAIN, json.dumps(chain))
    # 8: a token that ends soon
    ending, tokens = re.subn(r"token: \S+", f"token: {jwt(2)}", before["sealos04", CNI_KUBECONFIG])
    assert tokens == 1
    put(lab, "sealos04", CNI_KUBECONFIG, ending)
    # 9: a certificate that ends soon
    put(lab, "sealos01", CERTIFICATE, ends_in(5).decode())
    # 10: another machine at the address, by its host key
    address = lab.addresses["sealos02"]
    other = next(line.split(" ", 1)[1] for line in keys.splitlines() if line.startswith(lab.addresses["sealos03"]))
    lines = [line for line in keys.splitlines() if not line.startswith(address)]
    known_hosts.write_text("\n".join([*lines, f"{address} {other}"]) + "\n")
    # 11: settings that nobody applied, 12: the list on the first master
    project.edit_config(lambda c: c["istio"]["ingressGateways"][0]["k8s"].update(podAnnotations={"team": "other"}))
    wanted = json.loads(before["sealos01", "/etc/sealos-istio/wanted.json"])
    wanted["machines"].append({**wanted["machines"][-1], "name": "sealos09", "address": "198.18.0.9"})
    put(lab, "sealos01", "/etc/sealos-istio/wanted.json", json.dumps(wanted))
    try:
        found = findings(project)
    finally:
        known_hosts.write_text(keys)
        project.config_file.write_text(config)
        for (machine, file), text in before.items():
            put(lab, machine, file, text)
    told = {(f["area"], f["where"], f["what"]) for f in found}

    def has(area: str, where: str, *words: str) -> bool:
        return any(a == area and w == where and all(word in what for word in words) for a, w, what in told)

    assert has("objects", "Deployment istio-operator-deployment", "spec.replicas"), told
    assert has("objects", "Service istio-operator-service", "gone"), told
    assert has("mesh", "Deployment istio-system/kiali", "does not exist"), told
    assert has("membership", "stranger", "in no settings"), told
    assert has("membership", "sealos03", "cordoned"), told
    assert has("membership", "sealos01", "wanted.json", "sealos09"), told
    assert has("tokens", "sealos01", "aaaaaa never ends"), told
    assert has("tokens", "sealos04", CNI_KUBECONFIG, "in 2.0 days"), told
    assert has("cni", "sealos03", "ends with tuning, not istio-cni"), told
    assert has("certificates", "sealos01", CERTIFICATE, "in 5.0 days"), told
    assert has("host-keys", "sealos02"), told
    assert has("settings", "IstioOperator istio-istio-operator", "update"), told
    assert "aaaaaaaaaaaaaaaa" not in json.dumps(found), "the token's secret was told"
    assert all(f["fix"] for f in found)

    kubectl("delete", "-f", str(stranger), "-f", str(token))
    kubectl("uncordon", "sealos03")
    up.applied("--refresh")
    assert findings(project) == []


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
    body = lab.key.read_text().splitlines()[2]  # the first line of a key's body is the same in all keys
    assert in_plain(up.project, lab, body) == []
    for secret in (lab.password, json.dumps(lab.password)[1:-1], client_key[1], body):
        assert spread(up, secret) == []
    tokens = set(re.findall(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "".join(text for _, text in up.project.printed)))
    assert not tokens, "a join token was printed"
    logs = "".join(
        lab.run(name, "sh", "-c", "cat /root/.sealos/sealos.log /var/log/sealos-istio/* 2>/dev/null").stdout
        for name in lab.names
    )
    assert not re.findall(r"--token [a-z0-9]{6}\.[a-z0-9]{16}\b", logs), "a join token stands in a log of a machine"


def test_destroy_leaves_clean_machines(up: Stack, lab: Lab, record_property: Figures) -> None:
    began = time.monotonic()
    done = up.project.destroy()
    assert done.status == 0, done.text
    record_property("seconds", round(time.monotonic() - began))
    for name in lab.names:
        bare(lab, name)
        left = lab.run(name, "sh", "-c", f"ls -d {' '.join(GONE)} 2>/dev/null").stdout.split()
        assert not left, f"{name}: {left}"
        programs = set(lab.run(name, "sh", "-c", "cat /proc/[0-9]*/comm").stdout.split())
        assert not programs & {"kubelet", "etcd", "kube-apiserver", "operator"}, name
        assert "apiserver.cluster.local" not in lab.run(name, "cat", "/etc/hosts").stdout
    assert lab.run("sealos01", "ls", "/root/sealos", "/root/kube1.16.3.tar.gz").returncode == 0, (
        "the user's own files went, too"
    )
