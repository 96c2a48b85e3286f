"""Looks: at the settings, the state, and every machine once; decides nothing itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components import stacks
from components.config.base import SettingsError
from components.config.stack import Settings
from components.driver import DriverError
from components.istio import cni_chain, cni_probe, renderer
from components.istio.cni_chain import CniChain
from components.istio.istio_operator import ControlPlanePlan
from components.istio.mesh_plan import gate_request
from components.istio.readiness import probe
from components.istio.readiness.judge import judge as judge_mesh
from components.istio.readiness.model import RenderedSet, View, Wanted, with_rendered
from components.problem import Code, Problem
from components.remote.connection import on_all
from components.remote.host import Host
from components.remote.models import MachineError
from components.stacks import Stack
from drift import judge
from drift.judge import Seen
from review.previews import Checkout

SCRIPT = Path(__file__).with_name("look.sh")
LIMIT = 90.0
"""Seconds that the look at one machine may take."""


class CannotLook(Exception):
    """Nothing can be compared; the text says why."""


def stack_of(checkout: Checkout, name: str) -> Stack:
    """The settings of a stack, secrets included.

    Raises:
        CannotLook: they can't be read, or are wrong.
    """
    done = checkout.pulumi("config", "--json", "--show-secrets", "--stack", name)
    if done.returncode:
        raise CannotLook(f"The settings of {name} can't be read: {done.stderr.strip()[-500:]}")
    try:
        return stacks.parse(done.stdout, name, checkout.directory)
    except SettingsError as error:
        raise CannotLook(str(error)) from None


def at_settings(checkout: Checkout, name: str) -> list[Problem]:
    """What the settings ask for beyond the state.

    Raises:
        CannotLook: there is no preview.
    """
    plan = checkout.preview(name)
    if plan.error:
        raise CannotLook(f"There is no preview of {name}: {plan.error}")
    return list(judge.settings((change.operation, f"{change.kind} {change.name}") for change in plan.changed))


def at_objects(checkout: Checkout, name: str) -> list[Problem]:
    """What the cluster's objects are beyond the state; writes nothing."""
    done = checkout.pulumi("refresh", "--preview-only", "--json", "--stack", name)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        why = (done.stderr or done.stdout).strip()[-300:]
        return [Problem(Code.OBJECTS_UNKNOWN, name, f"they can't be compared: {why}")]
    found = list(judge.objects(document))
    if done.returncode and not found:
        told = [d["message"].strip() for d in document.get("diagnostics", []) if d.get("severity") == "error"]
        why = "; ".join(told)[-300:]
        return [Problem(Code.OBJECTS_UNKNOWN, name, f"they can't be compared: {why}")]
    return found


def kubeconfig_of(checkout: Checkout, name: str) -> str:
    """The kubeconfig in a stack's state; empty where there is none."""
    done = checkout.pulumi("stack", "output", "kubeconfig", "--show-secrets", "--stack", name)
    return "" if done.returncode else done.stdout


def last_rendered(checkout: Checkout, name: str) -> dict[str, Any]:
    """What Istio's renderer made of the mesh at the last update; empty where the state can't be read or has none."""
    done = checkout.pulumi("stack", "export", "--stack", name)
    return {} if done.returncode else stacks.last_rendered(done.stdout)


async def at_machines(
    stack: Stack, own: str, rendered: Mapping[str, Any], within: timedelta, now: datetime | None = None
) -> list[Problem]:
    """What the machines are, the cluster that they make, and the mesh on it; one connection a machine.

    Args:
        stack: the settings, and how to log in.
        own: the stack's own kubeconfig; empty for none.
        rendered: what Istio's renderer made of the mesh at the last update; empty for nothing.
        within: how soon an end of a certificate or token is near.
        now: the time, if not the present one.
    """
    settings, fleet = stack.settings, stack.fleet
    time = now or datetime.now(UTC)
    first = fleet.first_master.name
    chain = _chain(settings)
    wanted = expected_mesh(stack.plan.mesh, [machine.name for machine in settings.machines], rendered) if stack.plan.mesh else None

    async def one(host: Host) -> tuple[Seen, list[Problem]]:
        name = host.machine.name
        result = await host.run(SCRIPT, {}, LIMIT)
        if result.status:
            raise MachineError(name, f"it can't be looked at: {result.last_words}", "Look at the machine.")
        found: list[Problem] = []
        if chain:
            found += await cni_probe.wrong_with(host, chain, LIMIT)
        if name == first and wanted:
            found += await at_mesh(host, wanted)
        return judge.parse(result.stdout), found

    findings: list[Problem] = []
    answers = await on_all(fleet, one)
    for machine in fleet.machines:
        answer = answers[machine.name]
        if isinstance(answer, MachineError):
            findings.append(answer.problem)
            continue
        seen, found = answer
        findings += found
        findings += judge.machine(machine, seen)
        findings += judge.expiries(machine.name, seen, time, within)
        if machine.name == first:
            findings += judge.membership(fleet.machines, settings.cluster.kubernetes_version, seen)
            if own:
                findings += judge.own_kubeconfig(settings.cluster.name, own, seen, time, within)
    return findings


def _chain(settings: Settings) -> CniChain | None:
    if settings.istio is None or not settings.istio.cni.enabled:
        return None
    return cni_chain.wanted(settings.istio)


def expected_mesh(plan: ControlPlanePlan, machines: Sequence[str], rendered: Mapping[str, Any]) -> Wanted:
    """What the ready gate expects of the mesh, images and places of pods included where they were rendered.

    Args:
        plan: of the settings.
        machines: names of all of the stack's.
        rendered: what was rendered at the last update; of settings that were changed since then, it counts for nothing.
    """
    asked = gate_request(plan, machines, renderer.gate_view(rendered, plan.istio.namespace))
    made = asked["rendered"] and RenderedSet.model_validate(asked["rendered"])
    return with_rendered(Wanted.model_validate(asked["wanted"]), asked["spec"], made)


async def at_mesh(host: Host, wanted: Wanted) -> Sequence[Problem]:
    """What the ready gate would say, in one look."""
    try:
        view = await probe.look(host, wanted)
    except DriverError as error:
        view = str(error)
    return judge_mesh(wanted, view).problems if isinstance(view, View) else [Problem(Code.MESH_UNKNOWN, wanted.name, view)]
