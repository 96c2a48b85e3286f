"""`python3 -m components.etcd`: a snapshot of a stack's etcd, brought here; and a cluster made of one again.

It reads the stack as `pulumi` has it, so that the passphrase (or key) of the stack is needed, and works on its first master.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import Sequence

import components.interpreter  # noqa: F401  # before what needs a library
from components import stacks
from components.config.base import SettingsError
from components.driver import DriverError, say
from components.remote.models import MachineError
from components.sealos import requests


def save(stack: stacks.Stack, file: str | None) -> str:
    """Takes a snapshot of etcd; its path."""
    # loads the SSH library, which takes long and which `--help` does without
    from components.sealos import etcd

    cluster = stack.settings.cluster
    request = requests.Snapshot(
        fleet=stack.fleet, etcd_backups=cluster.etcd_backups, file=file, limit=cluster.timeouts.clean
    )
    return asyncio.run(etcd.run_snapshot(request))


def restore(stack: stacks.Stack, name: str, file: str, *, roll_back: bool) -> str:
    """Makes the cluster of a snapshot again; what was done, and the next step."""
    # loads the SSH library, which takes long and which `--help` does without
    from components.sealos import etcd

    cluster = stack.settings.cluster
    outputs = json.loads(stacks.pulumi("stack", "output", "--json", "--show-secrets", "--stack", name))
    state = outputs.get("sealosBackup")
    request = requests.Restore.model_validate(
        {
            "fleet": stack.fleet,
            "cluster": {key: getattr(cluster, key) for key in requests.Identity.model_fields},
            "package": cluster.package.model_dump(),
            "sealos": cluster.sealos.model_dump(),
            "timeouts": cluster.timeouts.model_dump(exclude={"drain"}),
            "snapshot": file,
            "state": base64.b64decode(state) if state else None,
            "roll_back": roll_back,
        }
    )
    return asyncio.run(etcd.run_restore(request))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Returns:
        0, or 1 after one message.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m components.etcd",
        description="Saves and restores what lives in a stack's cluster (docs/operations.md). Who reads a snapshot reads every Secret of it.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    taking = verbs.add_parser("save", help="take a snapshot of etcd, check it and keep it here")
    taking.add_argument("--to", metavar="FILE", help="where to (default: a new file in cluster.etcdBackups)")
    making = verbs.add_parser(
        "restore", help="make the first master the only member of an etcd that holds what a snapshot does"
    )
    making.add_argument(
        "file", metavar="FILE", help="a snapshot that was taken by save, or before masters came or went"
    )
    making.add_argument("--roll-back", action="store_true", help="also when the cluster lives: what is newer is lost")
    for verb in (taking, making):
        verb.add_argument("--stack", default="dev", help="whose cluster (default: dev)")
    chosen = parser.parse_args(arguments)
    try:
        stack = stacks.read(chosen.stack)
        if chosen.verb == "save":
            print(save(stack, chosen.to))
        else:
            say(restore(stack, chosen.stack, chosen.file, roll_back=chosen.roll_back))
    except (DriverError, MachineError, SettingsError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
