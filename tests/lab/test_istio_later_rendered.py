"""The versions of Istio that run on a later Kubernetes or were only rendered (tests/lab/versions_rendered.py).

Those that were only rendered are asked where their istioctl is built (docs/toolchain.md), and a test for each says so where it isn't.
"""

from __future__ import annotations

import pytest

from components.istio.releases.table import release, tried
from devtools import golang
from tests.lab.versions_rendered import OWN, Versions, istioctl

PARTS = ("istio-1.9", "istio-1.11", "istio-1.12", "istio-1.13")


def is_built(version: str) -> bool:
    try:
        return istioctl(version).is_file()
    except golang.ToolMissing:
        return False


OTHERS = [version for version in tried() if version not in OWN]
RENDERED = [version for version in OTHERS if version in release(version).rendered]
ASKED = [version for version in OTHERS if version not in RENDERED or is_built(version)]


@pytest.mark.parametrize("version", RENDERED)
def test_a_version_that_was_only_rendered_is_asked_as_well(version: str) -> None:
    if version not in ASKED:
        pytest.skip(f"Istio {version} is not asked: `python -m devtools build --only istioctl-only` builds its istioctl")


class TestOfLaterKubernetes(Versions):
    versions = tuple(ASKED)
