"""The Go modules that parts are built from: which files go into a build, and the key that tells builds apart."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from devtools import golang

RECIPE = f"2: CGO_ENABLED=0 {golang.FLAGS} -ldflags '-s -w'"
"""A part's key holds this: raise its number when the way builder.py builds changes."""


@dataclass(frozen=True)
class Module:
    """A Go module, by its place in the checkout.

    Attributes:
        name: as of its lock and its log in the cache.
        folder: where its go.mod is, relative to the checkout.
        added: what a build has in that folder beside what is there: by the path inside it, a file relative to the checkout (which
            modules of one kind share), or content (which toolchain/releases.toml says).
    """

    name: str
    folder: str
    added: Mapping[str, Path | bytes] = field(default_factory=dict)

    def files(self, root: Path) -> dict[str, Path | bytes]:
        """Every file of a build that is there, by its path inside the module's folder; `root` is the checkout."""
        folder = root / self.folder
        placed = {name: root / what if isinstance(what, Path) else what for name, what in self.added.items()}
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*")} | placed
        return {name: what for name, what in files.items() if isinstance(what, bytes) or what.is_file()}

    def copy(self, root: Path, into: Path) -> None:
        """Makes the folder `into` with every file of a build."""
        into.mkdir()
        for name, what in self.files(root).items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, bytes):
                (into / name).write_bytes(what)
            else:
                shutil.copy2(what, into / name)


def shared(root: Path, folder: str) -> dict[str, Path | bytes]:
    """What modules below `folder`/modules share: all files beside that, as Module.added has them."""
    top = root / folder
    inside = (p.relative_to(top) for p in sorted(top.rglob("*")) if p.is_file())
    return {path.as_posix(): Path(folder) / path for path in inside if path.parts[0] != "modules"}


def sources(files: Mapping[str, Path | bytes], others: Collection[str] = ()) -> Iterator[tuple[str, Path | bytes]]:
    """Those of a module's files that decide what a build gives, in a fixed order: all but tests, hidden ones, and the folders `others`."""
    for name in sorted(files, key=PurePosixPath):
        parts = PurePosixPath(name).parts
        if parts[0] in others or any(part.startswith(".") or part == "testdata" for part in parts):
            continue
        if not name.endswith(("_test.go", "README.md")):
            yield name, files[name]


def key_of(files: Mapping[str, Path | bytes], go: str, processor: str, others: Collection[str] = ()) -> str:
    """The key of a build: 16 hex digits over the module's files (names, modes, contents), the recipe, Go and the processor.

    Args:
        files: the module's, by their paths inside it: where they are kept in the checkout is nothing to the key.
        go: Go's version.
        processor: as Go calls it.
        others: folders in it that belong to other parts alone.
    """
    digest = hashlib.sha256(f"{RECIPE}\n{go}\n{processor}\n".encode())
    for name, what in sources(files, others):
        content = what if isinstance(what, bytes) else what.read_bytes()
        executable = "x" if isinstance(what, Path) and what.stat().st_mode & 0o100 else "-"
        digest.update(f"{name} {executable} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
