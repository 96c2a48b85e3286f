"""Which Istio runs on which Kubernetes, and everything else that depends on Istio's version. The only place that decides it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Release:
    """What one minor release of Istio's in-cluster operator needs and does.

    Attributes:
        kubernetes: the first and the last supported (major, minor) of Kubernetes.
        tested: the patch versions of Istio that this program was run with.
        source: where the range comes from.
        status_words: IstioOperator.status.status as the operator writes it, to the word that Istio gives the value.
        creates_missing_parents: whether an overlay's path may go through a key that isn't there yet.
        appends_at_minus_one: whether `[-1]` in an overlay's path appends to a list (otherwise the operator panics).
        deletes_map_keys: whether an overlay without a value deletes a map's key (otherwise it is silently ignored).
        gateway_names: the names that its charts can render; empty where the gateway's own name is used.
        gateway_run_as_root: whether a gateway runs as root only when values.gateways.NAME.runAsRoot says so.
        forgets_recreated: whether the operator's object cache ignores an IstioOperator that was deleted and created again.
        operator_command: the container's command.
        completion: how istioctl writes completion files; `collateral` is a folder of files, `completion` prints one.
        keeps_crds: whether Istio's own CRDs stay when the IstioOperator goes.
    """

    kubernetes: tuple[tuple[int, int], tuple[int, int]]
    tested: tuple[str, ...]
    source: str
    status_words: Mapping[str, str]
    creates_missing_parents: bool = False
    appends_at_minus_one: bool = False
    deletes_map_keys: bool = False
    gateway_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    gateway_run_as_root: bool = False
    forgets_recreated: bool = True
    operator_command: tuple[str, ...] = ("operator", "server")
    completion: Literal["collateral", "completion"] = "collateral"
    keeps_crds: bool = True


_WORDS = {word: word for word in ("NONE", "UPDATING", "RECONCILING", "HEALTHY", "ERROR")}
_NUMBERS = {str(number): word for number, word in enumerate(_WORDS)}
"""1.5's InstallStatus has no JSON marshaller, so numbers arrive (0 to 4 in this order); the comment in 1.5.0's own CRD
(operator/data/operator/templates/crd.yaml) lists the last three in another order and is wrong. Words come from 1.6."""

RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "1.5": Release(
            kubernetes=((1, 14), (1, 16)),
            tested=("1.5.0",),
            source="Istio 1.5, Setup, Platform requirements: 1.14, 1.15 and 1.16; its CRDs and webhooks are v1beta1, gone in 1.22",
            status_words=MappingProxyType({**_NUMBERS, **_WORDS}),
            gateway_names=MappingProxyType({"ingress": "istio-ingressgateway", "egress": "istio-egressgateway"}),
        ),
    }
)
"""By minor release. Another one is added when it was run with the real operator, not before."""


def release(istio: str) -> Release:
    """What holds for the version `istio` (as `1.5.0`).

    Raises:
        ValueError: when it is not in the table.
    """
    if (found := RELEASES.get(istio.rpartition(".")[0])) is None:
        raise ValueError(f"Istio {istio} is not known here; known are {', '.join(f'{minor}.x' for minor in RELEASES)}")
    return found


def check_pair(istio: str, kubernetes: str) -> str | None:
    """Why Istio `istio` can't be installed on Kubernetes `kubernetes`, with what to do instead; None when it can.

    Args:
        istio: as `1.5.0`.
        kubernetes: as `v1.16.3`.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", istio):
        return f"{istio!r} is no version of Istio; write it as 1.5.0"
    server = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?", kubernetes)
    if server is None:
        return f"{kubernetes!r} is no version of Kubernetes; write it as v1.16.3"
    if (known := RELEASES.get(istio.rpartition(".")[0])) is None:
        if tuple(map(int, istio.split("."))) >= (1, 24, 0):
            return f"Istio {istio} has no in-cluster operator any more (it was removed in 1.24); use {_newest()}"
        return f"Istio {istio} was never tried with this program; use {_newest()}"
    if istio not in known.tested:
        return f"Istio {istio} was never tried with this program; use {', '.join(known.tested)}"
    first, last = known.kubernetes
    if not first <= (int(server[1]), int(server[2])) <= last:
        shown = f"v{first[0]}.{first[1]} to v{last[0]}.{last[1]}"
        return f"Istio {istio} does not run on Kubernetes {kubernetes}: it needs {shown} ({known.source})"
    return None


def _newest() -> str:
    return list(RELEASES.values())[-1].tested[-1]
