"""What is done on the first master, what counts as a node, and what sealos is given: pure, as tables."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import asyncssh
import pytest
import yaml

from components.printable import printable
from components.problem import Code
from components.remote.host import Host
from components.remote.models import Fleet, Login, Machine, MachineError
from components.sealos import installation, nodes, sealos_config
from components.sealos.drain import arguments as drain_arguments
from components.sealos.facts import Facts
from components.sealos.installation import decide
from components.sealos.requests import Identity, Want
from components.sealos.steps import want

FIRST = Machine(name="sealos01", address="192.0.2.11", role="master")
SECOND = Machine(name="sealos02", address="192.0.2.12", role="node")
CLUSTER = Identity(
    name="dev",
    kubernetes_version="v1.16.3",
    vip="10.103.97.2",
    pod_cidr="100.64.0.0/10",
    service_cidr="10.96.0.0/12",
    network="calico",
)
MARKER = CLUSTER.model_dump(mode="json", by_alias=True)


def item(
    name: str, address: str, *, master: bool = False, ready: str = "True", version: str = "v1.16.3"
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/master": ""} if master else {}},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": ready, "message": "cni plugin not initialized"}],
            "nodeInfo": {"kubeletVersion": version},
        },
    }


ANSWER = {"items": [item("sealos01", "192.0.2.11", master=True)]}
UNREADY = {"items": [item("sealos01", "192.0.2.11", master=True, ready="False")]}
LEFT = ("/etc/kubernetes/pki",)
CONFIG = sealos_config.document(CLUSTER, "/root/kube1.16.3.tar.gz", [FIRST, SECOND])
BY_HAND = Facts(leftovers=LEFT, nodes=ANSWER, sealos_config=CONFIG | {"repo": "registry.example.org/k8s"})


@pytest.mark.parametrize(
    ("facts", "recover", "existing", "action", "words"),
    [
        pytest.param(Facts(), False, False, "init", "bare", id="bare"),
        pytest.param(Facts(), True, False, "init", "bare", id="bare, recover changes nothing"),
        pytest.param(Facts(), True, True, "refuse", "although it was installed before", id="gone"),
        pytest.param(
            Facts(marker=MARKER, nodes=ANSWER, leftovers=LEFT),
            False,
            False,
            "nothing",
            "is there already",
            id="complete",
        ),
        pytest.param(
            Facts(marker=MARKER, nodes=ANSWER, leftovers=LEFT),
            True,
            False,
            "nothing",
            "already",
            id="complete, never wiped",
        ),
        pytest.param(
            Facts(marker=MARKER, api_error="refused"), True, False, "wait", "refused", id="API down, never wiped"
        ),
        pytest.param(
            Facts(marker=MARKER, nodes={"items": []}), False, False, "refuse", "renamed", id="not a node of it"
        ),
        pytest.param(
            Facts(marker=MARKER | {"name": "prod"}), True, False, "refuse", "'prod', not 'dev'", id="another cluster"
        ),
        pytest.param(Facts(leftovers=LEFT), False, False, "refuse", "cluster.recover: true", id="partial"),
        pytest.param(Facts(leftovers=LEFT), True, False, "recover", "/etc/kubernetes/pki", id="partial, may be wiped"),
        pytest.param(
            Facts(leftovers=LEFT), True, True, "refuse", "did not come to its end", id="an update never wipes"
        ),
        pytest.param(
            Facts(leftovers=LEFT, intent=MARKER), False, False, "refuse", "our own installation", id="ours, died"
        ),
        pytest.param(
            Facts(leftovers=LEFT, nodes=ANSWER), False, False, "refuse", "cluster.adopt: true", id="somebody's cluster"
        ),
        pytest.param(
            Facts(leftovers=LEFT, nodes=ANSWER), True, False, "refuse", "never wiped", id="somebody's, recover or not"
        ),
        pytest.param(
            Facts(leftovers=LEFT, nodes=ANSWER, intent=MARKER),
            True,
            False,
            "recover",
            "written down",
            id="ours, at the very end",
        ),
        pytest.param(
            Facts(leftovers=LEFT, nodes=UNREADY, intent=MARKER),
            True,
            False,
            "recover",
            "is not Ready (cni plugin",
            id="no pod network",
        ),
        pytest.param(
            Facts(leftovers=LEFT, nodes=UNREADY), True, False, "refuse", "is alive", id="somebody's, not Ready"
        ),
        pytest.param(
            Facts(leftovers=LEFT, alive=frozenset({"etcd", "kubelet"}), api_error="refused", ca="a", kubelet_ca="a", sealos_ca="a"),
            True,
            False,
            "refuse",
            "etcd, kubelet run",
            id="somebody's, its API down",
        ),
        pytest.param(
            Facts(leftovers=LEFT, intent=MARKER, ca="b", sealos_ca="a"),
            True,
            False,
            "recover",
            "not recorded as ours",
            id="our note, another CA, dead",
        ),
        pytest.param(
            Facts(leftovers=LEFT, intent=MARKER, kubelet_ca="b", sealos_ca="a", alive=frozenset({"kubelet"})),
            True,
            False,
            "refuse",
            "of the cluster with CA b",
            id="our note, a live kubelet of another CA",
        ),
        pytest.param(
            Facts(leftovers=LEFT, intent=MARKER, kubelet_ca="b", alive=frozenset({"kubelet"})),
            True,
            False,
            "refuse",
            "is alive",
            id="our note from before there was a CA, a live kubelet",
        ),
        pytest.param(
            Facts(leftovers=LEFT, intent=MARKER, ca="a", sealos_ca="a", alive=frozenset({"etcd"})),
            True,
            False,
            "recover",
            "our own",
            id="ours, alive",
        ),
        pytest.param(
            Facts(leftovers=("/var/lib/etcd",)), True, False, "refuse", "kubeadm reset -f", id="somebody's data"
        ),
        pytest.param(
            Facts(leftovers=LEFT, member="prod"), True, False, "refuse", "is a member of cluster prod", id="a member"
        ),
        pytest.param(
            Facts(leftovers=LEFT, sealos_config={"masters": ["192.0.2.11:22"], "nodes": ["192.0.2.40:22"]}),
            True,
            False,
            "refuse",
            "of other machines (192.0.2.40:22)",
            id="sealos's state of other machines",
        ),
        pytest.param(
            Facts(leftovers=LEFT, member="dev", alive=frozenset({"kubelet"}), kubelet_ca="a"),
            True,
            False,
            "refuse",
            "is alive",
            id="a live member of a cluster of that name",
        ),
        pytest.param(Facts(alive=frozenset({"kubelet"})), True, False, "refuse", "kubelet runs", id="a kubelet alone"),
    ],
)
def test_decision(facts: Facts, recover: bool, existing: bool, action: str, words: str) -> None:
    decision = decide(facts, CLUSTER, FIRST, recover=recover, existing=existing)
    assert decision.action == action
    assert words in decision.reason


def adopt(facts: Facts, cluster: Identity = CLUSTER, *, existing: bool = False) -> tuple[str, str]:
    decision = decide(facts, cluster, FIRST, recover=True, existing=existing, adopt=True)
    return decision.action, decision.reason


def test_a_cluster_made_by_hand_is_adopted_when_it_is_as_asked_for() -> None:
    assert adopt(BY_HAND)[0] == "adopt"
    assert adopt(BY_HAND, existing=True)[0] == "refuse", "an update takes nothing over"
    assert adopt(Facts())[0] == "init"
    assert adopt(replace(BY_HAND, marker=MARKER))[0] == "nothing"


@pytest.mark.parametrize(
    ("there", "line"),
    [
        ({"masters": ["192.0.2.19:22"]}, "the first of masters: '192.0.2.19:22' there, '192.0.2.11:22' in the settings"),
        ({"masters": []}, "the first of masters: None there"),
        ({"version": "v1.17.0"}, "cluster.kubernetesVersion: 'v1.17.0' there, 'v1.16.3' in the settings"),
        ({"vip": "10.1.1.1"}, "cluster.vip: '10.1.1.1' there"),
        ({"podcidr": "10.244.0.0/16"}, "cluster.podCidr: '10.244.0.0/16' there"),
        ({"svccidr": None}, "cluster.serviceCidr: None there"),
        ({"network": "flannel"}, "cluster.network: 'flannel' there"),
    ],
)
def test_what_differs_is_listed_before_anything_is_adopted(there: dict[str, Any], line: str) -> None:
    action, reason = adopt(replace(BY_HAND, sealos_config=CONFIG | there))
    assert action == "refuse"
    assert line in reason
    assert reason.count("in the settings") == 1


def test_certificate_names_repository_and_state_are_compared() -> None:
    asked = CLUSTER.model_copy(update={"cert_sans": ("k8s.example.org",), "repo": "other.example.org"})
    reason = adopt(BY_HAND, asked)[1]
    assert "cluster.certSans: k8s.example.org is not among the certificate's names there" in reason
    assert "cluster.repo: 'registry.example.org/k8s' there, 'other.example.org' in the settings" in reason
    assert adopt(replace(BY_HAND, sealos_config=CONFIG | {"apiservercertsans": ["k8s.example.org", "x"]}),
                 CLUSTER.model_copy(update={"cert_sans": ("k8s.example.org",)}))[0] == "adopt"  # fmt: skip
    assert "config.yaml is missing" in adopt(replace(BY_HAND, sealos_config=None))[1]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (("/root/.sealos/config.yaml",), "wrote its configuration and went no further"),
        (("/root/.sealos/pki", "/root/.sealos/config.yaml"), "made the certificates and went no further"),
        (("/etc/kubernetes/admin.conf", "/etc/kubernetes/pki", "/root/.sealos/pki"), "kubeadm init had not begun"),
        (
            ("/etc/kubernetes/manifests", "/etc/kubernetes/pki"),
            "kubeadm init began, but no API server answers (refused)",
        ),
        (("/var/lib/etcd",), "kubeadm init began"),
        (("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki"), "joined to another cluster as a node"),
        (("/root/.sealos/config.yaml", "/var/lib/kubelet/config.yaml"), "sent the package and run its init.sh, and went no further"),
        (("/etc/cni/net.d",), "parts of a cluster"),
    ],
)
def test_how_far_an_installation_came(left: tuple[str, ...], words: str) -> None:
    facts = Facts(
        leftovers=left, intent=MARKER, api_error="refused" if "/etc/kubernetes/manifests" in left else None
    )
    decision = decide(facts, CLUSTER, FIRST, recover=False, existing=False)
    assert decision.action == "refuse"
    assert words in decision.reason
    assert all(path in decision.reason for path in left)


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("kubernetes_version", "v1.17.0", "cluster.kubernetesVersion"),
        ("vip", "10.1.1.1", "cluster.vip"),
        ("pod_cidr", "10.0.0.0/16", "cluster.podCidr"),
        ("service_cidr", "10.32.0.0/16", "cluster.serviceCidr"),
        ("network", "flannel", "cluster.network"),
        ("interface", "eth1", "cluster.interface"),
        ("cert_sans", ("k8s.example.org",), "cluster.certSans"),
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_what_a_live_cluster_keeps(field: str, value: object, key: str, existing: bool) -> None:
    asked = CLUSTER.model_copy(update={field: value})
    decision = decide(Facts(marker=MARKER, nodes=ANSWER), asked, FIRST, recover=True, existing=existing)
    assert decision.action == "refuse"
    assert f"{key}: " in decision.reason
    assert decision.reason.count("in the settings") == 1


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([item("sealos02", "192.0.2.12")], [], id="as asked for"),
        pytest.param([], ["is not a node of the cluster"], id="absent"),
        pytest.param([item("old", "192.0.2.12")], ["its address 192.0.2.12 is node old's"], id="renamed"),
        pytest.param([item("sealos02", "10.0.0.9")], ["with address 10.0.0.9, not 192.0.2.12"], id="another address"),
        pytest.param(
            [item("sealos02", "192.0.2.12", master=True)], ["is a master of the cluster, not a node"], id="role"
        ),
        pytest.param([item("sealos02", "192.0.2.12", version="v1.16.2")], ["runs Kubernetes v1.16.2"], id="version"),
        pytest.param([item("sealos02", "192.0.2.12", ready="False")], ["is not Ready: cni plugin"], id="not ready"),
        pytest.param([item("sealos02", "192.0.2.12", ready="Unknown")], ["is not Ready"], id="unknown"),
        pytest.param(
            [item("sealos02", "10.0.0.9", ready="False", version="v1.15.0")],
            ["with address", "runs Kubernetes", "is not Ready"],
            id="everything at once",
        ),
    ],
)
def test_problems_of_a_node(items: list[dict[str, Any]], expected: list[str]) -> None:
    problems = nodes.problems([SECOND], nodes.parse({"items": items}), "v1.16.3")
    assert len(problems) == len(expected)
    assert all(words in problem.text for words, problem in zip(expected, problems, strict=True))


def test_a_node_that_has_just_registered() -> None:
    [problem] = nodes.problems([SECOND], nodes.parse({"items": [{"metadata": {"name": "sealos02"}}]}), "")[1:]
    assert (problem.code, str(problem)) == (Code.NODE_NOT_READY, "sealos02: it is not Ready: its kubelet has not reported yet")


@pytest.mark.parametrize(
    ("ready", "renewed", "reports"),
    [
        pytest.param("True", "2026-01-01T00:00:55.123456Z", True, id="alive"),
        pytest.param("True", "2026-01-01T00:00:19.999999Z", False, id="silent, and nobody has noticed"),
        pytest.param("True", None, True, id="without a lease"),
        pytest.param("Unknown", "2026-01-01T00:00:55.123456Z", False, id="noticed"),
    ],
)
def test_whether_a_kubelet_reports(ready: str, renewed: str | None, reports: bool) -> None:
    node = nodes.parse({"items": [item("sealos02", "192.0.2.12", ready=ready)]})["sealos02"]
    lease = {"metadata": {"name": "sealos02"}, "spec": {"renewTime": renewed}}
    another = {"metadata": {"name": "sealos01"}, "spec": {"renewTime": "2026-01-01T00:00:59.000000Z"}}
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC).timestamp()
    assert nodes.reports(node, {"items": [another, *([lease] if renewed else [])]}, now) is reports


def test_a_machine_that_has_died_is_told_from_one_that_never_reported() -> None:
    def parsed(ready: str, reason: str) -> nodes.Node:
        known = item("sealos02", "192.0.2.12", ready=ready)
        known["status"]["conditions"] = [{"type": "Ready", "status": ready, "reason": reason, "message": "Words."}]
        return nodes.parse({"items": [known]})["sealos02"]

    dead = parsed("Unknown", "NodeStatusUnknown")
    assert dead.silent
    assert nodes.warning([dead]).startswith("sealos02 is not Ready: Words. It is not waited for. Bring it back")
    for ready, reason in (("Unknown", "NodeStatusNeverUpdated"), ("False", "KubeletNotReady"), ("True", "KubeletReady")):
        assert not parsed(ready, reason).silent
    assert nodes.warning([]) == ""


def test_nodes_that_nobody_asked_for_are_not_judged() -> None:
    present = nodes.parse({"items": [item("sealos02", "192.0.2.12"), item("leaving", "192.0.2.99", ready="False")]})
    assert nodes.problems([SECOND], present, "v1.16.3") == []
    assert [row["name"] for row in nodes.table([SECOND], present)] == ["sealos02"]


def test_config_of_the_first_master_alone() -> None:
    text = sealos_config.config_file(sealos_config.document(CLUSTER, "/root/kube1.16.3.tar.gz", [FIRST]))
    assert yaml.safe_load(text) == {
        "masters": ["192.0.2.11:22"],
        "nodes": [],
        "dnsdomain": "cluster.local",
        "apiservercertsans": [],
        "user": "root",
        "apiserverdomain": "apiserver.cluster.local",
        "network": "calico",
        "vip": "10.103.97.2",
        "pkgurl": "/root/kube1.16.3.tar.gz",
        "version": "v1.16.3",
        "repo": "",
        "podcidr": "100.64.0.0/10",
        "svccidr": "10.96.0.0/12",
        "certpath": "/root/.sealos/pki",
        "certetcdpath": "/root/.sealos/pki/etcd",
        "lvscarename": "fanux/lvscare",
        "lvscaretag": "latest",
    }


@pytest.mark.parametrize(
    "password", ["simple", 'it\'s "$(x)" `y` #: {}', "umlaut ü, \\ and %", "x" * 300 + " y", "12345", "yes", "a: b"]
)
def test_a_password_survives_yaml_on_one_line(password: str) -> None:
    files = sealos_config.login_files(Login.model_validate({"password": password}), "/root/p.tar.gz")
    text = files["login.yaml"].decode()
    assert yaml.safe_load(text) == {"passwd": password, "pkpassword": "", "pkgurl": "/root/p.tar.gz"}
    assert len(text.splitlines()) == 3, "the script that takes secrets out again works by lines"
    assert "key" not in files


@pytest.mark.parametrize(
    ("kind", "form", "begins"),
    [
        ("ssh-ed25519", "openssh", "OPENSSH"),
        ("ssh-ed25519", "pkcs8-pem", "OPENSSH"),
        ("ssh-rsa", "openssh", "RSA"),
        ("ssh-rsa", "pkcs1-pem", "RSA"),
        ("ssh-rsa", "pkcs8-pem", "RSA"),
        ("ecdsa-sha2-nistp256", "openssh", "EC"),
        ("ecdsa-sha2-nistp256", "pkcs1-pem", "EC"),
    ],
)
@pytest.mark.parametrize(("locked", "passphrase"), [(True, "open sesame"), (False, "open sesame"), (False, "")])
def test_sealos_gets_a_key_that_its_library_reads(kind: str, form: str, begins: str, passphrase: str, *, locked: bool) -> None:
    """Go's of 2019: no encrypted key in OpenSSH's form or PKCS #8, no passphrase for a key without one."""
    made = asyncssh.generate_private_key(kind)
    text = made.export_private_key(form, passphrase if locked else None).decode()
    login = Login.model_validate({"privateKey": text, "privateKeyPassphrase": passphrase})
    files = sealos_config.login_files(login, "/root/p.tar.gz")
    key = files["key"].decode()
    assert key.startswith(f"-----BEGIN {begins} PRIVATE KEY-----\n")
    assert key.endswith("\n")
    assert "Proc-Type" not in key
    assert asyncssh.import_private_key(key).export_public_key() == made.export_public_key()
    assert yaml.safe_load(files["login.yaml"])["pkpassword"] == ""
    assert "<private key>" in printable(key)


