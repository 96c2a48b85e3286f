"""Overlays as people wrote them in public, each with what Istio 1.5.0's own renderer makes of it raw, and of our form of it.

`raw` says what happens to who applies it by hand: it `works`, `loses` what nobody named, is `ignored`, `fails` with the whole
gateway, `crashes` the operator, or is `invalid` for Kubernetes. `ours` is either refused with the words given, or must be
rendered with all that was asked for and with nothing lost. The threads are istio/istio's unless said otherwise; what is
patched is theirs, the values are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.config.mesh import IstioSettings
from components.istio import renderer
from components.istio.gateways.model import OverlayError
from components.istio.gateways.path import parse_path
from components.istio.gateways.tree import KEYED_LISTS
from components.istio.istio_operator import plan
from components.istio.match import find
from components.istio.renderer import Rendered, RenderError
from devtools import parts
from tests.unit.test_istio_gateways_overlays import as_overlays

NAME = "istio-ingressgateway"
POD = "spec.template.spec"
PROXY = f"{POD}.containers.[name:istio-proxy]"
HTTP = {"name": "http2", "port": 80, "targetPort": 80}
NO_AUTOSCALER = {"gateways": {NAME: {"autoscaleEnabled": False}}}


@dataclass(frozen=True)
class Case:
    """One overlay, or several.

    Attributes:
        thread: where people wrote or asked it.
        patches: path and value, for one object.
        raw: what comes of it by hand.
        refused: words of our refusal; empty when we make it safe.
        kind, name: of the object.
        wanted: what must be found where our form says it in another place than the patches; path and value.
        values: spec.values beside it.
        split: whether each patch stands in an overlay of its own.
    """

    thread: str
    patches: list[tuple[str, Any]]
    raw: str
    refused: tuple[str, ...] = ()
    kind: str = "Deployment"
    name: str = NAME
    wanted: list[tuple[str, Any]] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    split: bool = False


DELETE = object()

CASES = {
    # host network
    "pod spec as a map": Case("#26759", [(POD, {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"})], "loses"),
    "pod spec twice": Case("#26759", [(POD, {"hostNetwork": True}), (POD, {"dnsPolicy": "ClusterFirstWithHostNet"})], "loses"),
    "host network as a leaf": Case("#26759", [(f"{POD}.hostNetwork", True), (f"{POD}.dnsPolicy", "ClusterFirstWithHostNet")], "works"),
    "host network as text": Case("#9712", [(f"{POD}.hostNetwork", "true")], "invalid", wanted=[(f"{POD}.hostNetwork", True)]),
    "two overlays of one object": Case("#26759", [(f"{POD}.hostNetwork", True), (f"{POD}.dnsPolicy", "ClusterFirstWithHostNet")], "ignored", split=True),
    "host network of the whole template": Case("#6706", [("spec.template", {"spec": {"hostNetwork": True}})], "loses"),
    "host network and container ports": Case("#32898", [(POD, {"hostNetwork": True, "containers": [{"name": "istio-proxy", "securityContext": {"runAsUser": 0}}]})], "loses"),
    "a DaemonSet": Case("#21201", [("kind", "DaemonSet")], "works", refused=("makes another object of it",), values=NO_AUTOSCALER),
    "a DaemonSet, misspelt": Case("cloudfoundry/cf-k8s-networking#35", [("kind", "DeamonSet")], "works", refused=("makes another object of it",)),
    "another name": Case("#26683", [("metadata.name", "edge")], "works", refused=("makes another object of it",)),
    # deletions
    "a map's key": Case("#21201", [(f"{POD}.affinity", DELETE)], "ignored", refused=("silently ignores a map's key",)),
    "a list's item by name": Case("istio/istio.io#7336", [(f"{POD}.volumes.[name:ingressgateway-ca-certs]", DELETE)], "works"),
    "an environment variable": Case("istio/istio.io#7336", [(f"{PROXY}.env.[name:ISTIO_META_USER_SDS]", DELETE)], "works"),
    "a security context that isn't there": Case("istio/istio.io#7336", [(f"{PROXY}.securityContext", DELETE)], "ignored", refused=("silently ignores a map's key",)),
    "an item that isn't there": Case("#32787", [(f"{POD}.volumes.[name:nope]", DELETE)], "fails", refused=("selects nothing",)),
    # parents that aren't there
    "an annotation of a ServiceAccount": Case("#18495", [("metadata.annotations", {"foo": "bar"})], "works", kind="ServiceAccount", name=f"{NAME}-service-account"),
    "an annotation of a ServiceAccount as a leaf": Case("#18495", [("metadata.annotations.foo", "bar")], "fails", kind="ServiceAccount", name=f"{NAME}-service-account"),
    "a pod's security context": Case("#32931", [(f"{POD}.securityContext.runAsUser", 0)], "fails"),
    "a container's capabilities": Case("#28596", [(f"{PROXY}.securityContext.capabilities.add", ["NET_BIND_SERVICE"])], "fails"),
    "a pod's sysctl": Case("#35930", [(f"{POD}.securityContext", {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]})], "works"),
    "a hook before the end": Case("#23749", [(f"{PROXY}.lifecycle.preStop.exec.command", ["sleep", "5"])], "fails"),
    "labels of pods": Case("#18495", [("spec.template.metadata.labels", {"tier": "edge"})], "loses"),
    "annotations of pods": Case("#18495", [("spec.template.metadata.annotations", {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"})], "loses"),
    "an annotation with dots": Case("#18495", [(r"spec.template.metadata.annotations.sidecar\.istio\.io/inject", "true")], "works"),
    "an annotation as a boolean": Case("#18495", [(r"spec.template.metadata.annotations.sidecar\.istio\.io/inject", True)], "invalid", wanted=[(r"spec.template.metadata.annotations.sidecar\.istio\.io/inject", "true")]),
    # scalars
    "grace period": Case("#30709", [(f"{POD}.terminationGracePeriodSeconds", 60)], "works"),
    "grace period as text": Case("#30709", [(f"{POD}.terminationGracePeriodSeconds", "60")], "invalid", wanted=[(f"{POD}.terminationGracePeriodSeconds", 60)]),
    "priority class": Case("#18495", [(f"{POD}.priorityClassName", "system-cluster-critical")], "works"),
    "pull policy of one container": Case("#34024", [(f"{PROXY}.imagePullPolicy", "Always")], "works"),
    "history limit": Case("#34431", [("spec.revisionHistoryLimit", 3)], "works"),
    # lists
    "container ports, the whole list": Case("#21863", [(f"{PROXY}.ports", [{"containerPort": 80}, {"containerPort": 443}])], "works"),
    "one more container port": Case("#21863", [(f"{PROXY}.ports.[-1]", {"containerPort": 31400})], "crashes", refused=("crashes the operator",)),
    "one more volume by its name": Case("#32787", [(f"{POD}.volumes.[name:test]", {"name": "test", "configMap": {"name": "test"}})], "fails", refused=("secretVolumes",)),
    "one more volume at the end": Case("#24369", [(f"{POD}.volumes.[-1]", {"name": "test", "emptyDir": {}})], "crashes", refused=("secretVolumes",)),
    "volumes, the whole list": Case("#32787", [(f"{POD}.volumes", [{"name": "test", "emptyDir": {}}])], "loses", refused=("secretVolumes",)),
    "one more container": Case("#24258", [(f"{POD}.containers.[-1]", {"name": "shell", "image": "busybox"})], "crashes", wanted=[(f"{POD}.containers.[name:shell]", {"image": "busybox"})]),
    "containers as a list of one": Case("#24258", [(f"{POD}.containers", [{"name": "shell", "image": "busybox"}])], "loses", wanted=[(f"{POD}.containers.[name:shell]", {"image": "busybox"})]),
    "an argument in the list's place": Case("#34024", [(f"{PROXY}.args", "--log_as_json")], "invalid", refused=("is a list",)),
    "a container as a map": Case("#28596", [(PROXY, {"securityContext": {"runAsUser": 0}})], "loses"),
    "no selector": Case("#34024", [(f"{POD}.containers.image", "istio/proxyv2:x")], "fails", refused=("is a list", "select an item")),
    "an environment variable's value": Case("#24258", [(f"{PROXY}.env.[name:ISTIO_META_ROUTER_MODE].value", "standard")], "works"),
    "a new environment variable": Case("#24258", [(f"{PROXY}.env.[name:MINE]", {"name": "MINE", "value": "1"})], "fails"),
    "a new environment variable at the end": Case("#24369", [(f"{PROXY}.env.[-1]", {"name": "MINE", "value": "1"})], "crashes", wanted=[(f"{PROXY}.env.[name:MINE].value", "1")]),
    "environment as a list of one": Case("#34024", [(f"{PROXY}.env", [{"name": "MINE", "value": "1"}])], "loses"),
    "tolerations at the end": Case("#16914", [(f"{POD}.tolerations.[-1]", {"operator": "Exists"})], "fails", wanted=[(f"{POD}.tolerations", [{"operator": "Exists"}])]),
    "tolerations, the whole list": Case("#16914", [(f"{POD}.tolerations", [{"operator": "Exists"}])], "works"),
    "node selector as a map": Case("#19304", [(f"{POD}.nodeSelector", {"edge": "true"})], "works"),
    "node selector with a boolean": Case("#19304", [(f"{POD}.nodeSelector", {"edge": True})], "invalid", wanted=[(f"{POD}.nodeSelector", {"edge": "true"})]),
    "strategy as a map": Case("#37610", [("spec.strategy", {"rollingUpdate": {"maxSurge": 0}})], "loses"),
    "resources as a map": Case("#38295", [(f"{PROXY}.resources", {"limits": {"memory": "2Gi"}})], "loses"),
    "probe as a map": Case("#38295", [(f"{PROXY}.readinessProbe", {"failureThreshold": 5})], "loses"),
    "affinity as a map": Case("#46763", [(f"{POD}.affinity", {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}})], "loses"),
    # other objects
    "service ports, the whole list": Case("#25919", [("spec.ports", [HTTP])], "works", kind="Service"),
    "service ports as one map": Case("#21863", [("spec.ports", HTTP)], "invalid", refused=("is a list",), kind="Service"),
    "a node port by the port's name": Case("#31418", [("spec.ports.[name:http2].nodePort", 30080)], "works", kind="Service"),
    "traffic policy": Case("#22710", [("spec.externalTrafficPolicy", "Local")], "works", kind="Service"),
    "service annotations": Case("#44372", [("metadata.annotations", {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"})], "works", kind="Service"),
    "source ranges": Case("#24007", [("spec.loadBalancerSourceRanges", ["192.0.2.0/24"])], "works", kind="Service"),
    "service as a map": Case("#25329", [("spec", {"type": "NodePort"})], "loses", kind="Service"),
    "disruption budget": Case("#33230", [("spec.minAvailable", 2)], "works", kind="PodDisruptionBudget", name="ingressgateway"),
    "no autoscaler there": Case("#33230", [("spec.maxReplicas", 3)], "fails", kind="HorizontalPodAutoscaler", refused=("not among the gateway's objects",), values=NO_AUTOSCALER),
    "a misspelt name": Case("#31076", [("spec.replicas", 1)], "fails", name="istio-ingressgateway-1-9-0", refused=("not among the gateway's objects",)),
    "the top of an object": Case("#46763", [("", {"immutable": True})], "ignored", refused=("must have a path",)),
}  # fmt: skip


def overlays(case: Case) -> list[dict[str, Any]]:
    target = {"kind": case.kind, "name": case.name}
    patches = [{"path": path, **({} if value is DELETE else {"value": value})} for path, value in case.patches]
    if case.split:
        return [{**target, "patches": [patch]} for patch in patches]
    return [{**target, "patches": patches}]


def istio_operator(k8s: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    gateway = {"name": NAME, "enabled": True, "k8s": dict(k8s)}
    return {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"name": "table", "namespace": "istio-system"},
        "spec": {
            "profile": "empty",
            "hub": "istio",
            "tag": "1.5.0",
            "components": {"ingressGateways": [gateway]},
            "values": dict(values),
        },
    }


@cache
def program() -> Any:
    return parts.binary("istioctl")


def base(values: Mapping[str, Any]) -> Rendered:
    return renderer.render(istio_operator({}, values), program())


def by_hand(case: Case) -> Rendered | RenderError:
    try:
        return renderer.render(istio_operator({"overlays": overlays(case)}, case.values), program())
    except RenderError as error:
        return error


def by_us(case: Case, written: list[dict[str, Any]] | None = None) -> Rendered | OverlayError:
    istio = {
        "profile": "empty",
        "cni": {"enabled": False},
        "ingressGateways": [{"k8s": {"overlays": written or overlays(case)}}],
        "values": case.values,
    }
    try:
        planned = plan(IstioSettings.model_validate(istio))
    except OverlayError as error:
        return error
    made = renderer.render(planned.manifest, program())
    assert renderer.unfulfilled(planned.manifest, made) == []
    return made


@dataclass(frozen=True)
class Outcome:
    base: Rendered
    hand: Rendered | RenderError
    us: Rendered | OverlayError


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """All renderings at once, each about 0.1 s."""
    with ThreadPoolExecutor(4) as pool:
        bases = {repr(case.values): pool.submit(base, case.values) for case in CASES.values()}
        hands = {key: pool.submit(by_hand, case) for key, case in CASES.items()}
        ours = {key: pool.submit(by_us, case) for key, case in CASES.items()}
        return {
            key: Outcome(bases[repr(case.values)].result(), hands[key].result(), ours[key].result())
            for key, case in CASES.items()
        }


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf with its path; items of lists that Kubernetes merges go by their key, other lists are leaves."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list) and (key := KEYED_LISTS.get(path[-1])) and all(key in item for item in value):
        for item in value:
            yield from leaves(item, (*path, f"[{key}:{item[key]}]"))
    else:
        yield path, value


def named(case: Case) -> list[tuple[str, ...]]:
    """What the case's author named: the path of every leaf of every patch."""
    found = []
    for path, value in case.patches:
        at = tuple(parse_path(path))
        found += [at] if value is DELETE else [leaf for leaf, _ in leaves(value, at)]
    return found


