"""The preflight's judgements about addresses: ranges, resolvers, the VIP, and which of its own a machine will be known by. Pure.

Sources: kubelet 1.16, pkg/kubelet/nodestatus/setters.go (NodeAddress); Calico 3.8, node/pkg/startup/autodetection; flannel 0.11, main.go
(LookupExtIface); sealos v3.3.9, install/check.go, net/calico.go and net/flannel.go.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address

from components.problem import Code, Problem, Severity
from components.remote.models import Machine
from components.sealos.facts import Facts, Interface
from components.sealos.requests import Preflight

SEALOS_PATTERN = "eth.*|en.*|em.*"
"""sealos's own --interface."""

_CLUSTERS_OWN = re.compile(r"\*|cali.*|tunl0|vxlan\.calico|flannel.*|cni0|cilium.*|kube-.*|lxc.*")
"""Interfaces of a pod network, which stay until the next boot, and routes that throw packets away."""


_LARGEST = 8
"""Prefix of the largest network that is anybody's own; what is larger is the default route in parts, as a VPN's 0.0.0.0/1."""

_DOCKERS = IPv4Network("172.17.0.0/16")
"""What Docker takes for its bridge where nothing has it."""

_BY_PATTERN = {"calico": "Calico", "flannel": "flannel"}
"""Pod networks to which sealos hands cluster.interface on, as a pattern of interface names."""


