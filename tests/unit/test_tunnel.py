"""The tunnel to the API server: through real SSH servers on loopback, to a server that stands for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import tunnel
from components.remote.models import Fleet
from components.sealos import sealos_config
from components.tunnel import TunnelRequest, during, hold
from tests.project import ROOT
from tests.unit.conftest import Server, serving


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def fleet(server: Server, **login: object) -> Fleet:
    bastion = {"address": "127.0.0.1", "port": server.port, "hostKey": server.host_key}
    return Fleet(machines=(server.machine(role="master"),), login=server.login(bastion=bastion, **login))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the other side sends, in capitals, when it has sent all."""
    writer.write((await reader.read()).upper())
    writer.close()


async def asked(port: int, words: bytes = b"hello") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


def held(fleet: Fleet, action: Callable[[int, list[str]], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What an action returns while a tunnel is held to an API server of ours."""

    async def whole() -> Any:
        said: list[str] = []
        api = await asyncio.start_server(echo, "127.0.0.1", 0)
        monkeypatch.setattr(tunnel, "API_SERVER", ("127.0.0.1", api.sockets[0].getsockname()[1]))
        port, ready = free_port(), asyncio.Event()
        holding = asyncio.create_task(hold(TunnelRequest(fleet=fleet, port=port), ready.set, said.append))
        await ready.wait()
        try:
            return await action(port, said)
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            api.close()

    return asyncio.run(whole())


def test_what_is_sent_arrives_through_a_bastion_and_the_first_master(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    big = os.urandom(300_000).hex().encode()

    async def action(port: int, said: list[str]) -> None:
        assert await asyncio.gather(*(asked(port, big) for _ in range(5))) == [big.upper()] * 5
        assert said == []

    held(fleet(server), action, monkeypatch)


def test_a_log_in_that_was_lost_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as server:

        def sessions() -> list[int]:
            """sshd's processes of each connection; there is one more for the privileges of each."""
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
            return [int(child) for child in children.split()]

        async def action(port: int, said: list[str]) -> None:
            assert await asked(port) == b"HELLO"
            for child in sessions():
                with contextlib.suppress(ProcessLookupError):  # one is the bastion's, with which the other ends
                    os.kill(child, 9)
            await asyncio.sleep(0.3)
            assert await asked(port) == b"HELLO"

        held(fleet(server), action, monkeypatch)


def test_a_server_that_forwards_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, "PermitOpen none") as server:
        direct = Fleet(machines=(server.machine(role="master"),), login=server.login())

        async def action(port: int, said: list[str]) -> None:
            assert await asked(port) == b""
            assert "sealos01: its SSH server makes no connection to 127.0.0.1:" in said[0]
            assert "AllowTcpForwarding" in said[0]

        held(direct, action, monkeypatch)


@pytest.mark.parametrize("taken", [False, True])
def test_an_action_has_the_tunnel_whoever_holds_it(taken: bool, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "_PATIENCE", 0.1)
    port = free_port()
    with socket.socket() as other:
        if taken:
            other.bind(("127.0.0.1", port))
            other.listen()

        def listens() -> int:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port))

        assert asyncio.run(during(fleet(server), port, listens, print)) == 0
    assert listens() != 0
    assert asyncio.run(during(fleet(server), None, listens, print)) != 0


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for a run of Pulumi."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_process_of_an_update_ends_with_it(run: subprocess.Popen[bytes], server: Server) -> None:
    port = free_port()
    request = {"fleet": json.loads(_plain(server)), "port": port, "until": run.pid}

    def start(patience: str = "") -> subprocess.Popen[str]:
        code = f"import sys; from components import tunnel; {patience}; sys.exit(tunnel.main(['--held']))"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        with process.stdin as given:
            given.write(json.dumps(request))
        return process

    def told(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        with process.stdout as answer:
            return answer.readline().strip()

    first = start("pass")
    assert told(first) == "ready"
    second = start("tunnel._PATIENCE = 0")
    assert told(second) == "taken"
    assert second.wait(20) == 1
    run.kill()
    run.wait()
    assert first.wait(20) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("between", ["{}", 'sh -c "{}; true"'])
def test_what_is_between_the_language_host_and_its_program_is_passed_over(between: str, tmp_path: Path) -> None:
    """As `uv run`, which ends with the program."""
    (tmp_path / "program.py").write_text("from components import tunnel; print(tunnel._language_host())")
    host = tmp_path / "pulumi-language-python"
    shutil.copy("/bin/bash", host)
    command = between.format(f"{sys.executable} {tmp_path}/program.py")
    done = subprocess.run([host, "-c", f"echo $$; {command}; true"], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert len(set(done.stdout.split())) == 1, done.stdout
    assert tunnel._language_host() == os.getppid(), "without one"


def test_a_process_is_told_by_ps_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    told = tunnel._process(os.getpid())
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert told == tunnel._process(os.getpid()) == (os.getppid(), Path(f"/proc/{os.getpid()}/comm").read_text().strip())
    assert tunnel._process(1 << 22) == (0, "")


def _plain(server: Server) -> str:
    login = {"privateKey": server.private_key, "connectTimeout": 5}
    return json.dumps({"machines": [server.machine(role="master").model_dump(by_alias=True)], "login": login})


def test_one_that_does_not_come_up_stops_the_update(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    monkeypatch.setattr("components.tunnel.sys.executable", "/bin/false")
    with pytest.raises(pulumi.RunError, match=r"did not come up; `python3 -m components.tunnel --stack prod` tells why"):
        tunnel.hold_for_this_run({}, 16443)


KUBECONFIG = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://192.0.2.11:6443
  name: kubernetes
kind: Config
"""


@pytest.mark.parametrize(
    ("place", "server"),
    [
        (("127.0.0.1", 16443, "192.0.2.11"), "https://127.0.0.1:16443"),
        (("k8s.example.org", 443), "https://k8s.example.org:443"),
        (("2001:db8::9", 6443), "https://[2001:db8::9]:6443"),
    ],
)
def test_a_kubeconfig_of_another_place(place: tuple[Any, ...], server: str) -> None:
    cluster = yaml.safe_load(sealos_config.reached_at(KUBECONFIG, *place))["clusters"][0]["cluster"]
    assert cluster == {"certificate-authority-data": "QUJD", "server": server} | (
        {"tls-server-name": place[2]} if place[2:] else {}
    )


