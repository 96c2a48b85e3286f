"""Judges the machines before anything is changed: every finding of every host at once. Pure: no SSH, no Pulumi.

Why each thing matters to sealos v3, kubeadm or Kubernetes: reference in the finding's own fix.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from statistics import median

from components.problem import Code, Problem, Severity
from components.remote.models import Machine, MachineError
from components.sealos import addresses, environment, installation, nodes, package_version, sealos_version
from components.sealos.facts import Facts
from components.sealos.findings import settle
from components.sealos.owner import ETCD, on_first_master, owner
from components.sealos.requests import Artifact, Preflight

OLDEST_KUBERNETES = (1, 14)
PORTS = {
    6443: "the API server",
    2379: "etcd's clients",
    2380: "etcd's peers",
    2381: "etcd's metrics",
    10250: "the kubelet",
    10251: "the scheduler",
    10252: "the controller manager",
    10257: "the controller manager",
    10259: "the scheduler",
}
_BGP = 179  # of Calico's agent on every machine
_CGROUPS_2 = (1, 19)  # the first Kubernetes whose kubelet runs on cgroups of version 2 alone
_INSECURE_UNTIL = (1, 23)  # from this Kubernetes on nothing listens on 10251 and 10252 any more
_LEAST_FREE = 1 << 30  # bytes where the images are, which is below /var/lib, with etcd and logs, unless they have a disk of their own
_LEAST_FREE_WITHOUT_IMAGES = 256 << 20  # bytes
_PACKAGE_ROOM = 3  # the package, what is unpacked of it, and its images while they are loaded
_LEAST_CPUS = 2  # kubeadm's NumCPU check of a master, an error there
_LEAST_MEMORY = 1700 << 20  # bytes; kubeadm's Mem check since v1.20
_DOCKER_UNTIL = (1, 20)  # from this Kubernetes on sealos's packages run on containerd, and Docker must not be there
_ARCHITECTURES = {"x86_64", "aarch64"}  # what there are offline packages for
_KNOWN_SYSTEMS = {"centos", "rhel", "fedora", "ubuntu", "debian", "suse", "openeuler", "kylin"}
_TOOLS_FOR_LATER = {"curl"}
_PROXIES = {"envoy", "pilot-agent"}  # what listens for the gateway itself


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
class Source:
    """An artifact that is sent from here.

    Attributes:
        size: bytes; None when it is not here yet.
        problem: why it can't be sent.
    """

    size: int | None = None
    problem: str | None = None


def judge(
    request: Preflight, seen: Mapping[str, Seen | MachineError], sources: Mapping[str, Source] | None = None
) -> list[Problem]:
    """Everything wrong with the machines, in their order, taken as cluster.preflight wants it.

    Args:
        request: the machines and what they are judged by.
        seen: by machine name, what the probe found, or why it could not.
        sources: package and sealos, where they come from here or a URL.
    """
    facts = {name: s.facts for name, s in seen.items() if isinstance(s, Seen)}
    clocks = {name: s.clock for name, s in seen.items() if isinstance(s, Seen)}
    first, sources = request.fleet.first_master, sources or {}
    package = facts[first.name].package_bytes if first.name in facts else None
    if "package" in sources and sources["package"].size is not None:
        package = sources["package"].size
    lead = facts.get(first.name)
    dead = {name: node for name, node in nodes.parse((lead and lead.nodes) or {}).items() if node.silent}
    found = list(_versions(request, first))
    strangers: set[str] = set()  # who is no member yet
    for machine in request.fleet.machines:
        result = seen[machine.name]
        if isinstance(result, MachineError):
            text = result.cause if result.machine == machine.name else f"{result.machine} {result.cause}"
            problem = replace(result.problem, where=machine.name, text=text)
            if result.gone and (node := dead.get(machine.name)):
                text = f"{text}, and its Node is not Ready: {node.why}"
                problem = replace(problem, text=text, fix=f"{nodes.BRING_BACK}.", severity="warning")
            found.append(problem)
            continue
        member = _is_member(request, facts.get(first.name), machine, first, result.facts)
        found += _host(machine, result.facts, masters=sum(m.role == "master" for m in request.fleet.machines))
        found += environment.judge(request, machine, result.facts, member=member)
        found += _system(request, machine, result.facts, facts.get(first.name))
        found += _traces(request, machine, result.facts, member=member)
        found += _gateway_ports(request, machine, result.facts, member=member)
        if not member:
            found += _room(request, machine, result.facts, package or 0)
            found += _mounts(request, machine, result.facts)
            found += addresses.of_machine(request, machine, result.facts)
            strangers.add(machine.name)
            found += _runtimes(request, machine, result.facts)
        if machine == first:
            found += _artifacts(request, machine, result.facts, sources)
            found += _istioctl(request, machine, result.facts)
            found += _their_versions(request, machine, result.facts, sources)
    found += _doubles(facts)
    found += addresses.of_all(request, facts, strangers)
    found += _skews(clocks, request.max_clock_skew)
    order = {machine.name: position for position, machine in enumerate(request.fleet.machines)}
    found = settle(found, warnings_as_errors=request.warnings_as_errors, waive=request.waive)
    return sorted(found, key=lambda finding: (order[finding.where], finding.waived is not None, finding.severity))


def _is_member(request: Preflight, lead: Facts | None, machine: Machine, first: Machine, facts: Facts) -> bool:
    """Whether what lies on the machine belongs to the very cluster that the stack asks for.

    The first master says which cluster it is by what our installation wrote down; the others by the same cluster CA, or by the note
    of a join that did not come as far.
    """
    if lead is None:
        return False
    ours = (lead.marker is not None or lead.intent is not None) and on_first_master(lead, request.cluster).kind == "ours"
    # a cluster made by hand with sealos; whether it is as the settings say is judged by the installation
    adopted = request.adopt and lead.marker is None and lead.nodes is not None and lead.sealos_config is not None
    # a master without sealos's state, to take a first one's place: that is said once, at the master
    heir = machine != first and _alive(request, lead) and lead.sealos_config is None
    if not (ours or adopted or heir):
        return False
    return machine == first or (lead.ca is not None and owner(facts, request.cluster, lead.ca).kind == "ours")


def _minor(version: str) -> tuple[int, int]:
    """Major and minor number; (0, 0) of what is no version."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _versions(request: Preflight, first: Machine) -> Iterator[Problem]:
    if _minor(request.kubernetes_version) < OLDEST_KUBERNETES:
        yield Problem(Code.KUBERNETES_VERSION, first.name, f"cluster.kubernetesVersion is {request.kubernetes_version}, older than v1.14")


