"""CniCheck: stops the update unless istio-cni ends the CNI chain of every node, one check a node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain as chained
from typing import Any

import pulumi
from pulumi_command import local

from components.config.hosts import Machine
from components.config.mesh import IstioSettings
from components.istio import cni_chain
from components.istio.objects import drift_environment, ignored_in_preview, secret_json
from components.remote.fleet import Reach

CNI_CHECK = "python3 -m components.istio cni-check"


@dataclass(frozen=True)
class CniCheckArgs:
    """What is checked.

    Attributes:
        istio: what the chains must end with.
        machines: all of the stack's, the first master first. Every one is checked, so that one added later is, too.
        reach: how to reach some of them; secret.
        after: what must be there before: the ready gate, since a DaemonSet of 1.5 is ready before it has done anything, but
            without it there is nothing; and the cluster with all its nodes.
        found_changed_at: see components/istio/readiness/change_detection.py; a chain that was changed later is found by the next update.
    """

    istio: IstioSettings
    machines: Sequence[Machine]
    reach: Reach
    after: Sequence[pulumi.Resource]
    found_changed_at: pulumi.Output[str]


class CniCheck(pulumi.ComponentResource):
    """One check a node, so that a preview shows the new one's.

    It judges and fails inside its command: a failed create leaves no state, so the next `up` looks again. Its input holds
    what it guards (the machine, CNI settings, Istio's version), so it is taken again when one of them changes.

    Attributes:
        report: names of the nodes whose chain is as wanted.
    """

    report: pulumi.Output[list[str]]

    def __init__(self, name: str, args: CniCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:istio:CniCheck", name, None, opts)
        checked: list[pulumi.Output[list[str]]] = []
        for machine in args.machines:
            request = {
                # the first master knows which of them is dead
                "fleet": args.reach({args.machines[0], machine}),
                "node": machine.name,
                "chain": chain(args.istio),
                "installer": f"{args.istio.hub}/install-cni:{args.istio.image_tag}",
                "timeout": args.istio.ready_timeout,
            }
            probe = local.Command(
                f"{name}-{machine.name}",
                create=CNI_CHECK,
                stdin=secret_json(request),
                environment=drift_environment(args.found_changed_at),
                add_previous_output_in_env=False,
                logging=local.Logging.STDERR,
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=list(args.after), ignore_changes=ignored_in_preview()
                ),
            )
            stdout: pulumi.Output[str] = pulumi.Output.unsecret(probe.stdout)
            checked.append(stdout.apply(lambda text: list(json.loads(text)["nodes"])))
        self.report = pulumi.Output.all(*checked).apply(lambda nodes: sorted(chained.from_iterable(nodes)))
        self.register_outputs({"report": self.report})


def chain(istio: IstioSettings) -> dict[str, Any]:
    """The wanted end of every node's chain, as drivers get it."""
    # without what is as ever: a request that changes is made again
    return cni_chain.wanted(istio).model_dump(mode="json", by_alias=True, exclude_defaults=True)
