"""From settings to the request that every driver gets on its standard input: who the machines are and how to log in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pulumi

from components.settings import Credentials, Machine, Settings


def fleet_request(
    settings: Settings, credentials: Credentials, machines: Collection[Machine] | None = None
) -> pulumi.Output[dict[str, Any]]:
    """The `Fleet` of components/machines.py as data, secret as a whole.

    Args:
        settings: the stack's.
        credentials: what opens the machines.
        machines: only these, in the settings' order, when a driver needs to reach no others; all by default.
    """
    chosen = settings.machines if machines is None else [m for m in settings.machines if m in machines]
    ssh = settings.ssh
    listed = [
        {"name": m.name, "address": m.address, "port": m.port, "user": m.user, "role": m.role, "hostKey": m.host_key}
        for m in chosen
    ]
    login = {
        "password": credentials.password,
        "privateKey": credentials.private_key,
        "privateKeyPassphrase": credentials.private_key_passphrase,
        "privateKeyFile": ssh.private_key_file,
        "knownHosts": ssh.known_hosts,
        "hostKeys": ssh.host_keys,
        "agent": ssh.agent,
        "bastion": ssh.bastion.model_dump(by_alias=True) if ssh.bastion else None,
        "connectTimeout": ssh.connect_timeout,
    }
    request: pulumi.Output[dict[str, Any]] = pulumi.Output.from_input({"machines": listed, "login": login})
    return pulumi.Output.secret(request)
