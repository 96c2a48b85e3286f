"""Getting to the machines and judging them: every finding at once, a bastion, files that are sent, and what is rotated."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from lab import faults
from lab.machines import NAMES, Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, drift
from tests.project import Project, changes

Config = dict[str, Any]
PASSWORD = "it's a new one"


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A cluster without a mesh, of the first two machines."""
    lab.reset()
    config = {key: value for key, value in dev_config.items() if key in ("masters", "ssh", "cluster")}
    config["nodes"] = dev_config["nodes"][:1]
    return Project.copy(tmp_path_factory.mktemp("reaching") / "project", "reach", config)


def test_every_finding_of_every_machine_in_one_report(project: Project, lab: Lab, dev_config: Config) -> None:
    before = project.config_file.read_text()
    project.edit_config(lambda c: c.update(nodes=dev_config["nodes"], istio=dev_config["istio"]))
    faults.listen(lab, "sealos01", 2380)
    faults.listen(lab, "sealos02", 443)
    for name in ("sealos02", "sealos03"):
        lab.run(name, "sh", "-c", "mkdir -p /etc/kubernetes/pki && echo old >/etc/kubernetes/pki/ca.key")
    lab.run("sealos02", "ip", "address", "add", "10.103.97.2/32", "dev", "eth0").check_returncode()
    faults.move_clock(lab, "sealos03", -100)
    lab.run("sealos03", "ip", "route", "add", "100.64.8.0/24", "dev", "eth0").check_returncode()
    faults.deaf(lab, "sealos04")
    project.edit_config(lambda c: (c["ssh"].update(connectTimeout=2), c["cluster"].update(kubernetesVersion="v1.16.8")))
    lab.run("sealos01", "mv", "/root/kube1.16.3.tar.gz", "/root/kube1.16.8.tar.gz").check_returncode()
    examples = {"3 errors": "8 errors", "by etcd (process 812)": "by python3 (process …)"}
    try:
        printed = Terminal.of(project).documented("docs/operations.md", "Preflight", replace=examples, status=255)
        told = re.sub(r"[ ]+", " ", printed)
        for words in (
            r"8 errors, 1 warning; nothing was changed",
            r"sealos01:\n.*\[package-version\] /root/kube1\.16\.8\.tar\.gz holds Kubernetes v1\.16\.3, not v1\.16\.8",
            r"sealos01:\n.*\[port\] port 2380 is taken by python3 \(process \d+\), which etcd's peers needs",
            r"sealos02:\n.*\[gateway-port\] port 443 is taken by python3 \(process \d+\), which istio-ingressgateway needs",
            r"\[leftovers\] holds what another or a half-made cluster left: /etc/kubernetes/pki",
            r"sealos02:\n.*\[vip\] cluster\.vip 10\.103\.97\.2 is an address of this machine itself",
            r"sealos03:\n.*\[clock\] its clock is (99\.\d|100\.\d) s behind the median",
            r"\[pod-cidr\] cluster.podCidr 100.64.0.0/10 overlaps",
            r"sealos04:\n.*\[mute\] \S+ took the connection but stayed mute for 2 s",
        ):
            assert re.search(words, told, re.DOTALL), f"{words}\n{printed}"
    finally:
        project.config_file.write_text(before)
        for name in NAMES:  # what listens and what is frozen
            lab.stop_machine(name)
            lab.start_machine(name)
        lab.reset()


def test_the_fleets_keys_are_those_that_the_lab_pins(project: Project, lab: Lab) -> None:
    examples = {"prod": "reach", "192.168.0.2": lab.addresses["sealos01"], "192.168.0.3": lab.addresses["sealos02"]}
    Terminal.of(project).documented("docs/operations.md", "Host keys", replace=examples)
    lines = (project.directory / "known_hosts").read_text().splitlines()
    printed = {line for line in lines if not line.startswith("#")}
    assert printed == {f"{host.address} {host.host_key}" for host in lab.hosts[:2]}


def up(project: Project, expected: str | None = None) -> None:
    done = project.up()
    assert done.status == 0, done.text
    if expected:
        assert expected in done.text, done.text


def log_ins(lab: Lab, name: str) -> list[str]:
    """Where the log-ins to a machine came from, as its sshd says."""
    return re.findall(r"Accepted \w+ for root from (\S+)", lab.journal(name, "--unit=ssh.service"))


def only_updates(project: Project, *but: str) -> set[str]:
    """The steps that a preview would update; it must do nothing else, and nothing to `but`."""
    found = changes(project.preview())
    assert found
    assert set(found.values()) == {"update"}, found
    assert all(name.startswith("command:local:Command cluster-") for name in found), found
    steps = {name.removeprefix("command:local:Command cluster-") for name in found}
    assert not steps & {"kubeconfig", *but}
    return steps


def run_again(project: Project, lab: Lab) -> None:
    """`pulumi up` succeeds, leaves nothing to do, and sealos has initialised once and no more."""
    done = project.up()
    assert done.status == 0, done.text
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1"
    done = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert done.status == 0, done.text


