"""One lab for all tests that need a cluster, beside the one a developer may have up, and the program in a copy of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools import parts
from lab.machines import Lab
from tests.project import ROOT, Project, config_of

NETWORK = os.environ.get("TEST_LAB_NETWORK", "198.18.7.0/24")
OTHER = "198.18.17.0/24"
"""For a second lab beside it, of other machines."""
TIMEOUT = 900
"""Seconds; a test that brings the stack up takes some two minutes of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # two more than the walk-through has, for masters and nodes that come and go
    with Lab(tmp_path_factory.mktemp("lab"), NETWORK, count=6) as lab:
        yield lab


def dev_of(lab: Lab) -> dict[str, Any]:
    """The stack dev's configuration, on a lab's machines, with its key for logging in."""
    text = (ROOT / "Pulumi.dev.yaml").read_text().replace("198.51.100.", f"{str(lab.network.network_address)[:-1]}")
    config = config_of(text)
    config["ssh"] = {"knownHosts": str(lab.known_hosts), "privateKeyFile": str(lab.key)}
    return config


def bare_of(lab: Lab) -> dict[str, Any]:
    """A stack without a mesh, for what is about the cluster alone; which machines it has is said by `listed`."""
    return {key: value for key, value in dev_of(lab).items() if key != "istio"} | listed(lab, 1, (2, 3, 4))


@pytest.fixture(scope="package")
def dev_config(lab: Lab) -> dict[str, Any]:
    """See `dev_of`."""
    return dev_of(lab)


@pytest.fixture(scope="package")
def bare_config(lab: Lab) -> dict[str, Any]:
    """See `bare_of`."""
    return bare_of(lab)


def standing(project: Project) -> Iterator[Project]:
    """For a fixture: a stack that is brought up, and destroyed at the end."""
    done = project.up(limit=850)  # beside other work it takes a multiple of its time alone
    assert done.status == 0, done.text
    yield project
    done = project.destroy()
    assert done.status == 0, done.text


def taken_down(project: Project, lab: Lab) -> None:
    """At the end of a fixture whose machines may be dead: they come back, the stack is destroyed, and what the dead kept is gone."""
    for name in lab.names:
        lab.start_machine(name)
    done = project.destroy()
    lab.reset()
    assert done.status == 0, done.text


def out(lab: Lab, name: str, *command: str, stdin: str | None = None) -> str:
    """Standard output of a command that succeeds on a machine."""
    done = lab.run(name, *command, stdin=stdin)
    assert done.returncode == 0, (name, command, done.stdout, done.stderr)
    return done.stdout


def shell(lab: Lab, name: str, text: str, *arguments: str, stdin: str | None = None) -> str:
    """The same of a piece of bash, with its arguments."""
    return out(lab, name, "bash", "-c", text, "bash", *arguments, stdin=stdin)


def listed(lab: Lab, masters: int | tuple[int, ...], nodes: tuple[int, ...]) -> dict[str, Any]:
    """The settings masters and nodes, by the numbers of the lab's machines."""

    def machines(numbers: tuple[int, ...]) -> list[dict[str, str]]:
        return [{"name": f"sealos{n:02}", "address": lab.addresses[f"sealos{n:02}"]} for n in numbers]

    return {"masters": machines((masters,) if isinstance(masters, int) else masters), "nodes": machines(nodes)}


def until(true: Callable[[], object], what: str, limit: float = 60) -> None:
    """Waits until something holds."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"not within {limit:.0f} s: {what}"
        time.sleep(0.5)


def bare(lab: Lab, name: str) -> None:
    """Asserts that nothing of a cluster is on a machine."""
    left = lab.run(
        name,
        "sh",
        "-c",
        "ls -d /etc/kubernetes /var/lib/etcd /var/lib/kubelet /root/.kube /usr/bin/kubelet 2>/dev/null",
    )
    assert left.stdout == "", f"{name}: {left.stdout}"
    programs = set(lab.run(name, "sh", "-c", "cat /proc/[0-9]*/comm").stdout.split())
    assert not programs & {"kubelet", "etcd", "kube-apiserver"}, name


def sealos_runs(lab: Lab, verb: str) -> list[str]:
    """The logs of sealos's runs of one kind on the first master."""
    listed = lab.run("sealos01", "sh", "-c", f"ls /var/log/sealos-istio | grep -- -{verb}-")
    return listed.stdout.split()


def in_plain(project: Project, lab: Lab | None, secret: str) -> list[str]:
    """Where a text stands: files of the stack's backend, what commands printed, and files of the lab's machines if it is given.

    The files of running processes' memory and of the kernel are no files.
    """
    backend = (file for file in (project.directory / "backend").rglob("*") if file.is_file())
    places = [str(file) for file in backend if secret in file.read_text(errors="replace")]
    places += [f"printed by {command}" for command, text in project.printed if secret in text]
    look = (
        "needle=$(cat); grep -rlF --devices=skip --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev "
        '--exclude-dir=usr --exclude-dir=overlay2 -e "$needle" / 2>/dev/null || true'
    )
    if lab is not None:
        for name in (host.name for host in lab.status(ssh=False).hosts if host.on):
            places += [f"{name}: {file}" for file in lab.run(name, "bash", "-c", look, stdin=secret).stdout.split()]
    return places


def drift(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m drift` on a stack; the status is not checked."""
    return subprocess.run(
        [sys.executable, "-m", "drift", "--stack", project.stack, "--directory", str(project.directory), *arguments],
        cwd=ROOT,
        env={**os.environ, **project.variables()},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="package")
def password_config(dev_config: dict[str, Any]) -> dict[str, Any]:
    """The same, to which a secret for logging in must be added."""
    return {**dev_config, "ssh": {"knownHosts": dev_config["ssh"]["knownHosts"]}}


class Kubectl:
    """kubectl from outside the cluster, with the stack's own kubeconfig."""

    def __init__(self, project: Project) -> None:
        self.file = project.directory / "kubeconfig"
        self.file.touch(mode=0o600)
        self.file.write_text(project.outputs()["kubeconfig"])

    def nodes(self) -> set[str]:
        """The names of the cluster's Nodes."""
        return {node["metadata"]["name"] for node in self.json("get", "nodes")["items"]}

    def __call__(self, *arguments: str, limit: float = 60) -> str:
        done = subprocess.run(
            [parts.binary("kubectl"), f"--kubeconfig={self.file}", *arguments],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The answer to `kubectl … -o json`."""
        return json.loads(self(*arguments, "-o", "json"))
