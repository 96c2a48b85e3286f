"""What facts.sh found on a machine, as data."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.problem import Code


@dataclass(frozen=True)
class Route:
    """A route of the machine's main table.

    Attributes:
        device: the interface; * where packets are thrown away.
        network: where it leads.
        direct: whether the machine itself is in that network, and needs no gateway.
    """

    device: str
    network: ipaddress.IPv4Network
    direct: bool


@dataclass(frozen=True)
class Interface:
    """An IPv4 address of a network interface that is up; an interface with several comes several times, in the kernel's order."""

    device: str
    address: str


@dataclass(frozen=True)
class Facts:
    """One machine, as it is.

    Attributes:
        uid: of who logged in.
        hostname, machine_id: as the machine has them; empty when it has none.
        addresses: its own IPv4 and IPv6 addresses.
        kernel, arch: as uname says, e.g. Linux and x86_64; empty when unknown.
        os: the distribution and what it is like, ID and ID_LIKE of os-release.
        cpus, memory: number and bytes; None when unknown.
        routes: without the default route.
        default_device: the interface of the default route; None without one.
        interfaces: without loopback; empty when unknown.
        nameservers: the resolvers that it asks, and that its pods get.
        own_entries: addresses that its /etc/hosts gives for its own name.
        named_in_hosts: whether its name stands there in some line, perhaps as part of another, which sealos goes by.
        proxies: names of the variables in root's environment that name a proxy; no_proxy says for what they are not asked.
        shell_said: what root's shell printed before our script, in its output and in its errors.
        refuses_sealos: why its SSH server, which lets us in, would not let sealos in: the finding's code, and the cause.
        forwards: whether its SSH server passes connections on; looked at on a first master that a tunnel ends at.
        vip_answers: how somebody else answers at the VIP that is asked for; None when nobody does.
        login_shell: root's, from /etc/passwd; empty when unknown.
        cgroups: the kind of file system that they are (cgroup2fs where there is version 2 alone); empty when unknown.
        swap: number of swap areas in use.
        ports: TCP ports that something listens on.
        listeners: by port, the program that listens and its process id; without those that nobody could be found for.
        missing_tools: programs that our scripts need and that are not there.
        runtimes: container runtimes found (dockerd, containerd).
        no_nameserver: whether /etc/resolv.conf names none, nor systemd-resolved's own.
        free_root, free_lib: free space below /root and /var/lib in bytes; None when unknown.
        own_disks: by folder of /var/lib that is a disk of its own, its free space in bytes.
        read_only, noexec: folders of the cluster's where nothing can be written, or run.
        broken_links: by folder that is a link, where it leads and nothing is.
        leftovers: paths of an earlier or half-made cluster.
        ca: SHA-256 of the cluster's CA certificate on the machine.
        kubelet_ca: SHA-256 of the CA certificate in the kubelet's kubeconfig; the same as `ca` in the same cluster. None without one.
        node_name: the Node that its kubelet's client certificate is for; None when it has none.
        sealos_ca: SHA-256 of the CA certificate that sealos made here and keeps in its own folder.
        alive: which of kubelet, etcd and the control plane's programs run, stopped ones (SIGSTOP) included.
        marker: what our installation wrote down when it was done (an Identity), on a first master.
        intent: the same, while an installation is under way or after it died.
        member: name of the cluster that our join made the machine a member of, or began to.
        member_ca: SHA-256 of that cluster's CA certificate; None in the notes of older programs, and while the join is under way.
        sealos_config: sealos's own config.yaml without what it logs in with.
        nodes: `kubectl get nodes -o json`, where the API answered; api_error says why it did not.
        package_bytes, package_sha256: of the offline package; None when it isn't there or the checksum wasn't asked for.
        package_version: of the Kubernetes in it, e.g. v1.16.3; None when it does not say.
        package_unasked: whether it would say so by its kubeadm alone, which can't be run there.
        package_why: set when it is no package: what tar said, perhaps nothing.
        sealos_bytes, sealos_sha256, sealos_version: of the sealos binary, likewise; the version None when it can't run.
        sealos_why: why it can't, when its mode is none of the reasons.
        package_arch, sealos_arch, istioctl_arch: the architecture that the programs are for, as `arch` has it; None when unknown.
        istioctl_bytes, istioctl_sha256: of the istioctl binary, likewise.
    """

    uid: int = 0
    hostname: str = ""
    machine_id: str = ""
    addresses: tuple[str, ...] = ()
    kernel: str = ""
    arch: str = ""
    os: tuple[str, ...] = ()
    cpus: int | None = None
    memory: int | None = None
    routes: tuple[Route, ...] = ()
    default_device: str | None = None
    interfaces: tuple[Interface, ...] = ()
    nameservers: tuple[str, ...] = ()
    own_entries: tuple[str, ...] = ()
    named_in_hosts: bool = False
    proxies: tuple[str, ...] = ()
    no_proxy: str = ""
    shell_said: tuple[str, str] = ("", "")
    refuses_sealos: tuple[Code, str] | None = None
    forwards: bool = True
    vip_answers: str | None = None
    login_shell: str = ""
    cgroups: str = ""
    swap: int = 0
    ports: frozenset[int] = frozenset()
    listeners: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    missing_tools: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    no_nameserver: bool = False
    free_root: int | None = None
    free_lib: int | None = None
    own_disks: Mapping[str, int] = field(default_factory=dict)
    read_only: tuple[str, ...] = ()
    noexec: tuple[str, ...] = ()
    broken_links: Mapping[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    ca: str | None = None
    kubelet_ca: str | None = None
    node_name: str | None = None
    sealos_ca: str | None = None
    alive: frozenset[str] = frozenset()
    marker: dict[str, Any] | None = None
    intent: dict[str, Any] | None = None
    member: str | None = None
    member_ca: str | None = None
    sealos_config: dict[str, Any] | None = None
    nodes: dict[str, Any] | None = None
    api_error: str | None = None
    package_bytes: int | None = None
    package_sha256: str | None = None
    package_version: str | None = None
    package_unasked: bool = False
    package_why: str | None = None
    sealos_bytes: int | None = None
    sealos_sha256: str | None = None
    sealos_version: str | None = None
    sealos_why: str | None = None
    package_arch: str | None = None
    sealos_arch: str | None = None
    istioctl_arch: str | None = None
    istioctl_bytes: int | None = None
    istioctl_sha256: str | None = None


def parse(text: str) -> Facts:
    """The facts in facts.sh's output, "key value" lines; keys that are not there, or whose value is none of theirs, keep their defaults."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        lines[key].append(value.strip())

    def last(key: str) -> str | None:
        return lines[key][-1] if lines.get(key) else None

    def number(key: str, unit: int = 1) -> int | None:
        value = last(key)
        return int(value) * unit if value and re.fullmatch("[0-9]{1,18}", value) else None

    member = _document(last("member")) or {}
    return Facts(
        uid=number("uid") or 0,
        hostname=last("hostname") or "",
        machine_id=(last("machine_id") or "").removeprefix("uninitialized"),  # systemd's word before the first boot
        addresses=tuple(lines.get("address", ())),
        kernel=last("kernel") or "",
        arch=last("arch") or "",
        os=tuple(name.lower() for name in lines.get("os", ())),  # openEuler writes itself so
        cpus=number("cpus"),
        memory=number("memory", 1024),
        routes=tuple(route for line in lines.get("route", ()) if (route := _route(line))),
        default_device=next((device for line in lines.get("route", ()) if (device := _default_route(line))), None),
        interfaces=tuple(one for line in lines.get("interface", ()) if (one := _interface(line))),
        nameservers=tuple(a for a in lines.get("nameserver", ()) if _is_address(a)),
        own_entries=tuple(a for a in lines.get("own_entry", ()) if _is_address(a)),
        named_in_hosts="named_in_hosts" in lines,
        proxies=tuple(lines.get("proxy", ())),
        no_proxy=last("no_proxy") or "",
        vip_answers=last("vip_answers"),
        login_shell=last("login_shell") or "",
        cgroups=last("cgroups") or "",
        swap=number("swap") or 0,
        ports=frozenset(int(port, 16) for port in lines.get("port", ()) if re.fullmatch("[0-9A-F]{4}", port)),
        listeners={
            int(found[1]): (found[3], int(found[2]))
            for line in lines.get("listener", ())
            if (found := re.fullmatch("([0-9]{1,5}) ([0-9]{1,10}) (.+)", line))
        },
        missing_tools=tuple(lines.get("missing_tool", ())),
        runtimes=tuple(lines.get("runtime", ())),
        no_nameserver="no_nameserver" in lines,
        free_root=number("free_root", 1024),
        free_lib=number("free_lib", 1024),
        own_disks={place: int(free) * 1024 for place, _, free in (w.partition(" ") for w in lines.get("own_disk", ())) if re.fullmatch("[0-9]{1,18}", free)},
        read_only=tuple(lines.get("read_only", ())),
        noexec=tuple(lines.get("noexec", ())),
        broken_links={place: target for place, _, target in (w.partition(" ") for w in lines.get("broken_link", ()))},
        leftovers=tuple(lines.get("leftover", ())),
        ca=last("ca"),
        kubelet_ca=last("kubelet_ca"),
        node_name=last("node_name") or None,
        sealos_ca=last("sealos_ca"),
        alive=frozenset(lines.get("alive", ())),
        marker=_document(last("cluster")),
        intent=_document(last("installing")),
        member=member.get("name"),
        member_ca=member.get("ca"),
        sealos_config=_yaml(last("sealos_config")),
        nodes=_document(last("nodes")),
        api_error=last("api_error"),
        package_bytes=number("package_bytes"),
        package_sha256=last("package_sha256"),
        package_version=_version(
            (_document(last("package_metadata")) or {}).get("k8sVersion") or last("package_kubeadm")
        ),
        package_unasked="package_unasked" in lines,
        package_why=last("package_why"),
        sealos_bytes=number("sealos_bytes"),
        sealos_sha256=last("sealos_sha256"),
        sealos_version=last("sealos_version"),
        sealos_why=last("sealos_why"),
        package_arch=last("package_arch") or None,
        sealos_arch=last("sealos_arch") or None,
        istioctl_arch=last("istioctl_arch") or None,
        istioctl_bytes=number("istioctl_bytes"),
        istioctl_sha256=last("istioctl_sha256"),
    )


def _version(text: str | None) -> str | None:
    """vX.Y.Z, which packages write with and without the v; None for anything else."""
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)", text or "")
    return f"v{match[1]}" if match else None


_ROUTE = re.compile(r"(\S+) ([0-9A-F]{8}) ([0-9A-F]{8}) ([0-9A-F]{8})")


def _route(line: str) -> Route | None:
    """A line of /proc/net/route; None for the default route."""
    if (found := _ROUTE.fullmatch(line)) is None:
        return None
    device, destination, gateway, mask = found.groups()
    address, bits = (int.from_bytes(bytes.fromhex(word), "little") for word in (destination, mask))
    if not bits:
        return None
    network = ipaddress.IPv4Network((address, bits.bit_count()), strict=False)
    return Route(device, network, direct=int(gateway, 16) == 0)


def _default_route(line: str) -> str | None:
    """Its interface; None for any other route, and for one that throws packets away."""
    found = _ROUTE.fullmatch(line)
    return found[1] if found and found[2] == found[4] == "00000000" and found[1] != "*" else None


def _interface(line: str) -> Interface | None:
    """A line of `ip -o -4 addr`: interface and address, with or without a prefix."""
    device, _, address = line.partition(" ")
    address = address.partition("/")[0]
    return Interface(device.partition("@")[0], address) if _is_address(address) and ":" not in address else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _yaml(encoded: str | None) -> dict[str, Any] | None:
    try:
        document = yaml.safe_load(base64.b64decode(encoded or ""))
    except (ValueError, yaml.YAMLError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    hosts = {key: document[key] if isinstance(document[key], list) else [] for key in ("masters", "nodes") if key in document}
    return document | hosts


def _document(encoded: str | None) -> dict[str, Any] | None:
    """The JSON object, or None when there is none or it is none (a file that was cut off is as good as none)."""
    if not encoded:
        return None
    try:
        document = json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return document if isinstance(document, dict) else None
