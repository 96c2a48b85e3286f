"""Trees of what overlays ask for are values: whoever has one keeps it as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from components.istio.gateways.tree import Branch, Delete, Leaf, insert, put

PROBES: Branch = {"spec": {"readinessProbe": {"httpGet": {"port": Leaf(1)}}, "ports": Leaf([{"name": "a", "port": 1}])}}


@pytest.mark.parametrize(
    ("path", "node", "expected"),
    [
        pytest.param(["spec", "replicas"], Leaf(2), {**PROBES["spec"], "replicas": Leaf(2)}, id="one more"),
        pytest.param(
            ["spec", "readinessProbe", "tcpSocket"],
            {"port": Leaf(2)},
            {**PROBES["spec"], "readinessProbe": {"tcpSocket": {"port": Leaf(2)}}},
            id="in place of what Kubernetes takes none beside",
        ),
        pytest.param(
            ["spec", "ports", "[name:a]", "port"], Leaf(2), {**PROBES["spec"], "ports": Leaf([{"name": "a", "port": 2}])}, id="in a list"
        ),
    ],
)
def test_a_tree_stays_as_it_is_when_another_is_made_of_it(path: list[str], node: Any, expected: Branch) -> None:
    before = deepcopy(PROBES)
    assert insert(PROBES, path, node) == {"spec": expected}
    assert before == PROBES


def test_plain_data_stays_as_it_is_when_an_item_is_taken_out() -> None:
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    assert put(ports, ["[name:a]"], Delete()) == [{"name": "b", "port": 2}]
    assert put(ports, ["[name:b]", "port"], Leaf(3)) == [{"name": "a", "port": 1}, {"name": "b", "port": 3}]
    assert ports == [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
