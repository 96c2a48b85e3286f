"""Marks every test by the tier (folder) it stands in, so that `pytest -m` picks tiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# how long an example takes says something about the machine only
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

TIERS = ("unit", "graph", "lab")
TIMED = ("join_cost", "istio_lifecycle", "istio_upgrade", "members", "recovery")
"""Files of the tier lab that hold promises about time, by what follows `test_`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0]
        assert tier in TIERS, f"{item.path} stands in no tier; tests live in tests/unit, tests/graph or tests/lab"
        item.add_marker(getattr(pytest.mark, tier))
    items.sort(
        key=lambda item: _group(str(item.path)) != "timed"
    )  # the longest first, while the other process has the rest


def _group(file: str) -> str:
    return "timed" if Path(file).stem.removeprefix("test_") in TIMED else file


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """For pytest-xdist: each file keeps to one process, and no two that hold promises about time run side by side."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """The scheduler of `pytest --numprocesses=2`."""
    return ByFile(config, log)
