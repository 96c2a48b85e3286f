"""Gateways from Istio 1.6 on: names, labels, ports and overlays as each version takes them. 1.5's are in test_istio_gateways_overlays.py."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.base import SettingsError
from components.config.load import parse
from components.config.mesh import IstioSettings
from components.istio.gateways.model import OverlayError
from components.istio.istio_operator import plan
from tests.project import members

NAME = "istio-ingressgateway"
LATER = ("1.6.5", "1.7.8", "1.8.0")


def spec(version: str, *gateways: dict[str, Any], **more: Any) -> Any:
    istio = IstioSettings.model_validate({"version": version, "ingressGateways": list(gateways), **more})
    return plan(istio).manifest["spec"]


def gateways(version: str, *given: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec(version, *given, **more)["components"]["ingressGateways"]
    return found


def overlay(*patches: tuple[str, Any], name: str = NAME) -> dict[str, Any]:
    listed = [{"path": path} | ({} if value is None else {"value": value}) for path, value in patches]
    return {"k8s": {"overlays": [{"kind": "Deployment", "name": name, "patches": listed}]}}


def patches(version: str, *given: tuple[str, Any], **more: Any) -> list[dict[str, Any]]:
    [gateway] = gateways(version, overlay(*given), **more)
    found: list[dict[str, Any]] = gateway["k8s"]["overlays"][0]["patches"]
    return found


@pytest.mark.parametrize("version", LATER)
def test_without_a_name_it_is_the_profiles_own(version: str) -> None:
    assert gateways(version, {}) == [{"name": NAME, "enabled": True}]


def test_others_turn_off_the_profiles_own_where_istio_would_keep_it() -> None:
    edge = {"name": "edge", "enabled": True, "label": {"app": "edge", "istio": "edge"}}
    assert gateways("1.6.5", {"name": "edge"}) == [edge]
    assert gateways("1.7.8", {"name": "edge"}) == [edge, {"name": NAME, "enabled": False}]


@pytest.mark.parametrize("version", LATER)
def test_each_has_labels_of_its_own_for_they_are_the_selector(version: str) -> None:
    own, edge = gateways(version, {"name": NAME, "label": {"team": "a"}}, {"name": "istio-edge", "label": {"istio": "e"}})
    assert own["label"] == {"app": NAME, "istio": "ingressgateway", "team": "a"}
    assert edge["label"] == {"app": "istio-edge", "istio": "e"}


def test_two_of_a_name_are_refused() -> None:
    with pytest.raises(OverlayError, match=r"istio\.ingressGateways: istio-ingressgateway is listed twice"):
        gateways("1.7.8", {}, {"name": NAME})


@pytest.mark.parametrize("version", LATER)
def test_ports_are_the_services_and_nothing_in_the_values(version: str) -> None:
    ports = [{"name": "https", "port": 443, "targetPort": 8443}]
    made = spec(version, {"k8s": {"service": {"ports": ports}}})
    assert made["components"]["ingressGateways"][0]["k8s"]["service"]["ports"] == ports
    assert "gateways" not in made.get("values", {})


def test_a_service_without_ports_would_have_none_so_they_are_written_out() -> None:
    service = {"k8s": {"service": {"type": "ClusterIP"}}}
    [first] = gateways("1.6.5", service)
    assert [port["port"] for port in first["k8s"]["service"]["ports"]] == [15021, 80, 443, 15443]
    # merged into the profile's, which has them
    assert gateways("1.7.8", service)[0]["k8s"]["service"] == {"type": "ClusterIP"}
    edge = gateways("1.7.8", {"name": "edge", **service})[0]
    assert [port["port"] for port in edge["k8s"]["service"]["ports"]] == [15021, 80, 443, 15443]


@pytest.mark.parametrize(
    ("version", "values"),
    [
        ("1.6.5", {"autoscaleEnabled": False, "meshExpansionPorts": []}),
        ("1.7.8", {"autoscaleEnabled": False, "runAsRoot": True}),
        ("1.8.0", {"autoscaleEnabled": False, "runAsRoot": True}),
    ],
)
def test_host_network_takes_what_the_version_asks_for(version: str, values: dict[str, Any]) -> None:
    made = spec(version, {"hostNetwork": {"nodes": ["sealos02"]}})
    assert made["values"]["gateways"][NAME] == values
    written = overlay(("spec.template.spec.hostNetwork", True))
    written["k8s"]["service"] = {"ports": [{"name": "http2", "port": 8080, "targetPort": 80}]}
    assert spec(version, written)["values"]["gateways"][NAME] == values, "as published, the pod's port counts"


def test_high_ports_need_no_root() -> None:
    ports = [{"name": "https", "port": 8443}]
    made = spec("1.7.8", {"hostNetwork": {"nodes": ["sealos02"], "ports": ports}})
    assert made["values"]["gateways"][NAME] == {"autoscaleEnabled": False}


def test_a_leaf_is_patched_where_others_may_be() -> None:
    into: tuple[str, dict[str, Any]] = ("spec.template.spec.securityContext", {"sysctls": []})
    assert patches("1.5.0", into) == [{"path": into[0], "value": {"sysctls": []}}]
    # 1.6 has no security context while it runs as root, and makes no parents: the map is made whole
    assert patches("1.6.5", into) == [{"path": into[0], "value": {"sysctls": []}}]
    assert patches("1.7.8", into) == [{"path": f"{into[0]}.sysctls", "value": []}]
    deep = ("spec.template.spec.dnsConfig", {"options": [{"name": "ndots"}], "searches": ["a"]})
    assert [patch["path"] for patch in patches("1.7.8", deep)] == [f"{deep[0]}.options", f"{deep[0]}.searches"]


def test_a_maps_key_can_be_deleted_from_1_6_on_when_it_is_there() -> None:
    path = "spec.template.spec.affinity"
    assert patches("1.6.5", (path, None)) == [{"path": path}]
    with pytest.raises(OverlayError, match="silently ignores a map's key"):
        patches("1.5.0", (path, None))
    with pytest.raises(OverlayError, match="nothing is there to delete"):
        patches("1.6.5", ("spec.template.spec.dnsConfig", None))


def test_minus_one_appends_from_1_7_on() -> None:
    path = "spec.template.spec.containers.[-1]"
    item = ("spec.template.spec.containers.[-1]", {"name": "log", "image": "busybox"})
    [patch] = patches("1.7.8", item)
    assert patch == {"path": path, "value": {"name": "log", "image": "busybox"}}
    with pytest.raises(OverlayError, match="no index does either"):
        patches("1.6.5", item)
    with pytest.raises(OverlayError, match="crashes the operator"):
        patches("1.6.5", ("spec.template.spec.volumes.[-1]", {"name": "more"}))


def stack(**istio: Any) -> Any:
    return parse({**members(2), "password": "set", "istio": istio}, "dev")


@pytest.mark.parametrize(
    ("istio", "words"),
    [
        ({"version": "1.6.5", "profile": "separate"}, r"istio\.profile: Istio 1\.6\.5 has no profile separate; it has default,"),
        ({"version": "1.5.0", "profile": "preview"}, r"Istio 1\.5\.0 has no profile preview; it has .*separate"),
        ({"version": "1.8.0", "addonComponents": {"kiali": {"enabled": True}}}, r"Istio 1\.8\.0 installs no kiali"),
        ({"version": "1.9.0"}, r"istio\.version: Istio 1\.9\.0 does not run on .*use 1\.5\.0, 1\.6\.5, 1\.7\.8, 1\.8\.0"),
    ],
)
def test_what_a_version_does_not_have_is_refused_with_what_it_has(istio: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        stack(**istio)


def test_two_gateways_on_one_node_meet_whatever_they_are_called() -> None:
    hosts = [{"name": name, "hostNetwork": {"nodes": ["sealos02"], "ports": [{"name": "a", "port": port}]}}
             for name, port in (("one", 8001), ("two", 8002))]  # fmt: skip
    with pytest.raises(SettingsError, match=r"port 15000 .*15021 .*15090 .* of sealos02 is the gateway one"):
        stack(version="1.7.8", ingressGateways=hosts)
