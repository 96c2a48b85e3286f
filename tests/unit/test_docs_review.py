"""docs/review.md and docs/environments.md name what there is: rules, labels, areas of drift, stacks, commands."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from devtools.__main__ import app as devtools_app
from drift.__main__ import app as drift_app
from drift.judge import AREAS
from policy.rules import RULES
from review.__main__ import app as review_app
from review.plan import LABELS
from review.previews import stacks
from tests.project import ROOT

REVIEW = (ROOT / "docs" / "review.md").read_text()
ENVIRONMENTS = (ROOT / "docs" / "environments.md").read_text()


def test_every_rule_label_area_and_stack_is_told() -> None:
    for rule in RULES:
        assert f"| `{rule.name}` | {'fails' if rule.mandatory else 'advice'}" in REVIEW
    assert set(re.findall(r"`(allow-[a-z-]+)` \|", REVIEW)) == set(LABELS.values())
    assert set(AREAS) <= set(re.findall(r"^\| `([a-z-]+)` \|", REVIEW, re.MULTILINE))
    assert set(re.findall(r"^\| `([a-z]+)` \|", ENVIRONMENTS, re.MULTILINE)) == set(stacks())


@pytest.mark.parametrize(
    ("app", "command"),
    [
        (review_app, ["check"]),
        (review_app, ["show"]),
        (drift_app, []),
        (devtools_app, ["new-stack"]),
        (devtools_app, ["schema"]),
    ],
)
def test_every_option_in_the_docs_is_one(app: typer.Typer, command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert shown.exit_code == 0
    name = {"check": "review check", "new-stack": "devtools new-stack"}.get(command[0] if command else "")
    if name:
        text = (REVIEW + ENVIRONMENTS).replace("\\\n", " ")
        [line, *_] = re.findall(rf"python -m {name} (.*)", text)
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown.output, option
