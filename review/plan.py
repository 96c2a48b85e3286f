"""What a preview says, as a reviewer thinks of it: nodes, cluster, mesh, objects. Pure: data in, data out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from review import mesh

Operation = Literal["create", "update", "replace", "delete", "same"]

_OPERATIONS: Mapping[str, Operation] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "refresh": "update",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
    "import-replacement": "replace",
    "delete": "delete",
    "discard": "delete",
    "remove-pending-replace": "delete",
    "same": "same",
    "read": "same",
}
"""Pulumi's step operations (pkg/resource/deploy/step.go, "Op…") in a reviewer's words."""

_RENDERED = "pulumi:index:Stash"
"""The type of the resource in which the program keeps what Istio makes of the settings."""

_STRENGTH: Sequence[Operation] = ("same", "update", "create", "delete", "replace")

LABELS: Mapping[str, str] = {
    "cluster": "allow-cluster-loss",
    "node": "allow-node-loss",
    "mesh": "allow-mesh-loss",
    "protected": "allow-protected-loss",
}
"""The label of a pull request that lets a loss of that kind through."""

@dataclass(frozen=True)
class Difference:
    """One place of a resource's inputs that differs.

    Attributes:
        path: where, as `triggers[0]`.
        old, new: what is there before and after; None where nothing is.
    """

    path: str
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        sign = "+" if self.old is None else "-" if self.new is None else "~"
        return f"{sign} {self.path}: {self.values}"

    @property
    def values(self) -> str:
        """Before and after, as people see them."""
        if self.old is None or self.new is None:
            return str(self.new if self.old is None else self.old)
        return " → ".join(mesh.shown(self.old, self.new))


@dataclass(frozen=True)
class Change:
    """A resource of the preview.

    Attributes:
        operation: what would happen to it.
        urn, type, name: as Pulumi has them.
        parent: the URN that it belongs to; empty for the stack.
        dependencies: URNs that come before it.
        protect: whether Pulumi was told never to delete it.
        keys: the inputs that differ; for a replacement, those that force it come first.
        differences: each place that differs.
        rendered: the objects that Istio makes, before and after; empty but in the resource that holds them.
    """

    operation: Operation
    urn: str
    type: str
    name: str
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    protect: bool = False
    keys: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    rendered: tuple[mesh.Objects, mesh.Objects] = ({}, {})

    @property
    def kind(self) -> str:
        """The last word of its type: Command, Deployment, IstioOperator."""
        return self.type.rpartition(":")[2]

    @property
    def component(self) -> bool:
        """Whether it only groups others (a ComponentResource or the stack)."""
        return self.type == "pulumi:pulumi:Stack" or self.type.startswith("sealos-istio:")

    @property
    def node(self) -> str:
        """The machine whose membership this is; empty for anything else."""
        found = re.search(r"-member-(.+)$", self.name)
        return found[1] if found and self._in_cluster else ""

    @property
    def _in_cluster(self) -> bool:
        return "sealos-istio:sealos:Cluster$" in self.urn

    @property
    def subject(self) -> str:
        """Which of the things that must not be lost it is: cluster, node, mesh, or empty for none."""
        if self._in_cluster and (self.name.endswith("-install") or self.type == "pulumi:providers:kubernetes"):
            return "cluster"
        if self.node:
            return "node"
        in_mesh = "sealos-istio:istio:Operator$" in self.urn or "sealos-istio:istio:ControlPlane$" in self.urn
        return "mesh" if in_mesh and self.type.startswith("kubernetes:") else ""


@dataclass(frozen=True)
class Loss:
    """Something that a merge would take away.

    Attributes:
        subject: cluster, node, mesh or protected.
        what: the loss in words.
    """

    subject: str
    what: str

    @property
    def label(self) -> str:
        """The label of a pull request that lets it through."""
        return LABELS[self.subject]


@dataclass(frozen=True)
class Plan:
    """One stack's preview.

    Attributes:
        stack: its name.
        changes: every resource that the preview spoke of, the unchanged ones too.
        notes: what the program itself said (its infos and warnings).
        violations: policy violations as (mandatory, text).
        idle: settings of the mesh that do nothing, a line each.
        compared_with: what the changes are relative to, in words.
        error: why there is no preview; empty when there is one.
    """

    stack: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    violations: tuple[tuple[bool, str], ...] = ()
    idle: tuple[str, ...] = ()
    compared_with: str = "what the state says is there"
    error: str = ""
    counts: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counts: dict[str, int] = {}
        for change in self.changes:
            if not change.component:
                counts[change.operation] = counts.get(change.operation, 0) + 1
        object.__setattr__(self, "counts", counts)

    @property
    def changed(self) -> tuple[Change, ...]:
        """What would change; components, which only group, left out."""
        return tuple(c for c in self.changes if c.operation != "same" and not c.component)

    def nodes(self, operation: Operation) -> list[str]:
        """The machines whose membership has that operation by itself, and not because the whole cluster goes."""
        if operation != "create" and any(c.subject == "cluster" and c.operation == operation for c in self.changed):
            return []
        return sorted(c.node for c in self.changed if c.node and c.operation == operation)

    @property
    def in_mesh(self) -> list[tuple[str, str, str]]:
        """Each object of the mesh that would change: sign, title, what differs."""
        return [line for change in self.changed for line in mesh.differences(*change.rendered)]

    @property
    def new_cluster(self) -> bool:
        """Whether the cluster isn't there yet."""
        return any(c.subject == "cluster" and c.operation == "create" for c in self.changed)

    def losses(self) -> list[Loss]:
        """Everything that must not go without being asked for, the heaviest first; one line for the whole mesh."""
        lost = [change for change in self.changed if change.operation in ("replace", "delete")]
        cluster = [c for c in lost if c.subject == "cluster"]
        found = [Loss("cluster", f"the cluster would be {c.operation}d ({c.name}{_because(c)})") for c in cluster]
        if not any(c.operation == "delete" for c in cluster):
            # with the cluster everything goes; to say so of each part would bury the one line that matters
            nodes = sorted((c for c in lost if c.subject == "node"), key=lambda c: c.node)
            found += [Loss("node", f"the node {c.node} would be {c.operation}d{_because(c)}") for c in nodes]
            for operation in ("replace", "delete"):
                if mesh := [c for c in lost if c.subject == "mesh" and c.operation == operation]:
                    names = ", ".join(sorted(c.kind for c in mesh))
                    found.append(Loss("mesh", f"of the mesh would be {operation}d{_because(mesh[0])}: {names}"))
        found += [
            Loss("protected", f"{c.kind} {c.name} is protected and would be {c.operation}d") for c in lost if c.protect
        ]
        return found


