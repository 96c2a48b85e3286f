"""`pulumi up` killed at ten moments, engine and providers and drivers alike, ends in the same state when it is run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.machines import NAMES, Lab
from tests.lab.conftest import Kubectl
from tests.project import Project

KILLS = 10
SEED = 163


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    lab.reset()
    project = Project.copy(tmp_path_factory.mktemp("killed") / "project", "killed", dev_config)
    yield project
    done = project.destroy()
    assert done.status == 0, done.text


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL for the engine and all it started; the tree below has the engine's process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_ten_kills_end_in_the_same_state(project: Project, lab: Lab) -> None:
    chance = random.Random(SEED)
    killed = 0
    for _ in range(KILLS):
        process = project.start("up", "--yes", "--skip-preview", "--stack", project.stack)
        time.sleep(chance.uniform(1, 12))
        if process.poll() is None:
            killed += 1
            kill_group(process)
            # the lock of the killed run: `make up` does this by itself
            assert project.pulumi("cancel", "--yes", "--stack", project.stack).status == 0
        else:
            process.communicate()
            project.destroy()
    assert killed == KILLS
    done = project.up()
    assert done.status == 0, done.text
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1", (
        "a cluster was initialised twice"
    )
    done = project.pulumi("preview", "--expect-no-changes", "--stack", project.stack)
    assert done.status == 0, done.text
    kubectl = Kubectl(project)
    nodes = kubectl.json("get", "nodes")["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == list(NAMES)
    deployments = kubectl.json("-n", "istio-system", "get", "deployments")["items"]
    assert len(deployments) == 7
    assert all(d["status"]["availableReplicas"] == d["spec"]["replicas"] for d in deployments)
