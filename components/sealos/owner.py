"""Whose a machine is, by what the machine itself says. Pure: asked before anything on it is cleaned, wiped or drained.

An address or a name in a list is no evidence: a machine may have been given to another cluster since the list was written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from components.sealos.facts import Facts

ETCD = "/var/lib/etcd"
_NO_CA = "none"
_SHORT = 12  # digits of a CA's SHA-256 that are told


@dataclass(frozen=True)
class Owner:
    """What a machine says about itself.

    Attributes:
        kind: `bare`: no trace of a cluster; `ours`: its notes or its CA are this cluster's, and none of them another's; `other`:
            one of them is another cluster's; `unknown`: traces that say nothing about whose they are.
        seen: what was found there, in words; empty on a bare machine.
    """

    kind: Literal["bare", "ours", "other", "unknown"]
    seen: str


def owner(facts: Facts, cluster: str, ca: str | None) -> Owner:
    """Whose the machine is.

    Args:
        facts: the machine's.
        cluster: name of this cluster.
        ca: SHA-256 of this cluster's CA certificate; None when nobody can tell it any more, and the machine's own note decides.
    """
    ca = ca or facts.member_ca
    named = {name for note in (facts.marker, facts.intent) if note and isinstance(name := note.get("name"), str)}
    named |= {facts.member} if facts.member else set()
    keys = {found for found in (facts.ca, facts.kubelet_ca) if found}
    if not (named or keys or facts.leftovers or living(facts)):
        return Owner("bare", "")
    seen = _seen(facts, named - {cluster})
    if named - {cluster} or (ca and keys - {ca}):
        return Owner("other", seen)
    if cluster in named or (ca and keys):
        return Owner("ours", seen)
    return Owner("unknown", seen)


def on_first_master(facts: Facts, cluster: str) -> Owner:
    """The same for a first master, where sealos made the cluster's CA and keeps it in its own folder.

    That folder says nothing about who ran sealos: it takes the note of an installation. One that died before there was a CA has none;
    one that was finished may have lost the folder, and the note decides.
    """
    if facts.marker is None and facts.intent is None:
        whose = owner(facts, cluster, None)
        return Owner("unknown", whose.seen) if whose.kind == "ours" else whose
    return owner(facts, cluster, facts.sealos_ca or (None if facts.marker else _NO_CA))


def living(facts: Facts) -> frozenset[str]:
    """The programs of a cluster that run there. An etcd without any trace of a cluster is a service of the machine's own."""
    return facts.alive if facts.leftovers else facts.alive - {"etcd"}


def run(programs: Collection[str]) -> str:
    """That these programs run, in words."""
    return f"{', '.join(sorted(programs))} {'runs' if len(programs) == 1 else 'run'}"


def _seen(facts: Facts, others: set[str]) -> str:
    told = []
    if programs := living(facts):
        told.append(run(programs))
    if facts.kubelet_ca:
        told.append(
            f"its kubelet is node {facts.node_name or 'without a name'} of the cluster with CA {facts.kubelet_ca[:_SHORT]}…"
        )
    if others:
        told.append(f"our note says that it belongs to cluster {', '.join(sorted(others))}")
    if facts.leftovers:
        told.append(f"it holds {', '.join(facts.leftovers)}")
    return "; ".join(told) or "our note is on it"
