"""The lab's offline packages kubeX.Y.Z.tar.gz, in the layout of the real ones (docs/lab.md says what differs).

    kube/Metadata           what sealos reads to choose Calico's version
    kube/bin/               kubeadm, kubelet, kubectl, kubelet-pre-start.sh; crictl where containerd runs containers
    kube/conf/              the kubelet's systemd unit, kubeadm's drop-in for it, and its own arguments
    kube/images/images.tar  the images (catalog.py), as `docker save` writes them
    kube/shell/             init.sh, which sealos runs on every machine, and docker.sh or containerd.sh, which it calls

The same inputs give the same bytes, so sealos's md5 comparison finds an unchanged package unchanged.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devtools import releases
from lab import disk, images

HERE = Path(__file__).parent
PROGRAMS = ("kubeadm", "kubelet", "kubectl")
CALICO = "v3.8.2"
"""What sealos 3.3.9 takes where a package says nothing; it is rendered as sealos does, whichever Kubernetes it is."""


@dataclass(frozen=True)
class Runtime:
    """What runs containers.

    Attributes:
        name: as of its script in the package, and of what it keeps below /var/lib.
        load: the command that takes an archive of images, but for the archive's name.
        units: systemd's, in the order in which they are stopped.
    """

    name: str
    load: str
    units: tuple[str, ...]


DOCKER = Runtime("docker", "docker load -q -i", ("docker.socket", "docker", "containerd"))
CONTAINERD = Runtime("containerd", "ctr -n k8s.io images import", ("containerd",))


@dataclass(frozen=True)
class Release:
    """One Kubernetes that the lab has.

    Attributes:
        version: as v1.16.3.
        released: its day (seconds since 1970): a time for every entry that never changes.
        tags: tags of the images beside the control plane's, by name (app/constants/constants.go of its kubeadm).
        istios: the further versions of Istio that fit it, there as far as they are built.
    """

    version: str
    released: int
    tags: Mapping[str, str]
    istios: tuple[str, ...]

    @property
    def suffix(self) -> str:
        """What the names of its programs end with, among those that are built (toolchain/releases.toml)."""
        return "" if self is RELEASES[0] else self.version.replace("v", "-")

    @property
    def coredns(self) -> str:
        """The name of its CoreDNS among what is built."""
        return "coredns" if self is RELEASES[0] else f"coredns-{self.tags['coredns']}"

    @property
    def runtime(self) -> Runtime:
        """What sealos's packages of this Kubernetes bring."""
        return CONTAINERD if int(self.version.split(".")[1]) >= 20 else DOCKER

    @property
    def file_name(self) -> str:
        """The package's name, as sealos's users know it."""
        return f"kube{self.version.removeprefix('v')}.tar.gz"

    @property
    def metadata(self) -> dict[str, str]:
        """What is in kube/Metadata."""
        return {"k8sVersion": self.version, "cniVersion": CALICO, "cniName": "calico"}


_TAGS = {
    "1.16.3": {"etcd": "3.3.15-0", "coredns": "1.6.2", "pause": "3.1"},
    "1.19.16": {"etcd": "3.4.13-0", "coredns": "1.7.0", "pause": "3.2"},
    "1.20.15": {"etcd": "3.4.13-0", "coredns": "1.7.0", "pause": "3.2"},
}


def _release(row: releases.Kubernetes) -> Release:
    return Release(
        version=f"v{row.version}",
        released=int(row.date.replace(hour=0, minute=0, second=0).timestamp()),
        tags=_TAGS[row.version],
        istios=tuple(istio.version for istio in releases.ISTIO[1:] if row.version in istio.kubernetes),
    )


RELEASES: tuple[Release, ...] = tuple(_release(row) for row in releases.KUBERNETES)
"""The first is the one that a lab has unless it is told another."""


def _tar(entries: Mapping[str, tuple[bytes | Path, int]], time: int, out: IO[bytes] | gzip.GzipFile) -> None:
    """Writes a tar of the entries in name order, {path: (content, mode)}, with nothing in it that depends on when or where it is made."""
    directories = sorted({str(parent) for path in entries for parent in Path(path).parents if str(parent) != "."})
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted([*directories, *entries]):
            info = tarfile.TarInfo(path)
            info.mtime, info.uname, info.gname = time, "root", "root"
            if path in entries:
                source, info.mode = entries[path]
                with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content:
                    info.size = content.seek(0, io.SEEK_END)
                    content.seek(0)
                    tar.addfile(info, content)
            else:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)


def contents(release: Release, programs: Mapping[str, Path], archive: Path) -> dict[str, tuple[bytes | Path, int]]:
    """What goes into the package: {path: (content or file, mode)}.

    Args:
        release: whose package.
        programs: files of kubeadm, kubelet, kubectl and what else is in kube/bin.
        archive: the images'.
    """
    entries: dict[str, tuple[bytes | Path, int]] = {f"kube/bin/{name}": (program, 0o755) for name, program in programs.items()}
    others = {f"{runtime.name}.sh" for runtime in (DOCKER, CONTAINERD) if runtime is not release.runtime}
    for folder, mode in (("bin", 0o755), ("conf", 0o644), ("shell", 0o755)):
        own = (file for file in sorted((HERE / folder).iterdir()) if file.name not in others)
        entries |= {f"kube/{folder}/{file.name}": (file, mode) for file in own}
    entries["kube/Metadata"] = (json.dumps(release.metadata).encode() + b"\n", 0o644)
    entries["kube/images/images.tar"] = (archive, 0o644)
    return entries


def build(directory: Path, release: Release, entries: Mapping[str, tuple[bytes | Path, int]]) -> Path:
    """Build the package unless it is there from the same inputs.

    It has gzip's form but is not compressed: four machines unpack it at once on few cores, and what is large in it, the images, is compressed.

    Args:
        directory: where packages are kept; made when missing. Of packages from other inputs the last used stay.
        release: whose package.
        entries: what goes into it.

    Returns:
        The package's file, in a directory named after its inputs.
    """
    digest = hashlib.sha256()
    for path, (source, mode) in sorted(entries.items()):
        content = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else images.stamp(source)
        digest.update(f"{path} {mode:o} {content}\n".encode())
    package = directory / digest.hexdigest()[:16] / release.file_name
    if package.exists():
        disk.used(package.parent)
        return package
    package.parent.mkdir(parents=True, exist_ok=True)
    half = package.with_suffix(".part")
    with (
        half.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=0, mtime=release.released) as packed,
    ):
        _tar(entries, release.released, packed)
        packed.flush()
    half.replace(package)
    disk.keep(package.parent, directory.iterdir())
    return package
