"""The only module that dials: one bounded SSH connection per machine, with pinned host keys."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from components.remote.errors import in_words, reason
from components.remote.host import Host
from components.remote.models import Bastion, Fleet, Login, Machine, MachineError

LIMIT_IN_PARALLEL: Final = 16
"""How many machines are dialled at the same time."""

_TRIES: Final = 4  # sshd's MaxStartups drops log-ins at random; a few tries are enough on a healthy host
_DROPPED: Final = (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)

_KEY_PREFERENCE: Final = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
"""Which of a machine's host keys is asked for; every OpenSSH since 6.5 (2014) has the first."""

T = TypeVar("T")


@asynccontextmanager
async def connect(
    machine: Machine,
    login: Login,
    through: asyncssh.SSHClientConnection | None = None,
    options: Mapping[str, Any] | None = None,
) -> AsyncIterator[Host]:
    """One connection to one machine, closed at the end.

    Args:
        machine: whom to dial.
        login: how.
        through: an open connection to the bastion; opened here when the login names one and none is given.
        options: of asyncssh, in the place of what it would do by itself.

    Raises:
        MachineError: refused, mute, wrong password or key, host key changed or unknown; within login.connect_timeout.
    """
    async with AsyncExitStack() as stack:
        if through is None and login.bastion:
            through = await stack.enter_async_context(_tunnel(login.bastion, login, machine.name))
        connection = await _dial(machine.name, machine, login, through, options or {})
        stack.push_async_callback(_close, connection)
        yield Host(machine, connection)


async def on_all(
    fleet: Fleet, action: Callable[[Host], Awaitable[T]], machines: Sequence[Machine] | None = None
) -> dict[str, T | MachineError]:
    """Does something on all machines at the same time, with one connection each.

    Args:
        fleet: the machines and how to log in.
        action: what to do on a host.
        machines: only these; all of the fleet by default.

    Returns:
        What the action returned, or why a machine could not be used, by machine name in the machines' order.
    """
    wanted = fleet.machines if machines is None else machines
    free = asyncio.Semaphore(LIMIT_IN_PARALLEL)

    async with AsyncExitStack() as stack:
        through = None
        if fleet.login.bastion and wanted:
            try:
                through = await stack.enter_async_context(_tunnel(fleet.login.bastion, fleet.login, "ssh.bastion"))
            except MachineError as error:
                return {m.name: MachineError(m.name, error.cause, error.fix, error.code) for m in wanted}

        async def one(machine: Machine) -> T | MachineError:
            async with free:
                try:
                    async with connect(machine, fleet.login, through) as host:
                        return await action(host)
                except MachineError as error:
                    return error

        results = await asyncio.gather(*(one(machine) for machine in wanted))
    return {machine.name: result for machine, result in zip(wanted, results, strict=True)}


async def host_keys(machines: Sequence[Machine], login: Login) -> dict[str, str | MachineError]:
    """The host keys that machines show, `type base64`; nobody logs in to them, and nothing is trusted.

    Args:
        machines: whom to ask, all at once.
        login: its bastion, if it names one, is logged in to; nothing else of it is used.

    Returns:
        The key, or why there is none, by machine name in the machines' order.
    """
    free = asyncio.Semaphore(LIMIT_IN_PARALLEL)
    async with AsyncExitStack() as stack:
        through = None
        if login.bastion:
            try:
                through = await stack.enter_async_context(_tunnel(login.bastion, login, "ssh.bastion"))
            except MachineError as error:
                return {m.name: MachineError(m.name, error.cause, error.fix, error.code) for m in machines}

        async def one(machine: Machine) -> str | MachineError:
            where, heard = f"{machine.address}:{machine.port}", through is not None
            sock: socket.socket | None = None
            options: dict[str, Any] = {"config": None, "server_host_key_algs": _KEY_PREFERENCE}
            async with free:
                try:
                    async with asyncio.timeout(login.connect_timeout):
                        if through is None:
                            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                            sock.setblocking(False)
                            await asyncio.get_running_loop().sock_connect(sock, (machine.address, machine.port))
                            heard, options["sock"] = True, sock
                        else:
                            options["tunnel"] = through
                        key = await asyncssh.get_server_host_key(machine.address, machine.port, **options)
                except (TimeoutError, asyncssh.Error, OSError, ValueError) as error:
                    return in_words(machine.name, where, machine.user, login, error, heard)
                finally:
                    if sock is not None:
                        sock.close()
            if key is None:
                return MachineError(
                    machine.name, f"{where} showed no host key", "Look at what listens there.", "unreachable"
                )
            return " ".join(key.export_public_key().decode().split()[:2])

        results = await asyncio.gather(*(one(machine) for machine in machines))
    return {machine.name: result for machine, result in zip(machines, results, strict=True)}


