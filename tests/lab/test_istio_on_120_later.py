"""The later versions of Istio on Kubernetes 1.20 (tests/lab/later.py)."""

from __future__ import annotations

from lab import package
from tests.lab.later import Releases

PARTS = ("kubernetes-1.20", "coredns-1.7", "crictl", "istio-1.11", "istio-1.12", "istio-1.13")


class TestLaterOnKubernetes120(Releases):
    release = package.RELEASES[2]
    istios = release.istios[1:]
