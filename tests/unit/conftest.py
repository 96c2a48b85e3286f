"""A real OpenSSH server on loopback, for what dials."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from components.remote.models import Login, Machine

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class Server:
    """A running sshd: its port, its public host key, and a private key that it lets in, its process."""

    port: int
    host_key: str
    private_key: str
    key_file: Path
    pid: int

    def machine(self, **changes: object) -> Machine:
        return Machine.model_validate(
            {"name": "sealos01", "address": "127.0.0.1", "port": self.port, "hostKey": self.host_key} | changes
        )

    def login(self, **changes: object) -> Login:
        return Login.model_validate({"privateKey": self.private_key, "connectTimeout": 5} | changes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@contextmanager
def serving(home: Path, *lines: str, kind: str = "ssh-ed25519") -> Iterator[Server]:
    """An sshd with its files in `home`.

    Args:
        home: an empty folder.
        lines: more of its sshd_config.
        kind: of the key that it lets in.
    """
    if os.geteuid() != 0:
        pytest.skip("hosts are dialled as root, and an sshd that root did not start lets root in nowhere")
    host, user = home / "host_key", home / "id"
    for path, of in ((host, "ssh-ed25519"), (user, kind)):
        path.write_bytes(asyncssh.generate_private_key(of).export_private_key())
        path.chmod(0o600)
    (home / "authorized_keys").write_bytes(asyncssh.read_private_key(user).export_public_key())
    (home / "authorized_keys").chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = home / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {home}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nAllowTcpForwarding yes\nSubsystem sftp internal-sftp\n"
        + "".join(f"{line}\n" for line in lines)
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail(f"sshd did not start: {(home / 'log').read_text()}")
        public = asyncssh.read_private_key(host).export_public_key().decode().split()
        yield Server(port, f"{public[0]} {public[1]}", user.read_text(), user, daemon.pid)
    finally:
        daemon.terminate()
        daemon.wait(10)