@pytest.mark.parametrize(("istio", "told"), [("1.5.0", True), ("1.14.6", True), ("1.15.0", False), ("1.23.2", False)])
def test_machines_that_an_istio_has_no_images_for(istio: str, *, told: bool) -> None:
    items = [
        {"metadata": {"name": name}, "status": {"nodeInfo": {"architecture": kind} if kind else {}}}
        for name, kind in (("sealos01", "amd64"), ("sealos02", "arm64"), ("sealos03", ""), ("sealos04", "arm64"))
    ]
    said = list(nodes.without_images(istio, nodes.parse({"items": items}).values()))
    assert [line.partition(":")[0] for line in said] == ["sealos02, sealos04"] * told
    assert list(nodes.without_images(istio, nodes.parse({"items": items[:1]}).values())) == []


def test_a_key_of_a_kind_that_sealos_has_not_is_said_unless_there_is_a_password() -> None:
    key = asyncssh.generate_private_key("ssh-ed448").export_private_key("pkcs8-pem").decode()
    with pytest.raises(MachineError, match=r"of a kind that sealos can't log in by \(ssh-ed448\)"):
        sealos_config.login_files(Login.model_validate({"privateKey": key}), "/root/p.tar.gz")
    files = sealos_config.login_files(Login.model_validate({"privateKey": key, "password": "p"}), "/root/p.tar.gz")
    assert "key" not in files


