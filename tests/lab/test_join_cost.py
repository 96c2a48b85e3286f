"""Many nodes of one `up` are joined in one run of sealos, as one alone is, on a lab of thirteen machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from lab.machines import Lab
from tests.lab.conftest import OTHER, Kubectl, bare_of, listed, sealos_runs
from tests.project import Project


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("thirteen"), OTHER, count=13) as large:
        yield large


@pytest.fixture(scope="module")
def project(thirteen: Lab, tmp_path_factory: pytest.TempPathFactory) -> Project:
    config = bare_of(thirteen) | listed(thirteen, 1, ())
    project = Project.copy(tmp_path_factory.mktemp("cost") / "project", "cost", config)
    done = project.up()
    assert done.status == 0, done.text
    return project


@pytest.mark.parametrize("last", [2, 13])
def test_all_nodes_that_one_up_brings_join_in_one_run(
    project: Project, thirteen: Lab, last: int, record_property: Callable[[str, object], None]
) -> None:
    """One, and then eleven more at the same time."""
    project.edit_config(lambda config: config.update(listed(thirteen, 1, tuple(range(2, last + 1)))))
    runs, began = len(sealos_runs(thirteen, "join")), time.monotonic()
    done = project.up()
    record_property("seconds", round(time.monotonic() - began))
    assert done.status == 0, done.text
    assert len(sealos_runs(thirteen, "join")) == runs + 1
    assert len(Kubectl(project).json("get", "nodes")["items"]) == last
