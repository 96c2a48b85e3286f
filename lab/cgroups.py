"""The cgroups of the lab's machines: in every hierarchy of this host, one for the lab and one in it per machine.

A machine sees its own as the root of all (a cgroup namespace), so that what runs on several machines can't collide. They have names on
the host, the only thing of the lab that has: the shell that started the lab takes them away when it has ended, however that was.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
HIERARCHIES = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
UNIFIED = "unified"
"""Where a host that has version 2 beside version 1 has it; systemd of a machine mounts it, and runc makes cgroups there, too."""
PREFIX = "sealos-istio-lab-"


def absent() -> list[str]:
    """The hierarchies that this host lacks."""
    return [name for name in HIERARCHIES if not (ROOT / name / "cgroup.procs").exists()]


def mount() -> list[str]:
    """Mounts those that this host lacks and its kernel gives; returns their names. Needs root.

    Where version 2 alone is mounted, as by today's systemd, it holds the controllers: nothing is done then.
    """
    lacking = absent()
    if not lacking or (ROOT / "cgroup.procs").exists():
        return []
    if not ROOT.is_mount():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", ROOT], capture_output=True, check=False)
    for name in lacking:
        try:
            (ROOT / name).mkdir(exist_ok=True)
        except OSError:
            return []
        options = "none,name=systemd" if name == "systemd" else name
        subprocess.run(["mount", "-t", "cgroup", "-o", options, "cgroup", ROOT / name], capture_output=True, check=False)
    return [name for name in lacking if name not in absent()]


def missing() -> list[str]:
    """What this host lacks of cgroups (version 1, which Kubernetes 1.16 needs), with the fix; empty when nothing does."""
    lacking = absent()
    if not lacking:
        return []
    fix = "boot with systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1; in a container, run it privileged"
    return [
        f"this host has no cgroup hierarchy of version 1 for {', '.join(lacking)}, which kubelet 1.16 needs. Fix: {fix}"
    ]


def name_of(directory: Path) -> str:
    """The cgroup of the lab with this state directory."""
    return PREFIX + hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]


def make(lab: str, machine: str) -> None:
    """Makes a machine's cgroups."""
    for hierarchy in _hierarchies():
        for place in (ROOT / hierarchy / lab, ROOT / hierarchy / lab / machine):
            place.mkdir(exist_ok=True)
            if hierarchy == "cpuset":  # empty at first, and nothing can run in it
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    (place / setting).write_text((place.parent / setting).read_text())


def remove(lab: str, machine: str = "") -> None:
    """Takes away the lab's cgroups, or those of one machine, when nothing runs there any more (waits 5 seconds at most)."""
    deadline = time.monotonic() + 5
    for hierarchy in _hierarchies():
        for place in _deepest_first(ROOT / hierarchy / lab / machine):
            while True:
                try:
                    place.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.02)
                else:
                    break


def _hierarchies() -> tuple[str, ...]:
    """Those in which a machine has cgroups of its own here."""
    return (*HIERARCHIES, UNIFIED) if (ROOT / UNIFIED / "cgroup.procs").exists() else HIERARCHIES


def _deepest_first(top: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)

