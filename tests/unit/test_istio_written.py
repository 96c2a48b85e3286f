"""Meshes as people write them: what was asked for is what the operator gets and what the gate waits for, or is refused by key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.base import SettingsError
from components.config.load import _mesh as settings_of
from components.config.load import parse
from components.config.mesh import IstioSettings
from components.config.operator_file import pull_secrets
from components.config.stack import Settings
from components.istio.gateways.model import OverlayError
from components.istio.istio_operator import ControlPlanePlan, plan
from components.istio.match import holds
from components.istio.operator_manifests import deployment, namespace
from components.istio.readiness.judge import judge
from components.istio.readiness.model import View, Wanted
from components.istio.readiness.report import report
from tests.project import members
from tests.unit.test_istio_gate import deployment as deployment_there
from tests.unit.test_istio_gate import ready

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


def test_what_was_appended_is_chosen_by_its_content() -> None:
    item = {"name": "a", "image": "x"}
    for version, place in (("1.8.0", "[-1]"), ("1.5.0", "[1]")):
        patches = ((f"{POD}.containers[-1]", item), (f"{POD}.containers.[name:a].resources.limits.cpu", "1"))
        _, found = gateway(version, "Deployment", *patches)
        assert found == {("Deployment", f"{POD}.containers.{place}"): [{**item, "resources": {"limits": {"cpu": "1"}}}]}
    port = {"name": "tcp-mqtt", "port": 8883}
    _, found = gateway("1.8.0", "Service", ("spec.ports[-1]", port), ("spec.ports.[port:8883].nodePort", 30883))
    assert found == {("Service", "spec.ports.[-1]"): [{**port, "nodePort": 30883}]}


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
    mount = f"{PROXY}.volumeMounts.[name:istio-token].readOnly"
    assert gateway("1.5.0", "Deployment", (mount, True))[1] == {("Deployment", mount): [True]}
    metrics = f"{PROXY}.ports.[name:http-envoy-prom].hostPort"
    assert gateway("1.13.4", "Deployment", (metrics, 15090))[1] == {("Deployment", metrics): [15090]}
    written: tuple[tuple[str, Any], ...] = ((f"{PROXY}.ports.[containerPort:15090].hostPort", 15090), (f"{PROXY}.args.[0]", "proxy"))
    for path, asked in written:
        assert gateway("1.5.0", "Deployment", (path, asked))[1] == {("Deployment", path): [asked]}
    with pytest.raises(OverlayError, match="an item can't be added safely"):
        gateway("1.5.0", "Service", ("spec.ports.[name:nope].nodePort", 30080))
    # some profiles have more ports than others, and a port without its number is none
    assert gateway("1.8.0", "Service", ("spec.ports.[name:tcp].nodePort", 31400))[1] == {("Service", "spec.ports.[name:tcp].nodePort"): [31400]}
    assert gateway("1.8.0", "Service", ("spec.ports.[name:mine]", {"name": "mine", "port": 1234}))[1] == {
        ("Service", "spec.ports.[-1]"): [{"name": "mine", "port": 1234}]
    }


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
    # Istio's API refuses the reference's name in k8s.env
    assert written["k8s"]["env"] == [{"name": "NODE_NAME", "value": ""}]
    assert found == {("Deployment", f"{PROXY}.env.[name:NODE_NAME]"): [{"name": "NODE_NAME", "valueFrom": secret}]}
    mine = {"name": "NODE_NAME", "value": "mine"}
    written, found = gateway("1.5.0", "Deployment", env=[mine])
    assert written["k8s"]["env"] == [mine]
    assert found == {("Deployment", f"{PROXY}.env.[name:NODE_NAME]"): [mine]}
    # a value over a value, or one of one's own, need no more than the setting
    plain = [{"name": "ISTIO_META_ROUTER_MODE", "value": "standard"}, {"name": "MINE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    written, found = gateway("1.5.0", "Deployment", env=plain)
    assert (written["k8s"]["env"], found) == (plain, {})


def test_settings_are_replaced_as_overlays_are() -> None:
    written, found = gateway("1.5.0", "Deployment", strategy={"type": "Recreate"}, readinessProbe=PROBE)
    assert not {"strategy", "readinessProbe"} & written["k8s"].keys()
    assert found == {("Deployment", "spec.strategy"): [{"type": "Recreate"}], ("Deployment", f"{PROXY}.readinessProbe"): [PROBE]}
    _, found = gateway("1.8.0", "Deployment", podDisruptionBudget={"maxUnavailable": 1})
    assert found == {("PodDisruptionBudget", "spec.minAvailable"): [None], ("PodDisruptionBudget", "spec.maxUnavailable"): [1]}
    with pytest.raises(OverlayError, match=r"can't delete it; set spec\.minAvailable instead"):
        gateway("1.5.0", "Deployment", podDisruptionBudget={"maxUnavailable": 1})


def test_a_budget_gets_there_by_an_overlay_where_the_operator_loses_or_refuses_it() -> None:
    assert gateway("1.5.0", "Deployment", podDisruptionBudget={"minAvailable": 2})[1] == {("PodDisruptionBudget", "spec.minAvailable"): [2]}
    assert gateway("1.6.5", "Deployment", podDisruptionBudget={"minAvailable": "50%"})[1] == {("PodDisruptionBudget", "spec.minAvailable"): ["50%"]}
    written, found = gateway("1.8.0", "Deployment", podDisruptionBudget={"minAvailable": 2})
    assert (written["k8s"]["podDisruptionBudget"], found) == ({"minAvailable": 2}, {})
    with pytest.raises(SettingsError, match="podDisruptionBudget has minAvailable and maxUnavailable"):
        stack({"version": "1.8.0", "ingressGateways": [{"name": NAME, "k8s": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}}]})


def stack(istio: dict[str, Any], **keys: Any) -> Settings:
    return parse({**members(2), "password": "set", "istio": istio, **keys}, "dev")


def of_file(folder: Path, *documents: dict[str, Any], **spec: Any) -> IstioSettings:
    operator = {"kind": "IstioOperator", "metadata": {"name": "mesh"}, "spec": {"profile": "default", **spec}}
    (folder / "mesh.yaml").write_text(yaml.safe_dump_all([*documents, operator] if documents else [operator]))
    istio, problems = settings_of({"file": "mesh.yaml"}, folder, "calico")
    assert istio, problems
    return istio


def images(planned: ControlPlanePlan) -> set[str]:
    return {f["value"] for f in planned.wanted["fields"] if f["path"][-1] == "image"}


@pytest.mark.parametrize(
    ("given", "version", "image"),
    [
        ({"version": "1.8.0-distroless"}, "1.8.0", "istio/proxyv2:1.8.0-distroless"),
        ({"version": "1.8.0", "tag": "1.8.0-distroless"}, "1.8.0", "istio/proxyv2:1.8.0-distroless"),
        ({"tag": "1.8.0-distroless"}, "1.8.0", "istio/proxyv2:1.8.0-distroless"),
        ({"version": "1.18.1", "values": {"global": {"variant": "distroless"}}}, "1.18.1", "istio/proxyv2:1.18.1-distroless"),
        ({"version": "1.8.0", "values": {"global": {"proxy": {"image": "proxyv2-mine"}}}}, "1.8.0", "istio/proxyv2-mine:1.8.0"),
        ({"version": "1.8.0", "values": {"global": {"proxy": {"image": "example.com/p:1"}}}}, "1.8.0", "example.com/p:1"),
        ({"values": {"global": {"hub": "example.com/istio", "tag": "1.5.0"}}}, "1.5.0", "example.com/istio/proxyv2:1.5.0"),
        ({"version": "1.8.0", "values": {"global": {"tag": "1.8.0-distroless"}}}, "1.8.0", "istio/proxyv2:1.8.0-distroless"),
        ({"values": {"global": {"tag": "1.8.0-distroless"}}}, "1.8.0", "istio/proxyv2:1.8.0-distroless"),
        ({"hub": "example.com/istio", "values": {"global": {"hub": "example.com/istio"}}}, "1.5.0", "example.com/istio/proxyv2:1.5.0"),
    ],
)  # fmt: skip
def test_images_are_those_that_were_asked_for(given: dict[str, Any], version: str, image: str) -> None:
    istio = IstioSettings.model_validate({**given, "ingressGateways": [{"name": NAME}]})
    assert istio.version == version
    assert images(plan(istio)) == {image}
    operator = deployment(istio.hub, istio.version, "istio-system", "x", istio.image_tag)
    [container] = operator["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{istio.hub}/operator:{istio.image_tag}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"hub": "a", "values": {"global": {"hub": "b"}}}, "hub is 'a', but values.global.hub, which Istio takes before it, is 'b'"),
        ({"version": "1.8.0", "values": {"global": {"tag": "1.5.0"}}}, "version is '1.8.0', but values.global.tag"),
        ({"version": "1.8.0", "tag": "1.5.0"}, "tag 1.5.0 is of Istio 1.5.0, but version is 1.8.0"),
    ],
)
def test_images_that_two_places_name_differently_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        stack(given)


def test_a_file_may_say_all_that(tmp_path: Path) -> None:
    istio = of_file(tmp_path, tag="1.8.0-distroless")
    assert (istio.version, plan(istio).manifest["spec"]["tag"]) == ("1.8.0", "1.8.0-distroless")
    istio = of_file(tmp_path, tag="1.5.0", values={"global": {"hub": "registry.example.com/istio", "tag": "1.5.0"}})
    assert (istio.hub, istio.version, istio.image_tag) == ("registry.example.com/istio", "1.5.0", "1.5.0")


def test_pull_secrets_open_the_registry_to_the_operator_too() -> None:
    istio = IstioSettings.model_validate({"values": {"global": {"imagePullSecrets": ["regcred"]}}})
    made_of_it = deployment("h", "1.5.0", "istio-system", "x", None, [*pull_secrets(istio.values)])
    assert made_of_it["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "regcred"}]
    assert "imagePullSecrets" not in deployment("h", "1.5.0", "istio-system", "x")["spec"]["template"]["spec"]


@pytest.mark.parametrize("secrets", ["regcred", [{"name": "regcred"}], [1]])
def test_pull_secrets_of_another_form_are_refused(secrets: Any) -> None:
    with pytest.raises(SettingsError, match=r"istio\.values: global\.imagePullSecrets must be a list of names"):
        stack({"version": "1.5.0", "values": {"global": {"imagePullSecrets": secrets}}})


def test_labels_and_annotations_of_a_file_are_kept(tmp_path: Path) -> None:
    labels = {"name": "istio-system", "topology.istio.io/network": "network-a"}
    own = {"kind": "Namespace", "metadata": {"name": "istio-system", "labels": labels, "annotations": {"a": "b"}}}
    operator = {"kind": "IstioOperator", "metadata": {"name": "mesh", "annotations": {"x": "y"}}, "spec": {"tag": "1.5.0"}}
    (tmp_path / "mesh.yaml").write_text(yaml.safe_dump_all([own, operator]))
    istio, _ = settings_of({"file": "mesh.yaml"}, tmp_path, "calico")
    assert istio
    assert plan(istio).manifest["metadata"] == {"name": "mesh", "namespace": "istio-system", "annotations": {"x": "y"}}
    more = istio.namespace_metadata
    metadata = namespace("istio-system", more.labels, more.annotations)["metadata"]
    assert metadata["annotations"] == {"a": "b"}
    assert metadata["labels"] == {**labels, "istio-operator-managed": "Reconcile", "istio-injection": "disabled"}


def test_what_would_undo_the_rest_is_refused() -> None:
    ignored = {"annotations": {"install.istio.io/ignoreReconcile": "true"}}
    assert made("1.5.0", metadata=ignored), "1.5 knows no such annotation"
    with pytest.raises(OverlayError, match="operator would leave the whole IstioOperator alone"):
        made("1.9.4", metadata=ignored)
    with pytest.raises(OverlayError, match="set istio-injection to disabled"):
        made("1.5.0", namespaceMetadata={"labels": {"istio-injection": "enabled"}})


def test_a_gateway_in_a_namespace_of_its_own_is_made_and_looked_for_there() -> None:
    edge = {"name": "edge", "namespace": "istio-ingress", "label": {"istio": "edge"}}
    planned = made("1.8.0", ingressGateways=[edge, {"name": "off", "namespace": "nobodys", "enabled": False}])
    assert planned.namespaces == ("istio-ingress",)
    wanted = Wanted.model_validate(planned.wanted)
    assert wanted.deployments == ("istio-ingress/edge", "istiod")
    assert wanted.gateway == "istio-ingress/edge"
    assert wanted.namespaces == ("istio-ingress",)
    assert {field.name for field in wanted.fields} == {"istio-ingress/edge"}
    live = ready()
    here = deployment_there("edge", "istio-ingress")
    here["spec"]["template"]["spec"]["containers"][0]["image"] = "istio/proxyv2:1.8.0"
    service = {"kind": "Service", "metadata": {"name": "edge", "namespace": "istio-ingress"}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": []}}
    live["mesh"] += [here, service]
    live["istioOperator"]["status"] = {"status": "HEALTHY"}
    view = View.model_validate(live)
    assert judge(wanted, view).problems == ()
    gateway_there = report(wanted, view, restarted=False)["gateway"]
    assert (gateway_there["namespace"], gateway_there["name"]) == ("istio-ingress", "edge")
    live["mesh"].remove(here)
    assert "Deployment istio-ingress/edge: does not exist" in [str(p) for p in judge(wanted, View.model_validate(live)).problems]


def test_the_autoscaler_of_the_profile_can_be_patched() -> None:
    patch = ("spec.maxReplicas", 3)
    assert gateway("1.8.0", "HorizontalPodAutoscaler", patch)[1] == {("HorizontalPodAutoscaler", "spec.maxReplicas"): [3]}
    off = {"gateways": {NAME: {"autoscaleEnabled": False}}}
    gateways = [{"name": NAME, "k8s": overlay("HorizontalPodAutoscaler", patch)}]
    for istio in ({"values": off}, {"profile": "demo"}):
        with pytest.raises(OverlayError, match="not among the gateway's objects"):
            made("1.8.0", ingressGateways=gateways, **istio)
    both = overlay("HorizontalPodAutoscaler", patch)["overlays"] + overlay("Deployment", (f"{POD}.hostNetwork", True))["overlays"]
    with pytest.raises(OverlayError, match="has no HorizontalPodAutoscaler"):
        made("1.8.0", ingressGateways=[{"name": NAME, "k8s": {"overlays": both}}])


def test_an_overlay_of_istiod_loses_nothing() -> None:
    pod = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    pilot = {"k8s": overlay("Deployment", (POD, pod), name="istiod")}
    planned = made("1.5.0", components={"pilot": pilot})
    [written] = planned.manifest["spec"]["components"]["pilot"]["k8s"]["overlays"]
    assert written["patches"] == [{"path": f"{POD}.{key}", "value": value} for key, value in pod.items()]
    assert [(f["name"], f["path"][-1]) for f in planned.wanted["fields"]] == [("istiod", "hostNetwork"), ("istiod", "dnsPolicy")]
    container = {"name": "shell", "image": "busybox"}
    planned = made("1.5.0", components={"pilot": {"k8s": overlay("Deployment", (f"{POD}.containers.[-1]", container), name="istiod")}})
    [written] = planned.manifest["spec"]["components"]["pilot"]["k8s"]["overlays"]
    assert written["patches"] == [{"path": f"{POD}.containers.[1]", "value": container}]
    with pytest.raises(OverlayError, match=r"istio\.components\.pilot\.k8s\.overlays.*crashes the operator"):
        made("1.5.0", components={"pilot": {"k8s": overlay("Deployment", (f"{POD}.volumes.[-1]", {"name": "x"}), name="istiod")}})


def of_plugin(version: str, *patches: tuple[str, Any]) -> list[dict[str, Any]]:
    k8s = overlay("DaemonSet", *patches, name="istio-cni-node")
    [written] = made(version, cni={"k8s": k8s}).manifest["spec"]["components"]["cni"]["k8s"]["overlays"]
    found: list[dict[str, Any]] = written["patches"]
    return found


def test_the_plugins_overlays_are_made_safe_too() -> None:
    patches = of_plugin("1.5.0", (POD, {"priorityClassName": "system-node-critical"}))
    assert patches == [{"path": f"{POD}.priorityClassName", "value": "system-node-critical"}]
    volume = {"name": "cni-bin-dir", "emptyDir": {}}
    assert of_plugin("1.5.0", (f"{POD}.volumes.[name:cni-bin-dir]", volume)) == [{"path": f"{POD}.volumes.[name:cni-bin-dir]", "value": volume}]
    installer = f"{POD}.containers.[name:install-cni]"
    limits = {"limits": {"cpu": "1"}}
    assert of_plugin("1.5.0", (f"{installer}.resources", limits)) == [{"path": f"{installer}.resources", "value": limits}]
    probe = {"exec": {"command": ["true"]}}
    assert {"path": f"{installer}.readinessProbe.httpGet"} in of_plugin("1.8.0", (f"{installer}.readinessProbe", probe))
    assert of_plugin("1.5.0", (f"{POD}.containers.[name:repair-cni].image", "x"))[0]["path"] == f"{POD}.containers.[name:repair-cni].image"
    with pytest.raises(OverlayError, match="an item can't be added safely"):
        of_plugin("1.5.0", (f"{POD}.containers[-1]", {"name": "a", "image": "x"}))  # it would take the place of its own


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
def test_settings_of_istiod_are_replaced_as_a_gateways(version: str) -> None:
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
    k8s = {"strategy": {"type": "Recreate"}, "readinessProbe": {"tcpSocket": {"port": 8080}}, "env": [secret]}
    written = made(version, components={"pilot": {"k8s": k8s}}).manifest["spec"]["components"]["pilot"]["k8s"]
    assert not {"strategy", "readinessProbe"} & written.keys()
    assert written["env"] == [{"name": "S", "value": ""}]
    [one] = written["overlays"]
    container = f"{POD}.containers.[name:discovery]"
    assert {"path": "spec.strategy", "value": {"type": "Recreate"}} in one["patches"]
    assert {"path": f"{container}.env.[name:S]", "value": secret} in one["patches"]
    if version == "1.8.0":
        assert {"path": f"{container}.readinessProbe.httpGet"} in one["patches"]
        budget = made(version, components={"pilot": {"k8s": {"podDisruptionBudget": {"maxUnavailable": 1}}}})
        [one] = budget.manifest["spec"]["components"]["pilot"]["k8s"]["overlays"]
        assert (one["kind"], one["patches"]) == ("PodDisruptionBudget", [{"path": "spec.minAvailable"}, {"path": "spec.maxUnavailable", "value": 1}])


def test_istiod_in_another_place_is_refused() -> None:
    with pytest.raises(OverlayError, match=r"istio\.components\.pilot\.namespace is 'other', but istio\.namespace"):
        made("1.8.0", components={"pilot": {"namespace": "other"}})
    assert made("1.8.0", components={"pilot": {"namespace": "istio-system"}})


def test_a_namespace_of_the_plugins_own_is_made() -> None:
    assert made("1.9.4", cni={"namespace": "istio-cni"}).namespaces == ("istio-cni",)
    assert made("1.9.4", cni={"namespace": "istio-cni", "enabled": False}).namespaces == ()
    assert made("1.9.4", cni={"namespace": "istio-system"}).namespaces == ()


def test_an_egress_gateway_in_its_nodes_network_knows_no_ports_of_other_meshes() -> None:
    egress = [{"name": "istio-egressgateway", "hostNetwork": {"nodes": ["sealos02"]}}]
    values = made("1.5.0", profile="demo", egressGateways=egress).manifest["spec"]["values"]["gateways"]["istio-egressgateway"]
    assert "meshExpansionPorts" not in values  # 1.5's renderer refuses it there


@pytest.mark.parametrize("policy", ["ClusterFirst", "Default"])
def test_a_gateway_in_its_nodes_network_finds_istiod(policy: str) -> None:
    pod = (POD, {"hostNetwork": True, "dnsPolicy": policy})
    assert gateway("1.5.0", "Deployment", pod)[1]["Deployment", f"{POD}.dnsPolicy"] == ["ClusterFirstWithHostNet"]


@pytest.mark.parametrize("target", [{"targetPort": 80}, {}])
def test_low_ports_without_root_are_refused(target: dict[str, int]) -> None:
    ports = {"service": {"ports": [{"name": "http2", "port": 80, **target}]}}
    assert made("1.6.5", ingressGateways=[{"name": NAME, "k8s": ports}]), "root"
    for version in ("1.7.8", "1.13.4"):
        with pytest.raises(OverlayError, match=r"listen on 80, which takes root.*runAsRoot: true"):
            made(version, ingressGateways=[{"name": NAME, "k8s": ports}])
        with pytest.raises(OverlayError, match="listen on 80"):
            gateway(version, "Service", ("spec.ports[-1]", ports["service"]["ports"][0]))
        rooted = {"gateways": {NAME: {"runAsRoot": True}}}
        assert made(version, ingressGateways=[{"name": NAME, "k8s": ports}], values=rooted)


@pytest.mark.parametrize(
    ("network", "cni", "file"),
    [
        ("calico", {}, "10-calico.conflist"),
        ("flannel", {}, "10-flannel.conflist"),
        ("flannel", {"configFile": "05-mine.conflist"}, "05-mine.conflist"),
        ("cilium", {"configFile": "05-cilium.conflist"}, "05-cilium.conflist"),
    ],
)
def test_the_plugin_joins_the_chain_of_the_pod_network(network: str, cni: dict[str, Any], file: str) -> None:
    istio = stack({"cni": cni}, cluster={"network": network}).istio
    assert istio
    assert plan(istio).manifest["spec"]["values"]["cni"]["cniConfFileName"] == file


@pytest.mark.parametrize(
    ("network", "istio", "words"),
    [
        ("cilium", {"version": "1.5.0"}, "istio.cni.configFile: which file cilium writes"),
        ("cilium", {"cni": {"configFile": "10-calico.conflist"}}, "10-calico.conflist is calico's, but cluster.network is cilium; name cilium's"),
        ("calico", {"cni": {"configFile": "05-cilium.conf"}}, "05-cilium.conf is cilium's, but cluster.network is calico; leave it out"),
        ("calico", {"values": {"cni": {"cniBinDir": 5}}}, "istio.values.cni.cniBinDir is 5"),
        ("calico", {"values": {"istio_cni": {"chained": False}}}, "istio.values.istio_cni.chained: false"),
        ("calico", {"cni": {"k8s": {"env": [{"name": "CNI_CONF_NAME", "value": "x"}]}}}, "istio.cni.k8s.env[0] sets CNI_CONF_NAME, but istio.cni.configFile"),
        (
            "calico",
            {"cni": {"k8s": overlay("DaemonSet", (f"{POD}.containers.[name:install-cni].env.[name:CNI_NET_DIR].value", "/x"), name="istio-cni-node")}},
            "istio.cni.k8s.overlays[0].patches[0] sets CNI_NET_DIR",
        ),
        ("flannel", {"cni": {"configFile": "10-calico.conflist"}}, "10-calico.conflist is calico's, but cluster.network is flannel"),
        ("calico", {"values": {"cni": {"cniBinDir": "/home/kubernetes/bin"}}}, "istio.values.cni.cniBinDir"),
        ("calico", {"values": {"cni": {"cniConfDir": "/etc/mine"}}}, "istio.values.cni.cniConfDir"),
        ("calico", {"values": {"cni": {"chained": False}}}, "istio.values.cni.chained: false"),
    ],
)
def test_a_chain_that_can_not_be_joined_is_refused(network: str, istio: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        stack(istio, cluster={"network": network})
    assert stack({**istio, "cni": {**istio.get("cni", {}), "enabled": False}}, cluster={"network": network})


def test_an_injector_that_does_not_count_on_the_plugin_is_refused() -> None:
    for enabled, told in ((True, False), (False, True)):
        with pytest.raises(OverlayError, match=rf"istio\.values\.istio_cni\.enabled is {told}, but istio\.cni\.enabled"):
            made("1.8.0", cni={"enabled": enabled}, values={"istio_cni": {"enabled": told}})
    assert made("1.8.0", values={"istio_cni": {"enabled": True}})


BOTH = [{"name": "https", "port": 443, "targetPort": 8443}, {"name": "h3", "port": 443, "targetPort": 8443, "protocol": "UDP"}]


@pytest.mark.parametrize("version", ["1.5.0", "1.7.8", "1.13.4"])
def test_udp_and_tcp_on_one_number_are_two_ports(version: str) -> None:
    _, found = gateway(version, "Service", service={"ports": BOTH})
    assert found["Service", "spec.ports"] == [BOTH], "the operator merges them by their number"
    host = {"name": NAME, "hostNetwork": {"nodes": ["sealos02"], "ports": [{"name": "https", "port": 443}, {"name": "h3", "port": 443, "protocol": "UDP"}]}}
    planned = made(version, ingressGateways=[host])
    opened = [{"containerPort": 443}, {"containerPort": 443, "protocol": "UDP"}, {"containerPort": 15090}]
    assert opened in [f["value"] for f in planned.wanted["fields"] if f["path"][-1] == "ports"]
    twice = {"name": NAME, "hostNetwork": {"nodes": ["sealos02"], "ports": [{"name": "a", "port": 443}, {"name": "b", "port": 443}]}}
    with pytest.raises(OverlayError, match="lists 443 twice"):
        made(version, ingressGateways=[twice])


def test_a_udp_port_meets_no_listener_on_tcp() -> None:
    gateways = [{"hostNetwork": {"nodes": ["sealos02"], "ports": [{"name": "h3", "port": 10250, "protocol": "UDP"}]}}]
    assert stack({"version": "1.5.0", "ingressGateways": gateways})
    gateways[0]["hostNetwork"]["ports"][0]["protocol"] = "TCP"  # type: ignore[index]
    with pytest.raises(SettingsError, match="port 10250"):
        stack({"version": "1.5.0", "ingressGateways": gateways})
