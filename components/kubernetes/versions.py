"""Versions of Kubernetes, as `v1.16.3`."""

from __future__ import annotations

import re


def minor_of(version: str) -> tuple[int, int]:
    """The minor release of a version: `(1, 16)` of `v1.16.3`, `1.16.3` or `v1.16`.

    Raises:
        ValueError: it is no version of Kubernetes.
    """
    found = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?", version)
    if found is None:
        raise ValueError(f"{version!r} is no version of Kubernetes; write it as v1.16.3")
    return int(found[1]), int(found[2])
