"""The lab's offline package kube1.16.3.tar.gz, in the layout of the real one (docs/lab.md says what differs).

    kube/Metadata           what sealos reads to choose Calico's version
    kube/bin/               kubeadm, kubelet, kubectl, kubelet-pre-start.sh
    kube/conf/              the kubelet's systemd unit and kubeadm's drop-in for it
    kube/images/images.tar  the images' names; their contents are mounted on the machines
    kube/shell/init.sh      what sealos runs on every machine

The same inputs give the same bytes, so sealos's md5 comparison finds an unchanged package unchanged.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
KUBERNETES_VERSION = "v1.16.3"
FILE_NAME = "kube1.16.3.tar.gz"
PROGRAMS = ("kubeadm", "kubelet", "kubectl")
RELEASED = 1573603200  # 2019-11-13, the day of Kubernetes v1.16.3: a time for every entry that never changes
METADATA = {"k8sVersion": KUBERNETES_VERSION, "cniVersion": "v3.8.2", "cniName": "calico"}
# What the real package of this version carries as images; the lab's machines have the programs of those it runs for real.
IMAGES = (
    "k8s.gcr.io/kube-apiserver:v1.16.3",
    "k8s.gcr.io/kube-controller-manager:v1.16.3",
    "k8s.gcr.io/kube-scheduler:v1.16.3",
    "k8s.gcr.io/kube-proxy:v1.16.3",
    "k8s.gcr.io/etcd:3.3.15-0",
    "k8s.gcr.io/coredns:1.6.2",
    "k8s.gcr.io/pause:3.1",
    "calico/node:v3.8.2",
    "calico/cni:v3.8.2",
    "calico/kube-controllers:v3.8.2",
    "calico/pod2daemon-flexvol:v3.8.2",
    "fanux/lvscare:latest",
)


def _tar(entries: Mapping[str, tuple[bytes | Path, int]]) -> bytes:
    """A tar of the entries in name order, {path: (content, mode)}, with nothing in it that depends on when or where it is made."""
    directories = sorted({str(parent) for path in entries for parent in Path(path).parents if str(parent) != "."})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted([*directories, *entries]):
            info = tarfile.TarInfo(path)
            info.mtime, info.uname, info.gname = RELEASED, "root", "root"
            if path in entries:
                source, info.mode = entries[path]
                content = source if isinstance(source, bytes) else source.read_bytes()
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
    return out.getvalue()


def contents(programs: Mapping[str, Path]) -> dict[str, tuple[bytes | Path, int]]:
    """What goes into the package: {path: (content or file, mode)}.

    Args:
        programs: files of kubeadm, kubelet and kubectl.
    """
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": []} for image in IMAGES]
    images = _tar({"manifest.json": (json.dumps(manifest).encode(), 0o644), "config.json": (b"{}", 0o644)})
    entries: dict[str, tuple[bytes | Path, int]] = {f"kube/bin/{name}": (programs[name], 0o755) for name in PROGRAMS}
    entries["kube/bin/kubelet-pre-start.sh"] = (HERE / "bin/kubelet-pre-start.sh", 0o755)
    for file in sorted((HERE / "conf").iterdir()):
        entries[f"kube/conf/{file.name}"] = (file, 0o644)
    entries["kube/shell/init.sh"] = (HERE / "shell/init.sh", 0o755)
    entries["kube/Metadata"] = (json.dumps(METADATA).encode() + b"\n", 0o644)
    entries["kube/images/images.tar"] = (images, 0o644)
    return entries


def build(directory: Path, programs: Mapping[str, Path]) -> Path:
    """Build the package unless it is there from the same inputs.

    Args:
        directory: where packages are kept; made when missing. Packages from other inputs are removed from it.
        programs: files of kubeadm, kubelet and kubectl.

    Returns:
        The package's file, named kube1.16.3.tar.gz, in a directory named after its inputs.
    """
    entries = contents(programs)
    digest = hashlib.sha256()
    for path, (source, mode) in sorted(entries.items()):
        if isinstance(source, bytes):
            stamp = hashlib.sha256(source).hexdigest()
        else:
            stat = source.stat()
            stamp = f"{source.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        digest.update(f"{path} {mode:o} {stamp}\n".encode())
    package = directory / digest.hexdigest()[:16] / FILE_NAME
    if package.exists():
        return package
    package.parent.mkdir(parents=True, exist_ok=True)
    half = package.with_suffix(".part")
    with (
        half.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=RELEASED) as packed,
    ):
        packed.write(_tar(entries))
        packed.flush()
    half.replace(package)
    for other in directory.iterdir():
        if other != package.parent:
            for file_ in other.iterdir():
                file_.unlink()
            other.rmdir()
    return package
