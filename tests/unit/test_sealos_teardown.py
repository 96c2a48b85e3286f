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
from components.remote.models import MachineError
from components.sealos import teardown
from components.sealos.facts import Facts
from components.sealos.owner import owner
from components.sealos.requests import Install, Preflight
from tests.project import KEY

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


@pytest.mark.parametrize("lost", ["", "sealos02", "sealos01", "sealos01,sealos03", "sealos01,sealos02,sealos03"])
def test_without_the_first_master_whoever_is_not_given_up_is_an_error(
    lost: str, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_LOST", lost)
    machines = fleet(sealos01=ports[0], sealos02=ports[0], sealos03=ports[1])
    for machine, address in zip(machines["machines"], ("127.0.0.9", "127.0.0.2", "127.0.0.1"), strict=True):
        machine["address"] = address
    request = Preflight.model_validate(
        {"fleet": machines, "cluster": "prod", "kubernetesVersion": "v1.16.3", **ARTIFACTS}
    )
    if lost.count("sealos") == 3:
        assert asyncio.run(teardown.run_sweep(request)) == ""
        assert capsys.readouterr().err.count("what it holds of the cluster stays on it; it is left as it is") == 2
        return
    with pytest.raises(DriverError) as caught:
        asyncio.run(teardown.run_sweep(request))
    said = str(caught.value)
    if "sealos01" not in lost:
        assert "Nothing was cleaned: it begins at sealos01" in said
        return
    assert "machines could not be seen clean:\n  sealos02: 127.0.0.2:" in said
    assert ("sealos03: 127.0.0.1:" in said) == ("sealos03" not in lost)
    assert f"`SEALOS_ISTIO_LOST={'sealos02' if 'sealos03' in lost else 'sealos02,sealos03'} pulumi destroy`" in said


OURS, THEIRS = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("facts", "ca", "kind"),
    [
        pytest.param(Facts(), OURS, "bare", id="bare"),
        pytest.param(Facts(alive=frozenset({"etcd"})), OURS, "bare", id="an etcd of its own"),
        pytest.param(Facts(member="prod"), OURS, "ours", id="our note"),
        pytest.param(Facts(member="prod", ca=OURS, kubelet_ca=OURS), OURS, "ours", id="note and CA"),
        pytest.param(Facts(leftovers=("x",), kubelet_ca=OURS), OURS, "ours", id="our CA"),
        pytest.param(Facts(member="prod", kubelet_ca=THEIRS), OURS, "other", id="our note, another CA"),
        pytest.param(Facts(member="other", kubelet_ca=OURS), OURS, "other", id="another note"),
        pytest.param(Facts(marker={"name": "other"}), None, "other", id="another's first master"),
        pytest.param(Facts(member="prod", kubelet_ca=THEIRS), None, "ours", id="nobody knows our CA any more"),
        pytest.param(Facts(member="prod", member_ca=OURS, kubelet_ca=THEIRS), None, "other", id="but our note does"),
        pytest.param(Facts(leftovers=("x",), kubelet_ca=OURS), None, "unknown", id="nobody knows our CA, no note"),
        pytest.param(Facts(leftovers=("x",)), OURS, "unknown", id="no sign"),
        pytest.param(Facts(alive=frozenset({"kubelet"})), OURS, "unknown", id="a kubelet of nobody's"),
    ],
)
def test_whose_a_machine_is(facts: Facts, ca: str | None, kind: str) -> None:
    assert owner(facts, "prod", ca).kind == kind


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
