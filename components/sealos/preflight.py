"""Judges the machines before anything is changed: every finding of every host at once. Pure: no SSH, no Pulumi.

Why each thing matters to sealos v3, kubeadm or Kubernetes: reference in the finding's own fix.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from components.login import Machine, MachineError
from components.sealos.facts import Facts
from components.sealos.requests import Artifact, Preflight

SUPPORTED_SEALOS = ("3.3.9",)
"""The versions whose contract the drivers keep to; pre-releases of one count as it."""
OLDEST_KUBERNETES = (1, 14)
PORTS = {6443: "the API server", 2379: "etcd's clients", 2380: "etcd's peers", 10250: "the kubelet"}
_LEAST_FREE = 1 << 30  # bytes below /var/lib, for images, etcd and logs
_PACKAGE_ROOM = 3  # the package, what is unpacked of it, and its images while they are loaded


@dataclass(frozen=True)
class Clock:
    """A machine's clock against ours.

    Attributes:
        offset: its time minus ours, seconds.
        uncertainty: half the time between question and answer, seconds; the offset may be wrong by that much.
    """

    offset: float
    uncertainty: float


@dataclass(frozen=True)
class Seen:
    """What the probe brought back from one machine."""

    facts: Facts
    clock: Clock


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one host.

    Attributes:
        host: its name in the settings.
        code: a short, stable name of the kind of trouble.
        severity: an error stops the update, a warning is printed.
        cause: what was found.
        fix: what to do about it.
    """

    host: str
    code: str
    severity: Literal["error", "warning"]
    cause: str
    fix: str


def judge(request: Preflight, seen: Mapping[str, Seen | MachineError]) -> list[Finding]:
    """Everything wrong with the machines, in their order.

    Args:
        request: the machines and what they are judged by.
        seen: by machine name, what the probe found, or why it could not.
    """
    facts = {name: s.facts for name, s in seen.items() if isinstance(s, Seen)}
    clocks = {name: s.clock for name, s in seen.items() if isinstance(s, Seen)}
    first = request.fleet.first_master
    found = list(_versions(request, first))
    for machine in request.fleet.machines:
        result = seen[machine.name]
        if isinstance(result, MachineError):
            about = "" if result.machine == machine.name else f"{result.machine} "
            found.append(Finding(machine.name, result.code, "error", about + result.cause, result.fix))
            continue
        member = _is_member(request, facts.get(first.name), machine, first, result.facts)
        found += _host(machine, result.facts)
        found += _traces(request, machine, result.facts, member=member)
        found += _room(machine, result.facts, facts.get(first.name))
        if machine == first:
            found += _artifacts(request, machine, result.facts)
        found += _runtimes(request, machine, result.facts, member=member)
    found += _doubles(facts)
    found += _skews(clocks, request.max_clock_skew)
    order = {machine.name: position for position, machine in enumerate(request.fleet.machines)}
    return sorted(found, key=lambda finding: (order[finding.host], finding.severity))


def report(findings: Iterable[Finding], machines: int) -> str:
    """The findings for a person: by host, each with its cause and what to do."""
    listed = list(findings)
    errors = sum(finding.severity == "error" for finding in listed)
    warnings = len(listed) - errors
    counts = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    if not listed:
        return f"{machines} machines are as they must be"
    lines = [f"preflight of {machines} machines: {counts}" + ("; nothing was changed" if errors else "")]
    host = ""
    for finding in listed:
        if finding.host != host:
            host = finding.host
            lines.append(f"{host}:")
        lines.append(f"  {finding.severity} [{finding.code}] {finding.cause}")
        lines.append(f"    {finding.fix}")
    return "\n".join(lines)


def _is_member(request: Preflight, lead: Facts | None, machine: Machine, first: Machine, facts: Facts) -> bool:
    """Whether what lies on the machine belongs to the very cluster that the stack asks for.

    The first master says which cluster it is by what our installation wrote down; the others by the same cluster CA.
    """
    if lead is None or request.cluster not in {(note or {}).get("name") for note in (lead.marker, lead.intent)}:
        return False
    return machine == first or (facts.ca is not None and facts.ca == lead.ca)


