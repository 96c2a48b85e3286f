"""Marks every test by the tier (folder) it stands in, so that `pytest -m` picks tiers."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# how long an example takes says something about the machine only
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

TIERS = ("unit", "graph", "lab")
BESIDE = ("*_rendered.py", "test_fresh_clone.py", "test_istio_istioctl.py", "test_state_backends.py")
"""Files of the tier lab that need no lab, or have one of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0]
        assert tier in TIERS, f"{item.path} stands in no tier; tests live in tests/unit, tests/graph or tests/lab"
        item.add_marker(getattr(pytest.mark, tier))


class OneLab(LoadScopeScheduling):  # type: ignore[misc]
    """For pytest-xdist: the tests on the lab follow each other in one process; of the others each file keeps to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(nodeid.partition("::")[0])
        on_the_lab = file.parent.name == "lab" and not any(file.match(pattern) for pattern in BESIDE)
        return "lab" if on_the_lab else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneLab:
    """The scheduler of `pytest --numprocesses=2`."""
    return OneLab(config, log)
