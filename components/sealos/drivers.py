"""What the verbs of `python3 -m components.sealos` do: ask the machines, let the pure modules judge, act, ask again."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from components.driver import DriverError, progress
from components.remote.connection import connect, on_all, refuses_sha1
from components.remote.host import Host, Result
from components.remote.models import Machine, MachineError
from components.sealos import (
    artifacts,
    drain,
    findings,
    installation,
    joining,
    nodes,
    preflight,
    requests,
    sealos_config,
)
from components.sealos import facts as facts_of
from components.sealos.facts import Facts
from components.sealos.owner import owner

HERE = Path(__file__).parent
LIB = HERE / "lib.sh"
_BUSY = 75  # lib.sh's status for "another state than the one it was sent for"
_BLOCKED = 76  # leave.sh's, when the drain did not come to its end
_SHORT = 60.0  # seconds for a script that only looks
_LONGEST_WAIT = 7200.0  # seconds that a job may wait for others on its cluster, each of which has a limit of its own
_PROBE = 180.0  # the same, when it checks the sum of a large package
_REGISTERED = 10.0  # seconds after sealos's join within which the Node exists, or never will
_PAUSE = 1.0
_GRACE = 2 * nodes.SILENT  # seconds within which the cluster sees that a machine is gone


def files(**values: str | bytes | float | None) -> dict[str, bytes]:
    """A script's files: lib.sh, and one per value, underscores in its name written as dashes. None leaves one out."""
    given = {
        name.replace("_", "-"): value
        if isinstance(value, bytes)
        else f"{value:g}".encode()
        if isinstance(value, int | float)
        else value.encode()
        for name, value in values.items()
        if value is not None
    }
    return {"lib.sh": LIB.read_bytes(), **given}


async def show(host: Host, what: str) -> str:
    """One thing of the first master, one of the words in show.sh.

    Raises:
        DriverError: when it can't be had.
    """
    result = await host.run(HERE / "show.sh", files(what=what), _SHORT)
    if result.status:
        raise DriverError(f"{host.machine.name}: its cluster does not answer: {result.last_words}")
    return result.stdout


async def nodes_of(first: Host) -> dict[str, nodes.Node]:
    """The cluster's nodes; none when its API server does not answer right now."""
    try:
        return nodes.parse(json.loads(await show(first, "nodes")))
    except (DriverError, ValueError):
        return {}


async def work(
    host: Host,
    script: str,
    given: Mapping[str, bytes],
    limit: float,
    what: str,
    *,
    prints_secrets: bool = False,
) -> str:
    """Runs a job and shows its progress.

    Args:
        host: where.
        script: its name.
        given: its files.
        limit: seconds; where it takes the lock (lib.sh), from then on.
        what: what it is, for messages.
        prints_secrets: whether its output is secret, and so nothing of it may stand in an error.

    Raises:
        DriverError: with the job's last words.
    """
    result = await _job(host, script, given, limit)
    if result.status == _BUSY:
        raise _ChangedMeanwhile
    if result.status == _BLOCKED:
        raise _DrainBlocked(result.last_words)
    if result.status:
        # a script that has more to tell than why it stopped prints it: sealos's own last words, or the drain's
        said, why = "" if prints_secrets else result.stdout.rstrip(), result.last_words.splitlines()
        told = (
            f"{why[-1]}\n{_indented(said)}"
            if said
            else f"\n{_indented(result.last_words)}"
        )
        raise DriverError(f"{host.machine.name}: {what} failed: {told}")
    return result.stdout


async def _job(host: Host, script: str, given: Mapping[str, bytes], limit: float) -> Result:
    if "lock-wait" in given:
        given, limit = {**given, **files(work_limit=f"{limit:.0f}")}, limit + _LONGEST_WAIT
    return await host.job(HERE / script, given, limit, lambda line: progress(host.machine.name, line))


class _ChangedMeanwhile(Exception):
    """Another job changed the machine between the look and the act."""


class _DrainBlocked(Exception):
    """Pods did not leave a machine in time."""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


