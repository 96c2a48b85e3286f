"""The operator's own patching (1.5.0: operator/pkg/patch, operator/pkg/tpath) is modelled here, so that what comes out of
`gateway_specs` is judged by what the operator would do with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.istio.gateways.model import OverlayError
from components.istio.gateways.path import format_path, parse_path
from components.istio.gateways.specs import gateway_specs, merge_under
from components.istio.gateways.tree import KEYED_LISTS

NAME = "istio-ingressgateway"

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": NAME,
        "namespace": "istio-system",
        "labels": {"app": NAME, "istio": "ingressgateway", "release": "istio"},
    },
    "spec": {
        "selector": {"matchLabels": {"app": NAME, "istio": "ingressgateway"}},
        "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
        "template": {
            "metadata": {
                "annotations": {"sidecar.istio.io/inject": "false"},
                "labels": {"app": NAME, "istio": "ingressgateway", "release": "istio", "chart": "gateways"},
            },
            "spec": {
                "serviceAccountName": f"{NAME}-service-account",
                "affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}
                },
                "containers": [
                    {
                        "name": "istio-proxy",
                        "image": "istio/proxyv2:1.5.0",
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["proxy", "router"],
                        "env": [{"name": "NODE_NAME", "value": "x"}],
                        "ports": [{"containerPort": 80}, {"containerPort": 15090}],
                        "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15020}, "periodSeconds": 2},
                        "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "100m"}},
                        "volumeMounts": [{"mountPath": "/etc/istio/pod", "name": "podinfo"}],
                    }
                ],
                "volumes": [
                    {"name": "podinfo", "downwardAPI": {}},
                    {"name": "ingressgateway-certs", "secret": {"optional": True}},
                ],
            },
        },
    },
}


class NotFoundError(Exception):
    """1.5: the whole component fails."""


def operator_patches(rendered: Mapping[str, Any], patches: list[dict[str, Any]]) -> dict[str, Any]:
    """What the 1.5.0 operator does with an overlay's patches: replace, never merge."""
    result = copy.deepcopy(dict(rendered))
    for patch in patches:
        node: Any = result
        *parents, last = parse_path(patch["path"])
        for element in parents:
            node = _child(node, element)
        if isinstance(node, list):
            index = _index(node, last)
            assert index != -1, "index out of range: the operator panics"
            if patch.get("value") is None:
                del node[index]
            else:
                node.extend([None] * (index + 1 - len(node)))
                node[index] = patch["value"]
        elif patch.get("value") is not None:  # without a value, a map's key is silently left alone
            node[last] = patch["value"]
    return result


def _index(node: list[Any], element: str) -> int:
    inside = element[1:-1]
    if inside.lstrip("-").isdecimal():
        return int(inside)
    key, _, value = inside.partition(":")
    for index, item in enumerate(node):
        if isinstance(item, dict) and str(item.get(key)) == value:
            return index
    raise NotFoundError(element)


def _child(node: Any, element: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, element)]
    if element not in node:
        raise NotFoundError(element)
    return node[element]


def strategic_merge(live: Any, intent: Any, key: str = "") -> Any:
    """What a reader expects of "merge": maps merge, lists with a merge key merge by it, everything else is replaced."""
    if isinstance(live, dict) and isinstance(intent, dict):
        return {**live, **{k: strategic_merge(live.get(k), v, k) for k, v in intent.items()}}
    merge_key = KEYED_LISTS.get(key)
    if merge_key and isinstance(live, list) and isinstance(intent, list):
        merged = list(live)
        for item in intent:
            at = next((i for i, known in enumerate(merged) if known.get(merge_key) == item.get(merge_key)), None)
            if at is None:
                merged.append(item)
            else:
                merged[at] = strategic_merge(merged[at], item)
        return merged
    return intent


def gateway(*overlays: dict[str, Any], **k8s: Any) -> list[dict[str, Any]]:
    return [{"enabled": True, "k8s": {**k8s, "overlays": list(overlays)}}]


def on_deployment(path: str, value: Any = None) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "name": NAME,
        "patches": [{"path": path, **({} if value is None else {"value": value})}],
    }


def patches(gateways: Any, kind: str = "Deployment") -> list[dict[str, Any]]:
    overlays = gateways.gateways[0].get("k8s", {}).get("overlays", [])
    return next((o["patches"] for o in overlays if o["kind"] == kind), [])


