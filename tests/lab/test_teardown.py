"""What a teardown reaches: machines that an installation, a join or a removal left half done, and after a lost state; and what it does
not end with 0 for.

The tests of this file follow each other on the same machines.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, bare, listed, shell
from tests.lab.test_members import BUDGET
from tests.lab.test_safety import FILL, ORDINARY_DISK
from tests.project import Project

CONFIG = "/root/.sealos/config.yaml"
FAULTS = "/root/.sealos-standin-faults.json"
UNLABEL = """export KUBECONFIG=/etc/kubernetes/admin.conf
until [ -x /usr/bin/kubectl ]; do sleep 0.1; done
while [ -x /usr/bin/kubectl ]; do kubectl label node sealos01 node-role.kubernetes.io/master-; sleep 0.1; done"""
SMALL_DISK = "mkdir -m 700 /root/.sealos && mount -t tmpfs -o size=4m,mode=700 tmpfs /root/.sealos"


@pytest.fixture(scope="module")
def config(lab: Lab, bare_config: dict[str, Any]) -> dict[str, Any]:
    return {**bare_config, **listed(lab, 1, (2, 3)), "cluster": {**bare_config["cluster"], "timeouts": {"ready": 60}}}


@pytest.fixture(scope="module")
def project(lab: Lab, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    project = Project.copy(tmp_path_factory.mktemp("teardown") / "project", "teardown", config)
    yield project
    project.destroy()
    lab.reset()


def test_a_full_disk_during_the_installation_says_at_once_what_it_takes(project: Project, lab: Lab) -> None:
    shell(lab, "sealos01", SMALL_DISK)
    waiting = f"until grep -q '^privatekey: /run' {CONFIG}; do sleep 0.05; done; {FILL}"
    shell(lab, "sealos01", f"setsid bash -c {waiting!r} </dev/null >/dev/null 2>&1 & sleep 0.1")
    done = project.up()
    assert done.status != 0
    assert "It left parts of a cluster on sealos01. When the cause is gone: set cluster.recover: true" in done.text
    shell(lab, "sealos01", ORDINARY_DISK)
    done = project.up()
    assert done.status != 0
    assert "our own installation of cluster teardown did not come to its end on sealos01" in done.text
    assert "cluster.recover: true" in done.text


def test_after_an_installation_that_failed_a_destroy_leaves_the_machine_clean(project: Project, lab: Lab) -> None:
    fault = {"faults": [{"step": "cni", "action": "fail", "times": 1, "message": "planted"}]}
    shell(lab, "sealos01", f"umask 077; cat >{FAULTS} <<'END'\n{json.dumps(fault)}\nEND")
    project.edit_config(lambda config: config["cluster"].update(recover=True))
    done = project.up()
    assert done.status != 0
    assert "wiping it (cluster.recover)" in done.text
    assert "sealos02: it is not Ready" in done.text
    assert "It is the pod network most often: `kubectl -n kube-system get pods` on the first master" in done.text
    assert "kube-apiserver" in shell(lab, "sealos01", "cat /proc/[0-9]*/comm 2>/dev/null || true")
    project.edit_config(lambda config: config["cluster"].pop("recover"))
    done = project.destroy()
    assert done.status == 0, done.text
    bare(lab, "sealos01")


def test_and_after_one_that_was_judged_wrong_and_whose_state_was_lost(
    lab: Lab, config: dict[str, Any], project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its node is no master, because somebody takes the label away."""
    shell(lab, "sealos01", f"setsid timeout 300 bash -c {shlex.quote(UNLABEL)} </dev/null >/dev/null 2>&1 & sleep 0.1")
    done = project.up()
    assert done.status != 0
    wrong = "sealos01 is a node of the cluster, not a master"
    way_out = "run `pulumi up` again; or `pulumi destroy`, which leaves the machine clean"
    assert wrong in done.text, done.text
    assert way_out in done.text

    other = Project.copy(tmp_path_factory.mktemp("lost") / "project", "teardown", config)
    done = other.up()
    assert done.status != 0
    assert wrong in done.text
    assert way_out in done.text
    done = other.destroy()
    assert done.status == 0, done.text
    bare(lab, "sealos01")
    assert project.destroy().status == 0, "of what is clean already"


