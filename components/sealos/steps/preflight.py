"""All machines are looked at and judged, before anything is changed."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from components.driver import DriverError, progress
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import MachineError
from components.sealos import artifacts, findings, preflight, requests
from components.sealos.steps.ask import at_rest, look
from components.sealos.steps.script import PROBE, SHORT, files, path
from components.sealos.way_in import refuses_sealos


async def run_preflight(request: requests.Preflight) -> str:
    """Looks at all machines at once and judges them.

    Raises:
        DriverError: with every finding of every host, when one is an error.
    """
    first = request.fleet.first_master

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
        facts = await look(host, given, PROBE)
        refused = await refuses_sealos(host.machine, request.fleet.login, None if host.machine == first else by)
        forwards = not request.tunnel or host.machine != first or await host.forwards()
        return preflight.Seen(replace(facts, refuses_sealos=refused, forwards=forwards), clock)

    async with AsyncExitStack() as stack:
        lead: Host | None = None
        # what another `pulumi up` is about to change would be judged as somebody's leftovers; a machine that can't be asked is judged below
        with suppress(DriverError, MachineError):
            lead = await stack.enter_async_context(connect(first, request.fleet.login))
            await at_rest(lead, files(lock_wait=SHORT))
        progress("preflight", f"looking at {len(request.fleet.machines)} machines …")
        by = lead if lead and await lead.forwards() else None  # sealos dials from there
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
        result = await host.run(path("clock.sh"), timeout=SHORT)
        after = time.time()
        try:
            theirs = float(result.stdout)
        except ValueError:
            raise MachineError(
                host.machine.name, f"did not tell its time ({result.last_words})", "Look at it by hand."
            ) from None
        readings.append(preflight.Clock(theirs - (before + after) / 2, (after - before) / 2))
    return min(readings, key=lambda clock: clock.uncertainty)
