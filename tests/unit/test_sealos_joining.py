"""What a join may do to a machine, by what the machine says."""

from __future__ import annotations

from typing import Any

import pytest

from components.login import Machine
from components.sealos import joining
from components.sealos.facts import Facts
from components.sealos.nodes import Node

OURS, THEIRS = "a" * 64, "b" * 64
LEFT = ("/etc/kubernetes/pki",)
MEMBER: dict[str, Any] = {"leftovers": LEFT, "ca": OURS, "kubelet_ca": OURS, "node_name": "sealos03"}


def judged(role: str = "node", present: tuple[Node, ...] = (), **seen: Any) -> joining.Verdict:
    machine = Machine.model_validate({"name": "sealos03", "address": "192.0.2.13", "role": role})
    alive = frozenset(seen.pop("alive", ()))
    facts = Facts(**{"hostname": "sealos03", "alive": alive, **seen})
    return joining.judge(machine, facts, "prod", OURS, {node.name: node for node in present})


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        pytest.param({}, "join", id="bare"),
        pytest.param({"alive": ["etcd"]}, "join", id="bare, with an etcd of its own"),
        pytest.param({"leftovers": LEFT}, "clean", id="what a join left"),
        pytest.param({"leftovers": LEFT, "ca": OURS, "alive": ["kubelet"]}, "clean", id="a kubelet that never got its login"),
        pytest.param(MEMBER, "clean", id="a join that failed late, dead by now"),
        pytest.param({**MEMBER, "alive": ["kubelet"]}, "wait", id="a living member"),
        pytest.param({**MEMBER, "alive": ["etcd"]}, "wait", id="a master whose kubelet is down"),
        pytest.param({**MEMBER, "member": "prod"}, "wait", id="a member whose kubelet is down"),
        pytest.param({**MEMBER, "member": "dev"}, "clean", id="of which an old note says something else"),
        pytest.param({**MEMBER, "node_name": "sealos04", "alive": ["kubelet"]}, "refuse", id="another node of ours"),
        pytest.param({**MEMBER, "kubelet_ca": THEIRS, "alive": ["kubelet"]}, "refuse", id="another cluster's"),
        pytest.param({"alive": ["kubelet"]}, "refuse", id="a kubelet of nobody's"),
        pytest.param({"leftovers": LEFT, "ca": THEIRS, "alive": ["kubelet"]}, "refuse", id="a join to another cluster"),
        pytest.param({"leftovers": LEFT, "alive": ["etcd"]}, "refuse", id="an etcd that a clean would wipe"),
        pytest.param({**MEMBER, "marker": {"name": "prod"}}, "refuse", id="once a first master"),
        pytest.param({"hostname": "debian"}, "refuse", id="another host name"),
    ],
)  # fmt: skip
def test_what_a_join_may_do(seen: dict[str, Any], action: str) -> None:
    verdict = judged(**seen)
    assert verdict.action == action
    assert bool(verdict.reason) == (action in ("wait", "refuse"))


def test_an_address_of_another_node_is_refused_whichever_of_its_addresses_it_is() -> None:
    other = Node("sealos09", "192.0.2.19", "node", "v1.16.3", ready=True, addresses=("192.0.2.19", "192.0.2.13"))
    assert judged(present=(other,)).action == "refuse"
    assert "node sealos09's" in judged(present=(other,)).reason


def test_what_is_seen_is_said() -> None:
    foreign = {**MEMBER, "kubelet_ca": THEIRS, "alive": ["kubelet", "etcd"]}
    assert "etcd, kubelet run there" in judged(**foreign).reason
    assert "its kubelet trusts another cluster's CA and is node sealos03's" in judged(**foreign).reason


@pytest.mark.parametrize(("role", "label"), [("node", False), ("master", True)])
def test_the_way_back_of_a_member_without_its_node(role: str, label: bool) -> None:
    reason = judged(role, **{**MEMBER, "alive": ["kubelet"]}).reason
    assert "`systemctl restart kubelet`" in reason
    assert ("`kubectl label node sealos03 node-role.kubernetes.io/master=`" in reason) == label


@pytest.mark.parametrize(
    ("seen", "anew"),
    [({}, True), ({"leftovers": LEFT}, True), ({"alive": frozenset({"kubelet"})}, False), ({"kubelet_ca": OURS}, False)],
)  # fmt: skip
def test_a_machine_that_was_set_up_anew(seen: dict[str, Any], anew: bool) -> None:
    assert joining.set_up_anew(Facts(**seen)) == anew
