"""What is sent to run a script on a machine, and where in the answer the script's own words begin."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

BEGUN: Final = "--sealos-istio--"
"""What the loader prints first, to both outputs: all before it is the words of the shell's own start-up files."""

LOADER: Final = (
    # by sh, since root's own shell may know no POSIX (fish, csh), and may have been given what changes every other program
    f"exec sh -c 'unset BASH_ENV ENV GREP_OPTIONS TAR_OPTIONS CDPATH TMOUT OMP_NUM_THREADS OMP_THREAD_LIMIT; echo {BEGUN}; echo {BEGUN} >&2; umask 077; "
    "d=$(mktemp -d /run/sealos-istio.XXXXXXXX 2>/dev/null || mktemp -d /tmp/sealos-istio.XXXXXXXX) || exit 70; "
    'tar -xf - -C "$d" || { rm -rf "$d"; exit 70; }; '
    "exec bash \"$d/.loader\" \"$d\"'"
)
"""The one command ever sent: unpack what comes on standard input into a private directory (in memory where possible) and
run the loader that lies in it."""

RUN: Final = Path(__file__).with_name("run.sh")
JOB: Final = Path(__file__).with_name("job.sh")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Words:
    """What comes on a script's error output.

    Attributes:
        before: the lines of the shell's own start-up files.
        lines: the script's.
    """

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.before: list[str] = []
        self.lines: list[str] = []
        self._on_line = on_line
        self._begun = False

    def told(self, line: str) -> None:
        """Takes a line in, and hands a script's on."""
        if self._begun:
            self.lines.append(line)
            if self._on_line:
                self._on_line(line)
            return
        self._begun = line.endswith(BEGUN)
        if rest := line.removesuffix(BEGUN):
            self.before.append(rest)

    @property
    def last(self) -> str:
        """The last thing that the shell said by itself."""
        return next((line for line in reversed(self.before) if line.strip()), "it did not say why")


def archive(loader: Path, script: Path | str, timeout: float, files: Mapping[str, bytes]) -> bytes:
    """What the loader unpacks.

    Args:
        loader: RUN or JOB.
        script: a packaged .sh file, or the text of one.
        timeout: seconds until the host itself ends it.
        files: what it reads, by plain file name.

    Raises:
        ValueError: a name is none.
    """
    own = {
        ".loader": loader.read_bytes(),
        ".script": script.read_bytes() if isinstance(script, Path) else script.encode(),
        ".timeout": b"%d" % max(1, round(timeout)),
    }
    for name in files:
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no plain file name")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in {**own, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o600
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
