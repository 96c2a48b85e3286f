"""Whether the cluster's ranges of addresses go together with each other and with the machines'. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from components.config.base import PROJECT
from components.config.stack import Settings

_NODE_MASK = 24
"""Kubernetes gives every node a network of this prefix out of podCidr (kube-controller-manager's --node-cidr-mask-size), and Flannel and
Cilium take it from there."""

_CALICO_BLOCK = 26
"""Calico gives every node blocks of this prefix instead (its IPAM's default)."""

_UNUSABLE = tuple(
    map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
)
"""What is no address of a host in a network: this one, loopback, link-local, multicast, reserved (RFC 6890)."""


def address_plan(settings: Settings) -> Iterable[str]:
    """What is wrong with them, one line each."""
    cluster = settings.cluster
    pods, services = ipaddress.IPv4Network(cluster.pod_cidr), ipaddress.IPv4Network(cluster.service_cidr)
    yield from _ranges(settings)
    if pods.overlaps(services):
        yield f"{PROJECT}:cluster.podCidr {pods} and {PROJECT}:cluster.serviceCidr {services} overlap; give each its own range"
    for machine in settings.machines:
        address = ipaddress.IPv4Address(machine.address)
        for key, network in (("podCidr", pods), ("serviceCidr", services)):
            if address in network:
                yield f"{PROJECT}:cluster.{key}: {network} holds the address {address} of {machine.name}; choose another range"
        if machine.name in cluster.lost:
            yield (
                f"{PROJECT}:cluster.lost names {machine.name}, which is still listed as a {machine.role}; take it out of the list, or "
                f"out of cluster.lost when it is back"
            )
        if machine.address == cluster.vip:
            yield f"{PROJECT}:cluster.vip: {cluster.vip} is {machine.name}'s own address; the VIP must be nobody's"


def _ranges(settings: Settings) -> Iterable[str]:
    """Ranges in which no cluster could live, or not this many machines; none of them can be changed on a live one."""
    cluster, count = settings.cluster, len(settings.machines)
    pods, services = ipaddress.IPv4Network(cluster.pod_cidr), ipaddress.IPv4Network(cluster.service_cidr)
    vip = ipaddress.IPv4Address(cluster.vip)
    for key, network in (("podCidr", pods), ("serviceCidr", services), ("vip", ipaddress.IPv4Network(vip))):
        for unusable in _UNUSABLE:
            if network.overlaps(unusable):
                yield (
                    f"{PROJECT}:cluster.{key}: {cluster.vip if key == 'vip' else network} is in {unusable}, which no host can be reached "
                    f"at; take it of a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10)"
                )
    # kubeadm and the API server refuse what is smaller or larger (kubeadm's MinimumAddressesInServiceSubnet, 10; --service-cluster-ip-range)
    if not 12 <= services.prefixlen <= 28:
        yield (
            f"{PROJECT}:cluster.serviceCidr: {services} has {services.num_addresses} addresses; Kubernetes takes /12 to /28 "
            f"(the 10th address is the cluster's DNS server)"
        )
    part = _CALICO_BLOCK if cluster.network == "calico" else _NODE_MASK
    # kubeadm itself refuses less than one node's network only since 1.20 (ValidatePodSubnetNodeMask), and Calico has its own parts
    smallest = part if int(cluster.kubernetes_version.split(".")[1]) < 20 else _NODE_MASK
    if not _NODE_MASK - 16 <= pods.prefixlen <= smallest:
        yield (
            f"{PROJECT}:cluster.podCidr: {pods} has {pods.num_addresses} addresses; Kubernetes {cluster.kubernetes_version} with "
            f"{cluster.network} takes /{_NODE_MASK - 16} to /{smallest}, of which every node gets a part"
        )
    elif (room := 1 << part - pods.prefixlen) < count:
        yield (
            f"{PROJECT}:cluster.podCidr: {pods} is enough for {room} machines of a /{part} each ({cluster.network}), and {count} are "
            f"listed; choose a larger range, since it can't be changed later"
        )
    if vip in pods:
        yield f"{PROJECT}:cluster.vip: {vip} is inside {PROJECT}:cluster.podCidr {pods}, where a pod may get it; choose an address outside"
    yield from _vip_in_services(vip, services)


_LARGE = 16
"""From this prefix on (65536 addresses) the VIP may lie among the services' addresses, as sealos's own default does: hardly ever does
Kubernetes, which draws them at random, come upon it."""


def _vip_in_services(vip: ipaddress.IPv4Address, services: ipaddress.IPv4Network) -> Iterable[str]:
    if vip not in services:
        return
    place = int(vip) - int(services.network_address)
    taken = {0: "its network's address", 1: "the Service kubernetes", 10: "the cluster's DNS server"}.get(place)
    if taken or services.prefixlen > _LARGE:
        yield (
            f"{PROJECT}:cluster.vip: {vip} is inside {PROJECT}:cluster.serviceCidr {services}, "
            + (f"where it is {taken}" if taken else "which is so small that a Service will get it")
            + "; choose an address outside"
        )
