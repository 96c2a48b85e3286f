"""Changes that must not re-install, on the real engine: each previews as an update of what it concerns, and runs as one.

The drivers are played here by a script in the place of `python3 -m components.sealos` that notes its verb and says what a
healthy cluster would; engine, provider, graph and state are real. The same on real machines: tests/lab/test_reaching.py.
"""

from __future__ import annotations

import copy
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

import asyncssh
import pytest

from tests.project import KUBECONFIG, Project, changes

pytestmark = pytest.mark.slow

Config = dict[str, Any]
STANDIN = """#!/bin/sh
if [ "$1 $2" = "-m components.sealos" ]; then
    cat >/dev/null
    echo "$3" >>{calls}
    case $3 in
        kubeconfig) cat {kubeconfig} ;;
        look) printf '{{"said": [], "kubeconfig": "%s"}}' "$(sha256sum <{kubeconfig} | cut -d' ' -f1)" ;;
        ready) echo '[]' ;;
    esac
    exit 0
fi
exec {python} "$@"
"""
EVERY_STEP = {"preflight", "install", "wanted", "member-sealos02", "member-sealos03", "ready", "backup"}


def host_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


BASTION_KEY, NEW_KEY = host_key(), host_key()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A stack that is up, without a mesh, which would need an API server."""
    folder = tmp_path_factory.mktemp("rotations")
    machines = [{"name": f"sealos0{n}", "address": f"192.0.2.1{n}", "hostKey": host_key()} for n in (1, 2, 3)]
    config: Config = {
        "masters": machines[:1],
        "nodes": machines[1:],
        "ssh": {"privateKeyFile": "id_ed25519"},
        "cluster": {},
    }
    project = Project.copy(folder / "project", "rotate", config)
    (folder / "bin").mkdir()
    (folder / "kubeconfig").write_text(KUBECONFIG)
    standin = folder / "bin" / "python3"
    words = {"calls": folder / "calls", "kubeconfig": folder / "kubeconfig", "python": sys.executable}
    standin.write_text(STANDIN.format(**{k: shlex.quote(str(v)) for k, v in words.items()}))
    standin.chmod(0o755)
    project.environment["PATH"] = f"{standin.parent}:{os.environ['PATH']}"
    done = project.up()
    assert done.status == 0, done.text
    assert verbs(project).count("install") == 1
    return project


def verbs(project: Project) -> list[str]:
    return (project.directory.parent / "calls").read_text().split()


@pytest.fixture
def config(stack: Project) -> Config:
    """The stack's configuration, for a change that the next test does not see."""
    found: Config = {}
    stack.edit_config(lambda current: found.update(copy.deepcopy(current)))
    return found


def touched(project: Project) -> dict[str, str]:
    """Operation by step; everything that isn't a step of the cluster stands there by its whole name."""
    return {
        name.removeprefix("command:local:Command cluster-"): operation
        for name, operation in changes(project.preview()).items()
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda c: c["ssh"].update(privateKeyFile="new_key"), EVERY_STEP, id="key"),
        pytest.param(
            lambda c: c["ssh"].update(bastion={"address": "192.0.2.99", "hostKey": BASTION_KEY}),
            EVERY_STEP,
            id="bastion",
        ),
        pytest.param(lambda c: c["ssh"].update(connectTimeout=30), EVERY_STEP, id="time-out of log-in"),
        pytest.param(
            # it was installed anew, or has another key: its own step, and what lists the machines
            lambda c: c["nodes"][0].update(hostKey=NEW_KEY),
            {"preflight", "wanted", "member-sealos02"},
            id="a node's host key",
        ),
        pytest.param(
            lambda c: c["cluster"].update(timeouts={"join": 1000}),
            {"install", "member-sealos02", "member-sealos03", "backup"},
            id="time-out of joins",
        ),
        pytest.param(
            lambda c: c["cluster"].update(maxClockSkew=5.0, preflight={"waive": {"swap": "switched off at boot"}}),
            {"preflight"},
            id="what the preflight takes",
        ),
    ],
)
def test_previews_as_what_it_is(
    stack: Project, config: Config, change: Callable[[Config], object], expected: set[str]
) -> None:
    before = stack.config_file.read_text()
    change(config)
    stack.write_config(config)
    try:
        assert touched(stack) == dict.fromkeys(expected, "update")
    finally:
        stack.config_file.write_text(before)


def test_no_machine_joins_that_targets_keep_from_the_preflight(stack: Project, config: Config) -> None:
    before = stack.config_file.read_text()
    config["nodes"].append({"name": "sealos04", "address": "192.0.2.14", "hostKey": host_key()})
    stack.write_config(config)
    calls = len(verbs(stack))
    try:
        done = stack.up("--target", "**::cluster-wanted", "--target-dependents")
        assert done.status != 0
        assert "sealos04: the preflight has not looked at it, since --target leaves it out. Add --target '**::cluster-preflight'" in done.text
        assert "Traceback" not in done.text
        assert "want" not in verbs(stack)[calls:]
        assert "join" not in verbs(stack)[calls:]
        done = stack.up("--target", "**::cluster-preflight", "--target", "**::cluster-wanted", "--target-dependents")
        assert done.status == 0, done.text
        assert {"preflight", "want", "join"} <= set(verbs(stack)[calls:])
    finally:
        stack.config_file.write_text(before)
        done = stack.up()
        assert done.status == 0, done.text


def test_a_new_password_changes_nothing_but_how_one_logs_in(stack: Project) -> None:
    """Previewed, done, and then nothing is left to do; the installation is looked at and never made again."""
    done = stack.pulumi(
        "config", "set", "--secret", "--stack", stack.stack, "sealos-istio:password", stdin="new password"
    )
    assert done.status == 0, done.text
    assert touched(stack) == dict.fromkeys(EVERY_STEP, "update")
    diff = stack.pulumi("preview", "--diff", "--stack", stack.stack)
    assert "new password" not in diff.text
    calls = len(verbs(stack))
    up = stack.up()
    assert up.status == 0, up.text
    assert sorted(verbs(stack)[calls:]) == ["backup", "join", "join", "look", "preflight", "ready", "update", "want"]
    assert touched(stack) == {}


def test_a_kubeconfig_that_was_renewed_on_the_machine_is_read_by_the_next_up(stack: Project) -> None:
    """A preview, which asks no machine, shows no change; nothing is replaced, and then nothing is left to do."""
    file = stack.directory.parent / "kubeconfig"
    for renewed in (True, False):
        if renewed:
            file.write_text(KUBECONFIG.replace("token: t", "token: renewed"))
        assert touched(stack) == {}
        calls = len(verbs(stack))
        done = stack.up()
        assert done.status == 0, done.text
        assert sorted(verbs(stack)[calls:]) == (["kubeconfig", "look"] if renewed else ["look"])
        assert "replaced" not in done.stdout
        assert "token: renewed" in stack.outputs()["kubeconfig"]
