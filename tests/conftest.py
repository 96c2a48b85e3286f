"""Marks every test by the tier (folder) it stands in, so that `pytest -m` picks tiers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes says something about the machine only
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

TIERS = ("unit", "graph", "lab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0]
        assert tier in TIERS, f"{item.path} stands in no tier; tests live in tests/unit, tests/graph or tests/lab"
        item.add_marker(getattr(pytest.mark, tier))
