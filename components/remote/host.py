"""A machine that is logged in to: scripts of ours are sent to it as data, and files each way.

Nothing that a user wrote is ever formatted into a shell command. `Host.run` and `Host.job` send a packaged script and its
files as a tar archive to one constant command; the script reads what it needs from the directory it gets as `$1`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import asyncssh

from components.printable import harmless
from components.remote.errors import reason
from components.remote.models import Machine, MachineError
from components.remote.script import BEGUN, JOB, LOADER, RUN, Words, archive

_TIMED_OUT: Final = 124  # coreutils timeout's own status
_KILLED: Final = 137  # the same, when the script needed SIGKILL
_UNPACK_FAILED: Final = 70
_GRACE: Final = 15.0  # seconds the host gets to report its own time-out before the connection is given up
_MOST_OUTPUT: Final = 64 << 20  # bytes that a script may print: all pods of a large cluster as JSON take some tens of MiB
_MOST_ERRORS: Final = 4 << 20  # bytes of its error output
_LONGEST_LINE: Final = 16 << 10  # bytes of one line of it; what is longer comes in pieces
_LARGEST_FILE: Final = 8 << 30  # bytes that are fetched of a file: etcd's own limit for what it holds


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


def _unless_told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncssh sends a file in parts, by a task each; of those that fail together it raises one, and the rest would be tracebacks."""
    if not isinstance(context.get("exception"), asyncssh.Error):
        loop.default_exception_handler(context)


class Host:
    """A machine that is logged in to."""

    def __init__(self, machine: Machine, connection: asyncssh.SSHClientConnection) -> None:
        self.machine = machine
        self._connection = connection

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """For what goes further from this machine."""
        return self._connection

    async def run(self, script: Path | str, files: Mapping[str, bytes] | None = None, timeout: float = 60) -> Result:  # noqa: ASYNC109
        """Runs a script of ours on the host and waits for it.

        Args:
            script: a packaged .sh file, or the text of one; bash runs it with its directory as `$1` and no input.
            files: what it reads, by plain file name; 0600 in a directory that is gone when the script ends.
            timeout: seconds until the host itself ends the script.

        Raises:
            MachineError: when the host can't do it or is lost; a script's own failure is in the result's status.
        """
        return await self._send(RUN, script, files or {}, timeout, None)

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
        return await self._send(JOB, script, files or {}, timeout, on_line)

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
                raise MachineError(self.machine.name, f"the connection was lost ({reason(error)})", fix, "lost") from None
            raise MachineError(
                self.machine.name,
                f"its SSH server makes no connection to {address}:{port} there ({reason(error)})",
                "Does something listen there, and does its sshd_config allow it (AllowTcpForwarding)?",
            ) from None

    async def forwards(self) -> bool:
        """Whether its SSH server passes connections on, whatever listens at their end."""
        try:
            _, writer = await self._connection.open_connection("127.0.0.1", 6443, encoding=None)
        except asyncssh.ChannelOpenError as error:
            return error.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        except (asyncssh.Error, OSError):  # the connection is gone, which its next use tells
            return False
        writer.close()
        return True

    async def open_terminal(self) -> None:
        """Asks for a terminal, and ends it.

        Raises:
            MachineError: when there is none to be had.
        """
        try:
            async with await self._connection.create_process("exit", term_type="xterm", encoding=None) as process:
                await process.wait()
        except asyncssh.ChannelOpenError as error:
            fix = "Allow terminals in its sshd_config (PermitTTY), and of the key in authorized_keys (no-pty, restrict)."
            raise MachineError(self.machine.name, f"its SSH server gives no terminal ({reason(error)})", fix) from None

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
                f"the connection was lost while {path} was {done} ({reason(error)})",
                "Run `pulumi up` again.",
                "lost",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise MachineError(self.machine.name, f"{path} could not be {done} ({reason(error)})", fix) from None
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
        sent = archive(loader, script, timeout, files)
        words = Words(on_line)
        try:
            async with asyncio.timeout(timeout + _GRACE):
                async with await self._session() as process:

                    async def feed() -> None:
                        # A host that ends early (disk full) closes its end first; its own words say more than that.
                        try:
                            process.stdin.write(sent)
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
                f"its SSH server opened no session on a connection that it had taken ({reason(error)})",
                "Set MaxSessions in its sshd_config to 1 or more (10 is the default), and look at its limits of processes.",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise MachineError(
                self.machine.name,
                f"the connection was lost ({reason(error)})",
                "Run `pulumi up` again: it looks at what is there and goes on.",
                "lost",
            ) from None
        return self._result(process, stdout, words, timeout)

    async def _session(self) -> asyncssh.SSHClientProcess[bytes]:
        """A session with the loader; asked for again where the server may not have put the one before away yet (MaxSessions 1)."""
        for pause in (0.1, 0.3, 1.0):
            try:
                return await self._connection.create_process(LOADER, encoding=None)
            except asyncssh.ChannelOpenError:
                await asyncio.sleep(pause)
        return await self._connection.create_process(LOADER, encoding=None)

    def _result(
        self,
        process: asyncssh.SSHClientProcess[bytes],
        printed: bytes,
        words: Words,
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
        before, begun, stdout = printed.partition(f"{BEGUN}\n".encode())
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
