"""The review on recorded previews: made by the real engine against the state of a lab's real cluster (tests/unit/previews)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from review import mesh, picture, previews, summary
from review.__main__ import FAILED, STOPPED, status
from review.comment import CommentFailed, PullRequest
from review.plan import Change, Difference, Plan, between, parse
from tests.github import Api, api

SVG = "{http://www.w3.org/2000/svg}"
RECORDED = Path(__file__).parent / "previews"
DOT = (RECORDED / "graph.dot").read_text()


def recorded(name: str) -> Plan:
    return parse("prod", json.loads((RECORDED / f"{name}.json").read_text()))


@pytest.mark.parametrize(
    ("name", "headline", "first", "labels"),
    [
        ("nothing", "prod: nothing changes", [], []),
        ("first", "prod: 21 to create", ["A new cluster", "sealos02, sealos03, sealos04 join"], []),
        (
            "node-added-and-removed",
            "prod: 1 to create, 4 to update, 1 to delete",
            ["STOP: the node sealos03 would be deleted (label allow-node-loss)", "sealos05 joins", "sealos03 is drained and leaves"],
            ["allow-node-loss"],
        ),
        (
            "node-moved",
            "prod: 4 to update, 1 to replace",
            [
                "STOP: the node sealos04 would be replaced: 198.18.25.14 → 198.18.25.19 (label allow-node-loss)",
                "sealos04 is drained, leaves and joins again",
            ],
            ["allow-node-loss"],
        ),
        ("gateway-label", "prod: 2 to update", [], []),
        (
            "mesh-removed",
            "prod: 12 to delete",
            [
                "STOP: of the mesh would be deleted: ClusterRole, ClusterRoleBinding, CustomResourceDefinition, Deployment, IstioOperator, Namespace, Namespace, Service, ServiceAccount (label allow-mesh-loss)"
            ],
            ["allow-mesh-loss"],
        ),
        (
            "cluster-replaced",
            "prod: 1 to replace",
            ["STOP: the cluster would be replaced (cluster-install, because of id) (label allow-cluster-loss)"],
            ["allow-cluster-loss"],
        ),
    ],
)  # fmt: skip
def test_what_a_reviewer_reads_first(name: str, headline: str, first: list[str], labels: list[str]) -> None:
    plan = recorded(name)
    assert summary.headline(plan) == headline
    assert list(summary.lines(plan)) == first
    assert status([plan], ()) == (STOPPED if labels else 0)
    assert status([plan], tuple(labels)) == 0


def test_a_renamed_cluster_is_two_losses() -> None:
    plan = recorded("cluster-renamed")
    assert [loss.label for loss in plan.losses()] == ["allow-cluster-loss", "allow-mesh-loss"]
    assert status([plan], ("allow-cluster-loss",)) == STOPPED


def test_the_difference_names_the_path_and_both_values() -> None:
    told = list(summary.differences(recorded("gateway-label")))
    assert "~ IstioOperator istio-istio-operator" in told
    assert "    + spec.components.ingressGateways[istio-ingressgateway].label.team: edge" in told
    assert "    ~ triggers[0]: 198.18.25.14 → 198.18.25.19" in list(summary.differences(recorded("node-moved")))


def service(**spec: object) -> dict[str, object]:
    ports = [{"name": "http2", "port": 80}, {"name": "https", "port": 443}]
    return {"kind": "Service", "spec": {"ports": ports, **spec}}


def test_the_mesh_is_shown_as_objects_and_values_and_steps_in_words() -> None:
    gateway, urn = "Service istio-system/istio-ingressgateway", "urn:pulumi:s::p::sealos-istio:istio:ControlPlane$"
    before = {gateway: service(type="ClusterIP"), "Deployment istio-system/kiali": {"spec": {"replicas": 1}}}
    moved = [{"name": "https", "port": 443}, {"name": "http2", "port": 8080}]
    after = {gateway: service(type="Node|Port", ports=moved), "Role istio-system/x": {"rules": []}}

    def step(objects: object) -> dict[str, object]:
        return {"inputs": {"input": {"spec": "a hash", "objects": objects}}}

    plan = parse("s", {"steps": [
        {"op": "update", "urn": f"{urn}pulumi:index:Stash::istio-rendered", "oldState": step(before), "newState": step(after)},
        {"op": "update", "urn": f"{urn}command:local:Command::istio-gate", "diffReasons": ["stdin"]},
    ]})  # fmt: skip
    changed = "spec.ports[http2].port 80 → 8080; spec.type ClusterIP → Node|Port"
    assert list(summary.objects(plan)) == [
        ("~", "step istio-gate", "runs again"),
        ("-", "Deployment istio-system/kiali", ""),
        ("+", "Role istio-system/x", ""),
        ("~", gateway, changed),
    ]
    assert f"| `~` | {gateway} | {changed.replace('|', chr(92) + '|')} |" in summary.markdown([plan])
    [rendered, *_] = plan.changes
    alone = Plan("s", (rendered,))
    assert list(summary.objects(between(alone, alone))) == [], "compared with itself"


def test_of_one_object_three_differences_are_shown_and_the_others_counted() -> None:
    many = dict.fromkeys("abcde", 1)
    [(sign, _, told)] = mesh.differences({"Role r": many}, {"Role r": dict.fromkeys(many, 2)})
    assert (sign, told) == ("~", "a 1 → 2; b 1 → 2; c 1 → 2; and 2 more")
    assert list(mesh.differences({}, {"Role r": many})) == [], "a new mesh is not a hundred lines"


def test_of_a_long_text_what_differs_is_shown() -> None:
    lines = [f"key{number}: value" for number in range(100)]
    changed = [*lines[:70], "accessLogFile: /dev/stdout", *lines[71:]]
    config = "ConfigMap istio-system/istio"
    [(_, _, told)] = mesh.differences({config: {"data": {"mesh": "\n".join(lines)}}}, {config: {"data": {"mesh": "\n".join(changed)}}})
    assert told == "data.mesh key70: value → accessLogFile: /dev/stdout"
    [(_, _, told)] = mesh.differences({config: {"a": "\n".join(lines)}}, {config: {"a": "\n".join([*lines, "more: 1"])}})
    assert told == "a nothing → more: 1"
    [(_, _, told)] = mesh.differences({config: {"a": "x" * 500 + "1" + "y" * 500}}, {config: {"a": "x" * 500 + "2" + "y" * 500}})
    assert "1yy" in told
    assert "2yy" in told
    assert len(told) < 420
    # the same between two previews that were made from nothing
    found = between(Plan("s", (_made("a", data="⏎".join(lines)),)), Plan("s", (_made("a", data="⏎".join(changed)),)))
    [change] = found.changed
    assert list(map(str, change.differences)) == ["~ data: key70: value → accessLogFile: /dev/stdout"]


def test_the_gate_holds_what_is_protected_and_what_failed() -> None:
    change = Change("delete", "urn:pulumi:s::p::aws:s3:Bucket::b", "aws:s3:Bucket", "b", protect=True)
    plan = Plan("s", (change,))
    assert status([plan], ()) == STOPPED
    assert status([plan], ("allow-protected-loss",)) == 0
    assert status([Plan("s", error="broken")], ()) == FAILED
    assert status([Plan("s", violations=((True, "t"),))], ()) == STOPPED
    assert status([Plan("s", violations=((False, "t"),))], ()) == 0


def test_a_comment_has_the_summary_first_and_the_differences_folded() -> None:
    text = summary.markdown([recorded("node-added-and-removed"), recorded("nothing")], (), "here")
    assert text.startswith(summary.MARKER)
    assert text.index("**STOP: the node sealos03") < text.index("| `-` | node sealos03 |")
    assert text.index("| `+` |") < text.index("<details>") < text.index("- Command cluster-member-sealos03\n")
    assert text.count("<details>") == text.count("</details>") == 1
    assert len(summary.markdown([recorded("first")] * 40)) <= summary.LONGEST


def test_without_state_two_versions_are_compared() -> None:
    assert between(recorded("first"), recorded("first")).changed == ()
    before = Plan(
        "s", (_made("a", **{"spec.x": "1"}), _made("gone"), _made("m", **{"triggers[0]": "1", "create": "c: d"}))
    )
    after = Plan("s", (_made("a", **{"spec.x": "2"}), _made("new"), _made("m", **{"triggers[0]": "2", "create": "c: d"})))
    found = {change.name: (change.operation, tuple(map(str, change.differences))) for change in between(before, after).changed}
    assert found == {
        "a": ("update", ("~ spec.x: 1 → 2",)),
        "new": ("create", ()),
        "m": ("replace", ("~ triggers[0]: 1 → 2",)),
        "gone": ("delete", ()),
    }


def _made(name: str, **inputs: str) -> Change:
    differences = tuple(Difference(path, None, value) for path, value in inputs.items())
    return Change("create", f"urn:pulumi:s::p::t:t:T::{name}", "t:t:T", name, differences=differences)


def test_the_picture_shows_what_changes_and_all_the_rest() -> None:
    urns, pairs = picture.edges(DOT)
    assert len(urns) == 28
    names = {(a.rpartition("::")[2], b.rpartition("::")[2]) for a, b in pairs}
    assert ("cluster-install", "cluster-wanted") in names
    assert ("cluster-wanted", "cluster-member-sealos02") in names
    drawn = picture.highlighted(recorded("node-added-and-removed"), DOT)
    node = {line.split("<b>")[1].split("</b>")[0]: line for line in drawn.splitlines() if "<b>" in line}
    assert picture.COLOURS["create"] in node["cluster-member-sealos05"]
    assert picture.COLOURS["delete"] in node["cluster-member-sealos03"]
    assert picture.COLOURS["update"] in node["cluster-wanted"]
    assert "white" not in node["cluster-member-sealos02"]
    assert len(node) == 22


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed (.ci/run does)")
def test_graphviz_draws_it_from_the_machines_to_the_mesh_without_edges_that_others_imply(tmp_path: Path) -> None:
    picture.write(picture.highlighted(recorded("first")), tmp_path / "p.svg")
    svg = ET.parse(tmp_path / "p.svg")
    names: dict[str, str] = {}
    follows: dict[str, set[str]] = {}
    for group in svg.iter(f"{SVG}g"):
        title = (group.findtext(f"{SVG}title") or "").strip()
        if group.get("class") == "node":
            names[title] = next(group.iter(f"{SVG}text")).text or ""
        elif group.get("class") == "edge":
            earlier, _, later = title.partition("->")
            follows.setdefault(names[earlier], set()).add(names[later])
    assert "cluster-member-sealos02" in names.values()
    reached, front = set[str](), {"cluster-preflight"}
    while front:
        reached |= front
        front = {later for name in front for later in follows.get(name, ())} - reached
    assert {"cluster-provider", "istio-namespace", "istio-istio-operator", "istio-cni-probe"} <= reached
    assert "istio-istio-operator" not in follows["istio-operator-service-account"], (
        "its binding and the Deployment come between"
    )


def test_without_graphviz_the_graph_is_kept_and_the_fix_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(picture.PictureMissing, match="apt-get install graphviz"):
        picture.write("digraph {}", tmp_path / "p.svg")
    assert (tmp_path / "p.dot").read_text() == "digraph {}"


def test_violations_of_one_kind_are_one_line() -> None:
    def event(urn: str, level: str = "mandatory") -> str:
        told = {
            "resourceUrn": f"u::{urn}",
            "message": "what must hold\nit does not\n",
            "policyName": "p",
            "enforcementLevel": level,
        }
        return json.dumps({"policyEvent": told})

    text = "\n".join([*(event(n) for n in "dcba"), event("z", "advisory"), '{"summaryEvent": {}}'])
    assert list(previews.policy_violations(text)) == [
        (True, "p: it does not (a, b, c and 1 more)"),
        (False, "p: it does not (z)"),
    ]


@pytest.fixture
def github() -> Iterator[tuple[str, type[Api]]]:
    with api() as found:
        yield found


def test_one_comment_is_kept_up_to_date(github: tuple[str, type[Api]]) -> None:
    api, seen = github
    request = PullRequest(api, "o/r", 7, "good")
    request.say(f"{summary.MARKER} one")
    where = request.say(f"{summary.MARKER} two")
    assert seen.asked == ["POST", "PATCH"]
    assert [c["body"] for c in seen.comments if summary.MARKER in c["body"]] == [f"{summary.MARKER} two"]
    assert where == "https://github.example/120"
    del seen.comments[:]
    with pytest.raises(CommentFailed, match="pull-requests: write"):
        PullRequest(api, "o/r", 8, "bad").say("text")


def test_the_pull_request_is_read_from_the_event(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    head = {"repo": {"full_name": "someone/r"}}
    event.write_text(json.dumps({"pull_request": {"number": 3, "labels": [{"name": "allow-node-loss"}], "head": head}}))
    found = PullRequest.of({"GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "o/r"})
    assert found is not None
    assert (found.number, found.labels, found.fork) == (3, ("allow-node-loss",), True)
    assert PullRequest.of({}) is None


def test_what_the_mesh_says_in_vain_is_advice_and_stops_nothing() -> None:
    plan = replace(recorded("gateway-label"), idle=("sealos-istio:istio.values.a does nothing: …",))
    assert list(summary.lines(plan)) == ["Advice sealos-istio:istio.values.a does nothing: …"]
    assert status([plan], ()) == 0
