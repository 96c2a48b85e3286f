"""Builds parts into the cache: once, whole or not at all, two at a time, with progress, and no part by two processes at once."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from devtools import golang, parts
from devtools.golang import ToolMissing
from devtools.parts import Part

KEEP = 3
"""How many builds of a part stay in the cache: other checkouts and running labs use older ones."""

LIMIT = 3600
"""Seconds after which a build is given up: ten times what the longest usually takes."""

QUIET = 30
"""Seconds between two lines of progress where the output is no terminal."""

AT_ONCE = 2
"""Builds side by side: while one links or waits for downloads, the other compiles."""


class BuildFailed(RuntimeError):
    """A build, or the look at what it made, failed; the message says which, with the end of its log."""


class Stopped(RuntimeError):
    """This build was given up because another one failed, or the user ended them."""


@contextlib.contextmanager
def locked(name: str, console: Console | None = None, stop: threading.Event | None = None) -> Iterator[None]:
    """Holds the cache's lock of that name; says so when another process holds it. The kernel frees a dead process's lock.

    Raises:
        Stopped: `stop` was set while it waited.
    """
    folder = parts.cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a") as handle:
        said = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if console is not None and not said:
                    console.print(f"      another process works on {name}; waiting for it")
                said = True
                if (stop or threading.Event()).wait(0.1):
                    raise Stopped from None
        yield


def build_environment(ambient: dict[str, str]) -> dict[str, str]:
    """The environment of a build: the pins decide, not the user's Go settings; module proxy and caches stay the user's."""
    unlisted = [ambient["GONOSUMDB"]] if ambient.get("GONOSUMDB") else []
    go = golang.program()
    path = ambient.get("PATH", os.defpath)
    return {
        # a GOROOT names the library of one Go, and another may be the one that builds
        **{name: value for name, value in ambient.items() if name != "GOROOT"},
        "PATH": f"{go.parent}{os.pathsep}{path}" if go else path,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOFLAGS": golang.FLAGS,
        # the checksum database has no entry for some of these modules; go.sum pins them all the same
        "GONOSUMDB": ",".join([*unlisted, "github.com/pulumi/*"]),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def commands(group: Sequence[Part], out: Path) -> list[list[str]]:
    """What builds these parts of one module, to be run in a copy of its folder: its build.sh, else a `go build` for each binary."""
    files, binaries = group[0].module.files(parts.ROOT), [name for part in group for name in part.binaries]
    if "build.sh" in files:
        return [["bash", "build.sh", str(out), *binaries]]
    built = []
    for name in binaries:
        package = f"./cmd/{name}" if any(file.startswith(f"cmd/{name}/") for file in files) else "."
        built.append(["go", "build", "-ldflags", "-s -w", "-o", str(out / name), package])
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


class Builds:
    """Builds of one command: their numbers, their progress, and the end of all when one fails.

    Args:
        console: where progress goes.
        expected: what will be built as far as the cache lacks it, for the numbers.
    """

    def __init__(self, console: Console, expected: Iterable[Part]) -> None:
        missing = [part for part in expected if not parts.is_built(part)]
        self.console = console
        self._numbers = {part.name: f"[{number}/{len(missing)}] " for number, part in enumerate(missing, start=1)}
        self._stop = threading.Event()
        self._running: dict[str, float] = {}
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._live = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def side_by_side(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Runs the jobs, `AT_ONCE` at a time and in their order; when one fails, the others are ended and its error is raised."""
        with self._live, ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                self._wait(futures)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _wait(self, futures: Sequence[Future[object]]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=QUIET, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if not done and not self.console.is_terminal:
                now = time.monotonic()
                at_work = "; ".join(f"{name} {now - since:.0f} s" for name, since in [*self._running.items()])
                self.console.print(f"      … {at_work}", highlight=False, markup=False)

    def build(self, *wanted: Part) -> None:
        """Builds what the cache lacks of these parts; those of one module together, with one command.

        Raises:
            BuildFailed: a command failed, or a binary isn't the pinned version.
            ToolMissing: no Go, or a module isn't in the checkout.
            Stopped: another build failed first.
        """
        for group in by_module(wanted):
            module = group[0].module
            if not parts.has_module(group[0]):
                raise ToolMissing(f"{module.folder} has no go.mod: the checkout is not complete.")
            if all(parts.is_built(part) for part in group):
                continue
            with locked(module.name, self.console, self._stop):
                if missing := [part for part in group if not parts.is_built(part)]:
                    self._build(missing)

    def _build(self, group: Sequence[Part]) -> None:
        for part in group:
            label = f"{self._numbers.get(part.name, '')}{part.title} (usually {parts.minutes(part.seconds)})"
            self.console.print(label, highlight=False, markup=False)
        title = ", ".join(part.title for part in group)
        started = self._running[title] = time.monotonic()
        task = self._live.add_task(title)
        try:
            self._into_the_cache(group, title)
        finally:
            self._live.remove_task(task)
            del self._running[title]
        seconds = time.monotonic() - started
        self.console.print(f"      {title}: done in {seconds:.0f} s", highlight=False, markup=False)

    def _into_the_cache(self, group: Sequence[Part], title: str) -> None:
        cache, module = parts.cache_root(), group[0].module
        # before the sources are copied: an edit during the build makes another key
        targets = [parts.directory(part).parent for part in group]
        log = cache / "logs" / f"{module.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(f".{module.name}.*"):
            _remove(left)  # of a build that was killed: this one holds the module's lock
        work = Path(tempfile.mkdtemp(prefix=f".{module.name}.", dir=cache))
        try:
            source, out = work / "source", work / "out"
            module.copy(parts.ROOT, source)
            out.mkdir()
            with log.open("wb") as output:
                for command in commands(group, out):
                    if code := self._run(command, source, output.fileno()):
                        raise BuildFailed(_words(title, f"`{command[0]} {command[1]}` ended with status {code}", log))
            if wrong := [problem for part in group for problem in failures(part, out)]:
                raise BuildFailed(_words(title, "; ".join(wrong), log))
            for part, target in zip(group, targets, strict=True):
                whole = work / part.name
                (whole / "bin").mkdir(parents=True)
                for binary in part.binaries:
                    (out / binary).rename(whole / "bin" / binary)
                target.parent.mkdir(exist_ok=True)
                whole.rename(target)
                _forget_old(target)
        finally:
            _remove(work)

    def _run(self, command: Sequence[str], folder: Path, output: int) -> int:
        """The command's exit status."""
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=build_environment(dict(os.environ)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return self._ended(process)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # the compilers below it, too
            process.wait()
            raise

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        end = time.monotonic() + LIMIT
        while (code := _poll(process, 0.2)) is None:
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() > end:
                raise BuildFailed(f"The build took more than {LIMIT // 60} minutes and was given up.")
        return code


def tidy(part: Part) -> None:
    """Runs `go mod tidy` where what modules share is in place; go.mod and go.sum in the checkout become what it makes of them.

    Raises:
        BuildFailed: Go refused; the message has its words.
        ToolMissing: no Go.
    """
    with tempfile.TemporaryDirectory(prefix="tidy.") as work:
        copy = Path(work) / "module"
        part.module.copy(parts.ROOT, copy)
        command = [str(golang.found()[0]), "mod", "tidy"]
        environment = build_environment(dict(os.environ))
        done = subprocess.run(command, cwd=copy, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(f"`go mod tidy` of {part.name} ended with status {done.returncode}: {done.stderr.strip()}")
        for name in ("go.mod", "go.sum"):
            if (copy / name).is_file():
                shutil.copyfile(copy / name, part.folder / name)


def by_module(wanted: Iterable[Part]) -> list[list[Part]]:
    """The parts in groups of one module each, in the order of each group's first."""
    groups: dict[str, list[Part]] = {}
    for part in wanted:
        groups.setdefault(part.module.name, []).append(part)
    return list(groups.values())


def longest_first(wanted: Iterable[Part]) -> list[list[Part]]:
    """The groups of `by_module`, so that no long one is left over for one core at the end."""
    return sorted(by_module(wanted), key=lambda group: -sum(part.seconds for part in group))


def build_all(wanted: Sequence[Part], console: Console) -> None:
    """Builds what the cache lacks of `wanted`, what takes longest first.

    Raises:
        BuildFailed, ToolMissing: as `Builds.build`.
    """
    groups = longest_first(part for part in wanted if not parts.is_built(part))
    builds = Builds(console, [part for group in groups for part in group])
    builds.side_by_side([functools.partial(builds.build, *group) for group in groups])


def _poll(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _words(title: str, cause: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-15:]
    end = "\n".join(f"    {line}" for line in lines)
    advice = ""
    if any(sign in end for sign in ("no such host", "connection refused", "i/o timeout", "dial tcp")):
        advice = "\nThe Go module proxy can't be reached: look at `go env GOPROXY` and the network."
    elif "no space left" in end:
        advice = f"\nThe disk is full: a first build needs about 15 GiB for {parts.cache_root()} and Go's caches."
    return f"{title} was not built: {cause}. The end of {log}:\n{end}{advice}"


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
