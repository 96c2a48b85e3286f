"""Meshes as people write them: what was asked for is what the operator gets and what the gate waits for, or is refused by key."""

from __future__ import annotations

from typing import Any

import pytest

from components.istio.istio_operator import ControlPlanePlan, plan
from components.istio.match import holds
from components.istio.patches import OverlayError
from components.settings import IstioSettings

NAME = "istio-ingressgateway"
POD = "spec.template.spec"
PROXY = f"{POD}.containers.[name:istio-proxy]"


def made(version: str = "1.8.0", **istio: Any) -> ControlPlanePlan:
    return plan(IstioSettings.model_validate({"version": version, **istio}))


def overlay(kind: str, *patches: tuple[str, Any], name: str = NAME) -> dict[str, Any]:
    listed = [{"path": path, **({} if value is None else {"value": value})} for path, value in patches]
    return {"overlays": [{"kind": kind, "name": name, "patches": listed}]}


def gateway(version: str, kind: str, *patches: tuple[str, Any], **k8s: Any) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """The gateway as the operator gets it, and its patches by object's kind and path."""
    planned = made(version, ingressGateways=[{"name": NAME, "k8s": {**k8s, **overlay(kind, *patches)}}])
    [written] = planned.manifest["spec"]["components"]["ingressGateways"]
    found: dict[tuple[str, str], Any] = {}
    for one in written["k8s"].get("overlays", ()):
        for patch in one["patches"]:
            found.setdefault((one["kind"], patch["path"]), []).append(patch.get("value"))
    return written, found


def test_two_items_appended_to_one_list_are_both_there() -> None:
    volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "lua", "configMap": {"name": "edge-lua"}}]
    mounts = [{"name": "scratch", "mountPath": "/var/scratch"}, {"name": "lua", "mountPath": "/etc/lua"}]
    variables = [{"name": "EDGE_ZONE", "value": "a"}, {"name": "EDGE_TIER", "value": "front"}]
    patches = [
        *((f"{POD}.volumes[-1]", item) for item in volumes),
        *((f"{PROXY}.volumeMounts[-1]", item) for item in mounts),
        *((f"{PROXY}.env[-1]", item) for item in variables),
    ]
    written, found = gateway("1.8.0", "Deployment", *patches)
    assert found["Deployment", f"{POD}.volumes.[-1]"] == volumes
    assert found["Deployment", f"{PROXY}.volumeMounts.[-1]"] == mounts
    assert written["k8s"]["env"] == variables


@pytest.mark.parametrize("index", ["[-1]", "[100]"])
def test_an_index_beyond_the_end_appends_each_time(index: str) -> None:
    items = [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]
    _, found = gateway("1.8.0", "Deployment", *((f"{POD}.containers.{index}", item) for item in items))
    assert found["Deployment", f"{POD}.containers.[-1]"] == items
    _, found = gateway("1.5.0", "Deployment", *((f"{POD}.containers.{index}", item) for item in items))
    assert [found["Deployment", f"{POD}.containers.[{n}]"] for n in (1, 2)] == [[item] for item in items]


def test_what_is_appended_to_a_list_that_is_not_there_is_the_list() -> None:
    items = [{"operator": "Exists"}, {"key": "edge", "operator": "Exists"}]
    _, found = gateway("1.13.4", "Deployment", *((f"{POD}.tolerations.[-1]", item) for item in items))
    assert found == {("Deployment", f"{POD}.tolerations"): [items]}
    # and to one that was given whole before
    whole, more = (f"{POD}.tolerations", items[:1]), (f"{POD}.tolerations.[-1]", items[1])
    assert gateway("1.5.0", "Deployment", whole, more)[1] == {("Deployment", f"{POD}.tolerations"): [items]}


