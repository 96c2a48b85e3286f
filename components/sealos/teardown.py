"""Leaves every machine as bare as it was: sealos's own clean of all at once, then a sweep of each.

What stays on purpose:
- the package and the sealos binary at the paths of the settings on the first master, where the user put them (the copies
  that sealos made on the other machines go);
- Docker or containerd and their images, which may serve others;
- what the package's init.sh changed in the system: sysctl settings, kernel modules, swap, firewall and SELinux;
- iptables and IPVS rules and the pod network's interfaces, until the next boot (flushing them would take foreign ones too);
- lines "address hostname" of the machines themselves in /etc/hosts, which may be the user's.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from components.driver import LOST, DriverError, given_up, progress
from components.login import Machine, MachineError
from components.machines import Host, connect, on_all
from components.sealos import drivers, requests, sealos_config
from components.sealos import facts as facts_of
from components.sealos.drivers import HERE

_LOOK = 60.0  # seconds for a script that only looks
STAYS = (
    "the package and sealos where the settings have them on the first master",
    "Docker or containerd and their images",
    "system settings of the package's init.sh (sysctl, modules, swap, firewall, SELinux)",
    "iptables and IPVS rules until the next boot",
    "lines 'address hostname' in /etc/hosts",
)
"""What is left on purpose, as it is told at the end; the reasons are above."""


async def run_clean(request: requests.Install) -> str:
    """Takes the whole cluster away, on every machine that it has.

    A machine that does not answer is named and left. The first master must answer, because it alone knows the others, unless
    it is said to be gone for good; then `run_sweep` does what can be done.

    Raises:
        DriverError: when the first master does not answer, or a machine still holds something of the cluster.
    """
    first, login = request.fleet.first_master, request.fleet.login
    async with AsyncExitStack() as stack:
        try:
            leader = await stack.enter_async_context(connect(first, login))
        except MachineError as error:
            if not error.gone:
                raise DriverError(f"{error}\nNothing was cleaned: it begins at {first.name}") from None
            if not given_up(first.name):
                raise DriverError(
                    f"{error}\nNothing was cleaned: it begins at {first.name}. Bring it back and run this again. Or, when it is gone for "
                    f"good, `{LOST}={first.name} pulumi destroy` cleans the machines that answer; if other masters live, one of them "
                    f"can take its place instead (docs/operations.md)"
                ) from None
            progress(
                first.name, f"warning: {error.cause}; what it holds of the cluster, keys included, stays on it ({LOST})"
            )
            return ""
        others = [machine for machine in (await drivers.wanted_of(leader)).machines if machine.name != first.name]

        async def reach(machine: Machine) -> Host | MachineError:
            try:
                return await stack.enter_async_context(connect(machine, login))
            except MachineError as error:
                return error

        hosts: list[Host] = [leader]
        for result in await asyncio.gather(*(reach(machine) for machine in others)):
            if isinstance(result, MachineError):
                progress(result.machine, f"warning: {result.cause}; what it holds of the cluster stays on it")
            else:
                hosts.append(result)
        await _sealos_clean(leader, [host.machine for host in hosts], request)
        progress(first.name, f"sweeping {len(hosts)} machines …")
        left = await asyncio.gather(*(_sweep(host, request, first) for host in hosts))
    if remaining := [line for of_host in left for line in of_host]:
        raise DriverError(
            "the cluster is gone, but machines still hold something of it:\n"
            + "\n".join(f"  {line}" for line in remaining)
        )
    progress(first.name, f"{len(hosts)} machines are clean. What stays on purpose: {'; '.join(STAYS)}")
    return ""


async def run_sweep(request: requests.Preflight) -> str:
    """After the installation's own delete: when the first master is gone for good, cleans the other machines without it.

    Only a machine that our join noted down as a member of this very cluster is touched; sealos is not asked, since its state
    was on the first master.

    Raises:
        DriverError: when a machine still holds something of the cluster.
    """
    first = request.fleet.first_master
    if not given_up(first.name):
        return ""  # they were cleaned with the first master, or it would not have come to this

    async def clean(host: Host) -> list[str] | None:
        facts = facts_of.parse((await host.run(HERE / "facts.sh", drivers.files(), _LOOK)).stdout)
        if facts.member == request.cluster:
            return await drivers.sweep(host, request.vip or "", request.package.path)
        if facts.leftovers:
            progress(
                host.machine.name,
                f"warning: it has no note that it is a member of {request.cluster}; left as it is: {', '.join(facts.leftovers)}",
            )
        return None

    others = [machine for machine in request.fleet.machines if not given_up(machine.name)]
    progress(first.name, f"gone for good; sweeping the other machines without it ({LOST}) …")
    results = await on_all(request.fleet, clean, others)
    for name, result in results.items():
        if isinstance(result, MachineError):
            progress(name, f"warning: {result.cause}; what it holds of the cluster stays on it")
    if left := [f"  {name}: {line}" for name, result in results.items() if isinstance(result, list) for line in result]:
        raise DriverError("machines still hold something of the cluster:\n" + "\n".join(left))
    clean_now = [name for name, result in results.items() if isinstance(result, list)]
    progress("sweep", f"{', '.join(clean_now) or 'no machine'}: clean. What stays on purpose: {'; '.join(STAYS)}")
    return ""


async def _sealos_clean(leader: Host, alive: list[Machine], request: requests.Install) -> None:
    """Runs sealos's own clean of the machines that answer: for a dead one it would wait for minutes, several times."""
    config = sealos_config.document(request.cluster, request.package.path, alive)
    given = {
        **drivers.files(sealos=request.sealos.path, lock_wait=request.timeouts.clean),
        "config.yaml": sealos_config.config_file(config),
        **sealos_config.login_files(request.fleet.login, request.package.path),
    }
    await drivers.work(leader, "clean_all.sh", given, 2 * request.timeouts.clean, "sealos clean")


async def _sweep(host: Host, request: requests.Install, first: Machine) -> list[str]:
    copy = None if host.machine == first else request.package.path
    try:
        return [f"{host.machine.name}: {left}" for left in await drivers.sweep(host, request.cluster.vip, copy)]
    except MachineError as error:
        return [str(error)]
