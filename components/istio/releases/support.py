"""On which Kubernetes each minor release of Istio runs, as Istio itself says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from components.istio.releases.model import Support


def _listed(first: int, last: int) -> Support:
    return Support((1, first), (1, last), 'Istio, Supported releases, "Supported Kubernetes versions"')


SUPPORTED: Mapping[str, Support] = MappingProxyType(
    {
        "1.5": Support(
            (1, 14),
            (1, 16),
            "Istio 1.5, Setup, Platform requirements: 1.14, 1.15 and 1.16; its CRDs and webhooks are v1beta1, gone in 1.22",
        ),
        "1.6": Support((1, 15), (1, 18), "Istio 1.6, Setup, Platform requirements: 1.15, 1.16, 1.17 and 1.18"),
        "1.7": Support(
            (1, 16),
            (1, 18),
            "Istio 1.7, Setup, Platform requirements: 1.16, 1.17 and 1.18; 1.16 is required (upgrade notes)",
        ),
        "1.8": Support((1, 16), (1, 19), "Istio 1.8, Setup, Platform requirements: 1.16, 1.17, 1.18 and 1.19"),
        # data/compatibility/supportStatus.yml of istio.io, the key k8sVersions, not the merely tested ones
        "1.9": _listed(17, 20),
        "1.10": _listed(18, 21),
        "1.11": _listed(18, 22),
        "1.12": _listed(19, 22),
        "1.13": _listed(20, 23),
        "1.14": _listed(21, 24),
        "1.15": _listed(22, 25),
        "1.16": _listed(22, 25),
        "1.17": _listed(23, 26),
        "1.18": _listed(24, 27),
        "1.19": _listed(25, 28),
        "1.20": _listed(25, 29),
        "1.21": _listed(26, 29),
        "1.22": _listed(27, 30),
        "1.23": _listed(27, 30),
    }
)
"""By minor release, every one from 1.5 to the last with an in-cluster operator, accepted here or not."""
