"""istioctl on the workstation: `make istioctl` run twice, and what a bash and a zsh then offer to who types and presses Tab."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from devtools import parts
from tests.documented import Terminal
from tests.project import ROOT

LIMIT = 30.0
"""Seconds in which a shell must answer; it takes about one."""

OWN = {".bashrc": "alias mine=true", ".zshrc": "bindkey -e\nalias mine=true"}


def make_istioctl(home: Path) -> None:
    terminal = Terminal(ROOT, {**os.environ, "HOME": str(home), "SEALOS_ISTIO_CACHE": str(parts.cache_root())})
    terminal.documented("docs/istio-lifecycle.md", "istioctl", replace={"/home/you": str(home)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder in which `make istioctl` ran."""
    home = tmp_path_factory.mktemp("home")
    for name, text in OWN.items():
        (home / name).write_text(text)
    make_istioctl(home)
    return home


def files(home: Path) -> dict[Path, tuple[int, bytes]]:
    ours = [*(home / name for name in OWN), *(home / ".local").rglob("*")]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in ours if path.is_file()}


def typed(shell: list[str], home: Path, keys: str, expected: str) -> str:
    """What an interactive shell shows after the keys, up to `expected` or until time is up."""
    environment = {"HOME": str(home), "PATH": f"{home}/.local/bin:/usr/bin:/bin", "TERM": "xterm", "PS1": "ready> "}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell, cwd=home, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        # a question of its own first: keys that come before the shell reads them are echoed by the terminal
        os.write(ours, b"echo let''s begin\n")
        shown = _until(ours, "lets begin")
        os.write(ours, keys.encode())
        return shown + _until(ours, expected)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _until(terminal: int, expected: str) -> str:
    shown, end = "", time.monotonic() + LIMIT
    while expected not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace").replace("\a", "")
    return shown


def test_made_again_nothing_changes(home: Path) -> None:
    before = files(home)
    for name, text in OWN.items():
        assert before[home / name][1].decode().startswith(f"{text}\n# >>> istioctl completion >>>\n")
    make_istioctl(home)
    assert files(home) == before


@pytest.mark.parametrize("shell", [["bash", "-i"], ["zsh", "-i"]], ids=["bash", "zsh"])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param("istioctl mani\t", "istioctl manifest", id="a command"),
        pytest.param("istioctl manifest gen\t", "istioctl manifest generate", id="a command's command"),
        pytest.param("istioctl manifest generate --filen\t", "--filename", id="a flag"),
    ],
)
def test_it_completes(home: Path, shell: list[str], keys: str, expected: str) -> None:
    shown = typed(shell, home, keys, expected)
    assert expected in shown, shown
    assert "command not found" not in shown