def test_disks_of_their_own_are_installed_on_and_left_empty(project: Project, lab: Lab) -> None:
    disks = {"sealos01": "/var/lib/etcd", "sealos02": "/var/lib/kubelet"}
    for name, place in disks.items():
        shell(lab, name, f"mkdir -p {place} && mount -t tmpfs -o mode=700 disk {place} && mkdir {place}/lost+found")
    done = project.up()
    assert done.status == 0, done.text
    assert shell(lab, "sealos01", "ls /var/lib/etcd") == "member\n"
    done = project.destroy()
    assert done.status == 0, done.text
    for name, place in disks.items():
        assert shell(lab, name, f"mountpoint -q {place} && ls -A {place} && umount {place} && rmdir {place}") == ""
        bare(lab, name)


def test_a_machine_whose_join_was_killed_leaves_when_it_is_not_wanted_any_more(project: Project, lab: Lab) -> None:
    done = project.up()
    assert done.status == 0, done.text
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
    process = project.start("up", "--yes", "--skip-preview", "--stack", project.stack)
    end = time.monotonic() + 60
    while lab.run("sealos04", "test", "-e", "/etc/kubernetes/kubelet.conf").returncode and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert project.pulumi("cancel", "--yes", "--stack", project.stack).status == 0
    kubectl = Kubectl(project)
    while time.monotonic() < end and "sealos04" not in kubectl("get", "nodes"):
        time.sleep(0.5)
    assert "sealos04" in kubectl("get", "nodes"), "the join goes on by itself"

    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3))))
    done = project.up()
    assert done.status == 0, done.text
    assert "sealos04] is not wanted any more, and the stack's state does not have it: taking it out" in done.text, done.text
    assert "sealos04" not in kubectl("get", "nodes")
    bare(lab, "sealos04")


def test_a_removal_that_a_budget_blocked_is_reached_and_what_is_not_clean_is_named_each_time(
    project: Project, lab: Lab
) -> None:
    lab.run("sealos01", "kubectl", "apply", "-f", "-", stdin=BUDGET.replace("MINIMUM", "2"))
    lab.run("sealos01", "kubectl", "wait", "--for=condition=available", "deployment/web", "--timeout=30s")
    pods = Kubectl(project).json("get", "pods", "-l", "app=web")["items"]
    blocked = pods[0]["spec"]["nodeName"]
    stays = "sealos02" if blocked == "sealos03" else "sealos03"

    def without_it(config: dict[str, Any]) -> None:
        config.update(listed(lab, 1, (int(stays[-1]),)))
        config["cluster"]["timeouts"]["drain"] = 4

    project.edit_config(without_it)
    done = project.up()
    assert done.status != 0
    assert f"{blocked}: could not be drained within 4 s" in done.text

    # a disk of its own would be left empty; of this one nothing can be taken
    shell(lab, stays, "mount -t tmpfs tmpfs /opt/cni && touch /opt/cni/kept && mount -o remount,ro /opt/cni")
    for _ in range(2):
        done = project.destroy()
        assert done.status != 0, "a machine that is not clean was forgotten"
        assert f"  {stays}: still holds /opt/cni" in done.text
        assert "sealos01 keeps what it knows of the cluster until they are" in done.text
        bare(lab, blocked)
    shell(lab, stays, "umount /opt/cni")
    Terminal.of(project).documented("docs/operations.md", "Tear down", "pulumi destroy")
    for name in ("sealos01", "sealos02", "sealos03", "sealos04"):
        bare(lab, name)
        assert lab.run(name, "ls", "/etc/sealos-istio").returncode != 0, name
