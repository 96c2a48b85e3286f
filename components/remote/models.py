"""Who the machines are and how to log in: the models of every driver's request, without anything that dials.

Apart from connection.py, because a preview reads some of these and needs no SSH library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from components.printable import know
from components.problem import CODES, Problem

Cause = Literal["unreachable", "mute", "auth", "host-key", "unknown-host", "login", "lost", "timeout", "failed"]


class MachineError(Exception):
    """A machine could not be used.

    Args:
        machine: its name.
        cause: what happened, in plain words.
        fix: what to do about it.
        code: the kind of trouble, for judges.
    """

    def __init__(self, machine: str, cause: str, fix: str, code: Cause = "failed") -> None:
        super().__init__(f"{machine}: {cause}. {fix}" if fix else f"{machine}: {cause}")
        self.machine = machine
        self.cause = cause
        self.fix = fix
        self.code: Cause = code

    @property
    def problem(self) -> Problem:
        """The same for a judge's list."""
        return Problem(CODES[self.code], self.machine, self.cause, self.fix)

    @property
    def gone(self) -> bool:
        """Whether nobody answered at all, as when the machine is dead or hung."""
        return self.code in ("unreachable", "mute")


class Request(BaseModel):
    """What a driver reads from standard input; keys in camelCase, unknown ones refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True)


class Machine(Request):
    """One machine as drivers see it; the same fields as in the stack's settings.

    Attributes:
        name: its hostname and the Node's name.
        address: IPv4 address for SSH and the Node's InternalIP.
        role: master or node.
        port: TCP port of its SSH server.
        user: who logs in.
        host_key: its public host key, `type base64`; None when known_hosts has it.
    """

    name: str
    address: str
    role: Literal["master", "node"] = "node"
    port: int = 22
    user: str = "root"
    host_key: str | None = None


class Bastion(Request):
    """The host that all machines are reached through; fields as in Machine."""

    address: str
    port: int = 22
    user: str = "root"
    host_key: str | None = None


class Login(Request):
    """How to log in; the same for all machines and the bastion.

    Attributes:
        password, private_key, private_key_passphrase: secrets, None when not used.
        private_key_file: a file here, used when private_key is not given.
        known_hosts: an OpenSSH known_hosts file here, used for machines without an own host key.
        host_keys: `unverified` takes any host key; said in words, never the default.
        agent: whether the ssh-agent of $SSH_AUTH_SOCK may be asked.
        bastion: a host to go through.
        connect_timeout: seconds for connection, banner and log-in together.
    """

    password: SecretStr | None = None
    private_key: SecretStr | None = None
    private_key_passphrase: SecretStr | None = None
    private_key_file: str | None = None
    known_hosts: str | None = None
    host_keys: Literal["pinned", "unverified"] = "pinned"
    agent: bool = False
    bastion: Bastion | None = None
    connect_timeout: float = Field(default=15, gt=0)

    def key_text(self) -> str | None:
        """The private key to log in with, or None.

        Raises:
            MachineError: when the key file can't be read.
        """
        if self.private_key and self.private_key.get_secret_value():
            return self.private_key.get_secret_value()
        if not self.private_key_file:
            return None
        try:
            text = Path(self.private_key_file).expanduser().read_text()
        except OSError as error:
            raise MachineError(
                "ssh.privateKeyFile",
                f"{self.private_key_file} can't be read ({error.strerror})",
                "Set it to the private key's file, relative to the project.",
                "login",
            ) from None
        know(text)
        return text


class Fleet(Request):
    """The machines that a driver may reach, and how."""

    machines: tuple[Machine, ...] = Field(min_length=1)
    login: Login

    @property
    def first_master(self) -> Machine:
        """Where sealos and kubectl run."""
        return next((m for m in self.machines if m.role == "master"), self.machines[0])

    def named(self, name: str) -> Machine:
        """The machine of that name.

        Raises:
            KeyError: when there is none.
        """
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)
