"""`python3 -m components.host_keys`: the host keys of a stack's machines, in the form that its settings want.

It asks each machine for its key and trusts none: whoever sits between could show another one. So it prints each key's
fingerprint to be compared on the machine's own console, and says where a key differs from the pinned one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import components.interpreter  # noqa: F401  # before what needs a library

# isort: split
import asyncssh
import yaml
from pydantic import ValidationError

from components.config.base import PROJECT
from components.config.hosts import Ssh, listed_machines
from components.driver import say
from components.printable import harmless
from components.remote.models import Bastion, Login, Machine, MachineError

COMPARE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"


class Unusable(Exception):
    """The stack's file does not say which machines there are; the text is the message."""


def stack_config(file: Path) -> dict[str, Any]:
    """What a stack's file says about its machines: `masters`, `nodes` and `ssh`; its secrets stay closed.

    Raises:
        Unusable: when there is no such file, or it is no stack's.
    """
    try:
        content = yaml.safe_load(file.read_text())
        config = content["config"]
        return {key: config[f"{PROJECT}:{key}"] for key in ("masters", "nodes", "ssh") if f"{PROJECT}:{key}" in config}
    except OSError as error:
        raise Unusable(f"{file.name} can't be read ({error.strerror}); name the stack with --stack") from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise Unusable(f"{file.name} is no stack's configuration with a `config:` part") from None


def fleet_of(config: Mapping[str, Any]) -> tuple[list[Machine], Login]:
    """The machines and how a bastion before them is logged in to.

    Raises:
        Unusable: with everything that is wrong.
    """
    try:
        ssh = Ssh.model_validate(config.get("ssh", {}))
    except ValidationError as error:
        raise Unusable(f"{PROJECT}:ssh can't be used: {error.errors()[0]['msg']}; `pulumi preview` says more") from None
    listed, problems = listed_machines(config, ssh)
    if problems or not listed:
        raise Unusable("\n".join(problems) or f"{PROJECT}:masters and {PROJECT}:nodes list no machine")
    login = Login(
        private_key_file=ssh.private_key_file,
        known_hosts=ssh.known_hosts,
        host_keys=ssh.host_keys,
        agent=ssh.agent,
        bastion=Bastion.model_validate(ssh.bastion.model_dump()) if ssh.bastion else None,
        connect_timeout=ssh.connect_timeout,
    )
    return [Machine.model_validate(machine.model_dump()) for machine in listed], login


def fingerprint(key: str) -> str:
    """The key's SHA-256 fingerprint, as ssh-keygen prints it."""
    return asyncssh.import_public_key(key).get_fingerprint()


def as_settings(machines: Sequence[Machine], keys: Mapping[str, str | MachineError], port: int) -> str:
    """`masters` and `nodes` for the stack's file, each machine with its key, and the fingerprint behind it."""
    lines = []
    for role, name in (("master", "masters"), ("node", "nodes")):
        of_role = [machine for machine in machines if machine.role == role]
        lines += [f"  {PROJECT}:{name}:"] * bool(of_role)
        for machine in of_role:
            key = keys[machine.name]
            other_port = f"port: {machine.port}, " if machine.port != port else ""
            shown, comment = (f"hostKey: {key}", fingerprint(key)) if isinstance(key, str) else ("", harmless(key.cause))
            fields = f"name: {machine.name}, address: {machine.address}, {other_port}{shown}".rstrip(", ")
            lines.append(f"    - {{{fields}}} # {comment}")
    return "\n".join(lines)


def as_known_hosts(machines: Sequence[Machine], keys: Mapping[str, str | MachineError]) -> str:
    """The same as an OpenSSH known_hosts file, for ssh.knownHosts."""
    lines = []
    for machine in machines:
        key = keys[machine.name]
        if isinstance(key, str):
            place = machine.address if machine.port == 22 else f"[{machine.address}]:{machine.port}"
            lines += [f"# {machine.name} {fingerprint(key)}", f"{place} {key}"]
        else:
            lines.append(f"# {machine.name}: {key.cause}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Returns:
        0; 1 when a machine showed no key, or another one than the pinned one.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m components.host_keys",
        description="Prints the host keys of a stack's machines for its settings. Nothing is trusted by it: compare the "
        f"fingerprints on each machine's own console (`{COMPARE}`) before you put them in.",
    )
    parser.add_argument("--stack", default="dev", help="whose machines, from Pulumi.STACK.yaml here (default: dev)")
    parser.add_argument("--known-hosts", action="store_true", help="print a known_hosts file for ssh.knownHosts")
    chosen = parser.parse_args(arguments)
    try:
        config = stack_config(Path(f"Pulumi.{chosen.stack}.yaml"))
        machines, login = fleet_of(config)
        keys = asyncio.run(_ask(machines, login))
    except (Unusable, MachineError) as error:
        say(str(error))
        return 1
    ssh = config.get("ssh", {})
    text = as_known_hosts(machines, keys) if chosen.known_hosts else as_settings(machines, keys, ssh.get("port", 22))
    print(text, flush=True)  # before what follows, also where both go to one file
    print(f"\nNot trusted yet. Compare each fingerprint on the machine's own console: {COMPARE}", file=sys.stderr)
    bad = False
    for machine in machines:
        key = keys[machine.name]
        if isinstance(key, MachineError):
            bad = True
            say(str(key))
        elif machine.host_key and machine.host_key != key:
            bad = True
            print(
                f"{machine.name}: shows another host key than the pinned one ({fingerprint(machine.host_key)} is pinned). "
                "Was it installed anew, or does someone sit between?",
                file=sys.stderr,
            )
    return 1 if bad else 0


async def _ask(machines: Sequence[Machine], login: Login) -> dict[str, str | MachineError]:
    # loads the SSH library, which takes long and which `--help` does without
    from components.remote.connection import host_keys

    return await host_keys(machines, login)


if __name__ == "__main__":
    sys.exit(main())
