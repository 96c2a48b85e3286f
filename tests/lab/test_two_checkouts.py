"""Two people work on the same cluster from two checkouts, each with a state of its own: each is told what the other one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.machines import Lab
from tests.lab.conftest import Kubectl, bare, listed, sealos_runs, until
from tests.project import Project, changes


@pytest.fixture(scope="module")
def both(lab: Lab, bare_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Project]]:
    lab.reset()
    config = bare_config | listed(lab, 1, (2, 3))
    folder: Path = tmp_path_factory.mktemp("checkouts")
    projects = [Project.copy(folder / name, "same", config) for name in ("first", "second")]
    yield projects
    done = projects[0].destroy()
    lab.reset()
    assert done.status == 0, done.text


def test_the_second_waits_for_the_first_and_makes_nothing_again(both: list[Project], lab: Lab) -> None:
    first, second = both
    process = first.start("up", "--yes", "--skip-preview", "--stack", "same")
    at_work = "test -e /etc/sealos-istio/installing.json && test -e /root/.sealos/config.yaml"
    until(lambda: lab.run("sealos01", "bash", "-c", at_work).returncode == 0, "the first one's sealos runs")
    done = second.up()
    printed = "".join(process.communicate(timeout=600))
    assert process.returncode == 0, printed
    assert done.status == 0, done.text
    assert "waiting for another job on this cluster to end (" in done.text
    assert lab.run("sealos01", "cat", "/root/.sealos-standin-count").stdout.strip() == "1", "initialised twice"
    assert len(sealos_runs(lab, "join")) == 1
    for project in both:
        assert Kubectl(project).nodes() == {"sealos01", "sealos02", "sealos03"}


def test_a_state_that_lacks_a_machine_is_told_so(both: list[Project], lab: Lab) -> None:
    """The first one's state is the one of before the second one's change: for the engine nothing is to be done."""
    first, second = both
    said = "the first master's own list of machines has it, and these settings don't"
    second.edit_config(lambda config: config.update(listed(lab, 1, (2, 3, 4))))
    done = second.up()
    assert done.status == 0, done.text
    assert said not in done.text
    assert changes(first.preview()) == {}
    done = first.up()
    assert done.status == 0, done.text
    assert f"sealos04: {said}" in done.text
    for nodes in ((2, 3, 4), (2, 3)):  # the way out that it names
        first.edit_config(lambda config, nodes=nodes: config.update(listed(lab, 1, nodes)))  # type: ignore[misc]
        done = first.up()
        assert done.status == 0, done.text
        assert said not in done.text
        assert Kubectl(first).nodes() == {"sealos01", *(f"sealos{n:02}" for n in nodes)}
    bare(lab, "sealos04")
