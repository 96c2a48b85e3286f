"""devtools/doctor.py and the search for Go: what is missing, what is installed without being asked for, and what is said of the rest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import doctor, golang, parts
from devtools.__main__ import Purpose
from devtools.doctor import Package
from lab import cgroups

THERE = Package("there", "preview", "to be found", ("sh",))
ABSENT = Package("its-package", "preview", "for this test", ("no-such-program", "sh", "nor-this"))
BY_FILE = Package("by-file", "test", "to be read", files=("/no/such/file", "/nor/*/this"))

Program = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes programs of a few lines of shell."""

    def make(path: str, script: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    return make


@pytest.fixture
def debian(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with root on which only `its-package` is missing, and whose apt-get notes how it was called and installs it."""
    bin_folder = tmp_path / "bin"
    calls = tmp_path / "calls"
    program(
        "bin/apt-get",
        f"""echo "$DEBIAN_FRONTEND $RUNLEVEL $SYSTEMD_OFFLINE $*" >>{calls}
for last; do :; done
case $last in
update) echo "one source is broken"; exit 100;;
its-package) printf '#!/bin/sh\\n' >{bin_folder}/no-such-program; chmod +x {bin_folder}/no-such-program;;
*) echo "E: Unable to locate package $last"; exit 100;;
esac""",
    )
    calls.touch()
    needed = Package("its-package", "preview", "for this test", ("no-such-program",))
    monkeypatch.setattr(doctor, "PACKAGES", (THERE, needed))
    monkeypatch.setattr(doctor, "SYSTEM_PATH", str(bin_folder))
    (tmp_path / "instances").write_text("512\n")
    monkeypatch.setattr(doctor, "INOTIFY", tmp_path / "instances")
    monkeypatch.setattr(doctor, "check_building", lambda purpose: [])
    monkeypatch.setattr(doctor, "check_lab", list)
    monkeypatch.setattr(cgroups, "mount", list)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEPS", raising=False)
    return calls


class TestPackages:
    def test_a_package_is_missing_when_any_program_of_it_is(self) -> None:
        assert doctor.absent(THERE) == []
        assert doctor.absent(ABSENT) == ["no-such-program", "nor-this"]

    def test_a_package_known_by_files_is_there_with_one_of_them(self, tmp_path: Path) -> None:
        assert doctor.absent(BY_FILE) == ["by-file"]
        (tmp_path / "15").mkdir()
        (tmp_path / "15" / "initdb").touch()
        assert doctor.absent(BY_FILE._replace(files=("/no/such/file", f"{tmp_path}/*/initdb"))) == []

    def test_the_machines_of_the_lab_see_no_program_outside_usr(
        self, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = program("elsewhere/only-here", "true")
        monkeypatch.setenv("PATH", f"{found.parent}:{os.environ['PATH']}")
        assert doctor.absent(Package("p", "test", "", ("only-here",))) == []
        assert doctor.absent(Package("p", "up", "", ("only-here",))) == ["only-here"]

    def test_a_purpose_needs_what_those_before_it_need(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lacking = [ABSENT, ABSENT._replace(name="of-up", purpose="up"), BY_FILE]
        monkeypatch.setattr(doctor, "PACKAGES", (THERE, *lacking))
        names = {purpose: [p.name for p in doctor.missing(doctor.up_to(purpose))] for purpose in doctor.PURPOSES}
        assert names == {
            "preview": ["its-package"],
            "tools": ["its-package"],
            "test-fast": ["its-package"],
            "up": ["its-package", "of-up"],
            "test": ["its-package", "of-up", "by-file"],
        }

    def test_the_table_has_each_package_once_with_a_use_and_something_to_know_it_by(self) -> None:
        names = [package.name for package in doctor.PACKAGES]
        assert len(set(names)) == len(names)
        for package in doctor.PACKAGES:
            assert package.purpose in doctor.PURPOSES
            assert package.use
            assert bool(package.programs) != bool(package.files), package.name

    def test_the_command_line_knows_every_purpose(self) -> None:
        assert {purpose.value for purpose in Purpose} == set(doctor.PURPOSES)


class TestBringing:
    def test_a_missing_package_is_named_and_installed(self, debian: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert doctor.diagnosis("up") is None
        assert capsys.readouterr().err == (
            "Installing the Debian packages that are missing (DEPS=no only names them):\n  its-package  for this test\n"
        )
        update, install = debian.read_text().splitlines()
        # nobody is asked anything, no service is started, and a source that can't be read is no reason to give up
        assert update.startswith("noninteractive 1 1 -y ")
        assert update.endswith(" update")
        assert install.endswith(" install --no-install-recommends its-package")
        assert doctor.diagnosis("up") is None
        assert len(debian.read_text().splitlines()) == 2

    def test_deps_no_only_names_them(
        self, debian: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("DEPS", "no")
        assert doctor.main(["up"]) == 1
        assert (
            "not installed: no-such-program (for this test). Fix: apt-get install its-package"
            in capsys.readouterr().err
        )
        assert debian.read_text() == ""

    def test_what_the_kernel_gives_is_brought_for_the_lab_alone_and_said(
        self, debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(doctor, "PACKAGES", (THERE,))
        monkeypatch.setattr(cgroups, "mount", lambda: ["cpu", "memory"])
        limit = tmp_path / "instances"
        limit.write_text("128\n")
        assert doctor.diagnosis("tools") is None
        assert (capsys.readouterr().err, limit.read_text()) == ("", "128\n")
        assert doctor.diagnosis("up") is None
        said = capsys.readouterr().err
        assert "missing for the lab: cpu, memory" in said
        assert "Raised fs.inotify.max_user_instances from 128 to 512" in said
        assert limit.read_text() == "512\n"
        limit.write_text("128\n")
        monkeypatch.setenv("DEPS", "no")
        assert doctor.diagnosis("up") is None
        assert (capsys.readouterr().err, limit.read_text()) == ("", "128\n")

    def test_a_package_that_cannot_be_installed_is_said_with_apts_words(
        self, debian: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doctor, "PACKAGES", (ABSENT._replace(name="unknown"),))
        said = doctor.diagnosis("tools")
        assert said is not None
        assert "install --no-install-recommends unknown` ended with status 100. The end of " in said
        assert "E: Unable to locate package unknown" in said
        assert "Fix: apt-get install unknown" in said

    def test_without_root_nothing_is_tried_and_what_works_all_the_same_is_named(
        self, debian: Path, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        said = doctor.diagnosis("up")
        assert said is not None
        assert said.startswith("Before this can work, 2 things have to be put right:\n  - not root")
        assert "apt-get install its-package" in said
        needs = "`make preview` and `make check` (with its-package); `make test-fast` (with its-package)."
        assert said.endswith(f"Without root and the lab these work: {needs}")
        program("bin/no-such-program", "true")
        said = doctor.diagnosis("up")
        assert said is not None
        assert "one thing has" in said
        assert said.endswith("these work: `make preview` and `make check`; `make test-fast`.")
        assert doctor.diagnosis("tools") is None
        assert doctor.diagnosis("test-fast") is None
        assert debian.read_text() == ""

    def test_a_system_without_apt_is_told_what_to_look_for(self, debian: Path, tmp_path: Path) -> None:
        (tmp_path / "bin" / "apt-get").rename(tmp_path / "apt-get")
        said = doctor.diagnosis("tools")
        assert said is not None
        assert "Fix: install what Debian has in its package its-package" in said

    def test_nothing_is_installed_where_nothing_would_help(self, debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "riscv64")
        said = doctor.diagnosis("tools")
        assert said is not None
        assert "this is linux on riscv64" in said
        assert debian.read_text() == ""


class TestFindings:
    def test_each_finding_has_a_cause_and_a_fix(self) -> None:
        found = [
            *doctor.check_platform("darwin", "arm64"),
            *doctor.check_python((3, 9, 2)),
            *doctor.check_root(1000),
            *doctor.check_packages([ABSENT], apt=True),
            *doctor.check_packages([ABSENT], apt=False),
            *doctor.check_disk({"/var/cache": 3.25}),
        ]
        assert len(found) == 6
        assert all(". Fix: " in line for line in found)
        said = doctor.report(found)
        assert said.startswith("Before this can work, 6 things have to be put right:\n  - this is darwin on arm64")
        assert "not installed: no-such-program, nor-this (for this test). Fix: apt-get install its-package" in said
        assert "3.2 GiB are free at /var/cache, a first build takes 15" in said

    def test_a_good_machine_has_no_findings(self) -> None:
        assert not doctor.check_platform("linux", "x86_64")
        assert not doctor.check_python((3, 13, 0))
        assert not doctor.check_root(0)
        assert not doctor.check_packages([], apt=True)
        assert not doctor.check_disk({"/var/cache": 15.0})

    def test_one_disk_counts_once(self, tmp_path: Path) -> None:
        free = doctor.free_space([tmp_path / "not" / "there", tmp_path])
        assert list(free) == [str(tmp_path / "not" / "there")]

    def test_it_runs_on_a_bare_python(self) -> None:
        """Before .venv there is only the standard library: -S -I hide what is installed."""
        code = "import sys; sys.path.insert(0, sys.argv[1]); from devtools import doctor; print(len(doctor.findings('up')) >= 0)"
        answer = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, str(parts.ROOT)], capture_output=True, text=True, check=False
        )
        assert (answer.stdout, answer.returncode) == ("True\n", 0), answer.stderr


class TestGo:
    @pytest.fixture
    def go(self, program: Program) -> Program:
        def make(path: str, version: str) -> Path:
            return program(path, f'[ "$GOTOOLCHAIN" = local ] && [ -z "$GOROOT" ] && echo {version} && echo amd64')

        return make

    @pytest.fixture(autouse=True)
    def _alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A checkout and a Python environment of the test's own."""
        monkeypatch.setattr(golang, "ROOT", tmp_path / "checkout")
        monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages")])
        monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
        monkeypatch.setenv("GOROOT", "/another")

    @pytest.mark.parametrize(
        ("on_path", "taken"),
        [
            (["go1.26.8"], "first"),
            (["go1.27rc1"], "first"),
            (["go1.19.8"], "wheel"),
            (["go1.19.8", "go1.26.0"], "second"),
            ([], "wheel"),
        ],
    )
    def test_one_that_is_new_enough_goes_before_the_wheels(
        self, tmp_path: Path, go: Program, on_path: list[str], taken: str
    ) -> None:
        places = {"wheel": go("site-packages/go/bin/go", "go1.27.3")}
        for name, version in zip(("first", "second"), on_path, strict=False):
            places[name] = go(f"{name}/go", version)
        path = f"{tmp_path}/first:{tmp_path}/second"
        programs = [found for found in golang.candidates(path) if found.is_relative_to(tmp_path)]
        assert golang.find(programs)[0] == places[taken]

    def test_the_wheel_is_found_by_a_python_outside_its_environment(self, tmp_path: Path, go: Program) -> None:
        wheel = go("checkout/.venv/lib/python3.13/site-packages/go/bin/go", "go1.27.3")
        assert wheel in golang.candidates("")

    def test_a_virtual_environments_starter_is_no_go_of_the_machine(self, tmp_path: Path, go: Program) -> None:
        ours = {go("checkout/.venv/bin/go", "go1.27.3"), go("venv/bin/go", "go1.27.3")}
        path = f"{tmp_path}/checkout/.venv/bin:{tmp_path}/venv/bin"
        assert not ours.intersection(golang.candidates(path))

    def test_none_that_is_new_enough_is_said_with_those_there_are(self, go: Program, program: Program) -> None:
        old, broken = go("old/go", "go1.19.8"), program("broken/go", "echo 'no such library' >&2; exit 2")
        said = (
            rf"Go 1\.26 or later is missing \({re.escape(str(old))} is go1\.19\.8; "
            rf"{re.escape(str(broken))} does not work: no such library\)\. Fix: `make venv`"
        )
        with pytest.raises(golang.ToolMissing, match=said):
            golang.find([old, broken])
