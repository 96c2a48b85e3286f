"""What a join may do to a machine, by what the machine says; and what join.sh then does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.remote.models import Machine
from components.sealos import joining
from components.sealos.facts import Facts
from components.sealos.nodes import Node
from tests.unit.test_sealos_full_disk import HAS_CONFIG, run, sealos
from tests.unit.test_sealos_full_disk import Machine as Left

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


RECORDED = 'echo "$*" | sed "s/192.0.2.//g; s/:22//g" >>$place/calls; '


def joined(tmp_path: Path, machines: list[str], does: str = "true", prepare: str = "", **files: str) -> tuple[Left, list[str]]:
    """join.sh, and what it called sealos with; `machines` as in its list, by role, name and action."""
    lines = "".join(f"{role} {name} 192.0.2.{name[-2:]}:22 {action}\n" for role, name, action in map(str.split, machines))
    given = sealos(tmp_path, RECORDED.replace("$place", str(tmp_path)) + does) | {"machines": lines, **files}
    done = run(tmp_path, "join.sh", HAS_CONFIG + prepare, given)
    calls = tmp_path / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_nodes_are_joined_in_batches_and_only_what_a_join_left_is_cleaned(tmp_path: Path) -> None:
    machines = [f"node sealos{n} {'clean' if n == 13 else 'join'}" for n in range(12, 17)]
    done, calls = joined(tmp_path, machines, batch="2")
    assert done.status == 0, done.stderr
    assert calls == [
        "clean --node 13 --force",
        "join --node 12 --node 13",
        "join --node 14 --node 15",
        "join --node 16",
    ]


def test_one_that_stops_sealos_stops_no_other_of_its_batch(tmp_path: Path) -> None:
    done, calls = joined(tmp_path, [f"node sealos{n} join" for n in (12, 13)], does='[[ "$*" != *192.0.2.13* ]]')
    assert done.status == 0, done.stderr
    assert calls == ["join --node 12 --node 13", "join --node 12", "join --node 13"]


def test_what_became_a_node_meanwhile_is_not_touched(tmp_path: Path) -> None:
    there = "printf '#!/bin/sh\\necho node/sealos13\\n' >/usr/bin/kubectl; "
    done, calls = joined(tmp_path, ["node sealos12 join", "node sealos13 clean"], prepare=there)
    assert done.status == 0, done.stderr
    assert calls == ["join --node 12"]


def test_an_address_of_the_first_master_itself_is_never_joined_or_cleaned(tmp_path: Path) -> None:
    own = "printf '#!/bin/sh\\necho 192.0.2.12\\n' >/usr/bin/hostname; "
    done, calls = joined(tmp_path, ["node sealos12 clean"], prepare=own)
    assert (done.status, calls) == (1, [])
    assert "sealos12 has an address of this machine, the first master, which is never joined or cleaned" in done.stderr


def test_after_another_job_the_machines_are_asked_again(tmp_path: Path) -> None:
    """What they said before may be so no more."""
    busy = "mkdir -p /run/lock; flock /run/lock/sealos-istio.lock sleep 1 & sleep 0.3; "
    done, calls = joined(tmp_path, ["node sealos12 clean"], prepare=busy)
    assert (done.status, calls) == (75, []), done.stderr


def test_a_master_is_left_out_while_etcd_can_not_be_asked_or_has_no_quorum_without_it(tmp_path: Path) -> None:
    etcd = (
        "cat >/usr/bin/curl <<'E'\n#!/bin/sh\ncase $* in *list*) echo '"
        '{"members":[{"ID":"1","peerURLs":["https://192.0.2.11:2380"]},{"ID":"2","peerURLs":["https://192.0.2.12:2380"]}]}'
        "' ;; *) exit 7 ;; esac\nE\nchmod 0755 /usr/bin/curl; "
    )
    done, calls = joined(tmp_path, ["master sealos12 clean", "node sealos13 join"], prepare=etcd)
    assert calls == ["join --node 13"], done.stderr
    assert "192.0.2.12 is left out: only 0 of the 1 other etcd members are healthy: without sealos12 etcd would have no quorum" in done.stderr
    assert done.stdout.startswith("left out: only 0 of the 1")
