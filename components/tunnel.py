"""`python3 -m components.tunnel`: a way to a stack's API server by SSH alone, as long as it runs (cluster.apiTunnel; docs/adr/0009).

A port of this workstation's loopback leads through the bastion and the first master's SSH server to the API server there. An update holds it
open by itself, by a process of its own; `pulumi refresh` and kubectl, which run no program of ours, take one that a person holds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import components.interpreter  # noqa: F401  # before what needs a library

# isort: split
import pulumi

from components.config.base import SettingsError
from components.remote.models import Fleet, MachineError, Request

if TYPE_CHECKING:
    # loads the SSH library, which takes long and which a preview does without
    from components.remote.host import Host

T = TypeVar("T")
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HERE = "127.0.0.1"
API_SERVER = (HERE, 6443)
"""Where the first master has its own."""

_PATIENCE = 5.0
"""Seconds that the port may be taken by the process of the update before, which ends a moment after it."""

_PAUSE = 0.5
_READY, _TAKEN = "ready", "taken"


class TunnelRequest(Request):
    """What holds a tunnel.

    Attributes:
        fleet: how the first master is reached.
        port: where it listens.
        until: process id; the tunnel is held as long as that one lives. None for ever.
    """

    fleet: Fleet
    port: int
    until: int | None = None


class _Way:
    """One log-in to the first master for all connections; made when the first comes, and again when it was lost."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._host: Host | None = None
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()

    async def open(self) -> _Streams:
        """A connection to the API server.

        Raises:
            MachineError: when there is none.
        """
        # loads the SSH library, which takes long and which a preview does without
        from components.remote.connection import connect

        async with self._turn:
            for again in (True, False):
                if self._host is None:
                    self._host = await self._stack.enter_async_context(connect(self._fleet.first_master, self._fleet.login))
                try:
                    # asyncssh's own streams have asyncio's methods
                    return cast("_Streams", await self._host.channel(*API_SERVER))
                except MachineError as error:
                    if error.code != "lost" or not again:
                        raise
                    await self.close()
        raise AssertionError("unreachable: the second try returns or raises")

    async def close(self) -> None:
        """Logs out."""
        self._host = None
        await self._stack.aclose()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await source.read(1 << 16):
            sink.write(part)
            await sink.drain()
        sink.write_eof()


async def hold(request: TunnelRequest, ready: Callable[[], None], say: Callable[[str], None]) -> None:
    """Holds a tunnel.

    Args:
        request: where, and for how long.
        ready: called once when the port listens.
        say: gets why a connection was not to be had.

    Raises:
        OSError: when the port can't be had.
    """
    way = _Way(request.fleet)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await way.open()
        except MachineError as error:
            say(str(error))
        else:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
            there[1].close()
        writer.close()

    server = await _listen(pass_on, request.port)
    try:
        ready()
        # another process tells nobody that it ends
        while request.until is None or _lives(request.until):  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
    finally:
        # without waiting for the connections that are open
        server.close()
        await way.close()


