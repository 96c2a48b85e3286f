"""`python -m review`: what a change would do, for people and for a gate (docs/review.md)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from devtools import engine as engines
from devtools import parts, stack
from devtools.builder import BuildFailed
from devtools.golang import ToolMissing
from review import picture, previews, summary
from review.comment import CommentFailed, PullRequest
from review.plan import LABELS, Plan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Previews stacks read-only: no machine is dialled, no state is written.",
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

FAILED, STOPPED = 1, 3
"""Exit statuses: a preview failed; the gate or a mandatory policy stops the change."""

Labels = Annotated[
    list[str] | None, typer.Option("--label", help=f"a label of the change: {', '.join(LABELS.values())}")
]


@app.command()
def show(
    name: Annotated[str, typer.Option("--stack", help="the stack")] = "dev",
    diff: Annotated[bool, typer.Option("--diff", help="each difference, too")] = False,
) -> None:
    """One stack's summary for a terminal, and its graph as .state/preview-STACK.svg."""
    engine = engines.prepare(out)
    checkout = previews.Checkout.own(engine)
    if name == stack.STACK:
        stack.select(stack.Pulumi.of(engine))
    plan, dot = previews.from_state(checkout, name)
    _say(summary.plain(plan))
    if diff:
        _say("\n".join(summary.differences(plan)))
    if not plan.error:
        _picture(plan, dot, parts.ROOT / ".state" / f"preview-{name}.svg")
    raise typer.Exit(status([plan], tuple(LABELS.values())))


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Option("--stack", help="a stack; all that have a file by default")] = None,
    label: Labels = None,
    base: Annotated[str | None, typer.Option(help="commit to compare with where no state can be read")] = None,
    folder: Annotated[Path, typer.Option("--out", help="where the comment and the pictures are written")] = Path(
        ".state/review"
    ),
    comment: Annotated[bool, typer.Option(help="keep the pull request's comment up to date (GitHub Actions)")] = False,
) -> None:
    """The pull-request check: previews every stack, writes the comment and the pictures, and stops a loss without a label.

    A stack whose state can be read (PULUMI_BACKEND_URL, and the secrets provider's variables) is compared with it. Any other,
    on a fork for instance, is previewed with placeholders for its secrets and compared with what --base asks for.

    Exit status: 0 nothing stands in the way, 1 a preview failed, 3 the gate or a mandatory policy stops it.
    """
    engine = engines.prepare(out)
    request = PullRequest.of(os.environ)
    labels = tuple(label or ()) + (request.labels if request else ())
    plans = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or previews.stacks():
        plan, dot = _plan(engine, name, base)
        plans.append(plan)
        _say(summary.plain(plan, labels) + "\n")
        if plan.changed:
            _picture(plan, dot, folder / f"{name}.svg")
    text = summary.markdown(plans, labels, _place(os.environ))
    (folder / "comment.md").write_text(text)
    (folder / "differences.txt").write_text("\n\n".join("\n".join(summary.differences(plan)) for plan in plans) + "\n")
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a") as handle:
            handle.write(text)
    if comment and request and request.token and not request.fork:
        _say(f"Comment: {request.say(text)}")
    raise typer.Exit(status(plans, labels))


def status(plans: list[Plan], labels: tuple[str, ...]) -> int:
    """The exit status for those plans under those labels."""
    if any(plan.error for plan in plans):
        return FAILED
    stopped = any(
        any(mandatory for mandatory, _ in plan.violations) or any(loss.label not in labels for loss in plan.losses())
        for plan in plans
    )
    return STOPPED if stopped else 0


def _plan(engine: engines.Engine, name: str, base: str | None) -> tuple[Plan, str]:
    checkout = previews.Checkout.own(engine)
    if checkout.has(name):
        plan, dot = previews.from_state(checkout, name)
        return previews.with_idle(plan, checkout), dot
    return previews.from_nothing(engine, name, base), ""


def _picture(plan: Plan, dot: str, file: Path) -> None:
    try:
        picture.write(picture.highlighted(plan, dot), file)
        _say(f"Picture: {file}")
    except picture.PictureMissing as missing:
        _say(str(missing))


def _place(environment: dict[str, str] | os._Environ[str]) -> str:
    if run := environment.get("GITHUB_RUN_ID"):
        return f"{environment.get('GITHUB_SERVER_URL')}/{environment.get('GITHUB_REPOSITORY')}/actions/runs/{run}#artifacts"
    return ""


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False)


def main() -> None:
    """Runs the command line; what can be put right is one message and exit status 1."""
    try:
        app(prog_name="python -m review")
    except (BuildFailed, ToolMissing, CommentFailed, stack.PulumiFailed, ValueError) as error:
        err.print(str(error), highlight=False, markup=False)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
