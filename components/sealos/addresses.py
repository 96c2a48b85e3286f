"""The preflight's judgements about addresses: ranges, resolvers, the VIP, and which of its own a machine will be known by. Pure.

Sources: kubelet 1.16, pkg/kubelet/nodestatus/setters.go (NodeAddress); Calico 3.8, node/pkg/startup/autodetection; sealos v3.3.9,
install/check.go and net/calico.go.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address

from components.remote.models import Machine
from components.sealos.facts import Facts, Interface
from components.sealos.findings import Finding
from components.sealos.requests import Preflight

SEALOS_PATTERN = "eth.*|en.*|em.*"
"""sealos's own --interface."""

_CLUSTERS_OWN = re.compile(r"\*|cali.*|tunl0|vxlan\.calico|flannel.*|cni0|cilium.*|kube-.*|lxc.*")
"""Interfaces of a pod network, which stay until the next boot, and routes that throw packets away."""


def of_machine(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Finding]:
    """The cluster's own ranges against what the machine has and reaches already, and which of its addresses the cluster will take."""
    for code, key, ours in _ranges(request):
        for route in facts.routes:
            if _CLUSTERS_OWN.fullmatch(route.device) or not route.network.overlaps(ours):
                continue
            yield Finding(
                machine.name,
                code,
                "error" if route.direct else "warning",
                f"{key} {ours} overlaps {'its network' if route.direct else 'what it has a route to,'} {route.network} ({route.device})",
                f"Choose another {key}: what is there could no longer be reached from pods, or from this machine.",
            )
    yield from _inside(request, machine, facts)
    yield from _pod_networks_interface(request, machine, facts)
    yield from _nodes_address(machine, facts)
    if request.vip is None:
        return
    if request.vip in facts.addresses:
        cause, severity = "is an address of this machine itself", "error"
    elif facts.vip_answers == "ping":
        cause, severity = "belongs to somebody who answers a ping from here", "error"
    elif facts.vip_answers:
        cause, severity = f"is answered at {facts.vip_answers} from here (or a proxy between answers for it)", "warning"
    else:
        return
    yield Finding(
        machine.name,
        "vip",
        "error" if severity == "error" else "warning",
        f"cluster.vip {request.vip} {cause}",
        "Choose an address that nobody has; nodes reach the masters by it.",
    )


def _ranges(request: Preflight) -> Iterator[tuple[str, str, IPv4Network]]:
    """Code, key and network of the cluster's ranges."""
    for code, key, text in (
        ("pod-cidr", "cluster.podCidr", request.pod_cidr),
        ("service-cidr", "cluster.serviceCidr", request.service_cidr),
    ):
        if text is not None:
            yield code, key, IPv4Network(text)


def _inside(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Finding]:
    """The machine's own addresses, and the resolvers it asks, against the cluster's ranges and the VIP."""
    own = [one for one in facts.interfaces if not _CLUSTERS_OWN.fullmatch(one.device)]
    for code, key, network in _ranges(request):
        for one in own:
            if IPv4Address(one.address) in network and not any(
                route.direct and route.network.overlaps(network) and IPv4Address(one.address) in route.network for route in facts.routes
            ):  # that route is named already
                yield Finding(
                    machine.name,
                    code,
                    "error",
                    f"{key} {network} holds its address {one.address} ({one.device})",
                    f"Choose another {key}: a pod or Service would get that address.",
                )
        for resolver in facts.nameservers:
            if ip_address(resolver) in network:
                yield Finding(
                    machine.name,
                    code,
                    "error",
                    f"{key} {network} holds {resolver}, the name server in its /etc/resolv.conf",
                    f"Choose another {key} (as {'10.244.0.0/16' if code == 'pod-cidr' else '10.112.0.0/12'}): neither pods nor the machine "
                    f"could resolve names any more.",
                )
    if request.vip in facts.nameservers:
        yield Finding(
            machine.name,
            "vip",
            "error",
            f"cluster.vip {request.vip} is the name server in its /etc/resolv.conf",
            "Choose an address that nobody has; nodes reach the masters by it.",
        )


def _matching(request: Preflight, facts: Facts) -> list[Interface]:
    """What Calico's agent would look at, in its order; it takes the first."""
    pattern = re.compile(request.interface or SEALOS_PATTERN)
    return [one for one in facts.interfaces if pattern.search(one.device)]


def _by_pattern(request: Preflight) -> bool:
    """Whether the pod network finds the machine's address by a pattern, and not by a route to an address."""
    return request.network == "calico" and not re.fullmatch(r"[0-9.]+", request.interface or "")