def test_a_text_that_is_the_yaml_of_a_map_is_that_map() -> None:
    text = "name: A\nvalue: x: y\n"
    assert gateway("1.8.0", "Deployment", (f"{PROXY}.env[-1]", "name: A\nvalue: 'x: y'\n"))[0]["k8s"]["env"] == [{"name": "A", "value": "x: y"}]
    with pytest.raises(OverlayError, match="a variable needs its name"):
        gateway("1.8.0", "Deployment", (f"{PROXY}.env[-1]", text))  # no YAML
    _, found = gateway("1.5.0", "Deployment", (f"{POD}.tolerations", "- operator: Exists\n  key: edge\n"))
    assert found["Deployment", f"{POD}.tolerations"] == [[{"operator": "Exists", "key": "edge"}]]


def test_a_text_stays_one_where_kubernetes_has_texts() -> None:
    annotation = r"metadata.annotations.example\.com/note"
    _, found = gateway("1.5.0", "Service", (annotation, "a: b"))
    assert found["Service", "metadata.annotations"] == [{"example.com/note": "a: b"}]
    with pytest.raises(OverlayError, match=r"Istio 1\.8\.0 reads the text 'a: b' as a map.*k8s\.serviceAnnotations"):
        gateway("1.8.0", "Service", (annotation, "a: b"))
    assert gateway("1.8.0", "Deployment", (f"{PROXY}.image", "registry.example.com:5000/x:1"))[1]


def test_the_gate_finds_what_was_appended_by_its_content() -> None:
    port = {"name": "tcp-mqtt", "port": 8883, "targetPort": 8883}
    planned = made("1.8.0", ingressGateways=[{"name": NAME, "k8s": overlay("Service", ("spec.ports[-1]", port))}])
    [field] = [f for f in planned.wanted["fields"] if f["kind"] == "Service"]
    kept = [{"name": "http2", "port": 80, "nodePort": 30001}, {**port, "protocol": "TCP", "nodePort": 30002}]
    assert holds({"spec": {"ports": kept}}, field["path"], field["value"])
    assert holds({"spec": {"ports": kept[::-1]}}, field["path"], field["value"])
    assert not holds({"spec": {"ports": kept[:1]}}, field["path"], field["value"])
    assert not holds({"spec": {}}, field["path"], field["value"])


@pytest.mark.parametrize("version", ["1.5.0", "1.6.5", "1.8.0"])
def test_ports_that_are_listed_and_changed_by_overlays_are_one_list(version: str) -> None:
    http, more = {"name": "http2", "port": 80, "targetPort": 8080}, {"name": "tcp-mqtt", "port": 8883, "targetPort": 8883}
    patches = (("spec.ports[-1]", more), ("spec.ports.[name:http2].nodePort", 30080))
    planned = made(version, ingressGateways=[{"name": NAME, "k8s": {"service": {"ports": [http]}, **overlay("Service", *patches)}}])
    [written] = planned.manifest["spec"]["components"]["ingressGateways"]
    listed = [{**http, "nodePort": 30080}, more]
    assert written["k8s"]["service"]["ports"] == listed
    assert written["k8s"].get("overlays", []) == []
    assert [f["value"] for f in planned.wanted["fields"] if f["path"] == ["spec", "ports"]] == [listed]
    # the same by an overlay of the whole list
    _, found = gateway(version, "Service", ("spec.ports", [http]), *patches)
    assert found == {("Service", "spec.ports"): [listed]}


def test_items_that_the_chart_has_are_patched_where_they_are() -> None:
    for path, value in (("spec.ports.[name:http2].nodePort", 30080), ("spec.ports.[port:443].nodePort", 30443)):
        assert gateway("1.5.0", "Service", (path, value))[1] == {("Service", path): [value]}
    for path, value in ((f"{PROXY}.ports.[containerPort:15090].hostPort", 15090), (f"{PROXY}.args.[0]", "proxy")):
        assert gateway("1.5.0", "Deployment", (path, value))[1] == {("Deployment", path): [value]}
    with pytest.raises(OverlayError, match="an item can't be added safely"):
        gateway("1.5.0", "Service", ("spec.ports.[name:nope].nodePort", 30080))


