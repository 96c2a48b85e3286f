"""Contour's objects as data."""

from __future__ import annotations

from typing import Any

import pytest

from components.dashboards import contour_manifests as manifests
from components.dashboards.fit import contour_release

NODES = ["sealos03", "sealos04"]


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("kubernetes", "expected"),
    [("v1.15.9", None), ("v1.16.3", "v1.9.0"), ("v1.18.20", "v1.9.0"), ("v1.19.0", None)],
)
def test_the_version_fits_the_cluster(kubernetes: str, expected: str | None) -> None:
    found = contour_release(kubernetes)
    assert (found.contour if found else None) == expected


def test_both_live_on_the_chosen_nodes_only() -> None:
    for made in (manifests.deployment("c", NODES, None), manifests.daemon_set("c", "e", NODES)):
        required = pod(made)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        [term] = required["nodeSelectorTerms"]
        [expression] = term["matchExpressions"]
        assert expression == {"key": "kubernetes.io/hostname", "operator": "In", "values": NODES}


def test_envoy_takes_the_web_ports_of_its_node_and_no_more() -> None:
    containers = pod(manifests.daemon_set("c", "e", NODES))["containers"]
    ports = [port["hostPort"] for container in containers for port in container.get("ports", [])]
    assert ports == [80, 443]
    assert "hostNetwork" not in pod(manifests.daemon_set("c", "e", NODES))


def test_no_container_can_take_its_node_down() -> None:
    for made in (manifests.deployment("c", NODES, None), manifests.daemon_set("c", "e", NODES)):
        assert all(container["resources"]["limits"]["memory"] for container in pod(made)["containers"])


def test_one_node_has_one_contour() -> None:
    assert manifests.deployment("c", NODES[:1], None)["spec"]["replicas"] == 1
    assert manifests.deployment("c", NODES, None)["spec"]["replicas"] == 2


def test_an_ingress_class_of_ones_own() -> None:
    [container] = pod(manifests.deployment("c", NODES, "outside"))["containers"]
    assert container["args"][-1] == "--ingress-class-name=outside"


def test_contour_and_envoy_know_each_other_by_certificate() -> None:
    [contour] = pod(manifests.deployment("c", NODES, None))["containers"]
    [bootstrap] = pod(manifests.daemon_set("c", "e", NODES))["initContainers"]
    files = ("ca.crt", "tls.crt", "tls.key")
    flags = ("cafile", "cert-file", "key-file")
    for container, who in ((contour, "contour"), (bootstrap, "envoy")):
        for flag, file in zip(flags, files, strict=True):
            assert f"--{who}-{flag}=/certs/{file}" in container["args"]
    made = {"ca.crt": "ca", "contour.crt": "c", "contour.key": "ck", "envoy.crt": "e", "envoy.key": "ek"}
    assert manifests.certificate_values(made, "envoy") == {"ca.crt": "ca", "tls.crt": "e", "tls.key": "ek"}


def test_contour_may_write_no_secret() -> None:
    rules = [rule for manifest in manifests.rights() if "rules" in manifest for rule in manifest["rules"]]
    secrets = [rule["verbs"] for rule in rules if "secrets" in rule["resources"]]
    assert secrets == [["get", "list", "watch"]]
    assert not any("*" in rule["verbs"] or "*" in rule["resources"] for rule in rules)


def test_names_of_the_resources() -> None:
    assert [suffix for suffix, _ in manifests.everything_before_the_pods()] == [
        "crd-httpproxy",
        "crd-tlscertificatedelegation",
        "crd-extensionservice",
        "service-account-contour",
        "service-account-envoy",
        "cluster-role",
        "cluster-role-binding",
        "role",
        "role-binding",
    ]
