"""Container images out of files of this host (lab/images.py), the package that holds them, and the machines' cgroups (lab/cgroups.py)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups, disk, images, package
from lab.images import Image, Layer


def tree(tmp_path: Path) -> dict[str, Path]:
    program, folder = tmp_path / "program", tmp_path / "folder"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder.mkdir()
    (folder / "b").write_text("b")
    (folder / "a").symlink_to("b")
    return {"program": program, "folder": folder}


def read(data: bytes) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        files = {name: extracted.read() for name in names if (extracted := tar.extractfile(name))}
    assert len(names) == len(set(names))
    manifest: list[dict[str, Any]] = json.loads(files["manifest.json"])
    return manifest, files


def saved(*made: Image) -> bytes:
    out = io.BytesIO()
    images.save(made, out)
    return out.getvalue()


def test_an_archive_is_what_docker_save_writes(tmp_path: Path) -> None:
    sources = tree(tmp_path)
    base = Layer({"usr/bin/program": sources["program"], "bin": "usr/bin", "tmp": None})
    image = Image(("a.example/x:1", "a.example/y:1"), (base, Layer({"opt": sources["folder"]})), ("/x",), ("A=b",), "1:2")
    manifest, files = read(saved(image, Image(("z:2",), (base,))))
    assert [entry["RepoTags"] for entry in manifest] == [["a.example/x:1", "a.example/y:1"], ["z:2"]]
    assert len([name for name in files if name.endswith("/layer.tar")]) == 2  # the layer that both have is there once
    for entry in manifest:
        config = json.loads(files[entry["Config"]])
        assert entry["Config"] == hashlib.sha256(files[entry["Config"]]).hexdigest() + ".json"
        digests = ["sha256:" + hashlib.sha256(gzip.decompress(files[layer])).hexdigest() for layer in entry["Layers"]]
        assert config["rootfs"] == {"type": "layers", "diff_ids": digests}
    first = json.loads(files[manifest[0]["Config"]])["config"]
    assert (first["Entrypoint"], first["User"], first["Env"][1:]) == (["/x"], "1:2", ["A=b"])
    assert first["Env"][0].startswith("PATH=/")


def test_a_layer_has_folders_links_and_modes(tmp_path: Path) -> None:
    sources = tree(tmp_path)
    layer = Layer({"usr/bin/program": sources["program"], "bin": "usr/bin", "tmp": None, "opt/x": sources["folder"]})
    with tarfile.open(fileobj=io.BytesIO(layer.tar())) as tar:
        found = {member.name: member for member in tar.getmembers()}
    assert {name for name, member in found.items() if member.isdir()} == {"usr", "usr/bin", "opt", "opt/x", "tmp"}
    assert {name: member.linkname for name, member in found.items() if member.issym()} == {"bin": "usr/bin", "opt/x/a": "b"}
    assert {name: member.mode for name, member in found.items() if member.isfile()} == {
        "usr/bin/program": 0o755,
        "opt/x/b": 0o644,
    }
    assert found["tmp"].mode == 0o1777
    assert {(member.uid, member.gid, member.mtime) for member in found.values()} == {(0, 0, 0)}


def test_it_is_made_again_only_for_other_inputs(tmp_path: Path) -> None:
    sources = tree(tmp_path)
    made = [Image(("x:1",), (Layer({"p": sources["program"]}),))]
    first = images.archive(tmp_path / "kept", "x", made)
    inode = first.stat().st_ino
    assert images.archive(tmp_path / "kept", "x", made).stat().st_ino == inode
    other = images.archive(tmp_path / "kept", "other", made)
    assert other.read_bytes() == first.read_bytes()
    sources["program"].chmod(0o700)
    second = images.archive(tmp_path / "kept", "x", made)
    assert {*(tmp_path / "kept").iterdir()} == {first, second, other}
    assert len({first, second, other}) == 3


def test_a_package_is_the_same_bytes_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    release, names = package.RELEASES[0], (*package.PROGRAMS, "images.tar")
    for name in names:
        (tmp_path / name).write_text(f"{name} of the test\n")

    def built(folder: str, files: Path) -> Path:
        entries = package.contents(release, {name: files / name for name in package.PROGRAMS}, files / "images.tar")
        return package.build(tmp_path / folder, release, entries)

    copies = tmp_path / "copies"
    copies.mkdir()
    for name in names:
        shutil.copy(tmp_path / name, copies)
    first, second = built("one", tmp_path), built("two", copies)
    assert first.read_bytes() == second.read_bytes()
    inode = first.stat().st_ino
    assert built("one", tmp_path).stat().st_ino == inode  # not built again
    (copies / "kubeadm").write_text("another\n")
    assert built("two", copies).read_bytes() != first.read_bytes()


@pytest.mark.parametrize("release", package.RELEASES, ids=lambda release: str(release.version))
def test_a_package_installs_the_container_runtime_of_its_kubernetes(release: package.Release, tmp_path: Path) -> None:
    scripts = {Path(path).name for path in package.contents(release, {}, tmp_path) if path.startswith("kube/shell/")}
    assert scripts == {"init.sh", f"{release.runtime.name}.sh"}


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\x7fELF" * 100_000], ids=["script", "program of a Python package"])
def test_two_checkouts_with_the_same_files_share_what_is_made_of_them(tmp_path: Path, content: bytes) -> None:
    names = set()
    for checkout in ("one", "two"):
        (tmp_path / checkout).mkdir()
        file = tmp_path / checkout / "file"
        file.write_bytes(content)
        names.add(images.archive(tmp_path / "kept", "x", [Image(("x:1",), (Layer({"p": file}),))]).name)
    assert len(names) == 1


@pytest.fixture
def hierarchies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*cgroups.HIERARCHIES, cgroups.UNIFIED):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("")
    for setting in ("cpus", "mems"):
        (tmp_path / "cpuset" / f"cpuset.{setting}").write_text("0-1\n")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_cgroups_of_a_machine_are_made_whole_and_taken_away(hierarchies: Path) -> None:
    lab = cgroups.name_of(Path("/somewhere"))
    assert lab != cgroups.name_of(Path("/elsewhere"))
    cgroups.make(lab, "sealos01")
    cgroups.make(lab, "sealos02")
    assert len(list(hierarchies.glob(f"*/{lab}/sealos01"))) == len(cgroups.HIERARCHIES) + 1
    assert (hierarchies / "cpuset" / lab / "sealos01/cpuset.cpus").read_text() == "0-1\n"
    for file in hierarchies.glob(f"cpuset/{lab}/**/cpuset.*"):  # the kernel's own go with their folder
        file.unlink()
    (hierarchies / "memory" / lab / "sealos01/kubepods/pod1").mkdir(parents=True)
    cgroups.remove(lab, "sealos01")
    assert {path.name for path in hierarchies.glob(f"*/{lab}/*")} == {"sealos02"}
    cgroups.remove(lab)
    assert not list(hierarchies.glob(f"*/{lab}"))


def test_what_the_kernel_gives_is_mounted(
    hierarchies: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path_factory.mktemp("bin")
    # of those that are missing, this host's kernel has but one
    program = f'#!/bin/sh\necho "$@" >>{called}/calls\nfor last; do :; done\n[ "$4" = memory ] && : >$last/cgroup.procs\n'
    (called / "mount").write_text(program)
    (called / "mount").chmod(0o755)
    monkeypatch.setenv("PATH", f"{called}:/usr/bin:/bin")
    assert cgroups.mount() == []
    for name in ("memory", "systemd"):
        (hierarchies / name / "cgroup.procs").unlink()
    assert cgroups.mount() == ["memory"]
    assert (called / "calls").read_text().splitlines() == [
        f"-t tmpfs -o mode=755 tmpfs {hierarchies}",
        f"-t cgroup -o memory cgroup {hierarchies}/memory",
        f"-t cgroup -o none,name=systemd cgroup {hierarchies}/systemd",
    ]
    (hierarchies / "cgroup.procs").write_text("")  # version 2 alone: a folder in it would be a cgroup
    assert cgroups.mount() == []
    assert len((called / "calls").read_text().splitlines()) == 3


def test_a_host_without_them_is_told(hierarchies: Path) -> None:
    assert cgroups.missing() == []
    (hierarchies / "memory/cgroup.procs").unlink()
    [found] = cgroups.missing()
    assert "for memory" in found
    assert "Fix: " in found


def test_of_what_was_made_before_the_last_used_stays(tmp_path: Path) -> None:
    program = tmp_path / "program"
    made = []
    for number in range(disk.KEPT + 2):
        program.write_bytes(b"x" * number)
        made.append(images.archive(tmp_path, "some", [Image(("some:1",), (Layer({"program": program}),))]))
        os.utime(made[-1], (number, number))
        assert disk.used(made[0]).stat().st_mtime == 0  # another checkout uses it
    left = {file for file in made if file.exists()}
    assert (len(left), made[0] in left, made[-1] in left) == (disk.KEPT, True, True)
