"""What the preflight can find: each kind's code, and what the stack's settings make of it. Pure and light.

Apart from preflight.py, because the settings check the codes that a user writes and need nothing else of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Code:
    """A kind of finding.

    Attributes:
        what: what is wrong, for the documentation.
        waivable: whether `cluster.preflight.waive` may name it. What no step could go on with can't be waived.
    """

    what: str
    waivable: bool = True


CODES: Mapping[str, Code] = {
    "unreachable": Code("nobody answers at its address and port", waivable=False),
    "mute": Code("it takes the connection and then says nothing", waivable=False),
    "auth": Code("it refuses the password or key", waivable=False),
    "host-key": Code("its host key is not the pinned one", waivable=False),
    "unknown-host": Code("its host key is pinned nowhere", waivable=False),
    "login": Code("what to log in with can't be used here", waivable=False),
    "lost": Code("the connection broke while it was looked at", waivable=False),
    "timeout": Code("looking at it took too long", waivable=False),
    "failed": Code("it could not be looked at", waivable=False),
    "rsa-key": Code("its SSH server refuses the stack's RSA key as sealos signs with it (SHA-1)"),
    "sealos-login": Code("its SSH server lets us in, but not sealos, which dials from the first master and has an older library"),
    "forwarding": Code("the first master's SSH server passes no connections on, which cluster.apiTunnel takes"),
    "shell": Code("root's shell prints something before any command, or is none that takes sealos's commands"),
    "proxy": Code("a proxy in root's environment, by which kubeadm would go to the cluster"),
    "root": Code("who logs in is not root", waivable=False),
    "hostname": Code("its hostname is not its name in the settings", waivable=False),
    "same-hostname": Code("two machines have the same hostname", waivable=False),
    "machine-id": Code("/etc/machine-id is missing or empty"),
    "same-machine-id": Code("two machines have the same machine-id"),
    "address": Code("the address in the settings is none of its own", waivable=False),
    "same-address": Code("two machines have the same address", waivable=False),
    "node-address": Code("kubelet would report another address than the one in the settings"),
    "interface": Code("the pod network's pattern of interfaces (cluster.interface) matches none, one with another address, or one that several machines have"),
    "clock": Code("its clock is further than cluster.maxClockSkew from the median of all machines"),
    "mounts": Code("a folder of the cluster's is mounted read-only, is noexec where programs are run, or is a link to nowhere"),
    "cgroups": Code("cgroups of version 2 alone, which Kubernetes before 1.19 can't use"),
    "os": Code("no Linux, or a distribution that sealos's packages don't know"),
    "arch": Code("an architecture without packages, or another one than the first master's or a program's"),
    "cpu": Code("fewer CPUs than kubeadm wants of a master"),
    "memory": Code("less memory than kubeadm wants"),
    "disk": Code("too little room in /root, /var/lib or on a disk of its own below that (images, kubelet, etcd)"),
    "swap": Code("swap is on"),
    "tools": Code("programs that our scripts need are missing", waivable=False),
    "port": Code("a port that Kubernetes needs is taken"),
    "gateway-port": Code("a host port of the ingress gateway is taken on its node"),
    "leftovers": Code("parts of an earlier or half-made cluster (cluster.recover wipes them)", waivable=False),
    "other-cluster": Code("it belongs to another cluster, alive or with its data", waivable=False),
    "runtime": Code("Docker or containerd where sealos wants none"),
    "nameserver": Code("/etc/resolv.conf has no nameserver (without which CoreDNS does not start on containerd), or none but the machine itself"),
    "package": Code("the offline package is missing or empty", waivable=False),
    "package-sha256": Code("the offline package is another file than the settings say", waivable=False),
    "package-version": Code("the offline package holds another Kubernetes than cluster.kubernetesVersion"),
    "sealos": Code("the sealos binary is missing, empty or can't be run", waivable=False),
    "sealos-sha256": Code("the sealos binary is another file than the settings say", waivable=False),
    "sealos-version": Code("a sealos that this program can't drive", waivable=False),
    "sealos-unversioned": Code("a sealos that does not say its version (built without it)"),
    "istioctl": Code("istio.istioctl is missing, empty or another file than the settings say", waivable=False),
    "unchecked": Code("package or sealos without sha256 in the settings"),
    "pod-cidr": Code("cluster.podCidr holds an address, resolver, network or route of the machine"),
    "service-cidr": Code("cluster.serviceCidr holds an address, resolver, network or route of the machine"),
    "vip": Code("cluster.vip is somebody's address or a resolver"),
    "kubernetes-version": Code("Kubernetes before v1.14", waivable=False),
}
"""Every code that a finding may have; docs/operations.md lists them."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one host.

    Attributes:
        host: its name in the settings.
        code: a key of CODES.
        severity: an error stops the update, a warning is printed.
        cause: what was found.
        fix: what to do about it.
        waived: why it is to be lived with, in the settings' own words; it then stops nothing.
    """

    host: str
    code: str
    severity: Severity
    cause: str
    fix: str
    waived: str | None = None


def settle(
    findings: Iterable[Finding], *, warnings_as_errors: bool | Collection[str], waive: Mapping[str, str]
) -> list[Finding]:
    """The findings as the stack wants them taken.

    Args:
        findings: as judged.
        warnings_as_errors: whether warnings are errors: all, or those of the codes.
        waive: reason by code.
    """

    def one(finding: Finding) -> Finding:
        if finding.code in waive and CODES[finding.code].waivable:
            return replace(finding, waived=waive[finding.code])
        strict = warnings_as_errors if isinstance(warnings_as_errors, bool) else finding.code in warnings_as_errors
        return replace(finding, severity="error") if strict else finding

    return [one(finding) for finding in findings]


def stop(findings: Iterable[Finding]) -> bool:
    """Whether one of the findings stops the update."""
    return any(finding.severity == "error" and finding.waived is None for finding in findings)


def report(findings: Iterable[Finding], machines: int) -> str:
    """The findings for a person: each once, below the hosts that have it, with its cause and what to do."""
    hosts_of: dict[tuple[str, str, str, str, str | None], list[str]] = {}
    for f in findings:
        hosts_of.setdefault((f.severity, f.code, f.cause, f.fix, f.waived), []).append(f.host)
    if not hosts_of:
        return f"{machines} machines are as they must be"
    counts = {"error": 0, "warning": 0, "waived": 0}
    places: dict[str, list[str]] = {}
    for (severity, code, cause, fix, waived), hosts in hosts_of.items():
        kind = "waived" if waived else severity
        counts[kind] += 1
        place = f"all {machines} machines" if len(hosts) == machines > 1 else ", ".join(hosts)
        lines = [f"  {kind} [{code}] {cause}", f"    {f'waived in the settings: {waived}' if waived else fix}"]
        places.setdefault(place, []).extend(lines)
    said = [f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in ("error", "warning")]
    said += [f"{counts['waived']} waived"] * bool(counts["waived"])
    head = f"preflight of {machines} machines: {', '.join(said)}" + "; nothing was changed" * bool(counts["error"])
    return "\n".join([head, *(line for place, lines in places.items() for line in [f"{place}:", *lines])])
