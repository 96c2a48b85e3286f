"""What settings come to, on Istio 1.5.0's own renderer: our tables, one setting for host network, the published file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.istio import renderer
from components.istio.istio_operator import PROFILE_DEPLOYMENTS, plan
from components.istio.renderer import Rendered
from components.settings import IstioSettings
from tests.documented import Terminal
from tools import parts

NAME = "istio-ingressgateway"


def made(**istio: Any) -> tuple[dict[str, Any], Rendered]:
    planned = plan(IstioSettings.model_validate(istio))
    rendered = renderer.render(planned.manifest, parts.binary("istioctl"))
    assert renderer.unfulfilled(planned.manifest, rendered) == []
    return planned.wanted, rendered


def deployments(rendered: Rendered) -> list[str]:
    return sorted(known["metadata"]["name"] for known in rendered.objects if known["kind"] == "Deployment")


@pytest.mark.parametrize("profile", PROFILE_DEPLOYMENTS)
def test_each_profile_installs_what_the_table_says(profile: str) -> None:
    wanted, rendered = made(profile=profile)
    assert deployments(rendered) == wanted["deployments"] == sorted(PROFILE_DEPLOYMENTS[profile])
    assert "DaemonSet kube-system/istio-cni-node" in rendered.workloads()


@pytest.mark.parametrize("addon", ["prometheus", "grafana", "kiali", "tracing", "istiocoredns"])
def test_each_add_on_can_be_had_and_left_out(addon: str) -> None:
    for profile, enabled in (("minimal", True), ("demo", False)):
        wanted, rendered = made(profile=profile, addonComponents={addon: {"enabled": enabled}})
        assert deployments(rendered) == wanted["deployments"]


@pytest.mark.parametrize("nodes", [["sealos02"], ["sealos02", "sealos03"]])
def test_host_network_is_all_there(nodes: list[str]) -> None:
    _, rendered = made(cni={"enabled": False}, ingressGateways=[{"hostNetwork": {"nodes": nodes}}])
    deployment = rendered.named("Deployment", NAME)
    service = rendered.named("Service", NAME)
    assert deployment
    assert service
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert spec["replicas"] == len(nodes)
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] == 0
    assert sorted(port["containerPort"] for port in pod["containers"][0]["ports"]) == [80, 443, 15090]
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(80, 80), (443, 443)]
    assert service["spec"]["type"] == "ClusterIP"
    assert rendered.named("HorizontalPodAutoscaler", NAME) is None
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    chosen = pod.get("nodeSelector", {}).get("kubernetes.io/hostname") or terms[0]["matchExpressions"][0]["values"]
    assert chosen == (nodes[0] if len(nodes) == 1 else nodes)


def test_the_same_settings_are_rendered_the_same() -> None:
    """Otherwise a preview without a change would show one."""
    assert made(profile="demo")[1].shown() == made(profile="demo")[1].shown()


def test_the_render_command_prints_all_of_it_or_how_it_differs(tmp_path: Path) -> None:
    terminal = Terminal.clone(tmp_path)
    whole = terminal.documented("docs/istio.md", "What Istio will make of it", "make render")
    assert "# Deployment istio-system/istio-ingressgateway\n" in whole
    terminal.documented("docs/istio.md", "What Istio will make of it", "make render ARGS=--istio-operator")
    terminal.run('eval "$(make -s env)" && pulumi stack init dev')
    difference = terminal.documented("docs/istio.md", "What Istio will make of it", "make render ARGS=--diff")
    new = [line[1:] for line in difference.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert new, "nothing was there before"
    titles = [line for line in whole.splitlines() if line.startswith("# ") and not line.startswith("# istio.")]
    assert [line for line in new if line.startswith("# ")] == titles
