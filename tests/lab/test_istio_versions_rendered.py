"""What the table of versions says, held against each version's own istioctl: profiles, add-ons, gateways, the operator's objects."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.istio import operator_manifests as manifests
from components.istio import renderer
from components.istio.istio_operator import KINDS, plan
from components.istio.renderer import Rendered
from components.istio.shapes import GatewayKind, gateway_objects
from components.istio.versions import accepted, release
from components.settings import IstioSettings
from lab.machines import ISTIO
from tools import parts

LATER = [version for version in accepted() if version != ISTIO]
PROFILES = [(version, profile) for version in accepted() for profile in sorted(release(version).profiles)]
GATEWAYS = [(version, kind) for version in accepted() for kind in KINDS]


def istioctl(version: str) -> Path:
    return parts.binary("istioctl" if version == ISTIO else f"istioctl-{version}")


def made(version: str, **istio: Any) -> tuple[dict[str, Any], Rendered]:
    """What is wanted of settings, and what Istio makes of them."""
    planned = plan(IstioSettings.model_validate({"version": version, **istio}))
    rendered = renderer.render(planned.manifest, istioctl(version))
    assert renderer.unfulfilled(planned.manifest, rendered) == []
    return planned.wanted, rendered


def deployments(rendered: Rendered) -> list[str]:
    return sorted(known["metadata"]["name"] for known in rendered.objects if known["kind"] == "Deployment")


@pytest.mark.parametrize(("version", "profile"), PROFILES)
def test_each_profile_installs_what_the_table_says(version: str, profile: str) -> None:
    wanted, rendered = made(version, profile=profile)
    assert deployments(rendered) == wanted["deployments"] == sorted(release(version).profiles[profile])
    cni = rendered.named("DaemonSet", "istio-cni-node", "kube-system")
    assert cni
    assert cni["spec"]["template"]["spec"]["containers"][0]["name"] == "install-cni"


@pytest.mark.parametrize("version", LATER)
def test_every_profile_of_its_own_is_in_the_table(version: str) -> None:
    listed = subprocess.run(
        [istioctl(version), "profile", "list"],
        env={"KUBECONFIG": "/dev/null"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.strip() for line in listed.stdout.splitlines()[1:]} >= set(release(version).profiles)


@pytest.mark.parametrize("version", accepted())
def test_each_add_on_can_be_had_and_left_out(version: str) -> None:
    for addon in release(version).addons:
        for profile, enabled in (("minimal", True), ("demo", False)):
            wanted, rendered = made(version, profile=profile, addonComponents={addon: {"enabled": enabled}})
            assert deployments(rendered) == wanted["deployments"], addon


@pytest.mark.parametrize("version", LATER)
def test_the_operators_objects_are_those_that_istioctl_dumps(version: str) -> None:
    dumped = subprocess.run(
        [istioctl(version), "operator", "dump"],
        env={"KUBECONFIG": "/dev/null"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = {known["kind"]: known for known in yaml.safe_load_all(dumped.stdout) if known}
    ours = {
        known["kind"]: known
        for known in (
            manifests.namespace(),
            manifests.service_account(),
            manifests.cluster_role(version),
            manifests.cluster_role_binding(),
            manifests.service(),
            manifests.deployment("docker.io/istio", version, "istio-system", "an identity"),
        )
    }
    assert set(theirs) == {*ours, "CustomResourceDefinition"}
    assert theirs["CustomResourceDefinition"]["metadata"]["name"] == manifests.CRD_NAME
    theirs["ClusterRole"]["metadata"].pop("creationTimestamp", None)
    for port in theirs["Service"]["spec"]["ports"]:
        port.setdefault("protocol", "TCP")
    [container] = theirs["Deployment"]["spec"]["template"]["spec"]["containers"]
    watched = container["env"][0]
    # from 1.7 on `dump` leaves open what `init` gives this value
    watched["value"] = watched["value"] or "istio-system"
    # ours on purpose: what restarts it, and a label as on its pods
    assert ours["Deployment"]["spec"]["template"]["metadata"].pop("annotations") == {
        manifests.RESTART_ANNOTATION: "an identity"
    }
    ours["Deployment"]["metadata"].pop("labels")
    for kind, known in ours.items():
        assert known == theirs[kind], kind


def missing(shape: Any, live: Any, path: str = "") -> Iterator[str]:
    """Where a rendered object lacks what a shape says of it."""
    if isinstance(shape, dict):
        for key, inside in shape.items():
            if not isinstance(live, dict) or key not in live:
                yield f"{path}.{key}"
            else:
                yield from missing(inside, live[key], f"{path}.{key}")
    elif isinstance(shape, list):
        for position, inside in enumerate(shape):
            name = inside.get("name", "…")
            if position >= len(live) or name not in ("…", live[position].get("name")):
                yield f"{path}[{position}] {name}"
            else:
                yield from missing({key: value for key, value in inside.items() if key != "name"}, live[position], f"{path}[{position}]")  # fmt: skip


@pytest.mark.parametrize("as_root", [True, False])
@pytest.mark.parametrize(("version", "kind"), GATEWAYS)
def test_a_gateway_has_the_shape_that_overlays_rely_on(version: str, kind: GatewayKind, as_root: bool) -> None:
    known, chart = release(version), f"istio-{kind}gateway"
    if not as_root and known.gateway_names:
        return  # 1.5's charts know no other user
    values = {} if known.gateway_names else {"gateways": {chart: {"runAsRoot": as_root}}}
    for name in (chart,) if known.gateway_names else (chart, "edge"):
        _, rendered = made(version, profile="demo", values=values, **{f"{kind}Gateways": [{"name": name}]})
        for (of, called), shape in gateway_objects(kind, {}, known, name, as_root).items():
            live = rendered.named(of, called)
            assert live, f"{of} {called}"
            assert list(missing(shape, live)) == [], f"{of} {called}"


@pytest.mark.parametrize("nodes", [["sealos02"], ["sealos02", "sealos03"]])
@pytest.mark.parametrize("version", accepted())
def test_host_network_is_all_there(version: str, nodes: list[str]) -> None:
    _, rendered = made(version, cni={"enabled": False}, ingressGateways=[{"hostNetwork": {"nodes": nodes}}])
    deployment = rendered.named("Deployment", "istio-ingressgateway")
    service = rendered.named("Service", "istio-ingressgateway")
    assert deployment
    assert service
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert "securityContext" not in pod, "ports 80 and 443 take root"
    assert spec["replicas"] == len(nodes)
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] == 0
    assert sorted(port["containerPort"] for port in pod["containers"][0]["ports"]) == [80, 443, 15090]
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(80, 80), (443, 443)]
    assert service["spec"]["type"] == "ClusterIP"
    assert rendered.named("HorizontalPodAutoscaler", "istio-ingressgateway") is None
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    chosen = pod.get("nodeSelector", {}).get("kubernetes.io/hostname") or terms[0]["matchExpressions"][0]["values"]
    assert chosen == (nodes[0] if len(nodes) == 1 else nodes)


@pytest.mark.parametrize("version", accepted())
def test_the_same_settings_are_rendered_the_same(version: str) -> None:
    """Otherwise a preview without a change would show one."""
    addons = {addon: {"enabled": True} for addon in release(version).addons}
    first, again = (made(version, profile="demo", addonComponents=addons)[1].shown() for _ in range(2))
    assert first == again


@pytest.mark.parametrize("version", LATER)
def test_several_gateways_have_names_selectors_and_ports_of_their_own(version: str) -> None:
    https = {"name": "https", "port": 443, "targetPort": 8443}
    gateways = [
        {"name": "istio-edge", "k8s": {"service": {"type": "ClusterIP", "ports": [https]}}},
        {"name": "inner", "label": {"team": "web"}, "k8s": {"service": {"type": "ClusterIP"}}},
    ]
    wanted, rendered = made(version, profile="default", ingressGateways=gateways)
    assert deployments(rendered) == wanted["deployments"]
    assert "istio-ingressgateway" not in wanted["deployments"], "the list replaces the profile's"
    for name, labels, ports in (
        ("istio-edge", {"app": "istio-edge", "istio": "edge"}, [443]),
        ("inner", {"app": "inner", "istio": "inner", "team": "web"}, [80, 443, 15021, 15443]),
    ):
        deployment, service = rendered.named("Deployment", name), rendered.named("Service", name)
        assert deployment
        assert service
        assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
        assert sorted(port["port"] for port in service["spec"]["ports"]) == ports
