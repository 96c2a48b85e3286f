"""What blocks a drain, in words."""

from __future__ import annotations

from typing import Any

import pytest

from components.sealos.drain import blockers


def pod(name: str, node: str = "sealos02", **more: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "shop",
        "name": name,
        "labels": {"app": "web", "tier": "front"},
        **more.pop("metadata", {}),
    }
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Running"}, **more}


def budget(selector: dict[str, Any], allowed: int = 0, namespace: str = "shop") -> dict[str, Any]:
    status = {"disruptionsAllowed": allowed, "currentHealthy": 2, "expectedPods": 3, "desiredHealthy": 2}
    return {"metadata": {"namespace": namespace, "name": "keep"}, "spec": {"selector": selector}, "status": status}


def blocked(pods: list[dict[str, Any]], *budgets: dict[str, Any]) -> list[str]:
    return list(map(str, blockers("sealos02", {"items": pods}, {"items": list(budgets)})))


KEPT = "pod shop/web-0: PodDisruptionBudget keep allows no disruption now (2 of 3 pods are healthy, 2 must be)"
SLOW = "pod shop/web-0: has not ended yet"


@pytest.mark.parametrize(
    ("selector", "line"),
    [
        ({"matchLabels": {"app": "web"}}, KEPT),
        ({"matchLabels": {"app": "other"}}, SLOW),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}, KEPT),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}, SLOW),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, KEPT),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, SLOW),
        ({}, SLOW),
    ],
)
def test_the_budget_that_keeps_a_pod_is_named(selector: dict[str, Any], line: str) -> None:
    assert blocked([pod("web-0")], budget(selector)) == [line]


def test_a_budget_that_allows_or_is_elsewhere_keeps_nothing() -> None:
    everything = {"matchLabels": {"app": "web"}}
    assert blocked([pod("web-0")], budget(everything, allowed=1), budget(everything, namespace="other")) == [SLOW]


def test_only_what_a_drain_moves_is_listed() -> None:
    stays = [
        pod("elsewhere", "sealos03"),
        pod("daemon", metadata={"ownerReferences": [{"kind": "DaemonSet"}]}),
        pod("static", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        {**pod("done"), "status": {"phase": "Succeeded"}},
    ]
    assert blocked(stays) == []


def test_a_pod_that_takes_its_time() -> None:
    ending = pod("web-0", metadata={"deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 600})
    assert blocked([ending]) == [f"{SLOW} (it may take 600 s after its eviction)"]
