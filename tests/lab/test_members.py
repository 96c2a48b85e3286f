"""Machines that come and go, as masters and as nodes, on six machines: previews as read, joins in one run, drains, dead hosts.

The tests of this file share one stack and follow each other: 1+3, 1+5, 1+2, 3+2, 1+2, 5+1, 3+2, the first master lost for good.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from lab import faults
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, bare, in_plain, listed, sealos_runs, taken_down
from tests.project import Project, changes

COMMAND = "command:local:Command"
WATCH = {f"{COMMAND} cluster-{step}" for step in ("preflight", "wanted", "backup", "ready")}
"""What looks again whenever the list of machines changes."""
BUDGET = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "k8s.gcr.io/pause:3.1"}]
---
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: MINIMUM
  selector: {matchLabels: {app: web}}
"""


@pytest.fixture(scope="module")
def project(lab: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    project = Project.copy(tmp_path_factory.mktemp("members") / "project", "members", bare_config)
    yield project
    taken_down(project, lab)


def members(preview: dict[str, Any]) -> dict[str, str]:
    """The members that a preview changes, by machine; everything else that it changes must be one of those that look again."""
    found = changes(preview)
    prefix = f"{COMMAND} cluster-member-"
    assert {name: op for name, op in found.items() if not name.startswith(prefix)} == dict.fromkeys(WATCH, "update")
    return {name.removeprefix(prefix): op for name, op in found.items() if name.startswith(prefix)}


def nodes(kubectl: Kubectl) -> dict[str, str]:
    """The role of each Ready node."""
    found = {}
    for node in kubectl.json("get", "nodes")["items"]:
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True", node["metadata"]
        master = "node-role.kubernetes.io/master" in node["metadata"]["labels"]
        found[node["metadata"]["name"]] = "master" if master else "node"
    return found


def etcd_members(lab: Lab, master: str = "sealos01") -> set[str]:
    """The names of etcd's members, as etcd itself on a master has them."""
    pki = "/etc/kubernetes/pki"
    done = lab.run(
        master, "curl", "-sS", "--cacert", f"{pki}/etcd/ca.crt", "--cert", f"{pki}/apiserver-etcd-client.crt",
        "--key", f"{pki}/apiserver-etcd-client.key", "-d", "{}", "https://127.0.0.1:2379/v3/cluster/member/list",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {member["name"] for member in json.loads(done.stdout)["members"]}


@pytest.fixture(scope="module")
def kubectl(project: Project) -> Kubectl:
    done = project.up()
    assert done.status == 0, done.text
    return Kubectl(project)


def scale(project: Project, lab: Lab, masters: int | tuple[int, ...], numbers: tuple[int, ...]) -> dict[str, str]:
    """Changes the machines and brings the stack up; what the preview said of the members."""
    project.edit_config(lambda config: config.update(listed(lab, masters, numbers)))
    said = members(project.preview())
    done = project.up()
    assert done.status == 0, done.text
    again = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert again.status == 0, again.text
    return said


def test_three_nodes_are_one_join(kubectl: Kubectl, lab: Lab) -> None:
    assert nodes(kubectl) == {"sealos01": "master", "sealos02": "node", "sealos03": "node", "sealos04": "node"}
    assert len(sealos_runs(lab, "join")) == 1


def test_two_more_nodes_are_one_join_more(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4, 5, 6))))
    Terminal.of(project).documented("docs/operations.md", "Add machines")
    assert scale(project, lab, 1, (2, 3, 4, 5, 6)) == {"sealos05": "create", "sealos06": "create"}
    assert nodes(kubectl) == {"sealos01": "master"} | {f"sealos0{n}": "node" for n in range(2, 7)}
    assert len(sealos_runs(lab, "join")) == 2


def test_files_with_keys_are_the_owners_alone(kubectl: Kubectl, lab: Lab) -> None:
    for name in lab.names:
        look = (
            "find /etc/kubernetes /root/.sealos -type f \\( -name '*.key' -o -name '*.conf' \\) -perm /077 2>/dev/null"
        )
        assert lab.run(name, "sh", "-c", look).stdout == "", name
        assert lab.run(name, "ls", "/root/kubeadm-join-config.yaml").returncode != 0, name


