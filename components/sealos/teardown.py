"""Leaves every machine as bare as it was: first the others, each asked whose it is, and the first master with its notes last.

Which machines there are is known in several places, and the union of them counts: the list of wanted ones and the notes about every
machine that was ever wanted, both on the first master; the API's nodes; sealos's own configuration; the stack's state. As long as one
of the others could not be seen clean, the first master keeps all of it, so that the next run knows it, too.

sealos is not asked: its `clean` ends with 0 whatever became of it, trusts any host key, wipes whoever has an address now, and
`--all` follows any list that lies in its folder. A sweep does the same to a machine that was asked, by the connection it was asked by.

What stays on purpose:
- the package and the sealos binary at the paths of the settings on the first master, where the user put them (the copies
  that sealos made on the other machines go);
- Docker or containerd and their images, which may serve others;
- what the package's init.sh changed in the system: sysctl settings, kernel modules, swap, firewall and SELinux;
- iptables and IPVS rules and the pod network's interfaces, until the next boot (flushing them would take foreign ones too);
- lines "address hostname" of the machines themselves in /etc/hosts, which may be the user's.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from components.driver import LOST, DriverError, given_up, progress
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import Fleet, Login, Machine, MachineError
from components.sealos import nodes, requests
from components.sealos.facts import Facts
from components.sealos.owner import Owner, on_first_master, owner
from components.sealos.steps.ask import known_of, look, settled, wanted_of
from components.sealos.steps.clean import sweep

STAYS = (
    "the package and sealos where the settings have them on the first master",
    "Docker or containerd and their images",
    "system settings of the package's init.sh (sysctl, modules, swap, firewall, SELinux)",
    "iptables and IPVS rules until the next boot",
    "lines 'address hostname' in /etc/hosts",
)
"""What is left on purpose, as it is told at the end; the reasons are above."""


@dataclass(frozen=True)
class _Cluster:
    """What is taken away.

    Attributes:
        name, vip: the cluster's.
        package, sealos: their paths on the first master.
        first, login: where it begins, and how all machines are reached.
        limit: seconds to wait for a job of ours that is still at work on the first master.
        installed: whether the stack's state has the installation, so that the first master must hold it or be bare.
    """

    name: str
    vip: str
    package: str
    sealos: str
    first: Machine
    login: Login
    limit: float
    installed: bool


@dataclass(frozen=True)
class _Seen:
    """What became of one machine; `why` is for the user, when it was left or has a problem."""

    state: Literal["bare", "cleaned", "left", "problem"]
    why: str = ""


async def run_clean(request: requests.Install) -> str:
    """Takes the whole cluster away, on every machine that it has.

    Raises:
        DriverError: when the first master does not answer, or a machine could not be seen clean; each is named.
    """
    cluster = _Cluster(
        name=request.cluster.name,
        vip=request.cluster.vip,
        package=request.package.path,
        sealos=request.sealos.path,
        first=request.fleet.first_master,
        login=request.fleet.login,
        limit=request.timeouts.clean,
        installed=True,
    )
    await _tear_down(cluster, ())
    return ""


async def run_sweep(request: requests.Preflight) -> str:
    """After the installation's own delete, if there is one: what of the stack's machines is not clean yet.

    There is none after an installation that failed: its resource has no state, and what it left is taken away here. When the
    first master is gone for good, the other machines are cleaned without it.

    Raises:
        DriverError: as `run_clean`.
    """
    cluster = _Cluster(
        name=request.cluster,
        vip=request.vip or "",
        package=request.package.path,
        sealos=request.sealos.path,
        first=request.fleet.first_master,
        login=request.fleet.login,
        limit=requests.Limits().clean,
        installed=False,
    )
    await _tear_down(cluster, request.fleet.machines)
    return ""


async def _tear_down(cluster: _Cluster, listed: Iterable[Machine]) -> None:
    """Cleans the other machines, and the first master when all of them were seen clean or are given up.

    Args:
        cluster: what is taken away.
        listed: machines that the stack's state has.
    """
    first = cluster.first
    async with AsyncExitStack() as stack:
        leader = await _leader(stack, cluster)
        facts = await settled(leader, cluster.limit) if leader else Facts()
        lead = on_first_master(facts, cluster.name)
        if leader and lead.kind == "unknown" and cluster.installed and not given_up(first.name):
            raise DriverError(
                f"{first.name}: nothing on it says that it belongs to cluster {cluster.name} ({lead.seen}), so it is not cleaned. Clean it "
                f"by hand and run this again, or leave it as it is: `{LOST}={first.name} pulumi destroy`"
            )
        if lead.kind in ("other", "unknown"):
            progress(first.name, f"warning: it does not belong to cluster {cluster.name} and stays as it is: {lead.seen}")
        machines, lost, ca = list(listed), set[str](), None
        if leader and lead.kind == "ours":
            machines, lost, ca = *(await _everyone(leader, facts, machines)), facts.sealos_ca or facts.ca
        others = [machine for machine in machines if first.name != machine.name and first.address != machine.address]
        seen = await _clean_others(cluster, others, lost, ca, lead if leader else None)
        cleaned = [name for name, one in seen.items() if one.state == "cleaned"]
        if wrong := {name: one.why for name, one in seen.items() if one.state == "problem"}:
            told = "\n".join(f"  {name}: {why}" for name, why in wrong.items())
            keeps = f"{first.name} keeps what it knows of the cluster until they are. " if lead.kind == "ours" else ""
            raise DriverError(
                f"machines could not be seen clean:\n{told}\n{keeps}Put that right and run this again; or, for those that are gone for good "
                f"or not to be cleaned: `{LOST}={','.join(wrong)} pulumi destroy`"
            )
        if leader and lead.kind == "ours":
            progress(first.name, "sweeping it, the last of all …")
            left = await sweep(leader, cluster.vip, None, sealos=cluster.sealos, lock_wait=cluster.limit)
            if left:
                raise DriverError(
                    f"machines could not be seen clean:\n  {first.name}: still holds {', '.join(left)}\nPut that right and run this again"
                )
            cleaned.append(first.name)
    if cleaned:
        where = first.name if leader else "sweep"
        progress(where, f"{len(cleaned)} machines are clean. What stays on purpose: {'; '.join(STAYS)}")


async def _leader(stack: AsyncExitStack, cluster: _Cluster) -> Host | None:
    """The first master; None when it is gone for good, as whoever destroys the stack says.

    Raises:
        DriverError: when it does not answer.
    """
    first = cluster.first
    try:
        return await stack.enter_async_context(connect(first, cluster.login))
    except MachineError as error:
        if not error.gone:
            raise DriverError(f"{error}\nNothing was cleaned: it begins at {first.name}") from None
        if not given_up(first.name):
            raise DriverError(
                f"{error}\nNothing was cleaned: it begins at {first.name}. Bring it back and run this again. Or, when it is gone for "
                f"good, `{LOST}={first.name} pulumi destroy` cleans the machines that answer; if other masters live, one of them "
                f"can take its place instead (docs/operations.md)"
            ) from None
        if cluster.installed:  # or it was told already
            progress(
                first.name, f"warning: {error.cause}; what it holds of the cluster, keys included, stays on it ({LOST})"
            )
        return None


async def _everyone(leader: Host, facts: Facts, listed: Iterable[Machine]) -> tuple[list[Machine], set[str]]:
    """Every machine that the cluster has or ever began to have, and the names of those that the settings give up.

    Args:
        leader: the first master.
        facts: its.
        listed: machines that are known from elsewhere.
    """
    wanted = await wanted_of(leader)
    found = {m.name: m for m in (*await known_of(leader), *listed, *wanted.machines)}
    addresses = {machine.address for machine in found.values()}
    config = facts.sealos_config or {}
    targets: dict[str, Machine] = {}
    for key in ("masters", "nodes"):
        for target in config.get(key) or []:
            address, _, port = str(target).partition(":")
            targets[address] = Machine(
                name=address, address=address, port=int(port or 22), role="master" if key == "masters" else "node"
            )
    for node in nodes.parse(facts.nodes or {}).values():
        if node.name not in found and node.address and node.address not in addresses:
            reached = targets.pop(node.address, None) or Machine(name=node.name, address=node.address)
            found[node.name] = reached.model_copy(update={"name": node.name})
    return [*found.values(), *(m for address, m in targets.items() if address not in addresses)], set(wanted.lost)


async def _clean_others(
    cluster: _Cluster, others: list[Machine], lost: set[str], ca: str | None, lead: Owner | None
) -> dict[str, _Seen]:
    """Asks each machine whose it is and sweeps it when it is this cluster's; by name, what became of it.

    Args:
        cluster: what is taken away.
        others: all machines but the first master.
        lost: names of those that cluster.lost gives up.
        ca: SHA-256 of the cluster's CA certificate, when the first master could tell it.
        lead: whose the first master is; None when it is gone.
    """

    async def clean(host: Host) -> _Seen:
        whose = owner(await look(host), cluster.name, ca)
        if whose.kind == "bare":
            return _Seen("bare")
        if whose.kind == "other":
            return _Seen("left", f"it belongs to another cluster: {whose.seen}")
        if whose.kind == "unknown":
            why = f"nothing on it says that it belongs to cluster {cluster.name}: {whose.seen}"
            # a first master that never was ours never began a join
            begun = lead is None or lead.kind in ("ours", "bare")
            return _Seen("problem" if begun else "left", why)
        if lead and lead.kind == "other" and not given_up(cluster.first.name):
            why = f"its note says that it belongs to cluster {cluster.name}, but {cluster.first.name} belongs to another one now"
            return _Seen("problem", f"{why}. If it is still to be cleaned: {LOST}={cluster.first.name}")
        progress(host.machine.name, "sweeping it …")
        left = await sweep(host, cluster.vip, cluster.package)
        return _Seen("problem", f"still holds {', '.join(left)}") if left else _Seen("cleaned")

    if not others:
        return {}
    results = await on_all(Fleet(machines=tuple(others), login=cluster.login), clean)
    seen = {}
    for name, result in results.items():
        one = _Seen("problem", result.cause) if isinstance(result, MachineError) else result
        if one.state == "problem" and (given_up(name) or name in lost):
            one = _Seen("left", f"{one.why}; what it holds of the cluster stays on it")
        if one.state == "cleaned":
            progress(name, "is clean")
        elif one.state == "left":
            progress(name, f"warning: {one.why}; it is left as it is")
        seen[name] = one
    return seen
