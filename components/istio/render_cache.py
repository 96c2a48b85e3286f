"""What Istio's renderer said before, in the user's cache: it takes longer than everything else that a preview does in Python.

An IstioOperator can hold a secret, so the folder is its user's alone (0700, files 0600), and one that others can write to is not
used. Where there is no such place, the renderer is asked each time. No Pulumi here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

KEPT = 20
"""Answers; of half a megabyte each. The ones not needed for the longest time go first."""


def kept(program: Path, question: str, ask: Callable[[], T]) -> T:
    """What `ask` returns, or returned when the same program was asked the same.

    Args:
        program: who answers; another file, or a changed one, is another program.
        question: all that the answer depends on besides.
        ask: returns what JSON can hold (anything else is not kept, nor what is empty); what it raises is not kept.
    """
    folder = _folder()
    if folder is None or not _answers_itself(program):
        return ask()
    status = program.stat()
    of = [str(program.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, question]
    file = folder / f"{hashlib.sha256(json.dumps(of).encode()).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        known: T = json.loads(file.read_text())
        os.utime(file)
        return known
    answer = ask()
    with contextlib.suppress(OSError, TypeError, ValueError):
        text = json.dumps(answer)
        if answer and json.loads(text) == answer:
            _write(file, text)
    return answer


def _answers_itself(program: Path) -> bool:
    """Whether it is no script and no link to a version manager, which would start another program tomorrow."""
    try:
        with program.open("rb") as content:
            return content.read(2) != b"#!" and program.resolve().name.startswith("istioctl")
    except OSError:
        return False


def _folder() -> Path | None:
    """Where answers are: $SEALOS_ISTIO_CACHE, else sealos-istio in the user's cache directory, as for the tools' builds."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(os.environ.get("SEALOS_ISTIO_CACHE") or Path(base, "sealos-istio"), "rendered").expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return folder if status.st_uid == os.geteuid() and not status.st_mode & 0o077 else None


def _write(file: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".")  # 0600
    with os.fdopen(descriptor, "w") as fresh:
        fresh.write(text)
    Path(name).replace(file)
    by_age = sorted(file.parent.iterdir(), key=lambda known: known.stat().st_mtime)
    for old in by_age[:-KEPT]:
        old.unlink(missing_ok=True)