def test_a_budget_is_respected_and_what_blocks_is_named(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    lab.run("sealos01", "kubectl", "apply", "-f", "-", stdin=BUDGET.replace("MINIMUM", "2"))
    kubectl("wait", "--for=condition=available", "deployment/web", "--timeout=30s")
    pods = {p["metadata"]["name"]: p["spec"]["nodeName"] for p in kubectl.json("get", "pods", "-l", "app=web")["items"]}
    name, place = next(iter(pods.items()))
    stays = [n for n in (2, 3, 4, 5, 6) if f"sealos0{n}" != place]

    def without_it(config: dict[str, Any]) -> None:
        config.update(listed(lab, 1, tuple(stays)))
        config["cluster"]["timeouts"] = {"drain": 4}

    before = project.config_file.read_text()
    project.edit_config(without_it)
    done = project.up()
    assert done.status != 0
    assert (
        f"{place}: could not be drained within 4 s (cluster.timeouts.drain); it is still a member and in service"
        in done.text
    )
    assert (
        f"pod default/{name}: PodDisruptionBudget web allows no disruption now (2 of 2 pods are healthy, 2 must be)"
        in done.text
    )
    kept = {p["metadata"]["name"]: p["spec"]["nodeName"] for p in kubectl.json("get", "pods", "-l", "app=web")["items"]}
    assert kept == pods
    assert "unschedulable" not in kubectl.json("get", "node", place)["spec"]

    # policy/v1beta1 of 1.16 refuses a change of minAvailable on some servers
    lab.run("sealos01", "kubectl", "delete", "pdb", "web")
    lab.run("sealos01", "kubectl", "apply", "-f", "-", stdin=BUDGET.replace("MINIMUM", "1"))
    project.edit_config(lambda config: config["cluster"]["timeouts"].update(drain=60))  # what is evicted takes seconds to end
    done = project.up()
    assert done.status == 0, done.text
    bare(lab, place)
    moved = kubectl.json("get", "pods", "-l", "app=web")["items"]
    assert len([p for p in moved if p["status"].get("phase") == "Running"]) == 2
    assert place not in {p["spec"]["nodeName"] for p in moved}
    project.config_file.write_text(before)
    done = project.up()
    assert done.status == 0, done.text


def test_down_to_two_nodes(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    assert scale(project, lab, 1, (2, 3)) == dict.fromkeys(("sealos04", "sealos05", "sealos06"), "delete")
    assert nodes(kubectl) == {"sealos01": "master", "sealos02": "node", "sealos03": "node"}
    for number in (4, 5, 6):
        bare(lab, f"sealos0{number}")


def test_three_masters(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    before = len(sealos_runs(lab, "join"))
    assert scale(project, lab, (1, 4, 5), (2, 3)) == {"sealos04": "create", "sealos05": "create"}
    assert nodes(kubectl) == dict.fromkeys(("sealos01", "sealos04", "sealos05"), "master") | dict.fromkeys(
        ("sealos02", "sealos03"), "node"
    )
    assert etcd_members(lab) == {"sealos01", "sealos04", "sealos05"}
    assert len(sealos_runs(lab, "join")) <= before + 2, "masters join one by one, each once"
    test_files_with_keys_are_the_owners_alone(kubectl, lab)


def test_the_api_survives_the_loss_of_a_master(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    lab.stop_machine("sealos05")
    assert answers_at_the_vip(lab, "sealos02")
    kubectl("create", "namespace", "written-with-two-of-three")


def test_a_node_joins_while_another_machine_is_dead(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    kubectl("wait", "--for=condition=Ready=Unknown", "node/sealos05", "--timeout=150s", limit=160)
    project.edit_config(lambda config: config.update(listed(lab, (1, 4, 5), (2, 3, 6))))
    done = project.up()
    assert done.status == 0, done.text
    assert "sealos05 is not Ready: Kubelet stopped posting node status. It is not waited for. Bring it back" in done.text
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "node/sealos06", "--timeout=10s")


def test_a_dead_machine_is_asked_about_before_another_leaves(project: Project, lab: Lab) -> None:
    # not even with two of three masters may a living one go
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3))))
    done = project.up()
    assert done.status != 0
    assert "sealos05: " in done.text
    assert "cluster.lost: [sealos05]" in done.text


