"""Package and sealos from a file or a URL onto the first master: a web server and an OpenSSH server, both on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.driver import DriverError
from components.remote.models import Fleet
from components.sealos import artifacts
from components.sealos.requests import Artifact, Provide
from tests.unit.conftest import Server

CONTENT = b"a package" * 100_000
SHA = hashlib.sha256(CONTENT).hexdigest()
SEALOS = b"#!/bin/sh\necho Version: 3.3.9-rc.11\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A web server's URL, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/missing":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/short" else CONTENT)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def request(server: Server, artifact: Artifact, what: str = "package", version: str | None = None) -> Provide:
    fleet = Fleet(machines=(server.machine(),), login=server.login())
    return Provide.model_validate(
        {"fleet": fleet, "what": what, "artifact": artifact, "limit": 30, "kubernetesVersion": version}
    )


def provide(server: Server, artifact: Artifact, what: str = "package", version: str | None = None) -> str:
    return asyncio.run(artifacts.run_provide(request(server, artifact, what, version)))


def test_a_file_is_sent_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "kube1.16.3.tar.gz", tmp_path / "there" / "kube.tar.gz"
    source.write_bytes(CONTENT)
    artifact = Artifact(path=str(target), sha256=SHA, file=str(source))
    provide(server, artifact)
    assert target.read_bytes() == CONTENT
    assert "sending kube1.16.3.tar.gz" in capsys.readouterr().err
    source.unlink()  # it isn't needed again
    provide(server, artifact)
    assert "sending" not in capsys.readouterr().err
    assert list(target.parent.iterdir()) == [target]


def test_another_file_in_its_place_is_replaced(server: Server, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    target.write_bytes(b"cut off")
    provide(server, Artifact(path=str(target), sha256=SHA, file=str(source)))
    assert target.read_bytes() == CONTENT


def test_a_url_is_fetched_once_and_kept(server: Server, web: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = web
    for target in (tmp_path / "one", tmp_path / "two"):
        # the name is part of the kept file's, so the same one
        provide(server, Artifact(path=str(target / "kube.tar.gz"), sha256=SHA, url=f"{url}/kube.tar.gz"))
        assert (target / "kube.tar.gz").read_bytes() == CONTENT
    assert asked == ["/kube.tar.gz"]


@pytest.mark.parametrize(
    ("path", "sha256", "words"),
    [
        ("/missing", SHA, "can't be fetched: Not Found"),
        ("/short", SHA, f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"),
        ("/other", "b" * 64, f"gave a file with SHA-256 {SHA}, not {'b' * 64}"),
    ],
)
def test_a_url_that_gives_something_else(
    server: Server, web: tuple[str, list[str]], tmp_path: Path, path: str, sha256: str, words: str
) -> None:
    target = tmp_path / "target"
    with pytest.raises(DriverError) as caught:
        provide(server, Artifact(path=str(target), sha256=sha256, url=web[0] + path))
    assert words in str(caught.value)
    assert "cluster.package.url" in str(caught.value)
    assert not target.exists()
    assert list(artifacts.cache().iterdir()) == []


def test_a_web_server_that_stays_mute_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        artifact = Artifact(path="/root/p", sha256=SHA, url=f"http://127.0.0.1:{mute.getsockname()[1]}/p")
        with pytest.raises(DriverError, match="timed out"):
            artifacts.fetch(artifact, "package", 3600)


def test_a_file_that_is_another_one(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"something else")
    artifact = Artifact(path=str(tmp_path / "target"), sha256=SHA, file=str(source))
    with pytest.raises(DriverError, match=r"\(cluster.package.file\) has SHA-256"):
        provide(server, artifact)
    assert artifacts.problem("package", artifact)
    source.unlink()
    assert "can't be read here (No such file" in str(artifacts.problem("package", artifact))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (SEALOS, None),
        (b"#!/bin/sh\necho Version: 3.2.0\n", "is version 3.2.0: it ignores --config"),
        (b"not a program\n", "does not say which version"),
    ],
)
def test_a_sealos_that_is_sent_is_asked_for_its_version(
    server: Server, tmp_path: Path, program: bytes, words: str | None
) -> None:
    source, target = tmp_path / "sealos", tmp_path / "there"
    source.write_bytes(program)
    artifact = Artifact(path=str(target), sha256=hashlib.sha256(program).hexdigest(), file=str(source))
    if words is None:
        provide(server, artifact, "sealos")
        assert target.stat().st_mode & 0o111
        return
    with pytest.raises(DriverError) as caught:
        provide(server, artifact, "sealos")
    assert words in str(caught.value)


def test_a_package_that_is_sent_is_asked_which_kubernetes_it_holds(server: Server, tmp_path: Path) -> None:
    metadata, source = tmp_path / "Metadata", tmp_path / "kube1.16.8.tar.gz"
    metadata.write_text('{"k8sVersion": "v1.16.8"}')
    with tarfile.open(source, "w:gz") as archive:
        archive.add(metadata, "kube/Metadata")
    artifact = Artifact(path=str(tmp_path / "there.tar.gz"), sha256=artifacts.sha256_of(source), file=str(source))
    with pytest.raises(DriverError, match=r"there\.tar\.gz holds Kubernetes v1\.16\.8, not v1\.16\.3 .*Use the package"):
        provide(server, artifact, version="v1.16.3")
    Path(artifact.path).unlink()
    provide(server, artifact, version="v1.16.8")
    Path(artifact.path).unlink()
    provide(server, artifact)  # waived


def test_only_what_is_still_ours_is_taken_away(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target"
    artifact = Artifact(path=str(target), sha256=SHA, file="gone")
    target.write_bytes(CONTENT)
    asyncio.run(artifacts.run_withdraw(request(server, artifact)))
    assert not target.exists()
    target.write_bytes(b"the user's own")
    asyncio.run(artifacts.run_withdraw(request(server, artifact)))
    assert target.exists()
    assert "is another file than the one that was put there" in capsys.readouterr().err
