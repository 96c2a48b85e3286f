"""What tests/lab/later.py tries, on Kubernetes 1.20."""

from __future__ import annotations

from lab import package
from tests.lab.later import Releases

PARTS = ("kubernetes-1.20", "kubeadm-1.20", "coredns-1.7", "crictl", "istio-1.9", "istio-1.11", "istio-1.12", "istio-1.13")


class TestKubernetes120(Releases):
    release = package.RELEASES[2]
