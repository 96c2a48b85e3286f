"""The tunnel of a run, under the real engine: there for all of an update, deletions included, and gone after it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.project import Project
from tests.unit.conftest import serving

pytestmark = pytest.mark.slow
ASK = """python3 -c 'import socket; socket.create_connection(("127.0.0.1", {port})).close()' && echo {word} >>{log}"""
PROGRAM = """
import os
import pulumi
from pulumi_command import local
from components.tunnel import hold_for_this_run
hold_for_this_run({fleet!r}, {port})
if os.path.exists({there!r}):
    local.Command("asks", create={create!r}, delete={delete!r})
"""


def test_it_is_held_until_the_last_deletion_is_done(tmp_path: Path) -> None:
    with serving(tmp_path) as server, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        log, there = tmp_path / "asked", tmp_path / "there"
        fleet = {
            "machines": [server.machine(role="master").model_dump(by_alias=True)],
            "login": {"privateKey": server.private_key, "connectTimeout": 5},
        }
        project = Project.copy(tmp_path / "project", "dev", {})
        create, delete = (ASK.format(port=port, word=word, log=log) for word in ("created", "deleted"))
        text = PROGRAM.format(fleet=fleet, port=port, there=str(there), create=create, delete=f"sleep 2; {delete}")
        (project.directory / "__main__.py").write_text(text)
        there.touch()
        done = project.pulumi("preview", "--stack", "dev")
        assert done.status == 0, done.text
        assert not listens(port), "a preview dials nobody"
        done = project.up()
        assert done.status == 0, done.text
        there.unlink()
        done = project.up()
        assert done.status == 0, done.text
        assert log.read_text() == "created\ndeleted\n"
        end = time.monotonic() + 60
        while listens(port):
            assert time.monotonic() < end, "the tunnel outlives the run"
            time.sleep(0.2)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
