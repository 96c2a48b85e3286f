"""The pull-request workflow's own steps, in order, with the variables that it sets, in a fresh clone of a repository with a change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from review.__main__ import STOPPED
from review.summary import MARKER
from tests.documented import Terminal
from tests.github import Api, Job, api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GIT = "git -c user.name=test -c user.email=test@localhost -c commit.gpgsign=false"
PASSPHRASE = "of the team"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A clone whose last commit takes a node out of prod, its only stack; state in a folder, graphviz as installed."""
    directory = tmp_path_factory.mktemp("pull-request")
    terminal = Terminal.clone(directory)
    terminal.run("git rm -q Pulumi.dev.yaml Pulumi.staging.yaml Pulumi.walkthrough.yaml")
    (directory / "bin").mkdir()
    # a runner is thrown away, this machine isn't: what would be installed is only noted
    (directory / "bin" / "sudo").write_text(f'#!/bin/sh\necho "$*" >>{directory}/sudo\n')
    (directory / "bin" / "sudo").chmod(0o755)
    terminal.environment["PATH"] = f"{directory / 'bin'}:{terminal.environment['PATH']}"
    (directory / "state").mkdir()
    state = (
        f'eval "$(make -s env)" && PULUMI_BACKEND_URL=file://{directory}/state PULUMI_CONFIG_PASSPHRASE="{PASSPHRASE}"'
    )
    before = dict(terminal.environment)
    terminal.run(f"{state} pulumi stack init prod")
    terminal.environment = before
    terminal.run(f"{GIT} commit -qam 'prod alone' && git update-ref refs/remotes/origin/main main")
    file = terminal.directory / "Pulumi.prod.yaml"
    lines = file.read_text().splitlines(keepends=True)
    [*_, last] = (index for index, line in enumerate(lines) if line.startswith("    - {name: "))
    file.write_text("".join(lines[:last] + lines[last + 1 :]))
    terminal.run(f"{GIT} commit -qam 'one node less'")
    return terminal


@pytest.fixture
def github() -> Iterator[tuple[str, type[Api]]]:
    with api("given to the job") as found:
        yield found


def runner(changed: Terminal, tmp_path: Path, address: str, repository: str) -> Terminal:
    """A runner's environment for an event of a pull request whose head is in that repository."""
    event = {"pull_request": {"number": 7, "labels": [], "head": {"repo": {"full_name": repository}}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    given = {
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "team/mesh",
        "GITHUB_API_URL": address,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_RUN_ID": "11",
    }
    return Terminal(changed.directory, {**changed.environment, **given})


def context(changed: Terminal, token: str, secrets: dict[str, str]) -> dict[str, Any]:
    base = changed.run("git rev-parse origin/main").stdout.strip()
    return {"github": {"token": token, "event": {"pull_request": {"base": {"sha": base}}}}, "secrets": secrets}


def test_a_pull_request_gets_one_comment_and_it_is_kept_up_to_date(
    changed: Terminal, github: tuple[str, type[Api]], tmp_path: Path
) -> None:
    address, seen = github
    secrets = {
        "PULUMI_BACKEND_URL": f"file://{changed.directory.parent}/state",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
    }
    job = Job.of("review.yaml", "preview", context(changed, "given to the job", secrets))
    for _ in range(2):
        printed = job.run(runner(changed, tmp_path, address, "team/mesh"))
        assert "Comment: https://github.example/120" in printed
    assert seen.asked == ["POST", "PATCH"]
    [comment] = [c["body"] for c in seen.comments if MARKER in c["body"]]
    assert "A new cluster" in comment
    assert "Compared with what the state says is there" in comment
    assert "https://github.example/team/mesh/actions/runs/11#artifacts" in comment
    assert comment == (changed.directory / "review-out" / "comment.md").read_text()
    assert "given to the job" not in printed + comment
    installed = (changed.directory.parent / "sudo").read_text().splitlines()
    assert installed == ["apt-get install -y --no-install-recommends graphviz"] * 2
    assert changed.run("git status --porcelain").stdout == "?? review-out/\n", "a preview changes no file"


def test_a_fork_has_no_secret_and_writes_no_comment_and_the_gate_holds(
    changed: Terminal, github: tuple[str, type[Api]], tmp_path: Path
) -> None:
    address, seen = github
    terminal = runner(changed, tmp_path, address, "somebody/mesh")
    Job.of("review.yaml", "fork", context(changed, "may only read", {})).run(terminal, status=STOPPED)
    assert seen.asked == []
    summary = (tmp_path / "summary").read_text()
    assert "STOP: the node" in summary
    assert "(label allow-node-loss)" in summary
    assert "no state could be read here" in summary
    # any other CI: the same command as the page has it, without GitHub's variables
    elsewhere = Terminal(changed.directory, dict(changed.environment))
    printed = elsewhere.documented("docs/review.md", "On a pull request", status=STOPPED)
    assert "STOP: the node" in printed
    (changed.directory / "review-out" / "comment.md").read_text()
