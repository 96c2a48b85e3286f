"""A machine is asked whose it is before a join cleans anything: Nodes deleted or with other addresses, foreign machines, machines set up
anew, and one that sealos can't reach.

The tests of this file share one stack and follow each other.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import faults
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, bare, listed, shell, standing
from tests.lab.test_members import etcd_members
from tests.project import Project

LIVING = """
cd / && sha256sum etc/kubernetes/pki/ca.key etc/kubernetes/kubelet.conf etc/kubernetes/canary 2>/dev/null
for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in kubelet|etcd|kube-apiserver) echo ${p##*/} $(cat $p/comm);; esac; done
"""
"""What shows that a machine was not wiped: its keys, a file of ours among them, and its processes by their ids."""
READY = "kubectl get node {} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'"
FOREIGN = """set -e
mkdir -p /etc/kubernetes
printf 'clusters:\\n- cluster:\\n    certificate-authority-data: Zm9yZWlnbgo=\\n' >/etc/kubernetes/kubelet.conf
echo foreign >/etc/kubernetes/canary
cp /bin/sleep /root/kubelet
setsid /root/kubelet 100000 </dev/null >/dev/null 2>&1 &
"""


def restart_kubelet(lab: Lab, name: str) -> None:
    """Starts a machine's kubelet anew, which registers its Node where that is gone."""
    shell(lab, name, "systemctl restart kubelet")
    for _ in range(120):
        if lab.run("sealos01", "kubectl", "get", "node", name).returncode == 0:
            return
        time.sleep(0.25)
    raise AssertionError(f"{name} did not register")


def give_addresses(lab: Lab, node: str, *addresses: str) -> None:
    """Lets a Node have other InternalIPs, until its kubelet, which is stopped meanwhile, reports again."""
    status = {"status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]}}
    pki = "/etc/kubernetes/pki"
    done = lab.run(
        "sealos01", "curl", "-sSf", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/apiserver-kubelet-client.crt",
        "--key", f"{pki}/apiserver-kubelet-client.key", "-X", "PATCH", "-H", "Content-Type: application/merge-patch+json",
        "-d", "@-", f"https://127.0.0.1:6443/api/v1/nodes/{node}/status", stdin=json.dumps(status),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(lab: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    config = bare_config | listed(lab, 1, (2, 3))
    config["cluster"] = {**config["cluster"], "timeouts": {"ready": 60}}
    yield from standing(Project.copy(tmp_path_factory.mktemp("identity") / "project", "identity", config))


def nodes(project: Project) -> dict[str, str]:
    """The role of each Node."""
    found = Kubectl(project).json("get", "nodes")["items"]
    return {
        n["metadata"]["name"]: "master" if "node-role.kubernetes.io/master" in n["metadata"]["labels"] else "node" for n in found
    }


def living(lab: Lab, *names: str) -> dict[str, str]:
    return {name: lab.run(name, "sh", "-c", LIVING).stdout for name in names}


def but_kubelet(text: str) -> list[str]:
    """The same where kubelet was started anew."""
    return [line for line in text.splitlines() if not line.endswith(" kubelet")]


def test_a_node_with_another_or_a_second_address_is_a_member(project: Project, lab: Lab) -> None:
    for name in ("sealos01", "sealos02", "sealos03"):
        shell(lab, name, "echo mine >/etc/kubernetes/canary; kill -STOP $(pgrep -x kubelet)")
    before = living(lab, "sealos01", "sealos02", "sealos03")
    assert "kube-apiserver" in before["sealos01"]
    give_addresses(lab, "sealos01", "203.0.113.1")
    give_addresses(lab, "sealos02", "203.0.113.2", lab.addresses["sealos02"])
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
    done = project.up()
    assert living(lab, "sealos01", "sealos02", "sealos03") == before
    assert "sealos02: it is in the cluster with address" not in done.text
    assert set(nodes(project)) == {"sealos01", "sealos02", "sealos03", "sealos04"}
    for name in ("sealos01", "sealos02", "sealos03"):
        restart_kubelet(lab, name)
    for _ in range(60):
        if lab.addresses["sealos01"] in shell(lab, "sealos01", "kubectl get node sealos01 -o wide"):
            break
        time.sleep(0.5)
    done = project.up()
    assert done.status == 0, done.text


def test_a_living_worker_without_its_node_is_not_wiped_and_others_join(project: Project, lab: Lab) -> None:
    before = living(lab, "sealos02")
    shell(lab, "sealos01", "kubectl delete node sealos02")

    def one_more(config: dict[str, Any]) -> None:
        config.update(listed(lab, 1, (2, 3, 4, 5)))
        config["cluster"]["timeouts"]["join"] = 800  # has each member looked at

    project.edit_config(one_more)
    done = project.up()
    assert living(lab, "sealos02") == before
    assert done.status != 0
    assert "sealos02: it is a member of this cluster by what is on it, but the cluster has no Node of that name" in done.text
    assert "`systemctl restart kubelet` on it registers it again" in done.text
    assert set(nodes(project)) == {"sealos01", "sealos03", "sealos04", "sealos05"}
    restart_kubelet(lab, "sealos02")
    done = project.up()
    assert done.status == 0, done.text
    assert but_kubelet(before["sealos02"]) == but_kubelet(living(lab, "sealos02")["sealos02"])


def test_the_first_master_without_its_node_is_never_cleaned(project: Project, lab: Lab) -> None:
    before = living(lab, "sealos01")
    uid = shell(lab, "sealos01", "kubectl get namespace kube-system -o jsonpath={.metadata.uid}")
    shell(lab, "sealos01", "kubectl delete node sealos01")
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4, 5, 6))))
    done = project.up()
    assert living(lab, "sealos01") == before
    assert shell(lab, "sealos01", "kubectl get namespace kube-system -o jsonpath={.metadata.uid}") == uid
    assert done.status != 0
    assert "sealos01: it is a member of this cluster by what is on it, but the cluster has no Node of that name" in done.text
    bare(lab, "sealos06")
    ways_out = re.findall(r"`(kubectl [^`]+|systemctl [^`]+)`", " ".join(done.text.split()))
    assert ways_out[0] == "systemctl restart kubelet"
    restart_kubelet(lab, "sealos01")
    for command in ways_out[1:3]:
        shell(lab, "sealos01", command)
    # while the machine that was to join has become somebody else's
    shell(lab, "sealos06", FOREIGN)
    foreign = living(lab, "sealos06")
    assert "kubelet" in foreign["sealos06"]
    done = project.up()
    assert done.status != 0
    assert "sealos06: was not joined: kubelet runs there, and it is no node of this cluster" in done.text
    assert "its kubelet trusts another cluster's CA" in done.text
    assert living(lab, "sealos06") == foreign
    assert but_kubelet(living(lab, "sealos01")["sealos01"]) == but_kubelet(before["sealos01"])
    shell(lab, "sealos06", "kill $(pgrep -x kubelet); rm -r /etc/kubernetes")
    done = project.up()
    assert done.status == 0, done.text
    assert nodes(project) == {"sealos01": "master"} | {f"sealos0{n}": "node" for n in range(2, 7)}