def _versions(request: Preflight, first: Machine) -> Iterator[Finding]:
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+", request.kubernetes_version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_KUBERNETES:
        yield Finding(
            first.name,
            "kubernetes-version",
            "error",
            f"cluster.kubernetesVersion is {request.kubernetes_version}, older than v1.14",
            "Use v1.14 or later; Istio's operator needs it.",
        )


def _host(machine: Machine, facts: Facts) -> Iterator[Finding]:
    def error(code: str, cause: str, fix: str) -> Finding:
        return Finding(machine.name, code, "error", cause, fix)

    if facts.uid != 0:
        yield error(
            "root",
            f"{machine.user} has user id {facts.uid}, not 0",
            "Log in as root: sealos v3 writes to /root, /usr/bin and /etc.",
        )
    if facts.hostname != machine.name:
        yield error(
            "hostname",
            f"its hostname is {facts.hostname or 'empty'!r}, not {machine.name!r}",
            f"`hostnamectl set-hostname {machine.name}` on it, or use its hostname as name: it becomes the Node's.",
        )
    if not facts.machine_id:
        yield error(
            "machine-id",
            "/etc/machine-id is missing or empty",
            "`systemd-machine-id-setup` on it; pod networks rely on it.",
        )
    if facts.addresses and machine.address not in facts.addresses:
        yield error(
            "address",
            f"{machine.address} is none of its own addresses ({', '.join(facts.addresses)})",
            "Use an address that the machine itself has: sealos takes it for the Node's InternalIP and the API server's.",
        )
    if facts.missing_tools:
        yield error(
            "tools",
            f"lacks {', '.join(facts.missing_tools)}",
            "Install them (coreutils, util-linux, sed, gawk or mawk).",
        )
    if facts.swap:
        yield Finding(
            machine.name,
            "swap",
            "warning",
            f"{facts.swap} swap area(s) in use",
            "The package switches swap off until the next boot; take it out of /etc/fstab for good.",
        )


def _traces(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Finding]:
    """Traces of a cluster, on a machine that is no member of ours."""
    if member:
        return
    severity: Literal["error", "warning"] = "warning" if request.recover else "error"
    if facts.marker is not None and facts.marker.get("name") != request.cluster:
        yield Finding(
            machine.name,
            "other-cluster",
            "error",
            f"it is the first master of cluster {facts.marker.get('name')!r}, not {request.cluster!r}",
            "Use another machine, or destroy that cluster where it was made.",
        )
    if facts.leftovers:
        yield Finding(
            machine.name,
            "leftovers",
            severity,
            f"holds what another or a half-made cluster left: {', '.join(facts.leftovers)}",
            "They are wiped before the installation (cluster.recover)."
            if request.recover
            else "Clean the machine (`kubeadm reset -f`, then remove these), or set cluster.recover: true to have it wiped.",
        )
    for port in sorted(set(PORTS) & facts.ports):
        if machine.role == "node" and port != 10250:
            continue
        yield Finding(
            machine.name,
            "port",
            severity,
            f"port {port} is taken, which {PORTS[port]} needs",
            f"Find out by whom: `ss -ltnp sport = :{port}` on it.",
        )


def _room(machine: Machine, facts: Facts, lead: Facts | None) -> Iterator[Finding]:
    package = (lead.package_bytes if lead else None) or 0
    for what, free, needed in (
        ("/var/lib", facts.free_lib, _LEAST_FREE),
        ("/root", facts.free_root, _PACKAGE_ROOM * package),
    ):
        if free is not None and free < needed:
            yield Finding(
                machine.name,
                "disk",
                "error",
                f"{what} has {free >> 20} MiB free, {needed >> 20} MiB are needed",
                "Make room or mount a larger disk there.",
            )


