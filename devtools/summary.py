"""What a person can use after `make up`: the stack's outputs in plain words, and the kubeconfig as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from devtools import parts
from devtools.stack import STACK, Pulumi


def kubeconfig_file() -> Path:
    """Where the dev stack's kubeconfig lies."""
    return parts.ROOT / ".state" / "kubeconfig"


def show(pulumi: Pulumi, console: Console) -> None:
    """Prints the summary of stack dev and writes its kubeconfig (0600).

    Raises:
        PulumiFailed: the outputs can't be read.
    """
    outputs = json.loads(pulumi.quiet("stack", "output", "--json", "--show-secrets", "--stack", STACK))
    write_private(kubeconfig_file(), str(outputs["kubeconfig"]))
    console.print()
    console.print(nodes(outputs))
    for line in mesh(outputs):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def write_private(file: Path, text: str) -> None:
    """Writes a file that nobody else can read at any moment."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)


def nodes(outputs: Mapping[str, Any]) -> Table:
    """The stack's nodes as a table."""
    table = Table(
        title=f"Kubernetes {outputs['apiServer']['version']} at {outputs['apiServer']['url']}", title_justify="left"
    )
    for heading in ("node", "role", "address", "version"):
        table.add_column(heading)
    for node in outputs["nodes"]:
        table.add_row(node["name"], node["role"], node["address"], node["version"])
    return table


def mesh(outputs: Mapping[str, Any]) -> list[str]:
    """The mesh, its gateway and what to try next, a line each."""
    lines = []
    if istio := outputs.get("istio"):
        lines.append(f"Istio {istio['version']}, {istio['status']}: {', '.join(istio['deployments'])}")
    if gateway := outputs.get("ingressGateway"):
        ports = ", ".join(f"{port['name']} {port['port']}" for port in gateway["ports"])
        place = f"host network of {', '.join(gateway['nodes'])}" if gateway["hostNetwork"] else gateway["type"]
        lines.append(f"Ingress gateway {gateway['name']}: {', '.join(gateway['addresses'])} ({place}), ports {ports}")
    lines += [
        f"Kubeconfig: {kubeconfig_file()}",
        "Try next:",
        '  eval "$(make -s env)"                 plain pulumi and kubectl commands in this shell',
        "  kubectl get nodes,pods -A             what runs",
        "  pulumi preview --diff                 what an edit of Pulumi.dev.yaml would change",
        "  .venv/bin/python -m lab ssh sealos01  onto the first master",
        "  make down                             takes everything down again",
    ]
    return lines
