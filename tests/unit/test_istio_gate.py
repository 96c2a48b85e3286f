"""The gate's judgement on made-up clusters, and its patience on a played clock. The real operator is asked in tests/lab."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.driver import DriverError
from components.istio.match import covers
from components.istio.readiness import change_detection, probe
from components.istio.readiness.judge import judge, leftovers
from components.istio.readiness.model import View, Wanted
from components.istio.readiness.report import last_words, report, warnings
from components.problem import Code, Problem
from components.remote.host import Result

NAME = "istio-ingressgateway"
WANTED = Wanted.model_validate(
    {
        "version": "1.5.0",
        "name": "mesh",
        "namespace": "istio-system",
        "timeout": 120,
        "deployments": ["istiod", NAME],
        "cni": {"namespace": "kube-system", "name": "istio-cni-node"},
        "gateway": NAME,
        "fields": [
            {"kind": "Deployment", "name": NAME, "path": ["spec", "template", "spec", "hostNetwork"], "value": True},
            {"kind": "Service", "name": NAME, "path": ["spec", "ports"], "value": [{"name": "http2", "port": 80}]},
        ],
        "injector": "istio-sidecar-injector",
    }
)


def deployment(name: str, namespace: str = "istio-system") -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "generation": 2},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"hostNetwork": True, "containers": [{"name": "istio-proxy"}]}},
        },
        "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    }


def ready() -> dict[str, Any]:
    pod = {
        "kind": "Pod",
        "metadata": {"name": f"{NAME}-1", "namespace": "istio-system", "labels": {"app": NAME}},
        "spec": {"nodeName": "sealos02"},
        "status": {"phase": "Running"},
    }
    service = {
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": "istio-system"},
        "spec": {"type": "ClusterIP", "ports": [{"name": "http2", "port": 80, "targetPort": 80, "protocol": "TCP"}]},
    }
    node = {
        "metadata": {"name": "sealos02"},
        "status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.12"}]},
    }
    client = {"caBundle": "LS0t", "service": {"name": "istiod", "namespace": "istio-system"}}
    webhook = {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-sidecar-injector"},
        "webhooks": [{"name": "sidecar-injector.istio.io", "clientConfig": client, "failurePolicy": "Fail"}],
    }
    return {
        "istioOperator": {"status": {"status": 3, "componentStatus": {"Pilot": {"status": 3}}}},
        "mesh": [deployment("istiod"), deployment(NAME), service, pod],
        "daemonSet": {
            "metadata": {"generation": 1},
            "status": {
                "observedGeneration": 1,
                "desiredNumberScheduled": 1,
                "numberReady": 1,
                "updatedNumberScheduled": 1,
            },
        },
        "nodes": [node],
        "operator": [deployment("istio-operator", "istio-operator")],
        "webhooks": [webhook, {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "istio-galley"}}],
        "record": None,
        "settled": True,
        "refused": [],
    }


def view(change: Callable[[dict[str, Any]], object] = lambda _: None) -> View:
    data = copy.deepcopy(ready())
    change(data)
    return View.model_validate(data)


def test_a_mesh_as_wanted_has_no_problems_and_a_report() -> None:
    assert judge(WANTED, view()).problems == ()
    found = report(WANTED, view(), restarted=False)
    assert found["status"] == "HEALTHY"
    assert found["gateway"] == {
        "namespace": "istio-system",
        "name": NAME,
        "type": "ClusterIP",
        "hostNetwork": True,
        "ports": [{"name": "http2", "port": 80, "targetPort": 80}],
        "nodes": ["sealos02"],
        "addresses": ["198.51.100.12"],
    }


def test_a_node_that_is_about_to_leave_is_not_reported() -> None:
    def two(data: dict[str, Any]) -> None:
        other = copy.deepcopy(data["nodes"][0])
        other["metadata"]["name"], other["status"]["addresses"][0]["address"] = "sealos03", "198.51.100.13"
        data["nodes"].append(other)
        data["mesh"].append(copy.deepcopy(data["mesh"][-1]) | {"spec": {"nodeName": "sealos03"}})
        data["daemonSet"]["status"].update(desiredNumberScheduled=2, numberReady=2, updatedNumberScheduled=2)

    def told(*machines: str) -> tuple[int, list[str], list[str]]:
        found = report(WANTED.model_copy(update={"machines": machines}), view(two), restarted=False)
        return found["cni"]["ready"], found["gateway"]["nodes"], found["gateway"]["addresses"]

    assert told() == (2, ["sealos02", "sealos03"], ["198.51.100.12", "198.51.100.13"])
    assert told("sealos02") == (1, ["sealos02"], ["198.51.100.12"])


@pytest.mark.parametrize(
    ("reason", "waits"), [("NodeStatusUnknown", False), ("NodeStatusNeverUpdated", True), ("KubeletNotReady", True)]
)
def test_the_plugin_is_not_waited_for_on_a_machine_that_has_died(reason: str, waits: bool) -> None:
    def one_is_dead(data: dict[str, Any]) -> None:
        status = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": reason}]}
        data["nodes"].append({"metadata": {"name": "sealos03"}, "status": status})
        data["daemonSet"]["status"].update(desiredNumberScheduled=2, updatedNumberScheduled=2)

    verdict = judge(WANTED, view(one_is_dead))
    assert bool(verdict.problems) is waits
    assert [node.name for node in verdict.silent] == ([] if waits else ["sealos03"])
    assert report(WANTED, view(one_is_dead), restarted=False)["cni"]["ready"] == 1


@pytest.mark.parametrize(("noted", "same"), [("this", True), ("another", False), ("none", True)])
def test_outputs_that_are_not_so_any_more_take_the_gate_anew(noted: str, same: bool) -> None:
    found = report(WANTED, view(), restarted=False)
    reported = {"cni": found["cni"], "gateway": found["gateway"]}
    if noted == "another":
        reported["gateway"] = found["gateway"] | {"nodes": ["sealos04"], "addresses": ["198.51.100.14"]}
    data = {"foundChangedAt": "then"} | ({} if noted == "none" else {"reported": json.dumps(reported)})
    assert change_detection.unchanged(WANTED, view(_set("record", value={"data": data}))) is same


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        node: Any = data
        for element in path[:-1]:
            node = node[element]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(_set("istioOperator", value=None), Code.MESH_STATUS, "does not exist", id="no IstioOperator"),
        pytest.param(_set("istioOperator", "status", value=None), Code.MESH_STATUS, "has no status yet", id="no status"),
        pytest.param(_set("istioOperator", "status", "status", value=1), Code.MESH_STATUS, "is UPDATING", id="updating"),
        pytest.param(_set("settled", value=False), Code.MESH_STATUS, "at work on it again", id="old status"),
        pytest.param(
            _set(
                "istioOperator",
                "status",
                value={"status": 4, "componentStatus": {"Pilot": {"status": 4, "error": "boom"}}},
            ),
            Code.OPERATOR_ERROR,
            "Pilot: boom",
            id="error by number",
        ),
        pytest.param(
            _set("istioOperator", "status", value={"status": "ERROR"}), Code.OPERATOR_ERROR, "without a reason", id="error by word"
        ),
        pytest.param(
            lambda d: d["mesh"].pop(0),
            Code.OBJECT_MISSING,
            "Deployment istio-system/istiod: does not exist",
            id="missing Deployment",
        ),
        pytest.param(_set("daemonSet", value=None), Code.OBJECT_MISSING, "istio-cni-node: does not exist", id="missing DaemonSet"),
        pytest.param(
            lambda d: d["nodes"].append({"metadata": {"name": "n"}}),
            Code.WORKLOAD_UNREADY,
            "1 wanted on 2 nodes",
            id="a node without",
        ),
        pytest.param(
            _set("mesh", 0, "status", "observedGeneration", value=1), Code.WORKLOAD_UNREADY, "not been seen", id="stale Deployment"
        ),
        pytest.param(
            _set("mesh", 0, "status", "availableReplicas", value=0), Code.WORKLOAD_UNREADY, "0 of 1 replicas", id="unavailable"
        ),
        pytest.param(
            _set("mesh", 1, "spec", "template", "spec", value={}),
            Code.OBJECT_DIFFERS,
            "is not set, wanted True",
            id="host network lost",
        ),
        pytest.param(
            lambda d: d["mesh"][2]["spec"]["ports"].append({"name": "tls", "port": 15443}),
            Code.OBJECT_DIFFERS,
            "has http2 80, tls 15443, wanted exactly http2 80",
            id="a port too many",
        ),
        pytest.param(_set("operator", value=[]), Code.OPERATOR_MISSING, "istio-operator: does not exist", id="no operator"),
        pytest.param(_set("webhooks", value=[]), Code.OBJECT_MISSING, "istio-sidecar-injector: does not exist", id="no injector"),
        pytest.param(
            _set("webhooks", 0, "webhooks", 0, "clientConfig", "caBundle", value=""),
            Code.WEBHOOK_CA,
            "webhook sidecar-injector.istio.io has no CA bundle yet; istiod fills it in (failurePolicy Fail)",
            id="no authority in the webhook",
        ),
        pytest.param(
            _set("refused", value=["patch error: path not found"] * 3),
            Code.OPERATOR_ERROR,
            "can't carry it out: patch error: path not found",
            id="refused for good",
        ),
        pytest.param(_set("refused", value=["the object has been modified"]), Code.MESH_STATUS, "modified", id="refused once"),
    ],
)
def test_each_problem_names_the_object(change: Callable[[dict[str, Any]], object], code: Code, words: str) -> None:
    [problem] = judge(WANTED, view(change)).problems
    assert problem.code is code
    assert words in str(problem)


def test_a_later_version_takes_its_status_away_before_it_refuses() -> None:
    later = WANTED.model_copy(update={"version": "1.8.0"})
    healthy = {"status": "HEALTHY", "componentStatus": {"Pilot": {"status": "HEALTHY"}}}

    def change(data: dict[str, Any]) -> None:
        data.update(settled=None, refused=["path not found"] * 3)
        data["istioOperator"]["status"] = healthy

    assert judge(later, view(change)).problems == (), "what was refused before it got HEALTHY"
    healthy["status"] = "RECONCILING"
    assert [problem.code for problem in judge(later, view(change)).problems] == [Code.MESH_STATUS, Code.OPERATOR_ERROR]


def test_a_pod_says_why_it_waits() -> None:
    def change(data: dict[str, Any]) -> None:
        data["mesh"][1]["status"]["availableReplicas"] = 0
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        again = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
        ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        data["mesh"][3]["status"] = {
            "containerStatuses": [
                {"name": "istio-proxy", "state": state},
                {"name": "sds", "state": again, "lastState": ended},
            ],
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes"}
            ],
        }

    [problem] = judge(WANTED, view(change)).problems
    assert "Unschedulable: 0/4 nodes" in problem.text
    assert "container istio-proxy: ImagePullBackOff: no such image" in problem.text
    assert "container sds: CrashLoopBackOff: back-off 10s; it ended with status 137: OOMKilled" in problem.text


def event(name: str, reason: str, message: str, at: str, namespace: str = "istio-system") -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": namespace, "name": name}
    return {
        "metadata": {}, "involvedObject": about, "reason": reason, "message": message, "lastTimestamp": f"2026-01-01T{at}Z",
    }  # fmt: skip


def test_kubernetes_warnings_are_those_about_what_is_not_as_wanted() -> None:
    problems = [
        Problem(Code.WORKLOAD_UNREADY, "Deployment istio-system/istiod", "0 of 1 replicas; pod istiod-1: Unschedulable: 0/4 nodes"),
        Problem(Code.WORKLOAD_UNREADY, "DaemonSet kube-system/istio-cni-node", "0 ready"),
    ]
    events = [
        event("istiod-2", "Unhealthy", "Readiness probe failed", "00:00:09"),
        event("istio-cni-node", "FailedCreate", "is forbidden", "00:00:02", "kube-system"),
        event("istiod-1", "Unhealthy", "Readiness probe failed", "00:00:01"),
        event("istiod-1", "FailedScheduling", "0/4 nodes", "00:00:03"),  # said by the problem already
        event("istiodine", "Unhealthy", "another's", "00:00:04"),
        event("calico-node-1", "Unhealthy", "another's", "00:00:05", "kube-system"),
        event("istiod-1", "Unhealthy", "in another namespace", "00:00:06", "kube-system"),
    ]
    assert warnings(events, problems) == [
        "00:00:02 Pod kube-system/istio-cni-node: FailedCreate: is forbidden",
        "00:00:09 Pod istio-system/istiod-2: Unhealthy: Readiness probe failed",
    ]
    many = [event("istiod-1", "Failed", str(number), f"00:01:{number:02}") for number in range(30)]
    assert [text[-2:] for text in warnings(many, problems)] == ["24", "25", "26", "27", "28", "29"]


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("0%", "0%", True),
        (80, "80", True),
        (None, False, True),
        ("true", True, False),
        ([{"a": 1, "x": 0}], [{"a": 1}], True),
        ([1, 2], [1], False),
    ],
)
def test_covers(live: Any, wanted: Any, same: bool) -> None:
    assert covers(live, wanted) is same


def test_last_words_are_the_errors_without_the_manifests() -> None:
    log = "2026-01-01T00:00:00Z\tinfo\tApply manifest\nkind: Service\n2026-01-01T00:00:01Z\terror\tboom\n2026-01-01T00:00:02Z\twarn\tmeh\n"
    assert last_words(log) == ["boom"]
    assert last_words("panic: index out of range\n") == ["panic: index out of range"]


class PlayedHost:
    """Answers each look with the next view (the last one for ever) and counts restarts; time passes only in sleep."""

    def __init__(self, *views: dict[str, Any] | None) -> None:
        self.views = list(views)
        self.restarts = 0
        self.restarted: list[tuple[bytes, bytes]] = []
        self.trimmed: list[dict[str, Any]] = []
        self.time = 0.0
        self.cured: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []

    async def run(self, script: Path | str, files: dict[str, bytes], timeout: float) -> Result:  # noqa: ASYNC109
        if files["verb"] == b"trim":
            self.trimmed.append({"name": files["name"].decode(), "patch": json.loads(files["patch"])})
            self.views = [self.cured or self.views[0]]
            return Result("", "", 0)
        if files["verb"] == b"restart":
            self.restarts += 1
            self.restarted.append((files["namespace"], files["selector"]))
            self.views = [self.cured or self.views[0]]
            return Result("", "", 0)
        if files["verb"] == b"warnings":
            assert files["namespaces"] == b"istio-system\nkube-system\nistio-operator\n"
            return Result(json.dumps({"items": self.events}) + "\n", "", 0)
        if files["verb"] == b"logs":
            return Result("x\terror\tthe operator's reason\n", "", 0)
        found = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if found is None:
            return Result("", "The connection to the server was refused", 1)
        as_lists = {k: {"items": found[k]} for k in ("mesh", "nodes", "operator", "webhooks")}
        refused = base64.b64encode("".join(f"{line}\n" for line in found["refused"]).encode()).decode()
        return Result(json.dumps({**found, **as_lists, "refused": refused}), "", 0)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def gate(self, wanted: Wanted = WANTED) -> tuple[dict[str, Any], list[str]]:
        said: list[str] = []
        found = asyncio.run(probe.wait(self, wanted, said.append, clock=lambda: self.time, sleep=self.sleep))
        return found, said


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = copy.deepcopy(ready())
    change(data)
    return data


def test_it_waits_through_an_api_server_that_does_not_answer() -> None:
    found, said = PlayedHost(None, None, ready()).gate()
    assert found["status"] == "HEALTHY"
    assert "did not answer" in said[0]


def test_an_error_that_lasts_fails_early_with_the_operators_words() -> None:
    host = PlayedHost(changed(_set("istioOperator", "status", value={"status": 4})))
    with pytest.raises(DriverError) as failed:
        host.gate()
    assert "without a reason" in str(failed.value)
    assert "the operator's reason" in str(failed.value)
    assert host.time < WANTED.timeout / 2


def test_a_spec_that_is_never_carried_out_fails_soon_though_the_old_status_is_healthy() -> None:
    host = PlayedHost(changed(lambda d: d.update(settled=False, refused=["patch error: path not found"] * 5)))
    with pytest.raises(DriverError, match="patch error: path not found"):
        host.gate()
    assert host.time < 2 * probe.DONE_LASTS


def test_an_error_of_the_last_spec_is_outlived() -> None:
    old = changed(lambda d: d.update(settled=False, istioOperator={"status": {"status": 4}}))
    assert PlayedHost(*[old] * 8, ready()).gate()[0]["status"] == "HEALTHY"


def test_healthy_without_the_objects_restarts_the_operator_once() -> None:
    host = PlayedHost(changed(lambda d: d["mesh"].pop(0)))
    host.cured = ready()
    found, said = host.gate()
    assert (host.restarted, found["operatorRestarted"]) == ([(b"istio-operator", b"name=istio-operator")], True)
    assert any("istiod: does not exist" in text and "started anew" in text for text in said)


def test_an_operator_that_hangs_over_what_is_as_wanted_is_restarted_once() -> None:
    at_work = {"status": {"status": 2}}
    host = PlayedHost(changed(lambda d: d.update(istioOperator=at_work)))
    host.cured = ready()
    found, said = host.gate()
    assert (host.restarts, found["operatorRestarted"]) == (1, True)
    assert probe.HANGS_AFTER <= host.time < WANTED.timeout
    assert any("has not ended for 60 s" in text for text in said)


def unfilled(data: dict[str, Any]) -> None:
    data["webhooks"][0]["webhooks"][0]["clientConfig"]["caBundle"] = ""
    data["mesh"][0]["spec"]["selector"] = {"matchLabels": {"app": "istiod", "istio": "pilot"}}


def test_an_istiod_that_runs_and_leaves_its_webhooks_unfilled_is_restarted_once() -> None:
    """1.5.0's after it lost its lease: seen on real machines, when the API server was away for longer than that."""
    host = PlayedHost(changed(unfilled))
    host.cured = ready()
    found, said = host.gate()
    assert (host.restarted, found["operatorRestarted"]) == ([(b"istio-system", b"app=istiod,istio=pilot")], False)
    assert probe.DEAF_AFTER <= host.time < WANTED.timeout
    assert any("istio-system/istiod runs, but has left its webhooks without a CA bundle for 45 s" in text for text in said)


