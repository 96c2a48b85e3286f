"""What this host must have before a lab can start; everything that is missing is found at once, each with its fix."""

import ipaddress
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from devtools import doctor
from lab import cgroups

DISK_NEEDED = 4 * 2**30
"""Bytes that four machines with a cluster and a mesh take; what all labs share takes 1.5 GiB more, once."""


def taken_network(network: ipaddress.IPv4Network) -> list[str]:
    """Whether this host has a route or an address in the network (default routes do not count)."""
    found: list[str] = []
    for command, key in (
        (["ip", "-j", "-4", "route", "show", "table", "all"], "dst"),
        (["ip", "-j", "-4", "address"], ""),
    ):
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        for row in json.loads(listed.stdout or "[]"):
            if key:
                uses = [] if row.get("dst") in {None, "default", "0.0.0.0/0"} else [(row["dst"], row.get("dev", "?"))]
            else:
                uses = [(f"{a['local']}/{a['prefixlen']}", row["ifname"]) for a in row.get("addr_info", [])]
            for use, device in uses:
                if ipaddress.ip_interface(use).network.overlaps(network):
                    found.append(f"{use} ({device})")
    if not found:
        return []
    users = ", ".join(dict.fromkeys(found))
    return [
        f"the network {network} is in use on this host: {users}. Fix: set LAB_NETWORK to a free /24, for example LAB_NETWORK=198.18.0.0/24"
    ]


def usable_overlay(directory: Path) -> list[str]:
    """Whether the kernel makes an overlay of /usr with its changes kept in the directory, tried in mounts of its own."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="overlay-") as place:
        for part in ("up", "work", "all"):
            Path(place, part).mkdir()
        tried = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "overlay", "overlay",
             "-o", f"lowerdir=/usr,upperdir={place}/up,workdir={place}/work", f"{place}/all"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if tried.returncode == 0:
            try:
                os.setxattr(f"{place}/up", "trusted.overlay.opaque", b"y")
            except OSError as error:
                return [
                    f"the file system of {directory} cannot mark overlay directories ({error.strerror}). Fix: set LAB_DIR to a directory on a local disk"
                ]
            return []
    fixes = "modprobe overlay; in a container, run it privileged; set LAB_DIR to a directory on a local disk (ext4, xfs, btrfs or tmpfs)"
    return [f"no overlay of /usr can be made in {directory}: {tried.stderr.strip()}. Fix: {fixes}"]


def host(directory: Path, network: ipaddress.IPv4Network) -> list[str]:
    """What keeps a lab from starting on this host, packages and the lab's own programs apart.

    Args:
        directory: where the lab's state is or will be; exists.
        network: the lab's network.
    """
    found = cgroups.missing()
    if not Path("/bin").is_symlink():
        found.append("/bin is not a link to /usr/bin. Fix: apt-get install usrmerge")
    if shutil.which("ip", path=doctor.SYSTEM_PATH):
        found += taken_network(network)
    if os.geteuid() == 0 and shutil.which("unshare", path=doctor.SYSTEM_PATH):
        found += usable_overlay(directory)
    free = shutil.disk_usage(directory).free
    if free < DISK_NEEDED:
        found.append(
            f"{free / 2**30:.1f} GiB are free at {directory}, the machines need {DISK_NEEDED / 2**30:.0f}. Fix: make room, or set LAB_DIR to another disk"
        )
    return found


def findings(directory: Path, network: ipaddress.IPv4Network, unavailable: Iterable[str]) -> list[str]:
    """Everything that keeps a lab from starting here.

    Args:
        directory: the lab's state directory; exists where this is root.
        network: the lab's network.
        unavailable: what is missing of the lab's own programs, in words with the fix.

    Returns:
        One line per finding, each with its fix; empty when the lab can start.
    """
    packages = doctor.check_packages(doctor.missing(doctor.ON_MACHINES), apt=doctor.apt_get() is not None)
    root = doctor.check_root(os.geteuid())
    return [*root, *packages, *unavailable, *([] if root else host(directory, network))]
