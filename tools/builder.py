"""Builds a part into the cache: once, whole or not at all, with progress, and never twice at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tools import parts
from tools.parts import Part, ToolMissing

KEEP = 3
"""How many builds of a part stay in the cache: other checkouts and running labs use older ones."""

LIMIT = 3600
"""Seconds after which a build is given up: twelve times what the longest usually takes."""

QUIET = 30
"""Seconds between two lines of progress where the output is no terminal."""


class BuildFailed(RuntimeError):
    """A build, or the look at what it made, failed; the message says which, with the end of its log."""


@contextlib.contextmanager
def locked(name: str, console: Console | None = None) -> Iterator[None]:
    """Holds the cache's lock of that name; says so when another process holds it. The kernel frees a dead process's lock."""
    folder = parts.cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if console is not None:
                console.print(f"      another process works on {name}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_environment(ambient: dict[str, str]) -> dict[str, str]:
    """The environment of a build: the pins decide, not the user's Go settings; module proxy and caches stay the user's."""
    unlisted = [ambient["GONOSUMDB"]] if ambient.get("GONOSUMDB") else []
    go = parts.go_program()
    path = ambient.get("PATH", os.defpath)
    return {
        **ambient,
        "PATH": f"{go.parent}{os.pathsep}{path}" if go else path,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        # the checksum database has no entry for some of these modules; go.sum pins them all the same
        "GONOSUMDB": ",".join([*unlisted, "github.com/pulumi/*"]),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def commands(part: Part, out: Path) -> list[list[str]]:
    """What builds the part, to be run in a copy of its folder: its build.sh, else one `go build` for each binary."""
    if (part.folder / "build.sh").is_file():
        return [["bash", "build.sh", str(out)]]
    built = []
    for name in part.binaries:
        package = f"./cmd/{name}" if (part.folder / "cmd" / name).is_dir() else "."
        built.append(["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(out / name), package])
    return built


def failures(part: Part, folder: Path) -> list[str]:
    """What is wrong with the part's binaries in `folder`, one line each: absent, or not the version that is pinned."""
    found = [f"{name} is missing" for name in part.binaries if not os.access(folder / name, os.X_OK)]
    if found:
        return found
    for check in part.checks:
        command = [str(folder / check.binary), *check.arguments]
        try:
            answer = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            found.append(f"{check.binary} does not run: {error}")
            continue
        said = (answer.stdout + answer.stderr).strip()
        if check.expected not in said:
            words = " ".join([check.binary, *check.arguments])
            found.append(f"`{words}` should print {check.expected!r}, but printed {said[-200:]!r}")
    return found


@dataclass
class _Progress:
    """One line on a terminal that counts; a line now and then elsewhere."""

    console: Console
    label: str

    def wait(self, process: subprocess.Popen[bytes], started: float) -> int:
        if self.console.is_terminal:
            with self.console.status("") as status:
                while (code := _poll(process, 0.5)) is None:
                    status.update(f"{self.label} {time.monotonic() - started:.0f} s")
                    _give_up_late(started)
            return code
        said = started
        while (code := _poll(process, 0.5)) is None:
            if time.monotonic() - said >= QUIET:
                said = time.monotonic()
                self.console.print(f"      … {said - started:.0f} s")
            _give_up_late(started)
        return code


def _poll(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _give_up_late(started: float) -> None:
    if time.monotonic() - started > LIMIT:
        raise BuildFailed(f"The build took more than {LIMIT // 60} minutes and was given up.")


def build(part: Part, console: Console, *, number: int = 1, of: int = 1) -> Path:
    """Builds the part unless the cache has it, and returns its bin directory.

    Args:
        part: what to build.
        console: where progress goes.
        number: which of the parts to build this is, for the progress.
        of: how many there are.

    Raises:
        BuildFailed: a command failed, or a binary isn't the pinned version.
        ToolMissing: no Go, or the part's module isn't in the checkout.
    """
    if not parts.has_module(part):
        raise ToolMissing(f"tools/{part.name} has no go.mod: the checkout is not complete.")
    target = parts.directory(part)
    if target.is_dir():
        return target
    with locked(part.name, console):
        if target.is_dir():
            return target
        started = time.monotonic()
        label = f"[{number}/{of}] {part.title}"
        console.print(f"{label} (usually {parts.minutes(part.seconds)})", highlight=False, markup=False)
        _build_into(target, part, _Progress(console, label), started)
        console.print(f"      done in {time.monotonic() - started:.0f} s", highlight=False)
        _forget_old(target.parent)
    return target


def _build_into(target: Path, part: Part, progress: _Progress, started: float) -> None:
    cache = parts.cache_root()
    logs = cache / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{part.name}.log"
    for left in cache.glob(f".{part.name}.*"):
        _remove(left)  # of a build that was killed: this one holds the part's lock
    work = Path(tempfile.mkdtemp(prefix=f".{part.name}.", dir=cache))
    try:
        source, fresh = work / "source", work / "build"
        shutil.copytree(part.folder, source)
        (fresh / "bin").mkdir(parents=True)
        with log.open("wb") as output:
            for command in commands(part, fresh / "bin"):
                process = subprocess.Popen(
                    command,
                    cwd=source,
                    env=build_environment(dict(os.environ)),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    code = progress.wait(process, started)
                except BaseException:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGTERM)  # the compilers below it, too
                    process.wait()
                    raise
                if code != 0:
                    raise BuildFailed(_words(part, f"`{command[0]} {command[1]}` ended with status {code}", log))
        if wrong := failures(part, fresh / "bin"):
            raise BuildFailed(_words(part, "; ".join(wrong), log))
        target.parent.parent.mkdir(exist_ok=True)
        fresh.rename(target.parent)
    finally:
        _remove(work)


def _words(part: Part, cause: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-15:]
    end = "\n".join(f"    {line}" for line in lines)
    advice = ""
    if any(sign in end for sign in ("no such host", "connection refused", "i/o timeout", "dial tcp")):
        advice = "\nThe Go module proxy can't be reached: look at `go env GOPROXY` and the network."
    elif "no space left" in end:
        advice = f"\nThe disk is full: a first build needs about 15 GiB for {parts.cache_root()} and Go's caches."
    return f"{part.title} was not built: {cause}. The end of {log}:\n{end}{advice}"


def _forget_old(newest: Path) -> None:
    builds = [path for path in newest.parent.iterdir() if path.is_dir() and path != newest]
    for old in sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True)[KEEP - 1 :]:
        _remove(old)


def _remove(folder: Path) -> None:
    # vendored sources keep the module cache's read-only modes for everyone but root
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def build_all(wanted: Sequence[Part], console: Console) -> None:
    """Builds what the cache lacks of `wanted`, in their order."""
    missing = [part for part in wanted if not parts.is_built(part)]
    for number, part in enumerate(missing, start=1):
        build(part, console, number=number, of=len(missing))