def test_a_machine_that_sealos_can_not_reach_stops_no_other(project: Project, lab: Lab) -> None:
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
    assert project.up().status == 0
    refuse = f"ip saddr {lab.addresses['sealos01']} tcp dport 22 reject with tcp reset"
    shell(lab, "sealos06", f"nft 'add table inet t; add chain inet t in {{ type filter hook input priority 0; }}; add rule inet t in {refuse}'")
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4, 5, 6))))
    done = project.up()
    assert done.status != 0
    assert set(nodes(project)) == {f"sealos0{n}" for n in range(1, 6)}
    assert "sealos06: did not join as asked for" in done.text
    assert "sealos05: did not join" not in done.text
    bare(lab, "sealos06")
    shell(lab, "sealos06", "nft delete table inet t")
    done = project.up()
    assert done.status == 0, done.text


def test_a_machine_with_another_port_and_a_service_on_2379_leaves_and_comes_back(project: Project, lab: Lab) -> None:
    """sealos's own list has today's ports, once each."""
    address, key = lab.addresses["sealos03"], next(host.host_key for host in lab.hosts if host.name == "sealos03")
    shell(lab, "sealos03", "printf 'Port 22\\nPort 2222\\n' >>/etc/ssh/sshd_config")
    shell(lab, "sealos03", "(sleep 0.3; kill $(pgrep -o -x sshd)) </dev/null >/dev/null 2>&1 &")
    time.sleep(2)
    faults.listen(lab, "sealos03", 2379)

    def another_port(config: dict[str, Any]) -> None:
        config["nodes"][1].update(port=2222, hostKey=key)

    project.edit_config(another_port)
    done = project.up()
    assert done.status == 0, done.text
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 4, 5, 6))))
    done = project.up()
    assert done.status == 0, done.text
    bare(lab, "sealos03")
    assert f"{address}:" not in shell(lab, "sealos01", "cat /root/.sealos/config.yaml")
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4, 5, 6))))
    project.edit_config(another_port)
    done = project.up()
    assert done.status == 0, done.text
    assert shell(lab, "sealos01", "cat /root/.sealos/config.yaml").count(f"{address}:2222") == 1