def test_a_dead_master_goes_when_it_is_said_to_be_lost(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    def without_it(config: dict[str, Any]) -> None:
        config.update(listed(lab, (1, 4), (2, 3)))
        config["cluster"].update(lost=["sealos05"])

    project.edit_config(without_it)
    done = project.up()
    assert done.status == 0, done.text
    assert "what it holds of it, keys included, stays on it" in done.text
    assert "with 2 etcd members none may fail; list another machine" in done.text
    assert etcd_members(lab) == {"sealos01", "sealos04"}
    bare(lab, "sealos06")
    assert scale(project, lab, 1, (2, 3)) == {"sealos04": "delete"}
    assert nodes(kubectl) == {"sealos01": "master", "sealos02": "node", "sealos03": "node"}
    assert etcd_members(lab) == {"sealos01"}
    bare(lab, "sealos04")
    lab.start_machine("sealos05")
    lab.reset(["sealos05"])


def answers_at_the_vip(lab: Lab, node: str) -> bool:
    """Whether a node reaches an API server by the virtual address; one that has died is taken out of it within seconds."""
    ask = "for i in 1 2 3 4 5; do curl -sSk --max-time 5 https://10.103.97.2:6443/healthz && exit; sleep 1; done"
    return lab.run(node, "sh", "-c", ask).stdout == "ok"


def test_five_masters_and_another_role_is_a_replacement(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    project.edit_config(lambda config: config["cluster"].update(lost=[]))
    said = scale(project, lab, (1, 2, 4, 5, 6), (3,))
    assert said.pop("sealos02") in ("replace", "create-replacement", "delete-replaced")
    assert said == dict.fromkeys(("sealos04", "sealos05", "sealos06"), "create")
    masters = {f"sealos0{n}" for n in (1, 2, 4, 5, 6)}
    assert nodes(kubectl) == dict.fromkeys(masters, "master") | {"sealos03": "node"}
    assert etcd_members(lab) == masters


def test_the_api_survives_the_loss_of_two_of_five_masters(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    for name in ("sealos05", "sealos06"):
        lab.stop_machine(name)
    assert answers_at_the_vip(lab, "sealos03")
    kubectl("create", "namespace", "written-with-three-of-five")
    for name in ("sealos05", "sealos06"):
        lab.start_machine(name)
    ready = kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=50s")
    assert ready.count("condition met") == 6


def test_back_to_three_masters(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    said = scale(project, lab, (1, 2, 4), (3, 6))
    assert said.pop("sealos06") in ("replace", "create-replacement", "delete-replaced")
    assert said == {"sealos05": "delete"}
    assert etcd_members(lab) == {"sealos01", "sealos02", "sealos04"}
    bare(lab, "sealos05")


def test_another_master_takes_the_place_of_a_first_one_that_is_gone(
    project: Project, kubectl: Kubectl, lab: Lab
) -> None:
    before = kubectl.json("get", "namespace", "kube-system")["metadata"]["uid"]
    lab.stop_machine("sealos01")
    lab.stop_machine("sealos06")

    def another_first(config: dict[str, Any]) -> None:
        config.update(listed(lab, (2, 4, 5), (3,)))
        config["cluster"]["lost"] = ["sealos01", "sealos06"]

    project.edit_config(another_first)
    refused = project.up()
    assert refused.status != 0
    assert "what sealos knows of that cluster is not on it" in refused.text
    address = lab.addresses["sealos02"]
    command = (
        f'pulumi stack output sealosBackup --show-secrets | ssh root@{address} "$(cat components/sealos/restore.sh)"'
    )
    assert command in " ".join(refused.text.split())

    instead = {"root@sealos01": shlex.join(lab.ssh_command("sealos02")[1:]), "sealos01 now": "sealos02 now"}
    Terminal.of(project).documented(
        "docs/operations.md", "Back up and restore what only the first master has", replace=instead
    )
    done = project.up()
    assert done.status == 0, done.text
    for name in ("sealos01", "sealos06"):
        assert f"{name}] taking it out of the cluster (cluster.lost)" in done.text
    assert "sealos02] is the first master now, in sealos01's place; it stays" in done.text
    again = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert again.status == 0, again.text
    now = Kubectl(project)
    assert now.json("get", "namespace", "kube-system")["metadata"]["uid"] == before
    assert nodes(now) == dict.fromkeys(("sealos02", "sealos04", "sealos05"), "master") | {"sealos03": "node"}
    assert etcd_members(lab, "sealos02") == {"sealos02", "sealos04", "sealos05"}
    assert project.outputs()["apiServer"]["url"] == f"https://{address}:6443"


def test_nothing_secret_in_plain(project: Project, kubectl: Kubectl, lab: Lab) -> None:
    """After all of it."""
    outputs = project.outputs()
    log_in = lab.key.read_text().splitlines()[2]  # the first line of a key's body is the same in all keys
    assert in_plain(project, lab, log_in) == []
    for secret in (outputs["kubeconfig"].split("client-key-data: ")[1][:200], outputs["sealosBackup"][:60]):
        assert in_plain(project, None, secret) == []
    assert lab.run("sealos02", "cat", "/root/.sealos-standin-count").stdout.strip() == "", "initialised twice"


def test_a_teardown_names_the_dead_and_the_mute_and_cleans_the_others(
    project: Project, kubectl: Kubectl, lab: Lab
) -> None:
    faults.deaf(lab, "sealos03")
    lab.stop_machine("sealos05")
    refused = project.destroy()
    assert refused.status != 0
    told = " ".join(refused.text.split())
    for name, why in (("sealos03", "took the connection but stayed mute"), ("sealos05", "")):
        assert re.search(rf" {name}: [^;]*{why}", told), refused.text
    assert "SEALOS_ISTIO_LOST=sealos03,sealos05 pulumi destroy" in told
    bare(lab, "sealos04")
    assert lab.run("sealos02", "ls", "/etc/sealos-istio/cluster.json").returncode == 0
    printed = Terminal.of(project).documented(
        "docs/operations.md", "Tear down", "SEALOS_ISTIO_LOST=sealos03", replace={"[sealos01]": "[sealos02]"}
    )
    lab.stop_machine("sealos03")
    assert "What stays on purpose: the package and sealos" in printed
    bare(lab, "sealos02")
    bare(lab, "sealos04")
