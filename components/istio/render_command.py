"""`python3 -m components.istio render`: the objects that Istio will make of a stack's settings, or how they change."""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.config.base import PROJECT, SettingsError
from components.config.load import parse_and_plan
from components.config.mesh import IstioSettings
from components.config.stack import Settings
from components.documents import load_all
from components.istio import refused, renderer
from components.istio.idle import idle
from components.istio.istio_operator import ControlPlanePlan
from components.istio.renderer import Absent, Rendered, RenderError
from components.stacks import last_rendered

DESCRIPTION = (
    "Prints the objects that Istio will make of a stack's settings, by its own renderer (istioctl of the stack's version on "
    "PATH). Nothing is dialled. CRDs and long texts are shown as their digest, the values of Secrets not at all."
)


class CommandError(Exception):
    """One readable message for the user."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; its exit status: 0, or 1 after one message on standard error, or when --check found something."""
    parser = argparse.ArgumentParser(prog="python3 -m components.istio render", description=DESCRIPTION)
    parser.add_argument("--stack", default="dev", help="whose settings, in Pulumi.STACK.yaml (default: dev)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--diff", action="store_true", help="only how they differ from those of the stack's last `pulumi up`"
    )
    what.add_argument("--check", action="store_true", help="only the settings that do nothing, or that Kubernetes would refuse")
    what.add_argument("--istio-operator", action="store_true", help="the IstioOperator that the operator gets, instead")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.check:
            return _check(chosen.stack)
        print(_text(chosen.stack, chosen.diff, chosen.istio_operator), end="")
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _text(stack: str, diff: bool, istio_operator: bool) -> str:
    _, settings, planned = _settings(stack)
    for note in planned.notes:
        print(f"# {note}", file=sys.stderr)
    if istio_operator:
        return yaml.safe_dump(planned.manifest, sort_keys=False, width=120)
    made = _made(planned, _program(planned.istio))
    for problem in renderer.unfulfilled(planned.manifest, made):
        print(f"# not as asked for: {problem}", file=sys.stderr)
    for problem in refused.problems(made, planned.istio, settings.cluster.kubernetes_version)[0]:
        print(f"# Kubernetes would refuse it: {problem}", file=sys.stderr)
    if not diff:
        return renderer.as_yaml(made.shown())
    return _difference(_last(stack), made.shown())


def _check(stack: str) -> int:
    """Prints what is wrong with a stack's mesh, a line each; the exit status."""
    config, settings, planned = _settings(stack)
    program = _program(planned.istio)
    made = _made(planned, program)
    problems = (*renderer.unfulfilled(planned.manifest, made), *refused.problems(made, planned.istio, settings.cluster.kubernetes_version)[0])
    found = [*(f"{PROJECT}:{problem}" for problem in problems), *map(str, idle(config, stack, program))]
    for line in found:
        print(line)
    return 1 if found else 0


def _settings(stack: str) -> tuple[dict[str, Any], Settings, ControlPlanePlan]:
    config = _config(stack)
    try:
        settings, plan = parse_and_plan(config, stack)
    except SettingsError as error:
        raise CommandError(str(error)) from None
    if plan.mesh is None:
        raise CommandError(f"stack {stack} has no mesh: {PROJECT}:istio is not set in Pulumi.{stack}.yaml")
    return config, settings, plan.mesh


def _program(istio: IstioSettings) -> Path:
    found = renderer.istioctl(istio.version)
    if isinstance(found, Absent):
        raise CommandError(f"{found.reason}; put istioctl {istio.version} on PATH (`make env` of the lab's does)")
    return found


def _made(mesh: ControlPlanePlan, program: Path) -> Rendered:
    try:
        return renderer.render(mesh.manifest, program)
    except RenderError as error:
        raise CommandError(f"Istio {mesh.istio.version}'s own renderer refuses the settings: {error}") from None


def _config(stack: str) -> dict[str, Any]:
    file = Path(f"Pulumi.{stack}.yaml")
    try:
        config = (next(iter(load_all(file.read_text())), None) or {}).get("config") or {}
    except OSError as error:
        raise CommandError(f"{file} can't be read ({error.strerror}); run this in the project's directory") from None
    except yaml.YAMLError as error:
        raise CommandError(f"{file} is no YAML: {error}") from None
    return {
        str(key).removeprefix(f"{PROJECT}:"): value for key, value in config.items() if key.startswith(f"{PROJECT}:")
    }


def _last(stack: str) -> dict[str, Any]:
    """What the stack's state says was rendered last."""
    if (pulumi := shutil.which("pulumi")) is None:
        raise CommandError(
            'the last objects are in the stack\'s state, but pulumi is not on PATH: eval "$(make -s env)"'
        )
    done = subprocess.run(
        [pulumi, "stack", "export", "--stack", stack, "--non-interactive"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"the state of stack {stack} can't be read: {done.stderr.strip()}")
    return last_rendered(done.stdout).get("objects") or {}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    def lines(objects: Mapping[str, Any], name: str) -> list[str]:
        return renderer.as_yaml({name: objects[name]}).splitlines(keepends=True) if name in objects else []

    parts = [
        line
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
        for line in difflib.unified_diff(lines(old, name), lines(new, name), f"last: {name}", f"now: {name}")
    ]
    return "".join(parts)
