"""Which sealos the drivers can drive, by what the binary itself says. Pure; reasons: docs/reference/sealos.md, "Releases before"."""

from __future__ import annotations

import re

from components.problem import Code

SUPPORTED = "3.3.9"
"""The release whose contract the drivers keep to; its pre-releases (v3.3.9-rc.11 is the last tag of v3) count as it."""


def refusal(said: str) -> tuple[Code, str] | None:
    """Why a sealos is not driven, as a finding's code and reason; None when it is.

    Args:
        said: what `sealos version` printed.
    """
    match = re.search(r"\bv?((\d+)\.(\d+)\.(\d+)(-[\w.]+)?)(?![\w.])", said)
    if match is None:
        return Code.SEALOS_UNVERSIONED, "does not say which version it is; a build without version fields does that"
    full, numbers = match[1], (int(match[2]), int(match[3]), int(match[4]))
    if numbers == (3, 3, 9):
        return None
    if numbers >= (4, 0, 0):
        why = "from v4 on sealos is another program of the same name, with cluster images in place of packages"
    elif numbers > (3, 3, 9):
        why = "there is no such release of v3 that this program knows the behaviour of"
    elif numbers >= (3, 3, 0):
        why = (
            "before 3.3.9 it writes its config.yaml only when init has succeeded, so a failed installation can't be "
            "cleaned, and it ignores --config, so the password would stand on the command line"
        )
    else:
        why = (
            "it ignores --config, so the password would stand on the command line, mixes up pod and service CIDR after "
            "the first join, joins a known member twice, and sends no sealos to the nodes"
        )
    return Code.SEALOS_VERSION, f"is version {full}: {why}"