def test_one_that_is_not_ready_is_waited_for() -> None:
    def starting(data: dict[str, Any]) -> None:
        unfilled(data)
        data["mesh"][0]["status"]["availableReplicas"] = 0

    host = PlayedHost(changed(starting))
    with pytest.raises(DriverError, match="has no CA bundle yet"):
        host.gate()
    assert host.restarts == 0


def test_an_operator_that_waits_for_a_pod_does_not_hang() -> None:
    def waiting(data: dict[str, Any]) -> None:
        data.update(istioOperator={"status": {"status": 2}})
        data["mesh"][0]["status"]["availableReplicas"] = 0

    host = PlayedHost(changed(waiting))
    with pytest.raises(DriverError, match="not ready after 120 s"):
        host.gate()
    assert host.restarts == 0


def test_a_restart_that_does_not_help_ends_in_time() -> None:
    host = PlayedHost(changed(lambda d: d["mesh"].pop(0)))
    with pytest.raises(DriverError, match="not ready after 120 s"):
        host.gate()
    assert host.restarts == 1
    assert host.time <= WANTED.timeout + probe.INTERVAL


def test_the_message_says_what_kubernetes_says_and_has_an_end() -> None:
    def many_and_long(data: dict[str, Any]) -> None:
        data["mesh"][0]["status"]["availableReplicas"] = 0
        for number in range(30):
            webhooks = [
                {"name": "w" * 2000, "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}}}
            ]
            metadata = {"name": f"istio-{number}"}
            data["webhooks"].append(
                {"kind": "MutatingWebhookConfiguration", "metadata": metadata, "webhooks": webhooks}
            )

    host = PlayedHost(changed(many_and_long))
    host.events = [event("istiod-1", "Unhealthy", "Readiness probe failed", "00:00:01")]
    with pytest.raises(DriverError) as failed:
        host.gate()
    lines = str(failed.value).splitlines()
    assert lines[-1].startswith("Mend what is named above")
    assert "  - and 11 more" in lines
    assert "    00:00:01 Pod istio-system/istiod-1: Unhealthy: Readiness probe failed" in lines
    assert len(lines) < 30
    assert max(map(len, lines)) < 2000


def test_without_the_log_all_must_stay_as_wanted_for_a_while() -> None:
    host = PlayedHost(changed(_set("settled", value=None)))
    host.gate()
    assert host.time >= probe.SETTLED_AFTER


def test_a_mesh_counts_as_changed_unless_it_is_as_wanted_or_at_work() -> None:
    assert change_detection.unchanged(WANTED, view())
    assert change_detection.unchanged(WANTED, view(_set("settled", value=False)))
    assert not change_detection.unchanged(WANTED, view(lambda d: d["mesh"].pop(0)))
    assert not change_detection.unchanged(WANTED, view(_set("istioOperator", value=None)))
    assert change_detection.noted(view()) == ""
    assert change_detection.noted(view(_set("record", value={"data": {"foundChangedAt": "then"}}))) == "then"


def with_pod(**spec: Any) -> Wanted:
    """Where a renderer told what the gateway's pod is to have."""
    pod = {
        "name": NAME,
        "spec": {key: value for key, value in spec.items() if key != "ports"},
        "hostPorts": spec.get("ports", []),
    }
    return Wanted.model_validate({**WANTED.model_dump(), "fields": [], "pods": [pod]})


def placed(**spec: Any) -> dict[str, Any]:
    """A mesh whose gateway's pod has these keys, and no other that is of interest here."""

    def change(data: dict[str, Any]) -> None:
        pod = data["mesh"][1]["spec"]["template"]["spec"]
        del pod["hostNetwork"]
        pod.update(spec)

    return changed(change)


PORTS = [
    {"name": "istio-proxy", "ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 443, "hostPort": 443}]}
]
TEMPLATE = "/spec/template/spec"


@pytest.mark.parametrize(
    ("live", "asked", "left"),
    [
        pytest.param({"nodeSelector": {"a/b": "1", "c": "2"}}, {"nodeSelector": {"c": "2"}}, ["nodeSelector/a~1b"], id="key"),
        pytest.param({"nodeSelector": {"c": "2"}}, {}, ["nodeSelector"], id="all keys"),
        pytest.param({"nodeSelector": {"c": "2"}}, {"nodeSelector": {"c": "3"}}, [], id="a value is the operator's own business"),
        pytest.param({"dnsPolicy": "ClusterFirst"}, {}, [], id="Kubernetes' default"),
        pytest.param({"schedulerName": "default-scheduler"}, {}, [], id="no key that places it"),
        pytest.param({"tolerations": [{"key": "x"}]}, {"tolerations": []}, [], id="lists are whole"),
        pytest.param(
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "containers": PORTS},
            {"ports": [443]},
            ["hostNetwork", "dnsPolicy", "containers/0/ports/0/hostPort"],
            id="the host's network",
        ),
        pytest.param({"hostNetwork": True, "containers": PORTS}, {"hostNetwork": True}, [], id="host ports that the API made"),
        pytest.param(
            {"affinity": {"nodeAffinity": {}, "podAntiAffinity": {}}},
            {"affinity": {"nodeAffinity": {}}},
            ["affinity/podAntiAffinity"],
            id="inside",
        ),
    ],
)  # fmt: skip
def test_what_earlier_settings_left_in_a_pod_is_found(
    live: dict[str, Any], asked: dict[str, Any], left: list[str]
) -> None:
    wanted, view = with_pod(**asked), PlayedHost(placed(**live))
    looked = asyncio.run(probe.look(view, wanted))
    assert isinstance(looked, View)
    assert leftovers(wanted, looked) == ({NAME: [f"{TEMPLATE}/{pointer}" for pointer in left]} if left else {})
    assert [str(p) for p in judge(wanted, looked).problems] == [
        f"Deployment istio-system/{NAME}: {TEMPLATE}/{pointer} is still there, and nothing asks for it"
        for pointer in left
    ]


def test_what_earlier_settings_left_is_taken_away_and_said() -> None:
    host = PlayedHost(placed(nodeSelector={"gone": "1"}))
    host.cured = placed()
    _, said = host.gate(with_pod())
    assert host.trimmed == [{"name": NAME, "patch": [{"op": "remove", "path": f"{TEMPLATE}/nodeSelector"}]}]
    assert said[0] == f"taking away what only earlier settings asked for: Deployment {NAME}: {TEMPLATE}/nodeSelector"