async def run_preflight(request: requests.Preflight) -> str:
    """Looks at all machines at once and judges them.

    Raises:
        DriverError: with every finding of every host, when one is an error.
    """
    first = request.fleet.first_master
    # what another `pulumi up` is about to change would be judged as somebody's leftovers; a machine that can't be asked is judged below
    with suppress(DriverError, MachineError):
        async with connect(first, request.fleet.login) as host:
            await _settled(host, files(lock_wait=_SHORT))
    progress("preflight", f"looking at {len(request.fleet.machines)} machines …")

    async def seen_by(host: Host) -> preflight.Seen:
        given = files(vip=request.vip)
        if host.machine == first:
            given = files(
                vip=request.vip,
                package=request.package.path,
                sealos=request.sealos.path,
                package_sha256=request.package.sha256,
                sealos_sha256=request.sealos.sha256,
                istioctl=request.istioctl.path if request.istioctl else None,
                istioctl_sha256=request.istioctl.sha256 if request.istioctl else None,
            )
        clock = await _clock(host)
        facts = await look(host, given, _PROBE)
        sha1 = await refuses_sha1(host.machine, request.fleet.login)
        return preflight.Seen(replace(facts, refuses_sha1=sha1), clock)

    seen, sources = await asyncio.gather(on_all(request.fleet, seen_by), asyncio.to_thread(_sources, request))
    found = preflight.judge(request, seen, sources)
    report = findings.report(found, len(request.fleet.machines))
    if findings.stop(found):
        raise DriverError(report)
    if found:
        progress("preflight", report)
    return f"{len(request.fleet.machines)} machines looked at"


def _sources(request: requests.Preflight) -> dict[str, preflight.Source]:
    """What is sent from here, as far as it is here."""
    found = {}
    for what, artifact in (("package", request.package), ("sealos", request.sealos)):
        if file := artifacts.local(artifact):
            size = file.stat().st_size if file.is_file() else None
            found[what] = preflight.Source(size, artifacts.problem(what, artifact))
    return found


async def _clock(host: Host) -> preflight.Clock:
    """The machine's clock, the better of two readings: the first one also pays for what is not loaded yet."""
    readings = []
    for _ in range(2):
        before = time.time()
        result = await host.run(HERE / "clock.sh", timeout=_SHORT)
        after = time.time()
        try:
            theirs = float(result.stdout)
        except ValueError:
            raise MachineError(
                host.machine.name, f"did not tell its time ({result.last_words})", "Look at it by hand."
            ) from None
        readings.append(preflight.Clock(theirs - (before + after) / 2, (after - before) / 2))
    return min(readings, key=lambda clock: clock.uncertainty)


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
                    except _ChangedMeanwhile:
                        continue
                    except DriverError as error:
                        raise DriverError(f"{error}\n{await _what_then(host, request)}") from None
                case "adopt":
                    progress(first.name, decision.reason)
                    given = files(lock_wait=limit.install)
                    given["cluster.json"] = _marker(request.cluster)
                    try:
                        await work(host, "adopt.sh", given, limit.install + _SHORT, "the adoption")
                    except _ChangedMeanwhile:
                        continue
                case "wait" if time.monotonic() < waited_until:
                    await asyncio.sleep(_PAUSE)
                case "recover" if not recovered:
                    progress(first.name, f"{decision.reason}: wiping it (cluster.recover)")
                    await wipe(host, request)
                    recovered = True
                case _:
                    raise DriverError(f"{first.name}: {decision.reason}")
        wrong = nodes.problems([first], await nodes_of(host), request.cluster.kubernetes_version, ready=False)
        if wrong and not existing:
            raise DriverError(
                f"{first.name}: the cluster is installed, but not as asked for:\n{_indented(chr(10).join(wrong))}\n"
                f"Put that right, there or in the settings, and run `pulumi up` again; or `pulumi destroy`, which leaves the machine clean"
            )
    return f"cluster {request.cluster.name}: first master {first.name}, Kubernetes {request.cluster.kubernetes_version}"


async def look(host: Host, given: Mapping[str, bytes] | None = None, limit: float = _SHORT) -> Facts:
    """A machine's facts, as they are right now.

    Args:
        host: the machine.
        given: files for facts.sh, when it is asked for more than what it says about itself.
        limit: seconds.

    Raises:
        MachineError: when it can't be looked at.
    """
    result = await host.run(HERE / "facts.sh", given or files(), limit)
    if result.status:
        raise MachineError(host.machine.name, f"could not be looked at ({result.last_words})", "Look at it by hand.")
    return replace(facts_of.parse(result.stdout), shell_said=result.shell_said)


