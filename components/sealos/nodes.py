"""What `kubectl get nodes -o json` says about the machines that were asked for. Pure: no SSH, no Pulumi."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.problem import Code, Problem
from components.remote.models import Machine

_MASTER_LABELS = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane")

SILENT = 40.0
"""Seconds after which a kubelet that renews its Lease no more is taken for gone, as kube-controller-manager does (its
--node-monitor-grace-period). A kubelet renews it every 10 s."""


@dataclass(frozen=True)
class Node:
    """A Node of the cluster, as the API has it.

    Attributes:
        name: the Node's.
        address: its InternalIP, the first of them; empty when it has none yet.
        role: master or node.
        version: its kubelet's, e.g. v1.16.3.
        ready: whether its condition Ready is True.
        why: the condition's own message when it is not.
        silent: whether its kubelet reported once and does so no more, so that Kubernetes itself does not know how it is: a dead
            machine, or one that is cut off.
        addresses: all its InternalIPs.
        architecture: of its machine in Go's words, as amd64; empty when it has not said.
    """

    name: str
    address: str
    role: str
    version: str
    ready: bool
    why: str = ""
    silent: bool = False
    addresses: tuple[str, ...] = ()
    architecture: str = ""


def parse(document: Mapping[str, Any]) -> dict[str, Node]:
    """The cluster's nodes by name."""
    found = {}
    for item in document.get("items", []):
        metadata, status = item["metadata"], item.get("status", {})
        condition: Mapping[str, str] = next((c for c in status.get("conditions", []) if c.get("type") == "Ready"), {})
        addresses = tuple(a["address"] for a in status.get("addresses", []) if a.get("type") == "InternalIP")
        found[metadata["name"]] = Node(
            name=metadata["name"],
            address=next(iter(addresses), ""),
            role="master" if any(label in metadata.get("labels", {}) for label in _MASTER_LABELS) else "node",
            version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
            ready=condition.get("status") == "True",
            why=condition.get("message") or condition.get("reason") or "its kubelet has not reported yet",
            addresses=addresses,
            architecture=status.get("nodeInfo", {}).get("architecture", ""),
            silent=condition.get("reason") == "NodeStatusUnknown",
        )
    return found


def reports(node: Node, leases: Mapping[str, Any], now: float) -> bool:
    """Whether a node's kubelet is alive, by its Lease (Kubernetes from 1.14 on) and not by its condition alone.

    A condition is turned by the leading controller manager. When that died with its machine, the others may need a quarter of
    an hour to take over: before Kubernetes 1.20 a client holds on to a connection whose other end is gone (kubernetes#95981).

    Args:
        node: the node.
        leases: `kubectl -n kube-node-lease get leases -o json`.
        now: the time on the machine that was asked, in seconds since the epoch.
    """
    renewed = {
        item["metadata"]["name"]: item["spec"]["renewTime"]
        for item in leases.get("items", [])
        if item.get("spec", {}).get("renewTime")
    }
    if not node.ready or node.name not in renewed:
        return node.ready
    return now - datetime.fromisoformat(renewed[node.name]).timestamp() < SILENT


_ISTIO_ON_ARM = (1, 15)  # the first Istio whose own images are for arm64 as well


def without_images(istio: str, present: Iterable[Node]) -> Iterator[str]:
    """What is said of machines that Istio's own images of a version don't run on; nothing when there are none."""
    major, minor = (int(part) for part in istio.split(".")[:2])
    others = sorted(node.name for node in present if node.architecture not in ("", "amd64"))
    if others and (major, minor) < _ISTIO_ON_ARM:
        yield (
            f"{', '.join(others)}: Istio {istio}'s own images are for amd64 alone, and the mesh's pods there will not start. Use Istio 1.15 or "
            f"later, or a registry with images that were built for it (istio.hub)"
        )


BRING_BACK = "Bring it back; or, when it is gone for good, take it out of the list of machines and name it in cluster.lost"
"""The way out of a machine that is dead."""


def warning(silent: Iterable[Node]) -> str:
    """What is said of machines that are not waited for; empty when there are none."""
    found = [f"{node.name} is not Ready: {node.why.rstrip('.')}" for node in silent]
    return f"{'; '.join(found)}. It is not waited for. {BRING_BACK}" if found else ""


def problems(wanted: Iterable[Machine], present: Mapping[str, Node], version: str, *, ready: bool = True) -> list[Problem]:
    """Everything in which the cluster differs from what was asked for.

    Args:
        wanted: the machines that must be nodes. Nodes beyond them are not judged: one may be about to leave.
        present: the cluster's nodes.
        version: the Kubernetes version that every kubelet must have.
        ready: whether they must be Ready, too.
    """
    found = []
    by_address = {address: node for node in present.values() for address in node.addresses}
    for machine in wanted:
        node = present.get(machine.name)
        if node is None:
            other = by_address.get(machine.address)
            whose = f"; its address {machine.address} is node {other.name}'s" if other else ""
            found.append(Problem(Code.NODE_MISSING, machine.name, f"it is not a node of the cluster{whose}"))
            continue
        if machine.address not in node.addresses:
            text = f"it is in the cluster with address {node.address or 'none'}, not {machine.address}"
            found.append(Problem(Code.NODE_ELSEWHERE, machine.name, text))
        if node.role != machine.role:
            found.append(Problem(Code.NODE_ROLE, machine.name, f"it is a {node.role} of the cluster, not a {machine.role}"))
        if node.version != version:
            found.append(Problem(Code.NODE_VERSION, machine.name, f"it runs Kubernetes {node.version or 'unknown'}, not {version}"))
        if ready and not node.ready:
            found.append(Problem(Code.NODE_NOT_READY, machine.name, f"it is not Ready: {node.why}"))
    return found


def table(wanted: Iterable[Machine], present: Mapping[str, Node]) -> list[dict[str, str]]:
    """The wanted nodes for the stack's outputs: name, address, role and version each."""
    return [
        {"name": n.name, "address": n.address, "role": n.role, "version": n.version}
        for n in (present[m.name] for m in wanted if m.name in present)
    ]
