"""How a machine is reached, against a real OpenSSH server on loopback; nothing else is dialled."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from components.remote import host as hosts
from components.remote.connection import connect, on_all
from components.remote.host import Host, Result
from components.remote.models import Fleet, Login, Machine, MachineError
from components.remote.script import BEGUN, LOADER
from components.sealos.way_in import refuses_sealos
from tests.unit.conftest import Server, serving

pytestmark = pytest.mark.slow


def on_host(server: Server, action: Callable[[Host], object], **login: object) -> object:
    async def main() -> object:
        async with connect(server.machine(), server.login(**login)) as host:
            return await action(host)  # type: ignore[misc]

    return asyncio.run(main())


def refusal(machine: Machine, login: Login) -> MachineError:
    async def main() -> None:
        async with connect(machine, login):
            pass

    with pytest.raises(MachineError) as caught:
        asyncio.run(main())
    return caught.value


def run(server: Server, script: str, files: dict[str, bytes] | None = None, timeout: float = 20) -> Result:
    result = on_host(server, lambda host: host.run(script, files, timeout))
    assert isinstance(result, Result)
    return result


def test_a_script_reads_its_files_and_leaves_nothing(server: Server) -> None:
    nasty = b'it\'s "$(reboot)" `id`; #\n'
    result = run(server, 'cat "$1/words"; stat -c %a "$1" "$1/words"; echo "$1" >&2; exit 7', {"words": nasty})
    assert result.stdout == nasty.decode() + "700\n600\n"
    assert result.status == 7
    directory = Path(result.stderr.strip())
    assert directory.is_absolute()
    assert not directory.exists()


def test_nothing_of_the_request_is_in_an_argument_list(server: Server) -> None:
    result = run(
        server, 'tr "\\0" " " < /proc/$$/cmdline; tr "\\0" " " < /proc/$PPID/cmdline', {"password": b"TOPSECRET"}
    )
    assert "TOPSECRET" not in result.stdout
    assert "bash" in result.stdout


def test_file_names_are_plain(server: Server) -> None:
    with pytest.raises(ValueError, match="no plain file name"):
        run(server, "true", {"../evil": b""})


def test_output_of_any_size_and_no_input(server: Server) -> None:
    result = run(server, 'wc -c "$1/big"; seq 100000; seq 50000 >&2; cat', {"big": os.urandom(3_000_000)})
    assert result.stdout.startswith("3000000 ")
    assert result.stdout.endswith("\n100000\n")
    assert result.stderr.endswith("\n50000")


def test_a_script_that_hangs_is_ended_on_the_host(server: Server) -> None:
    with pytest.raises(MachineError) as caught:
        run(server, "echo halfway >&2; sleep 4711", timeout=1)
    assert caught.value.code == "timeout"
    assert "did not finish within 1 s" in str(caught.value)
    assert "halfway" in str(caught.value)
    assert subprocess.run(["pgrep", "-f", "sleep 4711"], check=False).returncode == 1


def test_refused() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening
        error = refusal(Machine(name="sealos03", address="127.0.0.1", port=bound.getsockname()[1]), unverified())
    assert (error.machine, error.code) == ("sealos03", "unreachable")
    assert "refused the connection" in str(error)


def unverified(**changes: object) -> Login:
    return Login.model_validate({"password": "x", "hostKeys": "unverified", "connectTimeout": 1} | changes)


def test_a_host_that_stays_mute_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        error = refusal(Machine(name="sealos02", address="127.0.0.1", port=mute.getsockname()[1]), unverified())
    assert error.code == "mute"
    assert "for 1 s" in str(error)


def descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it has ended in between
        return []
    return children + [deeper for child in children for deeper in descendants(child)]


def stopped(server: Server) -> list[int]:
    """Stops everything of the server's connections, and says what."""
    found = []
    for pid in descendants(server.pid):
        with suppress(ProcessLookupError):  # what is left of a connection before
            os.kill(pid, signal.SIGSTOP)
            found.append(pid)
    return found


