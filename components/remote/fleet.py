"""From settings to the request that every driver gets on its standard input: who the machines are and how to log in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import pulumi

from components.config.hosts import Machine
from components.config.load import Credentials
from components.config.stack import Settings

Reach = Callable[[Collection[Machine]], pulumi.Output[dict[str, Any]]]
"""`fleet_request` of a stack, for whoever only says which machines."""


def fleet_request(
    settings: Settings, credentials: Credentials, machines: Collection[Machine] | None = None
) -> pulumi.Output[dict[str, Any]]:
    """The `Fleet` of models.py as data, secret as a whole.

    Args:
        settings: the stack's.
        credentials: what opens the machines.
        machines: only these, in the settings' order, when a driver needs to reach no others; all by default.
    """
    names = None if machines is None else {machine.name for machine in machines}
    ssh = settings.ssh
    listed = [
        {"name": m.name, "address": m.address, "port": m.port, "user": m.user, "role": m.role, "hostKey": m.host_key}
        for m in settings.machines
        if names is None or m.name in names
    ]

    def request(opened: Sequence[str | None]) -> dict[str, Any]:
        password, private_key, private_key_passphrase = opened
        login = {
            "password": password,
            "privateKey": private_key,
            "privateKeyPassphrase": private_key_passphrase,
            "privateKeyFile": ssh.private_key_file,
            "knownHosts": ssh.known_hosts,
            "hostKeys": ssh.host_keys,
            "agent": ssh.agent,
            "bastion": ssh.bastion.model_dump(by_alias=True) if ssh.bastion else None,
            "connectTimeout": ssh.connect_timeout,
        }
        return {"machines": listed, "login": login}

    # Secret first, and a map only by `apply`: the SDK makes Outputs and tasks of every value in a map that it is handed.
    opened: pulumi.Output[list[str | None]] = pulumi.Output.all(
        credentials.password, credentials.private_key, credentials.private_key_passphrase
    )
    secret: pulumi.Output[list[str | None]] = pulumi.Output.secret(opened)
    return secret.apply(request)


def reaching(settings: Settings, credentials: Credentials) -> Reach:
    """How the machines of a stack are reached."""
    return partial(fleet_request, settings, credentials)
