"""The only module that dials: one bounded SSH connection per machine, pinned host keys, and scripts sent as data.

Nothing that a user wrote is ever formatted into a shell command. `Host.run` and `Host.job` send a packaged script and its
files as a tar archive to one constant command; the script reads what it needs from the directory it gets as `$1`.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import socket
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from components.login import Bastion, Fleet, Login, Machine, MachineError
from components.printable import harmless

LIMIT_IN_PARALLEL: Final = 16
"""How many machines are dialled at the same time."""

_BEGUN: Final = "--sealos-istio--"
"""What the loader prints first, to both outputs: all before it is the words of the shell's own start-up files."""

_LOADER: Final = (
    f"echo {_BEGUN}; echo {_BEGUN} >&2; umask 077; "
    "d=$(mktemp -d /run/sealos-istio.XXXXXXXX 2>/dev/null || mktemp -d /tmp/sealos-istio.XXXXXXXX) || exit 70; "
    'tar -xf - -C "$d" || { rm -rf "$d"; exit 70; }; '
    'exec bash "$d/.loader" "$d"'
)
"""The one command ever sent: unpack what comes on standard input into a private directory (in memory where possible) and
run the loader that lies in it."""

_HERE: Final = Path(__file__).parent
_RUN_LOADER: Final = _HERE / "machines_run.sh"
_JOB_LOADER: Final = _HERE / "machines_job.sh"
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TIMED_OUT: Final = 124  # coreutils timeout's own status
_KILLED: Final = 137  # the same, when the script needed SIGKILL
_UNPACK_FAILED: Final = 70
_GRACE: Final = 15.0  # seconds the host gets to report its own time-out before the connection is given up
_TRIES: Final = 4  # sshd's MaxStartups drops log-ins at random; a few tries are enough on a healthy host
_MOST_OUTPUT: Final = 64 << 20  # bytes that a script may print: all pods of a large cluster as JSON take some tens of MiB
_MOST_ERRORS: Final = 4 << 20  # bytes of its error output
_LONGEST_LINE: Final = 16 << 10  # bytes of one line of it; what is longer comes in pieces
_LARGEST_FILE: Final = 8 << 30  # bytes that are fetched of a file: etcd's own limit for what it holds
_DROPPED: Final = (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)

_KEY_PREFERENCE: Final = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
"""Which of a machine's host keys is asked for; every OpenSSH since 6.5 (2014) has the first."""

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a script left: its output as text without control characters (components/printable.py), and its exit status.

    Attributes:
        shell_said: what the shell printed before the script, in its output and in its errors.
    """

    stdout: str
    stderr: str
    status: int
    shell_said: tuple[str, str] = ("", "")

    @property
    def last_words(self) -> str:
        """The last lines of its error output, for a message; never of its output, which is data and may be secret."""
        lines = [line for line in self.stderr.split("\n") if line.strip()]
        return "\n".join(lines[-12:]) or f"it ended with status {self.status} and did not say why"


class _Words:
    """What comes on a script's error output.

    Attributes:
        before: the lines of the shell's own start-up files.
        lines: the script's.
    """

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.before: list[str] = []
        self.lines: list[str] = []
        self._on_line = on_line
        self._begun = False

    def told(self, line: str) -> None:
        """Takes a line in, and hands a script's on."""
        if self._begun:
            self.lines.append(line)
            if self._on_line:
                self._on_line(line)
            return
        self._begun = line.endswith(_BEGUN)
        if rest := line.removesuffix(_BEGUN):
            self.before.append(rest)

    @property
    def last(self) -> str:
        """The last thing that the shell said by itself."""
        return next((line for line in reversed(self.before) if line.strip()), "it did not say why")