HOST_NETWORK = [
    ("spec", "strategy"),
    ("spec", "template", "spec", "containers", "[name:istio-proxy]", "ports"),
    ("spec", "template", "spec", "dnsPolicy"),
]
"""What host network takes besides, and our notes say."""


def lost(case: Case, base: Rendered, made: Rendered, ours: bool = False) -> list[str]:
    """Leaves of any object that are gone or changed though nobody named them."""
    spared = named(case)
    host_network = any(path[-1] == "hostNetwork" for path in spared)
    gone = []
    for before in base.objects:
        kind, name = before["kind"], before["metadata"]["name"]
        if ours and host_network and kind == "HorizontalPodAutoscaler":
            continue  # a note says so
        after = made.named(kind, name)
        mine = spared if (kind, name) == (case.kind, case.name) else []
        mine = [*mine, *HOST_NETWORK] if ours and host_network and kind == "Deployment" else mine
        for path, value in leaves(before):
            if value in (None, [], {}) or any(path[: len(own)] == own or own[: len(path)] == path for own in mine):
                continue
            if after is None or find(after, path) != value:
                gone.append(f"{kind} {name}: {'.'.join(path)}")
    return gone


def asked(case: Case) -> list[tuple[str, Any]]:
    return case.wanted if case.wanted is not None else [(p, v) for p, v in case.patches if v is not DELETE]


