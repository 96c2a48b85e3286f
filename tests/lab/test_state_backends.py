"""State in a real Postgres and behind a real S3 gateway of these tests' own, on loopback: as docs/environments.md has it.

The file backend is every other test's.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools import golang
from tests.documented import Terminal
from tests.project import ROOT, Project

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


def gateway() -> str:
    """The gateway's program, which Go builds the first time (about a minute) and keeps."""
    done = subprocess.run(
        [str(golang.program()), "tool", "-n", "versitygw"],
        cwd=ROOT / "toolchain" / "versitygw",
        env={**os.environ, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A bucket's folder, and the variables by which it is reached as S3: a real gateway that serves a folder, on loopback."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "buckets" / "team-state").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    keys = {"AWS_ACCESS_KEY_ID": "pulumi", "AWS_SECRET_ACCESS_KEY": PASSWORD.replace(" ", "-")}
    ours = {"ROOT_ACCESS_KEY_ID": keys["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_ACCESS_KEY": keys["AWS_SECRET_ACCESS_KEY"]}
    command = [gateway(), "--port", address, "--quiet", "posix", str(folder / "buckets")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **ours}, stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail(f"the gateway did not start: {(folder / 'log').read_text()}")
        where = f"endpoint={address}&disableSSL=true&s3ForcePathStyle=true&region=us-east-1"
        yield folder / "buckets" / "team-state", {**keys, "PULUMI_BACKEND_URL": f"s3://team-state?{where}"}
    finally:
        server.terminate()
        server.wait(10)


def lives(directory: Path, variables: dict[str, str], kept: Callable[[], str]) -> None:
    """A stack is made, filled, read, emptied and removed in a backend, which never sees a secret in plain.

    Args:
        directory: for the program.
        variables: by which the backend is reached.
        kept: everything that lies there, as text.
    """
    (directory / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (directory / "__main__.py").write_text(PROGRAM)
    project = Project(directory, "team", variables)

    def pulumi(*command: str) -> None:
        done = project.pulumi(*command)
        assert done.status == 0, done.text
        assert PASSWORD not in done.text

    pulumi("stack", "init", "team")
    pulumi("up", "--yes", "--skip-preview", "--stack", "team")
    assert project.outputs() == {"plain": "seen", "secret": "never seen"}
    assert '"seen"' in kept()
    assert "never seen" not in kept()
    pulumi("destroy", "--yes", "--skip-preview", "--stack", "team")
    pulumi("stack", "rm", "--yes", "team")
    assert "team" not in project.pulumi("stack", "ls").stdout


def test_a_stack_lives_in_postgres(postgres: str, tmp_path: Path) -> None:
    lives(tmp_path, {"PULUMI_BACKEND_URL": postgres}, lambda: everything(postgres))


def test_a_stack_lives_in_s3(s3: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    bucket, variables = s3

    def stacks() -> str:
        found = (bucket / ".pulumi" / "stacks").rglob("*.json")
        return "".join(file.read_text() for file in found)

    lives(tmp_path, variables, stacks)


def test_a_team_begins_with_postgres_as_the_docs_say(postgres: str, tmp_path: Path) -> None:
    terminal = Terminal.clone(tmp_path)
    terminal.run('eval "$(make -s env)"')
    url = postgres.replace(f":{PASSWORD.replace(' ', '%20')}@", "@")
    example = {"postgres://pulumi@db.example:5432/pulumi": f"'{url}'", "PGPASSWORD=…": f"PGPASSWORD='{PASSWORD}'"}
    printed = terminal.documented("docs/environments.md", "Where the state lives", replace=example)
    assert "prod: " in printed
    assert "A new cluster" in printed
    assert "prod" in terminal.run("pulumi stack ls").stdout
    assert PASSWORD not in printed
