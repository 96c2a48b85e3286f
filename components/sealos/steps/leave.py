"""A machine is drained, taken out of the cluster and cleaned."""

from __future__ import annotations

import json

from components.driver import DriverError, progress
from components.problem import told
from components.remote.connection import connect
from components.remote.host import Host
from components.remote.models import MachineError
from components.sealos import drain, requests, sealos_config
from components.sealos.owner import owner
from components.sealos.steps.ask import look, nodes_of, show, wanted_of
from components.sealos.steps.clean import sweep
from components.sealos.steps.removal import end_former_life, forget
from components.sealos.steps.script import DrainBlocked, files, indented, work


async def run_leave(request: requests.Member) -> str:
    """Takes one machine out of the cluster and leaves it bare; a dead one only when the settings name it as lost.

    Raises:
        DriverError: with what blocks the drain, why the masters would lose their quorum, or what is left on the machine.
    """
    member, first_master = request.fleet.named(request.member), request.fleet.first_master
    if member == first_master:
        raise DriverError(f"{member.name} is the first master; it goes with the whole cluster only (`pulumi destroy`)")
    login = request.fleet.login
    if (outcome := await _without_the_first_master(request)) is not None:
        progress(member.name, outcome)
        return ""
    async with connect(first_master, login) as first:
        wanted = await wanted_of(first)
        gone: MachineError | None = None
        try:
            async with connect(member, login) as own:
                whose = owner(await look(own), request.cluster, (await look(first)).ca)
                if whose.kind == "unknown":
                    raise DriverError(
                        f"{member.name}: nothing on it says that it belongs to cluster {request.cluster} ({whose.seen}), so it is not "
                        f"cleaned. Clean it by hand and run this again, or add cluster.lost: [{member.name}], which leaves it as it is"
                    )
                if whose.kind == "other":
                    progress(member.name, f"warning: it belongs to another cluster now ({whose.seen}) and stays as it is")
                    await _leave(request, first, wanted, gone=True)
                else:
                    await end_former_life(first, own, request.timeouts.clean)
                    await _leave(request, first, wanted, gone=False)
                    if left := await sweep(own, request.vip, request.package.path):
                        raise DriverError(f"{member.name}: left the cluster, but still holds: {', '.join(left)}")
        except MachineError as error:
            if error.machine != member.name or not error.gone:
                raise
            gone = error
        if gone is not None:
            if member.name not in wanted.lost:
                raise DriverError(
                    f"{member.name}: {gone.cause}; it is still a member. Bring it back and run this again; or, when it is gone for "
                    f"good, add cluster.lost: [{member.name}], which takes it out of the cluster by its recorded name, without a drain"
                )
            progress(
                member.name,
                f"warning: {gone.cause}; it was taken out without it (cluster.lost)",
            )
            await _leave(request, first, wanted, gone=True)
        if member.name in await nodes_of(first):
            raise DriverError(f"{member.name}: is still a node of the cluster after it was cleaned; run it again")
        await forget(first, member.name)
    return ""


async def _without_the_first_master(request: requests.Member) -> str | None:
    """What becomes of a member when the first master that it was joined by is gone; None when that is there.

    A removal is run with what its member was joined by. That another first master is in charge (restore.sh), it can't know.

    Raises:
        DriverError: when the member lives and is no first master itself.
    """
    login, first_master, member = request.fleet.login, request.fleet.first_master, request.fleet.named(request.member)
    try:
        async with connect(first_master, login):
            return None
    except MachineError as error:
        if error.machine != first_master.name or not error.gone:
            raise
    try:
        async with connect(member, login) as own:
            took_over = (await look(own)).marker is not None
    except MachineError as error:
        if error.machine != member.name or not error.gone:
            raise
        return f"warning: neither it nor {first_master.name}, which it was joined by, answers; cluster.lost takes it out of the cluster"
    if took_over:
        return f"is the first master now, in {first_master.name}'s place; it stays"
    raise DriverError(
        f"{member.name}: {first_master.name}, which it was joined by, does not answer. Put {member.name} back into the settings and run "
        f"`pulumi up`, so that it knows today's first master; then take it out again"
    )


async def _leave(request: requests.Member, first: Host, wanted: requests.Wanted, *, gone: bool) -> None:
    member, limit = request.fleet.named(request.member), wanted.drain
    given = files(
        sealos=request.sealos.path,
        role=member.role,
        name=member.name,
        me=sealos_config.target(member),
        targets=sealos_config.targets([*wanted.machines, member]),
        address=member.address,
        gone="yes" if gone else None,
        drain_arguments=drain.arguments(request.kubernetes_version, limit),
        lock_wait=request.timeouts.clean,
    )
    given |= sealos_config.login_files(request.fleet.login, request.package.path)
    try:
        await work(first, "leave.sh", given, 3 * request.timeouts.clean + limit, f"the removal of {member.name}")
    except DrainBlocked as blocked:
        try:
            pods, budgets = json.loads(await show(first, "pods")), json.loads(await show(first, "budgets"))
            why = told(drain.blockers(member.name, pods, budgets))
        except (DriverError, ValueError):
            why = []
        lines = "\n".join(why or [indented(str(blocked))])
        raise DriverError(
            f"{member.name}: could not be drained within {limit:.0f} s (cluster.timeouts.drain); it is still a member and in service. "
            f"What blocks it:\n{lines}\nPut that right (docs/operations.md, Remove machines) and run it again"
        ) from None