def new_host_key(lab: Lab, name: str) -> str:
    """Gives a machine another host key from its next set-up on; the lab itself knows it at once."""
    file = lab.directory / "host_keys" / name
    before = next(host.host_key for host in lab.hosts if host.name == name)
    file.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True)
    after = next(host.host_key for host in lab.hosts if host.name == name)
    lab.known_hosts.write_text(lab.known_hosts.read_text().replace(before, after))
    return after


@pytest.fixture(scope="module")
def set_up_anew(project: Project, lab: Lab) -> str:
    """A worker, sealos05, and one of three masters, sealos06, that hold nothing any more; the master's new host key."""
    keys = {host.name: host.host_key for host in lab.hosts}

    def three_masters(config: dict[str, Any]) -> None:
        config.update(listed(lab, (1, 4, 6), (2, 3, 5)))
        config["masters"][2]["hostKey"] = keys["sealos06"]

    project.edit_config(three_masters)
    done = project.up()
    assert done.status == 0, done.text
    key = new_host_key(lab, "sealos06")
    lab.reset(["sealos05", "sealos06"])
    for name in ("sealos05", "sealos06"):
        Kubectl(project)("wait", "--for=condition=Ready=Unknown", f"node/{name}", "--timeout=150s", limit=160)
    return key


def test_a_worker_that_was_set_up_anew_is_told_and_joined_again(project: Project, lab: Lab, set_up_anew: str) -> None:
    done = project.up()
    assert done.status == 0, done.text
    told = " ".join(done.text.split())
    assert "sealos05: its Node reports to the cluster no more, and the machine holds nothing of it: was it set up anew?" in told
    other_key = f"can't be asked: {lab.addresses['sealos06']}:22 shows another host key than the pinned one"
    assert f"sealos06: its Node reports to the cluster no more, and the machine {other_key}" in told
    bare(lab, "sealos05")
    Terminal.of(project).documented(
        "docs/operations.md", "A machine that was set up anew", replace={"sealos03": "sealos05"}
    )
    assert "True" in shell(lab, "sealos01", READY.format("sealos05"))
    assert nodes(project)["sealos05"] == "node"


def test_a_master_that_was_set_up_anew_with_another_host_key_is_joined_again(
    project: Project, lab: Lab, set_up_anew: str
) -> None:
    project.edit_config(lambda config: config["masters"][2].update(hostKey=set_up_anew))
    done = project.up()
    assert done.status == 0, done.text
    assert "sealos06] holds nothing of the cluster, and its Node reports no more (set up anew?)" in done.text
    assert nodes(project) == dict.fromkeys(("sealos01", "sealos04", "sealos06"), "master") | dict.fromkeys(
        ("sealos02", "sealos03", "sealos05"), "node"
    )
    assert etcd_members(lab) == {"sealos01", "sealos04", "sealos06"}
    again = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert again.status == 0, again.text
