"""What to do on the first master, decided from what is there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.login import Machine
from components.sealos import nodes
from components.sealos.facts import Facts
from components.sealos.requests import Identity

_NAMES = {
    "name": "cluster.name",
    "kubernetesVersion": "cluster.kubernetesVersion",
    "vip": "cluster.vip",
    "podCidr": "cluster.podCidr",
    "serviceCidr": "cluster.serviceCidr",
    "network": "cluster.network",
    "interface": "cluster.interface",
    "certSans": "cluster.certSans",
    "repo": "cluster.repo",
}


@dataclass(frozen=True)
class Decision:
    """What to do, and why in words.

    Attributes:
        action: `init` a bare machine; `nothing`, the cluster is there; `wait` for its API server; `recover`: clean what a
            half-made one left, then look again; `refuse`.
        reason: for the user.
    """

    action: Literal["init", "nothing", "wait", "recover", "refuse"]
    reason: str


def decide(facts: Facts, cluster: Identity, first: Machine, *, recover: bool, existing: bool) -> Decision:
    """What the installation does next.

    Args:
        facts: of the first master.
        cluster: what the stack asks for.
        first: the first master.
        recover: whether a half-made cluster may be wiped (cluster.recover).
        existing: whether the installation was done before, so that a missing cluster is not made again on the quiet.
    """
    if facts.marker is not None:
        return _of_marked(facts, cluster, first, existing=existing)
    there = ", ".join(facts.leftovers)
    if not facts.leftovers:
        if existing:
            return Decision(
                "refuse",
                f"{first.name} holds no cluster, although it was installed before. If this is another machine, or it was set up anew: "
                f"`pulumi destroy` first, then `pulumi up`; the first master of a cluster can't be exchanged",
            )
        return Decision("init", f"{first.name} is bare")
    if facts.intent is not None and facts.intent.get("name") == cluster.name:
        what = f"our own installation of cluster {cluster.name} did not come to its end on {first.name} (it failed, or the machine was restarted), leaving {there}"
    else:
        what = f"{first.name} holds a part of a cluster that this program did not finish: {there}"
    if recover and not existing:
        return Decision("recover", what)
    return Decision(
        "refuse",
        f"{what}. Clean it yourself, or set cluster.recover: true, which wipes it (sealos clean --all, then what that leaves) and installs again",
    )


def _of_marked(facts: Facts, cluster: Identity, first: Machine, *, existing: bool) -> Decision:
    # clusters from before there was cluster.repo have kubeadm's own
    marker = {"repo": "", **(facts.marker or {})}
    asked = cluster.model_dump(mode="json", by_alias=True)
    if marker.get("name") != cluster.name:
        return Decision(
            "refuse",
            f"{first.name} is the first master of cluster {marker.get('name')!r}, not {cluster.name!r} (cluster.name). "
            f"Use another machine, or destroy that cluster where it was made",
        )
    if changed := [key for key in _NAMES if marker.get(key) != asked[key]]:
        lines = "; ".join(
            f"{_NAMES[key]} is {marker.get(key)!r} there, {asked[key]!r} in the settings" for key in changed
        )
        return Decision(
            "refuse",
            f"cluster {cluster.name} is installed with other values, which can't be changed on a live cluster: {lines}. "
            f"Set them back, or `pulumi destroy` and `pulumi up` for a new cluster",
        )
    if facts.nodes is None:
        return Decision(
            "wait",
            f"cluster {cluster.name} is installed on {first.name}, but its API server does not answer ({facts.api_error or 'no reason given'}). "
            f"It is never installed over: repair it, or `pulumi destroy`",
        )
    if first.name not in nodes.parse(facts.nodes):
        return Decision(
            "refuse",
            f"cluster {cluster.name} answers on {first.name}, but has no node of that name; was the machine renamed?",
        )
    return Decision(
        "nothing", f"cluster {cluster.name} is there" + ("" if existing else " already; nothing to install")
    )
