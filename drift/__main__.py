"""`python -m drift`: what differs between settings, state, cluster and machines (docs/review.md)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components import tunnel
from components.printable import printable
from components.problem import Problem, told
from devtools import engine as engines
from devtools.builder import BuildFailed
from devtools.golang import ToolMissing
from drift import look
from drift.judge import AREAS
from review.previews import Checkout

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
err = Console(stderr=True, soft_wrap=True)

FAILED, DRIFTED = 1, 3
"""Exit statuses: it could not look; something differs."""


@app.command()
def drift(
    stack: Annotated[str, typer.Option(help="the stack")] = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for machines")] = False,
    within: Annotated[float, typer.Option(help="days in which an end of a certificate or token is near")] = 30,
    directory: Annotated[Path | None, typer.Option(help="the program's folder; this checkout by default")] = None,
) -> None:
    """Compare a stack's settings, its state, the cluster and the machines. Reads only.

    Exit status: 0 nothing differs, 1 it could not look, 3 something differs.
    """
    engine = engines.prepare(err)
    checkout = Checkout.own(engine)
    if directory:
        checkout = Checkout(engine, directory.resolve(), {**checkout.environment, **os.environ})
    found = look.stack_of(checkout, stack)
    port = found.settings.cluster.api_tunnel
    findings = look.at_settings(checkout, stack)
    findings += asyncio.run(tunnel.during(found.fleet, port, lambda: look.at_objects(checkout, stack), err.print))
    own = look.kubeconfig_of(checkout, stack)
    rendered = look.last_rendered(checkout, stack) if found.plan.mesh else {}
    os.chdir(checkout.directory)
    findings += asyncio.run(look.at_machines(found, own, rendered, timedelta(days=within)))
    findings.sort(key=lambda finding: (AREAS.index(finding.code.area), finding.where))
    if as_json:
        print(to_json(stack, findings))
    else:
        print(printable(to_text(stack, findings)))
    raise typer.Exit(DRIFTED if findings else 0)


def to_json(stack: str, findings: list[Problem]) -> str:
    """What machines read; a contract, told in docs/review.md."""
    listed = [{"area": f.code.area, "code": f.code, "where": f.where, "what": f.text, "fix": f.step} for f in findings]
    return json.dumps({"stack": stack, "drift": bool(findings), "findings": listed}, indent=2)


def to_text(stack: str, findings: list[Problem]) -> str:
    """What people read: what differs, each with its code and the next step."""
    if not findings:
        return f"{stack}: settings, state, cluster and machines agree."
    return "\n".join((f"{stack}: {len(findings)} difference{'s' * (len(findings) > 1)}", *told(findings)))


def main() -> None:
    """Runs the command line; what can be put right is one message and exit status 1."""
    try:
        app(prog_name="python -m drift")
    except (BuildFailed, ToolMissing, look.CannotLook) as error:
        err.print(printable(str(error)), highlight=False, markup=False)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
