"""Plans as text: what a reviewer reads first, and below it, folded, each difference. Markdown that reads as plain text, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from review.mesh import cut
from review.plan import Change, Operation, Plan

MARKER = "<!-- sealos-istio review -->"
"""By which the one comment is found again."""

LONGEST = 60_000
"""Characters of a comment; GitHub takes 65536."""

_LONGEST_LINE = 600
"""Characters of one difference: a path and two values."""

_SIGNS = {"create": "+", "update": "~", "replace": "+-", "delete": "-"}
_VERBS = (("create", "to create"), ("update", "to update"), ("replace", "to replace"), ("delete", "to delete"))


_NODES: Sequence[tuple[Operation, str, str]] = (
    ("create", "joins", "join"),
    ("delete", "is drained and leaves", "are drained and leave"),
    ("replace", "is drained, leaves and joins again", "are drained, leave and join again"),
)


def headline(plan: Plan) -> str:
    """One line: how much of what."""
    if plan.error:
        return f"{plan.stack}: no preview"
    counted = [f"{plan.counts[op]} {words}" for op, words in _VERBS if plan.counts.get(op)]
    return f"{plan.stack}: {', '.join(counted) or 'nothing changes'}"


def lines(plan: Plan, labels: Collection[str] = ()) -> Iterator[str]:
    """What a reviewer reads first, a line each, the worst on top.

    Args:
        plan: the stack's.
        labels: those that the pull request has.
    """
    if plan.error:
        yield from plan.error.splitlines()
        return
    for loss in plan.losses():
        allowed = loss.label in labels
        yield f"{'Allowed' if allowed else 'STOP'}: {loss.what} (label {loss.label}{'' if not allowed else ' is set'})"
    for mandatory, text in plan.violations:
        yield f"{'STOP: policy' if mandatory else 'Advice'} {text}"
    yield from (f"Advice {text}" for text in plan.idle)
    if plan.new_cluster:
        yield "A new cluster"
    for operation, one, several in _NODES:
        if names := plan.nodes(operation):
            yield f"{', '.join(names)} {one if len(names) == 1 else several}"


def notes(plan: Plan) -> Iterator[str]:
    """What the program itself said, when anything changes."""
    if plan.changed:
        yield from (f"Note: {note}" for note in plan.notes)


def objects(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Each changed resource, and each object of the mesh: sign, kind and name, what differs."""
    order = {"replace": 0, "delete": 1, "update": 2, "create": 3}
    for change in sorted(plan.changed, key=lambda c: order[c.operation]):
        if not any(change.rendered):
            yield _SIGNS[change.operation], _title(change), _differs(change)
    yield from plan.in_mesh


def _title(change: Change) -> str:
    if change.node:
        return f"node {change.node}"
    return f"{'step' if change.kind == 'Command' else change.kind} {change.name}"


def _differs(change: Change) -> str:
    if change.operation not in ("update", "replace"):
        return ""
    # what a step is asked comes to it by these, as one text that is secret
    if change.kind == "Command" and change.operation == "update" and set(change.keys) <= {"stdin", "environment"}:
        return "runs again"
    return ", ".join(change.keys)


def plain(plan: Plan, labels: Collection[str] = ()) -> str:
    """The summary for a terminal."""
    told = [headline(plan), *(f"  {line}" for line in lines(plan, labels))]
    width = max((len(name) for _, name, _ in objects(plan)), default=0)
    told += [f"  {sign:>2} {name:<{width}}  {keys}".rstrip() for sign, name, keys in objects(plan)]
    told += [f"  {note}" for note in notes(plan)]
    return "\n".join(told)


def markdown(plans: Sequence[Plan], labels: Collection[str] = (), pictures: str = "") -> str:
    """The comment: for each stack the summary, and folded below it every difference.

    Args:
        plans: all stacks'.
        labels: those that the pull request has.
        pictures: where the pictures of the graphs are; empty for nowhere.
    """
    told = [MARKER, "## What a merge would change", ""]
    for plan in plans:
        told += [f"### {headline(plan)}", ""]
        told += [f"- {_bold(line)}" for line in lines(plan, labels)]
        if plan.changed:
            told += ["", "| | object | differs |", "|---|---|---|"]
            told += [f"| `{sign}` | {name} | {_cell(differs)} |" for sign, name, differs in objects(plan)]
            told += ["", *(f"- {note}" for note in notes(plan)), "", f"Compared with {plan.compared_with}."]
        told.append("")
    if pictures and any(plan.changed for plan in plans):
        told += [f"The graphs, with what changes highlighted: {pictures}", ""]
    text = "\n".join(told)
    for plan in plans:
        folded = "\n".join(_folded(plan))
        if folded and len(text) + len(folded) < LONGEST:
            text += folded
        elif folded:
            text += f"\nThe differences of {plan.stack} are too long for a comment; they are in the job's files.\n"
    return text[:LONGEST]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _bold(line: str) -> str:
    return f"**{line}**" if line.startswith("STOP") else line


def _folded(plan: Plan) -> Iterable[str]:
    if not plan.changed:
        return
    yield f"\n<details><summary>{plan.stack}: every difference</summary>\n\n```diff"
    yield from differences(plan)
    yield "```\n</details>\n"


def differences(plan: Plan) -> Iterator[str]:
    """Every changed object with each of its differences."""
    for change in plan.changed:
        yield f"{_SIGNS[change.operation][:1]} {change.kind} {change.name}"
        yield from (f"    {cut(str(one).replace('```', '` ` `'), _LONGEST_LINE)}" for one in change.differences)
