"""Which Istio can be installed on which Kubernetes, which can follow which, and what nobody has seen of one."""

from __future__ import annotations

import re

from components.istio.releases.model import minor_of, numbers
from components.istio.releases.support import SUPPORTED
from components.istio.releases.table import RELEASES, tried
from components.kubernetes.versions import minor_of as kubernetes_minor


def check_pair(istio: str, kubernetes: str) -> str | None:
    """Why Istio `istio` can't be installed on Kubernetes `kubernetes`, with what to do instead; None when it can.

    Args:
        istio: as `1.5.0`.
        kubernetes: as `v1.16.3`.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", istio):
        return f"{istio!r} is no version of Istio; write it as 1.5.0"
    try:
        here = kubernetes_minor(kubernetes)
    except ValueError as error:
        return str(error)
    fitting = [v for v in tried() if here in SUPPORTED[minor_of(v)]]
    instead = f"use {', '.join(fitting)}" if fitting else f"none is known for Kubernetes {kubernetes}"
    if numbers(istio) >= (1, 24, 0):
        return f"Istio {istio} has no in-cluster operator any more (it was removed in 1.24); {instead}"
    supported = SUPPORTED.get(minor_of(istio))
    if supported and here not in supported:
        shown = " to ".join(f"v{major}.{minor}" for major, minor in (supported.first, supported.last))
        return (
            f"Istio {istio} does not run on Kubernetes {kubernetes}: it needs {shown} ({supported.source}); {instead}"
        )
    if minor_of(istio) not in RELEASES:
        return (
            f"Istio {istio} is of a release that was never tried with this program (it takes those of "
            f"{', '.join(tried())}); {instead}"
        )
    return None


def check_upgrade(before: str, after: str) -> str | None:
    """Why a mesh can't be taken from one version of Istio to another in place; None when it can.

    Source: Istio, Setup, Upgrade: in place from one minor release to the next; further is not tested, and downgrades are not
    supported.

    Args:
        before: what runs.
        after: what is asked for.
    """
    (_, was, _), (_, will, _) = numbers(before), numbers(after)
    if will < was:
        return (
            f"Istio {before} can't go back to {after}: a downgrade in place is not supported; set istio.version back, or take "
            f"istio out of the stack, `pulumi up`, and put it in again with {after}"
        )
    if will > was + 1:
        steps = {minor_of(v): v for v in tried() if was < numbers(v)[1] < will}
        missing = [minor for minor in (f"1.{number}" for number in range(was + 1, will)) if minor not in steps]
        return (
            f"Istio {before} can't go to {after} in one step: Istio supports an upgrade from one minor release to the next; "
            + (
                f"no version of {', '.join(missing)} is known here, so take istio out of the stack, `pulumi up`, and put it in "
                f"again with {after}"
                if missing
                else f"go by {', then '.join(steps.values())}"
            )
        )
    return None


def unproven(istio: str) -> str | None:
    """What nobody has seen of a version that is accepted all the same; None when it was run on its real operator."""
    known = RELEASES[minor_of(istio)]
    if istio in known.tested:
        return None
    if istio in known.rendered:
        seen = "what it makes of these settings was compared with its own istioctl, but how its operator behaves was not seen"
    else:
        seen = f"{', '.join(known.tried)} was, and it is taken to be like that one, which patch releases usually are"
    return f"Istio {istio} was never run with this program: {seen}; try it where nothing is lost"
