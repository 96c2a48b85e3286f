"""The first master: made, adopted, wiped and made again, or seen to be there."""

from __future__ import annotations

import asyncio
import time

from components.driver import DriverError, progress
from components.problem import told
from components.remote.connection import connect
from components.remote.host import Host
from components.remote.models import MachineError
from components.sealos import installation, nodes, requests, sealos_config
from components.sealos.steps.ask import nodes_of, settled
from components.sealos.steps.clean import sweep
from components.sealos.steps.script import PAUSE, SHORT, ChangedMeanwhile, files, work


async def run_install(request: requests.Install) -> str:
    """Makes the first master, or sees that it is there."""
    return await _install(request, existing=False)


async def run_update(request: requests.Install) -> str:
    """After a change of the settings: sees that the cluster is there and that nothing unchangeable was changed."""
    return await _install(request, existing=True)


async def _install(request: requests.Install, *, existing: bool) -> str:
    first, limit = request.fleet.first_master, request.timeouts
    async with connect(first, request.fleet.login) as host:
        waited_until = time.monotonic() + limit.ready
        made = recovered = False
        while True:
            decision = installation.decide(
                await settled(host, limit.install),
                request.cluster,
                first,
                recover=request.recover,
                existing=existing,
                adopt=request.adopt,
            )
            match decision.action:
                case "nothing":
                    if not made:
                        progress(first.name, decision.reason)
                    break
                case "init":
                    try:
                        await work(host, "install.sh", install_files(request), limit.install, "the installation")
                        made = True
                    except ChangedMeanwhile:
                        continue
                    except DriverError as error:
                        raise DriverError(f"{error}\n{await _what_then(host, request)}") from None
                case "adopt":
                    progress(first.name, decision.reason)
                    given = files(lock_wait=limit.install)
                    given["cluster.json"] = _marker(request.cluster)
                    try:
                        await work(host, "adopt.sh", given, limit.install + SHORT, "the adoption")
                    except ChangedMeanwhile:
                        continue
                case "wait" if time.monotonic() < waited_until:
                    await asyncio.sleep(PAUSE)
                case "recover" if not recovered:
                    progress(first.name, f"{decision.reason}: wiping it (cluster.recover)")
                    await wipe(host, request)
                    recovered = True
                case _:
                    raise DriverError(f"{first.name}: {decision.reason}")
        wrong = nodes.problems([first], await nodes_of(host), request.cluster.kubernetes_version, ready=False)
        if wrong and not existing:
            raise DriverError(
                "\n".join((f"{first.name}: the cluster is installed, but not as asked for:", *told(wrong), ""))
                + "Put that right, there or in the settings, and run `pulumi up` again; or `pulumi destroy`, which leaves the machine clean"
            )
    return f"cluster {request.cluster.name}: first master {first.name}, Kubernetes {request.cluster.kubernetes_version}"


async def _what_then(host: Host, request: requests.Install) -> str:
    """What to do after an installation that failed, besides putting its cause right; from what it left."""
    try:
        facts = await settled(host, request.timeouts.install)
    except (DriverError, MachineError):
        return f"What it left could not be looked at. When the cause is gone, run `pulumi up` again. If that finds parts of a cluster: {installation.WAY_OUT}"
    if installation.decide(facts, request.cluster, host.machine, recover=True, existing=False).action == "recover":
        return f"It left parts of a cluster on {host.machine.name}. When the cause is gone: {installation.WAY_OUT}"
    return "Nothing of a cluster was left: when the cause is gone, run `pulumi up` again"


def install_files(request: requests.Install) -> dict[str, bytes]:
    """What install.sh reads."""
    first, cluster = request.fleet.first_master, request.cluster
    return {
        **files(
            sealos=request.sealos.path,
            name=first.name,
            init_arguments=sealos_config.init_arguments(cluster),
            lock_wait=request.timeouts.install,
        ),
        "cluster.json": _marker(cluster),
        "config.yaml": sealos_config.config_file(sealos_config.document(cluster, request.package.path, [first])),
        **sealos_config.login_files(request.fleet.login, request.package.path),
    }


def _marker(cluster: requests.Identity) -> bytes:
    """What is written down about a cluster on its first master."""
    return (cluster.model_dump_json(by_alias=True, indent=2) + "\n").encode()


async def wipe(host: Host, request: requests.Install) -> None:
    """Cleans what a half-made cluster left, on this machine alone: sealos's `clean --all` would follow any list that it finds there."""
    left = await sweep(
        host, request.cluster.vip, None, sealos=request.sealos.path, lock_wait=request.timeouts.clean
    )
    if left:
        raise DriverError(f"{host.machine.name}: could not be wiped; still there: {', '.join(left)}")
