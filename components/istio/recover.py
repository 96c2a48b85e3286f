"""For a mesh that can't be taken down, because its operator (or the operator's rights) went before its IstioOperator did.

`pulumi stack export --show-secrets | python3 -m components.istio recover` says what it finds; with `--apply` it puts the
operator's objects back, so that the operator itself takes the mesh down and clears the finalizer. It never does so unasked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.driver import DriverError, say
from components.istio import operator_manifests as manifests
from components.istio.sweep import SweepRequest
from components.remote.connection import connect
from components.remote.models import MachineError

SCRIPT = Path(__file__).with_name("recover.sh")
EXPORT = "pulumi stack export --show-secrets"


def request_of(export: str) -> SweepRequest:
    """The mesh that a stack holds, from its exported state: what is swept last is still in it when a destroy got stuck.

    Raises:
        DriverError: when the text is no export with its secrets, or the stack has no mesh any more.
    """
    try:
        resources: list[dict[str, Any]] = json.loads(export)["deployment"]["resources"]
        found = [
            r["inputs"]["stdin"]
            for r in resources
            if r["type"] == "command:local:Command"
            and "$" in r["urn"]
            and "sealos-istio:istio:ControlPlane" in r["urn"]
            and r["urn"].endswith("-leftovers")
        ]
    except (ValueError, KeyError, TypeError):
        raise DriverError(f"standard input is no stack's state; pipe it in: {EXPORT} | …") from None
    if not found:
        raise DriverError("this stack holds no mesh, so there is nothing to recover")
    try:
        value = found[0]
        text = json.loads(value["plaintext"]) if isinstance(value, Mapping) else value
        return SweepRequest.model_validate_json(text)
    except (KeyError, ValueError, TypeError, ValidationError):
        raise DriverError(f"the stack's secrets are not in its export; use {EXPORT}") from None


async def recover(request: SweepRequest, apply: bool) -> list[str]:
    """Looks, and with `apply` puts the operator back until the IstioOperator is gone; what to say, line by line.

    Raises:
        DriverError: when the cluster doesn't answer, or the operator does not end it in time.
        MachineError: when the first master can't be reached.
    """
    where = f"IstioOperator {request.namespace}/{request.name}"
    identity = manifests.control_plane_identity(request.namespace, request.name)
    objects = [
        manifests.namespace(),
        manifests.crd(),
        manifests.service_account(),
        manifests.cluster_role(request.version),
        manifests.cluster_role_binding(),
        manifests.deployment(
            request.hub, request.version, request.namespace, identity, request.tag, request.pull_secrets
        ),
    ]
    files = {
        "name": request.name.encode(),
        "namespace": request.namespace.encode(),
        "operator.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode(),
    }
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        look = await host.run(SCRIPT, {**files, "verb": b"look"}, 120)
        if look.status:
            raise DriverError(f"the cluster can't be asked: {look.last_words}")
        words = [line.split(" ", 1) for line in look.stdout.splitlines()]
        state = next(value for key, value in words if key == "state")
        missing = [value for key, value in words if key == "missing"]
        lines = [
            f"{where} is {({'absent': 'gone', 'present': 'there and not being deleted', 'deleting': 'being deleted'})[state]}.",
            f"Of its operator {', '.join(missing)} is missing." if missing else "Its operator is complete.",
        ]
        if state == "absent":
            return [*lines, "Nothing to recover here; go on with what you were doing, with --refresh."]
        if state == "present":
            return [*lines, "`pulumi up --refresh` puts back what is missing; nothing is stuck."]
        if not apply:
            return [
                *lines,
                "Nothing was changed. With --apply the operator's objects are put back, so that it takes the mesh down itself.",
            ]
        result = await host.run(SCRIPT, {**files, "verb": b"apply"}, 240)
        if result.status:
            raise DriverError(result.last_words)
    return [
        *lines,
        "The operator was put back, and took the mesh down.",
        "Go on with what you were doing, with --refresh.",
    ]


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"{EXPORT} | python3 -m components.istio recover",
        description="Says why an IstioOperator can't go, and ends it properly when asked to. Reads a stack's exported state.",
    )
    parser.add_argument(
        "--apply", action="store_true", help="put the operator back where the IstioOperator is stuck without it"
    )
    asked = parser.parse_args(arguments)
    try:
        print("\n".join(asyncio.run(recover(request_of(sys.stdin.read()), asked.apply))))
    except (DriverError, MachineError) as error:
        say(str(error))
        return 1
    return 0
