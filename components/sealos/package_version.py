"""Whether an offline package holds the Kubernetes that the settings name, by what lies in it. Pure; layout: docs/reference/sealos.md.

sealos itself never compares the two: it would tell kubeadm one version and install the programs of another.
"""

from __future__ import annotations

import re

from components.problem import Severity
from components.sealos.facts import Facts


def mismatch(facts: Facts, path: str, wanted: str) -> tuple[Severity, str] | None:
    """What is wrong with the package's version, as severity and cause; None when nothing is, or nothing is known.

    Args:
        facts: of the machine that has the package.
        path: where it lies there.
        wanted: cluster.kubernetesVersion.
    """
    if facts.package_why is not None:
        return "error", (
            f"{path} is no offline package of sealos, or was cut off on its way: it has neither kube/Metadata nor "
            f"kube/bin/kubeadm" + (f" ({facts.package_why})" if facts.package_why else "")
        )
    if facts.package_version:
        if facts.package_version == wanted:
            return None
        return "error", f"{path} holds Kubernetes {facts.package_version}, not {wanted} (cluster.kubernetesVersion)"
    if facts.package_unasked:
        return "warning", (
            f"{path} could not be asked which Kubernetes it holds: it has no kube/Metadata, and its kubeadm can't be run, "
            f"since all folders for that are mounted noexec"
        )
    # a name is easily given to another file, so that it is a hint and no more
    named = re.search(r"kube(\d+\.\d+\.\d+)", path.rsplit("/", 1)[-1])
    if named and f"v{named[1]}" != wanted:
        return "warning", (
            f"{path} does not say which Kubernetes it holds; its name says v{named[1]}, not {wanted} (cluster.kubernetesVersion)"
        )
    return None
