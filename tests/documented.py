"""The commands of the documentation, for tests that run them as they are written.

A command is a `$ ` line of a block (what follows is what it prints), each line of a block that begins with a program and has no
`$ `, or a command in the first column of a table headed "command". A test says which it runs:

    terminal.documented("docs/environments.md", "A new stack", replace={"blue": "green"})

and tests/unit/test_docs_commands.py finds these calls and fails for a command that no test runs.
"""

from __future__ import annotations

import ast
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from markdown_it import MarkdownIt
from markdown_it.token import Token

from devtools import engine as engines
from devtools import parts
from tests.project import ROOT, Done, Project

PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))
PROGRAMS = (
    *("docker", "eval", "export", "git", "istioctl", "kubectl", "make"),
    *(".venv/bin/python", "pip", "pulumi", "python", "python3", "ssh"),
)
"""What a block without `$ ` begins with when it is to be typed; another such block is a file or what a program prints."""

SHELLS = ("", "bash", "console", "sh", "shell")
"""Languages of fenced blocks that hold commands."""

COMMENT = re.compile(r"\s+# .*$")
"""What a page says beside a command."""

VARYING = re.compile(r"\d+(\.\d+)?(?= (s|min|h|d)\b)|\b\d+[smhd]\b")
"""Durations, which differ from run to run."""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        text: as it is written, continued lines included, without a comment beside it.
        shown: the lines that the page shows as its output.
        table: whether it stands in a table of commands (and is run if the same text is run from anywhere).
    """

    text: str
    shown: tuple[str, ...] = ()
    table: bool = False


@cache
def commands(page: str) -> dict[str, tuple[Command, ...]]:
    """A page's commands by the heading that they stand under ("" for what comes before the first)."""
    found: dict[str, list[Command]] = {"": []}
    heading = ""
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text())
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[index + 1].content
            assert heading not in found, f"{page}: the heading '{heading}' stands twice"
            found[heading] = []
        elif token.type == "code_block" or (token.type == "fence" and token.info.strip() in SHELLS):
            found[heading] += _of_block(token.content)
        elif token.type == "table_open":
            found[heading] += _of_table(tokens[index:])
    return {name: tuple(found[name]) for name in found}


def _of_block(text: str) -> Iterator[Command]:
    lines = text.replace("\\\n", "\\\0").splitlines()
    typed = any(line.startswith("$ ") for line in lines)
    if not typed and not (lines and lines[0].split(" ")[0] in PROGRAMS):
        return
    command, shown = "", list[str]()
    for line in lines:
        if typed and not line.startswith("$ "):
            shown.append(line)
        elif line.strip() and not line.startswith("#"):
            if command:
                yield Command(command, tuple(shown))
            command, shown = COMMENT.sub("", line.removeprefix("$ ")).replace("\0", "\n"), []
    if command:
        yield Command(command, tuple(shown))


def _of_table(tokens: list[Token]) -> Iterator[Command]:
    end = next(index for index, token in enumerate(tokens) if token.type == "table_close")
    cells = [token for token in tokens[:end] if token.type == "inline"]
    if cells[0].content != "command":
        return
    rows = [index for index, token in enumerate(tokens[:end]) if token.type == "tr_open"][1:]
    for row in rows:
        first = next(token for token in tokens[row:] if token.type == "inline")
        yield from (Command(code.content, table=True) for code in first.children or () if code.type == "code_inline")


def mentioned(page: str) -> Iterator[str]:
    """Every piece of code in a page's running text and tables."""
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text()):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


def of_section(page: str, heading: str, only: str = "") -> tuple[Command, ...]:
    """The commands under a heading, or the one that is `only`, or those that begin so; fails the test when there are none."""
    assert heading in commands(page), f"{page} has no heading '{heading}'"
    there = commands(page)[heading]
    found = tuple(c for c in there if c.text == only) or tuple(c for c in there if c.text.startswith(only))
    assert found, f"{page}, '{heading}' has no command that begins with '{only}'"
    return found


