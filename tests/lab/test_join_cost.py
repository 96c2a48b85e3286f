"""Many nodes of one `up` cost little more than one, on a lab of thirteen machines: they are joined in one run of sealos, at the same time.

What a real machine does for minutes while it joins (its init.sh loads images of a gigabyte) is played by a wait of two minutes for every
machine. Without it the thirteen machines' shares of this host's few CPUs would be all that is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.machines import Lab
from tests.lab.conftest import NETWORK, Kubectl, listed, sealos_runs
from tests.project import Project

INIT_SH = 120.0
"""Seconds that each machine's init.sh takes more than the lab's."""
MOST = 1.5


@pytest.fixture(scope="module")
def thirteen(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab.down()  # its network is needed
    try:
        with Lab(tmp_path_factory.mktemp("thirteen"), NETWORK, count=13) as large:
            yield large
    finally:
        lab.up()


@pytest.fixture(scope="module")
def project(thirteen: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    config = bare_config | listed(thirteen, 1, ())
    config["ssh"] = {"knownHosts": str(thirteen.known_hosts), "privateKeyFile": str(thirteen.key)}
    project = Project.copy(tmp_path_factory.mktemp("cost") / "project", "cost", config)
    done = project.up()
    assert done.status == 0, done.text
    fault = {"faults": [{"step": "init-sh", "action": "hang", "seconds": INIT_SH}]}
    file = "/root/.sealos-standin-faults.json"
    thirteen.run("sealos01", "sh", "-c", f"cat >{file}", stdin=json.dumps(fault)).check_returncode()
    return project


def seconds_to_join(project: Project, lab: Lab, numbers: tuple[int, ...]) -> float:
    """How long an `up` takes that brings the nodes to these, by one run of sealos."""
    project.edit_config(lambda config: config.update(listed(lab, 1, numbers)))
    runs, began = len(sealos_runs(lab, "join")), time.monotonic()
    done = project.up()
    took = time.monotonic() - began
    assert done.status == 0, done.text
    assert len(sealos_runs(lab, "join")) == runs + 1
    return took


def test_a_node_that_joins_with_ten_others_costs_at_most_half_more_than_one_alone(
    project: Project, thirteen: Lab
) -> None:
    one = seconds_to_join(project, thirteen, (2,))
    eleven = seconds_to_join(project, thirteen, tuple(range(2, 14)))
    assert len(Kubectl(project).json("get", "nodes")["items"]) == 13
    print(f"one node: {one:.1f} s, eleven: {eleven:.1f} s, ratio {eleven / one:.2f}")
    assert one > INIT_SH, "the wait was not played"
    assert eleven <= MOST * one
