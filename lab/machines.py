"""The lab's machines: Python API of ``python -m lab`` (docs/lab.md).

    with Lab(tmp_path, "198.18.5.0/24") as lab:
        lab.run("sealos02", "hostname").stdout

State directory (mode 0700; what tells nothing secret may be read by root's programs only all the same):

    id_ed25519, id_ed25519.pub   key that may log in as root everywhere
    password                     root's password everywhere
    known_hosts                  host keys by address, OpenSSH form
    inventory.yaml               names, addresses, roles and hostKey lines
    host_keys/, machines/        the machines' host keys and disks
    logs/                        consoles and supervisor
    layer/                       what lies between this host's /usr and the machines' own
    running                      held locked by the supervisor while the lab is up
    control                      its socket
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from devtools import doctor, releases
from lab import cgroups, checks, disk, images, package

PROJECT = Path(__file__).resolve().parent.parent
NAMES = ("sealos01", "sealos02", "sealos03", "sealos04")  # what a lab has unless it is told a number
MOST_MACHINES = 16
DEFAULT_NETWORK = "198.51.100.0/24"  # TEST-NET-2: nobody's network
FIRST_HOST = 11  # sealos01 is .11; the host's own end is .1
CONTOUR = "contour"  # there as far as it is built: few stacks install it
OF_KUBERNETES = {"kube", *package.PROGRAMS}
ISTIO = releases.ISTIO[0].version
# What must be built: what the machines are made of, the images, and what a person brings.
BINARIES = (
    "usr", "images", "etcd", "kube", "kubeadm", "kubelet", "kubectl", "istio", "envoy-bootstrap", "istio-cni", "istio-cni-iptables",
    "istioctl", "sealos",
)  # fmt: skip


class LabError(Exception):
    """The lab cannot do what was asked; the text says why and what to do."""


@dataclass(frozen=True)
class Host:
    """A machine as one logs in to it."""

    name: str
    address: str
    role: Literal["master", "node"]
    host_key: str
    port: int = 22
    user: str = "root"


@dataclass(frozen=True)
class HostStatus:
    """A machine as it is now: power, whether sshd greets, names of the programs that run on it."""

    name: str
    address: str
    on: bool
    ssh: bool
    programs: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The lab as it is now; interface is the host's end of the cable ("" when the lab is down)."""

    up: bool
    network: str
    interface: str
    hosts: tuple[HostStatus, ...]
    sealos: Literal["stand-in", "real"]


