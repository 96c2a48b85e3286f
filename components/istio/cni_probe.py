"""Reads every node's CNI chain over SSH, all nodes at once, until all are as wanted or time is up."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from components.driver import DriverError, progress
from components.istio.cni_chain import CniChain, NodeFiles, problems
from components.problem import Code, Problem, told
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import Fleet, MachineError, Request
from components.sealos import nodes
from components.sealos.steps.ask import nodes_of

SCRIPT = Path(__file__).with_name("cni_look.sh")
INTERVAL = 3.0
_ADVICE = "Pods that start there would not be in the mesh. Put right what is named above, and run `pulumi up` again."


class CniRequest(Request):
    """What `cni-check` reads.

    Attributes:
        fleet: the first master, and the machine to look at.
        node: the name of that one; all of the fleet by default.
        chain: what each must have.
        installer: the image that writes it; it only makes another request of another version.
        timeout: seconds until all must have it. The installer's pod may be ready before it has written anything.
    """

    fleet: Fleet
    node: str | None = None
    chain: CniChain
    installer: str = ""
    timeout: float = 120


def parse(text: str) -> NodeFiles:
    """What cni_look.sh printed."""
    found: dict[str, str] = {}
    listed: list[str] = []
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "listed":
            listed.append(value)
        else:
            found[key] = value
    conflist = base64.b64decode(found["conflist"]).decode(errors="replace") if "conflist" in found else None
    single = {key: found.get(key) for key in ("binary", "kubeconfig", "rights")}
    return NodeFiles(listed=tuple(sorted(listed)), conflist=conflist, **single)


async def wrong_with(host: Host, chain: CniChain, limit: float = 30) -> list[Problem]:
    """One look at a node, of at most `limit` seconds: every problem of its chain."""
    result = await host.run(SCRIPT, chain.asked(), limit)
    name = host.machine.name
    return [Problem(Code.CNI_UNKNOWN, name, result.last_words)] if result.status else problems(name, chain, parse(result.stdout))


async def cni_check(request: CniRequest) -> str:
    """Waits until every node's chain is as wanted; a report as JSON.

    Raises:
        DriverError: with every problem of every node, when time is up.
    """

    async def one(host: Host) -> list[Problem]:
        """What is still wrong on a node when its time is up: one connection for all looks."""
        end = monotonic() + request.timeout
        while True:
            found = await wrong_with(host, request.chain)
            if not found or monotonic() >= end:
                return found
            await asyncio.sleep(INTERVAL)

    answers = await on_all(request.fleet, one, [request.fleet.named(request.node)] if request.node else None)
    dead = await _dead(request.fleet, answers)
    wrong: list[Problem] = []
    for answer in (answer for name, answer in answers.items() if name not in dead):
        wrong += [answer.problem] if isinstance(answer, MachineError) else answer
    if wrong:
        raise DriverError(
            "\n".join((f"istio-cni does not end the CNI chain of {', '.join(answers)} as wanted after {request.timeout:g} s:", *told(wrong), _ADVICE))
        )
    if said := nodes.warning(dead.values()):
        progress("cni", f"warning: {said}")
    alive = sorted(answers.keys() - dead.keys())
    if alive:
        progress("cni", f"istio-cni ends the chain of {', '.join(alive)}")
    return json.dumps({"configFile": request.chain.config_file, "nodes": alive})


async def _dead(fleet: Fleet, answers: Mapping[str, object]) -> dict[str, nodes.Node]:
    """Of the machines that do not answer, those that Kubernetes hears nothing of either: no pod starts there before they are back."""
    gone = {name for name, answer in answers.items() if isinstance(answer, MachineError) and answer.gone}
    if not gone - {fleet.first_master.name}:
        return {}
    try:
        async with connect(fleet.first_master, fleet.login) as host:
            present = await nodes_of(host)
    except MachineError:
        return {}
    return {name: node for name, node in present.items() if name in gone and node.silent}
