"""What to do on the first master, decided from what is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.problem import Code, Problem, told
from components.remote.models import Machine
from components.sealos import nodes
from components.sealos.facts import Facts
from components.sealos.owner import ETCD, living, on_first_master
from components.sealos.requests import Identity
from components.sealos.sealos_config import target

_NAMES = {
    "name": "cluster.name",
    "kubernetesVersion": "cluster.kubernetesVersion",
    "vip": "cluster.vip",
    "podCidr": "cluster.podCidr",
    "serviceCidr": "cluster.serviceCidr",
    "network": "cluster.network",
    "interface": "cluster.interface",
    "certSans": "cluster.certSans",
    "repo": "cluster.repo",
}
_FROM_THE_BEGINNING = (
    "name", "kubernetesVersion", "vip", "podCidr", "serviceCidr", "network", "interface", "certSans", "repo",
)  # fmt: skip
"""Keys that every stack's state has, whatever their value; never add one here."""


@dataclass(frozen=True)
class Decision:
    """What to do, and why in words.

    Attributes:
        action: `init` a bare machine; `nothing`, the cluster is there; `adopt` the one that is there; `wait` for its API
            server; `recover`: clean what a half-made one left, then look again; `refuse`.
        reason: for the user.
    """

    action: Literal["init", "nothing", "adopt", "wait", "recover", "refuse"]
    reason: str


def decide(
    facts: Facts, cluster: Identity, first: Machine, *, recover: bool, existing: bool, adopt: bool = False
) -> Decision:
    """What the installation does next.

    Args:
        facts: of the first master.
        cluster: what the stack asks for.
        first: the first master.
        recover: whether a half-made cluster may be wiped (cluster.recover).
        adopt: whether a live cluster made by hand may be taken over (cluster.adopt).
        existing: whether the installation was done before, so that a missing cluster is not made again on the quiet.
    """
    if facts.marker is not None:
        return _of_marked(facts, cluster, first, existing=existing)
    if not facts.leftovers and not living(facts):
        if existing:
            return Decision(
                "refuse",
                f"{first.name} holds no cluster, although it was installed before. If this is another machine, or it was set up anew: "
                f"`pulumi destroy` first, then `pulumi up`; how the first master's place is taken by another: docs/operations.md",
            )
        return Decision("init", f"{first.name} is bare")
    whose = on_first_master(facts, cluster.name)
    if whose.kind == "ours":
        what = f"our own installation of cluster {cluster.name} did not come to its end on {first.name}: {stage(facts, first)}. It left {', '.join(facts.leftovers)}"
        if recover and not existing:
            return Decision("recover", what)
        return Decision("refuse", f"{what}. The way out: {WAY_OUT}")
    if facts.nodes is not None and any(node.ready for node in nodes.parse(facts.nodes).values()):
        return _of_foreign(facts, cluster, first, adopt=adopt and not existing)
    if kept := keeps(facts, first, whose.kind == "other"):
        return Decision("refuse", f"{first.name} {kept}: {whose.seen}. {KEPT}")
    what = (
        f"an installation that is not recorded as ours did not come to its end on {first.name}: {stage(facts, first)}. "
        f"It left {', '.join(facts.leftovers)}"
    )
    if recover and not existing:
        return Decision("recover", what)
    return Decision(
        "refuse", f"{what}. Clean it yourself, or set cluster.recover: true, which wipes it and installs again"
    )


WAY_OUT = (
    "set cluster.recover: true for the next `pulumi up`, which wipes it and installs again, or `pulumi destroy`, which leaves the "
    "machine clean"
)
KEPT = (
    "It is never wiped or installed over, whatever cluster.recover says. Use another machine; or, when nobody needs what is there, "
    "`kubeadm reset -f` on it by hand, then remove what that leaves"
)


def keeps(facts: Facts, machine: Machine, other: bool) -> str | None:
    """Why a machine that is not recorded as ours is never wiped, as the rest of a sentence about it; None when it may be.

    Args:
        facts: the machine's.
        machine: as the settings have it.
        other: whether its notes or its CA are known to be another cluster's.
    """
    config = facts.sealos_config or {}
    hosts = [str(host) for key in ("masters", "nodes") for host in config.get(key) or []]
    if living(facts) or facts.nodes is not None:
        return "is alive in a cluster that this program did not make or that is another stack's"
    if facts.member is not None and other:
        return f"is a member of cluster {facts.member}"
    if ETCD in facts.leftovers:
        return "holds the data of a cluster that is not recorded as ours (etcd's; it is stopped now)"
    if foreign := [host for host in hosts if host.partition(":")[0] != machine.address]:
        return f"holds what sealos knows of a cluster of other machines ({', '.join(foreign)})"
    return None


def changes(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Problem]:
    """What of a cluster's identity the settings have otherwise; one problem per key.

    A key that one of them does not have yet, because an older program wrote it down, has its default: nothing else was possible then.
    """
    there, asked = ({**_defaults(), **identity} for identity in (there, asked))
    return [
        _differs(name, there.get(key), asked.get(key)) for key, name in _NAMES.items() if there.get(key) != asked.get(key)
    ]


def _differs(key: str, there: object, asked: object) -> Problem:
    return Problem(Code.IDENTITY, key, f"{there!r} there, {asked!r} in the settings")


def as_recorded(identity: Identity) -> dict[str, Any]:
    """A cluster's identity as it stands in the stack's state.

    A key that was added to the program later is left out while it has its default: one more key in the state would show every
    live stack a change of its installation, and with cluster.identityChange: replace a new cluster.
    """
    whole: dict[str, Any] = identity.model_dump(mode="json", by_alias=True)
    defaults = _defaults()
    return {key: value for key, value in whole.items() if key in _FROM_THE_BEGINNING or value != defaults[key]}


