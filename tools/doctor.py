"""Looks for everything that `make up` needs, before it starts, and says all that is missing in one message.

`python3 -m tools.doctor [up|test|tools]` runs before there is a virtual environment, on whatever Python 3 is there: only the
standard library, and nothing of newer Pythons before the version is known to do.
"""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

PYTHON_MINIMUM = (3, 11)
DISK_MINIMUM = 15
"""GiB that a first build takes, most of it in Go's own caches."""

BUILD_PROGRAMS = ("git", "make")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A user's own PATH may lack the sbin folders."""


def check_platform(system: str, machine: str) -> list[str]:
    """The processors that Kubernetes 1.16.3's modules and the wheels of requirements-dev.txt are there for."""
    if system == "linux" and machine in {"x86_64", "aarch64"}:
        return []
    return [f"this is {system} on {machine}. Fix: use Linux on x86_64 or aarch64"]


def check_python(version: tuple[int, ...], *, has_venv: bool) -> list[str]:
    """Python's version, and whether it can make virtual environments."""
    minimum = ".".join(map(str, PYTHON_MINIMUM))
    if tuple(version[:2]) < PYTHON_MINIMUM:
        found = ".".join(map(str, version[:3]))
        return [
            f"Python {found} is too old. Fix: install Python {minimum} or later, and name it: make PYTHON=python{minimum} …"
        ]
    if not has_venv:
        return ["Python can't make virtual environments (it has no ensurepip). Fix: apt-get install python3-venv"]
    return []


def check_root(uid: int) -> list[str]:
    """The lab makes network namespaces and mounts."""
    return [] if uid == 0 else ["not root, and the lab makes namespaces and mounts. Fix: run it as root"]


def check_programs(names: Iterable[str]) -> list[str]:
    """Programs whose Debian package has the same name."""
    absent = [name for name in names if not shutil.which(name) and not shutil.which(name, path=SYSTEM_PATH)]
    return [f"not installed: {', '.join(absent)}. Fix: apt-get install {' '.join(absent)}"] if absent else []


def check_test_packages(there: Mapping[str, bool]) -> list[str]:
    """What only the tests need, by Debian package: whether it is there."""
    absent = [package for package, found in there.items() if not found]
    return [f"not installed: {', '.join(absent)}. Fix: apt-get install {' '.join(absent)}"] if absent else []


def check_go(found: str | None, parsed: tuple[int, int], minimum: tuple[int, int]) -> list[str]:
    """Go's version.

    Args:
        found: as `go env GOVERSION` says it; None when there is no Go.
        parsed: the same as numbers.
        minimum: what is needed.
    """
    fix = f"Fix: install Go {minimum[0]}.{minimum[1]} or later (https://go.dev/doc/install) and put its bin folder on PATH"
    if found is None:
        return [f"not installed: Go. {fix}"]
    return [f"{found} is too old. {fix}"] if parsed < minimum else []


def check_disk(free: Mapping[str, float]) -> list[str]:
    """Free GiB by folder where builds and Go's caches go."""
    return [
        f"{gib:.1f} GiB are free at {folder}, a first build takes {DISK_MINIMUM}. "
        "Fix: make room, or set SEALOS_ISTIO_CACHE, GOCACHE and GOMODCACHE to folders on another disk"
        for folder, gib in free.items()
        if gib < DISK_MINIMUM
    ]


def free_space(folders: Iterable[Path]) -> dict[str, float]:
    """Free GiB of each disk that the folders are, or will be, on; by the first folder on it."""
    free: dict[str, float] = {}
    seen = set()
    for folder in folders:
        there = folder
        while not there.exists():
            there = there.parent
        if there.stat().st_dev not in seen:
            seen.add(there.stat().st_dev)
            free[str(folder)] = shutil.disk_usage(there).free / 2**30
    return free


def check_lab() -> list[str]:
    """What the lab's machines need of this host, and whether their network is free (as the lab itself sees it)."""
    from lab import checks
    from lab.machines import DEFAULT_NETWORK, Lab

    chosen = os.environ.get("LAB_NETWORK") or DEFAULT_NETWORK
    try:
        network = ipaddress.IPv4Network(chosen)
    except ValueError as error:
        return [f"LAB_NETWORK: {chosen!r} is not an IPv4 network ({error}). Fix: write it as {DEFAULT_NETWORK}"]
    found = checks.missing_programs()
    if shutil.which("ip", path=SYSTEM_PATH):
        # this checkout's own lab, when it is up, has the network rightly; another lab's counts as taken
        found += [] if Lab().status(ssh=False).up else checks.taken_network(network)
    return found


def check_building() -> list[str]:
    """Go, and disk for a long build when one is ahead."""
    from tools import parts

    try:
        version: str | None = parts.go_facts()[0]
    except parts.ToolMissing:
        version = None
    found = check_go(version, parts.go_version(version or ""), parts.GO_MINIMUM)
    long = [part for part in parts.PARTS if part.seconds > 60 and part.used_for in ("engine", "lab")]
    if not found and not all(parts.is_built(part) for part in long):
        folders = [parts.cache_root()]
        for variable, usual in (("GOCACHE", ".cache/go-build"), ("GOMODCACHE", "go/pkg/mod")):
            folders.append(Path(os.environ.get(variable) or Path.home() / usual))
        found += check_disk(free_space(folders))
    return found


def findings(purpose: str) -> list[str]:
    """Everything that is missing, each with its fix.

    Args:
        purpose: "up" or "test" (the lab and the builds) or "tools" (the builds alone).
    """
    found = check_platform(sys.platform, platform.machine())
    python = check_python(sys.version_info[:3], has_venv=importlib.util.find_spec("ensurepip") is not None)
    found += python
    if purpose != "tools":
        found += check_root(os.geteuid())
    found += check_programs(BUILD_PROGRAMS)
    if purpose == "test":
        found += check_test_packages(
            {
                "graphviz": shutil.which("dot") is not None,  # the picture of a change
                "postgresql": any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),  # a state in Postgres
                "zsh": shutil.which("zsh") is not None,  # istioctl's completion
                "bash-completion": Path("/usr/share/bash-completion/bash_completion").exists(),
            }
        )
    if sys.version_info >= PYTHON_MINIMUM:
        found += check_building()
        if purpose != "tools":
            found += check_lab()
    return found


def report(found: list[str]) -> str:
    """All findings as one message."""
    head = "one thing has" if len(found) == 1 else f"{len(found)} things have"
    return "\n".join([f"Before this can work, {head} to be put right:", *(f"  - {finding}" for finding in found)])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when nothing is missing, 1 with one message otherwise."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.doctor", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "purpose", nargs="?", choices=["up", "test", "tools"], default="up", help="what is meant to run (up)"
    )
    found = findings(parser.parse_args(arguments).purpose)
    if found:
        print(report(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