def test_package_and_sealos_from_here_through_a_bastion(project: Project, lab: Lab) -> None:
    here, there = project.directory / "files", lab.root("sealos01") / "root"
    here.mkdir()
    for name in ("kube1.16.3.tar.gz", "sealos"):
        (here / name).write_bytes((there / name).read_bytes())
    lab.run("sealos01", "rm", "/root/kube1.16.3.tar.gz", "/root/sealos").check_returncode()
    bastion = lab.hosts[3]

    def change(config: Config) -> None:
        config["ssh"]["bastion"] = {"address": bastion.address, "hostKey": bastion.host_key}
        config["cluster"] |= {
            "package": {"file": "files/kube1.16.3.tar.gz", "sha256": sha256(here / "kube1.16.3.tar.gz")},
            "sealos": {"file": "files/sealos", "sha256": sha256(here / "sealos"), "path": "/root/bin/sealos"},
        }

    project.edit_config(change)
    before = {name: len(log_ins(lab, name)) for name in NAMES}
    done = project.up()
    assert done.status == 0, done.text
    assert "sending kube1.16.3.tar.gz" in done.text
    sources = {name: set(log_ins(lab, name)[before[name] :]) for name in NAMES}
    us = str(lab.network[1])
    assert sources["sealos04"] == {us}
    # sealos itself logs in from the first master
    assert (
        {bastion.address} <= sources["sealos01"] | sources["sealos02"] <= {bastion.address, lab.addresses["sealos01"]}
    )
    nodes = Kubectl(project).json("get", "nodes")["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == ["sealos01", "sealos02"]


def test_a_mesh_where_only_the_bastion_is_let_in(project: Project, lab: Lab, dev_config: Config) -> None:
    """The machines answer nothing that comes from here, API server included; what is put into the cluster goes in by the tunnel, and out again."""
    us, before = str(lab.network[1]), project.config_file.read_text()

    def change(config: Config) -> None:
        config["cluster"]["apiTunnel"] = 16443
        config["istio"] = {"version": "1.5.0", "profile": "minimal", "cni": {"enabled": False}}

    for name in NAMES[:2]:
        lab.inside(name, "ip", "route", "add", "blackhole", f"{us}/32").check_returncode()  # not by SSH, which it cuts off
    try:
        project.edit_config(change)
        up(project, "istio-operator-deployment created")
        assert project.outputs()["istio"]["status"] == "HEALTHY"
        assert project.outputs()["kubeconfig"].count("https://127.0.0.1:16443") == 1
        done = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
        assert done.status == 0, done.text
        assert drift(project).returncode == 0
        project.edit_config(lambda config: config.pop("istio"))
        up(project, "istio-operator-deployment deleted")
    finally:
        for name in NAMES[:2]:
            lab.inside(name, "ip", "route", "del", "blackhole", f"{us}/32").check_returncode()
        project.config_file.write_text(before)
    up(project)
    assert sorted(Kubectl(project).nodes()) == ["sealos01", "sealos02"]


def test_another_way_in_and_another_password_never_install(project: Project, lab: Lab) -> None:
    """From a key by a bastion to a password without one; nothing is sent again."""
    for name in NAMES[:2]:
        # the machines have no PAM, which chpasswd wants
        lab.run(name, "sh", "-c", 'usermod -p "$(openssl passwd -6 -stdin)" root', stdin=PASSWORD).check_returncode()

    def change(config: Config) -> None:
        config["ssh"] = {"knownHosts": config["ssh"]["knownHosts"], "connectTimeout": 20}

    project.edit_config(change)
    Terminal.of(project).documented("docs/operations.md", "Rotations", stdin=PASSWORD)
    assert only_updates(project) >= {"install", "member-sealos02", "package", "sealos"}
    run_again(project, lab)


def test_a_new_host_key_is_refused_until_it_is_pinned(project: Project, lab: Lab) -> None:
    new_key = (
        "cd /etc/ssh && rm -f ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && "
        "cut -d' ' -f1,2 ssh_host_ed25519_key.pub; (sleep 0.3; kill -HUP $(pgrep -o -x sshd)) </dev/null >/dev/null 2>&1 &"
    )
    key = lab.run("sealos02", "bash", "-c", new_key).stdout.strip()
    assert key.startswith("ssh-ed25519 ")
    time.sleep(1)
    project.edit_config(lambda c: c["cluster"].update(maxClockSkew=3.0))  # anything that looks at the machines again
    refused = project.up()
    assert refused.status != 0
    assert "[host-key]" in refused.text
    assert "another host key than the pinned one" in refused.text
    project.edit_config(lambda c: c["nodes"][0].update(hostKey=key))
    assert only_updates(project, "install") == {"preflight", "wanted", "member-sealos02"}
    run_again(project, lab)


def test_what_was_sent_is_taken_off_again(project: Project, lab: Lab) -> None:
    done = project.destroy()
    assert done.status == 0, done.text
    left = lab.run("sealos01", "sh", "-c", "ls /root/bin/sealos /root/kube1.16.3.tar.gz 2>/dev/null").stdout.split()
    assert left == []


def test_machines_that_were_cleaned_take_a_cluster_again(project: Project, lab: Lab) -> None:
    up(project, "sending kube1.16.3.tar.gz")
    nodes = Kubectl(project).json("get", "nodes")["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == ["sealos01", "sealos02"]
    done = project.destroy()
    assert done.status == 0, done.text
    lab.reset()
