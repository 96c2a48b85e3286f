"""What drift makes of what it saw; on the lab it is tried whole (tests/lab/test_core.py)."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from markdown_it import MarkdownIt

from components import stacks
from components.config.mesh import IstioSettings
from components.istio import renderer
from components.istio.istio_operator import plan
from components.istio.renderer import Rendered
from components.problem import Problem
from components.remote.host import Host
from components.remote.models import Machine, MachineError
from drift import judge, look
from drift.__main__ import to_json, to_text
from tests.project import ROOT
from tests.unit.test_istio_gate import PlayedHost, ready

PAGE = MarkdownIt("commonmark").enable("table").parse((ROOT / "docs" / "review.md").read_text())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MACHINES = (
    Machine(name="m1", address="192.0.2.1", role="master"),
    Machine(name="n1", address="192.0.2.2"),
)


def encoded(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def node(name: str, address: str, role: str = "", version: str = "v1.16.3", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {f"node-role.kubernetes.io/{role}": ""} if role else {}},
        "spec": spec,
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": version},
        },
    }


def cluster(*more: dict[str, Any], version: str = "v1.16.3") -> judge.Seen:
    items = [node("m1", "192.0.2.1", "master"), *(more or (node("n1", "192.0.2.2"),))]
    lines = [
        "hostname m1",
        f"nodes {encoded({'items': items})}",
        f"version {encoded({'serverVersion': {'gitVersion': version}})}",
        f"wanted {encoded({'machines': [{'name': 'm1'}, {'name': 'n1'}]})}",
    ]
    return judge.parse("\n".join(lines))


def told(found: Any) -> list[tuple[str, str]]:
    return [(f.code.area, f.where) for f in found]


def test_a_cluster_as_wanted_is_silent() -> None:
    assert told(judge.membership(MACHINES, "v1.16.3", cluster())) == []
    assert told(judge.machine(MACHINES[0], cluster())) == []


def test_members_and_versions() -> None:
    def found(*more: dict[str, Any], version: str = "v1.16.3") -> list[tuple[str, str]]:
        return told(judge.membership(MACHINES, "v1.16.3", cluster(*more, version=version)))

    n1 = node("n1", "192.0.2.2")
    assert found(n1, node("stranger", "192.0.2.9")) == [("membership", "stranger")]
    assert found(node("n1", "192.0.2.2", unschedulable=True)) == [("membership", "n1")]
    assert found(node("n1", "192.0.2.2", version="v1.16.4")) == [("versions", "n1")]
    assert found(n1, version="v1.16.4") == [("versions", "m1")]
    assert found(node("n2", "192.0.2.3")) == [("membership", "n1"), ("membership", "n2")]
    assert told(judge.membership(MACHINES, "v1.16.3", judge.parse("hostname m1\napi_silent yes"))) == [
        ("membership", "m1")
    ]


def test_machines() -> None:
    assert told(judge.machine(MACHINES[1], judge.parse("hostname other"))) == [("machines", "n1")]
    assert MachineError("n1", "why", "fix", "host-key").problem.code.area == "host-keys"
    assert MachineError("n1", "why", "fix", "mute").problem.code.area == "machines"


def test_what_ends() -> None:
    def claims(days: float) -> str:
        text = json.dumps({"exp": (NOW + timedelta(days=days)).timestamp()})
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def found(*lines: str) -> list[tuple[str, str]]:
        seen = judge.parse("\n".join(lines))
        return [(f.code.area, f.text) for f in judge.expiries("m1", seen, NOW, timedelta(days=30))]

    assert found(f"token /t {claims(40)}", f"bootstrap {encoded('abcdef')} {encoded('2026-01-01T20:00:00Z')}") == []
    assert found(f"token /t {claims(2)}") == [("tokens", "the token in /t ends on 2026-01-03 00:00 UTC, in 2.0 days")]
    assert found(f"bootstrap {encoded('abcdef')} ") == [("tokens", "the join token abcdef never ends")]
    assert found(f"bootstrap {encoded('abcdef')} {encoded('2025-12-30T00:00:00Z')}") == [
        ("tokens", "the join token abcdef ended on 2025-12-30 00:00 UTC and is still there")
    ]
    assert found(f"certificate /c {encoded('nonsense')}") == [("certificates", "/c is no certificate")]


def certificate(days: float) -> bytes:
    """One of our own making that ends then."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(NOW - timedelta(days=365)).not_valid_after(NOW + timedelta(days=days))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_the_stacks_own_kubeconfig_is_judged_beside_the_first_masters() -> None:
    own, renewed = certificate(20), certificate(365)

    def found(on_machine: bytes | None, within: float) -> list[tuple[str, str, str]]:
        lines = [f"certificate {judge.ADMIN} {encoded(on_machine.decode())}"] if on_machine else []
        user = {"client-certificate-data": encoded(own.decode())}
        kubeconfig = json.dumps({"users": [{"name": "u", "user": user}]})
        seen = judge.parse("\n".join(lines))
        return [(f.where, f.text, f.step) for f in judge.own_kubeconfig("prod", kubeconfig, seen, NOW, timedelta(days=within))]

    assert found(own, 10) == found(None, 10) == []
    end = "on 2026-01-21 00:00 UTC, in 20.0 days"
    [(where, what, fix)] = found(own, 30)
    assert (where, what) == ("prod", f"its kubeconfig ends {end}")
    assert "Renew it on the first master (docs/operations.md, Renew certificates)" in fix
    [(where, what, fix)] = found(renewed, 10)
    assert what.endswith(f"any more, which was renewed; it ends {end}")
    assert fix == "`pulumi up` reads it anew."


