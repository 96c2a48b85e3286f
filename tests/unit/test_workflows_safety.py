"""What a workflow may never do: show secrets to a fork or to who was let in by nobody, or let an input become part of a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def events(workflow: dict[Any, Any]) -> set[str]:
    return set(workflow[True])  # YAML 1.1 takes the key `on` for a truth value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    else:
        yield str(value)


def secret(value: Any) -> bool:
    return any("secrets." in text or "secrets[" in text or text == "inherit" for text in texts(value))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_forks_code_never_runs_with_secrets(file: Path) -> None:
    workflow = read(file)
    # these run with the base's secrets, whoever made the change
    assert not events(workflow) & {"pull_request_target", "workflow_run", "issue_comment"}
    for name, job in workflow["jobs"].items():
        if "pull_request" in events(workflow) and job.get("if") != OWN_BRANCH:
            assert not secret(job), name
            assert "environment" not in job, name
            rights = job.get("permissions", workflow["permissions"])
            assert set(rights.values()) <= {"read"}, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_secrets_belong_to_a_protected_environment_and_to_the_step_that_needs_them(file: Path) -> None:
    workflow = read(file)
    assert not secret({key: value for key, value in workflow.items() if key != "jobs"})
    for name, job in workflow["jobs"].items():
        assert not secret({key: value for key, value in job.items() if key != "steps"}), name
        assert not secret(job) or job["environment"] in ("review", "drift"), name
        for step in job["steps"]:
            assert not secret({key: value for key, value in step.items() if key != "env"}), (name, step)
            assert not secret(step) or "uses" not in step, (name, step)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_comes_from_outside_reaches_a_shell_as_a_variable_alone(file: Path) -> None:
    for job in read(file)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step
            assert "script" not in step.get("with", {}), step  # actions/github-script runs it
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_there_are_workflows() -> None:
    assert {file.name for file in WORKFLOWS} == {"checks.yaml", "drift.yaml", "review.yaml"}
