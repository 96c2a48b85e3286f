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

from components.driver import DriverError, progress
from components.login import Machine, MachineError
from components.machines import Host, connect
from components.sealos import drivers, requests, sealos_config

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

    A machine that does not answer is named and left; the first master must answer, because it alone knows the others.

    Raises:
        DriverError: when the first master does not answer, or a machine still holds something of the cluster.
    """
    first, login = request.fleet.first_master, request.fleet.login
    async with AsyncExitStack() as stack:
        try:
            leader = await stack.enter_async_context(connect(first, login))
        except MachineError as error:
            raise DriverError(
                f"{error}\nNothing was cleaned: only {first.name} knows the cluster's other machines. Bring it back and run it again; "
                f"or, when the machines are gone for good, `pulumi destroy --continue-on-error` and `pulumi state delete`"
            ) from None
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