def holds(case: Case, made: Rendered, wanted: list[tuple[str, Any]]) -> bool:
    target = made.named(case.kind, case.name)
    gone = [path for path, value in case.patches if value is DELETE]
    return (
        target is not None
        and all(_has(target, path, value) for path, value in wanted)
        and not any(find(target, parse_path(path)) is not None for path in gone)
    )


def _has(target: Any, path: str, value: Any) -> bool:
    """Lists with a key hold the items asked for, maps the keys; everything else is equal, its type included."""
    return all(
        find(target, leaf) == wanted and type(find(target, leaf)) is type(wanted)
        for leaf, wanted in leaves(value, tuple(parse_path(path)))
    )


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("key", CASES)
def test_by_hand(key: str, outcomes: dict[str, Outcome]) -> None:
    """Were a trap gone, we would guard against nothing."""
    case, outcome = CASES[key], outcomes[key]
    if isinstance(outcome.hand, RenderError):
        assert case.raw == ("crashes" if "crashes" in str(outcome.hand) else "fails"), str(outcome.hand)
        return
    has = holds(case, outcome.hand, [(path, value) for path, value in case.patches if value is not DELETE])
    gone = lost(case, outcome.base, outcome.hand)
    identity = case.patches[0][0] in ("kind", "metadata.name")
    if case.raw in ("works", "invalid"):
        # "invalid" is rendered as it was written: only the API server would say that its type is wrong
        assert identity or (has and not gone), gone
    elif case.raw == "loses":
        assert gone
    else:
        assert case.raw == "ignored"
        assert not has


