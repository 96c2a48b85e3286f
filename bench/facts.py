"""Facts of many machines at the same time: this program's preflight's, pyinfra's and Ansible's.

The machines are real sshd on addresses of the loopback, all of them this machine; so their work counts in the seconds of all
three alike, and in the processor time of none. `python -m bench.facts FILE` is what is measured of this program: every machine of
the fleet in FILE is asked by the preflight's own script.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figures import SAME, Figure
from bench.measure import Program, in_turns
from components.remote.models import Fleet, Login, Machine, MachineError
from tests.project import ROOT

OWN = ROOT / ".venv" / "bench" / "bin"
"""The benchmark's environment, made by `make bench`."""

GOALS = {"pyinfra": 0.8, "ansible": 0.1}
PYINFRA = (
    "server.Hostname", "server.Kernel", "server.LinuxDistribution", "server.Mounts", "server.Users", "server.Date", "server.Sysctl",
    "server.KernelModules", "hardware.Cpus", "hardware.Memory", "hardware.BlockDevices", "hardware.Ipv4Addrs",
)  # fmt: skip
"""About what the preflight asks for."""
IN_PARALLEL = 16
"""Machines that each dials at the same time, as this program always does; pyinfra's own default is more, Ansible's 5."""
_A_DAEMON = 16  # addresses that one sshd listens on at most (its MAX_LISTEN_SOCKS)


@contextmanager
def machines(folder: Path, count: int) -> Iterator[Fleet]:
    """Real sshd, each on sixteen addresses of the loopback; a machine is an address."""
    # the tests' own server; it needs pytest, which this module's measured half does not
    from tests.unit.conftest import serving

    with ExitStack() as stack:
        listed: list[Machine] = []
        login: Login | None = None
        keys = b""
        for first in range(0, count, _A_DAEMON):
            addresses = [f"127.19.{first // _A_DAEMON}.{1 + n}" for n in range(min(_A_DAEMON, count - first))]
            home = folder / str(first)
            home.mkdir()
            # besides 127.0.0.1, which the server has of itself
            lines = [f"ListenAddress {address}" for address in addresses[1:]]
            server = stack.enter_context(serving(home, *lines, "MaxStartups 200", "MaxSessions 100"))
            if login is None:
                login = server.login(connectTimeout=60)
                keys = server.key_file.with_name("authorized_keys").read_bytes()
            (home / "authorized_keys").write_bytes(keys)  # one key opens all
            for n, address in enumerate(addresses):
                name = f"machine{first + n:03}"
                listed.append(server.machine(name=name, address="127.0.0.1" if n == 0 else address))
        if login:
            yield Fleet(machines=tuple(listed), login=login)


def figures(folder: Path, counts: Sequence[int], runs: int) -> Iterator[Figure]:
    """This program's facts of that many machines, against the others'."""
    for count in counts:
        home = folder / str(count)
        home.mkdir(parents=True)
        with machines(home, count) as fleet:
            runs_of = in_turns(_programs(home, fleet), runs)
        what = (f"facts of {count} machines", runs_of["ours"])
        yield Figure.compare(("facts", count), what, (SAME, runs_of["ours"]))
        for name, against in (("pyinfra", "pyinfra's facts"), ("ansible", "Ansible's setup")):
            yield Figure.compare(("facts against " + name, count), what, (against, runs_of[name]), goal=GOALS[name])
            yield Figure.compare((f"facts:{name}", count), (against, runs_of[name]), (SAME, runs_of[name]))


def _programs(folder: Path, fleet: Fleet) -> dict[str, Program]:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(fleet.login.private_key.get_secret_value() if fleet.login.private_key else "")
    known = folder / "known_hosts"
    known.write_text("".join(f"[{m.address}]:{m.port} {m.host_key}\n" for m in fleet.machines))
    secrets = {"login": {**fleet.login.model_dump(by_alias=True, mode="json"), "privateKey": key.read_text()}}
    ours = folder / "fleet.json"
    ours.write_text(json.dumps({**fleet.model_dump(by_alias=True, mode="json"), **secrets}))
    hosts = [
        (m.name, {"ssh_hostname": m.address, "ssh_port": m.port, "ssh_user": m.user, "ssh_key": str(key), "ssh_known_hosts_file": str(known)})
        for m in fleet.machines
    ]
    inventory = folder / "inventory.py"
    inventory.write_text(f"machines = {hosts!r}\n")
    ini = folder / "inventory.ini"
    ini.write_text(
        "".join(
            f"{m.name} ansible_host={m.address} ansible_port={m.port} ansible_user={m.user} ansible_ssh_private_key_file={key} "
            f"ansible_python_interpreter={sys.executable} ansible_ssh_common_args='-o UserKnownHostsFile={known}'\n"
            for m in fleet.machines
        )
    )
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    usual["PYTHONPYCACHEPREFIX"] = str(folder.parent / "bytecode")
    control = folder / "control"

    def no_connection_is_kept() -> None:
        shutil.rmtree(control, ignore_errors=True)

    ansible = usual | {
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control),
        "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=5s",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": tempfile.gettempdir(),
        "HOME": str(folder),
    }
    facts = ["-i", str(ini), "all", "-m", "ansible.builtin.setup", "-f", str(IN_PARALLEL)]
    return {
        "ours": Program([sys.executable, "-m", "bench.facts", str(ours)], ROOT, usual),
        "pyinfra": Program(
            [str(OWN / "pyinfra"), "-y", "--parallel", str(IN_PARALLEL), str(inventory), "fact", *PYINFRA], folder, usual | {"HOME": str(folder)}
        ),
        "ansible": Program([str(OWN / "ansible"), *facts], folder, ansible, before=no_connection_is_kept),
    }


async def _ours(fleet: Fleet) -> None:
    from components.remote.connection import on_all
    from components.sealos.steps.ask import look

    found = await on_all(fleet, look)
    wrong = [str(facts) for facts in found.values() if isinstance(facts, MachineError)]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    asyncio.run(_ours(Fleet.model_validate_json(Path(sys.argv[1]).read_text())))