def test_a_host_that_falls_mute_after_log_in_is_given_up_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel still takes what is sent; sshd itself does nothing any more."""
    monkeypatch.setattr(hosts, "_GRACE", 1.0)
    frozen: list[int] = []

    async def freeze(host: Host) -> None:
        frozen.extend(stopped(server))
        assert frozen, "nobody is logged in: nothing tested"
        with pytest.raises(MachineError, match="sealos01: did not finish within 1 s"):
            await host.run("true", timeout=1)

    try:
        on_host(server, freeze)  # which ends, though the connection's other end never closes it
    finally:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_file_sent_to_a_host_that_falls_mute_is_given_up_on(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frozen: list[int] = []
    source = tmp_path / "package"
    source.write_bytes(os.urandom(30_000_000))

    def freeze(_done: int, _total: int) -> None:
        if not frozen:
            frozen.extend(stopped(server))

    async def send(host: Host) -> None:
        with pytest.raises(MachineError, match="sealos01: did not finish within 2 s"):
            await host.put(source, str(tmp_path / "there"), 2, freeze)

    try:
        on_host(server, send)
        assert frozen
        gc.collect()
        assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    finally:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_host_that_hangs_up_is_not_an_ssh_server() -> None:
    async def main() -> MachineError:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        listener = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            with pytest.raises(MachineError) as caught:
                async with connect(Machine(name="web", address="127.0.0.1", port=port), unverified(connectTimeout=3)):
                    pass
        return caught.value

    assert "closed the connection before log-in" in str(asyncio.run(main()))


def test_a_host_key_that_changed(server: Server) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    error = refusal(server.machine(hostKey=other), server.login())
    assert error.code == "host-key"
    assert "another host key than the pinned one" in str(error)


def test_a_pinned_key_of_another_kind(server: Server) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()
    error = refusal(server.machine(hostKey=other), server.login())
    assert error.code == "host-key", error


def test_a_host_key_that_nobody_pinned_is_refused(server: Server, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    for login in (server.login(), server.login(knownHosts=str(empty))):
        error = refusal(server.machine(hostKey=None), login)
        assert error.code == "unknown-host"
        assert "neither pinned by hostKey nor in a known_hosts file" in str(error)


def test_known_hosts_by_address_and_port(server: Server, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")

    async def main() -> int:
        async with connect(server.machine(hostKey=None), server.login(knownHosts=str(known))) as host:
            return (await host.run("exit 3")).status

    assert asyncio.run(main()) == 3


def test_unverified_only_when_said(server: Server) -> None:
    async def main() -> int:
        async with connect(server.machine(hostKey=None), server.login(hostKeys="unverified")) as host:
            return (await host.run("true")).status

    assert asyncio.run(main()) == 0


def test_a_wrong_key(server: Server) -> None:
    wrong = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    error = refusal(server.machine(), server.login(privateKey=wrong))
    assert error.code == "auth"
    assert "refused the private key of root" in str(error)
    assert wrong.splitlines()[1] not in str(error)


def test_key_file_with_passphrase(server: Server, tmp_path: Path) -> None:
    protected = tmp_path / "id"
    protected.write_bytes(asyncssh.import_private_key(server.private_key).export_private_key("openssh", "open sesame"))
    files = {"privateKey": None, "privateKeyFile": str(protected)}

    async def main() -> int:
        async with connect(server.machine(), server.login(**files, privateKeyPassphrase="open sesame")) as host:
            return (await host.run("true")).status

    assert asyncio.run(main()) == 0
    assert refusal(server.machine(), server.login(**files)).machine == "privateKeyPassphrase"
    missing = refusal(server.machine(), server.login(privateKey=None, privateKeyFile="no/such/key"))
    assert "no/such/key can't be read" in str(missing)


@pytest.fixture
def agent(server: Server, tmp_path: Path) -> Iterator[str]:
    """The socket of a real ssh-agent that has the server's key."""
    sock = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        wait_until(Path(sock).exists)
        subprocess.run(
            ["ssh-add", "-q", str(server.key_file)], env={**os.environ, "SSH_AUTH_SOCK": sock}, check=True, timeout=10
        )
        yield sock
    finally:
        process.terminate()
        process.wait(10)


