"""The steps run by a Python that has what they need, whichever `python3` comes first."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.interpreter import own
from tests.project import PROGRAM, ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The program in a path with a space, and in `bin` a python3 without libraries."""
    place = tmp_path / "a checkout"
    for name in PROGRAM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    (place / "bin").mkdir()
    (place / "bin/python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    (place / "bin/python3").chmod(0o755)
    return place


def step(checkout: Path, room: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A step's command as the provider runs it."""
    command = ["/bin/sh", "-c", f"python3 -m components.{room} --help"]
    variables = {"PATH": f"{checkout}/bin:/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, timeout=60, check=False)


STEPS = ("sealos", "istio", "dashboards")
COMMANDS = ("host_keys", "etcd", "tunnel")


@pytest.mark.parametrize("room", [*STEPS, *COMMANDS])
def test_a_step_or_command_is_handed_over_to_the_programs_own_python(room: str, checkout: Path) -> None:
    done = step(checkout, room, PULUMI_PYTHON_CMD=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python3 -m components.{room} " in done.stdout


def test_a_python_with_the_systems_older_pydantic_is_no_python_for_it(checkout: Path) -> None:
    """As Debian 12's python3-pydantic, which is 1.10."""
    (checkout / "old/pydantic").mkdir(parents=True)
    (checkout / "old/pydantic/__init__.py").write_text("VERSION = '1.10.4'\n")
    [said] = step(checkout, "sealos", PYTHONPATH=str(checkout / "old")).stderr.splitlines()
    assert "can't run this program" in said


@pytest.mark.parametrize("name", ["it's a $HOME", 'a "quoted" `place`', "ein Ordner ü"])
def test_a_checkout_of_any_name(name: str, checkout: Path) -> None:
    other = checkout.rename(checkout.with_name(name))
    (other / "bin/python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    done = step(other, "sealos", PULUMI_PYTHON_CMD=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")


def test_or_to_that_of_the_virtual_environment(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_PYTHON_CMD", raising=False)
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (checkout / ".venv/bin/python").chmod(0o755)
    assert step(checkout, "sealos").returncode == 0
    settings = checkout / "Pulumi.yaml"
    settings.write_text(settings.read_text().replace("runtime: python\n", "runtime:\n  name: python\n  options:\n    virtualenv: 'an env'\n"))
    assert own(checkout) is None
    (checkout / ".venv").rename(checkout / "an env")
    assert own(checkout) == str(checkout / "an env/bin/python")
    assert step(checkout, "sealos").returncode == 0


def test_without_one_it_says_so_and_once(checkout: Path) -> None:
    for environment in ({}, {"PULUMI_PYTHON_CMD": str(checkout / "bin/python3")}):
        done = step(checkout, "sealos", **environment)
        assert done.returncode == 1
        [said] = done.stderr.splitlines()
        assert "can't run this program: it takes Python 3.11 or later" in said


@pytest.mark.parametrize("known", [True, False])
def test_an_update_that_no_step_of_could_be_run_is_told_before_it_begins(known: bool, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an environment of Poetry's, of which only the program itself knows."""
    code = "import pulumi; pulumi.runtime.is_dry_run = lambda: False; from components import interpreter; interpreter.check()"
    variables = {"PATH": f"{checkout}/bin:/usr/bin:/bin"} | ({"PULUMI_PYTHON_CMD": sys.executable} if known else {})
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is known, done.stderr
    assert known or "RunError: no step of an update could be run: " in done.stderr
    assert known or "can't run this program: it takes Python 3.11 or later" in done.stderr


def test_any_python_can_read_what_hands_over() -> None:
    """Among them the 3.9 of macOS's command line tools."""
    packages = (f"{room}/{name}.py" for room in STEPS for name in ("__init__", "__main__"))
    for file in ("interpreter.py", "__init__.py", *packages, *(f"{command}.py" for command in COMMANDS)):
        ast.parse((ROOT / "components" / file).read_text(), feature_version=(3, 8))