def _artifacts(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Finding]:
    def error(code: str, cause: str, fix: str) -> Finding:
        return Finding(machine.name, code, "error", cause, fix)

    pairs: list[tuple[str, Artifact, int | None, str | None]] = [
        ("package", request.package, facts.package_bytes, facts.package_sha256),
        ("sealos", request.sealos, facts.sealos_bytes, facts.sealos_sha256),
    ]
    for what, artifact, size, sha256 in pairs:
        if size is None:
            yield error(
                what,
                f"{artifact.path} (cluster.{what}.path) is not there",
                f"Copy the {'offline package' if what == 'package' else 'sealos binary'} to {machine.name} beforehand.",
            )
        elif not size:
            yield error(what, f"{artifact.path} is empty", "Copy it again.")
        elif artifact.sha256 and sha256 != artifact.sha256:
            yield error(
                f"{what}-sha256",
                f"{artifact.path} has SHA-256 {sha256}, not {artifact.sha256} (cluster.{what}.sha256)",
                "It is another file or was cut off on its way; copy it again.",
            )
    if facts.sealos_bytes:
        version = re.search(r"\d+\.\d+\.\d+[\w.-]*", facts.sealos_version or "")
        if facts.sealos_version is None:
            yield error(
                "sealos", f"{request.sealos.path} is not executable", f"`chmod 0755 {request.sealos.path}` on it."
            )
        elif version is None or not _supported(version[0]):
            yield error(
                "sealos-version",
                f"{request.sealos.path} says version {version[0] if version else 'nothing'}",
                f"This program drives sealos {', '.join(SUPPORTED_SEALOS)}; v4 and v5 are other programs of the same name.",
            )


def _supported(version: str) -> bool:
    return any(version == supported or version.startswith(f"{supported}-") for supported in SUPPORTED_SEALOS)


def _runtimes(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Finding]:
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+", request.kubernetes_version)
    if member or match is None:
        return
    docker_era = (int(match[1]), int(match[2])) < (1, 20)
    if not docker_era and "dockerd" in facts.runtimes:
        yield Finding(
            machine.name,
            "runtime",
            "error",
            f"Docker is installed, and sealos refuses that for {request.kubernetes_version}, which runs on containerd",
            "Remove Docker from it.",
        )
    if "containerd" in facts.runtimes and not (docker_era and "dockerd" in facts.runtimes):
        yield Finding(
            machine.name,
            "runtime",
            "warning",
            "containerd is installed already; the package brings its own and may clash with it",
            "Prefer a machine without it.",
        )


def _doubles(facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Machines that can't be told apart. Each is named on every host that has it."""
    clones = "One machine listed twice, or clones: `rm /etc/machine-id && systemd-machine-id-setup` on all but one."
    for what, values, fix in (
        (
            "hostname",
            {n: f.hostname for n, f in facts.items()},
            "Give each machine its own: Nodes are told apart by it.",
        ),
        ("machine-id", {n: f.machine_id for n, f in facts.items()}, clones),
    ):
        owners = defaultdict(list)
        for name, value in values.items():
            owners[value].append(name)
        for value, names in owners.items():
            for name in names if value and len(names) > 1 else ():
                others = ", ".join(other for other in names if other != name)
                yield Finding(name, f"same-{what}", "error", f"has the same {what} as {others}: {value}", fix)


def _skews(clocks: Mapping[str, Clock], limit: float) -> Iterator[Finding]:
    if len(clocks) < 2:
        return
    middle = median(clock.offset for clock in clocks.values())
    for name, clock in clocks.items():
        skew = clock.offset - middle
        if abs(skew) - clock.uncertainty > limit:
            yield Finding(
                name,
                "clock",
                "error",
                f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the median of all machines (cluster.maxClockSkew is {limit:g} s)",
                "Synchronise the clocks (chrony or systemd-timesyncd): certificates and etcd need them together.",
            )