def _unless_told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncssh sends a file in parts, by a task each; of those that fail together it raises one, and the rest would be tracebacks."""
    if not isinstance(context.get("exception"), asyncssh.Error):
        loop.default_exception_handler(context)


class Host:
    """A machine that is logged in to."""

    def __init__(self, machine: Machine, connection: asyncssh.SSHClientConnection) -> None:
        self.machine = machine
        self._connection = connection

    async def run(self, script: Path | str, files: Mapping[str, bytes] | None = None, timeout: float = 60) -> Result:  # noqa: ASYNC109
        """Runs a script of ours on the host and waits for it.

        Args:
            script: a packaged .sh file, or the text of one; bash runs it with its directory as `$1` and no input.
            files: what it reads, by plain file name; 0600 in a directory that is gone when the script ends.
            timeout: seconds until the host itself ends the script.

        Raises:
            MachineError: when the host can't do it or is lost; a script's own failure is in the result's status.
        """
        return await self._send(_RUN_LOADER, script, files or {}, timeout, None)

    async def job(
        self,
        script: Path | str,
        files: Mapping[str, bytes] | None = None,
        timeout: float = 600,  # noqa: ASYNC109
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Runs a script as `run` does, but in a session of its own: once begun it goes on to its end.

        Neither the death of this process nor that of the connection interrupts it; only its own time-out does.

        Args:
            script: as in `run`.
            files: as in `run`.
            timeout: as in `run`.
            on_line: gets each line of the script's error output as it comes.

        Raises:
            MachineError: as `run`.
        """
        return await self._send(_JOB_LOADER, script, files or {}, timeout, on_line)

    async def put(
        self,
        source: Path,
        target: str,
        timeout: float,  # noqa: ASYNC109
        on_progress: Callable[[int, int], None],
    ) -> None:
        """Sends a file by SFTP.

        Args:
            source: the file here.
            target: its absolute path on the host; a file that is there is written over.
            timeout: seconds for the whole transfer.
            on_progress: gets the bytes sent and all of them.

        Raises:
            MachineError: when it can't be written there, takes too long, or the connection is lost.
        """

        def told(_source: bytes, _target: bytes, done: int, total: int) -> None:
            on_progress(done, total)

        async def send(sftp: asyncssh.SFTPClient) -> None:
            await sftp.put(str(source), target, progress_handler=told)

        await self._transfer(
            send,
            timeout,
            target,
            "written",
            "Look at the room and the rights there, and at the SFTP subsystem in its sshd_config.",
        )

    async def get(self, source: str, target: BinaryIO, timeout: float) -> None:  # noqa: ASYNC109
        """Fetches a file by SFTP.

        Args:
            source: its absolute path on the host.
            target: an open file here; at most 8 GiB are written to it.
            timeout: seconds for the whole transfer.

        Raises:
            MachineError: when it can't be read there, is larger, takes too long, or the connection is lost.
        """

        async def fetch(sftp: asyncssh.SFTPClient) -> None:
            size = 0
            async with sftp.open(source, "rb") as file:
                while part := await file.read(1 << 22):
                    if (size := size + len(part)) > _LARGEST_FILE:
                        raise OSError(f"it is larger than {_LARGEST_FILE >> 30} GiB")
                    target.write(cast("bytes", part))  # opened as such

        await self._transfer(
            fetch,
            timeout,
            source,
            "fetched",
            "Look at the SFTP subsystem in its sshd_config, and at the room here.",
        )

    async def channel(self, address: str, port: int) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """A connection from the machine to what listens at an address and port, by way of its SSH server.

        Raises:
            MachineError: when it makes none, or is lost.
        """
        try:
            return await self._connection.open_connection(address, port, encoding=None)
        except (asyncssh.Error, OSError) as error:
            if self._connection.is_closed() or not isinstance(error, asyncssh.ChannelOpenError):
                fix = "It is dialled again."
                raise MachineError(self.machine.name, f"the connection was lost ({_reason(error)})", fix, "lost") from None
            raise MachineError(
                self.machine.name,
                f"its SSH server makes no connection to {address}:{port} there ({_reason(error)})",
                "Does something listen there, and does its sshd_config allow it (AllowTcpForwarding)?",
            ) from None

    async def _transfer(
        self,
        action: Callable[[asyncssh.SFTPClient], Awaitable[None]],
        timeout: float,  # noqa: ASYNC109
        path: str,
        done: str,
        fix: str,
    ) -> None:
        async def whole() -> None:
            async with self._connection.start_sftp_client() as sftp:
                await action(sftp)

        asyncio.get_running_loop().set_exception_handler(_unless_told)
        doing = asyncio.ensure_future(whole())
        try:
            await asyncio.wait({doing}, timeout=timeout)
            if not doing.done():
                raise self._gave_up(timeout, [])
            doing.result()
        except asyncssh.SFTPConnectionLost as error:
            raise MachineError(
                self.machine.name,
                f"the connection was lost while {path} was {done} ({_reason(error)})",
                "Run `pulumi up` again.",
                "lost",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise MachineError(self.machine.name, f"{path} could not be {done} ({_reason(error)})", fix) from None
        finally:
            if not doing.done():
                # without the connection, or a cancelled transfer waits for the host to close its file
                self._connection.abort()
                doing.cancel()
                await asyncio.wait({doing})

    async def _send(
        self,
        loader: Path,
        script: Path | str,
        files: Mapping[str, bytes],
        timeout: float,  # noqa: ASYNC109
        on_line: Callable[[str], None] | None,
    ) -> Result:
        archive = _archive(loader, script, timeout, files)
        words = _Words(on_line)
        try:
            async with asyncio.timeout(timeout + _GRACE):
                async with await self._session() as process:

                    async def feed() -> None:
                        # A host that ends early (disk full) closes its end first; its own words say more than that.
                        try:
                            process.stdin.write(archive)
                            await process.stdin.drain()
                            process.stdin.write_eof()
                        except (BrokenPipeError, ConnectionError):
                            pass

                    _, stdout, _ = await asyncio.gather(
                        feed(), self._output(process.stdout), self._follow(process.stderr, words.told)
                    )
                    await process.wait_closed()
        except TimeoutError:
            raise self._gave_up(timeout, words.lines) from None
        except asyncssh.ChannelOpenError as error:
            raise MachineError(
                self.machine.name,
                f"its SSH server opened no session on a connection that it had taken ({_reason(error)})",
                "Set MaxSessions in its sshd_config to 1 or more (10 is the default), and look at its limits of processes.",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise MachineError(
                self.machine.name,
                f"the connection was lost ({_reason(error)})",
                "Run `pulumi up` again: it looks at what is there and goes on.",
                "lost",
            ) from None
        return self._result(process, stdout, words, timeout)

    async def _session(self) -> asyncssh.SSHClientProcess[bytes]:
        """A session with the loader; asked for again where the server may not have put the one before away yet (MaxSessions 1)."""
        for pause in (0.1, 0.3, 1.0):
            try:
                return await self._connection.create_process(_LOADER, encoding=None)
            except asyncssh.ChannelOpenError:
                await asyncio.sleep(pause)
        return await self._connection.create_process(_LOADER, encoding=None)

    def _result(
        self,
        process: asyncssh.SSHClientProcess[bytes],
        printed: bytes,
        words: _Words,
        timeout: float,
    ) -> Result:
        """What a process that has ended left, when it ended as one of ours does."""
        status = process.exit_status
        if status in (_TIMED_OUT, _KILLED):
            raise self._gave_up(timeout, words.lines)
        if status is None or status < 0 or process.exit_signal:
            raise MachineError(
                self.machine.name,
                "the connection was lost while the host was at work",
                "Run `pulumi up` again: it waits for what still runs and goes on.",
                "lost",
            )
        before, begun, stdout = printed.partition(f"{_BEGUN}\n".encode())
        if not begun:
            raise MachineError(
                self.machine.name,
                f"{self.machine.user}'s shell ended with status {status} before it ran what was sent ({words.last[:200]})",
                "Look at what its start-up files do (/root/.bashrc, /etc/profile.d): they must neither end the shell nor read its input.",
            )
        if status == _UNPACK_FAILED and not stdout:
            raise MachineError(
                self.machine.name,
                f"could not unpack into /run or /tmp ({words.lines[-1] if words.lines else 'no reason given'})",
                "Make room there; bash, tar and coreutils are needed too.",
            )
        shell_said = harmless(before.decode(errors="replace")).strip(), "\n".join(words.before).strip()
        return Result(harmless(stdout.decode(errors="replace")), "\n".join(words.lines), status, shell_said)

    async def _output(self, stream: asyncssh.SSHReader[bytes]) -> bytes:
        parts, size = [], 0
        while raw := await stream.read(1 << 16):
            if (size := size + len(raw)) > _MOST_OUTPUT:
                raise self._too_much(_MOST_OUTPUT)
            parts.append(raw)
        return b"".join(parts)

    async def _follow(self, stream: asyncssh.SSHReader[bytes], told: Callable[[str], None]) -> None:
        held, size = b"", 0
        while raw := await stream.read(_LONGEST_LINE):
            if (size := size + len(raw)) > _MOST_ERRORS:
                raise self._too_much(_MOST_ERRORS)
            *lines, held = (held + raw).split(b"\n")
            if len(held) >= _LONGEST_LINE:
                lines, held = [*lines, held], b""
            for line in lines:
                told(harmless(line.decode(errors="replace").removesuffix("\r")))
        if held:
            told(harmless(held.decode(errors="replace")))

    def _too_much(self, limit: int) -> MachineError:
        self._connection.abort()  # or what it still sends would be taken in while the channel closes
        return MachineError(
            self.machine.name,
            f"a script of ours printed more than {limit >> 20} MiB there",
            "Look at the machine: what answers in the place of its programs?",
        )

    def _gave_up(self, timeout: float, stderr: Sequence[str]) -> MachineError:
        words = [line for line in stderr if line.strip()]
        last = f"; its last words: {words[-1]}" if words else ""
        return MachineError(
            self.machine.name,
            f"did not finish within {timeout:g} s{last}",
            "Look at the host, or give it more time (cluster.timeouts of the stack).",
            "timeout",
        )


@asynccontextmanager
async def connect(
    machine: Machine,
    login: Login,
    through: asyncssh.SSHClientConnection | None = None,
    signatures: Sequence[str] = (),
) -> AsyncIterator[Host]:
    """One connection to one machine, closed at the end.

    Args:
        machine: whom to dial.
        login: how.
        through: an open connection to the bastion; opened here when the login names one and none is given.
        signatures: how the key may sign; as the server likes by default.

    Raises:
        MachineError: refused, mute, wrong password or key, host key changed or unknown; within login.connect_timeout.
    """
    async with AsyncExitStack() as stack:
        if through is None and login.bastion:
            through = await stack.enter_async_context(_tunnel(login.bastion, login, machine.name))
        connection = await _dial(machine.name, machine, login, through, signatures)
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


async def refuses_sha1(machine: Machine, login: Login) -> bool:
    """Whether the machine lets the stack's RSA key in, but not as sealos signs with it: its SSH library of 2020 knows SHA-1 only.

    OpenSSH refuses that since 8.8 (release notes) unless its sshd_config says otherwise. Tried, because nothing else tells for sure.
    False where sealos has another way in: another kind of key, or a password.
    """
    text = login.key_text()
    passphrase = login.private_key_passphrase.get_secret_value() if login.private_key_passphrase else None
    if not text or (login.password and login.password.get_secret_value()):
        return False
    if _private_key(text, passphrase or None).algorithm != b"ssh-rsa":
        return False
    try:
        async with connect(machine, login.model_copy(update={"agent": False}), signatures=("ssh-rsa",)):
            return False
    except MachineError as error:
        if error.code == "auth":
            return True
        raise


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
                    return _in_words(machine.name, where, machine.user, login, error, heard)
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
    signatures: Sequence[str] = (),
) -> asyncssh.SSHClientConnection:
    where = f"{target.address}:{target.port}"
    given = _options(name, target, login)
    if signatures:
        given["signature_algs"] = list(signatures)
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
            raise _in_words(name, where, target.user, login, error, heard or through is not None) from None
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
                "ssh.agent", f"the agent at {path} can't be asked ({_reason(error)})", fix, "login"
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
        "client_keys": [_private_key(key, passphrase or None)] if key else None,
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
def _private_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
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
                f"{login.known_hosts} can't be used ({_reason(error)})",
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


def _in_words(name: str, where: str, user: str, login: Login, error: Exception, heard: bool) -> MachineError:
    limit = login.connect_timeout
    match error:
        case TimeoutError() if heard:
            return MachineError(
                name,
                f"{where} took the connection but stayed mute for {limit:g} s",
                "Look at the machine's SSH server (overloaded, or something else listens there).",
                "mute",
            )
        case TimeoutError():
            return MachineError(
                name,
                f"{where} did not answer within {limit:g} s",
                "Is it on, and does a firewall drop the port?",
                "unreachable",
            )
        case asyncssh.PermissionDenied():
            given = [
                what
                for what, there in (
                    ("the password", login.password and login.password.get_secret_value()),
                    ("the private key", login.private_key or login.private_key_file),
                    ("the agent's keys", login.agent),
                )
                if there
            ]
            return MachineError(
                name,
                f"{where} refused {' and '.join(given) or 'a log-in without any credentials'} of {user}",
                "Set password or privateKey to what the machine takes, and look at PermitRootLogin in its sshd_config.",
                "auth",
            )
        case asyncssh.HostKeyNotVerifiable():
            return _changed(name, where)
        case asyncssh.KeyExchangeFailed() if "host key" in str(error).lower():
            return _changed(name, where)
        case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
            return MachineError(
                name,
                f"{where} closed the connection before log-in",
                "Is that an SSH server? One that is too busy also does this (MaxStartups in sshd_config).",
                "unreachable",
            )
        case ConnectionRefusedError():
            return MachineError(
                name, f"{where} refused the connection", "Is its SSH server running, and on that port?", "unreachable"
            )
        case asyncssh.ChannelOpenError():
            return MachineError(
                name,
                f"the bastion can't reach {where} ({_reason(error)})",
                "Is the machine on and its port open?",
                "unreachable",
            )
        case OSError():
            return MachineError(
                name, f"{where} can't be reached ({_reason(error)})", "Look at address, route and cable.", "unreachable"
            )
        case _:
            return MachineError(
                name,
                f"{where} doesn't speak SSH as expected ({_reason(error)})",
                "Look at what listens there.",
                "unreachable",
            )


def _changed(name: str, where: str) -> MachineError:
    return MachineError(
        name,
        f"{where} shows another host key than the pinned one",
        "Either the machine was installed anew (then update hostKey after comparing it on the console), or someone sits between.",
        "host-key",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # the other side's own words, perhaps
    return harmless(str(error)).strip()[:500] or type(error).__name__


def _archive(loader: Path, script: Path | str, timeout: float, files: Mapping[str, bytes]) -> bytes:
    own = {
        ".loader": loader.read_bytes(),
        ".script": script.read_bytes() if isinstance(script, Path) else script.encode(),
        ".timeout": b"%d" % max(1, round(timeout)),
    }
    for name in files:
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no plain file name")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {**own, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o600
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
