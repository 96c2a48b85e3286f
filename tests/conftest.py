"""Marks every test by the tier (folder) it stands in, picks shards, builds what the tests need, and keeps their durations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from devtools import parts
from tests import tiers

# how long an example takes says something about the machine only
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

SAID = "TESTS_SAID"
"""The variable by which a caller has a line printed above pytest's last one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tiers", "tiers and shards of the tests (docs/testing.md)")
    group.addoption("--shard", metavar="I/N", help="only the I-th of N pieces of what `make test` does not run")
    group.addoption(
        "--store-durations", action="store_true", help="write how long each file took to tests/durations.json"
    )


def pytest_configure(config: pytest.Config) -> None:
    if chosen := config.getoption("--shard"):
        try:
            tiers.shard(chosen)
        except ValueError as error:
            raise pytest.UsageError(f"--shard: {error}") from None
    config.pluginmanager.register(_Record(config), "durations by file")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    chosen = config.getoption("--shard")
    if not chosen or not collection_path.name.startswith("test_"):
        return None
    return _name(collection_path) not in tiers.shard(chosen) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(tiers.ROOT / "tests").parts[0]
        assert tier in tiers.TIERS, f"{item.path} stands in no tier; tests live in tests/unit, tests/graph or tests/lab"
        item.add_marker(getattr(pytest.mark, tier))
    # the longest files first; those of the lab together, so that it stays up
    recorded = tiers.recorded()

    def rank(item: pytest.Item) -> tuple[bool, float]:
        return item.get_closest_marker("lab") is None, -recorded.get(_name(item.path), tiers.UNKNOWN)

    items.sort(key=rank)


def _name(path: Path) -> str:
    return path.relative_to(tiers.ROOT).as_posix()


# Several processes --------------------------------------------------------------------------------------------------------------


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """For pytest-xdist: each file keeps to one process, because its tests may share a stack and follow each other.

    All that need the lab's machines keep to one together: two labs at work are too much for two cores.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "machines" if tiers.on_machines(file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """The scheduler of `pytest --numprocesses=2`."""
    return ByFile(config, log)


# What is built for them ---------------------------------------------------------------------------------------------------------


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what the tests that were chosen need, where this is the only process."""
    config = session.config
    if not (config.option.collectonly or _is_worker(config)):
        _build(config, {_name(item.path) for item in session.items})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """The same in the process that hands the tests out, before it does: the first time that another one tells what there is."""
    _build(node.config, {test.partition("::")[0] for test in ids})


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _build(config: pytest.Config, files: Iterable[str]) -> None:
    names = {name for file in files for name in tiers.parts_of(file)}
    missing = [part.name for part in parts.PARTS if part.name in names and not parts.is_built(part)]
    if not missing:
        return
    shown = config.pluginmanager.getplugin("capturemanager")
    with shown.global_and_fixture_disabled():
        print(f"\nbuilding what these tests need: {', '.join(missing)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "devtools", "build", *missing], cwd=tiers.ROOT, check=False)
    if done.returncode:
        pytest.exit("what these tests need could not be built", returncode=1)


# What they took -----------------------------------------------------------------------------------------------------------------


class _Record:
    """Durations by file, and the figures that tests measured and promise nobody (`record_property`); in the first process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds: dict[str, float] = defaultdict(float)
        self.figures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid.partition("::")[0]] += report.duration
        if report.when == "call":
            test = report.nodeid.rpartition("/")[2]
            self.figures += [f"{test}: {name} {value}" for name, value in report.user_properties]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.figures:
            terminalreporter.section("figures")
            terminalreporter.write("".join(f"{line}\n" for line in self.figures))
        if said := os.environ.get(SAID):
            terminalreporter.write_line(said)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.config.getoption("--store-durations") and not _is_worker(self.config) and exitstatus == 0:
            known = {file: took for file, took in tiers.recorded().items() if (tiers.ROOT / file).exists()}
            known |= {file: round(took, 1) for file, took in self.seconds.items()}
            tiers.RECORD.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
