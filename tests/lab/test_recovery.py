"""Half-done installations, a cluster made by hand, sealos's state put back, and settings that a live cluster keeps; its end
without its first master.

The tests of this file follow each other on the same machines.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from components.config.load import parse
from components.sealos.etcd import damage
from components.sealos.requests import Identity
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, bare, in_plain, listed, until
from tests.project import ROOT, Project, changes

MESH = {
    "version": "1.5.0", "profile": "minimal", "name": "example-istiocontrolplane",
    "cni": {"excludeNamespaces": ["istio-system", "kube-system"]}, "meshConfig": {"enableTracing": True},
}  # fmt: skip
FAULTS = "/root/.sealos-standin-faults.json"


def identity(bare_config: dict[str, Any]) -> dict[str, Any]:
    cluster = parse(bare_config, "recovery").cluster
    return Identity(
        name="recovery", kubernetes_version=cluster.kubernetes_version, vip=cluster.vip, pod_cidr=cluster.pod_cidr,
        service_cidr=cluster.service_cidr, network=cluster.network,
    ).model_dump(mode="json", by_alias=True)  # fmt: skip


def drive(
    lab: Lab, bare_config: dict[str, Any], verb: str, *, recover: bool = False
) -> subprocess.CompletedProcess[str]:
    """One step of the installation of sealos01, as Pulumi runs it, without the engine around it."""
    login = {"privateKeyFile": str(lab.key), "knownHosts": str(lab.known_hosts)}
    machine = {"name": "sealos01", "address": lab.addresses["sealos01"], "role": "master"}
    request = {
        "fleet": {"machines": [machine], "login": login},
        "cluster": identity(bare_config),
        "package": {"path": "/root/kube1.16.3.tar.gz"},
        "sealos": {"path": "/root/sealos"},
        "recover": recover,
    }
    return subprocess.run(
        [sys.executable, "-m", "components.sealos", verb],
        cwd=ROOT, input=json.dumps(request), capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


HALF_DONE = [
    ("check", "kill", "sealos wrote its configuration and went no further"),
    ("init-sh", "kill-after", "sealos had sent the package and run its init.sh"),
    ("send-pki", "kill", "sealos had handed out the certificates"),
    ("kubeadm-init", "fail", "sealos had handed out the certificates"),
    ("kubeadm-init", "kill-after", "the control plane runs, but node sealos01 is not Ready"),
]


def test_each_half_done_installation_is_named_and_recovered(lab: Lab, bare_config: dict[str, Any]) -> None:
    lab.reset()
    for number, (step, action, words) in enumerate(HALF_DONE):
        fault = {"faults": [{"step": step, "action": action, "times": 1, "message": "planted"}]}
        lab.run("sealos01", "sh", "-c", f"umask 077; cat >{FAULTS}", stdin=json.dumps(fault))
        # from the second on, this is the recovery of the one before, and itself struck again
        done = drive(lab, bare_config, "install", recover=number > 0)
        assert done.returncode == 1, f"{step}: {done.stderr}"
        assert ("sealos was ended by signal 9" in done.stderr) == action.startswith("kill"), done.stderr
        assert "Killed" not in done.stderr, "bash's own words"
        refused = drive(lab, bare_config, "install")
        assert refused.returncode == 1, step
        assert (
            f"our own installation of cluster recovery did not come to its end on sealos01: {words}" in refused.stderr
        ), step
        assert "cluster.recover: true" in refused.stderr
    done = drive(lab, bare_config, "install", recover=True)
    assert done.returncode == 0, done.stderr
    again = drive(lab, bare_config, "install", recover=True)
    assert "there already; nothing to install" in again.stderr, "recover wiped a live cluster"
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == str(len(HALF_DONE) + 1)
    done = drive(lab, bare_config, "clean")
    assert done.returncode == 0, done.stderr
    assert lab.run("sealos01", "ls", "/etc/kubernetes").returncode != 0


@pytest.fixture(scope="module")
def by_hand(lab: Lab) -> str:
    """A cluster of sealos01 and sealos02, made as a person does; the password they log in with."""
    lab.reset(["sealos01", "sealos02", "sealos03"])
    done = lab.run(
        "sealos01", "/root/sealos", "init", "--master", lab.addresses["sealos01"], "--node", lab.addresses["sealos02"],
        "--passwd", lab.password, "--version", "v1.16.3", "--pkg-url", "/root/kube1.16.3.tar.gz", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    ready = lab.run("sealos01", "kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=30s")
    assert ready.returncode == 0, ready.stderr
    # kubelet reports the static pods that it started before it had a Node only with its next full look, some 60 s later
    static = [*(f"{program}-sealos01" for program in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")), "kube-sealyun-lvscare-sealos02"]
    until(lambda: lab.run("sealos01", "kubectl", "-n", "kube-system", "get", "pod", *static).returncode == 0, "static pods have no mirrors", 150)
    return lab.password


@pytest.fixture(scope="module")
def project(lab: Lab, by_hand: str, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = bare_config | listed(lab, 1, (2,))
    project = Project.copy(tmp_path_factory.mktemp("recovery") / "project", "adopted", config)
    yield project
    lab.start_machine("sealos01")
    done = project.destroy()
    lab.reset(["sealos01", "sealos02", "sealos03"])
    assert done.status == 0, done.text


def state_of(lab: Lab) -> dict[str, str]:
    """What an adoption must leave as it is: the objects' identities, the programs that run, the keys."""
    uids = "kubectl get nodes,pods,deployments,daemonsets,services -A -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}'"
    questions = {
        "objects": uids,
        "programs": "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in kube*|etcd) echo ${p##*/} $(cat $p/comm);; esac; done",
        "keys": "cd / && find etc/kubernetes root/.sealos/pki -type f | sort | xargs sha256sum",
        "init": "cat /root/.sealos-standin-count",
    }
    return {what: lab.run("sealos01", "sh", "-c", question).stdout for what, question in questions.items()}


