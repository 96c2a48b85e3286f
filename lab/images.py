"""Container images out of this host's builds, in the form that `docker save` writes, which `docker load` and `ctr images import` take.

Equal layers are stored once, and the same inputs give the same bytes.
"""

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from devtools import parts
from lab import disk

FORMAT = "2: layers compressed"
"""Goes into an archive's key: raise its number when what is written changes."""

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """Files of an image.

    Attributes:
        files: sources by path in the image, without a leading slash: a file of this host (or a folder, with all that is in it), or a
            link's target as text; None for an empty folder.
    """

    files: Mapping[str, Path | str | None]

    def entries(self) -> Iterator[tuple[str, Path | str | None]]:
        """All files and links, in the order of their paths."""
        for path, source in sorted(self.files.items()):
            if isinstance(source, Path) and source.is_dir():
                for below in sorted(source.rglob("*")):
                    if below.is_symlink():
                        yield f"{path}/{below.relative_to(source)}", str(below.readlink())
                    elif below.is_file():
                        yield f"{path}/{below.relative_to(source)}", below
            else:
                yield path, source

    def tar(self) -> bytes:
        """The layer as it is stored."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            made: set[str] = set()
            for path, source in self.entries():
                for parent in reversed(Path(path).parents):
                    if str(parent) not in {".", *made}:
                        made.add(str(parent))
                        info = tarfile.TarInfo(str(parent))
                        info.type, info.mode = tarfile.DIRTYPE, 0o755
                        tar.addfile(info)
                info = tarfile.TarInfo(path)
                if source is None:
                    info.type, info.mode = tarfile.DIRTYPE, 0o1777
                    tar.addfile(info)
                elif isinstance(source, str):
                    info.type, info.linkname = tarfile.SYMTYPE, source
                    tar.addfile(info)
                else:
                    content = source.read_bytes()
                    info.size = len(content)
                    info.mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
                    tar.addfile(info, io.BytesIO(content))
        return out.getvalue()


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        names: with registry and tag.
        layers: from the lowest on.
        entrypoint: what is run.
        env: what is set beside PATH, as NAME=value.
        user: who runs it, as UID:GID; root when empty.
    """

    names: tuple[str, ...]
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""


def save(images: Iterable[Image], out: BinaryIO) -> None:
    """Writes the archive of the images.

    Layers are compressed in it, once: a runtime that has them already reads over them, and the package needs no compression around them.
    """
    layers: dict[int, str] = {}
    manifest = []
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        written: set[str] = set()
        for image in images:
            digests = []
            for layer in image.layers:
                if id(layer) not in layers:
                    content = layer.tar()
                    layers[id(layer)] = digest = hashlib.sha256(content).hexdigest()
                    if digest not in written:
                        written.add(digest)
                        add(f"{digest}/layer.tar", gzip.compress(content, compresslevel=1, mtime=0))
                digests.append(layers[id(layer)])
            config = {
                "Env": [PATH, *image.env],
                **({"Entrypoint": list(image.entrypoint)} if image.entrypoint else {}),
                **({"User": image.user} if image.user else {}),
            }
            body = json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": config,
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
                    "history": [{"created_by": "sealos-istio lab"} for _ in digests],
                }
            ).encode()
            name = f"{hashlib.sha256(body).hexdigest()}.json"
            if name not in written:
                written.add(name)
                add(name, body)
            manifest.append(
                {"Config": name, "RepoTags": list(image.names), "Layers": [f"{digest}/layer.tar" for digest in digests]}
            )
        add("manifest.json", json.dumps(manifest).encode())


def stamp(file: Path) -> str:
    """What tells a file from another: of one that was built for the lab, which is never changed, its place; of any other its content.

    By content two checkouts have the same images, though each has an etcd of its own among its Python packages.
    """
    place = file.resolve()
    if place.is_relative_to(parts.cache_root()):
        return f"{place} {place.stat().st_mtime_ns}"
    with place.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def archive(directory: Path, name: str, images: Sequence[Image]) -> Path:
    """The archive's file, made unless it is there from the same inputs; of those from others the last used stay.

    Args:
        directory: where it is kept; made when missing.
        name: what its name begins with.
        images: what is in it.
    """
    digest = hashlib.sha256(FORMAT.encode())
    for image in images:
        digest.update(f"{image.names} {image.entrypoint} {image.env} {image.user}\n".encode())
        for layer in image.layers:
            for path, source in layer.entries():
                content = f"{stamp(source)} {source.stat().st_mode:o}" if isinstance(source, Path) else source
                digest.update(f"{path} {content}\n".encode())
    file = directory / f"{name}-{digest.hexdigest()[:16]}.tar"
    if file.exists():
        return disk.used(file)
    directory.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.part")
    with half.open("wb") as out:
        save(images, out)
    half.replace(file)
    return disk.keep(file, directory.glob(f"{name}-*.tar"))


def libraries(programs: Iterable[Path], below: Path) -> dict[str, Path | str | None]:
    """The shared libraries that programs need, by path in an image: those below `below`/lib first, else this host's.

    Raises:
        OSError: `ldd` can't be run.
    """
    folder = "usr/lib/x86_64-linux-gnu"
    done = subprocess.run(
        ["ldd", *map(str, programs)],
        env={**os.environ, "LD_LIBRARY_PATH": str(below / "lib/x86_64-linux-gnu")},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Path | str | None] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        path = next((word for word in words if word.startswith("/") and ".so" in word and not word.endswith(":")), None)
        if path is None:
            continue
        name = Path(path).name
        found[f"usr/lib64/{name}" if name.startswith("ld-linux") else f"{folder}/{name}"] = Path(path).resolve()
    return found