def step(op: str, inputs: dict[str, Any], before: dict[str, Any], after: dict[str, Any] | None) -> dict[str, Any]:
    urn = "urn:pulumi:s::p::a:b:C$kubernetes:apps/v1:Deployment::d"
    return {
        "op": op,
        "urn": urn,
        "oldState": {"inputs": inputs, "outputs": before},
        "newState": {"outputs": after} if after else None,
    }


def test_objects() -> None:
    inputs = {"spec": {"replicas": 1, "x-odd": True}}

    def found(document: dict[str, Any]) -> list[str]:
        return [f.text for f in judge.objects({"steps": [document]})]

    before = {"spec": {"replicas": 1, "x_odd": True}}
    assert found(step("refresh", inputs, before, {**before, "status": {"new": 1}})) == []
    after = {"spec": {"replicas": 0, "x_odd": True}}
    assert found(step("refresh", inputs, before, after)) == ["changed by hand: spec.replicas"]
    assert found(step("delete", inputs, before, None)) == ["it is gone from the cluster"]


@pytest.fixture
def cordoned() -> list[Problem]:
    """What the examples of docs/review.md show."""
    machines = (MACHINES[0], Machine(name="sealos03", address="192.0.2.3"))
    seen = cluster(node("sealos03", "192.0.2.3", unschedulable=True))
    return [f for f in judge.membership(machines, "v1.16.3", seen) if f.where == "sealos03"]


def test_the_text_is_as_the_docs_show(cordoned: list[Problem]) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": (NOW + timedelta(days=2)).timestamp()}).encode()).decode()
    seen = judge.parse(f"token /etc/cni/net.d/ZZZ-istio-cni-kubeconfig {claims.rstrip('=')}")
    both = [*cordoned, *judge.expiries("sealos03", seen, NOW, timedelta(days=30))]
    assert to_text("prod", both) + "\n" in [t.content for t in PAGE if t.type == "code_block"]
    assert to_text("prod", cordoned).startswith("prod: 1 difference\n")
    assert to_text("prod", []) == "prod: settings, state, cluster and machines agree."


