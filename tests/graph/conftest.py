"""A fresh clone for all tests that type what a page says."""

from __future__ import annotations

import pytest

from tests.documented import Terminal


@pytest.fixture(scope="package")
def _clone(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal.clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture
def clone(_clone: Terminal) -> Terminal:
    """A new terminal in the clone."""
    return Terminal(_clone.directory, dict(_clone.environment))
