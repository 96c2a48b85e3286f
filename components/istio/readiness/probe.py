"""Asks the first master over one SSH connection until the mesh is as wanted, or says why it isn't. Decides nothing itself."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from components.driver import DriverError, progress
from components.istio.readiness.judge import REFUSED_OFTEN, judge
from components.istio.readiness.model import Object, RenderedSet, Verdict, View, Wanted, with_rendered
from components.istio.readiness.report import last_words, report, warnings
from components.istio.releases.table import release
from components.problem import Problem, first_of, told
from components.remote.connection import connect
from components.remote.host import Result
from components.remote.models import Fleet, Request
from components.sealos import nodes

SCRIPT = Path(__file__).with_name("gate.sh")
OWNED = Path(__file__).parents[1] / "owned.sh"
INTERVAL = 2.0
"""Seconds between two looks."""

SETTLED_AFTER = 20.0
"""Seconds for which all must be as wanted when the operator's log can't tell that it has seen the last change."""

ERROR_LASTS = 30.0
"""Seconds after which the same error counts. The status is not versioned, so right after a change it may be the old one's;
reconciling a changed IstioOperator took 3 to 18 s."""

IGNORED_LASTS = 30.0
"""Seconds after which HEALTHY without the objects is taken for the operator's cache, and it is started anew."""

HANGS_AFTER = 60.0
"""Seconds after which an operator at work on what is as wanted hangs, and is started anew. 1.6.5's did
after a Deployment was deleted by hand, and after its IstioOperator was made anew: all was made again, and it waited for ever
among its components (processRecursive in operator/pkg/helmreconciler/reconciler.go). Reconciling what is there takes seconds."""

DEAF_AFTER = 45.0
"""Seconds after which a Deployment that runs has missed that its webhooks lack its CA bundle, and is started anew: it takes them a
second. 1.5.0's istiod leads again after the API server was away for longer than its lease (15 s), but hears nothing any more of
its ValidatingWebhookConfiguration (its controller starts the same informers a second time: pkg/webhooks/validation/controller/controller.go),
and the operator, which starts anew at such a moment, takes the bundle away."""

DONE_LASTS = 8.0
"""Seconds that stand in for both when the operator's log shows that it is done: then nothing more will come."""

FOUND_CHANGED_AT = "FOUND_CHANGED_AT"
"""The variable with which `up` takes the gate anew, see components/istio/readiness/change_detection.py; noted in the cluster once it is passed."""

OPERATOR = "istio-operator/istio-operator"
"""Namespace and name of its Deployment."""

RECORD = "sealos-istio"
"""The ConfigMap of the operator's namespace in which it is noted."""

LISTED = 20
"""Problems that a message lists."""

_TOO_LATE = "the mesh was not ready after {:g} s"


class GateRequest(Request):
    """What `gate` reads.

    Attributes:
        fleet: how to reach the first master.
        wanted: what must be true there.
        spec: a hash of the IstioOperator's spec, so that another spec makes another request.
        rendered: what Istio's own renderer made of the settings, where it was asked.
        uid: the IstioOperator's own, so that one that was made again makes another request.
    """

    fleet: Fleet
    wanted: Wanted
    spec: str = ""
    rendered: RenderedSet | None = None
    uid: str = ""


class _Host(Protocol):
    async def run(self, script: Path | str, files: dict[str, bytes], timeout: float) -> Result: ...  # noqa: ASYNC109


async def gate(request: GateRequest) -> str:
    """Waits for the mesh; the report as JSON.

    Raises:
        DriverError: when the operator reports an error that lasts, or time is up.
        MachineError: when the first master can't be reached.
    """
    machine = request.fleet.first_master
    async with connect(machine, request.fleet.login) as host:
        wanted = with_rendered(request.wanted, request.spec, request.rendered)
        found = await wait(host, wanted, lambda text: progress(machine.name, text))
        if retired := await _retire(host, wanted):
            progress(machine.name, f"took away what only an earlier version made: {', '.join(retired)}")
        await _record(host, os.environ.get(FOUND_CHANGED_AT, ""), found)
        return json.dumps(found)