PUBLISHED = [
    {
        "enabled": True,
        "k8s": {
            "service": {"type": "ClusterIP"},
            "nodeSelector": {"kubernetes.io/hostname": "sealos02"},
            "overlays": [
                on_deployment("spec.template.spec", {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
                {
                    "kind": "Service",
                    "name": NAME,
                    "patches": [{"path": "spec.ports", "value": [{"name": "http2", "port": 80, "targetPort": 80}]}],
                },
            ],
        },
    }
]


def test_the_published_form_becomes_leaf_patches_and_ports_are_really_cut() -> None:
    safe = gateway_specs(PUBLISHED, "ingress", "1.5.0", {})
    assert patches(safe) == [
        {"path": "spec.template.spec.hostNetwork", "value": True},
        {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"},
    ]
    assert safe.gateways[0]["name"] == NAME
    assert safe.host_network == {NAME}
    assert safe.values["gateways"][NAME] == {
        "autoscaleEnabled": False,
        "meshExpansionPorts": [],
        "ports": [{"name": "http2", "port": 80, "targetPort": 80}],
    }
    assert any("spec.template.spec would replace" in str(note) for note in safe.notes)


def test_the_published_form_would_have_lost_the_containers() -> None:
    """The model shows the trap, so that the property below means something."""
    broken = operator_patches(DEPLOYMENT, PUBLISHED[0]["k8s"]["overlays"][0]["patches"])  # type: ignore[index]
    assert "containers" not in broken["spec"]["template"]["spec"]


def test_host_network_is_given_what_its_author_left_out() -> None:
    safe = gateway_specs(gateway(on_deployment("spec.template.spec.hostNetwork", True)), "ingress", "1.5.0", {})
    assert {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"} in patches(safe)
    assert safe.gateways[0]["k8s"]["strategy"] == {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
    own = {"rollingUpdate": {"maxUnavailable": 1}}
    kept = gateway_specs(
        gateway(on_deployment("spec.template.spec.hostNetwork", True), strategy=own), "ingress", "1.5.0", {}
    )
    assert kept.gateways[0]["k8s"]["strategy"] == own


def test_the_charts_ports_know_no_protocol() -> None:
    """Istio 1.5.0 refuses the whole mesh for it (PortsConfig)."""
    port = {"name": "http2", "port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080}
    safe = gateway_specs([{"k8s": {"service": {"ports": [port]}}}], "ingress", "1.5.0", {})
    assert safe.values["gateways"][NAME]["ports"] == [{k: v for k, v in port.items() if k != "protocol"}]
    assert safe.gateways[0]["k8s"]["service"]["ports"] == [port]


def test_a_safe_form_stays_as_it_is() -> None:
    once = gateway_specs(PUBLISHED, "ingress", "1.5.0", {})
    twice = gateway_specs(once.gateways, "ingress", "1.5.0", once.values)
    assert twice.gateways == once.gateways
    assert merge_under(once.values, twice.values) == once.values


def test_own_values_win() -> None:
    own = {"gateways": {NAME: {"ports": [{"port": 443}], "meshExpansionPorts": [{"port": 853}]}}}
    safe = gateway_specs(PUBLISHED, "ingress", "1.5.0", own)
    assert "ports" not in safe.values["gateways"][NAME]
    assert merge_under(own, safe.values)["gateways"][NAME]["meshExpansionPorts"] == [{"port": 853}]


def test_service_ports_of_the_settings_are_cut_too() -> None:
    ports = [{"name": "http2", "port": 80}]
    safe = gateway_specs([{"k8s": {"service": {"ports": ports}}}], "ingress", "1.5.0", {})
    assert safe.values == {"gateways": {NAME: {"ports": ports}}}
    assert safe.gateways[0]["enabled"] is True


def test_two_overlays_of_one_object_are_joined() -> None:
    safe = gateway_specs(
        gateway(
            on_deployment("spec.template.spec.hostNetwork", True),
            on_deployment("spec.template.spec.dnsPolicy", "Default"),
        ),
        "ingress",
        "1.5.0",
        {},
    )
    assert len(safe.gateways[0]["k8s"]["overlays"]) == 1
    assert [p["path"] for p in patches(safe)] == ["spec.template.spec.hostNetwork", "spec.template.spec.dnsPolicy"]
    assert any("keeps the last" in str(note) for note in safe.notes)


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        pytest.param(
            on_deployment("spec.template.spec.securityContext.runAsUser", 0),
            [{"path": "spec.template.spec.securityContext", "value": {"runAsUser": 0}}],
            id="missing parent",
        ),
        pytest.param(
            on_deployment("spec.template.spec.hostNetwork", "true"),
            [
                {"path": "spec.template.spec.hostNetwork", "value": True},
                {"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"},
            ],
            id="text for a boolean",
        ),
        pytest.param(
            on_deployment("spec.template.metadata.annotations", {"sidecar.istio.io/inject": True}),
            [{"path": r"spec.template.metadata.annotations.sidecar\.istio\.io/inject", "value": "true"}],
            id="boolean for an annotation",
        ),
        pytest.param(
            on_deployment("spec.template.spec.containers.[-1]", {"name": "shell", "image": "x"}),
            [{"path": "spec.template.spec.containers.[1]", "value": {"name": "shell", "image": "x"}}],
            id="appended container",
        ),
        pytest.param(
            on_deployment(
                "spec.template.spec.containers", [{"name": "istio-proxy", "securityContext": {"runAsUser": 0}}]
            ),
            [{"path": "spec.template.spec.containers.[name:istio-proxy].securityContext", "value": {"runAsUser": 0}}],
            id="container by name",
        ),
        pytest.param(
            on_deployment("spec.template.spec.volumes.[name:podinfo]"),
            [{"path": "spec.template.spec.volumes.[name:podinfo]"}],
            id="deleted item",
        ),
        pytest.param(
            {"kind": "deployment", "patches": [{"path": "spec.replicas", "value": "2"}]},
            [{"path": "spec.replicas", "value": 2}],
            id="sloppy target",
        ),
    ],
)
def test_clear_intents_are_made_safe_and_noted(overlay: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    safe = gateway_specs(gateway(overlay), "ingress", "1.5.0", {})
    assert patches(safe) == expected
    operator_patches(DEPLOYMENT, expected)


def test_environment_goes_where_it_can_be_added_or_changed() -> None:
    overlay = on_deployment("spec.template.spec.containers.[name:istio-proxy].env.[-1]", {"name": "A", "value": 1})
    safe = gateway_specs(gateway(overlay, env=[{"name": "B", "value": "b"}]), "ingress", "1.5.0", {})
    assert safe.gateways[0]["k8s"]["env"] == [{"name": "B", "value": "b"}, {"name": "A", "value": "1"}]


@pytest.mark.parametrize(
    ("gateways", "words"),
    [
        pytest.param([{}, {}], ["one ingress gateway", "keep one entry"], id="two gateways"),
        pytest.param([{"name": "edge"}], ["[0].name", "'edge' has no effect", NAME], id="another name"),
        pytest.param([{"label": {"team": "edge"}}], ["[0].label", "has no effect", "spec.template.metadata.labels.NAME"], id="a label"),
        pytest.param(
            gateway({"kind": "DaemonSet", "name": NAME, "patches": []}),
            ["overlays[0]", "not among"],
            id="unknown target",
        ),
        pytest.param(gateway(on_deployment("spec.template.spec.affinity")), ["silently ignores"], id="deleted key"),
        pytest.param(
            gateway(on_deployment("spec.template.spec", {"affinity": None})), ["silently ignores"], id="null in a map"
        ),
        pytest.param(
            gateway(on_deployment("spec.template", "x")), ["is a map", "would replace it"], id="text over a map"
        ),
        pytest.param(
            gateway(on_deployment("spec.template.spec.containers.image", "x")),
            ["is a list", "select an item"],
            id="no selector",
        ),
        pytest.param(
            gateway(on_deployment("spec.template.spec.volumes.[-1]", {"name": "x"})), ["secretVolumes"], id="volume"
        ),
        pytest.param(
            gateway(on_deployment("spec.template.spec.hostNetwork", "maybe")),
            ["must be true or false"],
            id="no boolean",
        ),
        pytest.param(gateway(on_deployment("", 1)), ["must have a path"], id="no path"),
        pytest.param([{"k8s": {"overlays": {}}}], ["must be a list of overlays"], id="no list"),
    ],
)
def test_unclear_intents_are_refused_with_the_fix(gateways: list[dict[str, Any]], words: list[str]) -> None:
    with pytest.raises(OverlayError) as refused:
        gateway_specs(gateways, "ingress", "1.5.0", {})
    assert [word for word in words if word not in str(refused.value)] == []
    assert "istio.ingressGateways" in str(refused.value)


def test_all_problems_are_said_at_once() -> None:
    bad = gateway(
        on_deployment("spec.template.spec.affinity"), on_deployment("spec.template.spec.hostNetwork", "maybe")
    )
    with pytest.raises(OverlayError) as refused:
        gateway_specs(bad, "ingress", "1.5.0", {})
    assert len(refused.value.problems) == 2


@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?|\[name:[a-z]+\]|\[[0-9]\]", fullmatch=True),
        min_size=1,
    )
)
def test_paths_are_written_as_they_are_read(elements: list[str]) -> None:
    assert parse_path(format_path(elements)) == elements


SCALARS = st.one_of(st.integers(0, 9), st.sampled_from(["a", "b"]))
FRESH = st.sampled_from(["alpha", "beta.example.org/x", "gamma"])


def intents(live: Any) -> st.SearchStrategy[Any]:
    """Intents in the form of a merge: some known keys go deeper, some leaves change, some keys are new."""
    if not isinstance(live, dict):
        return SCALARS.map(str)
    deeper = {k: intents(v) for k, v in live.items() if isinstance(v, dict | str)}
    new = st.dictionaries(
        FRESH, st.one_of(SCALARS.map(str), st.dictionaries(FRESH, SCALARS.map(str), min_size=1)), max_size=2
    )
    known = st.fixed_dictionaries({}, optional=deeper)
    return st.tuples(new, known).map(lambda pair: {**pair[0], **pair[1]})


@st.composite
def as_patches(draw: st.DrawFn, intent: Any, path: tuple[str, ...]) -> list[dict[str, Any]]:
    """One intent as somebody may write it: in one patch, in two for the same path, or in several that begin at any depth."""
    if isinstance(intent, dict) and draw(st.booleans()):
        inside = [((*path, key), value) for key, value in intent.items()]
    elif isinstance(intent, dict) and len(intent) > 1 and draw(st.booleans()):
        first, *others = intent
        inside = [(path, {first: intent[first]}), (path, {key: intent[key] for key in others})]
    elif isinstance(intent, list) and (key := KEYED_LISTS.get(path[-1])) and draw(st.booleans()):
        inside = [((*path, f"[{key}:{item[key]}]"), {k: v for k, v in item.items() if k != key}) for item in intent]
    else:
        return [{"path": format_path(path), "value": intent}]
    return [patch for at, value in inside for patch in draw(as_patches(value, at))]


@st.composite
def as_overlays(draw: st.DrawFn, intent: Any, path: tuple[str, ...]) -> list[dict[str, Any]]:
    """The same in one overlay of the gateway's Deployment, or in several that follow each other."""
    patches = draw(as_patches(intent, path))
    cuts = sorted(draw(st.sets(st.integers(1, len(patches) - 1)))) if len(patches) > 1 else []
    parts = [patches[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(patches)], strict=True)]
    return [{"kind": "Deployment", "name": NAME, "patches": part} for part in parts]


CONTAINERS: list[dict[str, Any]] = [
    {"name": "istio-proxy", "resources": {"limits": {"cpu": "4"}}, "tty": True},
    {"name": "shell", "image": "busybox"},
    {"name": "logs", "image": "fluentd"},
]


@given(intents(DEPLOYMENT["spec"]["template"]["spec"]), st.integers(0, len(CONTAINERS)), st.data())
def test_patches_of_a_pod_spec_are_a_merge_of_the_intent(intent: dict[str, Any], more: int, data: st.DataObject) -> None:
    intent = {**intent, **({"containers": CONTAINERS[:more]} if more else {})}
    pod = DEPLOYMENT["spec"]["template"]["spec"]
    overlays = data.draw(as_overlays(intent, ("spec", "template", "spec"))) if intent else []
    safe = gateway_specs(gateway(*overlays), "ingress", "1.5.0", {})
    assert len(safe.gateways[0].get("k8s", {}).get("overlays", [])) <= 1, "the operator keeps only the last"
    patched = operator_patches(DEPLOYMENT, patches(safe))
    assert patched["spec"]["template"]["spec"] == strategic_merge(pod, intent)
    untouched = {k: v for k, v in DEPLOYMENT["spec"].items() if k != "template"}
    assert {k: patched["spec"][k] for k in untouched} == untouched
    assert patched["metadata"] == DEPLOYMENT["metadata"]