def test_the_json_is_the_contract_that_the_docs_tell(cordoned: list[Problem]) -> None:
    [example] = [token.content for token in PAGE if token.type == "fence" and token.info == "json"]
    assert json.loads(to_json("prod", cordoned)) == json.loads(example)
    assert json.loads(to_json("prod", [])) == {"stack": "prod", "drift": False, "findings": []}
    text = (ROOT / "docs" / "review.md").read_text()
    keys = re.findall(r"^\| `([a-z.\[\]]+)` \| (?:text|true|list)", text, re.MULTILINE)
    assert keys == ["stack", "drift", "findings", *(f"findings[].{key}" for key in json.loads(to_json("prod", cordoned))["findings"][0])]
    areas = re.findall(r"^\| `([a-z-]+)` \|", text.partition("\n## Drift\n")[2].partition("\n### ")[0], re.MULTILINE)
    assert tuple(areas) == judge.AREAS, "the order of the findings is the order of the table"


GATEWAY = "istio-ingressgateway"


def mesh_of(last: str | None, **of_pod: Any) -> list[str]:
    """What drift says of a live mesh that is as it was rendered but for keys of the gateway's pod.

    Args:
        last: the image of what was rendered at the last update; None where there was no renderer.
        of_pod: these keys.
    """
    planned = plan(IstioSettings.model_validate({"cni": {"enabled": False}, "profile": "minimal", "ingressGateways": [{}]}))

    def deployment(name: str, image: str, **more: Any) -> dict[str, Any]:
        pod = {"containers": [{"name": "discovery" if name == "istiod" else "istio-proxy", "image": image}], **more}
        return {
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "istio-system", "generation": 1},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"spec": pod}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        }

    made = [deployment("istiod", last or ""), deployment(GATEWAY, "istio/proxyv2:1.5.0")]
    shown = {"spec": renderer.spec_hash(planned.manifest), "objects": Rendered(tuple(made)).shown()} if last else {}
    data = ready()
    data["mesh"] = [deployment("istiod", "istio/pilot:1.5.0"), deployment(GATEWAY, "istio/proxyv2:1.5.0", **of_pod)]
    wanted = look.expected_mesh(planned, ["sealos02"], shown)
    found = asyncio.run(look.at_mesh(cast("Host", PlayedHost(data)), wanted))
    assert {finding.code.area for finding in found} <= {"mesh"}
    return [str(finding) for finding in found]


def test_the_mesh_is_judged_as_the_gate_does_by_what_was_rendered() -> None:
    assert mesh_of("istio/pilot:1.5.0") == []
    [image] = mesh_of("registry.example.org/istio/pilot:1.5.0")
    assert image.startswith("Deployment istio-system/istiod")
    assert "registry.example.org/istio/pilot:1.5.0" in image
    [left] = mesh_of("istio/pilot:1.5.0", nodeSelector={"edge": "true"})
    assert left.endswith("nodeSelector is still there, and nothing asks for it")


def test_without_a_renderer_the_mesh_is_judged_by_the_tables() -> None:
    assert mesh_of(None, nodeSelector={"edge": "true"}) == []


def test_what_was_rendered_last_is_found_in_the_state() -> None:
    stash = {"type": "pulumi:index:Stash", "urn": "urn:pulumi:dev::sealos-istio::pulumi:index:Stash::istio-rendered", "inputs": {"input": {"spec": "abc"}}}
    other = {"type": "pulumi:pulumi:Stack", "urn": "urn:pulumi:dev::sealos-istio::pulumi:pulumi:Stack::sealos-istio-dev"}

    def state(*resources: dict[str, Any]) -> str:
        return json.dumps({"deployment": {"resources": list(resources)}})

    assert stacks.last_rendered(state(other, stash)) == {"spec": "abc"}
    assert stacks.last_rendered(state(other)) == {}
    assert stacks.last_rendered(json.dumps({"deployment": {}})) == {}