def test_a_key_that_is_none_is_said_here_and_not_passed_over_there() -> None:
    with pytest.raises(MachineError, match="privateKey"):
        sealos_config.login_files(Login.model_validate({"privateKey": "KEY"}), "/root/p.tar.gz")


def test_an_agent_is_not_enough_for_sealos() -> None:
    with pytest.raises(MachineError, match="an agent is not enough"):
        sealos_config.login_files(Login(agent=True), "/root/p.tar.gz")


def test_flags_of_init() -> None:
    assert sealos_config.init_arguments(CLUSTER) == b""
    asked = CLUSTER.model_copy(update={"interface": "eth.*|en.*", "cert_sans": ("a.example.org", "192.0.2.1")})
    assert sealos_config.init_arguments(asked).decode().splitlines() == [
        "--interface", "eth.*|en.*", "--cert-sans", "a.example.org", "--cert-sans", "192.0.2.1",
    ]  # fmt: skip


def _base64(kind: str) -> str:
    lines = "".join("Ab+/" * 16 + "\n" for _ in range(25))  # long enough to be folded, if it were
    return base64.b64encode(f"-----BEGIN {kind}-----\n{lines}AAAA/+8=\n-----END {kind}-----\n".encode()).decode()


# as kubeadm writes it, so that what a live cluster gave to its stack is what it would give again
ADMIN = f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {_base64("CERTIFICATE")}
    server: https://apiserver.cluster.local:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {{}}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {_base64("CERTIFICATE")}
    client-key-data: {_base64("RSA PRIVATE KEY")}