def _another_name(name: str, hostname: str) -> tuple[str, str]:
    """Cause and fix. What `hostname` prints is what kubelet registers as and what kubeadm and sealos read, not what DNS has."""
    cause = f"its hostname is {hostname or 'empty'!r}, not {name!r}"
    if hostname.lower() == name:
        cause += " in lower case, as Kubernetes wants it"
    elif hostname and f"{name}.".startswith(f"{hostname.lower()}."):
        cause += ": the short form, and kubelet registers as that"
    elif f"{hostname.lower()}.".startswith(f"{name}."):
        cause += ": the full form, and kubelet registers as that"
    usable = re.fullmatch(r"(?!localhost)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", hostname)
    return cause, f"`hostnamectl set-hostname {name}` on it" + (", or use its hostname as name: it becomes the Node's." if usable else ".")


def _host(machine: Machine, facts: Facts, *, masters: int = 1) -> Iterator[Problem]:
    def error(code: Code, cause: str, fix: str = "") -> Problem:
        return Problem(code, machine.name, cause, fix)

    if facts.uid != 0:
        yield error(Code.ROOT, f"{machine.user} has user id {facts.uid}, not 0")
    if facts.hostname != machine.name:
        yield error(Code.HOSTNAME, *_another_name(machine.name, facts.hostname))
    if not facts.machine_id:
        yield error(Code.MACHINE_ID, "/etc/machine-id is missing or empty")
    if facts.addresses and machine.address not in facts.addresses:
        yield error(Code.ADDRESS, f"{machine.address} is none of its own addresses ({', '.join(facts.addresses)})")
    if lacking := [tool for tool in facts.missing_tools if tool not in _TOOLS_FOR_LATER]:
        yield error(Code.TOOLS, f"lacks {', '.join(lacking)}")
    if machine.role == "master" and masters > 1 and (lacking := [t for t in facts.missing_tools if t in _TOOLS_FOR_LATER]):
        yield Problem(
            Code.TOOLS, machine.name,
            f"lacks {', '.join(lacking)}, by which etcd's members are asked before a master leaves",
            "Install it; without it no master can be taken out or put in another's place.",
            severity="warning",
        )
    if facts.swap:
        yield Problem(Code.SWAP, machine.name, f"{facts.swap} swap area(s) in use", severity="warning")


