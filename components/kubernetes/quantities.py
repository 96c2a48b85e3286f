"""Quantities of Kubernetes, as `2000m`: where they stand, and what they are worth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

QUANTITIES = frozenset(
    ("limits", "requests", "sizeLimit", "divisor", "overhead", "capacity", "averageValue", "targetAverageValue")
)
"""Keys at or under which Kubernetes has quantities, which its API server writes in a form of its own (2000m as 2)."""

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?")
_SUFFIXES: Mapping[str, Decimal] = {
    "": Decimal(1),
    **{suffix: Decimal(10) ** power for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_FINEST = Decimal("1e-9")


def quantity(text: Any) -> Decimal | None:
    """The value of a quantity as Kubernetes reads it, finer ones rounded up to its finest; None when it is none.

    Source: k8s.io/apimachinery, pkg/api/resource/quantity.go.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    if (match := _QUANTITY.fullmatch(str(text))) is None:
        return None
    number, suffix, exponent = match.groups()
    value = Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])
    return value.quantize(_FINEST, ROUND_CEILING) if value.as_tuple().exponent < -9 else value  # type: ignore[operator]
