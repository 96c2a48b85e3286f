"""A machine becomes a Ready node, together with all others that lack."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from components.driver import DriverError, progress
from components.problem import Code, told
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import Machine, MachineError
from components.sealos import joining, nodes, requests, sealos_config
from components.sealos.steps.ask import ca_of, look, nodes_of, show, wanted_of
from components.sealos.steps.removal import end_former_life
from components.sealos.steps.script import PAUSE, SHORT, ChangedMeanwhile, files, indented, path, work

_REGISTERED = 10.0  # seconds after sealos's join within which the Node exists, or never will


async def run_join(request: requests.Member) -> str:
    """Sees to it that one machine is a Ready node, together with all others that are asked for.

    Raises:
        DriverError: why it is none; what sealos said of it; what it is when it must not be touched.
    """
    member, begun = request.fleet.named(request.member), time.monotonic()
    async with _both(request) as (first, own):
        wanted = await wanted_of(first)
        if member.name not in {machine.name for machine in wanted.machines}:
            raise DriverError(
                f"{member.name}: is not in the list of wanted machines on {first.machine.name}; run `pulumi up` without --target"
            )
        await end_former_life(first, own, request.timeouts.join)
        words = await _join(request, first, wanted, begun)
        begun = time.monotonic()
        while wrong := nodes.problems([member], present := await nodes_of(first), request.kubernetes_version):
            waited = time.monotonic() - begun
            # a Node that exists needs time to get Ready; any other difference does not go away by waiting
            hopeless = member.name in present and any(problem.code is not Code.NODE_NOT_READY for problem in wrong)
            limit = request.timeouts.ready if member.name in present else _REGISTERED
            if hopeless or waited > limit:
                said = f"\nsealos's last words:\n{indented(words.rstrip())}" if words.strip() else ""
                raise DriverError("\n".join((f"{member.name}: did not join as asked for:", *told(wrong))) + said)
            await asyncio.sleep(PAUSE)
        note = _member_note(request, await ca_of(first))
        tidied = await own.run(path("tidy.sh"), {**files(), "member.json": note}, SHORT)
        if tidied.status:
            raise DriverError(f"{member.name}: joined, but could not be tidied up: {tidied.last_words}")
    progress(member.name, "is a Ready node")
    node = present[member.name]
    return f"{node.role} {node.name} {node.address} {node.version}"


def _member_note(request: requests.Member, ca: str | None = None) -> bytes:
    """What stands on a member about its cluster: its name, and its CA's SHA-256 when the join has come to its end."""
    return json.dumps({"name": request.cluster} | ({"ca": ca} if ca else {})).encode()


async def _join(request: requests.Member, first: Host, wanted: requests.Wanted, begun: float) -> str:
    """Joins all that is wanted and that the cluster lacks, unless another driver just did.

    Before anything is cleaned or joined, every such machine is asked what it is; one that does not answer, or that is not to be
    touched, is left out, and the first master always is.

    Returns:
        Why the member was not joined, in sealos's own last words; empty when nothing was tried.

    Raises:
        DriverError: when the member, or the first master, is not as it must be for a join.
    """
    member, limit = request.fleet.named(request.member), request.timeouts.join
    async with _turn(request):
        while True:
            present = nodes.parse(json.loads(await show(first, "nodes")))
            if member.name in present:
                return ""
            ca = await ca_of(first)
            lacking = [machine for machine in wanted.machines if machine.name not in {first.machine.name, *present}]
            verdicts = await _ask(request, lacking, ca, present)
            own, waits = verdicts[member.name], {name: v.reason for name, v in verdicts.items() if v.action == "wait"}
            if first.machine.name not in present:
                waits[first.machine.name] = joining.unregistered(first.machine)
            for name in (first.machine.name, member.name):
                # a kubelet that has just been started anew may be about to register
                if name in waits and time.monotonic() - begun > _REGISTERED:
                    raise DriverError(f"{name}: {waits[name]}")
            if {first.machine.name, member.name} & set(waits):
                await asyncio.sleep(PAUSE)
                continue
            if own.action == "refuse":
                raise DriverError(f"{member.name}: was not joined: {own.reason}")
            for name, verdict in verdicts.items():
                if verdict.action in ("wait", "refuse"):
                    progress(name, f"left out of this join: {verdict.reason}")
            joined = [machine for machine in lacking if verdicts[machine.name].action in ("join", "clean")]
            await _note_the_join(request, joined)
            given = files(
                sealos=request.sealos.path,
                machines="".join(
                    f"{m.role} {m.name} {sealos_config.target(m)} {verdicts[m.name].action}\n" for m in joined
                ),
                me=sealos_config.target(member),
                targets=sealos_config.targets(wanted.machines),
                batch=wanted.join_batch,
                since=time.monotonic() - begun,
                lock_wait=limit,
            )
            given |= sealos_config.login_files(request.fleet.login, request.package.path)
            try:
                return await work(
                    first, "join.sh", given, (3 + len(joined) // wanted.join_batch) * limit, f"the join of {member.name}"
                )
            except ChangedMeanwhile:
                continue


async def _ask(
    request: requests.Member, machines: list[Machine], ca: str, present: dict[str, nodes.Node]
) -> dict[str, joining.Verdict]:
    """What each of these machines is, asked now and all at once."""

    async def ask(host: Host) -> joining.Verdict:
        return joining.judge(host.machine, await look(host), request.cluster, ca, present)

    answers = await on_all(request.fleet, ask, machines)
    return {
        name: joining.Verdict("refuse", f"{answer.cause}. {answer.fix}") if isinstance(answer, MachineError) else answer
        for name, answer in answers.items()
    }


async def _note_the_join(request: requests.Member, machines: list[Machine]) -> None:
    """Notes on each machine that is about to be joined which cluster that is, so that it can say whose it is if the join fails.

    Raises:
        MachineError: when the member itself can't be written to; whoever else can't is named by its own step.
    """

    async def note(host: Host) -> None:
        given = {**files(), "member.json": _member_note(request)}
        noted = await host.run(path("note.sh"), given, SHORT)
        if noted.status:
            raise MachineError(host.machine.name, f"could not be prepared for the join: {noted.last_words}", "")

    if isinstance(failed := (await on_all(request.fleet, note, machines)).get(request.member), MachineError):
        raise failed


@asynccontextmanager
async def _turn(request: requests.Member) -> AsyncIterator[None]:
    """One driver of this account at a time joins, so that not each of them asks every machine what the first one asked already.

    That nothing is done twice does not hang on it: join.sh has a lock of its own.
    """
    which = f"{request.cluster} {request.fleet.first_master.address}".encode()
    place = Path(tempfile.gettempdir()) / f"sealos-istio-{os.getuid()}-{hashlib.sha256(which).hexdigest()[:16]}.lock"
    try:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(PAUSE / 5)
        yield
    finally:
        os.close(handle)


@asynccontextmanager
async def _both(request: requests.Member) -> AsyncIterator[tuple[Host, Host]]:
    login = request.fleet.login
    async with (
        connect(request.fleet.first_master, login) as first,
        connect(request.fleet.named(request.member), login) as own,
    ):
        yield first, own
