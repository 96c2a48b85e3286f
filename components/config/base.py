"""What every section of the settings is made by, and how what is wrong with one is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from components.config import fields

PROJECT = "sealos-istio"

MOST_PROBLEMS = 40
"""Lines of one message; a list of machines of the wrong kind has as many problems as machines."""


class SettingsError(Exception):
    """The stack's configuration can't be used.

    Args:
        problems: one readable line per problem, each naming the stack key.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        found = [fields.bounded(problem) for problem in problems]
        more = len(found) - MOST_PROBLEMS
        self.problems = (*found[:MOST_PROBLEMS], *([f"{PROJECT}: … and {more} more of them"] if more > 0 else []))
        super().__init__(
            "\n".join(
                [f"the stack's configuration has {len(found)} problem(s):"]
                + [f"  - {p}" for p in self.problems]
            )
        )


class Model(BaseModel):
    """Keys are written in camelCase, as in Kubernetes; an unknown one is an error, since it would be ignored otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, strict=True, defer_build=True)


M = TypeVar("M", bound=Model)


def section(model: type[M], where: str, data: Any) -> tuple[M | None, list[str]]:
    """The model made of `data`, or the problems, each with its key from the stack's file."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_in_words(where, details) for details in error.errors(include_url=False)]


def _in_words(where: str, details: Any) -> str:
    key = f"{PROJECT}:{where}" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in details["loc"])
    given = details.get("input")
    match details["type"]:
        case "extra_forbidden":
            return f"{key} is not a key of this program; look for a typing error, or see Pulumi.yaml for the keys there are"
        case "missing":
            return f"{key} is missing; Pulumi.yaml says what it holds"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case _:
            shown = "" if isinstance(given, Mapping | list) else f", not {given!r}"
            return f"{key} {details['msg'].removeprefix('Input ')}{shown}"