async def wait(
    host: _Host,
    wanted: Wanted,
    say: Callable[[str], None],
    clock: Callable[[], float] = monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> dict[str, Any]:
    """`gate` on an open connection."""
    end = clock() + wanted.timeout
    since: dict[Problem | str, float] = {}  # of problems, and of Deployments by name
    restarted: set[str] = set()
    said = ""
    verdict: Verdict | None = None
    trouble = ""
    good_since: float | None = None
    while True:
        looked = await look(host, wanted)
        now = clock()
        if isinstance(looked, View):
            verdict, trouble = judge(wanted, looked), ""
            if verdict.leftovers:
                say(f"taking away what only earlier settings asked for: {_pointed(verdict.leftovers)}")
                await _trim(host, wanted, verdict.leftovers)
            if not verdict.problems:
                good_since = good_since if good_since is not None else now
                if looked.settled or now - good_since >= SETTLED_AFTER:
                    said = nodes.warning(verdict.silent)
                    say(f"the mesh is as wanted. warning: {said}" if said else "the mesh is as wanted")
                    return report(wanted, looked, OPERATOR in restarted)
                if now >= end:
                    raise DriverError(
                        await _message(
                            _TOO_LATE.format(wanted.timeout), host, wanted, verdict, "the operator's log tells nothing"
                        )
                    )
                await sleep(INTERVAL)
                continue
            good_since = None
            current: set[Problem | str] = {*verdict.failed, *verdict.ignored, *verdict.hanging, *verdict.deaf}
            since = {what: since.get(what, now) for what in current}
            done = looked.settled or len(looked.refused) >= REFUSED_OFTEN
            error_lasts, ignored_lasts = (DONE_LASTS, DONE_LASTS) if done else (ERROR_LASTS, IGNORED_LASTS)
            if any(now - since[p] >= error_lasts for p in verdict.failed):
                raise DriverError(
                    await _message("the operator could not apply the mesh", host, wanted, verdict, trouble)
                )
            lasted = {what: now - began for what, began in since.items()}
            stuck = {OPERATOR: why} if (why := _why_it_is_stuck(wanted, verdict, lasted, ignored_lasts)) else {}
            stuck |= {
                name: f"{name} runs, but has left its webhooks without a CA bundle for {DEAF_AFTER:g} s" for name in verdict.deaf if lasted[name] >= DEAF_AFTER
            }
            for name in stuck.keys() - restarted:
                restarted.add(name)
                say(f"{stuck[name]}, so it is started anew")
                await _restart(host, looked, name)
                since = {}
            first = first_of(verdict.problems)
        else:
            trouble = first = looked
        if first != said:
            say(f"waiting: {first}")
            said = first
        if now >= end:
            raise DriverError(await _message(_TOO_LATE.format(wanted.timeout), host, wanted, verdict, trouble))
        await sleep(min(INTERVAL, max(0.1, end - now)))


def _why_it_is_stuck(wanted: Wanted, verdict: Verdict, lasted: Mapping[Problem | str, float], ignored_lasts: float) -> str:
    """Why only a new pod of the operator will help, or nothing."""
    if release(wanted.version).forgets_recreated and any(lasted[p] >= ignored_lasts for p in verdict.ignored):
        texts = "; ".join(map(str, verdict.ignored))
        return (
            f"the operator says HEALTHY although this is not so: {texts}. Istio {wanted.version} compares with a cache "
            f"instead of the cluster (istio#22325)"
        )
    if any(lasted[p] >= HANGS_AFTER for p in verdict.hanging):
        return f"all is as wanted, but the operator has not ended for {HANGS_AFTER:g} s"
    return ""


async def look(host: _Host, wanted: Wanted) -> View | str:
    """One look; a text when the API server did not answer."""
    files = {
        "verb": b"look",
        "namespace": wanted.namespace.encode(),
        "name": wanted.name.encode(),
        "says_when_done": b"true" if release(wanted.version).says_when_done else b"false",
    }
    if wanted.namespaces:
        files["namespaces"] = "".join(f"{name}\n" for name in wanted.namespaces).encode()
    if wanted.cni:
        files |= {"cni_namespace": wanted.cni.namespace.encode(), "cni_name": wanted.cni.name.encode()}
    result = await host.run(SCRIPT, files, 90)
    if result.status != 0:
        return f"the API server did not answer kubectl on the first master: {_last_line(result)}"
    try:
        found = json.loads(result.stdout)
    except ValueError:
        return f"kubectl on the first master printed no JSON: {result.stdout[:200]!r}"
    lists = {key: (found[key] or {}).get("items", []) for key in ("mesh", "nodes", "operator", "webhooks")}
    for more in found.pop("others", ()):
        lists["mesh"] += (more or {}).get("items", [])
    refused = base64.b64decode(found["refused"]).decode(errors="replace").split("\n")
    return View.model_validate({**found, **lists, "refused": [line for line in refused if line]})


async def _record(host: _Host, found_changed_at: str, found: Mapping[str, Any]) -> None:
    reported = {key: found[key] for key in ("cni", "gateway")}
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": RECORD, "namespace": "istio-operator"},
        "data": {"foundChangedAt": found_changed_at, "reported": json.dumps(reported)},
    }
    result = await host.run(SCRIPT, {"verb": b"record", "record": json.dumps(manifest).encode()}, 60)
    if result.status != 0:
        raise DriverError(f"the mesh is as wanted, but that could not be noted in the cluster: {_last_line(result)}")


