"""The command that prints a fleet's host keys, against an SSH server on loopback."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from components import host_keys


@pytest.fixture
def server() -> Iterator[tuple[int, str]]:
    """Port and host key of an SSH server that nobody may log in to."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found: list[int] = []

    async def serve() -> None:
        listener = await asyncssh.create_server(asyncssh.SSHServer, "127.0.0.1", 0, server_host_keys=[key])
        found.append(listener.get_port())
        ready.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert ready.wait(10)
    yield found[0], key.export_public_key().decode().strip()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def write(folder: Path, **config: Any) -> None:
    content = {"config": {f"sealos-istio:{key}": value for key, value in config.items()}}
    (folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_keys_as_settings(server: tuple[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, key = server
    write(
        tmp_path,
        masters=[{"name": "sealos01", "address": "127.0.0.1"}],
        nodes=[{"name": "sealos02", "address": "127.0.0.1-127.0.0.1"}],
        ssh={"port": port},
    )
    assert host_keys.main(["--stack", "prod"]) == 0
    said = capsys.readouterr()
    # the text goes into a stack's file as it is
    config = yaml.safe_load("config:\n" + said.out)["config"]
    assert config["sealos-istio:masters"] == [{"name": "sealos01", "address": "127.0.0.1", "hostKey": key}]
    assert [n["name"] for n in config["sealos-istio:nodes"]] == ["sealos02"]
    assert said.out.count(asyncssh.import_public_key(key).get_fingerprint()) == 2
    assert "Not trusted yet. Compare" in said.err


def test_keys_as_known_hosts(server: tuple[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, key = server
    write(tmp_path, masters=[{"name": "sealos01", "address": "127.0.0.1", "port": port}])
    assert host_keys.main(["--stack", "prod", "--known-hosts"]) == 0
    known = asyncssh.import_known_hosts(capsys.readouterr().out)
    keys, *_ = known.match("127.0.0.1", "", port)
    assert [k.export_public_key().decode().strip() for k in keys] == [key]


def test_a_key_that_differs_from_the_pinned_one(
    server: tuple[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, _ = server
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    write(tmp_path, masters=[{"name": "sealos01", "address": "127.0.0.1", "port": port, "hostKey": other}])
    assert host_keys.main(["--stack", "prod"]) == 1
    assert "sealos01: shows another host key than the pinned one" in capsys.readouterr().err


def test_mute_and_absent_machines_are_named_in_bounded_time(
    server: tuple[int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, key = server
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening
        write(
            tmp_path,
            masters=[{"name": "sealos01", "address": "127.0.0.1", "port": port}],
            nodes=[
                {"name": "sealos02", "address": "127.0.0.2", "port": mute.getsockname()[1]},
                {"name": "sealos03", "address": "127.0.0.1", "port": bound.getsockname()[1]},
            ],
            ssh={"connectTimeout": 1},
        )
        # 127.0.0.2 is another address of this host; let its listener be there, too
        with socket.create_server(("127.0.0.2", mute.getsockname()[1])):
            assert host_keys.main(["--stack", "prod"]) == 1
    said = capsys.readouterr()
    assert key in said.out
    assert re.search(r"sealos02: \S+ took the connection but stayed mute for 1 s", said.err)
    assert re.search(r"sealos03: \S+ refused the connection", said.err)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Pulumi.prod.yaml can't be read"),
        ("config:", "no stack's configuration"),
        ("config: {}", "list no machine"),
        ("config: {'sealos-istio:masters': [{name: a}]}", "sealos-istio:masters[0].address is missing"),
        ("config: {'sealos-istio:ssh': {prot: 1}}", "sealos-istio:ssh can't be used"),
    ],
)
def test_a_stack_that_says_nothing_usable(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "Pulumi.prod.yaml").write_text(content)
    assert host_keys.main(["--stack", "prod"]) == 1
    assert words in capsys.readouterr().err
