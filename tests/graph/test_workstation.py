"""The program on a workstation that has little: no virtual environment that is activated, a checkout in a path with a space."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.project import Project, changes, stack_config

pytestmark = pytest.mark.slow
COREUTILS = ("cat", "cp", "date", "dirname", "head", "ls", "mkdir", "mv", "readlink", "rm", "sort", "tail", "tr", "uname")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.copy(tmp_path_factory.mktemp("a work station") / "the checkout", "dev", stack_config())


@pytest.fixture
def bare(project: Project, tmp_path: Path) -> Project:
    """PATH has a shell and a few tools besides the engine: no `timeout`, no `python3`, no `istioctl`."""
    for name in ("sh", *COREUTILS):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    # the engine finds its language host beside itself
    return Project(project.directory, project.stack, {"PATH": str(tmp_path)})


def test_a_preview_takes_no_python3_and_no_timeout(project: Project, bare: Project) -> None:
    expected = changes(project.preview())
    done = bare.pulumi("preview", "--stack", bare.stack)
    assert done.status == 0, done.text
    assert "there is no python3 on PATH, which every step of an update is run by. Activate the virtual environment: `. " in done.text
    found = changes(bare.preview())
    # what Istio makes of the settings is asked of an istioctl on PATH
    assert {*expected} - {*found} <= {"pulumi:index:Stash istio-rendered"}
    assert {*found} <= {*expected}


def test_every_command_takes_python3_alone(project: Project) -> None:
    """A shell's own `true` aside; macOS has no `timeout`."""
    inputs = [step["newState"]["inputs"] for step in project.preview()["steps"] if "command:local:Command" in step["urn"]]
    commands = {text for given in inputs for key in ("create", "update", "delete") if (text := given.get(key))}
    assert len(commands) > 10
    assert {text for text in commands if not text.startswith("python3 -m components.")} == {"true"}


def test_an_update_stops_before_it_has_changed_anything(bare: Project) -> None:
    done = bare.up()
    assert done.status != 0
    assert "there is no python3 on PATH" in done.text
    assert "cluster-preflight" not in done.text
