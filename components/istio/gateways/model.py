"""What the modules of gateways hand each other: a gateway and what its release makes of it, and what is noted or refused on the way."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from components.istio.releases.model import Release

GatewayKind = Literal["ingress", "egress"]

Patch = dict[str, Any]
"""Of an overlay: a path, and the value to be there unless the patch deletes."""

Target = tuple[str, str]
"""An object's kind and name."""


def gateway_chart(kind: GatewayKind) -> str:
    """The key in spec.values.gateways for all gateways of a kind, which is also the name of the profiles' own."""
    return f"istio-{kind}gateway"


@dataclass(frozen=True)
class Gateway:
    """Which gateway it is, and what holds for it whatever its own settings say.

    Attributes:
        kind: ingress or egress.
        name: its Deployment's and its Service's.
        istio, known: Istio's version, and its release.
        own: the user's values of its chart.
        scaled: whether its chart makes an autoscaler.
    """

    kind: GatewayKind
    name: str
    istio: str
    known: Release
    own: Mapping[str, Any]
    scaled: bool

    @classmethod
    def of(cls, given: Mapping[str, Any], kind: GatewayKind, istio: str, known: Release, values: Mapping[str, Any], scaled: bool) -> Gateway:
        """The gateway that is `given` as in an IstioOperator, among the user's spec.values; `scaled` where these don't say it."""
        charts = values.get("gateways")
        own = charts.get(gateway_chart(kind)) if isinstance(charts, Mapping) else None
        own = own if isinstance(own, Mapping) else {}
        name = str(known.gateway_names.get(kind) or given.get("name") or gateway_chart(kind))
        return cls(kind, name, istio, known, own, bool(own.get("autoscaleEnabled", scaled)))

    @property
    def chart(self) -> str:
        """As `gateway_chart`."""
        return gateway_chart(self.kind)

    @property
    def as_root(self) -> bool:
        """Whether its pods run as root."""
        return bool(self.own.get("runAsRoot", self.known.gateway_runs_as_root))


@dataclass(frozen=True)
class Finding:
    """What is said of a settings key, `where`."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class Note(Finding):
    """Something that was made safe: what was done, and why."""


class Refusal(Finding):
    """Something that can't be made safe: why, and what to write instead."""


class OverlayError(ValueError):
    """A gateway that can't be made safe.

    Args:
        problems: one line each: where, why, and what to write instead.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


T = TypeVar("T")
Judged = Generator[Finding, None, T]
"""Yields what it notes and refuses, and returns what it makes; what is made beside a refusal is of no use."""


def within(where: str, judged: Judged[T]) -> Judged[T]:
    """The same, of something that stands at the settings key `where`."""
    made, found = _finished(judged)
    yield from (replace(each, where=where + each.where) for each in found)
    return made


def accepted(judged: Judged[T]) -> tuple[T, tuple[Note, ...]]:
    """What is made, and the notes.

    Raises:
        OverlayError: with every refusal.
    """
    made, found = _finished(judged)
    if refused := [str(each) for each in found if isinstance(each, Refusal)]:
        raise OverlayError(refused)
    return made, tuple(each for each in found if isinstance(each, Note))


def _finished(judged: Judged[T]) -> tuple[T, list[Finding]]:
    found: list[Finding] = []
    while True:
        try:
            found.append(next(judged))
        except StopIteration as end:
            return end.value, found
