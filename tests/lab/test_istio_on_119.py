"""What tests/lab/later.py tries, on Kubernetes 1.19."""

from __future__ import annotations

from lab import package
from tests.lab.later import Machines

PARTS = ("kubernetes-1.19", "coredns-1.7", "istio-1.8", "istio-1.9")


class TestKubernetes119(Machines):
    release = package.RELEASES[1]
    istios = release.istios