@pytest.mark.parametrize("key", CASES)
def test_by_us(key: str, outcomes: dict[str, Outcome]) -> None:
    case, outcome = CASES[key], outcomes[key]
    if case.refused:
        assert isinstance(outcome.us, OverlayError), "was not refused"
        assert [word for word in case.refused if word not in str(outcome.us)] == [], str(outcome.us)
        assert str(outcome.us).startswith("istio.ingressGateways[0]")
        return
    assert isinstance(outcome.us, Rendered), str(outcome.us)
    assert holds(case, outcome.us, asked(case)), outcome.us.named(case.kind, case.name)
    assert lost(case, outcome.base, outcome.us, ours=True) == []


def pod_intents(pod: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """What people merge into a pod's spec: known leaves changed, new ones set, container settings by the container's name."""
    container = pod["containers"][0]
    scalars = {
        "terminationGracePeriodSeconds": st.integers(0, 99),
        "priorityClassName": st.sampled_from(["a", "b"]),
        "serviceAccountName": st.just("another"),
        "nodeSelector": st.dictionaries(
            st.sampled_from(["x", "example.org/y"]), st.sampled_from(["1", "2"]), min_size=1
        ),
        "securityContext": st.fixed_dictionaries({"fsGroup": st.integers(1, 9)}),
    }
    probe = {key: st.integers(1, 9) for key, value in container["readinessProbe"].items() if isinstance(value, int)}
    proxy = {
        "imagePullPolicy": st.sampled_from(["Always", "Never"]),
        "readinessProbe": st.fixed_dictionaries({}, optional=probe).filter(bool),
        "resources": st.fixed_dictionaries({"limits": st.fixed_dictionaries({"cpu": st.sampled_from(["1", "4"])})}),
        "securityContext": st.fixed_dictionaries({"runAsUser": st.integers(0, 9)}),
        "env": st.just([{"name": "MINE", "value": "1"}]),
    }
    one = st.fixed_dictionaries({"name": st.just(container["name"])}, optional=proxy)
    # another source of it would take the place of the one that is there
    first = pod["volumes"][0]
    [source] = first.keys() - {"name"}
    volume = st.fixed_dictionaries({"name": st.just(first["name"]), source: st.just({"defaultMode": 0o400})})
    lists = {"containers": one.map(lambda c: [c]), "volumes": volume.map(lambda v: [v])}
    return st.fixed_dictionaries({}, optional={**scalars, **lists}).filter(bool)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_field_that_nobody_named_is_lost_on_the_real_renderer(
    outcomes: dict[str, Outcome], data: st.DataObject
) -> None:
    """The property of tests/unit/test_istio_gateways_overlays.py, without its model of the operator."""
    plain = outcomes["grace period"].base
    deployment = plain.named("Deployment", NAME)
    assert deployment
    intent = data.draw(pod_intents(deployment["spec"]["template"]["spec"]))
    case = Case("any", [(POD, intent)], "loses")
    made = by_us(case, data.draw(as_overlays(intent, tuple(parse_path(POD)))))
    assert isinstance(made, Rendered), str(made)
    assert holds(case, made, case.patches)
    assert lost(case, plain, made, ours=True) == []