def _defaults() -> dict[str, Any]:
    """The values that a key has where it is not written down."""
    return {
        str(field.alias): list(field.default) if isinstance(field.default, tuple) else field.default
        for field in Identity.model_fields.values()
        if not field.is_required()
    }


def stage(facts: Facts, first: Machine) -> str:
    """How far a half-done installation came, in words; sealos leaves each of these behind (docs/reference/sealos.md).

    Args:
        facts: of the first master; without a marker, with leftovers.
        first: the first master.
    """
    left = set(facts.leftovers)
    if facts.nodes is not None:
        node = nodes.parse(facts.nodes).get(first.name)
        if node is None:
            return f"its API server answers, but has no node {first.name}"
        if not node.ready:
            return f"the control plane runs, but node {first.name} is not Ready ({node.why}), as when the pod network was not applied"
        return f"the control plane runs and node {first.name} is Ready; it was stopped before that was written down"
    if left & {"/var/lib/etcd", "/etc/kubernetes/manifests"}:
        return f"kubeadm init began, but no API server answers ({facts.api_error or 'nothing to ask it with'})"
    if "/etc/kubernetes/kubelet.conf" in left and "/etc/kubernetes/admin.conf" not in left:
        return "it was joined to another cluster as a node, or a join was given up"
    if left & {"/etc/kubernetes/pki", "/etc/kubernetes/admin.conf"}:
        return "sealos had handed out the certificates; kubeadm init had not begun, or failed at once"
    if "/root/.sealos/pki" in left:
        return "sealos had made the certificates and went no further"
    if "/var/lib/kubelet/config.yaml" in left:
        return "sealos had sent the package and run its init.sh, and went no further"
    if left == {"/root/.sealos/config.yaml"}:
        return "sealos wrote its configuration and went no further, as when a host could not be logged in to"
    return "parts of a cluster lie about"


def _of_foreign(facts: Facts, cluster: Identity, first: Machine, *, adopt: bool) -> Decision:
    """A live cluster that this program did not make; it is taken over as it is, or left alone, and never wiped."""
    found = differences(facts, cluster, first)
    live = f"{first.name} holds a live cluster that this program did not make; it is never wiped or installed over"
    lines = "\n".join(told(found))
    if adopt and not found:
        return Decision(
            "adopt", f"the cluster on {first.name} is as the settings say: taking it over as {cluster.name}"
        )
    if adopt:
        return Decision(
            "refuse", f"{live}. It can't be adopted as the settings are:\n{lines}"
        )
    return Decision(
        "refuse",
        f"{live}. To take it over as it is, set cluster.adopt: true"
        + (f" and write the settings as it is; now they differ:\n{lines}" if found else " (the settings are as it is)"),
    )


def differences(facts: Facts, cluster: Identity, first: Machine) -> list[Problem]:
    """In what a cluster made by hand with sealos differs from the settings.

    Not compared: what sealos does not write down (the interface), and the repository unless the settings name one.
    """
    config = facts.sealos_config
    if config is None:
        return [Problem(Code.SEALOS_STATE, first.name, Code.SEALOS_STATE.means)]
    found = []
    masters = config.get("masters") or [""]
    if masters[0] != target(first):
        found.append(_differs("the first of masters", masters[0] or None, target(first)))
    for key, value, asked in (
        ("kubernetesVersion", config.get("version"), cluster.kubernetes_version),
        ("vip", config.get("vip"), cluster.vip),
        ("podCidr", config.get("podcidr"), cluster.pod_cidr),
        ("serviceCidr", config.get("svccidr"), cluster.service_cidr),
        ("network", config.get("network"), cluster.network),
        ("repo", config.get("repo"), cluster.repo or config.get("repo")),
    ):
        if value != asked:
            found.append(_differs(f"cluster.{key}", value, asked))
    names = config.get("apiservercertsans") or []
    if missing := [name for name in cluster.cert_sans if name not in names]:
        found.append(Problem(Code.IDENTITY, "cluster.certSans", f"{', '.join(missing)} is not among the certificate's names there"))
    return found + nodes.problems([first], nodes.parse(facts.nodes or {}), cluster.kubernetes_version)


def _of_marked(facts: Facts, cluster: Identity, first: Machine, *, existing: bool) -> Decision:
    marker = facts.marker or {}
    asked = cluster.model_dump(mode="json", by_alias=True)
    if marker.get("name") != cluster.name:
        return Decision(
            "refuse",
            f"{first.name} is the first master of cluster {marker.get('name')!r}, not {cluster.name!r} (cluster.name). "
            f"Use another machine, or destroy that cluster where it was made",
        )
    if changed := changes(marker, asked):
        lines = "; ".join(map(str, changed))
        return Decision(
            "refuse",
            f"cluster {cluster.name} is installed with other values, which can't be changed on a live cluster: {lines}. "
            f"Set them back, or `pulumi destroy` and `pulumi up` for a new cluster",
        )
    if facts.nodes is None:
        return Decision(
            "wait",
            f"cluster {cluster.name} is installed on {first.name}, but its API server does not answer ({facts.api_error or 'no reason given'}). "
            f"It is never installed over: repair it, or `pulumi destroy`",
        )
    if first.name not in nodes.parse(facts.nodes):
        return Decision(
            "refuse",
            f"cluster {cluster.name} answers on {first.name}, but has no node of that name; was the machine renamed?",
        )
    return Decision(
        "nothing", f"cluster {cluster.name} is there" + ("" if existing else " already; nothing to install")
    )