def _system(request: Preflight, machine: Machine, facts: Facts, lead: Facts | None) -> Iterator[Problem]:
    """Operating system, architecture, CPUs and memory; what is not known is not judged."""

    def finding(code: Code, severity: Severity, cause: str, fix: str = "") -> Problem:
        return Problem(code, machine.name, cause, fix, severity=severity)

    if facts.kernel not in ("", "Linux"):
        yield finding(Code.OS, "error", f"runs {facts.kernel}, not Linux", "Use a Linux machine.")
    elif facts.kernel and not _KNOWN_SYSTEMS & set(facts.os):
        yield finding(
            Code.OS,
            "warning",
            f"its distribution ({facts.os[0] if facts.os else 'no /etc/os-release'}) is none that sealos's packages are made for",
        )
    if facts.cgroups == "cgroup2fs" and _minor(request.kubernetes_version) < _CGROUPS_2:
        yield finding(
            Code.CGROUPS,
            "error",
            f"it has cgroups of version 2 alone, on which the kubelet of {request.kubernetes_version} does not start",
        )
    if facts.arch and facts.arch not in _ARCHITECTURES:
        yield finding(Code.ARCH, "error", f"its architecture is {facts.arch}", "There are packages for x86_64 and aarch64 only.")
    elif facts.arch and lead and lead.arch and facts.arch != lead.arch:
        yield finding(Code.ARCH, "error", f"its architecture is {facts.arch}, the first master's {lead.arch}")
    if machine.role == "master" and facts.cpus is not None and facts.cpus < _LEAST_CPUS:
        yield finding(Code.CPU, "error", f"has {facts.cpus} CPU, a master needs {_LEAST_CPUS}")
    if facts.memory is not None and facts.memory < _LEAST_MEMORY:
        yield finding(Code.MEMORY, "warning", f"has {facts.memory >> 20} MiB of memory, kubeadm wants {_LEAST_MEMORY >> 20} MiB")


def _listener(facts: Facts, port: int) -> str:
    who = facts.listeners.get(port)
    return f" by {who[0]} (process {who[1]})" if who else ""


def _gateway_ports(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Problem]:
    """The ports that a gateway in the node's network takes; on a member the gateway itself may be who listens."""
    for wanted in request.host_ports:
        if wanted.port not in facts.ports or (machine.role if wanted.host is None else wanted.host) not in (
            "node",
            machine.name,
        ):
            continue
        who = facts.listeners.get(wanted.port)
        if member and (who is None or who[0] in _PROXIES):
            continue
        yield Problem(
            Code.GATEWAY_PORT, machine.name,
            f"port {wanted.port} is taken{_listener(facts, wanted.port)}, which {wanted.gateway} needs on its node (host network)",
            severity="error" if wanted.host else "warning",
        )


def _alive(request: Preflight, facts: Facts) -> bool:
    """Whether the machine's API server answers for a cluster that is not ours and has a Ready node."""
    ours = facts.marker is not None or (facts.intent or {}).get("name") == request.cluster
    return not ours and facts.nodes is not None and any(n.ready for n in nodes.parse(facts.nodes).values())


