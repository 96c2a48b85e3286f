"""What a machine is that the cluster has no Node for, by what it says itself, and so what a join may do to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from components.remote.models import Machine, MachineError
from components.sealos.facts import Facts
from components.sealos.nodes import BRING_BACK, Node
from components.sealos.owner import run


@dataclass(frozen=True)
class Verdict:
    """What becomes of a machine in a join.

    Attributes:
        action: `join` it as it is; `clean` it before, of what a join that failed left; `wait` for it to register itself, since it
            is a member already; `refuse` to touch it.
        reason: why it waits or is refused, and the next step.
    """

    action: Literal["join", "clean", "wait", "refuse"]
    reason: str = ""


def judge(machine: Machine, facts: Facts, cluster: str, ca: str, present: Mapping[str, Node]) -> Verdict:
    """What a join may do to a machine that is wanted and that has no Node of its name.

    Args:
        machine: as the settings have it; never the first master, which is neither joined nor cleaned.
        facts: the machine's own, taken now.
        cluster: the cluster's name.
        ca: SHA-256 of the cluster's CA certificate, as Facts.ca.
        present: the cluster's Nodes.
    """
    if facts.hostname != machine.name:
        return Verdict("refuse", f"its host name is {facts.hostname!r}; set it to {machine.name}, or use that name in the settings")
    if other := next((node.name for node in present.values() if machine.address in node.addresses), None):
        return Verdict(
            "refuse", f"its address {machine.address} is node {other}'s of this cluster; use that name in the settings, or take it out first"
        )
    if facts.marker is not None:
        return Verdict(
            "refuse",
            f"it was made the first master of cluster {facts.marker.get('name')!r} (/etc/sealos-istio/cluster.json). Use another machine, or "
            f"wipe it yourself when nothing on it is needed",
        )
    ours = facts.kubelet_ca is not None and facts.kubelet_ca == ca
    if ours and facts.node_name == machine.name and (facts.alive or facts.member == cluster):
        return Verdict("wait", unregistered(machine))
    # kubeadm writes the CA first, and a kubelet that never got its login goes on trying
    half_joined = facts.alive == {"kubelet"} and facts.kubelet_ca is None and facts.ca == ca
    if (facts.leftovers or "kubelet" in facts.alive) and facts.alive and not half_joined:
        return Verdict(
            "refuse",
            f"{run(facts.alive)} there, and it is no node of this cluster: {_whose(facts, ca)}. Nothing was changed on it. Use another "
            f"machine; or, when nothing on it is needed, `kubeadm reset -f` on it and run `pulumi up`",
        )
    return Verdict("clean" if facts.leftovers else "join")


def unregistered(machine: Machine) -> str:
    """Of a member whose Node is gone from the API: what is so, and what brings it back."""
    role = "node-role.kubernetes.io/master="
    again = "`systemctl restart kubelet` on it registers it again"
    if machine.role == "master":
        again += f", then `kubectl label node {machine.name} {role}` and `kubectl taint node {machine.name} {role}:NoSchedule` make it a master"
    return (
        f"it is a member of this cluster by what is on it, but the cluster has no Node of that name; was it deleted? Nothing on it was "
        f"changed. {again}; after that run `pulumi up`"
    )


def set_up_anew(facts: Facts) -> bool:
    """Whether a machine that the cluster has a Node for is none of its members any more: its kubelet has no login, and nothing runs."""
    return facts.kubelet_ca is None and not facts.alive


def silent(name: str, seen: Facts | MachineError) -> str:
    """What is with a machine whose Node reports no more, and the next step.

    Args:
        name: the machine's.
        seen: its facts, or why it could not be asked.
    """
    what = f"{name}: its Node reports to the cluster no more"
    if isinstance(seen, MachineError):
        way = f"{BRING_BACK}." if seen.gone else seen.fix
        return f"{what}, and the machine can't be asked: {seen.cause}. {way}"
    if set_up_anew(seen):
        return (
            f"{what}, and the machine holds nothing of it: was it set up anew? `pulumi up --replace '**::cluster-member-{name}'` takes the "
            f"old Node out and joins the machine"
        )
    return f"{what}, and the machine is up. Look at its kubelet there: `journalctl -u kubelet`, `systemctl restart kubelet`"


def unlisted(machine: Machine) -> str:
    """Of a machine that the cluster shall have by the list on its first master, but not by the settings."""
    return (
        f"{machine.name}: the first master's own list of machines has it, and these settings don't: the cluster was changed with another "
        f"state than this one (an older copy of it?). Add it to {machine.role}s and run `pulumi up`; if it shall leave, take it out again after that"
    )


def _whose(facts: Facts, ca: str) -> str:
    if facts.kubelet_ca is None:
        return "its kubelet has no login to any cluster"
    if facts.kubelet_ca != ca:
        return "its kubelet trusts another cluster's CA" + (f" and is node {facts.node_name}'s" if facts.node_name else "")
    return f"its kubelet is node {facts.node_name or 'nobody'}'s"