"""


@pytest.mark.parametrize("admin_conf", [ADMIN, ADMIN.replace("preferences: {}\n", "")], ids=["1.16", "later"])
def test_the_kubeconfig_of_an_ordinary_cluster_is_admin_conf_with_another_server(admin_conf: str) -> None:
    """Byte for byte what the program has always made of it: another text would be a change of every live stack's provider."""
    made = sealos_config.kubeconfig(admin_conf, "192.0.2.11")
    assert made == admin_conf.replace("apiserver.cluster.local", "192.0.2.11")


def planted(section: str, key: str, **more: object) -> str:
    config = yaml.safe_load(ADMIN)
    config[section][0][key] |= more
    return str(yaml.safe_dump(config))


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "EVIL"]}


@pytest.mark.parametrize(
    "admin_conf",
    [
        pytest.param(planted("users", "user", exec=EXEC), id="exec"),
        pytest.param(planted("users", "user", **{"auth-provider": {"name": "gcp", "config": {"cmd-path": "EVIL"}}}), id="auth-provider"),
        pytest.param(planted("users", "user", tokenFile="/EVIL", token="EVIL"), id="token"),
        pytest.param(planted("users", "user", **{"client-key": "/EVIL", "client-certificate": "/EVIL"}), id="files"),
        pytest.param(planted("users", "user", **{"as": "EVIL", "username": "EVIL", "password": "EVIL"}), id="impersonation"),
        pytest.param(planted("clusters", "cluster", **{"proxy-url": "http://EVIL", "tls-server-name": "EVIL"}), id="proxy"),
        pytest.param(planted("clusters", "cluster", **{"insecure-skip-tls-verify": True, "certificate-authority": "/EVIL"}), id="no TLS"),
        pytest.param(planted("contexts", "context", namespace="EVIL", extensions=[{"name": "EVIL"}]), id="context"),
        pytest.param(ADMIN + "extensions: [{name: EVIL}]\n", id="extensions"),
        pytest.param(ADMIN.replace("users:\n", "users:\n- {name: EVIL, user: {exec: {command: EVIL}}}\n"), id="another user"),
    ],
)  # fmt: skip
def test_a_kubeconfig_is_made_of_ca_certificate_and_key_alone(admin_conf: str) -> None:
    made = sealos_config.kubeconfig(admin_conf, "192.0.2.11")
    assert yaml.safe_load(made) == yaml.safe_load(sealos_config.kubeconfig(ADMIN, "192.0.2.11"))
    assert "EVIL" not in made


