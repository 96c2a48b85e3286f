"""Takes away what is left of a mesh once its IstioOperator is gone: in the cluster, and of the CNI plugin on every node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Literal

from components.driver import DriverError, progress
from components.istio.cni_chain import without_plugin
from components.istio.cni_probe import SCRIPT as LOOK
from components.istio.cni_probe import parse
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import Fleet, MachineError, Request

SCRIPT = Path(__file__).with_name("sweep.sh")
OWNED = Path(__file__).with_name("owned.sh")
RESTORE = Path(__file__).with_name("cni_restore.sh")
CLEANS_UP = 15.0
"""Seconds that the plugin's own pods get to leave their nodes as they found them; 1.5's have 5 s to end."""


_AGAIN = "mend that and run the same command again"


class SweepRequest(Request):
    """What `sweep` reads.

    Attributes:
        fleet: every machine.
        name, namespace: the IstioOperator's.
        hub, version, tag, pull_secrets: its operator's image, and what opens the registry, for components/istio/recover.py.
        crds: whether Istio's own definitions go as well.
        config_file: the CNI chain that its plugin joined; None when there was no plugin.
    """

    fleet: Fleet
    name: str
    namespace: str
    hub: str
    version: str
    tag: str | None = None
    pull_secrets: tuple[str, ...] = ()
    crds: Literal["keep", "deleteWithMesh"]
    config_file: str | None = None


async def sweep(request: SweepRequest) -> str:
    """Sweeps, saying what it finds.

    Raises:
        DriverError: when the IstioOperator is still there, or something can't be taken away.
        MachineError: when the first master can't be reached.
    """
    first = request.fleet.first_master
    files = {
        "name": request.name.encode(),
        "namespace": request.namespace.encode(),
        "crds": request.crds.encode(),
        "owned.sh": OWNED.read_bytes(),
    }
    async with connect(first, request.fleet.login) as host:
        result = await host.run(SCRIPT, files, 180)
    if result.status:
        raise DriverError(f"what Istio left in the cluster could not be taken away: {result.last_words}")
    for line in result.stderr.splitlines():
        progress(first.name, line)
    if request.config_file:
        await _nodes(request.fleet, request.config_file)
    return ""


async def _nodes(fleet: Fleet, config_file: str) -> None:
    async def one(host: Host) -> bool:
        """Whether something had to be taken away from this node."""
        end = monotonic() + CLEANS_UP
        while True:
            look = await host.run(LOOK, {"config_file": config_file.encode()}, 30)
            if look.status:
                raise MachineError(host.machine.name, f"its CNI chain can't be read: {look.last_words}", _AGAIN)
            found = parse(look.stdout)
            chain = without_plugin(found.conflist) if found.conflist else None
            if chain is None and not found.binary and not found.kubeconfig:
                return False
            if monotonic() >= end:
                break
            await asyncio.sleep(1)
        files = {"config_file": config_file.encode()} | ({"conflist": chain.encode()} if chain else {})
        result = await host.run(RESTORE, files, 30)
        if result.status:
            raise MachineError(host.machine.name, f"istio-cni can't be taken off: {result.last_words}", _AGAIN)
        return True

    answers = await on_all(fleet, one)
    if wrong := [answer for answer in answers.values() if isinstance(answer, MachineError)]:
        lines = "\n".join(f"  - {error}" for error in wrong)
        raise DriverError(
            f"the CNI plugin could not be taken off every node; new pods there may not start:\n{lines}\n"
            "Mend what is named above, and run the same command again."
        )
    if taken := [name for name, answer in answers.items() if answer is True]:
        progress("cni", f"took istio-cni off {', '.join(taken)}, where its own pod had not done so")
