"""What lives in a cluster outlives its etcd: the only master's is lost, a quorum is lost, the only master is lost with its disk.

The tests of this file share one stack and follow each other on the same machines.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.sealos.etcd import damage
from devtools import parts
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl, in_plain, listed, shell, taken_down
from tests.project import Project

PAGE = "docs/operations.md"
HEADING = "Back up and restore what lives in the cluster"
SECRET = "planted-in-a-secret-of-the-cluster"


@pytest.fixture(scope="module")
def project(lab: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    config = bare_config | listed(lab, 1, (4,))
    project = Project.copy(tmp_path_factory.mktemp("etcd") / "project", "etcd", config)
    done = project.up()
    assert done.status == 0, done.text
    yield project
    taken_down(project, lab)


@pytest.fixture(scope="module")
def lived(project: Project) -> tuple[str, str]:
    """A workload's ConfigMap, and how the cluster is told apart from another one."""
    kubectl = Kubectl(project)
    kubectl("create", "configmap", "of-a-workload", "--from-literal=kept=yes")
    kubectl("create", "secret", "generic", "of-a-workload", f"--from-literal=planted={SECRET}")
    return identity(kubectl)


def identity(kubectl: Kubectl) -> tuple[str, str]:
    kept = kubectl.json("get", "configmap", "of-a-workload")
    assert kept["data"] == {"kept": "yes"}
    return kept["metadata"]["uid"], kubectl.json("get", "namespace", "kube-system")["metadata"]["uid"]


def snapshots(project: Project) -> list[Path]:
    return sorted((project.directory / "etcd-backups").glob("*"))


def whole(files: list[Path]) -> None:
    for file in files:
        assert damage(file) is None
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


def unchanged(project: Project) -> None:
    again = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert again.status == 0, again.text


def restore(project: Project, file: Path) -> str:
    return Terminal.of(project).documented(
        PAGE,
        HEADING,
        "python3 -m components.etcd restore",
        replace={"prod-20240131T120000Z.db": file.name, "prod": project.stack},
    )


def test_it_is_saved_on_demand_whole_and_for_its_owner_alone(
    project: Project, lived: tuple[str, str], lab: Lab
) -> None:
    assert snapshots(project) == []
    Terminal.of(project).documented(PAGE, HEADING, "python3 -m components.etcd save", replace={"prod": project.stack})
    whole(snapshots(project))
    assert len(snapshots(project)) == 1
    assert shell(lab, "sealos01", "ls /var/lib | grep sealos-istio-etcd || true") == ""


def test_a_workloads_configmap_survives_the_loss_of_the_only_masters_etcd(
    project: Project, lived: tuple[str, str], lab: Lab
) -> None:
    Kubectl(project)("create", "configmap", "later")
    shell(lab, "sealos01", "rm -rf /var/lib/etcd/*; pkill -9 -x etcd")
    (file,) = snapshots(project)
    printed = restore(project, file)
    assert SECRET not in printed
    kubectl = Kubectl(project)
    kubectl("wait", "--for=condition=Ready", "node/sealos04", "--timeout=60s", limit=70)
    assert identity(kubectl) == lived
    assert "later" not in kubectl("get", "configmaps", "-o", "name")
    unchanged(project)


def test_a_living_cluster_is_not_taken_back_by_accident(project: Project, lived: tuple[str, str]) -> None:
    terminal = Terminal.of(project)
    command = f"python3 -m components.etcd restore etcd-backups/{snapshots(project)[0].name} --stack {project.stack}"
    assert "the cluster lives and has all its machines" in terminal.run(command, status=1).stdout
    damaged = project.directory / "damaged.db"
    content = bytearray(snapshots(project)[0].read_bytes())
    content[5000] ^= 1
    damaged.write_bytes(content)
    command = f"python3 -m components.etcd restore damaged.db --stack {project.stack}"
    assert "its SHA-256 is another than the one it ends with" in terminal.run(command, status=1).stdout
    assert identity(Kubectl(project)) == lived


def test_before_masters_join_it_is_saved(project: Project, lived: tuple[str, str], lab: Lab) -> None:
    before = snapshots(project)
    project.edit_config(lambda config: config.update(listed(lab, (1, 2, 3), (4,))))
    done = project.up()
    assert done.status == 0, done.text
    whole(snapshots(project))
    assert len(snapshots(project)) == len(before) + 1


def test_what_is_there_survives_the_loss_of_the_quorum(project: Project, lived: tuple[str, str], lab: Lab) -> None:
    lab.stop_machine("sealos02")
    lab.stop_machine("sealos03")
    restore(project, snapshots(project)[-1])
    assert identity(Kubectl(project)) == lived

    def without(config: dict[str, Any]) -> None:
        config.update(listed(lab, 1, (4,)))
        config["cluster"]["lost"] = ["sealos02", "sealos03"]

    project.edit_config(without)
    done = project.up()
    assert done.status == 0, done.text
    assert Kubectl(project).nodes() == {"sealos01", "sealos04"}


def test_and_the_loss_of_the_only_master_with_its_disk(project: Project, lived: tuple[str, str], lab: Lab) -> None:
    lab.reset(["sealos01"])
    program = base64.b64encode(parts.etcd().with_name("etcdctl").read_bytes()).decode()
    there = "/usr/local/bin/etcdctl"  # where no etcd runs yet, whose image has it
    shell(lab, "sealos01", f"base64 -d >{there} && chmod 755 {there}", stdin=program)
    restore(project, snapshots(project)[-1])
    kubectl = Kubectl(project)
    assert identity(kubectl) == lived
    assert kubectl.nodes() == {"sealos01", "sealos04"}
    # sealos knows the others, and has the CA's keys
    project.edit_config(lambda config: config.update(listed(lab, 1, (4, 5))))
    done = project.up()
    assert done.status == 0, done.text
    assert Kubectl(project).nodes() == {"sealos01", "sealos04", "sealos05"}
    unchanged(project)


def test_nothing_secret_was_printed(project: Project, lab: Lab) -> None:
    assert in_plain(project, None, SECRET) == []
