"""The install and remove scripts, run for real under another root with a play istioctl."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from components.istio.istioctl_driver import INSTALL, REMOVE
from devtools import workstation

PLAY = """#!/bin/sh
case "$1" in
  version) [ "$KUBECONFIG" = /dev/null ] || echo "warn Config not found: $KUBECONFIG"; echo {version};;
  collateral) while [ "$1" != -o ]; do shift; done; echo bash >"$2/istioctl.bash"; echo zsh >"$2/_istioctl";;
esac
"""


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.request = root / "request"
        for folder in ("root", "request"):
            (root / folder).mkdir()
        (root / "root/.bashrc").write_text("alias ll='ls -l'")  # no newline at the end, as people leave it
        self.ask("1.5.0")

    def ask(self, version: str, sha256: str = "") -> None:
        source = self.root / "root/istioctl"
        source.write_text(PLAY.format(version=version))
        for name, text in {
            "path": str(source),
            "version": "1.5.0",
            "sha256": sha256,
            "completion": "collateral",
        }.items():
            (self.request / name).write_text(text)

    def run(self, script: Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ROOT": str(self.root)}
        return subprocess.run(
            ["bash", str(script), str(self.request)], env=environment, capture_output=True, text=True, check=False
        )

    def files(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path.relative_to(self.root)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in self.root.rglob("*")
            if path.is_file() and "request" not in path.parts
        }


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_install_then_again_changes_nothing_then_remove_leaves_nothing(machine: Machine) -> None:
    before = machine.files()
    first = machine.run(INSTALL)
    assert first.returncode == 0, first.stderr
    binary = machine.root / "usr/local/bin/istioctl"
    assert stat.S_IMODE(binary.stat().st_mode) == 0o755
    assert (machine.root / "root/.bashrc").read_text().startswith("alias ll='ls -l'\n# >>>")
    assert "compinit" in (machine.root / "root/.zshrc").read_text()
    installed = machine.files()
    assert machine.run(INSTALL).returncode == 0
    assert machine.files() == installed
    assert machine.run(REMOVE).returncode == 0
    after = {name: content for name, (_, content) in machine.files().items()}
    assert after == {
        name: content + (b"\n" if name == "root/.bashrc" else b"") for name, (_, content) in before.items()
    }
    assert machine.run(REMOVE).returncode == 0


def test_a_file_that_was_there_stays_even_when_empty(machine: Machine) -> None:
    (machine.root / "root/.zshrc").touch()
    machine.run(INSTALL)
    machine.run(REMOVE)
    assert (machine.root / "root/.zshrc").read_text() == ""


def test_an_istioctl_of_somebody_else_is_left_alone(machine: Machine) -> None:
    other = machine.root / "usr/local/bin/istioctl"
    other.parent.mkdir(parents=True)
    other.write_text("somebody else's")
    done = machine.run(INSTALL)
    assert done.returncode == 1
    assert "move it away" in done.stderr
    assert machine.run(REMOVE).returncode == 0
    assert other.read_text() == "somebody else's"


def test_an_upgraded_istioctl_of_somebody_else_is_not_removed(machine: Machine) -> None:
    machine.run(INSTALL)
    binary = machine.root / "usr/local/bin/istioctl"
    binary.write_text("changed by hand")
    done = machine.run(REMOVE)
    assert done.returncode == 0
    assert "left" in done.stderr
    assert binary.exists()


def test_the_wrong_version_is_refused(machine: Machine) -> None:
    machine.ask("1.6.0")
    done = machine.run(INSTALL)
    assert done.returncode == 1
    assert "is istioctl 1.6.0, but istio.version is 1.5.0" in done.stderr
    assert not (machine.root / "usr").exists()


def test_the_wrong_checksum_is_refused_before_anything_runs(machine: Machine) -> None:
    machine.ask("1.5.0", sha256=hashlib.sha256(b"other").hexdigest())
    assert "istio.istioctl.sha256" in machine.run(INSTALL).stderr
    assert not (machine.root / "usr").exists()


def test_a_missing_file_says_what_to_do(machine: Machine) -> None:
    (machine.root / "root/istioctl").unlink()
    done = machine.run(INSTALL)
    assert done.returncode == 1
    assert "istio.istioctl.path" in done.stderr


def test_on_a_workstation_it_goes_to_the_users_own_place_once(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    home.mkdir()
    (home / ".bashrc").write_text("mine")
    binary = tmp_path / "istioctl"
    binary.write_text(PLAY.format(version="1.5.0"))
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    assert workstation.install_istioctl(binary, environment) == 0
    first = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert workstation.install_istioctl(binary, environment) == 0
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == first
    assert (home / ".local/bin/istioctl").stat().st_mode & 0o777 == 0o755
    rc = (home / ".bashrc").read_text()
    assert rc.startswith("mine\n# >>> istioctl completion >>>\n")
    (home / ".local/share/istioctl/istioctl.bash").write_text("echo completion was read")
    block = rc.removeprefix("mine\n")
    for package, expected in (("_get_comp_words_by_ref() { :; }", "completion was read\n"), ("", "")):
        text = f"{package}\n{block}".replace("/usr/share/bash-completion", "/nonexistent")
        done = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (expected, "")
    assert (home / ".zshrc").read_text().count("istioctl completion >>>") == 1


FULL = """
mount -t tmpfs -o size=16k disk "$1/root"
printf '%s' "$2" >"$1/root/.bashrc"
head -c 100k /dev/zero >"$1/root/filler" 2>/dev/null
bash "$3" "$1/request"
status=$?
cat "$1/root/.bashrc" >"$1/bashrc"
exit $status
"""


@pytest.mark.parametrize(
    ("script", "rc"),
    [(INSTALL, "mine\n" * 20), (REMOVE, "mine\n# >>> istioctl completion >>>\nx\n# <<< istioctl completion <<<\n")],
    ids=["install", "remove"],
)
def test_a_full_disk_leaves_the_users_own_files_whole(machine: Machine, script: Path, rc: str) -> None:
    binary = machine.root.parent / "istioctl"
    binary.write_text(PLAY.format(version="1.5.0"))
    binary.chmod(0o755)
    (machine.request / "path").write_text(str(binary))
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", FULL, "full", str(machine.root), rc, str(script)],
        env={**os.environ, "ROOT": str(machine.root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "/root/.bashrc could not be written (No space left on device); it stays as it was" in done.stderr
    assert (machine.root / "bashrc").read_text() == rc
