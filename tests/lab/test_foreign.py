"""What belongs to another cluster is not touched, whatever `cluster.recover` says and whoever had the machine before.

The tests of this file follow each other: a cluster made by hand of sealos01 and sealos02, and a stack of sealos04 and sealos05.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.machines import Lab
from tests.lab.conftest import bare, listed, shell
from tests.lab.test_recovery import drive
from tests.project import Project

KEPT = "cd / && find etc/kubernetes root/.sealos/pki var/lib/kubelet/pki -type f 2>/dev/null | sort | xargs sha256sum"
PROGRAMS = "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in kubelet|kube-apiserver|etcd) echo ${p##*/} $(cat $p/comm);; esac; done"


def state_of(lab: Lab, name: str) -> str:
    """What must stay: keys, and the very processes; the controllers end by themselves when the API answers no more."""
    return lab.run(name, "sh", "-c", KEPT).stdout + lab.run(name, "sh", "-c", PROGRAMS).stdout


def signal_api(lab: Lab, signal: str) -> None:
    """Stops the API server, or lets it go on; kubelet, too, which would start it anew."""
    shell(lab, "sealos01", f"kill -{signal} $(pgrep -x 'kubelet|kube-apiserver')")


@pytest.fixture(scope="module")
def by_hand(lab: Lab) -> None:
    """A cluster of sealos01 and sealos02, made as a person does."""
    lab.reset()
    done = lab.run(
        "sealos01", "/root/sealos", "init", "--master", lab.addresses["sealos01"], "--node", lab.addresses["sealos02"],
        "--passwd", lab.password, "--version", "v1.16.3", "--pkg-url", "/root/kube1.16.3.tar.gz", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lab.run("sealos01", "kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=30s").check_returncode()


@pytest.fixture(scope="module")
def project(
    lab: Lab, by_hand: None, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    for file in ("kube1.16.3.tar.gz", "sealos"):
        (lab.root("sealos04") / "root" / file).write_bytes((lab.root("sealos01") / "root" / file).read_bytes())
    lab.run("sealos04", "chmod", "0755", "/root/sealos").check_returncode()
    config = {**bare_config, **listed(lab, 4, (5,)), "cluster": {**bare_config["cluster"], "recover": True}}
    project = Project.copy(tmp_path_factory.mktemp("foreign") / "project", "foreign", config)
    yield project
    project.destroy()
    lab.reset()


def test_a_foreign_master_whose_api_is_down_is_not_touched(
    lab: Lab, project: Project, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = {name: state_of(lab, name) for name in ("sealos01", "sealos02")}
    assert "etcd" in before["sealos01"]
    signal_api(lab, "STOP")
    config = {**bare_config, **listed(lab, 1, (3,)), "cluster": {**bare_config["cluster"], "recover": True}}
    taking = Project.copy(tmp_path_factory.mktemp("taking") / "project", "taking", config)
    done = taking.up()
    assert done.status != 0
    assert "is alive in a cluster that this program did not make" in done.text
    assert re.search("etcd, kube-apiserver,.* kubelet run", done.text), done.text
    refused = drive(lab, bare_config, "install", recover=True)  # past the preflight
    assert refused.returncode == 1
    assert "is alive in a cluster that this program did not make" in refused.stderr
    assert "whatever cluster.recover says" in refused.stderr
    done = taking.destroy()
    assert done.status == 0, done.text
    signal_api(lab, "CONT")
    assert {name: state_of(lab, name) for name in before} == before


def test_a_live_worker_of_another_cluster_is_not_taken_over(lab: Lab, project: Project) -> None:
    done = project.up()
    assert done.status == 0, done.text
    before = state_of(lab, "sealos02")
    project.edit_config(lambda config: config.update(listed(lab, 4, (5, 2))))
    done = project.up()
    assert done.status != 0
    assert "its kubelet is node sealos02 of the cluster with CA" in done.text
    assert state_of(lab, "sealos02") == before
    project.edit_config(lambda config: config.update(listed(lab, 4, (5,))))


def test_a_machine_that_another_cluster_has_meanwhile_survives_a_destroy(lab: Lab, project: Project) -> None:
    five = lab.addresses["sealos05"]
    for verb in (["clean", "--force"], ["join"]):
        moved = lab.run("sealos01", "/root/sealos", *verb, "--node", five, timeout=120)
        assert moved.returncode == 0, moved.stdout
    ready = lab.run("sealos01", "kubectl", "wait", "--for=condition=Ready", "node/sealos05", "--timeout=30s")
    assert ready.returncode == 0, ready.stderr
    before = state_of(lab, "sealos05")
    done = project.destroy()
    assert done.status == 0, done.text
    assert "sealos05] warning: it belongs to another cluster" in done.text
    assert state_of(lab, "sealos05") == before
    bare(lab, "sealos04")
