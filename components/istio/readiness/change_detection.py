"""Whether something changed the mesh behind the stack's back: one look at every `pulumi up`, so that the next one repairs it.

The engine can't notice: the Deployments are the operator's, not the stack's, and 1.5.0's operator compares with a cache
instead of the cluster (istio#23238). So an update asks the cluster before it takes the gate. What it answers is a text that
the gate noted there when it was passed; as long as the mesh is as wanted, the text stays and so does the gate. Otherwise it
is the present time, which takes the gate and the CNI checks anew. A preview asks nobody: it has no host to need.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from components.driver import DriverError, progress
from components.istio.cni_chain import CniChain
from components.istio.cni_probe import wrong_with
from components.istio.readiness.judge import judge
from components.istio.readiness.model import RenderedSet, View, Wanted, with_rendered
from components.istio.readiness.probe import look
from components.istio.readiness.report import placed
from components.remote.connection import on_all
from components.remote.host import Host
from components.remote.models import Fleet, MachineError, Request
from components.sealos import nodes


class LookRequest(Request):
    """What `look` reads.

    Attributes:
        fleet: every machine.
        wanted, spec, rendered: the ready gate's.
        chain: the CNI check's; None without the plugin.
    """

    fleet: Fleet
    wanted: Wanted
    spec: str = ""
    rendered: RenderedSet | None = None
    chain: CniChain | None = None


async def found_changed_at(request: LookRequest) -> str:
    """What was noted when the gate was last passed; the present time when that isn't true any more, or can't be known.

    It never fails: who can't be reached is found by the gate, which says so in words.
    """
    wanted = with_rendered(request.wanted, request.spec, request.rendered)

    first = request.fleet.first_master

    async def one(host: Host) -> View | bool:
        """Whether this machine has all as wanted; the first master's look at the mesh when it has."""
        if request.chain and await wrong_with(host, request.chain):
            return False
        if host.machine != first:
            return True
        view = await look(host, wanted)
        return view if isinstance(view, View) and unchanged(wanted, view) else False

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        answers = await on_all(request.fleet, one)
    except (DriverError, MachineError, OSError):
        return now
    if not isinstance(view := answers.pop(first.name), View):
        return now
    if said := nodes.warning(silent := view.silent()):
        progress(first.name, f"warning: {said}")
    dead = {node.name for node in silent}
    for name, answer in answers.items():
        if not answer or (isinstance(answer, MachineError) and not (answer.gone and name in dead)):
            return now
    return noted(view) or now


def unchanged(wanted: Wanted, view: View) -> bool:
    """Whether all is as wanted, and where the stack's outputs say. The operator may be at work: this update may have given it some."""
    reported = _record(view).get("reported")  # an older program's gate noted none
    # as it was when the gate was passed, which left out what was about to leave
    moved = reported is not None and reported != json.dumps(placed(wanted.model_copy(update={"machines": ()}), view))
    return not moved and not judge(wanted, view.model_copy(update={"settled": True})).problems


def noted(view: View) -> str:
    """What the gate left in the cluster; empty when it was never passed there."""
    return str(_record(view).get("foundChangedAt", ""))


def _record(view: View) -> dict[str, str]:
    found: dict[str, str] = (view.record or {}).get("data") or {}
    return found