async def settled(host: Host, lock_wait: float) -> Facts:
    """A first master's facts, taken when no job of ours is at work on it (a killed `pulumi up` leaves its job running)."""
    given = {**files(lock_wait=lock_wait), "facts.sh": (HERE / "facts.sh").read_bytes()}
    return facts_of.parse(await _settled(host, given))


async def _settled(host: Host, given: Mapping[str, bytes]) -> str:
    """Waits until no job of ours is at work on a first master; what facts.sh, when it is among the files `given`, then prints."""
    result = await _job(host, "settled.sh", given, _PROBE)
    if result.status:
        raise DriverError(f"{host.machine.name}: could not be looked at: {result.last_words}")
    return result.stdout


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


async def sweep(
    host: Host, vip: str, copy: str | None, *, sealos: str | None = None, lock_wait: float | None = None
) -> list[str]:
    """Takes everything of the cluster off one machine.

    Args:
        host: the machine.
        vip: the cluster's.
        copy: path of the package that sealos copied there, to be removed too; None where the user put it.
        sealos: path where the user put sealos, which stays; None where there are only sealos's own copies.
        lock_wait: seconds to wait for a job of ours on a first master; None on a machine where none runs.

    Returns:
        What is still there.
    """
    given = files(vip=vip, role=host.machine.role, copy=copy, sealos=sealos, lock_wait=lock_wait)
    result = await host.run(HERE / "clean.sh", given, _PROBE + (lock_wait or 0))
    if result.stderr.strip():
        progress(host.machine.name, result.stderr.strip())
    if result.status:
        return [f"the sweep stopped: {result.last_words}"]
    return result.stdout.splitlines()


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
    result = await host.run(HERE / "want.sh", given, _SHORT)
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
            if not await _still_reports(
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
                await _take_out(host, node, request.limit)
                break
        await forget(host, name)


async def _take_out(first: Host, node: nodes.Node, limit: float, *, anew: bool = False) -> None:
    """Takes a Node out of the cluster, and of etcd, that no machine reports as; without a drain.

    Raises:
        _ChangedMeanwhile: for a machine that was set up `anew`, when it has to be looked at again, since another job may have joined it.
    """
    given = files(
        role=node.role, name=node.name, address=node.address, gone="yes", anew="yes" if anew else None, lock_wait=limit
    )
    await work(first, "leave.sh", given, limit + _PROBE, f"the removal of {node.name}")


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


async def known_of(first: Host) -> list[Machine]:
    """Every machine that was ever wanted in the cluster and has not been seen clean since, as the first master has them written down."""
    found = {}
    for line in (await show(first, "machines")).splitlines():
        try:
            machine = Machine.model_validate_json(line)
        except ValueError:
            progress(first.machine.name, "warning: a note in /etc/sealos-istio/machines can't be read; it is left out")
            continue
        found[machine.name] = machine
    return list(found.values())


async def forget(first: Host, name: str) -> None:
    """Takes a machine out of those, when it was seen clean or is given up.

    Raises:
        DriverError: when the note can't be removed.
    """
    result = await first.run(HERE / "forget.sh", files(name=name), _SHORT)
    if result.status:
        raise DriverError(f"{first.machine.name}: the note about {name} could not be removed: {result.last_words}")


async def _still_reports(first: Host, node: nodes.Node, begun: float, waiting: str, never: DriverError) -> bool:
    """Whether a kubelet reports as this Node. If so, it tells that only after a pause: the cluster is slow to see that one is gone.

    Args:
        first: the first master.
        node: the Node.
        begun: when the wait for its silence began, by time.monotonic.
        waiting: what is told while it lasts.
        never: what is wrong if it reports for so long that its machine must be there.

    Raises:
        DriverError: `never`.
    """
    answer = json.loads(await show(first, "leases"))
    if not nodes.reports(node, answer["leases"], answer["now"]):
        return False
    if time.monotonic() - begun > _GRACE:
        raise never
    progress(node.name, waiting)
    await asyncio.sleep(5 * _PAUSE)
    return True


async def wanted_of(first: Host) -> requests.Wanted:
    """What the cluster shall have, as the first master has it written down; nothing when it has nothing."""
    text = await show(first, "wanted")
    try:
        return requests.Wanted.model_validate_json(text or "{}")
    except ValueError:
        raise DriverError(
            f"{first.machine.name}: /etc/sealos-istio/wanted.json can't be read; `pulumi up --refresh` writes it anew"
        ) from None


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
        await _end_former_life(first, own, request.timeouts.join)
        words = await _join(request, first, wanted, begun)
        begun = time.monotonic()
        while wrong := nodes.problems([member], present := await nodes_of(first), request.kubernetes_version):
            waited = time.monotonic() - begun
            # a Node that exists needs time to get Ready; any other difference does not go away by waiting
            hopeless = member.name in present and not all(" is not Ready: " in problem for problem in wrong)
            limit = request.timeouts.ready if member.name in present else _REGISTERED
            if hopeless or waited > limit:
                said = f"\nsealos's last words:\n{_indented(words.rstrip())}" if words.strip() else ""
                way_out = "" if hopeless or member.name not in present else f"\n{nodes.GET_READY}"
                raise DriverError(f"{member.name}: did not join as asked for: {'; '.join(wrong)}{said}{way_out}")
            await asyncio.sleep(_PAUSE)
        note = _member_note(request, await _ca(first))
        tidied = await own.run(HERE / "tidy.sh", {**files(), "member.json": note}, _SHORT)
        if tidied.status:
            raise DriverError(f"{member.name}: joined, but could not be tidied up: {tidied.last_words}")
    progress(member.name, "is a Ready node")
    node = present[member.name]
    return f"{node.role} {node.name} {node.address} {node.version}"


async def _ca(first: Host) -> str:
    """SHA-256 of the cluster's CA certificate, as Facts.ca."""
    return (await show(first, "ca")).strip()


def _member_note(request: requests.Member, ca: str | None = None) -> bytes:
    """What stands on a member about its cluster: its name, and its CA's SHA-256 when the join has come to its end."""
    return json.dumps({"name": request.cluster} | ({"ca": ca} if ca else {})).encode()


async def _former_life(first: Host, own: Host) -> nodes.Node | None:
    """The Node of a machine that was set up anew and so is no member any more; None when it is one, or the cluster has no such Node.

    Raises:
        DriverError: when a kubelet goes on reporting as that Node, which can't be this machine's.
    """
    name, begun = own.machine.name, time.monotonic()
    while node := (await nodes_of(first)).get(name):
        if not joining.set_up_anew(await look(own)):
            return None
        if not await _still_reports(
            first,
            node,
            begun,
            "holds nothing of the cluster; waiting until the cluster sees that its Node is gone …",
            DriverError(
                f"{name}: nothing of the cluster is on the machine at {own.machine.address}, but a kubelet reports as node {name}. Which "
                f"machine is that ({node.address})? Switch it off, or correct the address, and run this again"
            ),
        ):
            return node
    return None


async def _end_former_life(first: Host, own: Host, limit: float) -> None:
    """Takes out the Node, and a master's etcd member, that a machine had before it was set up anew."""
    while node := await _former_life(first, own):
        progress(node.name, "holds nothing of the cluster, and its Node reports no more (set up anew?): taking that out, without a drain …")
        with suppress(_ChangedMeanwhile):
            await _take_out(first, node, limit, anew=True)


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
            ca = await _ca(first)
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
                await asyncio.sleep(_PAUSE)
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
                targets=_targets(wanted.machines),
                batch=wanted.join_batch,
                since=time.monotonic() - begun,
                lock_wait=limit,
            )
            given |= sealos_config.login_files(request.fleet.login, request.package.path)
            try:
                return await work(
                    first, "join.sh", given, (3 + len(joined) // wanted.join_batch) * limit, f"the join of {member.name}"
                )
            except _ChangedMeanwhile:
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
        noted = await host.run(HERE / "note.sh", given, _SHORT)
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
                await asyncio.sleep(_PAUSE / 5)
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
                    await _end_former_life(first, own, request.timeouts.clean)
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


def _targets(machines: Iterable[Machine]) -> str:
    """Machines as sealos's config lists them, a line each."""
    return "".join(f"{sealos_config.target(machine)}\n" for machine in machines)


async def _leave(request: requests.Member, first: Host, wanted: requests.Wanted, *, gone: bool) -> None:
    member, limit = request.fleet.named(request.member), wanted.drain
    given = files(
        sealos=request.sealos.path,
        role=member.role,
        name=member.name,
        me=sealos_config.target(member),
        targets=_targets([*wanted.machines, member]),
        address=member.address,
        gone="yes" if gone else None,
        drain_arguments=drain.arguments(request.kubernetes_version, limit),
        lock_wait=request.timeouts.clean,
    )
    given |= sealos_config.login_files(request.fleet.login, request.package.path)
    try:
        await work(first, "leave.sh", given, 3 * request.timeouts.clean + limit, f"the removal of {member.name}")
    except _DrainBlocked as blocked:
        try:
            pods, budgets = json.loads(await show(first, "pods")), json.loads(await show(first, "budgets"))
            why = drain.blockers(member.name, pods, budgets)
        except (DriverError, ValueError):
            why = []
        told = _indented("\n".join(why or [str(blocked)]))
        raise DriverError(
            f"{member.name}: could not be drained within {limit:.0f} s (cluster.timeouts.drain); it is still a member and in service. "
            f"What blocks it:\n{told}\nGive these pods another place, or their budget another number (docs/operations.md, Remove machines), "
            f"and run it again"
        ) from None


async def run_look(request: requests.Look) -> str:
    """What an update asks for beside its steps, as JSON; never an error, and nothing is changed.

    `said` tells of machines whose Node reports no more, and of such as the settings lack; `kubeconfig` is the SHA-256 of what
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
    said = [*(joining.silent(name, seen) for name, seen in told.items()), *map(joining.unlisted, more)]
    return json.dumps({"said": said, "kubeconfig": hashlib.sha256(kubeconfig.encode()).hexdigest()})


async def run_kubeconfig(request: requests.Kubeconfig) -> str:
    """The cluster's kubeconfig for use from outside; secret."""
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        try:
            return sealos_config.kubeconfig(await show(host, "kubeconfig"), first.address).rstrip("\n")
        except ValueError as error:
            raise DriverError(f"{first.name}: {error}") from None


async def run_backup(request: requests.Backup) -> str:
    """The first master's ~/.sealos, CA keys included, as base64 of a gzipped archive; secret."""
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        given = files(lock_wait=request.limit)
        what = "the backup of sealos's state"
        return (await work(host, "backup.sh", given, request.limit + _PROBE, what, prints_secrets=True)).strip()


async def run_ready(request: requests.Ready) -> str:
    """Waits until every wanted machine is a Ready node, in its role, version and address; prints them as JSON.

    One that has died since it joined holds up nothing; it is named.
    """
    async with connect(request.fleet.first_master, request.fleet.login) as host:
        begun, told = time.monotonic(), 0.0
        while True:
            present = await nodes_of(host)
            silent = [node for node in present.values() if node.silent]
            alive = [machine for machine in request.machines if machine.name not in {node.name for node in silent}]
            if not (wrong := nodes.problems(alive, present, request.kubernetes_version)):
                break
            waited = time.monotonic() - begun
            if waited > request.timeout:
                raise DriverError(
                    f"the cluster is not ready after {waited:.0f} s:\n{_indented(chr(10).join(wrong))}\n"
                    f"{nodes.GET_READY}; or `pulumi destroy`, which leaves the machines clean"
                )
            if waited - told > 10:
                told = waited
                progress(host.machine.name, f"waiting for {len(wrong)} thing(s), the first: {wrong[0]}")
            await asyncio.sleep(_PAUSE)
        if said := nodes.warning(silent):
            progress(host.machine.name, f"warning: {said}")
        # by now the state has every member's resource, so that a removal is that one's business (`_take_out_unrecorded`)
        noted = await host.run(HERE / "record.sh", files(names="".join(f"{m.name}\n" for m in request.machines)), _SHORT)
        if noted.status:
            raise DriverError(f"{host.machine.name}: the members could not be noted: {noted.last_words}")
    return json.dumps(nodes.table(request.machines, present))
