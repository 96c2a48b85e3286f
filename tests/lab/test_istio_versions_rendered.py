"""The versions of Istio that run on the lab's own Kubernetes (tests/lab/versions_rendered.py)."""

from __future__ import annotations

from tests.lab.versions_rendered import OWN, Versions

PARTS = ("istio-on-1.16",)


class TestOfTheLabsOwnKubernetes(Versions):
    versions = OWN
