"""CniCheck: stops the update unless istio-cni ends the CNI chain of every node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.istio.objects import secret_json
from components.settings import IstioSettings

CNI_CHECK = "python3 -m components.istio cni-check"


@dataclass(frozen=True)
class CniCheckArgs:
    """What is checked.

    Attributes:
        istio: what the chains must end with.
        fleet: every machine of the cluster and how to log in (components/fleet.py); secret.
        mesh_ready: the ready gate. A DaemonSet of 1.5 is ready before it has done anything, but without it there is nothing.
    """

    istio: IstioSettings
    fleet: pulumi.Input[Mapping[str, Any]]
    mesh_ready: pulumi.Resource


class CniCheck(pulumi.ComponentResource):
    """One probe over all nodes at once.

    It judges and fails inside its command: a failed create leaves no state, so the next `up` looks again. Its input holds
    what it guards (machines, CNI settings, Istio's version), so it is taken again when one of them changes, and only then.

    Attributes:
        report: configFile and nodes (names).
    """

    report: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: CniCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:CniCheck", name, None, opts)
        cni = args.istio.cni
        request = {
            "fleet": args.fleet,
            "chain": {
                "configFile": cni.config_file,
                "excludedNamespaces": list(cni.exclude_namespaces),
                "logLevel": cni.log_level,
            },
            "installer": f"{args.istio.hub}/install-cni:{args.istio.version}",
            "timeout": args.istio.ready_timeout,
        }
        probe = local.Command(
            f"{name}-probe",
            create=CNI_CHECK,
            stdin=secret_json(request),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.mesh_ready]),
        )
        stdout: pulumi.Output[str] = pulumi.Output.unsecret(probe.stdout)
        self.report = stdout.apply(json.loads)
        self.register_outputs({"report": self.report})
