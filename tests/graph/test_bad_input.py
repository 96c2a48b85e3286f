"""The user's mistakes, on the real engine: one message with key, reason and fix, exit status not 0, no traceback, and nobody dialled."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, stack_config

pytestmark = pytest.mark.slow

Config = dict[str, Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.copy(tmp_path_factory.mktemp("bad"), "bad", {})


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port of this host that notes who knocks, in the place of every machine."""
    knocks: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        end = threading.Event()

        def listen() -> None:
            while not end.is_set():
                try:
                    connection, peer = server.accept()
                except TimeoutError:
                    continue
                knocks.append(peer)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], knocks
        end.set()
        thread.join()


def good(port: int) -> Config:
    config = stack_config()
    for number, machine in enumerate(config["masters"] + config["nodes"], start=1):
        machine |= {"address": f"127.0.0.{number}", "port": port}
    return config


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda c: c.update(pakage="x"), "sealos-istio:pakage is not a key of this program", id="unknown key"),
        pytest.param(lambda c: c["cluster"].update(kuberntesVersion="v1.16.3"), "sealos-istio:cluster.kuberntesVersion", id="unknown nested key"),
        pytest.param(lambda c: c.update(nodes="sealos02"), "'sealos-istio:nodes' must be of type 'array<object>'", id="wrong type"),
        pytest.param(lambda c: c["cluster"].update(recover="yes"), "sealos-istio:cluster.recover should be a valid boolean", id="wrong nested type"),
        pytest.param(lambda c: c["nodes"][0].pop("address"), "sealos-istio:nodes[0].address is missing", id="missing host"),
        pytest.param(lambda c: c["nodes"].append(dict(c["masters"][0])), "listed already as masters[0].name", id="master twice"),
        pytest.param(lambda c: c["cluster"].update(kubernetesVersion="v1.22.3"), "sealos-istio:istio.version", id="version pair"),
        pytest.param(lambda c: c.update(istio={}), "sealos-istio:istio is empty, which may be a slip", id="empty mesh"),
        pytest.param(lambda c: c.update(istio=None), "'sealos-istio:istio' must be of type 'object'", id="mesh is null"),
        pytest.param(lambda c: c.update(dashboards={}), "sealos-istio:dashboards is empty, which may be a slip", id="empty dashboards"),
        pytest.param(lambda c: c.update(password="plain"), "sealos-istio:password stands in plain text", id="plain password"),
        pytest.param(
            lambda c: c["istio"]["ingressGateways"][0]["k8s"]["overlays"][0].update(name="istio-ingresgateway"),
            "sealos-istio:istio.ingressGateways[0]",
            id="overlay of nothing",
        ),
    ],
)  # fmt: skip
def test_one_message_and_nobody_dialled(
    project: Project,
    listener: tuple[int, list[object]],
    change: Callable[[Config], object],
    expected: str,
) -> None:
    port, knocks = listener
    config = good(port)
    change(config)
    project.write_config(config)
    done = project.up()  # which validates as preview does, and could dial
    assert done.status != 0
    assert done.text.count(expected) == 1, done.text
    assert "Traceback" not in done.text
    assert not knocks


@pytest.mark.parametrize(
    "path",
    ["istio.values.grafana.adminPassword", "istio.hub", "cluster.name", "nodes[0].hostKey", "ssh.knownHosts", "dashboards.way"],
)
def test_a_secret_inside_a_structure_is_refused_and_is_nowhere_in_plain(
    project: Project, listener: tuple[int, list[object]], path: str
) -> None:
    """The engine tells the program that there is one, but hands it over in plain: no resource, stash or output could keep it."""
    port, knocks = listener
    project.write_config(good(port))
    secret = "plain-c0ffee"
    done = project.pulumi("config", "set", "--secret", "--path", f"sealos-istio:{path}", secret, "--stack", "bad")
    assert done.status == 0, done.text
    section = re.split(r"[.\[]", path)[0]
    for done in (project.pulumi("preview", "--stack", "bad"), project.up()):
        assert done.status != 0
        assert done.text.count(f"sealos-istio:{section} has a secret in it (`pulumi config set --secret --path`)") == 1, done.text
        assert secret not in done.text
        assert "Traceback" not in done.text
    assert not knocks
    state = project.pulumi("stack", "export", "--show-secrets", "--stack", "bad").stdout
    assert secret not in state
    kept = [file for file in (project.directory / "backend").rglob("*") if file.is_file()]
    assert kept
    assert all(secret.encode() not in file.read_bytes() for file in kept)


def test_a_stack_without_a_mesh_previews_none(project: Project, listener: tuple[int, list[object]]) -> None:
    config = good(listener[0])
    del config["istio"]
    project.write_config(config)
    done = project.pulumi("preview", "--stack", "bad")
    assert done.status == 0, done.text
    assert "istio-operator" not in done.text
    assert not listener[1]


def test_what_does_nothing_is_said_and_stops_nothing(project: Project, listener: tuple[int, list[object]]) -> None:
    config = good(listener[0])
    config["istio"]["hub"] = "gcr.io/istio-release"
    project.write_config(config)
    assert project.pulumi("config", "set", "--secret", "sealos-istio:dashboardsPassword", "x", "--stack", "bad").status == 0
    done = project.pulumi("preview", "--stack", "bad")
    assert done.status == 0, done.text
    assert "warning: sealos-istio:istio.hub: gcr.io/istio-release ends in December 2026" in done.text
    assert "warning: sealos-istio:dashboardsPassword does nothing without sealos-istio:dashboards" in done.text


def test_what_istios_own_renderer_refuses_is_refused_before_the_first_resource(
    project: Project, listener: tuple[int, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, knocks = listener
    project.write_config(good(port))
    renderer = tmp_path / "istioctl-1.5.0"
    renderer.write_text("#!/bin/sh\necho 'Error: no such field: pilto' >&2; exit 1\n")
    renderer.chmod(0o755)
    monkeypatch.setitem(project.environment, "PATH", f"{tmp_path}{os.pathsep}{project.variables()['PATH']}")
    done = project.up()
    assert done.status != 0
    told = "\n    error: sealos-istio:istio: Istio 1.5.0's own renderer refuses it: no such field: pilto\n"
    assert done.text.count(told) == 1, done.text
    assert "Traceback" not in done.text
    assert not knocks
    state = json.loads(project.pulumi("stack", "export", "--stack", "bad").stdout)["deployment"]
    assert [r["type"] for r in state.get("resources", [])] in ([], ["pulumi:pulumi:Stack"])


def test_the_good_one_does_dial_on_up_only(
    project: Project, listener: tuple[int, list[object]], tmp_path: Path
) -> None:
    port, knocks = listener
    config = good(port)
    config["ssh"] = {"hostKeys": "unverified", "privateKeyFile": str(tmp_path / "key"), "connectTimeout": 1}
    project.write_config(config)
    assert project.pulumi("preview", "--stack", "bad").status == 0
    assert not knocks
    done = project.up()
    assert done.status != 0
    assert knocks or "privateKeyFile" in done.text
    assert "Traceback" not in done.text
