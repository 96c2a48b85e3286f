"""What every driver's command line does: read one request, do one verb, end with one readable message.

A driver is what a `local.Command` runs: `python3 -m components.sealos VERB` with a JSON request on standard input. What it
prints on standard output becomes the resource's output; progress and errors go to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from components.printable import know_secrets_of, printable
from components.remote.models import MachineError, Request


class DriverError(Exception):
    """A stage failed; the text is the whole message for the user: what, why, and the next step."""


@dataclass(frozen=True)
class Verb:
    """One thing that a driver does.

    Attributes:
        request: what it reads from standard input.
        action: does it; returns the text for standard output.
        help: one line for --help.
    """

    request: type[Request]
    action: Callable[[Any], Coroutine[Any, Any, str]]
    help: str


LOST = "SEALOS_ISTIO_LOST"
"""Environment variable of a `pulumi destroy`: names of machines that are gone for good, with commas between.

No setting, because a destroy reads none: it works with what the last `up` knew, and a dead first master lets no `up` through.
"""


def given_up(machine: str) -> bool:
    """Whether whoever destroys the stack says that the machine is gone for good."""
    return machine in {name.strip() for name in os.environ.get(LOST, "").split(",")}


def say(text: str) -> None:
    """A message on standard error, as it may be printed: every line that a driver says goes through here."""
    print(printable(text), file=sys.stderr, flush=True)


def progress(where: str, text: str) -> None:
    """One short line for whoever watches."""
    say(f"[{where}] {text}")


def drive(
    program: str, verbs: Mapping[str, Verb], arguments: Sequence[str] | None = None, epilog: str | None = None
) -> int:
    """Runs the verb that the command line names.

    Args:
        program: how it is called, for --help.
        verbs: what there is.
        arguments: the command line; sys.argv's by default.
        epilog: what --help says below the verbs.

    Returns:
        The exit status: 0, or 1 after one message on standard error.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Does one step on the stack's machines. Pulumi runs it; the request is JSON on standard input.",
        epilog=epilog,
    )
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in verbs.items():
        commands.add_parser(name, help=verb.help, description=verb.help)
    verb = verbs[parser.parse_args(arguments).verb]
    try:
        request = verb.request.model_validate_json(sys.stdin.read())
    except ValidationError as error:
        # a request may hold secrets: say where it is wrong, never what it holds
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the request'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False, include_context=False)
        )
        say(f"the request on standard input can't be used: {wrong}")
        return 1
    know_secrets_of(request)
    try:
        output = asyncio.run(verb.action(request))
    except (DriverError, MachineError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; what already runs on a host goes on there, and the next `pulumi up` waits for it")
        return 130
    except Exception:  # noqa: BLE001 - whatever it is, its trace must not pass the filter by
        # a mistake of the program: its trace may quote what a machine said or what the request held
        say(traceback.format_exc())
        return 1
    if output:
        print(output)
    return 0
