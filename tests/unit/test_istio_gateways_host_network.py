"""One setting for a gateway in its nodes' network: what comes of it, what contradicts it, who else has the ports."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.base import SettingsError
from components.config.load import parse
from components.config.mesh import IstioSettings
from components.istio.host_ports import for_preflight, host_gateways
from components.istio.istio_operator import plan
from tests.project import KEY

NAME = "istio-ingressgateway"


def mesh(host_network: dict[str, Any], **more: Any) -> dict[str, Any]:
    values = more.pop("values", {})
    return {"values": values, "ingressGateways": [{"hostNetwork": host_network, **more}]}


def by_overlay(patches: dict[str, Any], **k8s: Any) -> dict[str, Any]:
    """Host network as others write it."""
    patches = {"spec.template.spec.hostNetwork": True, **patches}
    listed = [{"path": path, "value": value} for path, value in patches.items()]
    return {"ingressGateways": [{"k8s": {**k8s, "overlays": [{"kind": "Deployment", "name": NAME, "patches": listed}]}}]}


def spec(istio: dict[str, Any]) -> Any:
    return plan(IstioSettings.model_validate(istio)).manifest["spec"]


def patches(istio: dict[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    overlays = spec(istio)["components"]["ingressGateways"][0]["k8s"]["overlays"]
    return {p["path"]: p["value"] for overlay in overlays if overlay["kind"] == kind for p in overlay["patches"]}


def test_one_setting_is_all_that_host_network_takes() -> None:
    made = spec(mesh({"nodes": ["sealos02"]}))
    gateway = made["components"]["ingressGateways"][0]
    ports = [{"name": n, "port": p, "targetPort": p, "protocol": "TCP"} for n, p in (("http2", 80), ("https", 443))]
    assert gateway["k8s"] == {
        "service": {"type": "ClusterIP", "ports": ports},
        "strategy": {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}},
        "replicaCount": 1,
        "nodeSelector": {"kubernetes.io/hostname": "sealos02"},
        "overlays": [
            {
                "kind": "Deployment",
                "name": NAME,
                "patches": [
                    {"path": "spec.template.spec.hostNetwork", "value": True},
                    {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"},
                ],
            },
            {"kind": "Service", "name": NAME, "patches": [{"path": "spec.ports", "value": ports}]},
        ],
    }
    chart = [{key: port[key] for key in ("name", "port", "targetPort")} for port in ports]
    assert made["values"]["gateways"][NAME] == {"autoscaleEnabled": False, "meshExpansionPorts": [], "ports": chart}


def test_several_nodes_have_a_pod_each_and_are_changed_one_by_one() -> None:
    istio = mesh({"nodes": ["sealos02", "sealos03"]})
    k8s = spec(istio)["components"]["ingressGateways"][0]["k8s"]
    assert k8s["replicaCount"] == 2
    assert k8s["strategy"] == {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    terms = next(value for path, value in patches(istio).items() if path.endswith("nodeSelectorTerms"))
    assert terms == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["sealos02", "sealos03"]}]}
    ]


def test_what_else_the_gateway_says_stays() -> None:
    own = {
        "resources": {"requests": {"cpu": "1"}},
        "overlays": [
            {
                "kind": "Deployment",
                "name": NAME,
                "patches": [{"path": "spec.template.spec.priorityClassName", "value": "high"}],
            }
        ],
    }
    istio = mesh({"nodes": ["sealos02"]}, k8s=own)
    assert spec(istio)["components"]["ingressGateways"][0]["k8s"]["resources"] == own["resources"]
    assert patches(istio)["spec.template.spec.priorityClassName"] == "high"
    assert patches(istio)["spec.template.spec.hostNetwork"] is True


def stack(istio: dict[str, Any], **more: Any) -> dict[str, Any]:
    def machine(number: int) -> dict[str, Any]:
        return {"name": f"sealos0{number}", "address": f"192.168.0.{number}", "hostKey": KEY}

    config = {"masters": [machine(1)], "nodes": [machine(2), machine(3)], "password": "set", "istio": istio}
    return {**config, **more}


def problems(config: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(config, "dev")
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("istio", "words"),
    [
        pytest.param(mesh({"nodes": []}), ["hostNetwork.nodes"], id="no node"),
        pytest.param(mesh({"nodes": ["sealos09"]}), ["no machine is named 'sealos09'", "sealos02"], id="unknown node"),
        pytest.param(mesh({"nodes": ["sealos01"]}), ["sealos01 is a master", "tolerations"], id="a master"),
        pytest.param(mesh({"nodes": ["sealos02", "sealos02"]}), ["sealos02 twice"], id="node twice"),
        pytest.param(
            mesh({"nodes": ["sealos02"]}, k8s={"replicaCount": 2}),
            ["names 1", "replicaCount is 2"],
            id="more pods than nodes",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"]}, k8s={"hpaSpec": {"maxReplicas": 3}}), ["hpaSpec", "scales"], id="autoscaler"
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"]}, values={"gateways": {NAME: {"autoscaleEnabled": True}}}),
            ["istio.values.gateways.istio-ingressgateway.autoscaleEnabled", "scales"],
            id="autoscaler by values",
        ),
        pytest.param(
            mesh(
                {"nodes": ["sealos02"]}, k8s={"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}}}
            ),
            ["strategy keeps the old pod", "leave it out"],
            id="new pod first",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"]}, k8s={"nodeSelector": {"kubernetes.io/hostname": "sealos03"}}),
            ["hostNetwork.nodes says sealos02", "sealos03"],
            id="two wishes for the node",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"], "ports": [{"name": "https", "port": 443}, {"name": "tls", "port": 443}]}),
            ["443 twice"],
            id="port twice",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"], "ports": [{"name": "tcp", "port": 22}]}),
            ["istio.ingressGateways[0]: port 22 (tcp) of sealos02 is the SSH server's already"],
            id="ssh",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"], "ports": [{"name": "tcp", "port": 10250}]}),
            ["port 10250 (tcp) of sealos02 is Kubernetes's already"],
            id="kubelet",
        ),
        pytest.param(
            mesh(
                {"nodes": ["sealos01"], "ports": [{"name": "https", "port": 6443}]},
                k8s={"tolerations": [{"operator": "Exists"}]},
            ),
            ["port 6443 (https) of sealos01 is the control plane's already"],
            id="API server",
        ),
        pytest.param(
            mesh({"nodes": ["sealos02"], "ports": [{"name": "tcp", "port": 179}]}), ["Calico's already"], id="BGP"
        ),
        pytest.param(
            {
                "ingressGateways": [{"hostNetwork": {"nodes": ["sealos02"]}}],
                "egressGateways": [{"hostNetwork": {"nodes": ["sealos02"], "ports": [{"name": "tls", "port": 15443}]}}],
            },
            [
                "istio.egressGateways[0]: port 15000",
                "15090",
                "the gateway istio-ingressgateway (istio.ingressGateways[0])",
            ],
            id="two gateways on a node share Envoy's own ports",
        ),
        pytest.param(
            by_overlay(
                {},
                nodeSelector={"kubernetes.io/hostname": "sealos02"},
                service={"ports": [{"name": "tcp", "port": 22}]},
            ),
            ["port 22 (tcp) of sealos02 is the SSH server's already"],
            id="by overlays, as others write it",
        ),
        pytest.param(
            by_overlay({}, nodeSelector={"kubernetes.io/hostname": "sealos02"}, replicaCount=2),
            ["istio.ingressGateways[0]: 2 replicas in the nodes' network, but 1 node(s) (sealos02) can have one each"],
            id="more pods than the node that they are pinned to",
        ),
        pytest.param(
            by_overlay({"spec.replicas": 3}), ["3 replicas", "2 node(s) (sealos02, sealos03)"], id="more pods than nodes"
        ),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_changed(istio: dict[str, Any], words: list[str]) -> None:
    said = problems(stack(istio))
    assert [word for word in words if word not in said] == [], said


def test_gateways_on_different_nodes_do_not_meet() -> None:
    istio = {
        "ingressGateways": [{"hostNetwork": {"nodes": ["sealos02"]}}],
        "egressGateways": [{"hostNetwork": {"nodes": ["sealos03"]}}],
    }
    assert parse(stack(istio), "dev").istio is not None


def test_the_ssh_port_is_the_machines_own() -> None:
    istio = mesh({"nodes": ["sealos02"], "ports": [{"name": "tcp", "port": 22}]})
    assert parse(stack(istio, ssh={"port": 2222}), "dev").ssh.port == 2222


def test_as_many_pods_as_nodes_can_have_them() -> None:
    by_label = by_overlay({}, nodeSelector={"edge": "true"}, replicaCount=9)  # which nodes that are only the cluster knows
    everywhere = by_overlay({}, tolerations=[{"operator": "Exists"}], replicaCount=3)
    for istio in (by_overlay({}, replicaCount=2), everywhere, by_label):
        assert parse(stack(istio), "dev").istio is not None


def looked_at(version: str, **k8s: Any) -> list[int]:
    istio = IstioSettings.model_validate({"version": version, **by_overlay({}, **k8s)})
    found = list(for_preflight(host_gateways(plan(istio))))
    assert {(node, gateway) for node, _, gateway in found} == {(None, NAME)}
    return [port for _, port, _ in found]


def test_the_preflight_looks_at_the_ports_that_the_pod_opens() -> None:
    service = {"ports": [{"name": "http2", "port": 80, "targetPort": 8080}]}
    assert looked_at("1.8.0", service=service) == [8080, 15090]
    # 1.5's chart opens `port`, while its Service leads to `targetPort`
    assert looked_at("1.5.0", service=service) == [80, 8080, 15090]


def test_without_a_list_of_ports_the_charts_are_the_nodes() -> None:
    # 1.5.0, operator/data/profiles/default.yaml: web, status, the telemetry add-ons, TLS between clusters; and Envoy's metrics
    assert looked_at("1.5.0") == sorted([80, 443, 15020, 15029, 15030, 15031, 15032, 15443, 15090])
    taken = by_overlay({}, nodeSelector={"kubernetes.io/hostname": "sealos02"})
    assert "port 15031 (grafana) of sealos02 is the SSH server's already" in problems(stack(taken, ssh={"port": 15031}))