NOT_BASE64, NOT_PEM = "no base64!", base64.b64encode(b"#!/bin/sh").decode()


@pytest.mark.parametrize(
    ("admin_conf", "why"),
    [
        ("", "is no kubeconfig"), ("[]", "is no kubeconfig"), ("kind: Config", "current-context is no name"),
        (": : {", "is no YAML"), ("[" * 5000, "is no YAML"), (ADMIN.replace("kind: Config", "kind: Secret"), "is no kubeconfig"),
        (ADMIN.replace("current-context: kubernetes-admin@", "current-context: $(id)@"), "current-context is no name"),
        (ADMIN.replace("contexts:", "other:"), "contexts must have kubernetes-admin@kubernetes once and has it 0 times"),
        (ADMIN.replace("    client-key-data", "    exec: {command: sh}\n    other"),
         "users[kubernetes-admin] has no client-key-data (it has client-certificate-data, exec, other)"),
        (planted("clusters", "cluster", **{"certificate-authority-data": None}), "clusters[kubernetes] has no certificate-authority-data"),
        (planted("users", "user", **{"client-key-data": NOT_BASE64}), "client-key-data is not the base64 of a PEM private key"),
        (planted("users", "user", **{"client-key-data": NOT_PEM}), "client-key-data is not the base64 of a PEM private key"),
        (planted("users", "user", **{"client-key-data": _base64("CERTIFICATE")}), "client-key-data is not the base64 of a PEM private key"),
        (planted("users", "user", **{"client-certificate-data": _base64("RSA PRIVATE KEY")}), "client-certificate-data is not the base64 of a PEM certificate"),
        (planted("users", "user", **{"client-certificate-data": 7}), "client-certificate-data is not the base64 of a PEM certificate"),
    ],
)  # fmt: skip
def test_no_kubeconfig(admin_conf: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        sealos_config.kubeconfig(admin_conf, "192.0.2.11")
    assert str(refused.value).startswith("admin.conf is no kubeconfig")
    for held in (_base64("RSA PRIVATE KEY"), _base64("CERTIFICATE"), NOT_PEM, NOT_BASE64):
        assert held not in str(refused.value)


@pytest.mark.parametrize(
    ("version", "flag"), [("v1.16.3", "--delete-local-data"), ("v1.20.1", "--delete-emptydir-data")]
)
def test_drain(version: str, flag: str) -> None:
    assert drain_arguments(version, 90).decode().split() == ["--ignore-daemonsets", flag, "--force", "--timeout=90s"]


def test_a_marker_of_an_older_program_without_a_key_is_not_a_change_in_silence() -> None:
    marker = {key: value for key, value in MARKER.items() if key != "vip"}
    decision = decide(replace(Facts(), marker=marker, nodes=ANSWER), CLUSTER, FIRST, recover=False, existing=False)
    assert "cluster.vip: None there" in decision.reason


class LaterIdentity(Identity):
    """The identity as a program of tomorrow has it, with a key more."""

    dns_domain: str = "cluster.local"


def test_a_key_that_a_later_program_adds_changes_no_live_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state's text, which would show every stack a change, nor what is read out of an older state or marker."""
    monkeypatch.setattr(installation, "Identity", LaterIdentity)
    monkeypatch.setattr(installation, "_NAMES", {**installation._NAMES, "dnsDomain": "cluster.dnsDomain"})
    before = CLUSTER.model_dump(mode="json", by_alias=True)
    later = LaterIdentity.model_validate(CLUSTER.model_dump())
    assert json.dumps(installation.as_recorded(later)) == json.dumps(before)
    assert installation.changes(before, later.model_dump(mode="json", by_alias=True)) == []
    asked = later.model_copy(update={"dns_domain": "example.local"})
    assert installation.as_recorded(asked) == {**before, "dnsDomain": "example.local"}
    assert list(map(str, installation.changes(before, installation.as_recorded(asked)))) == [
        "cluster.dnsDomain: 'cluster.local' there, 'example.local' in the settings"
    ]


@pytest.mark.parametrize("key", ["interface", "certSans", "repo"])
def test_a_state_of_before_a_key_was_there_is_unchanged(key: str) -> None:
    asked = installation.as_recorded(CLUSTER)
    before = {name: value for name, value in asked.items() if name != key}
    assert installation.changes(before, asked) == []
    assert installation.changes(asked, before) == []
    marker = {name: value for name, value in MARKER.items() if name != key}
    assert decide(replace(Facts(), marker=marker, nodes=ANSWER), CLUSTER, FIRST, recover=False, existing=True).action == "nothing"


def test_every_key_of_the_identity_is_compared_and_recorded() -> None:
    keys = {field.alias for field in Identity.model_fields.values()}
    assert set(installation._NAMES) == keys
    assert list(installation.as_recorded(CLUSTER)) == [
        "name", "kubernetesVersion", "vip", "podCidr", "serviceCidr", "network", "interface", "certSans", "repo",
    ], "the text in every live stack's state begins with these, in this order"  # fmt: skip


def test_a_lost_machine_that_never_was_one_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def known_of(_: object) -> list[Machine]:
        return [SECOND]

    async def nodes_of(_: object) -> dict[str, nodes.Node]:
        return {}

    async def forget(_: object, name: str) -> None:
        forgotten.append(name)

    forgotten: list[str] = []
    for name, stand_in in (("known_of", known_of), ("nodes_of", nodes_of), ("forget", forget)):
        monkeypatch.setattr(want, name, stand_in)
    request = Want(fleet=Fleet(machines=(FIRST,), login=Login()), lost=("sealos02", "sealso03"))
    asyncio.run(want._forget_lost(cast("Host", None), request))
    assert forgotten == ["sealos02", "sealso03"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "sealso03] warning: cluster.lost names it, but this cluster has no such machine" in line
