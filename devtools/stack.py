"""Drives the engine on the stack dev: the lab's machines, up, preview and down, and a lock that a dead run left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml
from rich.console import Console

from devtools import engine as engines
from devtools import parts
from devtools.engine import Engine
from devtools.parts import Part

PROJECT = "sealos-istio"
STACK = "dev"


class StackBusy(RuntimeError):
    """Another update of the stack is under way, or may be; the message says whose and what to do."""


@dataclass(frozen=True)
class Lock:
    """What Pulumi's file backend writes into .pulumi/locks/**.json (backend/diy/lock.go of the pinned CLI)."""

    file: Path
    pid: int
    host: str
    user: str
    since: datetime


def locks(state: Path, stack: str = STACK) -> list[Lock]:
    """The locks on that stack in a file backend's directory, oldest first; files that aren't locks are passed over."""
    found = []
    for file in (state / ".pulumi" / "locks").glob(f"organization/{PROJECT}/{stack}/*.json"):
        try:
            content = json.loads(file.read_text())
            since = datetime.fromisoformat(content["timestamp"])
            found.append(Lock(file, int(content["pid"]), str(content["hostname"]), str(content["username"]), since))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda lock: lock.since)


def started(pid: int, proc: Path = Path("/proc")) -> float | None:
    """When a process of this host started (seconds since the epoch); None when there is none, or only its remains (a zombie)."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    if fields[0] in "ZX":
        return None
    return float(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def owner_is_dead(lock: Lock, host: str, began: float | None) -> bool:
    """Whether the lock's owner is certainly gone: it ran on this host, and its process id is free or went to a later process.

    Args:
        lock: what the owner wrote.
        host: this host's name.
        began: when the process that has the lock's pid now started, as `started` tells it.
    """
    if lock.host != host:
        return False
    # 2 s: the kernel's boot time is in whole seconds
    return began is None or began > lock.since.timestamp() + 2


def clear_dead_locks(pulumi: Pulumi, console: Console) -> bool:
    """Takes away locks of runs that are gone, saying so; returns whether there were any.

    Raises:
        StackBusy: a lock's owner lives, or is on another host.
    """
    found = locks(parts.ROOT / ".state")
    if not found:
        return False
    for lock in found:
        where = f"process {lock.pid} of {lock.user} on {lock.host}, since {lock.since:%Y-%m-%d %H:%M:%S}"
        if not owner_is_dead(lock, socket.gethostname(), started(lock.pid)):
            ours = lock.host == socket.gethostname()
            advice = (
                f"Wait for it, or end it with `kill -INT {lock.pid}`."
                if ours
                else "If it is certain that nothing runs there any more: `pulumi cancel`."
            )
            raise StackBusy(f"The stack {STACK} is being updated by {where}. {advice}")
        console.print(
            f"The last run on stack {STACK} ({where}) ended without letting go of its lock; it is gone, so the lock goes too.",
            highlight=False,
            markup=False,
        )
    pulumi.quiet("cancel", "--yes", "--stack", STACK)
    return True


def without_pending(deployment: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """An exported deployment without its pending operations, and those, as "creating NAME".

    Every create of this program is idempotent and looks at the machines first, so that nothing is lost by trying again.
    """
    inner = deployment.get("deployment")
    if not isinstance(inner, dict):
        return dict(deployment), []
    pending = inner.get("pending_operations") or []
    names = [f"{operation['type']} {operation['resource']['urn'].rpartition('::')[2]}" for operation in pending]
    rest = {name: value for name, value in inner.items() if name != "pending_operations"}
    return {**deployment, "deployment": rest}, names


@dataclass(frozen=True)
class Pulumi:
    """The engine with its environment, as a program to call."""

    engine: Engine
    environment: Mapping[str, str]

    @classmethod
    def of(cls, engine: Engine) -> Pulumi:
        """That engine in this process's environment plus its own variables."""
        return cls(engine, {**os.environ, **engines.variables(engine)})

    def live(self, *arguments: str) -> int:
        """Runs it with this process's own input and output; returns its exit status."""
        return run_live([str(self.engine.pulumi), *arguments], self.environment)

    def quiet(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs it and returns what it prints.

        Raises:
            PulumiFailed: it ended with another status than 0.
        """
        answer = subprocess.run(
            [str(self.engine.pulumi), *arguments, "--non-interactive"],
            cwd=parts.ROOT,
            env=dict(self.environment),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if answer.returncode != 0:
            raise PulumiFailed(
                f"`pulumi {' '.join(arguments)}` failed: {(answer.stderr or answer.stdout).strip()[-1000:]}"
            )
        return answer.stdout


class PulumiFailed(RuntimeError):
    """A Pulumi command that others build on failed; the message holds its own words."""


def run_live(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command on this terminal and waits for it, also through Ctrl-C: the command gets it, too, and ends in its own way."""
    process = subprocess.Popen(list(command), cwd=parts.ROOT, env=dict(environment))

    def hand_on(number: int, _frame: object) -> None:
        # Ctrl-C reaches the command by itself, and Pulumi takes a second one for "at once, whatever is lost"
        if number == signal.SIGTERM:
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def lab_parts() -> list[Part]:
    """The parts that the stack needs of the lab: Contour only where the stack installs it."""
    dashboards = yaml.safe_load((parts.ROOT / f"Pulumi.{STACK}.yaml").read_text())["config"].get(
        f"{PROJECT}:dashboards"
    )
    used = {"lab", "dashboards"} if "contour" in (dashboards or {}) else {"lab"}
    return [part for part in parts.PARTS if part.used_for in used]


def select(pulumi: Pulumi) -> None:
    """Selects the stack dev, and makes it if need be."""
    pulumi.quiet("stack", "select", "--create", STACK)


def has_stack() -> bool:
    """Whether the backend has the stack dev."""
    return checkpoint().is_file()


def checkpoint() -> Path:
    """The file backend's checkpoint of the stack dev."""
    return parts.ROOT / ".state" / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"


def resources() -> int:
    """How many resources (the stack itself not counted) the state of stack dev holds; 0 when there is no stack."""
    try:
        content = json.loads(checkpoint().read_text())
    except FileNotFoundError:
        return 0
    latest = content["checkpoint"].get("latest") or {}
    return sum(resource["type"] != "pulumi:pulumi:Stack" for resource in latest.get("resources") or [])


def forget_pending(pulumi: Pulumi, console: Console) -> None:
    """Takes operations that a killed run left pending out of the state, and says which: they are tried again."""
    if '"pending_operations"' not in checkpoint().read_text():
        return
    deployment, names = without_pending(json.loads(pulumi.quiet("stack", "export", "--stack", STACK)))
    if not names:
        return
    pulumi.quiet("stack", "import", "--stack", STACK, stdin=json.dumps(deployment))
    console.print(
        f"The last run ended while {', '.join(names)}; that is looked at again now.", highlight=False, markup=False
    )


def machine_id() -> str:
    """What tells the lab's first machine, as it is on disk now, from one made anew."""
    from lab.machines import NAMES, Lab

    return (Lab().root(NAMES[0]) / "etc" / "machine-id").read_text().strip()


def _known_machine() -> Path:
    return parts.ROOT / ".state" / "lab-machine-id"


def remember_machines() -> None:
    """Notes which machines the stack's state speaks of."""
    _known_machine().write_text(machine_id() + "\n")


def forget_lost_machines(pulumi: Pulumi, console: Console) -> None:
    """Drops a state that speaks of machines that are no more (the lab's directory was removed, or the lab reset).

    A command has no read, so that the engine itself would go on taking the lost cluster for there.
    """
    known = _known_machine()
    if not known.is_file() or known.read_text().strip() == machine_id():
        return
    known.unlink()
    if count := resources():
        clear_dead_locks(pulumi, console)
        console.print(
            f"The lab's machines were made anew since the last run; the {count} resources of stack {STACK} went with the old ones.",
            highlight=False,
        )
        pulumi.quiet("stack", "rm", "--force", "--yes", "--preserve-config", "--stack", STACK)


def ready(pulumi: Pulumi, console: Console) -> None:
    """Selects the stack and clears what a run that died has left on it."""
    select(pulumi)
    clear_dead_locks(pulumi, console)
    forget_pending(pulumi, console)


def up(pulumi: Pulumi, console: Console, arguments: Sequence[str] = ()) -> int:
    """`pulumi up` on stack dev, with its live output; returns its exit status."""
    ready(pulumi, console)
    began = time.monotonic()
    status = pulumi.live("up", "--yes", "--skip-preview", "--stack", STACK, *arguments)
    if status != 0:
        console.print(
            f"\nNot done after {time.monotonic() - began:.0f} s. When the cause above is put right, `make up` goes on from here.",
            highlight=False,
        )
    return status


def destroy(pulumi: Pulumi, console: Console, arguments: Sequence[str] = ()) -> int:
    """`pulumi destroy` of stack dev, with its live output; returns its exit status."""
    ready(pulumi, console)
    return pulumi.live("destroy", "--yes", "--skip-preview", "--stack", STACK, *arguments)
