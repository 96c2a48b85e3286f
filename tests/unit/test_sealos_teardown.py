"""What a teardown does when nobody answers: nothing, until it is told in words that the first master is gone for good."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from components.driver import DriverError
from components.istio import istioctl_driver
from components.istio.istioctl_driver import IstioctlRequest
from components.login import MachineError
from components.sealos import teardown
from components.sealos.requests import Install, Preflight

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0ZZ1mCkAqJ6pSjYyF0p0R6vZ0nX1m9cJ7v6cQ8m0aF"
CLUSTER = {
    "name": "prod", "kubernetesVersion": "v1.16.3", "vip": "10.103.97.2", "podCidr": "100.64.0.0/10", "serviceCidr": "10.96.0.0/12",
    "network": "calico",
}  # fmt: skip
ARTIFACTS = {"package": {"path": "/root/p"}, "sealos": {"path": "/root/sealos"}}


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Ports of loopback: one that nobody listens on, one where connections are taken and nothing is ever said."""
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as mute:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1], mute.getsockname()[1]


def fleet(**ports: int) -> dict[str, Any]:
    machines = [{"name": name, "address": "127.0.0.1", "port": port, "hostKey": KEY} for name, port in ports.items()]
    return {"machines": machines, "login": {"password": "x", "connectTimeout": 0.5}}


def test_nothing_is_cleaned_without_the_first_master(ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_LOST", "sealos02")
    request = Install.model_validate({"fleet": fleet(sealos01=ports[0]), "cluster": CLUSTER, **ARTIFACTS})
    with pytest.raises(DriverError, match=r"refused the connection.*\nNothing was cleaned.*SEALOS_ISTIO_LOST=sealos01"):
        asyncio.run(teardown.run_clean(request))


def test_until_it_is_given_up_in_words(
    ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_LOST", "sealos07, sealos01")
    request = Install.model_validate({"fleet": fleet(sealos01=ports[1]), "cluster": CLUSTER, **ARTIFACTS})
    assert asyncio.run(teardown.run_clean(request)) == ""
    assert "[sealos01] warning: 127.0.0.1:" in (said := capsys.readouterr().err)
    assert "stayed mute for 0.5 s; what it holds of the cluster, keys included, stays on it" in said


def test_a_first_master_that_answers_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ports: tuple[int, int]
) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_LOST", "sealos01")
    reached = fleet(sealos01=ports[0])
    reached["login"] = {"privateKeyFile": "/does/not/exist"}  # trouble of another kind than a machine that is gone
    request = Install.model_validate({"fleet": reached, "cluster": CLUSTER, **ARTIFACTS})
    with pytest.raises(DriverError, match="Nothing was cleaned") as caught:
        asyncio.run(teardown.run_clean(request))
    assert "pulumi destroy" not in str(caught.value)


@pytest.mark.parametrize("lost", ["", "sealos02", "sealos01"])
def test_the_others_are_looked_at_only_without_the_first_master(
    lost: str, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_LOST", lost)
    machines = fleet(sealos01=ports[0], sealos02=ports[0], sealos03=ports[1])
    request = Preflight.model_validate(
        {"fleet": machines, "cluster": "prod", "kubernetesVersion": "v1.16.3", **ARTIFACTS}
    )
    assert asyncio.run(teardown.run_sweep(request)) == ""
    said = capsys.readouterr().err
    if lost != "sealos01":
        assert said == ""
        return
    assert "[sealos02] warning: 127.0.0.1:" in said
    assert "[sealos03] warning: 127.0.0.1:" in said
    assert said.count("what it holds of the cluster stays on it") == 2
    assert "no machine: clean" in said


def test_istioctl_stays_on_a_machine_that_is_given_up(
    ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = IstioctlRequest.model_validate(
        {"fleet": fleet(sealos01=ports[0]), "version": "1.5.0", "path": "/root/istioctl"}
    )
    with pytest.raises(MachineError, match="refused the connection"):
        asyncio.run(istioctl_driver.remove(request))
    monkeypatch.setenv("SEALOS_ISTIO_LOST", "sealos01")
    assert asyncio.run(istioctl_driver.remove(request)) == ""
    assert "istioctl stays on it (SEALOS_ISTIO_LOST)" in capsys.readouterr().err
