"""The machines, and how they are reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from components.config import fields
from components.config.base import PROJECT, Model, section

LONGEST_RANGE = 256
"""Machines that one range of addresses may stand for; a typing error in one makes thousands."""


class Machine(Model):
    """One Linux machine.

    Attributes:
        name: its host name as `hostname` prints it, short or full, which becomes the Node's name.
        address: IPv4 address for SSH, which is also the Node's InternalIP (sealos has one address per host).
        role: master or node, in sealos's words.
        port: TCP port of its SSH server.
        user: who logs in; root (see Ssh.user).
        host_key: its public SSH host key, `type base64`.
    """

    name: str
    address: str
    role: Literal["master", "node"]
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "root"
    host_key: str | None = None

    _check_user = field_validator("user", mode="before")(fields.root)
    _check_name = field_validator("name")(fields.machine_name)
    _check_address = field_validator("address")(fields.ipv4)
    _check_host_key = field_validator("host_key")(fields.host_key)


class Bastion(Model):
    """A host through which all machines are reached.

    Attributes: as in Machine.
    """

    address: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "root"
    host_key: str | None = None

    _check_address = field_validator("address")(fields.host)
    _check_host_key = field_validator("host_key")(fields.host_key)


class Ssh(Model):
    """How the machines are reached.

    Attributes:
        port: default TCP port of the machines.
        user: who logs in. Only root: sealos v3 writes to /root, /usr/bin and /etc and has no sudo.
        host_keys: `pinned` refuses a host whose key is not known beforehand; `unverified` takes any key, which lets
            whoever sits between see the password and the cluster's keys.
        known_hosts: an OpenSSH known_hosts file with the machines' keys, relative to the project.
        private_key_file: the private key to log in with, relative to the project. Read when a host is dialled; its
            content is never part of the state.
        agent: whether a running ssh-agent may be asked too.
        bastion: a host to go through.
        connect_timeout: seconds until a host that accepts and stays mute is given up on.
    """

    port: int = Field(default=22, ge=1, le=65535)
    user: Literal["root"] = "root"
    host_keys: Literal["pinned", "unverified"] = "pinned"
    known_hosts: str | None = None
    private_key_file: str | None = None
    agent: bool = False
    bastion: Bastion | None = None
    connect_timeout: int = Field(default=15, ge=1, le=300)

    _check_user = field_validator("user", mode="before")(fields.root)


def listed_machines(config: Mapping[str, Any], ssh: Ssh | None) -> tuple[list[Machine], list[str]]:
    """The machines that `masters` and `nodes` list, ranges written out, and what is wrong with the lists.

    Args:
        config: as for `parse`.
        ssh: where port and user come from that an entry does not give; None when it could not be read.
    """
    machines: list[Machine] = []
    problems: list[str] = []
    defaults = {"port": ssh.port, "user": ssh.user} if ssh else {}
    for key, role in (("masters", "master"), ("nodes", "node")):
        entries = config.get(key, [])
        if not isinstance(entries, list):
            problems.append(f"{PROJECT}:{key} must be a list of machines, each with name and address")
            continue
        for position, entry in enumerate(entries):
            where = f"{key}[{position}]"
            if not isinstance(entry, Mapping) or "role" in entry:
                problems.append(
                    f"{PROJECT}:{where} must be an object with name and address (its role is the list it stands in)"
                )
                continue
            try:
                single = _written_out(entry)
            except ValueError as error:
                problems.append(f"{PROJECT}:{where}.{error}")
                continue
            for one in single:
                machine, found = section(Machine, where, {**defaults, **one, "role": role})
                problems += found
                if machine:
                    machines.append(machine)
    return machines, problems


def _written_out(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries that one with a range of addresses stands for: names numbered on from the first, digits kept, a domain behind them too.

    Raises:
        ValueError: key and reason.
    """
    address, name = entry.get("address"), entry.get("name")
    if not isinstance(address, str) or "-" not in address:
        return [entry]
    try:
        first, last = (ipaddress.IPv4Address(part.strip()) for part in address.split("-"))
    except ValueError:
        raise ValueError(
            f"address: {address!r} is no range of IPv4 addresses; write it as 192.168.0.2-192.168.0.5"
        ) from None
    count = int(last) - int(first) + 1
    if not 1 <= count <= LONGEST_RANGE:
        raise ValueError(f"address: {address} is a range of {count} addresses; a range has 1 to {LONGEST_RANGE}")
    numbered = re.fullmatch(r"([^.]*?)(\d+)((?:\..*)?)", name) if isinstance(name, str) else None
    if numbered is None:
        raise ValueError(
            f"name: {name!r} must end with the first machine's number (as sealos02, or sealos02.example.com), since address is a range"
        )
    if entry.get("hostKey") and count > 1:
        raise ValueError(
            "hostKey: a range has one key per machine; name a known_hosts file in ssh.knownHosts "
            "(`python3 -m components.host_keys --known-hosts` prints one)"
        )
    stem, digits, domain = numbered.groups()
    return [
        {**entry, "name": f"{stem}{int(digits) + step:0{len(digits)}}{domain}", "address": str(first + step)}
        for step in range(count)
    ]