def of_machine(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """The cluster's own ranges and its VIP against what the machine has and reaches already, and which of its addresses kubelet will take."""
    for code, key, ours in _ranges(request):
        for route in facts.routes:
            if _CLUSTERS_OWN.fullmatch(route.device) or route.network.prefixlen < _LARGEST or not route.network.overlaps(ours):
                continue
            yield Problem(
                code, machine.name,
                f"{key} {ours} overlaps {'its network' if route.direct else 'what it has a route to,'} {route.network} ({route.device})",
                f"Choose another {key}: what is there could no longer be reached from pods, or from this machine.",
                severity="error" if route.direct else "warning",
            )
    yield from _inside(request, machine, facts)
    yield from _nodes_address(machine, facts)
    yield from _vip(request, machine, facts)


def of_dockers_bridge(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """The cluster's ranges against the network that Docker, which the package brings, will take on a machine that has none yet."""
    if any(route.device == "docker0" or route.network.overlaps(_DOCKERS) for route in facts.routes):
        return
    for code, key, ours in _ranges(request):
        if ours.overlaps(_DOCKERS):
            yield Problem(
                code, machine.name,
                f"{key} {ours} overlaps {_DOCKERS}, which the package's Docker takes for its bridge",
                f"Choose another {key}, or give Docker another bridge (`bip` in /etc/docker/daemon.json).",
                severity="warning",
            )


def _ends(network: IPv4Network) -> set[IPv4Address]:
    """The first and the last address of a network, which no host of it has."""
    return {network.network_address, network.broadcast_address} if network.prefixlen < 31 else set()


def _vip(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """Whether the VIP is somebody's. One that is the machine's own or its resolver is said here, and not once more by the range that it is in."""
    if request.vip is None:
        return
    severity: Severity = "error"
    if request.vip in facts.addresses:
        cause = "is an address of this machine itself"
    elif request.vip in facts.nameservers:
        cause = "is the name server in its /etc/resolv.conf"
    elif ends := [route for route in facts.routes if route.direct and IPv4Address(request.vip) in _ends(route.network)]:
        cause = f"is no host's address, but an end of its network {ends[0].network} ({ends[0].device})"
    elif facts.vip_answers == "ping":
        cause = "belongs to somebody who answers a ping from here"
    elif facts.vip_answers:
        cause, severity = f"is answered at {facts.vip_answers} from here (or a proxy between answers for it)", "warning"
    else:
        return
    fix = "Choose an address that nobody has; nodes reach the masters by it."
    theirs = request.vip in (*facts.addresses, *facts.nameservers)
    if theirs and (held := [key for _, key, network in _ranges(request) if IPv4Address(request.vip) in network]):
        fix += f" As long as it is there, {held[0]} must not hold it either."
    yield Problem(Code.VIP, machine.name, f"cluster.vip {request.vip} {cause}", fix, severity=severity)


def _ranges(request: Preflight) -> Iterator[tuple[Code, str, IPv4Network]]:
    """Code, key and network of the cluster's ranges."""
    for code, key, text in (
        (Code.POD_CIDR, "cluster.podCidr", request.pod_cidr),
        (Code.SERVICE_CIDR, "cluster.serviceCidr", request.service_cidr),
    ):
        if text is not None:
            yield code, key, IPv4Network(text)


def _inside(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """The machine's own addresses, and the resolvers it asks, against the cluster's ranges."""
    own = [one for one in facts.interfaces if not _CLUSTERS_OWN.fullmatch(one.device) and one.address != request.vip]
    for code, key, network in _ranges(request):
        for one in own:
            if IPv4Address(one.address) in network and not any(
                route.direct and route.network.overlaps(network) and IPv4Address(one.address) in route.network for route in facts.routes
            ):  # that route is named already
                yield Problem(
                    code, machine.name,
                    f"{key} {network} holds its address {one.address} ({one.device})",
                    f"Choose another {key}: a pod or Service would get that address.",
                )
        for resolver in facts.nameservers:
            if ip_address(resolver) in network and resolver != request.vip:
                yield Problem(
                    code, machine.name,
                    f"{key} {network} holds {resolver}, the name server in its /etc/resolv.conf",
                    f"Choose another {key} (as {'10.244.0.0/16' if code is Code.POD_CIDR else '10.112.0.0/12'}): neither pods nor the machine "
                    f"could resolve names any more.",
                )

def _matching(request: Preflight, facts: Facts) -> list[Interface]:
    """What the pod network's agent would look at, in its order; it takes the first. Link-local addresses it passes over."""
    pattern = re.compile(request.interface or SEALOS_PATTERN)
    routable = [one for one in facts.interfaces if not IPv4Address(one.address).is_link_local]
    if request.network == "flannel" and (by_address := [one for one in routable if pattern.search(one.address)]):
        return by_address
    return [one for one in routable if pattern.search(one.device)]


def _by_pattern(request: Preflight) -> bool:
    """Whether the pod network finds the machine's address by a pattern, and not (Calico) by a route to an address."""
    can_reach = request.network == "calico" and re.fullmatch(r"[0-9.]+", request.interface or "")
    return request.network in _BY_PATTERN and not can_reach


def _here(facts: Facts, address: str) -> str:
    """Which interface has the address, as the end of a sentence about it; empty where none has."""
    device = next((one.device for one in facts.interfaces if one.address == address), None)
    return f", here {device}" if device else ""


def _mend(request: Preflight, machine: Machine, facts: Facts, pattern: str) -> str:
    """What makes the pod network take the machine's address: `pattern`, unless another address of the same interface comes before it."""
    device = next((one.device for one in facts.interfaces if one.address == machine.address), None)
    first = next((one.address for one in facts.interfaces if one.device == device), machine.address)
    if first == machine.address:
        return pattern
    if request.network == "calico":
        return (
            f"{device} has {first} before it, so no pattern helps: set cluster.interface to an address that all machines reach by theirs, as "
            f"{request.fleet.first_master.address}, by whose route Calico then finds it."
        )
    return f"{device} has {first} before it, so no pattern helps: make {machine.address} its first address."


def _pod_networks_interface(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    if not facts.interfaces:
        return
    pattern, matching, who = request.interface or SEALOS_PATTERN, _matching(request, facts), _BY_PATTERN[request.network]
    devices = ", ".join(dict.fromkeys(one.device for one in facts.interfaces))
    plain = f"Set cluster.interface to what matches the interface that has {machine.address}{_here(facts, machine.address)}."
    mend = _mend(request, machine, facts, plain)
    if not matching:
        cause = f"none of its interfaces ({devices}) matches {pattern}, by which {who} looks for the machine's address"
        yield Problem(Code.INTERFACE, machine.name, cause, mend)
    elif matching[0].address != machine.address:
        cause = f"{who} would take {matching[0].address} ({matching[0].device}) for it, the first that {pattern} matches, not {machine.address}"
        yield Problem(Code.INTERFACE, machine.name, cause, mend, severity="warning")


def _nodes_address(machine: Machine, facts: Facts) -> Iterator[Problem]:
    """What kubelet will report: what its own name stands for, or else the address of the default route's interface.

    sealos writes `ADDRESS NAME` into /etc/hosts unless the name stands there already, in whatever line.
    """
    if not facts.interfaces:
        return
    # kubelet passes over what no interface has, loopback and link-local addresses, and takes an IPv6 address only without any other
    own = {*(one.address for one in facts.interfaces), *(a for a in facts.addresses if ":" in a)}
    usable = [a for a in facts.own_entries if a in own and not ip_address(a).is_link_local]
    taken = next((a for a in sorted(usable, key=lambda a: ":" in a)), None)
    mend = f"Write `{machine.address} {machine.name}` there in its place, by which kubelet reports that address."
    if taken == machine.address:
        return
    if taken is not None and (facts.named_in_hosts or ":" not in taken):
        cause = f"its /etc/hosts says {taken} of its own name, which kubelet would report in the place of {machine.address}"
        yield Problem(Code.NODE_ADDRESS, machine.name, cause, mend)
        return
    if not facts.named_in_hosts:
        return
    by_route = next((one.address for one in facts.interfaces if one.device == facts.default_device), None)
    wrong = by_route is not None and by_route != machine.address
    lost = facts.default_device is None and bool(facts.routes)
    reports = "kubelet has no address to report: there is no default route" if lost else "kubelet reports the default route's address"
    if wrong:
        reports += f", {by_route} ({facts.default_device}), in the place of {machine.address}"
    if facts.own_entries and (wrong or lost or ":" not in facts.own_entries[0]):
        cause = f"its /etc/hosts says {facts.own_entries[0]} of its own name, so that {reports}"
        yield Problem(Code.NODE_ADDRESS, machine.name, cause, mend, severity="error" if wrong or lost else "warning")
    elif wrong or lost:
        cause = f"its name is part of another in /etc/hosts, or of a comment, so that sealos adds no line for it, and {reports}"
        yield Problem(Code.NODE_ADDRESS, machine.name, cause, f"Write `{machine.address} {machine.name}` there, too.")


def of_all(request: Preflight, facts: Mapping[str, Facts], strangers: Collection[str]) -> Iterator[Problem]:
    """Machines that have the address of another, or one that several have, and which of its addresses the pod network will take for each.

    Args:
        request: with the machines.
        facts: by machine name.
        strangers: names of those that are no members yet.
    """
    for machine in request.fleet.machines:
        for name, others in facts.items():
            if name != machine.name and machine.address in others.addresses:
                yield Problem(Code.SAME_ADDRESS, name, f"has {machine.address}, which is {machine.name}'s in the settings")
    if not _by_pattern(request):
        return
    shared = list(_shared(request, facts, strangers))
    yield from shared
    said = {finding.where for finding in shared if finding.severity == "error"}
    for machine in request.fleet.machines:
        if machine.name in strangers and machine.name not in said:
            yield from _pod_networks_interface(request, machine, facts[machine.name])


def _shared(request: Preflight, facts: Mapping[str, Facts], strangers: Collection[str]) -> Iterator[Problem]:
    """An address that several machines have, as that of a NAT interface, where the pod network would look for theirs."""
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
            machine = request.fleet.named(name)
            plain = f"Set cluster.interface to what matches only the interface that has the machine's own address{_here(facts[name], machine.address)}."
            yield Problem(
                Code.INTERFACE, name,
                f"{address} ({device}), which {request.interface or SEALOS_PATTERN} matches, is {len(devices)} machines' own: "
                f"{', '.join(devices)}",
                f"Pods of different nodes could not reach each other. {_mend(request, machine, facts[name], plain)}",
                severity="error" if taken else "warning",
            )