PROBE = {"tcpSocket": {"port": 15020}, "periodSeconds": 5}


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
def test_maps_of_which_kubernetes_takes_one_key_are_replaced(version: str) -> None:
    volume = f"{POD}.volumes.[name:ingressgateway-certs]"
    certs = {"name": "ingressgateway-certs", "hostPath": {"path": "/srv/certs"}}
    patches = (("spec.strategy", {"type": "Recreate"}), (f"{PROXY}.readinessProbe", PROBE), (volume, certs))
    written, found = gateway(version, "Deployment", *patches)
    assert "strategy" not in written["k8s"]
    assert found["Deployment", "spec.strategy"] == [{"type": "Recreate"}]
    assert found["Deployment", volume] == [certs]
    if version == "1.5.0":
        assert found["Deployment", f"{PROXY}.readinessProbe"] == [PROBE]
    else:
        assert found["Deployment", f"{PROXY}.readinessProbe.httpGet"] == [None]
        assert found["Deployment", f"{PROXY}.readinessProbe.periodSeconds"] == [5]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.strategy", {"rollingUpdate": {"maxSurge": 0}}),
        (f"{PROXY}.readinessProbe", {"httpGet": {"path": "/ready"}, "failureThreshold": 3}),
        (f"{POD}.volumes.[name:ingressgateway-certs]", {"secret": {"secretName": "mine"}}),
    ],
)
def test_the_same_source_is_merged_as_ever(path: str, value: dict[str, Any]) -> None:
    _, found = gateway("1.5.0", "Deployment", (path, value))
    assert all(len(at) > len(path) for _, at in found)


def test_a_null_beside_what_takes_its_place_is_no_deletion() -> None:
    idiom = ("spec.strategy", {"type": "Recreate", "rollingUpdate": None})
    assert gateway("1.5.0", "Deployment", idiom)[1] == {("Deployment", "spec.strategy"): [{"type": "Recreate"}]}
    probe = (f"{PROXY}.readinessProbe", {"httpGet": None, **PROBE})
    assert gateway("1.5.0", "Deployment", probe)[1] == {("Deployment", probe[0]): [PROBE]}


def test_of_two_patches_the_later_handler_counts() -> None:
    hook = f"{PROXY}.lifecycle.preStop"
    first, second = (f"{hook}.exec.command", ["sleep", "5"]), (f"{hook}.httpGet", {"path": "/bye", "port": 15020})
    _, found = gateway("1.5.0", "Deployment", first, second)
    assert found == {("Deployment", f"{PROXY}.lifecycle"): [{"preStop": {"httpGet": {"path": "/bye", "port": 15020}}}]}


def test_a_variable_has_one_source() -> None:
    secret = {"secretKeyRef": {"name": "zone", "key": "zone"}}
    written, found = gateway("1.5.0", "Deployment", (f"{PROXY}.env.[name:NODE_NAME].valueFrom", secret))
    variable = {"name": "NODE_NAME", "valueFrom": secret}
    assert written["k8s"]["env"] == [variable]
    assert found == {("Deployment", f"{PROXY}.env.[name:NODE_NAME]"): [variable]}
    # a value over a value, or a variable of one's own, need no more than the setting
    assert gateway("1.5.0", "Deployment", env=[{"name": "ISTIO_META_ROUTER_MODE", "value": "standard"}, {"name": "MINE", "valueFrom": secret}])[1] == {}


def test_settings_are_replaced_as_overlays_are() -> None:
    written, found = gateway("1.5.0", "Deployment", strategy={"type": "Recreate"}, readinessProbe=PROBE)
    assert not {"strategy", "readinessProbe"} & written["k8s"].keys()
    assert found == {("Deployment", "spec.strategy"): [{"type": "Recreate"}], ("Deployment", f"{PROXY}.readinessProbe"): [PROBE]}
    _, found = gateway("1.8.0", "Deployment", podDisruptionBudget={"maxUnavailable": 1})
    assert found == {("PodDisruptionBudget", "spec.minAvailable"): [None], ("PodDisruptionBudget", "spec.maxUnavailable"): [1]}
    with pytest.raises(OverlayError, match="can't delete it; set spec.minAvailable instead"):
        gateway("1.5.0", "Deployment", podDisruptionBudget={"maxUnavailable": 1})
