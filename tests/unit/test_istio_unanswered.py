"""Services that lead nowhere, and others that Kubernetes takes and that do nothing."""

from __future__ import annotations

from typing import Any

import pytest

from components.istio.unanswered import findings

LABELS = {"app": "edge", "istio": "edge"}


def workload(own: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    containers = [{"name": "istio-proxy", "securityContext": own}]
    template = {"metadata": {"labels": {**LABELS, "more": "x"}}, "spec": {"containers": containers, **pod}}
    return {"kind": "Deployment", "metadata": {"name": "edge", "namespace": "a"}, "spec": {"template": template}}


def service(*ports: dict[str, Any], namespace: str = "a", selector: Any = None) -> dict[str, Any]:
    spec = {"selector": LABELS if selector is None else selector, "ports": list(ports)}
    return {"kind": "Service", "metadata": {"name": "edge", "namespace": namespace}, "spec": spec}


def autoscaler(name: str) -> dict[str, Any]:
    return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "edge", "namespace": "a"}, "spec": {"scaleTargetRef": {"name": name}}}


NO_ROOT = {"securityContext": {"runAsNonRoot": True, "runAsUser": 1337}}
WEB = {"port": 80, "targetPort": 8080}


@pytest.mark.parametrize(
    ("known", "pods", "words"),
    [
        (service(WEB, selector={"app": "other"}), workload(), "spec.selector: labels that the pods of some workload have"),
        (service(WEB, namespace="b"), workload(), "spec.selector: labels"),
        (service({"port": 80, "targetPort": 80}), workload(**NO_ROOT), "spec.ports.0.targetPort: 1024 or more"),
        (service(WEB, {"port": 443}), workload(**NO_ROOT), "spec.ports.1.port: 1024 or more"),
        (service({"port": 80}), workload({"runAsUser": 1337}), "spec.ports.0.port: 1024 or more"),
        (autoscaler("nope"), workload(), "spec.scaleTargetRef.name: the name of a Deployment that is there"),
    ],
)
def test_what_nobody_answers_is_found(known: dict[str, Any], pods: dict[str, Any], words: str) -> None:
    [found] = findings(known, [known, pods])
    assert f"{'.'.join(map(str, found.path))}: {found.expected}".startswith(words)


@pytest.mark.parametrize(
    ("known", "pods"),
    [
        (service(WEB), workload(**NO_ROOT)),
        (service({"port": 80}), workload()),
        (service({"port": 80}), workload({"runAsUser": 0, "runAsNonRoot": False}, **NO_ROOT)),
        (service({"port": 80}), workload({"capabilities": {"add": ["NET_BIND_SERVICE"]}}, **NO_ROOT)),
        (service({"port": 80, "targetPort": "http"}), workload(**NO_ROOT)),
        (service(WEB, selector={}), workload()),
        (autoscaler("edge"), workload()),
    ],
)
def test_what_is_answered_is_silent(known: dict[str, Any], pods: dict[str, Any]) -> None:
    assert list(findings(known, [known, pods])) == []
