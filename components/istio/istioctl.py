"""Istioctl: the command-line tool on the first master, with completion for bash and zsh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.config.files import Artifact
from components.istio.objects import secret_json

ISTIOCTL = "python3 -m components.istio istioctl"
ISTIOCTL_REMOVE = "python3 -m components.istio istioctl-remove"


@dataclass(frozen=True)
class IstioctlArgs:
    """What is installed.

    Attributes:
        version: the version that the binary must have.
        artifact: where it lies on the first master.
        fleet: how to reach the first master (components/remote/fleet.py); secret.
    """

    version: str
    artifact: Artifact
    fleet: pulumi.Input[Mapping[str, Any]]


class Istioctl(pulumi.ComponentResource):
    """/usr/local/bin/istioctl on the first master; deleting it takes away exactly what was put there.

    Attributes:
        path: where it is.
        version: what it says it is.
    """

    path: pulumi.Output[str]
    version: pulumi.Output[str]

    def __init__(self, name: str, args: IstioctlArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:Istioctl", name, None, opts)
        request = {
            "fleet": args.fleet,
            "version": args.version,
            "path": args.artifact.path,
            "sha256": args.artifact.sha256,
        }
        command = local.Command(
            f"{name}-install",
            create=ISTIOCTL,
            delete=ISTIOCTL_REMOVE,
            stdin=secret_json(request),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self),
        )
        stdout: pulumi.Output[str] = pulumi.Output.unsecret(command.stdout)
        self.path = stdout.apply(lambda text: str(json.loads(text)["path"]))
        self.version = stdout.apply(lambda text: str(json.loads(text)["version"]))
        self.register_outputs({"path": self.path, "version": self.version})
