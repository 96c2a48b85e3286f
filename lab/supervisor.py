"""The lab's one owner: bridge, cable to the host, machines; everything of the lab dies with this process.

It is the first process of a process namespace of its own (``unshare --pid --fork --kill-child``, see ``lab.machines``), so the kernel ends
every machine when it ends, however that happens; the network namespace with the bridge, and with it the host's end of the
cable, goes when the last of them is gone. Nothing has a name outside, so nothing can be left behind.

``python -m lab.supervisor PLAN HOSTNET``: PLAN is the JSON file that ``lab.machines`` wrote, HOSTNET an open file descriptor of the
host's network namespace. Requests come as one line of JSON on the socket ``control`` in the state directory: ``{"do": "status"}``,
``{"do": "stop" | "start", "machines": [name, ...]}``; one line of JSON answers.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import cgroups

HERE = Path(__file__).parent


def log(text: str) -> None:
    """Add a line to the supervisor's log (its standard error)."""
    print(text, file=sys.stderr, flush=True)


def ip(batch: str, *, hostnet: int | None = None) -> None:
    """Run iproute2 commands, one a line, here or in the host's network namespace; raises CalledProcessError with what ip said."""
    into = ["nsenter", f"--net=/proc/self/fd/{hostnet}"] if hostnet is not None else []
    done = subprocess.run(
        [*into, "ip", "-batch", "-"],
        input=batch,
        text=True,
        stderr=subprocess.PIPE,
        check=False,
        pass_fds=[] if hostnet is None else [hostnet],
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, "ip", stderr=done.stderr)


def connect_host(hostnet: int, address: str, router: str) -> str:
    """Lay the one cable between the lab's bridge and the host; returns the name of the host's end (lab0, or the next free one).

    The machines' default route ends at `router`, here: what they try to reach beyond the lab is unreachable at once.
    """
    ip(f"link set lo up\nlink add br0 type bridge\naddress add {router} dev br0\nlink set br0 up\n")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for number in range(10):
        end = f"lab{number}"
        try:
            # 1 is this process in its own process namespace; both ends are made in one step, so none can be left over.
            ip(f"link add {end} type veth peer name uplink netns 1\n", hostnet=hostnet)
        except subprocess.CalledProcessError as error:
            if "File exists" not in str(error.stderr):
                raise
            continue
        ip("link set uplink master br0\nlink set uplink up\n")
        ip(f"address add {address} dev {end}\nlink set {end} up\n", hostnet=hostnet)
        return end
    raise RuntimeError("lab0 to lab9 are all taken on this host")


@dataclass
class Machine:
    """One machine as the supervisor sees it: its plan and, while it is on, its process."""

    name: str
    address: str
    disk: str
    process: asyncio.subprocess.Process | None = None

    def first_process(self) -> int | None:
        """Process id (here) of the machine's own first process; None while it is off or just starting."""
        if self.process is None:
            return None
        with contextlib.suppress(OSError, IndexError, ValueError):
            pid = self.process.pid
            return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return None

    def programs(self) -> list[str]:
        """Names of the programs that run on the machine, one per process."""
        first = self.first_process()
        if first is None:
            return []
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found, left = [], [first]
        while left:
            pid = left.pop()
            left += children.get(pid, [])
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                found.append(command.split(" ")[0].rstrip(":").rsplit("/", 1)[-1])
        return sorted(found)


class Supervisor:
    """Holds the machines and answers requests about them."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.machines = {entry["name"]: Machine(**entry) for entry in plan["machines"]}
        self.layer: str = plan["layer"]
        self.router: str = plan["router"]
        self.cgroup: str = plan["cgroup"]
        self.logs = Path(plan["logs"])
        self.interface = ""
        self.labnet = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.watchers: set[asyncio.Task[None]] = set()

    async def start(self, machine: Machine) -> None:
        """Power the machine on; nothing to do when it is on."""
        if machine.process is not None:
            return
        cgroups.make(self.cgroup, machine.name)
        with (self.logs / f"{machine.name}.log").open("ab") as console:
            machine.process = await asyncio.create_subprocess_exec(
                "bash", str(HERE / "power_on.sh"), machine.name, machine.address, self.router.partition("/")[0], machine.disk,
                str(self.labnet), self.layer, f"{self.cgroup}/{machine.name}",
                stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console, pass_fds=[self.labnet], start_new_session=True,
            )  # fmt: skip
        log(f"{machine.name} is on")
        watcher = asyncio.create_task(self.watch(machine, machine.process))
        self.watchers.add(watcher)
        watcher.add_done_callback(self.watchers.discard)

    async def watch(self, machine: Machine, process: asyncio.subprocess.Process) -> None:
        """Notice that the machine went off, by whatever cause."""
        status = await process.wait()
        if machine.process is process:
            machine.process = None
            cgroups.remove(self.cgroup, machine.name)
        log(f"{machine.name} is off ({status})")

    async def stop(self, machine: Machine) -> None:
        """Pull the machine's plug: every process of it is killed, its disk stays as it is."""
        process, first = machine.process, machine.first_process()
        if process is None:
            return
        # Killing the first process makes the kernel end the others, before unshare can report the end.
        os.kill(first if first is not None else process.pid, signal.SIGKILL)
        await process.wait()
        machine.process = None
        cgroups.remove(self.cgroup, machine.name)

    def status(self) -> dict[str, Any]:
        """The interface on the host and, per machine, whether it is on and what runs there."""
        return {
            "interface": self.interface,
            "machines": {
                name: {"on": m.process is not None, "programs": m.programs()} for name, m in self.machines.items()
            },
        }

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        reply: dict[str, Any]
        try:
            request = json.loads(await asyncio.wait_for(reader.readline(), 5))
            machines = [self.machines[name] for name in request.get("machines", [])]
            match request["do"]:
                case "stop":
                    await asyncio.gather(*map(self.stop, machines))
                case "start":
                    await asyncio.gather(*map(self.start, machines))
            reply = self.status()
        except (KeyError, ValueError, OSError, TimeoutError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply).encode() + b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def run(self, hostnet: int, address: str, control: str) -> None:
        """Connect, power everything on, then answer requests for as long as this process lives."""
        self.interface = connect_host(hostnet, address, self.router)
        os.close(hostnet)
        await asyncio.gather(*map(self.start, self.machines.values()))
        server = await asyncio.start_unix_server(self.answer, control)
        log(f"the lab is on {self.interface}")
        async with server:
            await server.serve_forever()


def main() -> None:
    """Entry point; see the module's description."""
    path, hostnet = Path(sys.argv[1]), int(sys.argv[2])
    plan = json.loads(path.read_text())
    os.chdir(path.parent)  # the socket's address has to be short, whatever the state directory's is
    os.umask(0o022)
    Path("control").unlink(missing_ok=True)
    try:
        asyncio.run(Supervisor(plan).run(hostnet, plan["host"], "control"))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None)
        sys.exit(f"the lab could not start: {error}" + (f": {str(detail).strip()}" if detail else ""))


if __name__ == "__main__":
    main()
