"""The dashboards' check on made-up clusters, and its patience on a played clock. Real Contour is asked in tests/lab."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from pydantic import SecretStr

from components.dashboards import check_probe
from components.dashboards.check import View, Wanted, judge
from components.dashboards.made import CertificatesRequest, HtpasswdRequest, htpasswd, xds_certificates
from components.driver import DriverError
from components.problem import Code, Problem
from components.remote.host import Result

WANTED = Wanted.model_validate(
    {
        "namespace": "istio-system",
        "objects": ["HTTPProxy/dashboard-grafana"],
        "backends": [{"dashboard": "grafana", "service": "grafana", "port": 3000}],
        "secret": "wildcard",
        "timeout": 10,
    }
)
GOOD: dict[str, Any] = {
    "ways": [
        {
            "kind": "HTTPProxy",
            "metadata": {"name": "dashboard-grafana", "generation": 2},
            "status": {
                "currentStatus": "valid",
                "conditions": [{"type": "Valid", "status": "True", "observedGeneration": 2}],
            },
        }
    ],
    "services": [
        {"kind": "Service", "metadata": {"name": "grafana"}, "spec": {"ports": [{"port": 3000}]}},
        {"kind": "Endpoints", "metadata": {"name": "grafana"}, "subsets": [{"addresses": [{"ip": "100.64.0.9"}]}]},
    ],
    "secret": ["kubernetes.io/tls", "tls.crt", "tls.key"],
}


def found(change: Callable[[dict[str, Any]], object] = lambda view: None) -> list[Problem]:
    view = copy.deepcopy(GOOD)
    change(view)
    return judge(WANTED, View(**{k: tuple(v) if v is not None else None for k, v in view.items()}))


def invalid(view: dict[str, Any]) -> None:
    view["ways"][0]["status"] = {
        "currentStatus": "invalid",
        "description": "At least one error present, see Errors for details",
        "conditions": [
            {
                "type": "Valid",
                "status": "False",
                "observedGeneration": 2,
                "errors": [{"reason": "ServiceUnresolvedReference", "message": 'service "grafana" not found'}],
            }
        ],
    }


def test_all_is_well() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("change", "code", "expected"),
    [
        (lambda v: v.update(ways=[]), Code.ROUTE, "HTTPProxy/dashboard-grafana: does not exist"),
        (lambda v: v["ways"][0].pop("status"), Code.PROXY_INVALID, "has not judged it yet"),
        (lambda v: v["ways"][0]["metadata"].update(generation=3), Code.PROXY_INVALID, "has not judged it yet"),
        (invalid, Code.PROXY_INVALID, 'ServiceUnresolvedReference: service "grafana" not found'),
        (lambda v: v["services"].pop(0), Code.BACKEND, "Service istio-system/grafana: does not exist"),
        (lambda v: v["services"][0]["spec"].update(ports=[{"port": 80}]), Code.BACKEND, "has no port 3000, only 80"),
        (lambda v: v["services"][1].update(subsets=[{"notReadyAddresses": [{}]}]), Code.BACKEND, "no ready pod behind it"),
        (lambda v: v.update(secret=None), Code.TLS_SECRET, "Secret istio-system/wildcard: does not exist"),
        (lambda v: v["secret"].__setitem__(0, "Opaque"), Code.TLS_SECRET, "is of type Opaque"),
        (lambda v: v["secret"].remove("tls.key"), Code.TLS_SECRET, "lacks tls.key"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[dict[str, Any]], object], code: Code, expected: str) -> None:
    [problem] = found(change)
    assert problem.code is code
    assert expected in str(problem)


class Played:
    """A first master that answers as told, and a clock that only sleep moves."""

    def __init__(self, answers: list[Result]) -> None:
        self.answers, self.now = answers, 0.0
        self.files: dict[str, bytes] = {}

    async def run(self, script: Path | str, files: dict[str, bytes], timeout: float) -> Result:  # noqa: ASYNC109
        self.files = files
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, said: list[str]) -> None:
        asyncio.run(check_probe.wait(self, WANTED, said.append, lambda: self.now, self.sleep))


def answer(change: Callable[[dict[str, Any]], object] = lambda view: None) -> Result:
    view = copy.deepcopy(GOOD)
    change(view)
    body = {
        "ways": view["ways"][0] if view["ways"] else None,
        "services": {"kind": "List", "items": view["services"]},
        "secret": {"is": view["secret"]} if view["secret"] else None,
    }
    return Result(json.dumps(body), "", 0)


def test_it_waits_until_contour_has_judged() -> None:
    said: list[str] = []
    played = Played([answer(lambda v: v["ways"][0].pop("status")), answer()])
    played.wait(said)
    assert played.now == check_probe.INTERVAL
    assert played.files["objects"] == b"HTTPProxy/dashboard-grafana\n"
    assert said[-1] == "every way in leads to a dashboard"


def test_time_is_limited_and_every_problem_is_in_the_message() -> None:
    def two(view: dict[str, Any]) -> None:
        invalid(view)
        view["secret"] = None

    with pytest.raises(DriverError) as caught:
        Played([answer(two)]).wait([])
    assert "ServiceUnresolvedReference" in str(caught.value)
    assert "Secret istio-system/wildcard" in str(caught.value)
    assert "dashboards.readyTimeout" in str(caught.value)


def test_an_api_server_that_does_not_answer_is_no_verdict() -> None:
    played = Played([Result("", "The connection to the server was refused", 1), answer()])
    said: list[str] = []
    played.wait(said)
    assert "did not answer" in said[0]


def test_the_script_asks_for_the_objects_by_their_full_kind(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\nfor a in "$@"; do printf "%s " "$a"; done >>{tmp_path}/asked\necho >>{tmp_path}/asked\n'
    )
    kubectl.chmod(0o755)
    objects = ("Ingress/a", "HTTPProxy/b", "Gateway/c", "VirtualService/d")
    (tmp_path / "objects").write_text("".join(f"{o}\n" for o in objects))
    (tmp_path / "namespace").write_text("istio-system")
    (tmp_path / "secret").write_text("wildcard")
    done = subprocess.run(
        ["bash", str(check_probe.SCRIPT), str(tmp_path)],
        env={**os.environ, "KUBECTL": str(kubectl), "ADMIN_CONF": "none"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"ways": None, "services": None, "secret": None}
    ways, services, secret = (tmp_path / "asked").read_text().splitlines()
    assert (
        "ingresses.networking.k8s.io/a httpproxies.projectcontour.io/b gateways.networking.istio.io/c "
        "virtualservices.networking.istio.io/d" in ways
    )
    assert "-n istio-system get services,endpoints" in services
    assert "tls" not in secret, "no value of the Secret is asked for"


def test_a_line_of_a_password_file() -> None:
    line = asyncio.run(htpasswd(HtpasswdRequest(username="ops", password=SecretStr("it's $ecret"))))
    user, _, hashed = line.partition(":")
    assert user == "ops"
    assert hashed.startswith("$2y$")
    assert bcrypt.checkpw(b"it's $ecret", hashed.replace("$2y$", "$2b$", 1).encode())


def test_certificates_that_openssl_believes(tmp_path: Path) -> None:
    made = json.loads(asyncio.run(xds_certificates(CertificatesRequest(namespace="projectcontour"))))
    assert sorted(made) == ["ca.crt", "contour.crt", "contour.key", "envoy.crt", "envoy.key"]
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    for service in ("contour", "envoy"):
        ask = ["openssl", "verify", "-verify_hostname", service, "-CAfile", "ca.crt", f"{service}.crt"]
        done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