def _here(facts: Facts, address: str) -> str:
    """Which interface has the address, as the end of a sentence about it; empty where none has."""
    device = next((one.device for one in facts.interfaces if one.address == address), None)
    return f", here {device}" if device else ""


def _pod_networks_interface(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Finding]:
    if not facts.interfaces or not _by_pattern(request):
        return
    mend = f"Set cluster.interface to what matches the interface that has {machine.address}{_here(facts, machine.address)}."
    pattern, matching = request.interface or SEALOS_PATTERN, _matching(request, facts)
    devices = ", ".join(dict.fromkeys(one.device for one in facts.interfaces))
    if not matching:
        cause = f"none of its interfaces ({devices}) matches {pattern}, by which Calico looks for the machine's address"
        yield Finding(machine.name, "interface", "error", cause, mend)
    elif matching[0].address != machine.address:
        cause = f"Calico would take {matching[0].address} ({matching[0].device}) for it, the first that {pattern} matches, not {machine.address}"
        yield Finding(machine.name, "interface", "warning", cause, mend)


def _nodes_address(machine: Machine, facts: Facts) -> Iterator[Finding]:
    """What kubelet will report: what its own name stands for, or else the address of the default route's interface.

    sealos writes `ADDRESS NAME` into /etc/hosts unless the name stands there already, in whatever line.
    """
    if not facts.named_in_hosts or not facts.interfaces:
        return
    own = {one.address for one in facts.interfaces}
    named = [a for a in facts.own_entries if ":" not in a]
    taken = next((a for a in named if a in own), None)  # kubelet passes over what no interface has, loopback included
    by_route = next((one.address for one in facts.interfaces if one.device == facts.default_device), None)
    mend = f"Write `{machine.address} {machine.name}` there in its place, by which kubelet reports that address."
    if taken is not None and taken != machine.address:
        cause = f"its /etc/hosts says {taken} of its own name, which kubelet would report in the place of {machine.address}"
        yield Finding(machine.name, "node-address", "error", cause, mend)
    elif named and taken is None:
        cause = f"its /etc/hosts says {named[0]} of its own name, so that kubelet reports the default route's address"
        wrong = by_route is not None and by_route != machine.address
        if wrong:
            cause += f", {by_route} ({facts.default_device}), in the place of {machine.address}"
        yield Finding(machine.name, "node-address", "error" if wrong else "warning", cause, mend)
    elif not named and by_route is not None and by_route != machine.address:
        cause = (
            f"its name is part of another in /etc/hosts, so that sealos adds no line for it, and kubelet reports the default route's "
            f"address, {by_route} ({facts.default_device}), in the place of {machine.address}"
        )
        yield Finding(machine.name, "node-address", "error", cause, f"Write `{machine.address} {machine.name}` there, too.")


def of_all(request: Preflight, facts: Mapping[str, Facts], strangers: Collection[str]) -> Iterator[Finding]:
    """Machines that have the address of another, or one that several have.

    Args:
        request: with the machines.
        facts: by machine name.
        strangers: names of those that are no members yet.
    """
    for machine in request.fleet.machines:
        for name, others in facts.items():
            if name != machine.name and machine.address in others.addresses:
                yield Finding(
                    name,
                    "same-address",
                    "error",
                    f"has {machine.address}, which is {machine.name}'s in the settings",
                    "Give each machine an address of its own.",
                )
    yield from _shared(request, facts, strangers)


def _shared(request: Preflight, facts: Mapping[str, Facts], strangers: Collection[str]) -> Iterator[Finding]:
    """An address that several machines have, as that of a NAT interface, where the pod network would look for theirs."""
    if not _by_pattern(request):
        return
    listed = {machine.address for machine in request.fleet.machines}
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for name, one_of in facts.items():
        for one in _matching(request, one_of):
            if one.address not in listed:  # said above
                owners[one.address][name] = one.device
    for address, devices in owners.items():
        for name, device in devices.items() if len(devices) > 1 else ():
            if name not in strangers:
                continue
            taken = _matching(request, facts[name])[0].address == address
            here = _here(facts[name], request.fleet.named(name).address)
            yield Finding(
                name,
                "interface",
                "error" if taken else "warning",
                f"{address} ({device}), which {request.interface or SEALOS_PATTERN} matches, is {len(devices)} machines' own: "
                f"{', '.join(devices)}",
                f"Set cluster.interface to what matches only the interface that has the machine's own address{here}: "
                f"pods of different nodes could not reach each other.",
            )
