"""Images from a file beside the program, into the container runtime of the nodes that run them, where missing: Contour's and the mesh's."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Literal

from components.driver import DriverError, progress
from components.remote.connection import on_all
from components.remote.host import Host
from components.remote.models import Fleet, MachineError, Request

SCRIPT = Path(__file__).with_name("load_images.sh")


class ImagesRequest(Request):
    """What `load-images` reads.

    Attributes:
        fleet: the nodes that need the images, and how to reach them.
        file: what `docker save` wrote, here; relative to the project.
        sha256: the file's.
        images: references that must be there afterwards; of the mesh, all others that the file holds as well.
        timeout: seconds for one machine.
        of: whose they are.
    """

    fleet: Fleet
    file: str
    sha256: str
    images: tuple[str, ...]
    timeout: float
    of: Literal["contour", "mesh"] = "contour"

    @property
    def key(self) -> str:
        """The setting."""
        return "istio.images" if self.of == "mesh" else "dashboards.contour.images"

    @property
    def target(self) -> str:
        """Where the file lies on a machine while it is loaded."""
        return f"/root/sealos-istio-{'mesh-' if self.of == 'mesh' else ''}images.tar"


def reference(image: str) -> str:
    """An image's whole name, as containerd has it: with the registry, which is docker.io where none is named."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def held(file: Path) -> tuple[str, ...]:
    """The whole names of the images in a file of `docker save`.

    Raises:
        OSError: when it can't be read.
        ValueError: when it is another kind of file.
    """
    try:
        with tarfile.open(file) as archive:
            content = archive.extractfile("manifest.json")
            listed = json.load(content) if content else []
        return tuple(sorted({reference(name) for image in listed for name in image["RepoTags"] or ()}))
    except (tarfile.TarError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is no file that `docker save` wrote") from None


async def load_images(request: ImagesRequest) -> str:
    """Loads the images on all nodes at once.

    Raises:
        DriverError: with every node's problem.
    """
    file = Path(request.file)
    if problem := await asyncio.to_thread(_problem, file, request.sha256):
        raise DriverError(f"{problem}; correct {request.key}")
    images = request.images
    if request.of == "mesh":
        try:
            images = tuple(sorted({*map(reference, images), *await asyncio.to_thread(held, file)}))
        except ValueError as error:
            raise DriverError(f"{error}; correct {request.key}") from None

    async def load(host: Host) -> str | None:
        name = host.machine.name
        given = {"images": "".join(f"{image}\n" for image in images).encode()}
        result = await host.run(SCRIPT, given, request.timeout)
        if result.status == 0 and result.stdout.strip():
            progress(name, f"sending {file.name} …")
            await host.put(file, request.target, request.timeout, lambda _done, _total: None)
            given |= {"file": request.target.encode(), "sha256": request.sha256.encode()}
            result = await host.run(SCRIPT, given, request.timeout)
        if result.status:
            return f"{name}: {result.last_words}"
        if missing := result.stdout.split():
            return f"{name}: {file} was loaded, but it does not hold {', '.join(missing)}"
        progress(name, f"the images of {request.key} are there")
        return None

    results = await on_all(request.fleet, load)
    problems = [str(found) for found in results.values() if isinstance(found, MachineError | str)]
    if problems:
        raise DriverError(f"the images of {request.key} can't be loaded:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return "\n".join(images)


def _problem(file: Path, sha256: str) -> str | None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return f"{file} can't be read here ({error.strerror})"
    return None if found == sha256 else f"{file} has SHA-256 {found}, not {sha256}"