def test_a_cluster_made_by_hand_is_compared_and_then_adopted_as_it_is(project: Project, lab: Lab) -> None:
    before = state_of(lab)
    assert before["objects"]
    done = project.up()
    assert done.status != 0
    assert "sealos01:" in done.text
    assert "a live cluster that this program did not make" in done.text
    assert "cluster.adopt: true" in done.text
    assert state_of(lab) == before

    project.edit_config(
        lambda c: c["cluster"].update(adopt=True, recover=True, podCidr="10.244.0.0/16", certSans=["k8s.example.org"])
    )
    done = project.up()
    assert done.status != 0
    assert "cluster.podCidr: '100.64.0.0/10' there, '10.244.0.0/16' in the settings" in done.text
    assert "cluster.certSans: k8s.example.org is not among the certificate's names there" in done.text
    assert state_of(lab) == before

    project.edit_config(
        lambda c: (c["cluster"].pop("podCidr"), c["cluster"].pop("certSans"), c["cluster"].pop("recover"))
    )
    done = project.up()
    assert done.status == 0, done.text
    assert "taking it over as adopted" in done.text
    assert state_of(lab) == before
    assert [(n["name"], n["role"]) for n in project.outputs()["nodes"]] == [
        ("sealos01", "master"),
        ("sealos02", "node"),
    ]
    same = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert same.status == 0, same.text


def test_an_adopted_cluster_grows(project: Project, lab: Lab, by_hand: str) -> None:
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3))))
    done = project.up()
    assert done.status == 0, done.text
    assert sorted(Kubectl(project).nodes()) == [
        "sealos01",
        "sealos02",
        "sealos03",
    ]
    config = lab.run("sealos01", "cat", "/root/.sealos/config.yaml").stdout
    assert by_hand not in config, "the password that sealos left there is still there"


def test_it_gets_a_mesh_and_a_protected_one_is_not_destroyed(project: Project, lab: Lab) -> None:
    def more(config: dict[str, Any]) -> None:
        config["istio"] = MESH
        config["cluster"]["protect"] = True

    project.edit_config(more)
    up = project.up()
    assert up.status == 0, up.text
    assert project.outputs()["istio"]["status"] == "HEALTHY"
    before = state_of(lab)
    done = project.destroy()
    assert done.status != 0
    assert "cluster.protect" in done.text
    assert "cannot be deleted" in done.text
    assert state_of(lab) == before
    unchanged = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert unchanged.status == 0, f"the refused destroy took something out of the state: {unchanged.text}"
    project.edit_config(lambda config: config["cluster"].pop("protect"))


