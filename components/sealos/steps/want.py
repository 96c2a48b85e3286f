"""Which machines the cluster shall have is written down on its first master; those that nobody else would take out go."""

from __future__ import annotations

import json
import time

from components.driver import DriverError, progress
from components.remote.connection import connect
from components.remote.host import Host
from components.remote.models import MachineError
from components.sealos import requests
from components.sealos.owner import owner
from components.sealos.steps.ask import known_of, look, nodes_of, show, still_reports
from components.sealos.steps.leave import run_leave
from components.sealos.steps.removal import forget, take_out
from components.sealos.steps.script import SHORT, files, path


async def want(host: Host, request: requests.Want) -> str:
    """Writes down on the first master which machines the cluster shall have."""
    written = {
        "machines": [machine.model_dump(mode="json", by_alias=True) for machine in request.machines],
        "lost": list(request.lost),
        "drain": request.drain,
        "joinBatch": request.join_batch,
    }
    given = {**files(), "wanted.json": (json.dumps(written, indent=2) + "\n").encode()}
    given |= {f"machine.{machine.name}": machine.model_dump_json(by_alias=True).encode() for machine in request.machines}
    result = await host.run(path("want.sh"), given, SHORT)
    if result.status:
        raise DriverError(f"{host.machine.name}: the list of wanted machines could not be written: {result.last_words}")
    await _forget_lost(host, request)
    await _take_out_unrecorded(host, request)
    return "\n".join(f"{machine.role} {machine.name} {machine.address}" for machine in request.machines)


async def _forget_lost(host: Host, request: requests.Want) -> None:
    """Takes the machines that are gone for good out of the cluster, before anything else of the members is changed.

    Before, because etcd counts a dead master against the quorum as long as it is listed.
    """
    begun = time.monotonic()
    known = {machine.name for machine in await known_of(host)} if request.lost else set()
    for name in request.lost:
        if name not in known and name not in await nodes_of(host):
            progress(name, "warning: cluster.lost names it, but this cluster has no such machine (any more); look for a typing error, or take it out")
        while node := (await nodes_of(host)).get(name):
            if not await still_reports(
                host,
                node,
                begun,
                "waiting until the cluster sees that it is gone …",
                DriverError(
                    f"{name}: cluster.lost names it, but its kubelet reports to the cluster. A machine that is there leaves properly "
                    f"when it is taken out of the list of machines; take it out of cluster.lost"
                ),
            ):
                progress(name, "taking it out of the cluster (cluster.lost); what it holds of it, keys included, stays on it")
                await take_out(host, node, request.limit)
                break
        await forget(host, name)


async def _take_out_unrecorded(host: Host, request: requests.Want) -> None:
    """Takes out the machines that are wanted no more and that no resource stands for in the stack's state, so that nobody else would.

    Such is one whose join failed or was killed, or whose driver came to an end that nobody took down. One that is recorded leaves by
    its own resource; one that does not answer is left to `cluster.lost`.
    """
    settled_with = {machine.name for machine in request.machines} | set(request.lost)
    gone = [machine for machine in await known_of(host) if machine.name not in settled_with]
    if gone:
        recorded = (await show(host, "recorded")).split()
        gone = [machine for machine in gone if machine.name not in recorded]
    if not gone:
        return
    lead = await look(host)
    if lead.marker is None or lead.sealos_config is None:
        return
    cluster = requests.Identity.model_validate(lead.marker)
    for machine in gone:
        is_node = machine.name in await nodes_of(host)
        try:
            async with connect(machine, request.fleet.login) as own:
                facts = await look(own)
        except MachineError as error:
            if is_node:
                progress(
                    machine.name,
                    f"warning: {error.cause}; it is not wanted any more and is still a node. When it is gone for good: cluster.lost",
                )
            continue
        if not is_node and owner(facts, cluster.name, lead.ca).kind in ("bare", "other"):
            await forget(host, machine.name)
            continue
        progress(machine.name, "is not wanted any more, and the stack's state does not have it: taking it out …")
        await run_leave(
            requests.Member(
                fleet=request.fleet.model_copy(update={"machines": (host.machine, machine)}),
                member=machine.name,
                cluster=cluster.name,
                kubernetes_version=cluster.kubernetes_version,
                package=requests.Artifact(path=lead.sealos_config["pkgurl"]),
                sealos=requests.Artifact(path="/usr/bin/sealos"),  # sealos's own copy, on every machine
                vip=cluster.vip,
                timeouts=requests.Limits(clean=request.limit),
            )
        )
