"""Each command in the docs is run by a test, or says here why not; and the finder of commands finds them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.config.load import SECRETS
from tests import documented
from tests.documented import Command, Terminal, commands, not_printed, of_section, runs
from tests.project import ROOT

EXEMPT = {
    ("README.md", "Try it: the embedded lab", "make check"): "make test begins with it",
    ("README.md", "Try it: the embedded lab", "make test"): "runs this test",
    ("README.md", "Try it: the embedded lab", "make test-fast"): "runs this test",
    ("README.md", "Try it: the embedded lab", "make test-all"): "runs this test",
    **{("CONTRIBUTING.md", "Set up", command): "runs this test" for command in ("make venv", "make check", "make test-fast")},
    **{
        ("docs/testing.md", "Tests: which to run, how long they take, where a new one goes", command): "runs this test"
        for command in ("make test-fast", "make test", "make test-all")
    },
    (
        "docs/testing.md",
        "Tests: which to run, how long they take, where a new one goes",
        "make test-all SHARD=2/17",
    ): "a build server runs each shard in turn; that shards hold every file is in test_tiers.py",
    (
        "docs/testing.md",
        "One file, one test",
        'eval "$(make -s env)"; .venv/bin/python -m pytest tests/lab/test_members.py',
    ): "the two commands are what make test runs",
    **{
        ("docs/performance.md", "Performance: the last figures, and how to make them again", command): "measures for minutes to hours"
        for command in ("make bench", 'make bench ARGS="--only preview --nodes 4"', "make bench LAB=yes")
    },
    (
        "docs/dashboards.md",
        "Contour for traffic from outside",
        "docker save -o contour.tar docker.io/projectcontour/contour:v1.9.0 docker.io/envoyproxy/envoy:v1.15.1",
    ): "needs a Docker daemon and a registry; what is done with such a file is in test_images.py",
}
"""Commands that no test can run, each with the reason."""


def test_every_command_in_the_docs_is_run_by_a_test() -> None:
    run = {(r.page, r.heading, c.text) for r in runs() for c in of_section(r.page, r.heading, r.only)}
    texts = {text for _, _, text in run}
    every = [
        (page, heading, c) for page in documented.PAGES for heading, found in commands(page).items() for c in found
    ]
    left = [
        (page, heading, c.text)
        for page, heading, c in every
        if (page, heading, c.text) not in run and not (c.table and c.text in texts)
    ]
    assert set(EXEMPT) <= set(left), "exempt, but run by a test or no longer there"
    new = [command for command in left if command not in EXEMPT]
    assert not new, f"no test runs these (tests/documented.py tells how): {new}"
    assert len(every) > 60, "the finder finds too little"


@pytest.mark.parametrize("page", documented.PAGES)
def test_what_is_mentioned_beside_is_there(page: str) -> None:
    """Targets of make, commands of `python -m` and secrets' keys in running text, which is not typed by a test."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for code in documented.mentioned(page):
        if target := re.match(r"(?:\w+=\S+ )*make (?:-s )?([a-z-]+)", code):
            assert target[1] in targets, code
        if module := re.match(r"(?:\S*/)?python3? -m ([a-z_.]+)(?: ([a-z][a-z-]*))?", code):
            name = module[1] if module[1].partition(".")[2] else f"{module[1]}.__main__"
            source = (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__main__.py")
            text = "".join(file.read_text() for file in source if file.exists())
            assert text, code
            assert not module[2] or module[2] in text, code
        if key := re.search(r"config set --(?:stack \w+ --)?secret sealos-istio:(\w+)", code):
            assert key[1] in SECRETS, code


@pytest.mark.parametrize("page", documented.PAGES)
def test_a_test_that_a_page_names_is_there(page: str) -> None:
    tests = {file.name: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}
    for code in documented.mentioned(page):
        if file := re.search(r"\b(test_\w+\.py)$", code):
            assert file[1] in tests, code
        elif re.fullmatch(r"test_\w+", code):
            assert any(f"def {code}(" in text for text in tests.values()), code


def test_a_command_is_found_in_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text(
        "# One\n\n    $ first  # of all\n    printed\n    $ second \\\n        on\n\n"
        "## Two\n```\nonly output\n```\n```\nmake third\nmake fourth\n```\n```yaml\nmake: no\n```\n"
        "- item\n\n  ```\n  $ fifth\n  ```\n\n## Three\n| command | does |\n|---|---|\n| `sixth`, `seventh` | `eighth` |\n"
    )
    monkeypatch.setattr(documented, "ROOT", tmp_path)
    assert commands.__wrapped__("page.md") == {
        "": (),
        "One": (Command("first", ("printed",)), Command("second \\\n    on")),
        "Two": (Command("make third"), Command("make fourth"), Command("fifth")),
        "Three": (Command("sixth", table=True), Command("seventh", table=True)),
    }


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        (["one  two", "three"], None),
        (["three", "one two"], "one two"),
        (["one …", "…", "thr…"], None),
        (["done in 1.5 s"], None),
        (["done in 1.5 m"], "done in 1.5 m"),
        (["five"], "five"),
    ],
)
def test_what_a_page_shows_is_compared_line_by_line(shown: list[str], missing: str | None) -> None:
    assert not_printed(shown, "one two\nfour\n  three\ndone in 20.25 s\n") == missing


def test_a_terminal_keeps_what_was_exported_and_where_it_is(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {"PATH": "/usr/bin:/bin"})
    terminal.run("mkdir there && cd there && export SAID='two\nlines'")
    assert terminal.run('echo "$SAID"; pwd; cat', stdin="typed").stdout == f"two\nlines\n{tmp_path}/there\ntyped"
    terminal.run("exit 3", status=3)
    with pytest.raises(AssertionError, match=r"ended with 3, not 0:\nwhy"):
        terminal.run("echo why >&2; exit 3")
    with pytest.raises(AssertionError, match="took over 1 s"):
        terminal.run("sleep 60", limit=1)


def test_a_question_is_answered_on_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {"PATH": "/usr/bin:/bin"})
    asked = "test -t 0 && test -t 1 && read -rp 'Name? ' name && read -rp 'Age? ' age && echo \"$name is $age\""
    assert "ada is 36\n" in terminal.run(asked, answers=[("Name?", "ada"), ("Age?", "36")]).stdout
    with pytest.raises(AssertionError, match="never asked"):
        terminal.run("true", answers=[("Name?", "ada")])