def test_lost_state_of_sealos_is_put_back(project: Project, lab: Lab) -> None:
    backup = project.outputs()["sealosBackup"]
    plain = project.pulumi("stack", "output", "--json", "--stack", project.stack)
    assert json.loads(plain.stdout)["sealosBackup"] == "[secret]"
    exported = project.pulumi("stack", "export", "--stack", project.stack)
    assert backup[:200] not in exported.stdout
    restore = (ROOT / "components/sealos/restore.sh").read_text()

    refused = lab.run("sealos01", "bash", "-c", restore, stdin=backup)
    assert refused.returncode == 1
    assert "lists a cluster already" in refused.stderr
    refused = lab.run("sealos03", "bash", "-c", restore, stdin=backup)
    assert "this machine is no master" in refused.stderr

    keys = state_of(lab)["keys"]
    lab.run("sealos01", "rm", "-r", "/root/.sealos")
    assert "no backup" in lab.run("sealos01", "bash", "-c", restore, stdin="nonsense").stderr
    done = lab.run("sealos01", "bash", "-c", restore, stdin=backup)
    assert done.returncode == 0, done.stderr
    assert state_of(lab)["keys"] == keys
    project.edit_config(lambda config: config.update(listed(lab, 1, (2,))))
    up = project.up()
    assert up.status == 0, up.text
    assert lab.run("sealos03", "ls", "/etc/kubernetes").returncode != 0


def test_what_a_live_cluster_keeps_previews_as_a_refusal(project: Project) -> None:
    project.edit_config(lambda config: config["cluster"].update(serviceCidr="10.112.0.0/12", vip="10.103.97.9"))
    done = project.pulumi("preview", "--stack", project.stack)
    assert done.status != 0
    assert "cluster.vip: '10.103.97.2' there, '10.103.97.9' in the settings" in done.text
    assert "cluster.serviceCidr: '10.96.0.0/12' there, '10.112.0.0/12' in the settings" in done.text
    assert "cluster.identityChange: replace" in done.text
    assert "Traceback" not in done.text


def test_or_as_a_replacement_when_asked_for_in_words(project: Project, lab: Lab) -> None:
    before = Kubectl(project).json("get", "namespace", "kube-system")["metadata"]["uid"]
    project.edit_config(lambda config: config["cluster"].update(identityChange="replace"))
    found = changes(project.preview())
    assert "replace" in found["command:local:Command cluster-install"]
    assert "replace" in found["command:local:Command cluster-member-sealos02"]
    assert found["command:local:Command cluster-etcd-snapshot"] == "create"
    done = project.up()
    assert done.status == 0, done.text
    [snapshot] = (project.directory / "etcd-backups").glob("adopted-*.db")
    assert damage(snapshot) is None
    assert before.encode() in snapshot.read_bytes()
    kubectl = Kubectl(project)
    assert kubectl.json("get", "namespace", "kube-system")["metadata"]["uid"] != before
    assert kubectl.json("get", "service", "kubernetes")["spec"]["clusterIP"] == "10.112.0.1"
    assert len(kubectl.json("get", "nodes")["items"]) == 2
    same = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert same.status == 0, same.text


def test_its_mesh_was_made_anew_with_it(project: Project, lab: Lab) -> None:
    kubectl = Kubectl(project)
    assert project.outputs()["istio"]["status"] == "HEALTHY"
    assert kubectl.json("-n", "istio-system", "get", "deployment", "istiod")["status"]["availableReplicas"] == 1
    for name in ("sealos01", "sealos02"):
        chain = json.loads(lab.run(name, "cat", "/etc/cni/net.d/10-calico.conflist").stdout)["plugins"]
        assert chain[-1]["type"] == "istio-cni"


def test_nothing_secret_in_plain(project: Project, lab: Lab, by_hand: str) -> None:
    """After a recovery, an adoption by a password, a restored backup and a replaced cluster."""
    outputs = project.outputs()
    for secret in (by_hand, lab.key.read_text().splitlines()[2]):
        assert in_plain(project, lab, secret) == []
    for secret in (outputs["kubeconfig"].split("client-key-data: ")[1][:200], outputs["sealosBackup"][:60]):
        assert in_plain(project, None, secret) == []


def test_without_its_first_master_a_cluster_is_destroyed_when_asked_for_in_words(project: Project, lab: Lab) -> None:
    lab.stop_machine("sealos01")
    done = project.destroy()
    assert done.status != 0
    assert "Nothing was cleaned: it begins at sealos01" in done.text
    assert "SEALOS_ISTIO_LOST=sealos01 pulumi destroy" in done.text
    assert lab.run("sealos02", "ls", "/etc/kubernetes/kubelet.conf").returncode == 0

    Terminal.of(project).documented("docs/operations.md", "Tear down", "SEALOS_ISTIO_LOST=sealos01")
    bare(lab, "sealos02")
