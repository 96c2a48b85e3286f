"""Contour's images from a file beside the program, into the container runtime of the nodes that run them, where missing."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from components.driver import DriverError, progress
from components.login import Fleet, MachineError, Request
from components.machines import Host, on_all

SCRIPT = Path(__file__).with_name("load_images.sh")
TARGET = "/root/sealos-istio-images.tar"
"""Where the file lies on a machine while it is loaded."""


class ImagesRequest(Request):
    """What `load-images` reads.

    Attributes:
        fleet: the nodes that need the images, and how to reach them.
        file: what `docker save` wrote, here; relative to the project.
        sha256: the file's.
        images: full references; all must be there afterwards.
        timeout: seconds for one machine.
    """

    fleet: Fleet
    file: str
    sha256: str
    images: tuple[str, ...]
    timeout: float


async def load_images(request: ImagesRequest) -> str:
    """Loads the images on all nodes at once.

    Raises:
        DriverError: with every node's problem.
    """
    file = Path(request.file)
    if problem := await asyncio.to_thread(_problem, file, request.sha256):
        raise DriverError(f"{problem}; correct dashboards.contour.images")

    async def load(host: Host) -> str | None:
        name = host.machine.name
        given = {"images": "".join(f"{image}\n" for image in request.images).encode()}
        result = await host.run(SCRIPT, given, request.timeout)
        if result.status == 0 and result.stdout.strip():
            progress(name, f"sending {file.name} …")
            await host.put(file, TARGET, request.timeout, lambda _done, _total: None)
            given |= {"file": TARGET.encode(), "sha256": request.sha256.encode()}
            result = await host.run(SCRIPT, given, request.timeout)
        if result.status:
            return f"{name}: {result.last_words}"
        if missing := result.stdout.split():
            return f"{name}: {file} was loaded, but it does not hold {', '.join(missing)}"
        progress(name, "Contour's images are there")
        return None

    results = await on_all(request.fleet, load)
    problems = [str(found) for found in results.values() if isinstance(found, MachineError | str)]
    if problems:
        raise DriverError("Contour's images can't be loaded:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return "\n".join(request.images)


def _problem(file: Path, sha256: str) -> str | None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return f"{file} can't be read here ({error.strerror})"
    return None if found == sha256 else f"{file} has SHA-256 {found}, not {sha256}"
