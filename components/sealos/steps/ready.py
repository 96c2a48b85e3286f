"""Waits until every machine is a Ready node."""

from __future__ import annotations

import asyncio
import json
import time

from components.driver import DriverError, progress
from components.problem import first_of, told
from components.remote.connection import connect
from components.sealos import nodes, requests
from components.sealos.steps.ask import nodes_of
from components.sealos.steps.script import PAUSE, SHORT, files, path


async def run_ready(request: requests.Ready) -> str:
    """Waits until every wanted machine is a Ready node, in its role, version and address; prints them as JSON.

    One that has died since it joined holds up nothing; it is named.
    """
    async with connect(request.fleet.first_master, request.fleet.login) as host:
        begun, said_at = time.monotonic(), 0.0
        while True:
            present = await nodes_of(host)
            silent = [node for node in present.values() if node.silent]
            alive = [machine for machine in request.machines if machine.name not in {node.name for node in silent}]
            if not (wrong := nodes.problems(alive, present, request.kubernetes_version)):
                break
            waited = time.monotonic() - begun
            if waited > request.timeout:
                way_out = "Put that right and run `pulumi up` again; or `pulumi destroy`, which leaves the machines clean"
                raise DriverError("\n".join((f"the cluster is not ready after {waited:.0f} s:", *told(wrong), way_out)))
            if waited - said_at > 10:
                said_at = waited
                progress(host.machine.name, f"waiting: {first_of(wrong)}")
            await asyncio.sleep(PAUSE)
        if said := nodes.warning(silent):
            progress(host.machine.name, f"warning: {said}")
        # by now the state has every member's resource, so that a removal is that one's business (`_take_out_unrecorded`)
        noted = await host.run(path("record.sh"), files(names="".join(f"{m.name}\n" for m in request.machines)), SHORT)
        if noted.status:
            raise DriverError(f"{host.machine.name}: the members could not be noted: {noted.last_words}")
    return json.dumps(nodes.table(request.machines, present))
