"""What a full disk on the first master leaves of a cluster, and of sealos's own state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.machines import Lab
from tests.lab.conftest import Kubectl, listed, shell
from tests.project import Project

CONFIG = "/root/.sealos/config.yaml"
# the machines' disks are one with the host's, so the folder gets a small one of its own
SMALL_DISK = """set -e
cp -a /root/.sealos /root/.sealos-was
mount -t tmpfs -o size=4m,mode=700 tmpfs /root/.sealos
cp -a /root/.sealos-was/. /root/.sealos
rm -rf /root/.sealos-was
"""
ORDINARY_DISK = """set -e
mountpoint -q /root/.sealos || exit 0
rm -f /root/.sealos/filler
cp -a /root/.sealos /root/.sealos-was
umount /root/.sealos
rm -rf /root/.sealos
mv /root/.sealos-was /root/.sealos
"""
FILL = "head -c 5M /dev/zero >/root/.sealos/filler 2>/dev/null; test $(df --output=avail /root/.sealos | tail -n 1) = 0"


@pytest.fixture(scope="module")
def project(lab: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    config = bare_config | listed(lab, 1, (2,))
    project = Project.copy(tmp_path_factory.mktemp("safety") / "project", "safety", config)
    done = project.up()
    assert done.status == 0, done.text
    shell(lab, "sealos01", SMALL_DISK)
    yield project
    shell(lab, "sealos01", ORDINARY_DISK)
    done = project.destroy()
    assert done.status == 0, done.text


def nodes(project: Project) -> list[str]:
    return sorted(Kubectl(project).nodes())


def test_a_full_disk_during_a_join_costs_nothing_of_sealos_state(project: Project, lab: Lab) -> None:
    shell(lab, "sealos01", FILL)
    before = shell(lab, "sealos01", f"cat {CONFIG}")
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3))))
    done = project.up()
    assert done.status != 0
    assert shell(lab, "sealos01", f"cat {CONFIG}") == before
    assert "sealos01: the join of sealos03 failed" in done.text
    assert "could not be written (No space left on device); it stays as it was" in done.text
    assert nodes(project) == ["sealos01", "sealos02"]


def test_with_room_it_joins(project: Project, lab: Lab) -> None:
    shell(lab, "sealos01", "rm /root/.sealos/filler")
    done = project.up()
    assert done.status == 0, done.text
    assert nodes(project) == ["sealos01", "sealos02", "sealos03"]


def test_a_disk_that_fills_while_sealos_is_at_work_leaves_it_a_config_and_no_login(project: Project, lab: Lab) -> None:
    """sealos's own log takes the last of the room, and its config is written over itself."""
    waiting = f"until grep -q '^privatekey: /run' {CONFIG}; do sleep 0.05; done; {FILL}; sed -i /never/d {CONFIG} || true"
    shell(lab, "sealos01", f"setsid bash -c {waiting!r} </dev/null >/dev/null 2>&1 & sleep 0.1")
    project.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
    project.up()
    shell(lab, "sealos01", "rm -f /root/.sealos/filler")
    config = shell(lab, "sealos01", f"cat {CONFIG}")
    assert "certpath: " in config
    assert f"{lab.addresses['sealos02']}:22" in config
    assert "privatekey: /run" not in config
    done = project.up()
    assert done.status == 0, done.text
    assert nodes(project) == ["sealos01", "sealos02", "sealos03", "sealos04"]
