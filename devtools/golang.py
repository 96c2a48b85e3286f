"""The Go that builds here: the machine's own where it is new enough, else the wheel of requirements-go.txt.

Only the standard library is used here: the doctor asks before there is a virtual environment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

MINIMUM = (1, 26)

FLAGS = "-mod=readonly -buildvcs=false -trimpath -gcflags=all=-dwarf=false"
"""GOFLAGS of everything that is compiled here, tests and vet included, so that all of it shares one cache. No debugging
information, which the linker would drop anyway: a tenth less to compile."""


class ToolMissing(RuntimeError):
    """A binary that is needed isn't there; the message says how to get it."""


def candidates(path: str) -> Iterator[Path]:
    """Every `go` of this machine, in the order in which they are asked for their version.

    First those on `path`, then the one where Go's own instructions put it, last that of requirements-go.txt.
    """
    # a virtual environment's own `go` only starts the wheel's, and has no gofmt beside it
    starters = {(ROOT / ".venv" / "bin").resolve()}
    if sys.prefix != sys.base_prefix:
        starters.add((Path(sys.prefix) / "bin").resolve())
    for folder in [*path.split(os.pathsep), "/usr/local/go/bin"]:
        if folder and Path(folder).resolve() not in starters and (found := shutil.which("go", path=folder)):
            yield Path(found)
    for entry in [*map(Path, sys.path), *ROOT.glob(".venv/lib/python3*/site-packages")]:
        candidate = entry / "go" / "bin" / "go"
        if os.access(candidate, os.X_OK):
            yield candidate


def _asked(program: Path) -> tuple[str, str]:
    """What a `go` says that it is: its version ("go1.26.8") and processor ("amd64").

    Raises:
        ToolMissing: it does not work.
    """
    # outside any module, with its own library, and with no switch to a downloaded toolchain
    answer = subprocess.run(
        [str(program), "env", "GOVERSION", "GOARCH"],
        cwd="/",
        env={**{name: value for name, value in os.environ.items() if name != "GOROOT"}, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    words = answer.stdout.split()
    if answer.returncode != 0 or len(words) != 2:
        raise ToolMissing(f"{program} does not work: {answer.stderr.strip() or answer.stdout.strip()}")
    return words[0], words[1]


def find(programs: Iterable[Path]) -> tuple[Path, str, str]:
    """The first that is new enough, with its version and processor.

    Raises:
        ToolMissing: there is none; the message names those that there are.
    """
    others = []
    for program in programs:
        try:
            version, processor = _asked(program)
        except (ToolMissing, OSError, subprocess.TimeoutExpired) as error:
            others.append(str(error))
            continue
        if version_of(version) >= MINIMUM:
            return program, version, processor
        others.append(f"{program} is {version}")
    seen = f" ({'; '.join(others)})" if others else ""
    raise ToolMissing(
        f"Go {MINIMUM[0]}.{MINIMUM[1]} or later is missing{seen}. "
        "Fix: `make venv`, which brings it, or install it (https://go.dev/doc/install)"
    )


@functools.cache
def _found(path: str) -> tuple[Path, str, str]:
    return find(candidates(path))


def found() -> tuple[Path, str, str]:
    """The `go` that builds here, with its version and processor.

    Raises:
        ToolMissing: there is none that is new enough.
    """
    return _found(os.environ.get("PATH", ""))


def program() -> Path | None:
    """The `go` that builds here, if there is one that is new enough."""
    with contextlib.suppress(ToolMissing):
        return found()[0]
    return None


def facts() -> tuple[str, str]:
    """The Go version ("go1.26.8") and processor ("amd64") that builds are for.

    Raises:
        ToolMissing: there is no Go that is new enough.
    """
    return found()[1:]


def version_of(text: str) -> tuple[int, int]:
    """Major and minor of a Go version as Go prints it ("go1.26.8", "go1.27rc1"); (0, 0) when it can't be read."""
    numbers = text.removeprefix("go").split(".")
    try:
        minor = "".join(c for c in numbers[1].partition("rc")[0].partition("beta")[0] if c.isdigit())
        return int(numbers[0]), int(minor)
    except (IndexError, ValueError):
        return 0, 0