def _because(change: Change) -> str:
    if change.operation != "replace" or not change.keys:
        return ""
    triggers = [d for d in change.differences if d.path.startswith("triggers[")]
    if change.node and (moved := [d.values for d in triggers if d.old is not None and d.new is not None]):
        return f": {', '.join(moved)}"  # its triggers are its address and its role
    return f", because of {', '.join(change.keys)}"


def parse(stack: str, preview: Mapping[str, Any]) -> Plan:
    """What `pulumi preview --json --show-sames` printed.

    Args:
        stack: its name.
        preview: the JSON document.
    """
    changes: dict[str, Change] = {}
    for step in preview.get("steps", []):
        change = _change(step)
        before = changes.setdefault(change.urn, change)
        # a replacement comes as three steps; the one that says what forces it has the reasons
        if (_STRENGTH.index(change.operation), len(change.keys)) > (
            _STRENGTH.index(before.operation),
            len(before.keys),
        ):
            changes[change.urn] = change
    notes = [
        str(d["message"]).strip() for d in preview.get("diagnostics", []) if d.get("severity") in ("info", "warning")
    ]
    return Plan(stack, tuple(changes.values()), tuple(dict.fromkeys(notes)))


def _change(step: Mapping[str, Any]) -> Change:
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    state = new or old
    urn = str(step["urn"])
    operation = _OPERATIONS.get(str(step["op"]), "update")
    forcing = list(step.get("replaceReasons") or []) if operation == "replace" else []
    # the Kubernetes provider gives no reasons but exact paths
    keys = list(dict.fromkeys([*forcing, *(step.get("diffReasons") or step.get("detailedDiff") or [])]))
    kind = urn.split("::")[-2].rsplit("$", maxsplit=1)[-1]
    before, after = old.get("inputs") or {}, new.get("inputs") or {}
    return Change(
        operation=operation,
        urn=urn,
        type=kind,
        name=urn.rsplit("::", maxsplit=1)[-1],
        parent=str(state.get("parent") or ""),
        dependencies=tuple(state.get("dependencies") or ()),
        protect=bool(old.get("protect")),
        keys=tuple(keys),
        differences=tuple(_differences(operation, before, after)),
        rendered=(mesh.rendered(before), mesh.rendered(after)) if kind == _RENDERED else ({}, {}),
    )


def _differences(operation: Operation, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    if operation == "same":
        return
    before, after = {} if operation == "create" else dict(mesh.leaves(old)), {} if operation == "delete" else dict(mesh.leaves(new))
    yield from (Difference(*one) for one in mesh.compared(before, after))


def between(base: Plan, head: Plan) -> Plan:
    """What differs between two previews that were both made from nothing: for where no state may be read, as on a fork.

    Whether a changed input forces a replacement is the provider's to say, which was not asked about the difference; that of a
    command's triggers always does.
    """
    before = {change.urn: change for change in base.changes}
    after = {change.urn: change for change in head.changes}
    found = []
    for urn, change in after.items():
        old = before.get(urn)
        if old is None:
            found.append(change)
            continue
        left, right = ({d.path: d.new or "" for d in one.differences} for one in (old, change))
        differences = tuple(Difference(*one) for one in mesh.compared(left, right))
        keys = tuple(dict.fromkeys(re.split(r"[.\[]", d.path)[0] for d in differences))
        operation: Operation = "replace" if "triggers" in keys else "update" if keys else "same"
        rendered = (old.rendered[1], change.rendered[1])
        found.append(replace(change, operation=operation, keys=keys, differences=differences, rendered=rendered))
    found += [replace(change, operation="delete") for urn, change in before.items() if urn not in after]
    return replace(head, changes=tuple(found))
