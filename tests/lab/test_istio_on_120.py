"""What tests/lab/later.py tries, on Kubernetes 1.20; its later versions of Istio are in test_istio_on_120_later.py."""

from __future__ import annotations

from lab import package
from tests.lab.later import Machines

PARTS = ("kubernetes-1.20", "coredns-1.7", "crictl", "istio-1.9", "istio-1.11")


class TestKubernetes120(Machines):
    release = package.RELEASES[2]
    istios = release.istios[:2]