@dataclass
class Terminal:
    """A bash in a folder, in which documented commands are typed: what one exports, and where it goes, the next one has.

    Attributes:
        directory: where it is.
        environment: its variables.
    """

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Project) -> Self:
        """In a test's copy of the program, on its stack; Pulumi asks nothing back."""
        return cls(
            project.directory,
            {**project.variables(), "PULUMI_STACK": project.stack, "PULUMI_SKIP_CONFIRMATIONS": "true"},
        )

    @classmethod
    def clone(cls, directory: Path) -> Self:
        """In a fresh clone of the whole project as it is now, with the Python environment and the builds of this checkout."""
        project, cache = directory / "project", directory / "cache"
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, project / name)  # with its time, by which make knows .venv to be complete
        (project / ".venv").symlink_to(ROOT / ".venv")
        (cache / "home").mkdir(parents=True)
        for built in parts.cache_root().iterdir():
            if built.name not in ("home", "locks", "logs"):
                (cache / built.name).symlink_to(built)
        ours = {
            "SEALOS_ISTIO_CACHE": str(cache),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PATH": engines.path_with([str(ROOT / ".venv" / "bin")], os.environ["PATH"]),
        }
        # a make that runs the tests would have those of the clone speak as its children
        others = ("PULUMI_", "GITHUB_", "LAB_", "MAKE", "MFLAGS")
        ambient = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        terminal = cls(project, {**ambient, **ours})
        (cache / "home" / engines.home(project).name).symlink_to(engines.home())
        author = "-c user.name=test -c user.email=test@localhost -c commit.gpgsign=false"
        terminal.run(
            f"git init -q -b main && echo .venv >>.git/info/exclude && git add -A && git {author} commit -qm all"
        )
        terminal.run("git update-ref refs/remotes/origin/main main")
        return terminal

    def documented(
        self,
        page: str,
        heading: str,
        only: str = "",
        *,
        replace: Mapping[str, str] | None = None,
        stdin: str = "",
        answers: Sequence[tuple[str, str]] = (),
        status: int = 0,
        limit: float = 600,
    ) -> str:
        """Runs the commands under a heading one after another, and compares what they print with what the page shows.

        Each line that is shown must be printed, in that order, with `…` for anything; durations and blanks may differ.

        Args:
            page: for example docs/review.md.
            heading: of the section, as it is written.
            only: take only commands that begin so.
            replace: what is an example in commands and output, and what stands for it here; each must occur.
            stdin: what each command reads.
            answers: questions and what is typed then; with them the commands have a real terminal.
            status: how the last one ends; those before it end with 0.
            limit: seconds for each.

        Returns:
            What they printed.
        """
        section = of_section(page, heading, only)
        examples = replace or {}
        for example in examples:
            assert any(example in "\n".join((c.text, *c.shown)) for c in section), (
                f"{example} is not in {page}, {heading}"
            )

        def here(text: str) -> str:
            for example, instead in examples.items():
                text = text.replace(example, instead)
            return text

        printed = []
        for number, command in enumerate(section, 1):
            ends = status if number == len(section) else 0
            done = self.run(here(command.text), stdin, ends, limit, answers)
            printed.append(done.stdout)
            missing = not_printed([here(line) for line in command.shown], done.stdout)
            assert missing is None, (
                f"{page}, '{heading}': `{command.text}` does not print\n{missing}\nbut\n{done.stdout}"
            )
        return "".join(printed)

    def run(
        self,
        command: str,
        stdin: str = "",
        status: int = 0,
        limit: float = 600,
        answers: Sequence[tuple[str, str]] = (),
    ) -> Done:
        """Types one command; fails the test when it ends with another status. Output and errors come as on a screen, in stdout."""
        with tempfile.TemporaryDirectory(prefix="sealos-istio-terminal.") as folder:
            left = Path(folder, "variables")
            script = f'trap \'{{ env -0; printf "PWD=%s\\0" "$PWD"; }} >{left}\' EXIT\n{command}\n'
            try:
                if answers:
                    ended, printed = self._asked(script, answers, limit)
                else:
                    ended, printed = self._piped(script, stdin, limit)
            except TimeoutError as late:
                raise AssertionError(f"`{command}` took over {limit} s:\n{late}") from None
            after = dict(word.split("=", 1) for word in left.read_text().split("\0") if "=" in word)
        assert ended == status, f"`{command}` ended with {ended}, not {status}:\n{printed}"
        self.environment = {k: v for k, v in after.items() if k not in ("_", "SHLVL", "OLDPWD")}
        self.directory = Path(after["PWD"])
        return Done(ended, printed, "")

    def _start(self, script: str, stdin: int, output: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.directory,
            env=self.environment,
            stdin=stdin,
            stdout=output,
            stderr=output if output > 0 else subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _piped(self, script: str, stdin: str, limit: float) -> tuple[int, str]:
        process = self._start(script, subprocess.PIPE, subprocess.PIPE)
        try:
            printed, _ = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError(process.communicate()[0]) from None
        return process.returncode, printed

    def _asked(self, script: str, answers: Sequence[tuple[str, str]], limit: float) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        process = self._start(script, theirs, theirs)
        os.close(theirs)
        screen, seen, left = "", 0, list(answers)
        end = time.monotonic() + limit
        while True:
            # a question is answered when it stands there and nothing follows it
            asked = bool(left) and left[0][0] in screen[seen:]
            if not select.select([ours], [], [], 0.2 if asked else max(0.0, end - time.monotonic()))[0]:
                if asked:
                    seen = len(screen)
                    os.write(ours, f"{left.pop(0)[1]}\n".encode())
                    continue
                os.killpg(process.pid, signal.SIGKILL)
                raise TimeoutError(f"{screen}\nwithout being asked {left}")
            try:
                read = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody has the other end any more
                read = b""
            if not read:
                break
            screen += read.decode(errors="replace").replace("\r\n", "\n")
        os.close(ours)
        assert not left, f"never asked: {left}\n{screen}"
        return process.wait(), screen


def not_printed(shown: list[str], printed: str) -> str | None:
    """The first line that a page shows and the command did not print after the line before it; None when all are there."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown:
        pattern = _pattern(" ".join(line.split()))
        if pattern and not any(re.search(pattern, candidate) for candidate in lines):
            return line
    return None


def _pattern(line: str) -> str:
    texts = [VARYING.split(part)[:: VARYING.groups + 1] for part in line.split("…")]
    joined = ".*".join(r"(?:[\d.]+[smhd]?)+".join(re.escape(text) for text in part) for part in texts)
    return "" if not line.strip("… ") else joined


@dataclass(frozen=True)
class Run:
    """A call of `Terminal.documented` in a test."""

    test: str
    page: str
    heading: str
    only: str


@cache
def runs() -> tuple[Run, ...]:
    """Every call of `Terminal.documented` in the tests; what it takes are literals or the module's constants, so that it is found."""
    found = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(file.read_text())
        known = dict(_constants(tree))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "documented":
                    where = f"{file.relative_to(ROOT)}::{function.name}"
                    words = [*call.args, *(word.value for word in call.keywords if word.arg == "only")]
                    texts = [text for word in words for text in _literal(word, known, where)]
                    assert 2 <= len(texts) <= 3, f"{where}: page, heading and perhaps `only`, not {texts}"
                    page, heading, only = (*texts, "")[:3]
                    found.append(Run(where, page, heading, only))
    return tuple(found)


def _constants(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                value = ast.literal_eval(node.value)
                yield node.targets[0].id, value if isinstance(value, tuple) else (value,)


def _literal(word: ast.expr, known: Mapping[str, tuple[str, ...]], where: str) -> tuple[str, ...]:
    word = word.value if isinstance(word, ast.Starred) else word
    if isinstance(word, ast.Constant) and isinstance(word.value, str):
        return (word.value,)
    assert isinstance(word, ast.Name), f"{where}: {ast.unparse(word)} is neither a literal nor a constant of the module"
    assert word.id in known, f"{where}: {word.id} is no constant of the module"
    return known[word.id]
