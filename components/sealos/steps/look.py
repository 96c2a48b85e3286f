"""What an update asks for beside its steps."""

from __future__ import annotations

import hashlib
import json

from components.driver import DriverError
from components.remote.connection import connect, on_all
from components.remote.models import MachineError
from components.sealos import joining, nodes, requests, sealos_config
from components.sealos.steps.ask import look, show, wanted_of


async def run_look(request: requests.Look) -> str:
    """What an update asks for beside its steps, as JSON; never an error, and nothing is changed.

    `said` tells of machines whose Node reports no more, of such as the settings lack, and of such as the mesh has no images for; `kubeconfig` is the SHA-256 of what
    `kubeconfig` would print, empty when nobody can tell.
    """
    first, names = request.fleet.first_master, {machine.name for machine in request.fleet.machines}
    try:
        async with connect(first, request.fleet.login) as host:
            present = nodes.parse(json.loads(await show(host, "nodes")))
            more = [machine for machine in (await wanted_of(host)).machines if machine.name not in names]
            kubeconfig = sealos_config.kubeconfig(await show(host, "kubeconfig"), first.address)
    except (MachineError, DriverError, ValueError):
        return json.dumps({"said": [], "kubeconfig": ""})  # not made yet, or a step that needs it says what is wrong
    silent = [m for m in request.fleet.machines if m != first and m.name in present and present[m.name].silent]
    found = await on_all(request.fleet, look, silent)
    told = {
        name: seen for name, seen in found.items() if not (request.mesh and isinstance(seen, MachineError) and seen.gone)
    }
    images = list(nodes.without_images(request.istio, present.values())) if request.istio else []
    said = [*images, *(joining.silent(name, seen) for name, seen in told.items()), *map(joining.unlisted, more)]
    return json.dumps({"said": said, "kubeconfig": hashlib.sha256(kubeconfig.encode()).hexdigest()})