async def _retire(host: _Host, wanted: Wanted) -> list[str]:
    """Takes away what an earlier version's operator made and this one's doesn't, once that runs; its kinds and names."""
    if release(wanted.version).prunes_old_version:
        return []
    files = {
        "verb": b"retire",
        "name": wanted.name.encode(),
        "version": wanted.version.encode(),
        "owned.sh": OWNED.read_bytes(),
    }
    result = await host.run(SCRIPT, files, 120)
    if result.status != 0:
        raise DriverError(
            f"the mesh is as wanted, but what an earlier version left could not be taken away: {_last_line(result)}"
        )
    return result.stdout.split()


def _pointed(left: Mapping[str, list[str]]) -> str:
    return "; ".join(f"Deployment {name}: {', '.join(pointers)}" for name, pointers in left.items())


async def _trim(host: _Host, wanted: Wanted, left: Mapping[str, list[str]]) -> None:
    for name, pointers in left.items():
        patch = json.dumps([{"op": "remove", "path": pointer} for pointer in pointers])
        files = {
            "verb": b"trim",
            "namespace": wanted.titled(name).partition("/")[0].encode(),
            "name": name.rpartition("/")[2].encode(),
            "patch": patch.encode(),
        }
        result = await host.run(SCRIPT, files, 60)
        if result.status != 0:
            raise DriverError(
                f"what earlier settings left could not be taken away ({_pointed({name: pointers})}): {_last_line(result)}"
            )


async def _restart(host: _Host, view: View, name: str) -> None:
    """Ends the processes in the pods of a Deployment, or the pods where that can't be done; Kubernetes makes them anew."""
    selector = {"name": "istio-operator"} if name == OPERATOR else (view.named("Deployment", name) or {})["spec"]["selector"]["matchLabels"]
    files = {
        "verb": b"restart",
        "namespace": name.partition("/")[0].encode(),
        "selector": ",".join(f"{key}={value}" for key, value in selector.items()).encode(),
    }
    result = await host.run(SCRIPT, files, 60)
    if result.status != 0:
        raise DriverError(f"the pod of {name} could not be started anew: {_last_line(result)}")


async def _message(what: str, host: _Host, wanted: Wanted, verdict: Verdict | None, trouble: str) -> str:
    problems = verdict.problems if verdict else ()
    lines = [f"{what}:", *([f"  - {trouble}"] if trouble else ()), *told(problems[:LISTED])]
    if len(problems) > LISTED:
        lines.append(f"  - and {len(problems) - LISTED} more")
    if verdict and (dead := nodes.warning(verdict.silent)):
        lines.append(f"  - {dead}")
    if said := warnings(await _events(host, wanted), problems):
        lines += ["Kubernetes' last warnings about it:", *(f"    {warning}" for warning in said)]
    result = await host.run(SCRIPT, {"verb": b"logs"}, 60)
    if words := last_words(result.stdout) if result.status == 0 else []:
        lines += ["the operator's last words:", *(f"    {word}" for word in words)]
    lines.append(
        "Mend what is named above, or give it more time (istio.readyTimeout), and run `pulumi up` again: it goes on from here."
    )
    return "\n".join(lines)


async def _events(host: _Host, wanted: Wanted) -> list[Object]:
    """Warnings of the namespaces that matter; none when the API server doesn't answer, which the message says already."""
    namespaces = dict.fromkeys([wanted.namespace, *wanted.namespaces, *([wanted.cni.namespace] if wanted.cni else []), "istio-operator"])
    files = {"verb": b"warnings", "namespaces": "".join(f"{name}\n" for name in namespaces).encode()}
    result = await host.run(SCRIPT, files, 60)
    try:
        return [event for line in result.stdout.splitlines() for event in json.loads(line)["items"]]
    except (ValueError, KeyError):
        return []


def _last_line(result: Result) -> str:
    words = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return words[-1] if words else f"exit status {result.status}"