async def _listen(pass_on: Callable[..., Any], port: int) -> asyncio.Server:
    begun = asyncio.get_running_loop().time()
    while True:
        try:
            return await asyncio.start_server(pass_on, HERE, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() - begun > _PATIENCE:
                raise
        await asyncio.sleep(_PAUSE)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


async def during(fleet: Fleet, port: int | None, action: Callable[[], T], say: Callable[[str], None]) -> T:
    """What an action returns, during which the tunnel is held: by this process, or by another one that has the port already.

    Args:
        fleet: how the first master is reached.
        port: where the tunnel listens; None where none is wanted.
        action: blocks.
        say: as in `hold`.
    """
    if port is None:
        return action()
    listens = asyncio.Event()
    holding = asyncio.create_task(hold(TunnelRequest(fleet=fleet, port=port), listens.set, say))
    ready = asyncio.create_task(listens.wait())
    try:
        await asyncio.wait({holding, ready}, return_when=asyncio.FIRST_COMPLETED)
        return await asyncio.to_thread(action)
    finally:
        for task in (holding, ready):
            task.cancel()
        await asyncio.gather(holding, ready, return_exceptions=True)


_LANGUAGE_HOST = "pulumi-language"
"""How the language host's program is called; of longer names Linux tells 15 characters, which these are."""


def _language_host() -> int:
    """Pulumi's language host: the parent of its program, or further up where something is in between that ends with the program, as `uv run`."""
    process = os.getppid()
    while process > 1:
        parent, name = _process(process)
        if Path(name).name.startswith(_LANGUAGE_HOST):
            return process
        process = parent
    return os.getppid()


def _process(process: int) -> tuple[int, str]:
    """A process's parent and its program's name; 0 and nothing when that can't be told."""
    with contextlib.suppress(OSError, ValueError):
        if (stat := Path(f"/proc/{process}/stat")).exists():
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            return int(rest.split()[1]), name
        command = ["ps", "-o", "ppid=", "-o", "comm=", "-p", str(process)]  # macOS
        parent, _, name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
        return int(parent), name.strip()
    return 0, ""


def hold_for_this_run(fleet: Mapping[str, Any], port: int) -> None:
    """Has a process of its own hold the tunnel for an update; a preview dials nobody.

    Not the program itself, which ends before what is taken out of the stack is deleted. Pulumi's language host lives until that is done.

    Args:
        fleet: how the first master is reached, as components/remote/fleet.py makes it; secret.
        port: where the tunnel listens.

    Raises:
        pulumi.RunError: when it does not come up.
    """
    if pulumi.runtime.is_dry_run():
        return
    request = {"fleet": fleet, "port": port, "until": _language_host()}
    process = subprocess.Popen(
        [sys.executable, "-m", "components.tunnel", "--held"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # an open one would keep the language host waiting
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes
    with contextlib.suppress(BrokenPipeError), process.stdin as requested:
        requested.write(json.dumps(request))
    with process.stdout as told:
        answer = told.readline().strip()
    if answer == _TAKEN:
        pulumi.info(f"port {port} of this workstation (cluster.apiTunnel) is taken: by a tunnel that is held already, or set another port")
    elif answer != _READY:
        raise pulumi.RunError(
            f"the tunnel to the API server (cluster.apiTunnel: {port}) did not come up; `python3 -m components.tunnel --stack {pulumi.get_stack()}` tells why"
        )


def _held() -> int:
    """What `hold_for_this_run` starts: the request comes on standard input."""

    def answer(word: str) -> None:
        print(word, flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    request = TunnelRequest.model_validate_json(sys.stdin.read())
    try:
        asyncio.run(hold(request, lambda: answer(_READY), lambda _: None))
    except OSError as error:
        answer(_TAKEN if error.errno == errno.EADDRINUSE else "")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Returns:
        0, or 1 after one message.
    """
    from components import stacks  # for this command alone: a preview and an update do without
    from components.driver import DriverError, say

    parser = argparse.ArgumentParser(
        prog="python3 -m components.tunnel",
        description="Holds the tunnel of a stack's cluster.apiTunnel until it is ended (Ctrl-C): for pulumi refresh, drift and kubectl.",
    )
    parser.add_argument("--stack", default="dev", help="whose cluster (default: dev)")
    parser.add_argument("--held", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.held:
        return _held()
    try:
        stack = stacks.read(chosen.stack)
    except (DriverError, SettingsError) as error:
        say(str(error))
        return 1
    if (port := stack.settings.cluster.api_tunnel) is None:
        say(f"{chosen.stack} has no cluster.apiTunnel, so its API server is reached without a tunnel")
        return 1
    try:
        asyncio.run(
            hold(TunnelRequest(fleet=stack.fleet, port=port), lambda: say(f"the API server is at https://{HERE}:{port} until Ctrl-C"), say)
        )
    except OSError as error:
        say(f"port {port} of this workstation (cluster.apiTunnel) can't be had: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
