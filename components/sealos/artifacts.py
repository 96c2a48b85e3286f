"""The package and sealos, from a file beside the program or from a URL onto the first master: once, and only where missing.

A URL is fetched here and not there: machines are offline more often than not. What was fetched is kept by its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

from components.driver import DriverError, progress
from components.problem import Code
from components.remote.connection import connect
from components.remote.host import Host
from components.remote.models import MachineError
from components.sealos import facts, package_version, requests, sealos_version
from components.sealos.requests import Artifact

HERE: Final = Path(__file__).parent
_LOOK: Final = 180.0  # seconds for the checksum of a large file on the host
_SILENCE: Final = 30.0  # seconds that a web server may say nothing
_BLOCK: Final = 1 << 20


def cache() -> Path:
    """Where fetched files are kept, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sealos-istio"


def local(artifact: Artifact) -> Path | None:
    """Where the artifact lies here, or will; None when it is the user who puts it on the first master."""
    if artifact.file:
        return Path(artifact.file).expanduser()
    return cache() / f"{artifact.sha256}-{artifact.path.rsplit('/', 1)[-1]}" if artifact.url else None


def sha256_of(file: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def problem(what: str, artifact: Artifact) -> str | None:
    """What is wrong with an artifact here, before it is sent; None when it can be, or is to be fetched first.

    Args:
        what: package or sealos, for the message.
        artifact: with file or url.
    """
    file = local(artifact)
    if file is None or (artifact.url and not file.exists()):
        return None
    try:
        found = sha256_of(file)
    except OSError as error:
        return f"{file} (cluster.{what}.file) can't be read here ({error.strerror})"
    if artifact.file and found != artifact.sha256:
        return f"{file} (cluster.{what}.file) has SHA-256 {found}, not {artifact.sha256}"
    return None


class Steps:
    """Says how far something has come, at every tenth of it and not more often than every two seconds."""

    def __init__(self, where: str, doing: str) -> None:
        self._where, self._doing = where, doing
        self._tenth, self._said = 0, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Notes that `done` bytes of `total` are there; total 0 when nobody said."""
        now = time.monotonic()
        tenth = 10 * done // total if total else 0
        if (tenth > self._tenth and now - self._said > 2) or now - self._said > 30:
            self._tenth, self._said = tenth, now
            share = f"{100 * done // total} % of {total >> 20} MiB" if total else f"{done >> 20} MiB"
            progress(self._where, f"{self._doing}: {share}")


def fetch(artifact: Artifact, what: str, limit: float) -> Path:
    """The artifact's file here, fetched when it comes from a URL and is not here yet.

    Args:
        artifact: with file or url, and sha256.
        what: package or sealos, for messages.
        limit: seconds for the whole download.

    Raises:
        DriverError: when it can't be had, or is another file.
    """
    file = local(artifact)
    if file is None:
        raise ValueError("nothing to fetch: the user puts it there")
    if artifact.url and not (file.exists() and sha256_of(file) == artifact.sha256):
        _download(artifact, file, what, limit)
    if wrong := problem(what, artifact):
        raise DriverError(f"{wrong}. Get it again, or correct the setting")
    return file


def _download(artifact: Artifact, file: Path, what: str, limit: float) -> None:
    url, end = str(artifact.url), time.monotonic() + limit
    progress(what, f"fetching {url} …")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    steps, digest, done = Steps(what, "fetching"), hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix="part-")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as kept, urllib.request.urlopen(url, timeout=_SILENCE) as answer:  # noqa: S310 - the settings allow http(s) only
            total = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(_BLOCK):
                kept.write(block)
                digest.update(block)
                done += len(block)
                steps(done, total)
                if time.monotonic() > end:
                    raise DriverError(
                        f"{url} (cluster.{what}.url) was not fetched within {limit:g} s (cluster.timeouts.install); "
                        f"it got to {done >> 20} MiB"
                    )
        if done < total:
            raise DriverError(
                f"{url} (cluster.{what}.url) broke off after {done} of {total} bytes; run `pulumi up` again"
            )
        if digest.hexdigest() != artifact.sha256:
            raise DriverError(
                f"{url} (cluster.{what}.url) gave a file with SHA-256 {digest.hexdigest()}, not {artifact.sha256} "
                f"({done} bytes); nothing of it was kept"
            )
        part.replace(file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DriverError(f"{url} (cluster.{what}.url) can't be fetched: {reason}") from None
    finally:
        part.unlink(missing_ok=True)


async def run_provide(request: requests.Provide) -> str:
    """Sees to it that an artifact lies on the first master."""
    artifact, what = request.artifact, request.what
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        state = await _look(host, request)
        if state != "present":
            file = await asyncio.to_thread(fetch, artifact, what, request.limit)
            size, free = file.stat().st_size, int(state.split()[-1])
            if size > free:
                raise DriverError(
                    f"{first.name}: {artifact.path} needs {size >> 20} MiB and {free >> 20} MiB are free there; make room"
                )
            progress(first.name, f"sending {file.name} ({size >> 20} MiB) …")
            steps = Steps(first.name, f"sending {file.name}")
            await host.put(file, f"{artifact.path}.part", request.limit, steps)
            await _look(host, request, arrived=True)
            progress(first.name, f"{artifact.path} is there")
        if what == "sealos":
            await _drivable(host, artifact.path)
        elif state != "present" and request.kubernetes_version:  # one that lay there was asked by the preflight
            await _fitting(host, artifact.path, request.kubernetes_version)
    return f"{artifact.path} {artifact.sha256}"


async def _look(host: Host, request: requests.Provide, *, arrived: bool = False) -> str:
    given = {
        "path": request.artifact.path.encode(),
        "sha256": str(request.artifact.sha256).encode(),
        "mode": b"0755" if request.what == "sealos" else b"0644",
        **({"arrived": b""} if arrived else {}),
    }
    result = await host.run(HERE / "provide.sh", given, _LOOK)
    if result.status:
        raise DriverError(f"{host.machine.name}: {result.last_words}")
    return result.stdout.strip()


async def _asked(host: Host, what: str, path: str) -> str:
    """What version.sh says of an artifact that could not be asked before it was there."""
    given = {what: path.encode(), "lib.sh": (HERE / "lib.sh").read_bytes()}
    return (await host.run(HERE / "version.sh", given, _LOOK)).stdout


async def _fitting(host: Host, path: str, kubernetes_version: str) -> None:
    """The Kubernetes that a package holds."""
    wrong = package_version.mismatch(facts.parse(await _asked(host, "package", path)), path, kubernetes_version)
    if wrong is None:
        return
    severity, cause = wrong
    if severity == "error":
        raise DriverError(f"{host.machine.name}: {cause}. {Code.PACKAGE_VERSION.fix}")
    progress(host.machine.name, f"warning: {cause}")


async def _drivable(host: Host, path: str) -> None:
    """The version of a sealos."""
    if refused := sealos_version.refusal(await _asked(host, "sealos", path)):
        raise DriverError(
            f"{host.machine.name}: {path} {refused[1]}. This program drives sealos v{sealos_version.SUPPORTED} (and its pre-releases)"
        )


async def run_withdraw(request: requests.Provide) -> str:
    """Takes the artifact off the first master again, if it is still the one that was put there."""
    first = request.fleet.first_master
    try:
        async with connect(first, request.fleet.login) as host:
            given = {"path": request.artifact.path.encode(), "sha256": str(request.artifact.sha256).encode()}
            result = await host.run(HERE / "withdraw.sh", given, _LOOK)
            if result.stderr.strip() or result.status:
                progress(first.name, f"warning: {result.last_words}")
    except MachineError as error:
        # the cluster is gone by now, and the machine perhaps with it: a file that stays is no reason to fail
        progress(first.name, f"warning: {error.cause}; {request.artifact.path} stays on it")
    return ""
