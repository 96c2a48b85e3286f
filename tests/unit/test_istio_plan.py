from __future__ import annotations

from typing import Any

import pytest

from components.config.mesh import IstioSettings
from components.istio.istio_operator import plan
from components.istio.readiness.model import Wanted


def settings(**more: Any) -> IstioSettings:
    return IstioSettings.model_validate(more)


def test_the_spec_pins_version_images_and_the_chain_that_cni_joins() -> None:
    spec = plan(settings(profile="demo", cni={"excludeNamespaces": ["kube-system", "monitoring"]})).manifest["spec"]
    assert (spec["profile"], spec["hub"], spec["tag"]) == ("demo", "istio", "1.5.0")
    assert spec["components"]["cni"] == {"enabled": True, "namespace": "kube-system"}
    cni = dict(spec["values"]["cni"])
    assert cni.pop("podAnnotations").keys() == {"sealos-istio/cni-chain"}
    assert cni == {
        "excludeNamespaces": ["kube-system", "monitoring"],
        "logLevel": "info",
        "cniConfFileName": "10-calico.conflist",
        "pullPolicy": "IfNotPresent",  # Istio 1.5's chart would ask a registry for an image that the node has
    }
    assert "pullPolicy" not in plan(settings(version="1.7.8")).manifest["spec"]["values"]["cni"]
    own = plan(settings(values={"cni": {"pullPolicy": "Always"}})).manifest["spec"]["values"]["cni"]
    assert own["pullPolicy"] == "Always"


def test_sidecars_start_from_an_image_that_the_node_has() -> None:
    def policy(version: str, **values: Any) -> Any:
        return plan(settings(version=version, values=values)).manifest["spec"]["values"].get("global")

    versions = ("1.5.0", "1.6.5", "1.9.4", "1.11.4")
    assert [policy(version) for version in versions] == [None, *[{"imagePullPolicy": "IfNotPresent"}] * 2, None]
    assert policy("1.6.5", **{"global": {"imagePullPolicy": "Always"}}) == {"imagePullPolicy": "Always"}


def test_another_chain_makes_the_installers_pods_anew() -> None:
    def digest(**cni: Any) -> str:
        found = plan(settings(cni=cni)).manifest["spec"]["values"]["cni"]["podAnnotations"]["sealos-istio/cni-chain"]
        return str(found)

    same: tuple[dict[str, Any], ...] = (
        {},
        {"excludeNamespaces": ["kube-system", "istio-system"]},
        {"k8s": {"podAnnotations": {"a": "b"}}},
    )
    other: tuple[dict[str, Any], ...] = (
        {"excludeNamespaces": ["kube-system"]},
        {"logLevel": "debug"},
        {"configFile": "10-x.conflist"},
    )
    assert len({digest(**cni) for cni in same}) == 1
    assert len({digest(**cni) for cni in (*other, {})}) == 4


def test_an_agent_whose_chart_keeps_the_settings_to_itself_is_told_them() -> None:
    cni = {
        "excludeNamespaces": ["kube-system", "shop"],
        "logLevel": "warn",
        "k8s": {"env": [{"name": "A", "value": "b"}]},
    }
    spec = plan(settings(version="1.23.2", cni=cni)).manifest["spec"]
    assert spec["components"]["cni"]["k8s"]["env"] == [
        {"name": "A", "value": "b"},
        {"name": "EXCLUDE_NAMESPACES", "value": "kube-system,shop"},
    ]
    assert spec["values"]["cni"]["logging"] == {"level": "default:info,cni-plugin:warn"}


def test_kialis_demo_secret_is_off_where_there_is_a_kiali() -> None:
    demo = plan(settings(profile="demo"))
    assert demo.needs_kiali_login
    assert demo.manifest["spec"]["values"]["kiali"] == {"createDemoSecret": False}
    without = plan(settings(profile="default"))
    assert not without.needs_kiali_login
    assert "kiali" not in without.manifest["spec"]["values"]


def test_without_cni_nothing_of_it_is_expected() -> None:
    made = plan(settings(cni={"enabled": False}))
    assert made.manifest["spec"]["components"]["cni"] == {"enabled": False}
    assert "values" not in made.manifest["spec"]
    assert made.wanted["cni"] is None


@pytest.mark.parametrize(
    ("given", "deployments"),
    [
        pytest.param({"profile": "minimal"}, ["istiod"], id="minimal"),
        pytest.param({"profile": "empty"}, [], id="empty"),
        pytest.param({"profile": "remote"}, ["istio-ingressgateway", "istiod"], id="remote"),
        pytest.param(
            {"profile": "demo"},
            [
                "grafana",
                "istio-egressgateway",
                "istio-ingressgateway",
                "istio-tracing",
                "istiod",
                "kiali",
                "prometheus",
            ],
            id="demo",
        ),
        pytest.param(
            {"profile": "default", "components": {"pilot": {"enabled": False}, "citadel": {"enabled": True}}},
            ["istio-citadel", "istio-ingressgateway", "prometheus"],
            id="components",
        ),
        pytest.param(
            {"profile": "default", "ingressGateways": [{"enabled": False}]}, ["istiod", "prometheus"], id="gateway off"
        ),
        pytest.param(
            {"profile": "minimal", "egressGateways": [{"enabled": True}]},
            ["istio-egressgateway", "istiod"],
            id="egress on",
        ),
    ],
)
def test_expected_deployments(given: dict[str, Any], deployments: list[str]) -> None:
    assert plan(settings(**given)).wanted["deployments"] == deployments


def test_the_gate_can_read_what_is_wanted_and_wants_what_was_asked_for() -> None:
    gateway = {
        "k8s": {
            "nodeSelector": {"kubernetes.io/hostname": "sealos02"},
            "service": {"type": "ClusterIP", "ports": [{"name": "http2", "port": 80}]},
            "overlays": [
                {
                    "kind": "Deployment",
                    "name": "istio-ingressgateway",
                    "patches": [{"path": "spec.template.spec", "value": {"hostNetwork": True}}],
                }
            ],
        }
    }
    wanted = Wanted.model_validate(plan(settings(ingressGateways=[gateway])).wanted)
    paths = {(field.kind, field.path[-1]): field.value for field in wanted.fields}
    assert paths["Deployment", "image"] == "istio/proxyv2:1.5.0"
    assert paths["Deployment", "nodeSelector"] == {"kubernetes.io/hostname": "sealos02"}
    assert paths["Deployment", "hostNetwork"] is True
    assert paths["Deployment", "ports"] == [{"containerPort": 80}, {"containerPort": 15090}]
    assert paths["Service", "type"] == "ClusterIP"
    assert paths["Service", "ports"] == [{"name": "http2", "port": 80}]


def test_mesh_config_is_handed_on() -> None:
    assert plan(settings(meshConfig={"accessLogFile": "/dev/stdout"})).manifest["spec"]["meshConfig"] == {
        "accessLogFile": "/dev/stdout"
    }
