"""Each rule of the policy pack: what it lets pass and what it reports. A rule that is taken out fails its test here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN
from pulumi_policy.proxy import UnknownValueError

from policy.rules import RULES, Resource

MANDATORY = {
    "pinned-host-keys",
    "no-secret-in-a-command",
    "secret-kubeconfig",
    "cluster-identifier",
    "version-pair",
    "bounded-with-a-way-down",
    "cni-in-kube-system",
}
ADVISORY = {"odd-masters", "resource-limits", "dashboards-with-tls"}

LOGIN = {"password": "correct horse", "hostKeys": "pinned", "knownHosts": "known_hosts", "bastion": None}
MACHINE = {"name": "a", "address": "192.0.2.1", "role": "master"}


def make(kind: str, inputs: Mapping[str, Any], *secret_outputs: str) -> Resource:
    return Resource(f"urn:pulumi:t::p::{kind}::x", kind, "x", inputs, secret_outputs)


def driver(verb: str, **more: Any) -> Resource:
    request = {
        "fleet": {"machines": more.pop("fleet", [MACHINE]), "login": {**LOGIN, **more.pop("login", {})}},
        **more.pop("request", {}),
    }
    secret = more.pop("secret", ())
    inputs = {"create": f"python3 -m components.{verb}", "stdin": json.dumps(request), **more}
    return make("command:local:Command", inputs, *secret)


def mesh(spec: Mapping[str, Any], kubernetes: str = "v1.16.3") -> list[Resource]:
    return [
        driver("sealos preflight", request={"kubernetesVersion": kubernetes}),
        make("kubernetes:install.istio.io/v1alpha1:IstioOperator", {"spec": spec}),
    ]


def deployment(container: Mapping[str, Any]) -> Resource:
    return make("kubernetes:apps/v1:Deployment", {"spec": {"template": {"spec": {"containers": [container]}}}})


def remote(connection: Mapping[str, Any], create: str = "timeout 5 true") -> Resource:
    return make("command:remote:Command", {"create": create, "delete": "timeout 5 true", "connection": connection})


def of_kind(kind: str, spec: Mapping[str, Any]) -> Resource:
    return make(f"kubernetes:example/v1:{kind}", {"spec": spec})


def wanted(*roles: str) -> Resource:
    return driver("sealos want", request={"machines": [{**MACHINE, "role": role} for role in roles]})


INSTALL: dict[str, Any] = {"delete": "python3 -m components.sealos clean"}
KUBECONFIG: dict[str, Any] = {"logging": "none", "secret": ("stdout",)}
CASES: list[tuple[str, list[Resource], list[Resource]]] = [
    ("pinned-host-keys", [driver("sealos want")], [driver("sealos want", login={"hostKeys": "unverified"})]),
    ("pinned-host-keys", [driver("sealos want", fleet=[{**MACHINE, "hostKey": "k"}], login={"knownHosts": None})], [driver("sealos want", login={"knownHosts": None})]),
    ("pinned-host-keys", [driver("sealos want", fleet=[{**MACHINE, "hostKey": "k"}], login={"knownHosts": None, "bastion": {"hostKey": "k"}})], [driver("sealos want", fleet=[{**MACHINE, "hostKey": "k"}], login={"knownHosts": None, "bastion": {"address": "b"}})]),
    ("pinned-host-keys", [remote({"host": "h", "hostKey": "k"})], [remote({"host": "h"})]),
    ("pinned-host-keys", [remote({"host": "h", "hostKey": "k", "proxy": {"hostKey": "k"}})], [remote({"host": "h", "hostKey": "k", "proxy": {"host": "b"}})]),
    ("no-secret-in-a-command", [driver("sealos install", **INSTALL)], [driver("sealos install", delete="timeout 5 echo correct horse")]),
    ("no-secret-in-a-command", [driver("sealos join", triggers=["192.0.2.1", "node"], **INSTALL)], [driver("sealos join", triggers=["correct horse"], **INSTALL)]),
    ("no-secret-in-a-command", [driver("sealos want", environment={"A": "b"})], [driver("sealos want", environment={"A": "-----BEGIN OPENSSH PRIVATE KEY-----"})]),
    ("no-secret-in-a-command", [remote({"hostKey": "k"}, "timeout 9 kubeadm token list")], [remote({"hostKey": "k"}, "timeout 9 kubeadm join --token abcdef.0123456789abcdef")]),
    ("secret-kubeconfig", [driver("sealos kubeconfig", **KUBECONFIG)], [driver("sealos kubeconfig", logging="none")]),
    ("secret-kubeconfig", [driver("sealos kubeconfig", **KUBECONFIG)], [driver("sealos kubeconfig", secret=("stdout",))]),
    ("secret-kubeconfig", [remote({"hostKey": "k"})], [remote({"hostKey": "k"}, "timeout 5 cat /etc/kubernetes/admin.conf")]),
    ("cluster-identifier", [make("pulumi:providers:kubernetes", {"clusterIdentifier": "prod"})], [make("pulumi:providers:kubernetes", {"kubeconfig": "k"})]),
    ("version-pair", mesh({"tag": "1.5.0"}), mesh({"tag": "1.5.0"}, "v1.22.3")),
    ("bounded-with-a-way-down", [driver("sealos install", **INSTALL)], [driver("sealos install")]),
    ("bounded-with-a-way-down", [driver("istio gate")], [make("command:local:Command", {"create": "sleep 9", "delete": "timeout 1 true"})]),
    ("bounded-with-a-way-down", [remote({"hostKey": "k"})], [remote({"hostKey": "k"}, "apt-get update")]),
    ("cni-in-kube-system", mesh({"components": {"cni": {"enabled": True, "namespace": "kube-system"}}}), mesh({"components": {"cni": {"enabled": True}}})),
    ("cni-in-kube-system", mesh({"components": {"cni": {"enabled": True}}}, "v1.18.0"), mesh({"components": {"cni": {"enabled": True, "namespace": "istio-system"}}})),
    ("odd-masters", [wanted("master", "master", "master", "node")], [wanted("master", "master", "node")]),
    ("resource-limits", [deployment({"name": "c", "resources": {"limits": {"memory": "1Gi"}}})], [deployment({"name": "c", "resources": {"limits": {"cpu": 1}}})]),
    ("dashboards-with-tls", [of_kind("Ingress", {"tls": [{"secretName": "s"}]})], [of_kind("Ingress", {"rules": []})]),
    ("dashboards-with-tls", [of_kind("HTTPProxy", {"virtualhost": {"fqdn": "f", "tls": {"secretName": "s"}}})], [of_kind("HTTPProxy", {"virtualhost": {"fqdn": "f"}})]),
    ("dashboards-with-tls", [of_kind("Gateway", {"servers": [{"hosts": ["f"], "tls": {"httpsRedirect": True}}]})], [of_kind("Gateway", {"servers": [{"hosts": ["f"]}]})]),
]  # fmt: skip


def reported(resources: list[Resource]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rule in RULES:
        rule.judge(resources, lambda message, urn, name=rule.name: found.setdefault(name, []).append(message))
    return found


@pytest.mark.parametrize(("rule", "good", "bad"), CASES)
def test_what_a_rule_reports(rule: str, good: list[Resource], bad: list[Resource]) -> None:
    assert reported(good) == {}
    found = reported(bad)
    assert set(found) == {rule}
    assert "correct horse" not in json.dumps(found), "a message shows a secret"


def test_every_rule_has_its_case_and_its_level() -> None:
    assert {rule.name for rule in RULES if rule.mandatory} == MANDATORY
    assert {rule.name for rule in RULES if not rule.mandatory} == ADVISORY
    assert {rule for rule, _, _ in CASES} == MANDATORY | ADVISORY


class Unknown(dict[str, Any]):
    """As pulumi_policy hands over what a preview can't know yet."""

    def __getitem__(self, key: str) -> Any:
        raise UnknownValueError(UNKNOWN, [key])


@pytest.mark.parametrize(
    "kind",
    [
        "command:local:Command",
        "command:remote:Command",
        "kubernetes:install.istio.io/v1alpha1:IstioOperator",
        "kubernetes:apps/v1:Deployment",
    ],
)
def test_what_is_not_known_yet_is_no_error(kind: str) -> None:
    found = reported([make(kind, Unknown())])
    assert set(found) <= {"bounded-with-a-way-down"}
