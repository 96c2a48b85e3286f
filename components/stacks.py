"""A stack's settings and how its machines are reached, read outside of a Pulumi program: by commands that a person runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config.base import PROJECT
from components.config.load import SECRETS, parse_and_plan
from components.config.stack import Settings
from components.driver import DriverError
from components.plan import Plan
from components.printable import know_secrets_of
from components.remote.models import Fleet, Login

LIMIT = 120
"""Seconds that a `pulumi` that only reads may take."""

_MACHINE = ("name", "address", "role", "port", "user", "host_key")


@dataclass(frozen=True)
class Stack:
    """A stack's settings, and how to reach its machines.

    Attributes:
        settings: what it asks for.
        plan: what they come to.
        fleet: the machines and the log-in data; secret.
    """

    settings: Settings
    plan: Plan
    fleet: Fleet


def pulumi(*arguments: str) -> str:
    """What a `pulumi` that only reads prints.

    Raises:
        DriverError: when it fails.
    """
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"], capture_output=True, text=True, check=False, timeout=LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"`pulumi {arguments[0]}` can't be run ({error}); is it on PATH?") from None
    if done.returncode:
        raise DriverError(f"`pulumi {arguments[0]}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def read(name: str) -> Stack:
    """The stack of this folder's project, as `pulumi` has it; its secrets are known to the filter of what is printed.

    Raises:
        DriverError: when `pulumi` does not tell.
        SettingsError: with everything that is wrong.
    """
    stack = parse(pulumi("config", "--json", "--show-secrets", "--stack", name), name, Path())
    know_secrets_of(stack.fleet)
    return stack


def parse(text: str, name: str, directory: Path) -> Stack:
    """The stack of `pulumi config --json --show-secrets`.

    Args:
        text: what that printed.
        name: the stack's.
        directory: the project's folder, which paths in the settings are relative to.

    Raises:
        SettingsError: with everything that is wrong.
    """
    values = {
        key.removeprefix(f"{PROJECT}:"): entry.get("objectValue", entry.get("value"))
        for key, entry in json.loads(text).items()
        if key.startswith(f"{PROJECT}:")
    }
    settings, plan = parse_and_plan(values, name, directory)
    return Stack(settings, plan, _fleet(settings, {key: values.get(key) or None for key in SECRETS}, directory))


def last_rendered(exported: str) -> dict[str, Any]:
    """What Istio's renderer made of the mesh at the last update, by which the ready gate goes: `spec` (a hash) and `objects` by title.

    Args:
        exported: what `pulumi stack export` printed.

    Returns:
        Empty where there was no mesh, or no renderer.
    """
    for resource in json.loads(exported)["deployment"].get("resources") or ():
        if resource["type"] == "pulumi:index:Stash" and resource["urn"].endswith("::istio-rendered"):
            found: dict[str, Any] = resource["inputs"].get("input") or {}
            return found
    return {}


def _fleet(settings: Settings, secrets: Mapping[str, Any], directory: Path) -> Fleet:
    ssh = settings.ssh
    fields = set(Login.model_fields)
    login = {
        **{key: value for key, value in ssh.model_dump().items() if key in fields},
        "password": secrets.get("password"),
        "private_key": secrets.get("privateKey"),
        "private_key_passphrase": secrets.get("privateKeyPassphrase"),
    }
    for key in ("known_hosts", "private_key_file"):
        # relative to the project, as the settings have it
        if path := login.get(key):
            login[key] = str(directory / Path(path).expanduser())
    machines = [{key: m.model_dump()[key] for key in _MACHINE if key in m.model_dump()} for m in settings.machines]
    return Fleet.model_validate({"machines": machines, "login": login})