def test_an_agent_is_asked_only_when_said(server: Server, agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    assert on_host(server, lambda host: host.run("exit 8"), privateKey=None, agent=True) == Result("", "", 8)
    assert on_host(server, lambda host: host.run("exit 7"), agent=True) == Result("", "", 7)  # beside a key
    assert refusal(server.machine(), server.login(privateKey=None)).code == "auth"


@pytest.mark.parametrize(("sock", "words"), [("", "SSH_AUTH_SOCK is not set"), ("/no/such/sock", "can't be asked")])
def test_an_agent_that_is_not_there(server: Server, sock: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", sock)
    error = refusal(server.machine(), server.login(agent=True))
    assert (error.machine, error.code) == ("ssh.agent", "login")
    assert words in str(error)


class PasswordServer(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("root", "p'a\"ss $word")


@asynccontextmanager
async def password_server() -> AsyncIterator[Machine]:
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(f"{BEGUN}\n".encode())
        process.exit(5)

    listener = await asyncssh.create_server(
        PasswordServer, "127.0.0.1", 0, server_host_keys=[key], process_factory=handle, encoding=None
    )
    async with listener:
        public = key.export_public_key().decode().strip()
        yield Machine(name="sealos04", address="127.0.0.1", port=listener.get_port(), host_key=public)


def test_a_password_with_quotes() -> None:
    async def main() -> int:
        async with password_server() as machine, connect(machine, Login(password="p'a\"ss $word")) as host:
            return (await host.run("true")).status

    assert asyncio.run(main()) == 5


def test_a_wrong_password() -> None:
    async def main() -> MachineError:
        async with password_server() as machine:
            with pytest.raises(MachineError) as caught:
                async with connect(machine, Login(password="WRONGSECRET")):
                    pass
        return caught.value

    error = asyncio.run(main())
    assert error.code == "auth"
    assert "refused the password of root" in str(error)
    assert "WRONGSECRET" not in str(error) + repr(error)


def test_all_at_once_with_the_bad_ones_named(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        fleet = Fleet(
            machines=(
                server.machine(name="good"),
                server.machine(name="mute", port=mute.getsockname()[1]),
                server.machine(name="also-good"),
            ),
            login=server.login(connectTimeout=1),
        )

        together = asyncio.Barrier(2)

        async def hello(host: Host) -> str:
            await together.wait()  # neither gets on before the other is asked, too
            return (await host.run("echo hello")).stdout + host.machine.name

        results = asyncio.run(on_all(fleet, hello))
    assert list(results) == ["good", "mute", "also-good"]
    assert results["good"] == "hello\ngood"
    assert isinstance(results["mute"], MachineError)


def test_twenty_at_once_on_a_default_server(server: Server) -> None:
    """More than sshd's MaxStartups lets in at the same time."""
    fleet = Fleet(
        machines=tuple(server.machine(name=f"m{n}") for n in range(20)), login=server.login(connectTimeout=20)
    )

    async def status(host: Host) -> int:
        return (await host.run("true")).status

    assert set(asyncio.run(on_all(fleet, status)).values()) == {0}


def test_through_a_bastion(server: Server) -> None:
    bastion = {"address": "127.0.0.1", "port": server.port, "hostKey": server.host_key}
    assert on_host(server, lambda host: host.run("exit 9"), bastion=bastion) == Result("", "", 9)
    wrong = bastion | {"hostKey": asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()}
    error = refusal(server.machine(), server.login(bastion=wrong))
    assert "the bastion 127.0.0.1" in str(error)
    assert error.code == "host-key"


def test_a_job_is_followed_live(server: Server, tmp_path: Path) -> None:
    seen: list[str] = []
    heard = tmp_path / "heard"

    def hear(line: str) -> None:
        seen.append(line)
        heard.touch()

    async def follow(host: Host) -> Result:
        return await host.job(
            f'echo one >&2; until [ -e {heard} ]; do sleep 0.1; done; echo two >&2; cat "$1/data"; exit 4',
            {"data": b"result"},
            60,
            hear,
        )

    result = on_host(server, follow)
    assert result == Result("result", "one\ntwo", 4)
    assert seen == ["one", "two"]


def test_a_job_outlives_its_caller_and_drops_its_secrets(server: Server, tmp_path: Path) -> None:
    script = f'echo "$1" > {tmp_path}/where; echo begun >&2; sleep 1.5; cp "$1/secret" {tmp_path}/done'
    begun = asyncio.Event()

    async def die_early(host: Host) -> None:
        following = asyncio.create_task(host.job(script, {"secret": b"s3cret"}, 20, lambda _: begun.set()))
        await begun.wait()
        host._connection.abort()
        with pytest.raises(MachineError, match="connection was lost"):
            await following

    on_host(server, die_early)
    assert not (tmp_path / "done").exists(), "the job was over before its caller died: nothing tested"
    wait_until((tmp_path / "done").exists)
    assert (tmp_path / "done").read_bytes() == b"s3cret"
    directory = Path((tmp_path / "where").read_text().strip())
    wait_until(lambda: not (directory / "secret").exists())
    shutil.rmtree(directory, ignore_errors=True)


def test_a_job_has_a_limit_of_its_own(server: Server) -> None:
    async def hang(host: Host) -> Result:
        return await host.job("echo stuck here >&2; sleep 48.12", timeout=1)

    with pytest.raises(MachineError) as caught:
        on_host(server, hang)
    assert "did not finish within 1 s; its last words: stuck here" in str(caught.value)
    assert subprocess.run(["pgrep", "-f", "sleep 48.12"], check=False).returncode == 1


def wait_until(true: Callable[[], bool], limit: float = 60) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["run", "job"])
def test_what_a_terminal_would_obey_stays_on_the_host(server: Server, how: str) -> None:
    shown: list[str] = []
    script = r"printf 'out \033[31mred\033]52;c;eA==\007\r\n\302\233J\xff.\n'; printf 'err \033]8;;http://evil\033\\link\rfine\n\n' >&2"

    async def act(host: Host) -> Result:
        return await (host.run(script) if how == "run" else host.job(script, on_line=shown.append))

    result = on_host(server, act)
    assert result == Result("out red\n�.\n", "err link fine\n", 0)
    assert shown in ([], ["err link fine", ""])


@pytest.mark.parametrize(("to", "limit"), [(1, "_MOST_OUTPUT"), (2, "_MOST_ERRORS")])
def test_a_host_that_talks_without_end_is_given_up_on(
    server: Server, to: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, limit, 1 << 20)
    with pytest.raises(MachineError, match="sealos01: a script of ours printed more than 1 MiB there"):
        run(server, f"yes >&{to}", timeout=60)


def test_a_line_without_end_comes_in_pieces(server: Server) -> None:
    result = run(server, "head -c 100000 /dev/zero | tr '\\0' x >&2")
    assert result.stderr.replace("\n", "") == "x" * 100_000
    assert max(map(len, result.stderr.split("\n"))) < 1 << 16


def test_last_words_are_never_the_output(server: Server) -> None:
    assert run(server, "echo key; exit 3").last_words == "it ended with status 3 and did not say why"
    assert run(server, "echo key; seq 20 >&2; exit 3").last_words.split() == [str(n) for n in range(9, 21)]


def start_up(tmp_path: Path, text: str) -> str:
    """The line of an sshd_config by which root's shell reads `text` first, as bash reads /root/.bashrc there."""
    file = tmp_path / "start-up"
    file.write_text(f"{text}\n")
    return f"ForceCommand /bin/bash -c '. {file}; eval \"$SSH_ORIGINAL_COMMAND\"'"


@pytest.mark.parametrize("how", ["run", "job"])
def test_what_the_shell_prints_is_kept_apart(tmp_path: Path, how: str) -> None:
    home, shown = tmp_path / "sshd", list[str]()
    home.mkdir()

    async def act(host: Host) -> Result:
        script = "echo '{}'; echo why >&2; exit 3"
        return await (host.run(script) if how == "run" else host.job(script, on_line=shown.append))

    with serving(home, start_up(tmp_path, "echo 'Welcome to node1'; printf 'no newline'; nvm-is-not-there")) as server:
        result = on_host(server, act)
    assert isinstance(result, Result)
    assert (result.stdout, result.stderr, result.status) == ("{}\n", "why", 3)
    assert result.shell_said[0] == "Welcome to node1\nno newline"
    assert "nvm-is-not-there: command not found" in result.shell_said[1]
    assert shown in ([], ["why"])


@pytest.mark.parametrize("status", [0, 1])
def test_a_shell_that_ends_by_itself_is_said(tmp_path: Path, status: int) -> None:
    home = tmp_path / "sshd"
    home.mkdir()
    with (
        serving(home, start_up(tmp_path, f"echo 'not today' >&2; exit {status}")) as server,
        pytest.raises(MachineError, match=rf"root's shell ended with status {status} before it ran what was sent \(not today\)") as caught,
    ):
        run(server, "true")
    assert "/root/.bashrc" in caught.value.fix


def test_no_call_of_ours_goes_by_a_proxy(tmp_path: Path) -> None:
    home = tmp_path / "sshd"
    home.mkdir()
    proxies = start_up(tmp_path, "export https_proxy=http://192.0.2.1:3128 ALL_PROXY=socks5://u:secret@192.0.2.1 no_proxy=10.0.0.0/8")
    with serving(home, proxies) as server:
        script = 'env | grep -i _proxy; cat "$1/.proxies"'
        for result in (on_host(server, lambda host: host.run(script)), on_host(server, lambda host: host.job(script))):
            assert isinstance(result, Result)
            assert result.stdout.split() == ["no_proxy=10.0.0.0/8", "https_proxy", "ALL_PROXY"]


def test_a_server_that_opens_no_session(tmp_path: Path) -> None:
    with serving(tmp_path, "MaxSessions 0") as server, pytest.raises(MachineError, match="opened no session") as caught:
        run(server, "true")
    assert "MaxSessions" in caught.value.fix


def test_one_session_at_a_time_is_enough(tmp_path: Path) -> None:
    async def twice(host: Host) -> int:
        # the server frees a session's place when it has looked at all that came meanwhile: with the next one's beginning, or before
        return sum([(await host.run("exit 3")).status + (await host.job("exit 4")).status for _ in range(5)])

    with serving(tmp_path, "MaxSessions 1") as server:
        assert on_host(server, twice) == 35


HARDENED = "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com"


@pytest.mark.parametrize(
    ("kind", "line", "password", "refused"),
    [
        pytest.param("ssh-rsa", "", None, "rsa-key", id="05: an RSA key"),
        pytest.param("ssh-rsa", "PubkeyAcceptedAlgorithms +ssh-rsa", None, None, id="allowed"),
        pytest.param("ssh-rsa", "", "p", "rsa-key", id="and a password that root is not let in by"),
        pytest.param("ssh-ed25519", "", None, None, id="ed25519"),
        pytest.param("ecdsa-sha2-nistp256", "", None, None, id="ecdsa"),
        pytest.param("ssh-ed25519", HARDENED, None, "sealos-login", id="no cipher in common"),
        pytest.param("ssh-ed25519", "MACs hmac-sha2-512-etm@openssh.com", None, "sealos-login", id="no MAC in common"),
        pytest.param("ssh-ed25519", "KexAlgorithms curve25519-sha256", None, "sealos-login", id="no key exchange in common"),
        pytest.param("ssh-ed25519", "PermitTTY no", None, "sealos-login", id="no terminal"),
        pytest.param("ssh-ed25519", "Ciphers aes256-ctr,aes256-gcm@openssh.com", None, None, id="one in common is enough"),
    ],
)
def test_whom_sealos_could_log_in_to(tmp_path: Path, kind: str, line: str, password: str | None, refused: str | None) -> None:
    """Debian 12's OpenSSH 9.2 here: it lets us in each time."""
    with serving(tmp_path, line, kind=kind) as server:
        assert run(server, "exit 6").status == 6
        found = asyncio.run(refuses_sealos(server.machine(), server.login(password=password)))
    assert (found and found[0]) == refused
    assert found is None or (found[1] and "sealos01" not in found[1])


def test_it_is_dialled_from_the_first_master_as_sealos_does(server: Server, tmp_path: Path) -> None:
    async def asked(first: Server, port: int) -> tuple[str, str] | None:
        async with connect(first.machine(), first.login()) as lead:
            return await refuses_sealos(server.machine(name="sealos02", port=port), server.login(), lead)

    with socket.socket() as closed, serving(tmp_path) as first:
        closed.bind(("127.0.0.1", 0))  # as a firewall that refuses the first master
        assert asyncio.run(asked(first, server.port)) is None
        found = asyncio.run(asked(first, closed.getsockname()[1]))
    assert found is not None
    assert found[0] == "sealos-login"
    assert found[1].startswith("sealos01, where sealos runs, does not get to 127.0.0.1:")


def test_a_first_master_that_passes_nothing_on_is_gone_round(server: Server, tmp_path: Path) -> None:
    async def asked(first: Server) -> tuple[str, str] | None:
        async with connect(first.machine(), first.login()) as lead:
            return await refuses_sealos(server.machine(), server.login(), lead)

    with serving(tmp_path, "PermitOpen 127.0.0.1:1") as first:
        assert asyncio.run(asked(first)) is None


@pytest.mark.parametrize("option", ["no-pty", "restrict"])
def test_a_key_that_gets_no_terminal(option: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        allowed = tmp_path / "authorized_keys"
        allowed.write_text(f"{option} {allowed.read_text()}")
        assert run(server, "exit 6").status == 6
        found = asyncio.run(refuses_sealos(server.machine(), server.login()))
    assert found is not None
    assert found[0] == "sealos-login"


@pytest.mark.parametrize(
    ("line", "passed"), [("", True), ("AllowTcpForwarding no", False), ("PermitOpen none", False), ("DisableForwarding yes", False), ("PermitOpen 127.0.0.1:6443", True)]
)
def test_whether_connections_are_passed_on(line: str, tmp_path: Path, *, passed: bool) -> None:
    with serving(tmp_path) as server:
        config = tmp_path / "sshd_config"
        config.write_text(f"{line}\n{config.read_text()}")  # the first of a keyword counts
        os.kill(server.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert on_host(server, lambda host: host.forwards()) is passed


def test_the_one_command_is_one_word_of_sh_for_shells_that_know_no_posix() -> None:
    """fish and csh read single quotes as sh does, but neither `d=$(…)` nor `>&2`."""
    command = LOADER
    assert command.startswith("exec sh -c '")
    assert command.endswith("'")
    assert command.count("'") == 2
    assert "\n" not in command
    assert "!" not in command


@pytest.mark.parametrize("shell", ["/bin/dash", "/usr/bin/zsh", "/bin/bash --posix"])
def test_whatever_the_login_shell(shell: str, tmp_path: Path) -> None:
    if not Path(shell.partition(" ")[0]).exists():
        pytest.skip("it is not installed here")
    with serving(tmp_path, f"ForceCommand {shell} -c 'eval \"$SSH_ORIGINAL_COMMAND\"'") as server:
        result = run(server, 'cat "$1/words"; exit 3', {"words": b"here"})
    assert (result.stdout, result.status, result.shell_said) == ("here", 3, ("", ""))


def test_what_roots_environment_has_for_every_bash_is_passed_over(tmp_path: Path) -> None:
    home, noise = tmp_path / "sshd", tmp_path / "noise"
    home.mkdir()
    noise.write_text("echo Welcome; exit 9\n")
    with serving(home, start_up(tmp_path, f"export BASH_ENV={noise} ENV={noise} TAR_OPTIONS=--verbose CDPATH=/usr GREP_OPTIONS=-v TMOUT=1")) as server:
        for result in (on_host(server, lambda host: host.run("cd bin 2>/dev/null; echo ok")), on_host(server, lambda host: host.job("echo ok"))):
            assert isinstance(result, Result)
            assert (result.stdout, result.status) == ("ok\n", 0)
