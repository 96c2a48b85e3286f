"""The releases of Kubernetes and Istio that are built: toolchain/releases.toml, one row a release.

Only the standard library is used here.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from devtools.golang import ROOT


@dataclass(frozen=True)
class Row:
    """What every release says.

    Attributes:
        version: as 1.16.3.
        commit: the commit that it is built from.
        group: for which builds it is needed; `lab` is what every lab has.
    """

    version: str
    commit: str
    group: str

    @property
    def minor(self) -> str:
        """Its minor release: `1.16` of `1.16.3`."""
        return self.version.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        """What the names of its programs end with: those of every lab's go by their own."""
        return "" if self.group == "lab" else f"-{self.version}"


@dataclass(frozen=True)
class Kubernetes(Row):
    """A Kubernetes that the lab has.

    Attributes:
        date: when it was released, which its programs say.
    """

    date: datetime


@dataclass(frozen=True)
class Istio(Row):
    """A release of Istio.

    Attributes:
        kind: `operator` where its operator ran in the lab, `rendered` where its istioctl only was asked.
        binaries: what a build leaves, by their names without a suffix.
        kubernetes: those of the lab on which its operator is tested.
    """

    kind: Literal["operator", "rendered"]
    binaries: tuple[str, ...]
    kubernetes: tuple[str, ...] = ()


def _rows(table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _READ[table]
    return [{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows]


_READ = tomllib.loads((ROOT / "toolchain" / "releases.toml").read_text())

KUBERNETES: tuple[Kubernetes, ...] = tuple(Kubernetes(**row) for row in _rows("kubernetes"))
"""Those of the lab, the oldest first: a lab has the first unless it is told another."""

ISTIO: tuple[Istio, ...] = tuple(Istio(**row) for row in _rows("istio"))
"""The oldest first; every lab has the first."""


def istio(version: str) -> Istio:
    """The row of that version.

    Raises:
        KeyError: there is none.
    """
    return {row.version: row for row in ISTIO}[version]