@asynccontextmanager
async def _tunnel(bastion: Bastion, login: Login, name: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    try:
        connection = await _dial("ssh.bastion", bastion, login, None)
    except MachineError as error:
        raise MachineError(name, f"the bastion {bastion.address}: {error.cause}", error.fix, error.code) from None
    try:
        yield connection
    finally:
        await _close(connection)


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    """Closes without waiting for a host that has died in the meantime."""
    connection.close()
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()


async def _dial(
    name: str,
    target: Machine | Bastion,
    login: Login,
    through: asyncssh.SSHClientConnection | None,
    more: Mapping[str, Any] | None = None,
) -> asyncssh.SSHClientConnection:
    where = f"{target.address}:{target.port}"
    given = _options(name, target, login) | dict(more or {})
    heard = False  # whether the host took the TCP connection
    for attempt in range(1, _TRIES + 1):
        sock: socket.socket | None = None
        try:
            async with _with_agent(login, given) as options, asyncio.timeout(login.connect_timeout):
                if through is None:
                    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                    sock.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(sock, (target.address, target.port))
                    heard = True
                    return await asyncssh.connect(target.address, target.port, sock=sock, **options)
                return await asyncssh.connect(target.address, target.port, tunnel=through, **options)
        except (TimeoutError, asyncssh.Error, OSError, ValueError) as error:
            if sock is not None:
                sock.close()
            if isinstance(error, _DROPPED) and attempt < _TRIES:
                await asyncio.sleep(0.3 * attempt)
                continue
            raise in_words(name, where, target.user, login, error, heard or through is not None) from None
    raise AssertionError("unreachable: every attempt returns, raises or goes on to the next")


@asynccontextmanager
async def _with_agent(login: Login, options: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The options with the agent's keys behind the stack's own, where the stack wants the agent asked.

    Not left to asyncssh, which asks an agent only beside keys of its own, and then offers the agent's before them.
    """
    if not login.agent:
        yield options
        return
    path = os.environ.get("SSH_AUTH_SOCK")
    fix = "Start one (`eval $(ssh-agent)`, `ssh-add`) where Pulumi runs, or take ssh.agent out of the settings."
    if not path:
        raise MachineError("ssh.agent", "there is no agent: SSH_AUTH_SOCK is not set", fix, "login")
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(login.connect_timeout):
                agent = await stack.enter_async_context(asyncssh.connect_agent(path))
                keys = list(await agent.get_keys())
        except (OSError, ValueError, asyncssh.Error, TimeoutError) as error:
            raise MachineError(
                "ssh.agent", f"the agent at {path} can't be asked ({reason(error)})", fix, "login"
            ) from None
        yield {**options, "client_keys": [*(options["client_keys"] or []), *keys] or None}


def _options(name: str, target: Machine | Bastion, login: Login) -> dict[str, Any]:
    key = login.key_text()
    passphrase = login.private_key_passphrase.get_secret_value() if login.private_key_passphrase else None
    password = login.password.get_secret_value() if login.password else None
    trusted = _trusted(name, target, login)
    options = {
        "config": None,  # neither ~/.ssh/config nor other people's defaults decide whom the program trusts
        "username": target.user,
        "password": password or None,
        "client_keys": [private_key(key, passphrase or None)] if key else None,
        "agent_path": None,  # asked by _with_agent, which says when it can't be
        "known_hosts": trusted,
        "login_timeout": login.connect_timeout,
        "keepalive_interval": 15,
        "keepalive_count_max": 4,
        "gss_auth": False,
        "x11_forwarding": False,
        "agent_forwarding": False,
    }
    if trusted and trusted[0] and not trusted[1]:
        # the pinned kinds first and then all others: a server that has none of the pinned kinds shows what it has
        # instead of hanging up, and the user hears of a changed host key
        pinned = [algorithm for key in trusted[0] for algorithm in key.sig_algorithms]
        others = [algorithm for algorithm in get_default_public_key_algs() if algorithm not in pinned]
        options["server_host_key_algs"] = [algorithm.decode() for algorithm in [*pinned, *others]]
    return options


@cache
def private_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    """The key; cached, because opening a protected one takes tenths of a second on purpose."""
    try:
        return asyncssh.import_private_key(text, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        which = "privateKeyPassphrase" if "assphrase" in str(error) else "privateKey (or ssh.privateKeyFile)"
        raise MachineError(which, f"can't be used: {error}", f"Set {which} to what fits the key.", "login") from None


def _trusted(name: str, target: Machine | Bastion, login: Login) -> Any:
    """What asyncssh takes as known_hosts: the pinned keys, or None for any key (said in words by the stack)."""
    if target.host_key:
        try:
            return ([asyncssh.import_public_key(target.host_key)], [], [])
        except asyncssh.KeyImportError as error:
            raise MachineError(
                name,
                f"its hostKey is no public key ({error})",
                "Use what `python3 -m components.host_keys` prints.",
                "host-key",
            ) from None
    if login.known_hosts:
        try:
            known = asyncssh.read_known_hosts(str(Path(login.known_hosts).expanduser()))
        except (OSError, ValueError) as error:
            raise MachineError(
                name,
                f"{login.known_hosts} can't be used ({reason(error)})",
                "Set ssh.knownHosts to a known_hosts file, relative to the project.",
                "unknown-host",
            ) from None
        keys, authorities, revoked, *_ = known.match(target.address, target.address, target.port)
        if keys or authorities:
            return (keys, authorities, revoked)
    if login.host_keys == "unverified":
        return None
    raise MachineError(
        name,
        f"its host key is not known ({target.address} is neither pinned by hostKey nor in a known_hosts file)",
        "Add hostKey (`python3 -m components.host_keys` prints it; compare it on the machine's console), or say ssh.hostKeys: unverified.",
        "unknown-host",
    )
