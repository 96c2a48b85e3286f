"""devtools/: keys of builds, how they get into the cache, which engine is taken, and locks of runs that died."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from devtools import builder, engine, golang, modules, parts, stack
from devtools.__main__ import Only
from devtools.golang import ToolMissing
from devtools.modules import Module
from devtools.parts import Check, Part


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a fixed Go, so that no Go is needed."""
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(golang, "facts", lambda: ("go1.26.8", "amd64"))
    return tmp_path / "cache"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the test's own."""
    root = tmp_path / "checkout"
    (root / "toolchain").mkdir(parents=True)
    monkeypatch.setattr(parts, "ROOT", root)
    return root


def make_part(checkout: Path, script: str, expected: str = "v1") -> Part:
    """A part whose build.sh is `script`, and whose binary `thing` must print `expected`."""
    folder = checkout / "toolchain" / "thing"
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("module thing\n")
    (folder / "build.sh").write_text(script)
    module = Module("thing", "toolchain/thing")
    return Part("thing", "The thing 1", ("thing",), 5, "lab", module, (Check("thing", ("version",), expected),))


def wait_for_end(pid: int) -> None:
    """Fails when a build's own process outlives it."""
    deadline = time.monotonic() + 60
    while stack.started(pid) is not None:
        assert time.monotonic() < deadline, "the build's own process outlived it"
        time.sleep(0.02)


PRINTS_V1 = """printf '#!/bin/sh\\necho v1\\n' >"$1/thing"; chmod +x "$1/thing"; """


class TestKeys:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "part"
        (folder / "cmd").mkdir(parents=True)
        (folder / "go.mod").write_text("module part\n")
        (folder / "cmd" / "main.go").write_text("package main\n")
        return folder

    def key(self, folder: Path, go: str = "go1.26.8", processor: str = "amd64", others: Collection[str] = ()) -> str:
        return modules.key_of(Module("part", "part").files(folder.parent), go, processor, others)

    def test_same_files_give_the_same_key(self, folder: Path) -> None:
        first = self.key(folder)
        (folder / "cmd" / "main.go").touch()
        assert self.key(folder) == first

    def test_every_input_changes_the_key(self, folder: Path) -> None:
        seen = [self.key(folder), self.key(folder, go="go1.27.0"), self.key(folder, processor="arm64")]
        (folder / "cmd" / "main.go").write_text("package main // changed\n")
        seen.append(self.key(folder))
        (folder / "go.sum").write_text("")
        seen.append(self.key(folder))
        (folder / "go.sum").chmod(0o755)
        seen.append(self.key(folder))
        (folder / "cmd" / "main.go").rename(folder / "main.go")
        seen.append(self.key(folder))
        assert len(set(seen)) == len(seen)

    def test_tests_readme_and_hidden_files_do_not(self, folder: Path) -> None:
        first = self.key(folder)
        (folder / "cmd" / "main_test.go").write_text("package main\n")
        (folder / "README.md").write_text("words\n")
        (folder / ".golangci.yaml").write_text("")
        (folder / "testdata").mkdir()
        (folder / "testdata" / "in.json").write_text("{}")
        assert self.key(folder) == first

    def test_content_moved_between_files_changes_the_key(self, folder: Path) -> None:
        (folder / "a").write_text("xy")
        (folder / "b").write_text("")
        first = self.key(folder)
        (folder / "a").write_text("x")
        (folder / "b").write_text("y")
        assert self.key(folder) != first

    def test_what_belongs_to_another_part_of_the_module_does_not_count(self, folder: Path) -> None:
        first = self.key(folder, others={"other"})
        (folder / "other").mkdir()
        (folder / "other" / "main.go").write_text("package main\n")
        assert self.key(folder, others={"other"}) == first
        assert self.key(folder) != first


