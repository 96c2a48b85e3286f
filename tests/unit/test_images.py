"""Images from a file: the script with a played container runtime, the driver with played machines."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from components import images
from components.driver import DriverError
from components.images import ImagesRequest, load_images, reference
from components.remote.host import Result
from components.remote.models import MachineError

WANTED = ("docker.io/projectcontour/contour:v1.9.0", "docker.io/envoyproxy/envoy:v1.15.1")
DOCKER = """#!/bin/bash
# keeps its images as lines of a file
case $1 in
version) ;;
load) cat "${@: -1}" >>"$RUNTIME" ;;
image) grep -qxF -e "$3" "$RUNTIME" ;;
*) exit 64 ;;
esac
"""
CTR = """#!/bin/bash
case "$*" in
version) ;;
"--namespace k8s.io images import "*) cat "${@: -1}" >>"$RUNTIME" ;;
"--namespace k8s.io images list --quiet name=="*) grep -xF -e "${6#name==}" "$RUNTIME" || true ;;
*) exit 64 ;;
esac
"""


def run(tmp_path: Path, program: str, text: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The script on a machine that has this program as its container runtime."""
    programs, private = tmp_path / "bin", tmp_path / "private"
    programs.mkdir(exist_ok=True)
    private.mkdir(exist_ok=True)
    for tool in ("bash", "cat", "grep", "rm", "sha256sum", "cut"):
        target = programs / tool
        if not target.exists():
            target.symlink_to(next(p / tool for p in (Path("/usr/bin"), Path("/bin")) if (p / tool).exists()))
    if program:
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
    runtime = tmp_path / "runtime"
    runtime.touch()
    for name, value in {"images": "".join(f"{image}\n" for image in WANTED), **given}.items():
        (private / name).write_text(value)
    return subprocess.run(
        ["/bin/bash", str(images.SCRIPT), str(private)],
        env={"PATH": str(programs), "RUNTIME": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("program", "text"), [("docker", DOCKER), ("ctr", CTR)])
def test_the_script_loads_what_is_missing(program: str, text: str, tmp_path: Path) -> None:
    done = run(tmp_path, program, text)
    assert (done.returncode, tuple(done.stdout.split())) == (0, WANTED), done.stderr
    sent = tmp_path / "sent.tar"
    sent.write_text("".join(f"{image}\n" for image in WANTED))
    sha256 = hashlib.sha256(sent.read_bytes()).hexdigest()
    done = run(tmp_path, program, text, file=str(sent), sha256=sha256)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not sent.exists(), "the file stays on the machine"
    assert run(tmp_path, program, text).stdout == ""


def test_a_file_that_changed_on_the_way_is_not_loaded(tmp_path: Path) -> None:
    sent = tmp_path / "sent.tar"
    sent.write_text("something else")
    done = run(tmp_path, "docker", DOCKER, file=str(sent), sha256="0" * 64)
    assert done.returncode != 0
    assert "another SHA-256" in done.stderr
    assert not sent.exists()
    assert (tmp_path / "runtime").read_text() == ""


def test_a_machine_without_a_container_runtime_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "", "")
    assert done.returncode != 0
    assert "neither docker nor containerd" in done.stderr


class Played:
    """A machine that lacks what `missing` says, until something was put on it."""

    def __init__(self, name: str, missing: tuple[str, ...], afterwards: tuple[str, ...] = ()) -> None:
        self.machine = type("M", (), {"name": name})()
        self.missing, self.afterwards, self.sent = missing, afterwards, 0

    async def run(self, script: Path, files: dict[str, bytes], timeout: float) -> Result:  # noqa: ASYNC109
        return Result("\n".join(self.afterwards if "file" in files else self.missing), "", 0)

    async def put(self, source: Path, target: str, timeout: float, on_progress: Any) -> None:  # noqa: ASYNC109
        self.sent += 1


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    file = tmp_path / "images.tar"
    file.write_bytes(b"images")

    def loaded(*hosts: Played | MachineError, sha256: str = "", of: Literal["contour", "mesh"] = "contour", content: bytes = b"images") -> str:
        file.write_bytes(content)

        async def on_all(fleet: object, action: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
            return {
                str(n): host if isinstance(host, MachineError) else await action(host) for n, host in enumerate(hosts)
            }

        monkeypatch.setattr(images, "on_all", on_all)
        request = ImagesRequest.model_construct(
            fleet=None,  # type: ignore[arg-type]
            file=str(file),
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
            images=WANTED if of == "contour" else ("istio/operator:1.5.0",),
            timeout=5,
            of=of,
        )
        return asyncio.run(load_images(request))

    return loaded


def test_only_a_machine_that_lacks_them_gets_the_file(load: Callable[..., str]) -> None:
    having, lacking = Played("sealos03", ()), Played("sealos04", WANTED[:1])
    assert load(having, lacking).split() == list(WANTED)
    assert (having.sent, lacking.sent) == (0, 1)


def test_every_machines_problem_is_in_one_message(load: Callable[..., str]) -> None:
    unreachable = MachineError("sealos03", "no route to host", "look at the cable")
    with pytest.raises(DriverError) as caught:
        load(unreachable, Played("sealos04", WANTED, WANTED[1:]))
    assert "sealos03" in str(caught.value)
    assert "no route to host" in str(caught.value)
    assert f"does not hold {WANTED[1]}" in str(caught.value)


def test_another_file_than_meant_is_not_sent(load: Callable[..., str]) -> None:
    machine = Played("sealos03", WANTED)
    with pytest.raises(DriverError, match=r"has SHA-256 .*; correct dashboards\.contour\.images"):
        load(machine, sha256="0" * 64)
    assert machine.sent == 0


def saved(*names: str) -> bytes:
    """What `docker save` writes of these, without their layers."""
    buffer = io.BytesIO()
    content = json.dumps([{"Config": "c.json", "RepoTags": [name], "Layers": []} for name in names] + [{"RepoTags": None}]).encode()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_of_the_mesh_everything_that_the_file_holds_must_be_there(load: Callable[..., str]) -> None:
    machine = Played("sealos03", WANTED)
    content = saved("istio/pilot:1.5.0", "registry.example.org:5000/istio/proxyv2:1.5.0")
    assert load(machine, of="mesh", content=content).split() == [
        "docker.io/istio/operator:1.5.0",
        "docker.io/istio/pilot:1.5.0",
        "registry.example.org:5000/istio/proxyv2:1.5.0",
    ]
    assert machine.sent == 1


def test_what_is_no_file_of_images_is_named_before_it_is_sent(load: Callable[..., str]) -> None:
    machine = Played("sealos03", WANTED)
    with pytest.raises(DriverError, match=r"is no file that `docker save` wrote; correct istio\.images"):
        load(machine, of="mesh")
    assert machine.sent == 0


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("istio/pilot:1.5.0", "docker.io/istio/pilot:1.5.0"),
        ("busybox", "docker.io/library/busybox"),
        ("docker.io/istio/pilot:1.5.0", "docker.io/istio/pilot:1.5.0"),
        ("localhost/pilot", "localhost/pilot"),
        ("registry:5000/pilot:1", "registry:5000/pilot:1"),
        ("quay.io/kiali/kiali:v1.14", "quay.io/kiali/kiali:v1.14"),
    ],
)
def test_an_images_whole_name(image: str, whole: str) -> None:
    assert reference(image) == whole
