"""State in a real Postgres of this test's own, on loopback: as docs/environments.md has it. The file backend is every other test's."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.project import Project

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
PASSWORD = "only for this test"
PROGRAM = """
import pulumi

pulumi.export("plain", "seen")
pulumi.export("secret", pulumi.Output.secret("never seen"))
"""


def as_postgres(*command: str) -> list[str]:
    """Postgres refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a database of a server that lives for these tests."""
    assert BINARIES, "Postgres is not installed. Fix: apt-get install postgresql (as .ci/run does)"
    # not one of pytest's: those are the user's alone, and Postgres runs as another one
    folder = tempfile.TemporaryDirectory(prefix="sealos-istio-postgres.", ignore_cleanup_errors=True)
    with folder as name, serving(Path(name)) as url:
        yield url


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server whose files are in that folder."""
    assert BINARIES
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        as_postgres(
            *(str(BINARIES / "initdb"), "-D", str(data), "-U", "pulumi", "-A", "scram-sha-256"),
            *("--no-sync", "--pwfile", str(password)),
        ),
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} -c fsync=off"
    control = [str(BINARIES / "pg_ctl"), "-D", str(data), "-w", "-t", "60"]
    log = str(folder / "log")
    subprocess.run(
        as_postgres(*control, "-l", log, "-o", options, "start"), check=True, cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        yield f"postgres://pulumi:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres?sslmode=disable"
    finally:
        stop = as_postgres(*control, "-m", "immediate", "stop")
        subprocess.run(stop, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def everything(url: str) -> str:
    """What lies in the database, as text."""
    assert BINARIES
    done = subprocess.run(
        [str(BINARIES / "psql"), "-At", "-c", "select data->>'data' from pulumi_state", url],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(base64.b64decode(line).decode() for line in done.stdout.split())


def test_a_stack_lives_in_postgres(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    project = Project(tmp_path, "team", {"PULUMI_BACKEND_URL": postgres})
    command: tuple[str, ...]
    for command in (("stack", "init", "team"), ("up", "--yes", "--skip-preview", "--stack", "team")):
        done = project.pulumi(*command)
        assert done.status == 0, done.text
        assert PASSWORD not in done.text
    assert project.outputs() == {"plain": "seen", "secret": "never seen"}
    kept = everything(postgres)
    assert '"seen"' in kept, kept[:500]
    assert "never seen" not in kept
    for command in (("destroy", "--yes", "--skip-preview", "--stack", "team"), ("stack", "rm", "--yes", "team")):
        done = project.pulumi(*command)
        assert done.status == 0, done.text