class TestShared:
    """What modules of one kind have from beside them, or from the table of releases."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "kind" / "modules" / "1.2").mkdir(parents=True)
        (tmp_path / "kind" / "modules" / "1.2" / "go.mod").write_text("module m\n")
        (tmp_path / "kind" / "kube").mkdir()
        (tmp_path / "kind" / "kube" / "main.go").write_text("package main\n")
        (tmp_path / "kind" / "build.sh").write_text("true\n")
        (tmp_path / "kind" / "build.sh").chmod(0o755)
        return tmp_path

    def module(self, root: Path, version: bytes = b"1.2.3\n") -> Module:
        return Module("m-1.2", "kind/modules/1.2", {**modules.shared(root, "kind"), "VERSION": version})

    def test_a_build_has_all_of_it_in_one_folder(self, root: Path) -> None:
        self.module(root).copy(root, root / "copy")
        copied = {file.relative_to(root / "copy").as_posix(): file.read_text() for file in (root / "copy").rglob("*.*")}
        assert copied == {"go.mod": "module m\n", "build.sh": "true\n", "kube/main.go": "package main\n"}
        assert (root / "copy" / "VERSION").read_text() == "1.2.3\n"
        assert os.access(root / "copy" / "build.sh", os.X_OK)

    def test_the_key_is_that_of_the_folder_which_the_build_has(self, root: Path) -> None:
        module = self.module(root)
        module.copy(root, root / "copy")
        whole = modules.key_of(Module("m", "copy").files(root), "go1.26.8", "amd64")
        assert modules.key_of(module.files(root), "go1.26.8", "amd64") == whole
        assert modules.key_of(self.module(root, b"1.2.4\n").files(root), "go1.26.8", "amd64") != whole
        (root / "kind" / "kube" / "main.go").write_text("package main // changed\n")
        assert modules.key_of(module.files(root), "go1.26.8", "amd64") != whole


class TestTable:
    def test_every_part_is_a_pinned_module(self) -> None:
        for part in parts.PARTS:
            pins = (part.folder / "go.mod").read_text()
            assert (part.folder / "go.sum").is_file() == ("require" in pins), part.name

    def test_names_are_unique(self) -> None:
        binaries = [name for part in parts.PARTS for name in part.binaries]
        assert len(set(binaries)) == len(binaries)

    def test_every_use_of_parts_is_known_to_the_command_that_builds(self) -> None:
        assert {part.used_for for part in parts.PARTS} == {only.value for only in Only}

    def test_versions_are_those_of_the_requirements(self) -> None:
        pins = dict(
            line.split()[0].split("==")
            for line in (parts.ROOT / "requirements.txt").read_text().splitlines()
            if "==" in line and not line.startswith((" ", "#"))
        )
        assert engine.COMMAND.version == pins["pulumi-command"]
        assert engine.KUBERNETES.version == pins["pulumi-kubernetes"]
        assert parts.part("pulumi").checks[0].expected == "v" + pins["pulumi"]

    def test_our_command_provider_is_built_with_the_cli_s_versions(self) -> None:
        """So that the engine speaks with its own SDK, and what both need is compiled once."""
        engine_s, ours = (
            dict(re.findall(r"^\t(\S+) (v\S+)", (parts.part(name).folder / "go.mod").read_text(), re.MULTILINE))
            for name in ("pulumi", "pulumi-resource-command")
        )
        assert "github.com/pulumi/pulumi/sdk/v3" in ours
        assert {name: version for name, version in ours.items() if engine_s.get(name, version) != version} == {}

    def test_requirements_name_no_place_to_download_from(self) -> None:
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-go.txt"):
            text = (parts.ROOT / name).read_text()
            assert "--hash=sha256:" in text
            assert not [
                word
                for word in ("http", "--index-url", "--extra-index-url", "--find-links", "--trusted-host")
                if word in text.replace("--no-emit-index-url", "").replace("--no-emit-find-links", "")
            ]

    def test_an_unknown_binary_is_named_with_those_there_are(self) -> None:
        with pytest.raises(ToolMissing, match=r"no binary 'kubctl'.*kubectl"):
            parts.binary("kubctl")

    @pytest.mark.usefixtures("cache")
    def test_a_binary_that_is_not_built_names_the_fix(self) -> None:
        with pytest.raises(ToolMissing, match=r"coredns is not built.*make tools"):
            parts.binary("coredns")

    def test_etcd_comes_from_the_wheel(self) -> None:
        answer = subprocess.run([parts.binary("etcd"), "--version"], capture_output=True, text=True, check=True)
        assert "etcd Version: 3.5.1" in answer.stdout

    @pytest.mark.parametrize(
        ("text", "version"),
        [("go1.26.8", (1, 26)), ("go1.27rc1", (1, 27)), ("go1.26", (1, 26)), ("devel +abc", (0, 0)), ("", (0, 0))],
    )
    def test_go_versions(self, text: str, version: tuple[int, int]) -> None:
        assert golang.version_of(text) == version


class TestTidy:
    def part(self, checkout: Path, uses: str) -> Part:
        """A module of its own pins, whose program is beside it, and which names a module that nobody asks a registry for."""
        (checkout / "toolchain" / "thing" / "modules" / "1").mkdir(parents=True)
        (checkout / "toolchain" / "other").mkdir()
        (checkout / "toolchain" / "other" / "go.mod").write_text("module example.org/other\n\ngo 1.22\n")
        (checkout / "toolchain" / "other" / "other.go").write_text("package other\n")
        (checkout / "toolchain" / "thing" / "main.go").write_text(f'package main\n\nimport _ "{uses}"\n\nfunc main() {{}}\n')
        replaced = f"replace example.org/other => {checkout}/toolchain/other\n"
        (checkout / "toolchain" / "thing" / "modules" / "1" / "go.mod").write_text(f"module thing\n\ngo 1.22\n\n{replaced}")
        module = Module("thing", "toolchain/thing/modules/1", modules.shared(checkout, "toolchain/thing"))
        return Part("thing", "The thing 1", ("thing",), 5, "lab", module)

    def test_what_the_shared_program_needs_comes_into_the_modules_pins(self, checkout: Path) -> None:
        part = self.part(checkout, "example.org/other")
        builder.tidy(part)
        assert "require example.org/other v0.0.0-" in (part.folder / "go.mod").read_text()
        assert [file.name for file in part.folder.iterdir()] == ["go.mod"]

    def test_gos_own_words_are_told_and_nothing_is_changed(self, checkout: Path) -> None:
        part = self.part(checkout, "example.org/other/absent")
        before = (part.folder / "go.mod").read_text()
        with pytest.raises(builder.BuildFailed, match=r"(?s)`go mod tidy` of thing ended with status 1: .*other/absent"):
            builder.tidy(part)
        assert (part.folder / "go.mod").read_text() == before


@pytest.mark.usefixtures("cache")
class TestBuilding:
    def build(self, part: Part) -> tuple[Path, str]:
        said = io.StringIO()
        builder.build_all([part], Console(file=said, width=200))
        return parts.directory(part), said.getvalue()

    def test_once_with_progress_then_from_the_cache(self, checkout: Path) -> None:
        part = make_part(checkout, PRINTS_V1)
        folder, said = self.build(part)
        assert said.startswith("[1/1] The thing 1 (usually 5 s)\n      The thing 1: done in ")
        assert (folder / "thing").is_file()
        assert self.build(part) == (folder, "")
        assert parts.is_built(part)

    def test_parts_of_one_module_are_built_together_and_found_apart(self, checkout: Path, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        one = make_part(
            checkout, f"""echo "$@" >>{runs}; for name in "${{@:2}}"; do touch "$1/$name"; chmod +x "$1/$name"; done"""
        )
        one = replace(one, checks=())
        other = replace(one, name="other", binaries=("other",))
        builder.build_all([one, other], Console(file=io.StringIO()))
        [run] = runs.read_text().splitlines()
        assert run.split()[1:] == ["thing", "other"]
        assert [sorted(file.name for file in parts.directory(part).iterdir()) for part in (one, other)] == [
            ["thing"],
            ["other"],
        ]

    def test_when_one_fails_the_other_is_ended(self, checkout: Path, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        long = replace(make_part(checkout, f"sleep 60 & echo $! >{pid}; wait"), seconds=500)
        folder = checkout / "toolchain" / "broken"
        folder.mkdir()
        (folder / "go.mod").write_text("module broken\n")
        (folder / "build.sh").write_text(f"until test -s {pid}; do sleep 0.01; done; exit 7")
        module = Module("broken", "toolchain/broken")
        broken = replace(long, name="broken", title="The broken 1", seconds=1, module=module)
        with pytest.raises(builder.BuildFailed, match=r"(?s)The broken 1 was not built.*status 7"):
            builder.build_all([broken, long], Console(file=io.StringIO()))
        wait_for_end(int(pid.read_text()))
        assert not parts.is_built(long)

    def test_a_failed_build_leaves_nothing_and_shows_its_log(self, checkout: Path, cache: Path) -> None:
        part = make_part(checkout, PRINTS_V1 + "echo no such package >&2; exit 3")
        with pytest.raises(builder.BuildFailed, match=r"(?s)status 3.*no such package"):
            self.build(part)
        assert not parts.is_built(part)
        assert sorted(path.name for path in cache.iterdir()) == ["locks", "logs"]

    def test_another_version_is_refused(self, checkout: Path) -> None:
        part = make_part(checkout, PRINTS_V1, expected="v2")
        with pytest.raises(builder.BuildFailed, match="should print 'v2', but printed 'v1'"):
            self.build(part)
        assert not parts.is_built(part)

    def test_a_binary_that_was_not_made_is_named(self, checkout: Path) -> None:
        with pytest.raises(builder.BuildFailed, match="thing is missing"):
            self.build(make_part(checkout, "true"))

    def test_two_at_once_build_once(self, checkout: Path, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        part = make_part(checkout, f"echo run >>{runs}; sleep 0.3; {PRINTS_V1}")
        threads = [threading.Thread(target=self.build, args=(part,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert runs.read_text() == "run\n"

    def test_what_a_killed_build_left_is_cleared(self, checkout: Path, cache: Path) -> None:
        part = make_part(checkout, PRINTS_V1)
        (cache / ".thing.abc" / "source").mkdir(parents=True)
        self.build(part)
        assert not list(cache.glob(".thing.*"))

    def test_ctrl_c_ends_what_the_build_started(
        self, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pid = tmp_path / "pid"
        part = make_part(checkout, f"sleep 60 & echo $! >{pid}; wait")

        def interrupted(process: subprocess.Popen[bytes], seconds: float) -> int | None:
            while not pid.is_file() or not pid.read_text():
                time.sleep(0.01)
            raise KeyboardInterrupt

        monkeypatch.setattr(builder, "_poll", interrupted)
        with pytest.raises(KeyboardInterrupt):
            self.build(part)
        wait_for_end(int(pid.read_text()))
        assert not parts.is_built(part)

    def test_the_sources_are_not_written_to(self, checkout: Path) -> None:
        part = make_part(checkout, "echo x >made-here; " + PRINTS_V1)
        self.build(part)
        assert sorted(path.name for path in part.folder.iterdir()) == ["build.sh", "go.mod"]

    def test_only_the_newest_builds_stay(self, checkout: Path) -> None:
        for number in range(builder.KEEP + 2):
            last, _ = self.build(make_part(checkout, f"{PRINTS_V1} # {number}"))
        builds = list(last.parent.parent.iterdir())
        assert len(builds) == builder.KEEP
        assert last.parent in builds

    def test_a_module_without_script_is_one_go_build_per_binary(self, checkout: Path, tmp_path: Path) -> None:
        part = make_part(checkout, "")
        (part.folder / "build.sh").unlink()
        (part.folder / "cmd" / "thing").mkdir(parents=True)
        (part.folder / "cmd" / "thing" / "main.go").write_text("package main\n")
        assert builder.commands([part], tmp_path) == [
            ["go", "build", "-ldflags", "-s -w", "-o", str(tmp_path / "thing"), "./cmd/thing"]
        ]

    def test_the_users_go_settings_do_not_decide(self) -> None:
        made = builder.build_environment(
            {"GOFLAGS": "-mod=mod", "GONOSUMDB": "example.org", "GOPROXY": "https://proxy.example", "PATH": "/bin"}
        )
        assert "-mod=readonly" in made["GOFLAGS"].split()
        assert "-mod=mod" not in made["GOFLAGS"].split()
        assert made["GONOSUMDB"] == "example.org,github.com/pulumi/*"
        assert made["GOPROXY"] == "https://proxy.example"


class TestEngine:
    def fake(self, folder: Path, version: str, *, host: bool = True) -> Path:
        folder.mkdir(parents=True)
        program = folder / "pulumi"
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
        if host:
            (folder / "pulumi-language-python").touch()
        return program

    @pytest.mark.parametrize(
        ("version", "host", "taken"),
        [
            ("v3.220.0", True, True),
            ("v3.300.1", True, True),
            ("v3.219.9", True, False),
            ("v3.220.0", False, False),
            ("oops", True, False),
        ],
    )
    @pytest.mark.usefixtures("cache")
    def test_a_real_pulumi_must_be_recent_and_have_its_language_host(
        self, tmp_path: Path, version: str, host: bool, taken: bool
    ) -> None:
        program = self.fake(tmp_path / "bin", version, host=host)
        found = engine.real_pulumi({"PATH": f"/nowhere:{tmp_path / 'bin'}:/bin"})
        assert found == (program if taken else None)

    def test_our_own_pulumi_on_path_is_not_taken_for_the_users(self, cache: Path) -> None:
        self.fake(cache / "engine" / "key" / "bin", "v3.220.0")
        assert engine.real_pulumi({"PATH": str(cache / "engine" / "key" / "bin")}) is None

    def test_our_own_home_is_not_taken_for_the_users(self, cache: Path) -> None:
        assert engine.users_home({"PULUMI_HOME": str(cache / "home" / "x")}) == Path.home() / ".pulumi"
        assert engine.users_home({"PULUMI_HOME": "/opt/pulumi-home"}) == Path("/opt/pulumi-home")

    @pytest.mark.usefixtures("cache")
    def test_all_real_leaves_the_users_home_alone(self, tmp_path: Path, checkout: Path) -> None:
        self.fake(tmp_path / "bin", "v3.220.0")
        for plugin in engine.PLUGINS:
            (tmp_path / "home" / "plugins" / plugin.folder).mkdir(parents=True)
        ambient = {
            "PATH": f"{tmp_path / 'bin'}:/bin",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "mine",
        }
        found = engine.present(ambient)
        assert (found.built, found.home, found.built_plugins) == (False, None, ())
        assert engine.missing_parts(ambient) == []
        made = engine.variables(found, ambient)
        assert made.pop("PATH") == f"{checkout}/.venv/bin:{tmp_path / 'bin'}:/bin"
        assert set(made) == {"PULUMI_BACKEND_URL", "PULUMI_PYTHON_CMD", "PULUMI_SKIP_UPDATE_CHECK"}

    @pytest.mark.usefixtures("cache")
    def test_what_is_missing_is_said_with_the_fix(self) -> None:
        with pytest.raises(ToolMissing, match=r"the CLI, its plugin command, its plugin kubernetes.*make tools"):
            engine.present({"PATH": "/nowhere"})

    @pytest.mark.usefixtures("checkout")
    def test_a_built_engine_says_that_its_command_provider_is_a_stand_in(self, tmp_path: Path) -> None:
        own = engine.Engine(
            tmp_path / "bin" / "pulumi", built=True, home=tmp_path / "home", built_plugins=("command", "kubernetes")
        )
        made = engine.variables(own, {"PATH": "/bin"})
        assert made["SEALOS_ISTIO_COMMAND_STANDIN"] == "lab"
        assert made["PULUMI_HOME"] == str(tmp_path / "home")
        assert made["PULUMI_CONFIG_PASSPHRASE"] == "lab"
        real_command = engine.Engine(own.pulumi, built=True, home=own.home, built_plugins=("kubernetes",))
        assert "SEALOS_ISTIO_COMMAND_STANDIN" not in engine.variables(real_command, {"PATH": "/bin"})

    def test_path_has_each_folder_once(self) -> None:
        once = engine.path_with(["/a", "/b"], "/usr/bin:/b:/bin")
        assert once == "/a:/b:/usr/bin:/bin"
        assert engine.path_with(["/a", "/b"], once) == once

    @pytest.mark.parametrize(("age", "again"), [(0, False), (3600, False), (86399, False), (86401, True), (-10, True)])
    def test_a_refused_download_is_remembered_for_a_day(self, age: float, again: bool) -> None:
        now = 1_800_000_000.0
        assert engine.tried_lately(now - age, now) is not again

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("v3.220.0\n", (3, 220, 0)),
            ("v3.221.0-alpha.x1b2", (3, 221, 0)),
            ("3.230.1+dirty", (3, 230, 1)),
            ("", (0, 0, 0)),
        ],
    )
    def test_versions(self, text: str, version: tuple[int, int, int]) -> None:
        assert engine.version_of(text) == version


class TestLocks:
    NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)

    def lock(self, host: str = "here") -> stack.Lock:
        return stack.Lock(Path("x.json"), 4711, host, "root", self.NOW)

    @pytest.mark.parametrize(
        ("host", "began", "dead"),
        [
            ("here", None, True),  # no such process
            ("here", -60.0, False),  # it runs, and did before it took the lock
            ("here", +60.0, True),  # its number went to a later process
            ("there", None, False),  # nobody here can know
        ],
    )
    def test_only_an_owner_that_is_certainly_gone_is_dead(self, host: str, began: float | None, dead: bool) -> None:
        start = None if began is None else self.NOW.timestamp() + began
        assert stack.owner_is_dead(self.lock(host), "here", start) is dead

    def test_locks_are_read_as_pulumi_writes_them(self, tmp_path: Path) -> None:
        folder = tmp_path / ".pulumi" / "locks" / "organization" / "sealos-istio" / "dev"
        folder.mkdir(parents=True)
        content = {"pid": 18241, "username": "root", "hostname": "vm", "timestamp": "2026-11-23T15:44:59.72631901Z"}
        (folder / "9f6c.json").write_text(json.dumps(content))
        (folder / "9f6c.json.attrs").write_text("{}")
        (folder / "half.json").write_text('{"pid": 1')
        found = stack.locks(tmp_path)
        assert [(lock.pid, lock.host, lock.user) for lock in found] == [(18241, "vm", "root")]
        assert abs(found[0].since - datetime(2026, 11, 23, 15, 44, 59, tzinfo=UTC)) < timedelta(seconds=1)
        assert stack.locks(tmp_path, stack="other") == []

    def test_start_of_a_living_and_of_an_ended_process(self) -> None:
        before = time.time()
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        began = stack.started(process.pid)
        assert began is not None
        assert before - 1 <= began <= time.time() + 1  # the kernel counts in ticks
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not collected: a zombie
        assert stack.started(process.pid) is None
        process.communicate()
        assert stack.started(process.pid) is None

    def test_pending_operations_go_and_the_rest_stays(self) -> None:
        urn = "urn:pulumi:dev::sealos-istio::command:local:Command::cluster-install"
        rest = {"manifest": {"magic": "x"}, "resources": [{"urn": "a"}]}
        pending = [{"resource": {"urn": urn}, "type": "creating"}]
        cleaned, names = stack.without_pending({"version": 3, "deployment": {**rest, "pending_operations": pending}})
        assert names == ["creating cluster-install"]
        assert cleaned == {"version": 3, "deployment": rest}

    def test_no_pending_operations_change_nothing(self) -> None:
        before = {"version": 3, "deployment": {"resources": []}}
        assert stack.without_pending(before) == (before, [])

    def test_resources_of_a_stack_that_is_not_there(self, checkout: Path) -> None:
        assert stack.resources() == 0
        file = checkout / ".state" / ".pulumi" / "stacks" / "sealos-istio" / "dev.json"
        file.parent.mkdir(parents=True)
        found = [{"type": "pulumi:pulumi:Stack"}, {"type": "command:local:Command"}]
        file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": found}}}))
        assert stack.resources() == 1
        file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "dev", "latest": None}}))
        assert stack.resources() == 0
