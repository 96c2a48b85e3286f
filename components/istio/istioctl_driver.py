"""Puts istioctl on the first master and takes it away again."""

from __future__ import annotations

import json
from pathlib import Path

from components.driver import LOST, DriverError, given_up, progress
from components.istio.releases.table import release
from components.remote.connection import connect
from components.remote.models import Fleet, MachineError, Request

INSTALL = Path(__file__).with_name("istioctl_install.sh")
REMOVE = Path(__file__).with_name("istioctl_remove.sh")
BINARY = "/usr/local/bin/istioctl"


class IstioctlRequest(Request):
    """What `istioctl` and `istioctl-remove` read.

    Attributes:
        fleet: how to reach the first master.
        version: Istio's version.
        path: where the binary lies on the first master.
        sha256: its checksum, when it is to be compared.
    """

    fleet: Fleet
    version: str
    path: str
    sha256: str | None = None


async def install(request: IstioctlRequest) -> str:
    """Installs; a report as JSON.

    Raises:
        DriverError: when the binary isn't there, isn't the wanted version, or another one is in its place.
    """
    machine = request.fleet.first_master
    files = {
        "path": request.path.encode(),
        "version": request.version.encode(),
        "sha256": (request.sha256 or "").encode(),
        "completion": release(request.version).completion.encode(),
    }
    async with connect(machine, request.fleet.login) as host:
        result = await host.run(INSTALL, files, 120)
    if result.status:
        raise DriverError(f"istioctl could not be installed on {machine.name}: {result.last_words}")
    progress(machine.name, result.stderr.strip() or "istioctl is installed")
    return json.dumps({"path": BINARY, "version": request.version})


async def remove(request: IstioctlRequest) -> str:
    """Takes away what `install` put there, and nothing else.

    Raises:
        DriverError: when that fails on the host.
    """
    machine = request.fleet.first_master
    try:
        async with connect(machine, request.fleet.login) as host:
            result = await host.run(REMOVE, {}, 60)
    except MachineError as error:
        if not (error.gone and given_up(machine.name)):
            raise
        progress(machine.name, f"warning: {error.cause}; istioctl stays on it ({LOST})")
        return ""
    if result.status:
        raise DriverError(f"istioctl could not be removed from {machine.name}: {result.last_words}")
    progress(machine.name, result.stderr.strip() or "istioctl is gone")
    return ""