def _traces(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Problem]:
    """Traces of a cluster, on a machine that is no member of ours."""
    if member:
        return
    severity: Severity = "warning" if request.recover else "error"
    if facts.marker is not None and facts.marker.get("name") != request.cluster:
        yield Problem(
            Code.OTHER_CLUSTER, machine.name,
            f"it is the first master of cluster {facts.marker.get('name')!r}, not {request.cluster!r}",
            "Use another machine, or destroy that cluster where it was made.",
        )
        return
    if _alive(request, facts) and machine == request.fleet.first_master and facts.sealos_config is None:
        yield Problem(
            Code.LEFTOVERS, machine.name,
            "it is a master of a live cluster, but what sealos knows of that cluster is not on it",
            "To let it take the place of a first master that is gone for good, put that back first: `pulumi stack output "
            f'sealosBackup --show-secrets | ssh root@{machine.address} "$(cat components/sealos/restore.sh)"` '
            "(docs/operations.md). To adopt a cluster, put the machine first where sealos ran.",
        )
        return
    if _alive(request, facts):
        yield Problem(
            Code.LEFTOVERS, machine.name,
            "it is a master of a live cluster that this program did not make; it is never wiped or installed over",
            "To take that cluster over as it is, set cluster.adopt: true. Otherwise use another machine.",
        )
        return
    whose = owner(facts, request.cluster, None)
    if kept := installation.keeps(facts, machine, whose.kind == "other"):
        yield Problem(Code.OTHER_CLUSTER, machine.name, f"it {kept}: {whose.seen}", f"{installation.KEPT}.")
        return
    if facts.leftovers:
        yield Problem(
            Code.LEFTOVERS, machine.name,
            f"holds what another or a half-made cluster left: {', '.join(facts.leftovers)}",
            "They are wiped before the installation (cluster.recover)."
            if request.recover
            else "Clean the machine (`kubeadm reset -f`, then remove these), or set cluster.recover: true to have it wiped.",
            severity=severity,
        )
    needed = {10250: PORTS[10250]} if machine.role == "node" else dict(PORTS)
    if request.network == "calico":
        needed[_BGP] = "Calico's agent"
    for port in sorted(set(needed) & facts.ports):
        if port in (10251, 10252) and _minor(request.kubernetes_version) >= _INSECURE_UNTIL:
            continue
        yield Problem(
            Code.PORT, machine.name,
            f"port {port} is taken{_listener(facts, port)}, which {needed[port]} needs",
            f"Stop it; `ss -ltnp sport = :{port}` on the machine shows it.",
            severity=severity,
        )


def _room(request: Preflight, machine: Machine, facts: Facts, package: int) -> Iterator[Problem]:
    images = "/var/lib/docker" if _minor(request.kubernetes_version) < _DOCKER_UNTIL else "/var/lib/containerd"
    disks = [
        (place, free, _LEAST_FREE if place == images else _LEAST_FREE_WITHOUT_IMAGES)
        for place, free in facts.own_disks.items()
        if place != ETCD or machine.role == "master"
    ]
    for what, free, needed in (
        ("/var/lib", facts.free_lib, _LEAST_FREE_WITHOUT_IMAGES if images in facts.own_disks else _LEAST_FREE),
        *disks,
        ("/root", facts.free_root, _PACKAGE_ROOM * package),
    ):
        if free is not None and free < needed:
            yield Problem(Code.DISK, machine.name, f"{what} has {free >> 20} MiB free, {needed >> 20} MiB are needed")