def _greets(address: str, port: int = 22, timeout: float = 0.5) -> bool:
    """Whether an SSH server greets at the address within the timeout (seconds)."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=timeout) as connection:
        return connection.recv(256).startswith(b"SSH-2.0")
    return False


def _run(command: Sequence[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
    return str(done.stdout)


class Lab:
    """Machines on a network of this host; four unless told otherwise.

    Args:
        directory: state directory; default $LAB_DIR or .lab in the checkout.
        network: IPv4 network of at least 16 addresses; default $LAB_NETWORK, else the one it was on last, else 198.51.100.0/24.
        sealos: a real sealos for the first master; default $LAB_SEALOS, else the stand-in.
        count: how many machines; default $LAB_MACHINES, else as many as it had last, else 4.
        kubernetes: version of the offline package and the control plane; default $LAB_KUBERNETES, else what it had last, else v1.16.3.

    Attributes:
        names: the machines', sealos01 first.
        release: the Kubernetes.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        network: str | None = None,
        *,
        sealos: Path | str | None = None,
        count: int | None = None,
        kubernetes: str | None = None,
    ) -> None:
        self.directory = Path(directory or os.environ.get("LAB_DIR") or PROJECT / ".lab").resolve()
        wanted = network or os.environ.get("LAB_NETWORK") or self._last_network() or DEFAULT_NETWORK
        try:
            self.network = ipaddress.IPv4Network(wanted)
        except ValueError as error:
            raise LabError(
                f"LAB_NETWORK: {wanted!r} is not an IPv4 network: {error}. Example: {DEFAULT_NETWORK}"
            ) from None
        self.names = self._names(count)
        if self.network.num_addresses <= FIRST_HOST + len(self.names):
            raise LabError(f"LAB_NETWORK: {wanted} is too small, take a /24. Example: {DEFAULT_NETWORK}")
        self.release = self._release(kubernetes)
        given = sealos or os.environ.get("LAB_SEALOS")
        self.sealos = Path(given).resolve() if given else None
        self.key, self.known_hosts = self.directory / "id_ed25519", self.directory / "known_hosts"
        self.inventory = self.directory / "inventory.yaml"

    def _last_plan(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            plan: dict[str, Any] = json.loads((self.directory / "plan.json").read_text())
            return plan
        return {}

    def _last_network(self) -> str | None:
        with contextlib.suppress(ValueError, KeyError):
            return str(ipaddress.IPv4Interface(self._last_plan()["host"]).network)
        return None

    def _names(self, count: int | None) -> tuple[str, ...]:
        wanted = str(count or os.environ.get("LAB_MACHINES") or len(self._last_plan().get("machines", NAMES)))
        if not wanted.isdecimal() or not 1 <= int(wanted) <= MOST_MACHINES:
            raise LabError(f"LAB_MACHINES: {wanted!r} is no number of machines from 1 to {MOST_MACHINES}. Example: 6")
        return tuple(f"sealos{number:02}" for number in range(1, int(wanted) + 1))

    def _release(self, kubernetes: str | None) -> package.Release:
        had = self._last_plan().get("kubernetes")
        wanted = kubernetes or os.environ.get("LAB_KUBERNETES") or had or package.RELEASES[0].version
        if had not in (None, wanted):
            raise LabError(
                f"LAB_KUBERNETES: {wanted} is asked for, and the machines in {self.directory} have {had}. "
                f"Fix: set LAB_DIR to another directory, or unset LAB_KUBERNETES"
            )
        for release in package.RELEASES:
            if release.version == wanted:
                return release
        there = ", ".join(release.version for release in package.RELEASES)
        raise LabError(f"LAB_KUBERNETES: the lab has {there}, not {wanted!r}. Example: {package.RELEASES[-1].version}")

    # What it is -----------------------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> dict[str, str]:
        """Address by machine name."""
        return {name: str(self.network[FIRST_HOST + number]) for number, name in enumerate(self.names)}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The machines with their host keys; LabError before the first ``up``."""
        found = []
        for name, address in self.addresses.items():
            public = self.directory / "host_keys" / f"{name}.pub"
            if not public.exists():
                raise LabError("the lab has no machines yet. Start it: python -m lab up")
            role: Literal["master", "node"] = "master" if name == self.names[0] else "node"
            found.append(Host(name, address, role, " ".join(public.read_text().split()[:2])))
        return tuple(found)

    @property
    def password(self) -> str:
        """Root's password on every machine."""
        return (self.directory / "password").read_text().rstrip("\n")

    def root(self, name: str) -> Path:
        """The machine's files as this host sees them (without /usr, /run and what else is mounted there); read, don't write."""
        return self._disk(name) / "root"

    def _disk(self, name: str) -> Path:
        if name not in self.names:
            raise LabError(f"no machine {name!r}; the lab has {', '.join(self.names)}")
        return self.directory / "machines" / name

    # Up and down ----------------------------------------------------------------------------------------------------------------

    def up(self, progress: Callable[[str], None] = lambda _: None) -> bool:
        """Start the lab, and in a lab that is up the machines that are off; returns when every machine can be logged in to.

        Args:
            progress: called with a line of text per step.

        Returns:
            False when everything was up already and nothing was done.

        Raises:
            LabError: with everything that is missing, or with what a machine that did not come up said.
        """
        if os.geteuid() == 0:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        else:
            self._refuse(self._findings())
        while (lock := self._try_lock()) is None:
            with contextlib.suppress(FileNotFoundError):  # it ended in between
                return self._power_on_rest(progress)
        try:
            self._settle()
            self._refuse(self._findings())
            progress("making keys, package and disks")
            self._make_login()
            lacking = self._make_disks(self.names)
            plan = self._write_plan()
            progress("starting the machines")
            self._launch(lock, plan)
        finally:
            os.close(lock)
        try:
            self._wait_until_greeting(self.names)
            self._fill_store(lacking, progress)
        except BaseException:
            self.down()
            raise
        return True

    def down(self) -> bool:
        """Power everything off at once; disks and keys stay. Returns False when nothing was up.

        Raises:
            LabError: something is still there after 15 seconds.
        """
        with contextlib.suppress(FileNotFoundError):
            outer, inner = self._owner()
            with contextlib.suppress(ProcessLookupError):
                os.kill(inner or outer, signal.SIGKILL)
            # The supervisor is waited for, because the kernel ends every process of the lab before it lets go of its first one.
            deadline = time.monotonic() + 15
            while any(pid is not None and _exists(pid) for pid in (inner, outer)):
                if time.monotonic() > deadline:
                    raise LabError(f"the lab's process {outer} did not end within 15 seconds")
                time.sleep(0.02)
            self._settle()
            return True
        self._settle()
        return False

    def reset(self, names: Iterable[str] | None = None) -> None:
        """Make machines (all by default) bare again: fresh disks, the same keys and password; those that are on are powered off and on."""
        names = self.names if names is None else tuple(names)
        for name in names:
            self._disk(name)
        powered = {host.name for host in self.status(ssh=False).hosts if host.on} & set(names)
        if powered:
            self._ask("stop", sorted(powered))
        for name in names:
            disk.remove(self._disk(name))
        if powered:
            lacking = self._make_disks(names)
            self._ask("start", sorted(powered))
            self._wait_until_greeting(sorted(powered))
            self._fill_store([name for name in lacking if name in powered])

    def stop_machine(self, name: str) -> None:
        """Pull a machine's plug; its disk stays as it is."""
        self._disk(name)
        self._ask("stop", [name])

    def start_machine(self, name: str) -> None:
        """Power a machine on again and wait until it can be logged in to."""
        self._disk(name)
        self._ask("start", [name])
        self._wait_until_greeting([name])

    def __enter__(self) -> Self:
        """Start the lab."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Power it off."""
        self.down()

    # Looking and logging in -----------------------------------------------------------------------------------------------------

    def status(self, *, ssh: bool = True) -> Status:
        """The lab as it is now; with ssh, each machine that is on is asked for its greeting (at most half a second, all at once)."""
        sealos: Literal["stand-in", "real"] = "real" if (self.directory / "sealos-is-real").exists() else "stand-in"
        try:
            reply = self._ask("status")
        except LabError:
            off = tuple(
                HostStatus(name, address, on=False, ssh=False, programs=()) for name, address in self.addresses.items()
            )
            return Status(up=False, network=str(self.network), interface="", hosts=off, sealos=sealos)
        # a lab that is up with fewer machines than are asked for here says nothing of the others
        seen: dict[str, dict[str, Any]] = {name: {"on": False, "programs": ()} for name in self.names} | reply[
            "machines"
        ]
        with ThreadPoolExecutor(len(self.names)) as pool:
            greets = dict(
                zip(
                    self.names,
                    pool.map(lambda n: ssh and seen[n]["on"] and _greets(self.addresses[n]), self.names),
                    strict=True,
                )
            )
        hosts = tuple(
            HostStatus(name, address, seen[name]["on"], greets[name], tuple(seen[name]["programs"]))
            for name, address in self.addresses.items()
        )
        return Status(up=True, network=str(self.network), interface=reply["interface"], hosts=hosts, sealos=sealos)

    def ssh_command(self, name: str, *command: str) -> list[str]:
        """The ssh command that logs in to a machine by the lab's key, against its pinned host key, without prompts.

        Args:
            name: the machine.
            command: program and arguments to run there; none for a shell.

        Raises:
            LabError: the lab is not up, or the machine is off.
        """
        self._disk(name)
        # Without the lab's own route the address would be looked for on networks that are not ours.
        if not self._ask("status")["machines"][name]["on"]:
            raise LabError(f"{name} is off. Power it on: python -m lab up")
        options = {
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "PasswordAuthentication": "no",
            "ConnectTimeout": "10",
            "LogLevel": "ERROR",
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        there = ["--", shlex.join(command)] if command else []
        return ["ssh", "-F", "none", "-i", str(self.key), *flags, f"root@{self.addresses[name]}", *there]

    def run(
        self, name: str, *command: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a machine; the status is not checked.

        Args:
            name: the machine.
            command: program and arguments (``"bash", "-c", "…"`` for shell text).
            stdin: text for its standard input.
            timeout: seconds; subprocess.TimeoutExpired afterwards.
        """
        return subprocess.run(
            self.ssh_command(name, *command),
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def inside(self, name: str, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program on a machine by way of its namespaces, so that SSH is not needed; the status is not checked.

        Args:
            name: the machine; it is on.
            command: program and arguments.
            timeout: seconds; subprocess.TimeoutExpired afterwards.
        """
        first = next((pid for machine in self._machine_processes(name) for pid in _children(machine)), None)
        if first is None:
            raise LabError(f"{name} is off. Power it on: python -m lab up")
        return subprocess.run(
            ["nsenter", f"--target={first}", "--all", "env", "-i", f"PATH={doctor.SYSTEM_PATH}", "HOME=/root", "LANG=C.UTF-8", *command],
            input="", capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def _machine_processes(self, name: str) -> Iterator[int]:
        """The process outside a machine's namespaces that made them."""
        self._disk(name)
        with contextlib.suppress(FileNotFoundError):
            for child in _children(self._owner()[1] or 0):
                with contextlib.suppress(OSError):
                    if os.fsencode(name) in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                        yield child

    def log_file(self, name: str | None = None) -> Path:
        """The supervisor's log, or a machine's console."""
        if name is not None:
            self._disk(name)
        return self.directory / "logs" / f"{name or 'supervisor'}.log"

    def journal(self, name: str, *options: str) -> str:
        """A machine's journal, also when it is off, as journalctl shows it with these options."""
        return _run(["journalctl", "--directory", str(self.root(name) / "var/log/journal"), "--no-pager", "--quiet", *options])

    # How ------------------------------------------------------------------------------------------------------------------------

    def _findings(self) -> list[str]:
        """What keeps the lab from starting here."""
        return checks.findings(self.directory, self.network, self._unavailable())

    @staticmethod
    def _refuse(findings: Sequence[str]) -> None:
        if findings:
            raise LabError("the lab cannot start:\n" + "\n".join(f"  - {finding}" for finding in findings))

    def _binary(self, name: str) -> Path:
        if name == "sealos" and self.sealos is not None:
            if not (self.sealos.is_file() and os.access(self.sealos, os.X_OK)):
                raise LabError(
                    f"LAB_SEALOS: {self.sealos} is not a program. Fix: give the path of a sealos v3 binary, chmod +x"
                )
            return self.sealos
        from devtools import parts

        return parts.binary(name + self.release.suffix if name in OF_KUBERNETES else name)

    def _store(self, offline: Path) -> Path:
        """What the container runtime keeps of a package's images and those beside it: every machine begins with it, hard-linked."""
        brought = self._brought_images()
        return offline.parent / f"store-{brought.stem if brought else 'alone'}"

    def _fill_store(self, names: Sequence[str], progress: Callable[[str], None] = lambda _: None) -> None:
        """Has one of these new machines, which lack images, load them, keeps the result for all labs, and makes them anew with it."""
        if not names:
            return
        progress("loading the images, once for all labs with the same")
        name, offline = names[0], self._package()
        store = self._store(offline)
        half = store.with_name(f"store.{os.getpid()}.part")
        try:
            self._load_images(name, offline)
            self.stop_machine(name)
            _run(["cp", "-a", str(self.root(name) / "var/lib" / self.release.runtime.name), str(half)])
        except BaseException:  # half of them would be taken for all
            self.stop_machine(name)
            disk.remove(self._disk(name))
            raise
        try:
            half.rename(store)
        except OSError:  # another lab was faster
            shutil.rmtree(half)
        disk.keep(store, store.parent.glob("store-*"))
        self.start_machine(name)
        self.reset(names)

    def _load_images(self, name: str, offline: Path) -> None:
        """Has a machine's container runtime load those of the package and those beside it, and stops it."""
        runtime, there = self.release.runtime, self.root(name) / "var/tmp"
        disk.place(there / "package.tar.gz", offline, 0o600)
        if brought := self._brought_images():
            disk.place(there / "brought.tar", brought, 0o600)
        load = (
            f"mkdir /tmp/load && cd /tmp/load && tar xzf /var/tmp/package.tar.gz && cd kube/shell && bash {runtime.name}.sh && "
            f"shopt -s nullglob && for archive in ../images/*.tar /var/tmp/brought*.tar; do {runtime.load} $archive || exit; done && "
            f"systemctl stop {' '.join(runtime.units)}"
        )
        done = self.run(name, "bash", "-c", load, timeout=600)
        if done.returncode:
            raise LabError(f"the images could not be loaded on {name}: {done.stderr.strip() or done.stdout.strip()}")

    def _package(self) -> Path:
        """The offline package's file."""
        from devtools import parts
        from lab.package import catalog

        programs = {program: self._binary(program) for program in (*package.PROGRAMS, *self._of_runtime())}
        kept = parts.cache_root() / "packages" / self.release.version
        archive = images.archive(kept, "images", catalog.kubernetes(self.release, self._binary))
        return package.build(kept / "package", self.release, package.contents(self.release, programs, archive))

    def _brought_images(self) -> Path | None:
        """The archive of the images that no package has and no machine has a registry for: Istio's, and Contour's, as far as they are built."""
        from devtools import parts
        from lab.package import catalog

        versions = [version for version in self.release.istios if any(self._built(f"istio-{version}"))]
        if not self.release.suffix:
            versions.insert(0, ISTIO)
        listed = [image for version in versions for image in catalog.istio(version, self._binary)]
        if not self.release.suffix and any(self._built("galley")):
            listed += catalog.separate(ISTIO, self._binary)
        if any(self._built(CONTOUR)):
            listed += catalog.contour(self._binary)
        return images.archive(parts.cache_root() / "packages" / self.release.version, "brought", listed) if listed else None

    def _of_runtime(self) -> tuple[str, ...]:
        """What the offline package has in kube/bin for its container runtime: kubeadm asks containerd by way of crictl."""
        return ("crictl",) if self.release.runtime is package.CONTAINERD else ()

    def _layer(self) -> Path:
        """What lies between this host's /usr and the machines' own: a copy, since what is built goes when it is built anew."""
        from devtools import parts

        kept = self.directory / "layer"
        if kept.exists():
            shutil.rmtree(kept)
        kept.mkdir()
        _run(["cp", "-a", str(parts.binary("usr")), str(kept)])
        return kept

    def _built(self, name: str) -> Iterator[tuple[str, Path]]:
        """A program that the lab can do without: its name and path, or nothing when it isn't built."""
        from devtools.golang import ToolMissing

        with contextlib.suppress(ToolMissing, LabError):
            yield name, self._binary(name)

    def _unavailable(self) -> Iterator[str]:
        """What is missing of the lab's own programs; one line for all that is not built."""
        from devtools.golang import ToolMissing

        unbuilt, others = [], dict[str, None]()
        for name in (*BINARIES, self.release.coredns, *self._of_runtime()):
            try:
                self._binary(name)
            except ToolMissing as error:
                if str(error).startswith(name):
                    unbuilt.append(name)
                else:  # Go, or a wheel: the same words for every part that needs it
                    others[str(error)] = None
            except LabError as error:
                others[str(error)] = None
        if unbuilt:
            late = self.release.suffix and {*OF_KUBERNETES, self.release.coredns, *self._of_runtime()}.intersection(unbuilt)
            fix = "make tools" + (", then python -m devtools build --only istio-later" if late else "")
            yield f"not built yet: {', '.join(unbuilt)}. Fix: {fix}"
        yield from others

    def _try_lock(self) -> int | None:
        """The lab's lock, as a descriptor that the supervisor inherits; None while a lab holds it."""
        fd = os.open(self.directory / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)  # the process named by an earlier lab is another one by now
        return fd

    def _owner(self) -> tuple[int, int | None]:
        """Process ids of the lab's outer process and of the supervisor in it; FileNotFoundError when no lab runs."""
        if not self.directory.exists():
            raise FileNotFoundError(self.directory)
        lock = self._try_lock()
        if lock is not None:
            os.close(lock)
            raise FileNotFoundError(self.directory / "running")
        deadline = time.monotonic() + 15
        while not (text := (self.directory / "running").read_text().strip()):
            # another `up` holds the lock and has not launched yet
            if time.monotonic() > deadline:
                raise LabError(
                    f"another program has held {self.directory / 'running'} for 15 seconds. Fix: let the other `lab up` finish, or end it"
                )
            time.sleep(0.05)
        outer = int(text)
        for namespaces in _children(outer):
            for inner in _children(namespaces):
                return outer, inner
        return outer, None

    def _settle(self) -> None:
        """Wait until the kernel has taken the interface of a lab that ended off the host (at most 15 seconds); its cgroups go, too."""
        cgroups.remove(cgroups.name_of(self.directory))
        record = self.directory / "interface"
        if not record.exists():
            return
        name, index = record.read_text().split()
        deadline = time.monotonic() + 15
        while _index(name) == index:  # another lab's interface of that name has another
            if time.monotonic() > deadline:
                raise LabError(f"the interface {name} of the lab that ended is still there after 15 seconds")
            time.sleep(0.02)
        record.unlink(missing_ok=True)

    def _make_login(self) -> None:
        """Keys, password, known_hosts and inventory; what is there stays."""
        keys = self.directory / "host_keys"
        keys.mkdir(exist_ok=True, mode=0o700)
        wanted = {self.key: "sealos-istio lab", **{keys / name: name for name in self.names}}
        for path, comment in wanted.items():
            if not path.with_suffix(".pub").exists():
                path.unlink(missing_ok=True)
                _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
        secret = self.directory / "password"
        if not secret.exists():
            # With characters that a careless shell line would trip over, so that quoting is tried in every run.
            disk.write(secret, f"{secrets.token_urlsafe(15)}'$#\n", 0o600)
        import yaml

        hosts = self.hosts
        disk.write(self.known_hosts, "".join(f"{host.address} {host.host_key}\n" for host in hosts), 0o600)
        content = {
            "network": str(self.network),
            "machines": [
                {
                    "name": h.name,
                    "address": h.address,
                    "port": h.port,
                    "user": h.user,
                    "role": h.role,
                    "hostKey": h.host_key,
                }
                for h in hosts
            ],
        }
        disk.write(self.inventory, yaml.safe_dump(content, sort_keys=False), 0o600)

    def _make_disks(self, names: Iterable[str]) -> list[str]:
        """Disks that are missing, and on the first master what a person brings: the package, sealos, istioctl.

        Returns:
            The machines that lack images, because nobody has loaded these yet.
        """
        (self.directory / "machines").mkdir(exist_ok=True)
        hashed = ""
        for name in names:
            if not self._disk(name).exists():
                hashed = hashed or _run(["openssl", "passwd", "-6", "-stdin"], input=self.password).strip()
                disk.create(
                    self._disk(name),
                    name,
                    password_hash=hashed,
                    public_key=self.key.with_suffix(".pub"),
                    host_key=self.directory / "host_keys" / name,
                    nameserver=str(self.network[2]),  # nobody answers there, which is told at once
                )
        if self.sealos is not None:
            from devtools import parts

            for name in names:
                disk.serve_virtually(self._disk(name), self.addresses[self.names[0]], parts.binary("sealos"))
        offline = self._package()
        kept = {name: self.root(name) / "var/lib" / self.release.runtime.name for name in names}
        if (store := self._store(offline)).exists():
            for folder in kept.values():
                disk.link(store, folder)
        if self.names[0] in names:
            brought = {
                f"root/{offline.name}": (offline, 0o644),
                "root/sealos": (self._binary("sealos"), 0o755),
                f"root/istioctl-{ISTIO}": (self._binary("istioctl"), 0o755),
                **{
                    f"root/{name}": (path, 0o755)
                    for version in self.release.istios
                    for name, path in self._built(f"istioctl-{version}")
                },
            }
            disk.bring(self._disk(self.names[0]), brought)
            if self.sealos is not None:
                disk.write(self.directory / "sealos-is-real", f"{self.sealos}\n")
            else:
                (self.directory / "sealos-is-real").unlink(missing_ok=True)
        return [name for name, folder in kept.items() if not folder.exists()]

    def _write_plan(self) -> Path:
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        for name in (*self.names, "supervisor"):
            (logs / f"{name}.log").write_text("")
        prefix = self.network.prefixlen
        plan = {
            "host": f"{self.network[1]}/{prefix}",
            "router": f"{self.network[2]}/{prefix}",
            "kubernetes": self.release.version,
            "cgroup": cgroups.name_of(self.directory),
            "machines": [
                {"name": n, "address": f"{a}/{prefix}", "disk": str(self._disk(n))} for n, a in self.addresses.items()
            ],
            "layer": str(self._layer()),
            "logs": str(logs),
        }
        path = self.directory / "plan.json"
        path.write_text(json.dumps(plan, indent=1))
        return path

    def _launch(self, lock: int, plan: Path) -> None:
        """Start the supervisor in namespaces of its own; it inherits the lock and outlives this process."""
        hostnet = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            with (self.directory / "logs" / "supervisor.log").open("ab") as log:
                process = subprocess.Popen(
                    ["sh", "-c", _KEEPER, "lab", cgroups.name_of(self.directory),
                     "setpriv", "--pdeathsig", "KILL",
                     "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net", "--uts", "--ipc",
                     sys.executable, "-m", "lab.supervisor", str(plan), str(hostnet)],
                    cwd=PROJECT, env={"PATH": doctor.SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/root"},
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock, hostnet], start_new_session=True,
                )  # fmt: skip
        finally:
            os.close(hostnet)
        os.pwrite(lock, f"{process.pid}\n".encode(), 0)
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(LabError):
                name = self._ask("status")["interface"]
                disk.write(self.directory / "interface", f"{name} {_index(name)}\n")
                return
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                said = (self.directory / "logs" / "supervisor.log").read_text().strip()
                raise LabError(f"the lab could not start: {said or 'no answer within 15 seconds'}")
            time.sleep(0.02)

    def _power_on_rest(self, progress: Callable[[str], None]) -> bool:
        """In a lab that is up (or just starting): power on what is off."""
        self._owner()
        deadline = time.monotonic() + 15
        while not (now := self.status(ssh=False)).up:
            if time.monotonic() > deadline:
                raise LabError(
                    f"the lab is up but does not answer. Fix: python -m lab down, then up (log: {self.log_file()})"
                )
            time.sleep(0.05)
        plan = self._last_plan()
        running, machines = plan["host"], len(plan["machines"])
        if running != f"{self.network[1]}/{self.network.prefixlen}":
            raise LabError(
                f"the lab is up on another network ({running}). Fix: python -m lab down first, or unset LAB_NETWORK"
            )
        if machines != len(self.names):
            raise LabError(
                f"the lab is up with {machines} machines. Fix: python -m lab down first, or unset LAB_MACHINES"
            )
        off = [host.name for host in now.hosts if not host.on]
        if off:
            progress(f"starting {', '.join(off)}")
            lacking = self._make_disks([name for name in off if not self._disk(name).exists()])
            self._ask("start", off)
        self._wait_until_greeting(self.names)
        if off:
            self._fill_store(lacking, progress)
        return bool(off)

    def _wait_until_greeting(self, names: Iterable[str], limit: float = 60) -> None:
        """Wait until sshd greets on all of the machines; a machine that went off is reported with its console's last lines."""
        waiting = list(names)
        deadline = time.monotonic() + limit
        while waiting:
            waiting = [name for name in waiting if not _greets(self.addresses[name])]
            if not waiting:
                return
            seen = self._ask("status")["machines"]
            dead = [name for name in waiting if not seen[name]["on"]]
            if dead or time.monotonic() > deadline:
                said = [f"{name}: {_tail(self.log_file(name))}" for name in dead or waiting]
                raise LabError("no SSH server answers on\n" + "\n".join(said))
            time.sleep(0.03)

    def _ask(self, do: str, machines: Sequence[str] = ()) -> dict[str, Any]:
        """One request to the supervisor; LabError when none runs or it refuses."""
        try:
            place = os.open(self.directory, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            raise LabError("the lab is not up. Start it: python -m lab up") from None
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                # by descriptor: a socket's address may have 107 bytes at most
                connection.connect(f"/proc/self/fd/{place}/control")
                connection.sendall(json.dumps({"do": do, "machines": list(machines)}).encode() + b"\n")
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
        except OSError:
            raise LabError("the lab is not up. Start it: python -m lab up") from None
        finally:
            os.close(place)
        reply: dict[str, Any] = json.loads(answer or b'{"error": "the lab is going down"}')
        if "error" in reply:
            raise LabError(f"the lab refused: {reply['error']}")
        return reply


# The outermost process of a lab: everything that has a name outside is taken away when the lab has ended. Machines that still end let
# nobody take their cgroups, for some milliseconds.
_KEEPER = r"""
name=$1
shift
"$@"
status=$?
for _ in $(seq 100); do
  find /sys/fs/cgroup/*/"$name" -depth -type d -exec rmdir {} + 2>/dev/null
  ls -d /sys/fs/cgroup/*/"$name" >/dev/null 2>&1 || break
  sleep 0.05
done
exit $status
"""


def _children(pid: int) -> list[int]:
    """Processes that a process started."""
    with contextlib.suppress(OSError, ValueError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _index(interface: str) -> str:
    """The kernel's number of a network interface of this host; "" when there is none."""
    with contextlib.suppress(OSError):
        return Path("/sys/class/net", interface, "ifindex").read_text().strip()
    return ""


def _tail(log: Path, lines: int = 3) -> str:
    return (
        " / ".join(line.strip() for line in log.read_text(errors="replace").splitlines()[-lines:])
        or "(it said nothing)"
    )


def _exists(pid: int) -> bool:
    """Whether there is such a process; one of our own that ended is collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()