def _mounts(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """Folders where sealos, kubelet and containers could not write, or not run what is there."""

    def error(cause: str, fix: str) -> Problem:
        return Problem(Code.MOUNTS, machine.name, cause, fix)

    era = _minor(request.kubernetes_version) < _DOCKER_UNTIL
    images, others = ("/var/lib/docker", "/var/lib/containerd") if era else ("/var/lib/containerd", "/var/lib/docker")
    unused = {others} | ({ETCD} if machine.role == "node" else set())
    if places := [place for place in facts.read_only if place not in unused]:
        yield error(f"nothing can be written to {', '.join(places)}", "Mount it read-write: the package's programs and the cluster's data go there.")
    for place, what in ((images, "the containers' programs"), ("/opt/cni/bin", "the pod network's plugins")):
        if place in facts.noexec:
            yield error(f"{place}, where {what} are, is mounted noexec", f"Mount it without noexec (`mount -o remount,exec`, and /etc/fstab): {what} are run from there.")
    for place, target in facts.broken_links.items():
        if place not in unused:
            yield error(f"{place} is a link to {target}, which is not there", f"Make that folder (is its disk mounted?), or remove the link: nothing could be put into {place}.")


def _istioctl(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    """It is installed last of all, which would be late to find it missing."""
    if (wanted := request.istioctl) is None:
        return
    if not facts.istioctl_bytes:
        cause = f"{wanted.path} (istio.istioctl.path) is {'not there' if facts.istioctl_bytes is None else 'empty'}"
    elif wanted.sha256 and facts.istioctl_sha256 != wanted.sha256:
        cause = f"{wanted.path} has SHA-256 {facts.istioctl_sha256}, not {wanted.sha256} (istio.istioctl.sha256)"
    else:
        return
    fix = f"Copy istioctl to {machine.name}, or take istio.istioctl out of the settings."
    yield Problem(Code.ISTIOCTL, machine.name, cause, fix)


def _artifacts(request: Preflight, machine: Machine, facts: Facts, sources: Mapping[str, Source]) -> Iterator[Problem]:
    def error(code: Code, cause: str, fix: str = "") -> Problem:
        return Problem(code, machine.name, cause, fix)

    pairs: list[tuple[Code, Code, Artifact, int | None, str | None]] = [
        (Code.PACKAGE, Code.PACKAGE_SHA256, request.package, facts.package_bytes, facts.package_sha256),
        (Code.SEALOS, Code.SEALOS_SHA256, request.sealos, facts.sealos_bytes, facts.sealos_sha256),
    ]
    for what, another, artifact, size, sha256 in pairs:
        if artifact.file or artifact.url:
            # it is sent when it is not there yet, or is another file
            if sha256 != artifact.sha256 and what in sources and (problem := sources[what].problem):
                yield error(what, problem, "Put it there, or correct the setting; it is sent from here to the first master.")
        elif size is None:
            yield error(
                what,
                f"{artifact.path} (cluster.{what}.path) is not there",
                f"Copy the {'offline package' if what is Code.PACKAGE else 'sealos binary'} to {machine.name}, or set cluster.{what}.file or .url to have it sent.",
            )
        elif not size:
            yield error(what, f"{artifact.path} is empty", "Copy it again.")
        elif artifact.sha256 and sha256 != artifact.sha256:
            yield error(another, f"{artifact.path} has SHA-256 {sha256}, not {artifact.sha256} (cluster.{what}.sha256)")
    if unchecked := [f"cluster.{what}.sha256" for what, _, artifact, size, _ in pairs if size and not artifact.sha256]:
        yield Problem(
            Code.UNCHECKED, machine.name,
            f"{' and '.join(unchecked)} {'is' if len(unchecked) == 1 else 'are'} not set: a file cut off on its way, or another one, would not be noticed",
            severity="warning",
        )


def _their_versions(
    request: Preflight, machine: Machine, facts: Facts, sources: Mapping[str, Source]
) -> Iterator[Problem]:
    """What package and sealos say they are; one that is to be sent in their place is asked when it has come."""
    package, sealos = request.package, request.sealos
    for artifact, sent, arch in (
        (package, sources.get("package") and facts.package_sha256 != package.sha256, facts.package_arch),
        (sealos, sources.get("sealos") and facts.sealos_sha256 != sealos.sha256, facts.sealos_arch),
        (request.istioctl, None, facts.istioctl_arch),
    ):
        if artifact and not sent and arch and facts.arch and arch != facts.arch:
            cause = f"{artifact.path} is for {arch}, and this machine is {facts.arch}"
            yield Problem(Code.ARCH, machine.name, cause, f"Get the one for {facts.arch}.")
            if artifact is sealos:
                return
    if facts.package_bytes and not (sources.get("package") and facts.package_sha256 != package.sha256):
        wrong = package_version.mismatch(facts, package.path, request.kubernetes_version)
        if wrong:
            yield Problem(Code.PACKAGE_VERSION, machine.name, wrong[1], severity=wrong[0])
    if not facts.sealos_bytes or (sources.get("sealos") and facts.sealos_sha256 != sealos.sha256):
        return
    if facts.sealos_why:
        fix = "Put it where programs are run, as /usr/local/bin/sealos (cluster.sealos.path); or mount its folder without noexec."
        yield Problem(Code.SEALOS, machine.name, f"{sealos.path} can't be run there ({facts.sealos_why})", fix)
    elif facts.sealos_version is None:
        yield Problem(Code.SEALOS, machine.name, f"{sealos.path} is not executable", f"`chmod 0755 {sealos.path}` on it.")
    elif refused := sealos_version.refusal(facts.sealos_version):
        code, why = refused
        yield Problem(code, machine.name, f"{sealos.path} {why}")


def _runtimes(request: Preflight, machine: Machine, facts: Facts) -> Iterator[Problem]:
    minor = _minor(request.kubernetes_version)
    if not any(minor):
        return
    docker_era = minor < _DOCKER_UNTIL
    if docker_era:
        yield from addresses.of_dockers_bridge(request, machine, facts)
    if not docker_era and "dockerd" in facts.runtimes:
        yield Problem(
            Code.RUNTIME, machine.name,
            f"Docker is installed, and sealos refuses that for {request.kubernetes_version}, which runs on containerd",
            "Remove Docker from it.",
        )
    if "containerd" in facts.runtimes and not (docker_era and "dockerd" in facts.runtimes):
        yield Problem(
            Code.RUNTIME, machine.name,
            "containerd is installed already; the package brings its own and may clash with it",
            "Prefer a machine without it.",
            severity="warning",
        )
    if facts.nameservers and all(ip_address(address).is_loopback for address in facts.nameservers):
        yield Problem(
            Code.NAMESERVER, machine.name,
            f"its /etc/resolv.conf names nobody but itself ({', '.join(facts.nameservers)}), and CoreDNS, which is given that list, would ask "
            f"itself and end (its plugin `loop`)",
            "Name the resolver behind it there, `nameserver ADDRESS`.",
            severity="warning",
        )
    if not docker_era and facts.no_nameserver:  # Docker puts a public one there, containerd leaves it out
        yield Problem(
            Code.NAMESERVER, machine.name,
            "/etc/resolv.conf names no nameserver, and CoreDNS does not start on containerd without one",
            "Add one, `nameserver ADDRESS`; where there is none, an address where nobody answers (not 127.0.0.1) serves CoreDNS as well.",
        )


def _doubles(facts: Mapping[str, Facts]) -> Iterator[Problem]:
    """Machines that can't be told apart. Each is named on every host that has it."""
    for code, what, values in (
        (Code.SAME_HOSTNAME, "hostname", {n: f.hostname.lower() for n, f in facts.items()}),
        (Code.SAME_MACHINE_ID, "machine-id", {n: f.machine_id for n, f in facts.items()}),
    ):
        owners = defaultdict(list)
        for name, value in values.items():
            owners[value].append(name)
        for value, names in owners.items():
            for name in names if value and len(names) > 1 else ():
                others = ", ".join(other for other in names if other != name)
                yield Problem(code, name, f"has the same {what} as {others}: {value}")


def _skews(clocks: Mapping[str, Clock], limit: float) -> Iterator[Problem]:
    if len(clocks) < 2:
        return
    middle = median(clock.offset for clock in clocks.values())
    for name, clock in clocks.items():
        skew = clock.offset - middle
        if abs(skew) - clock.uncertainty > limit:
            yield Problem(
                Code.CLOCK, name,
                f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the median of all machines (cluster.maxClockSkew is {limit:g} s)",
            )
