"""A stack that is up although there is no lab: what a preview without a change is measured on, and held by (tests/graph/test_states.py).

Engine, program, settings, providers and renderer are the real ones. Two things are played, only while the state is made:
the drivers, by a script in the place of `python3 -m components…` that answers what a healthy cluster would; and the API server,
by the Kubernetes provider's own way of writing objects into files (`renderYamlToDirectory`), which is taken out of the state
afterwards. In the previews no driver runs, and the kubeconfig names a port on which nobody listens.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measure import Failed
from tests.project import KUBECONFIG, Done, Project, stack_config

STANDIN = """#!/bin/sh
case "$1 $2" in
    "-m components.sealos" | "-m components.istio")
        cat >/dev/null
        cat {answers}/"$3" 2>/dev/null
        exit 0 ;;
esac
exec {python} "$@"
"""
_PROVIDER = "kubeconfig=self.kubeconfig,"
PASSWORD = "a test's password"  # noqa: S105 (nobody's)
"""In the place of every secret of a stack file."""

ANSWERS = {
    "kubeconfig": KUBECONFIG,
    "look": json.dumps({"said": [], "kubeconfig": ""}),
    "backup": "{}",
    "ready": json.dumps([{"name": "sealos01", "role": "master", "address": "198.51.100.11", "version": "v1.16.3"}]),
    "gate": json.dumps({"status": "HEALTHY", "gateway": None}),
    "cni-check": json.dumps({"nodes": []}),
    "istioctl": json.dumps({"path": "/usr/local/bin/istioctl", "version": "1.5.0"}),
    "passphrase": "passphrase",
}
"""What a healthy cluster's steps print, by the driver's verb."""


def configured(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A stack file's configuration without the project's prefix, and a test's secret for each that it has."""
    config = stack_config(name)
    secrets = {key: PASSWORD for key, value in config.items() if isinstance(value, dict) and set(value) == {"secure"}}
    return {key: value for key, value in config.items() if key not in secrets}, secrets


def stopped(folder: Path, name: str, config: Mapping[str, Any], secrets: Mapping[str, str]) -> Project:
    """A copy of the program with a stack of which nothing is there."""
    project = Project.copy(folder / "project", name, config)
    for key, value in secrets.items():
        succeeded(project.pulumi("config", "set", "--secret", "--stack", name, f"sealos-istio:{key}", stdin=value))
    return project


def stack(folder: Path, name: str, config: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Project:
    """A copy of the program with a stack that is up.

    Args:
        folder: an empty one.
        name: the stack's.
        config: its configuration, keys without the project's prefix.
        secrets: what of it is secret.

    Raises:
        Failed: it can't be brought there, or a preview of it shows a change.
    """
    project = stopped(folder, name, config, secrets or {})
    for part in ("bin", "answers"):
        (folder / part).mkdir()
    for verb, text in ANSWERS.items():
        (folder / "answers" / verb).write_text(text)
    script = folder / "bin" / "python3"
    words = {"answers": folder / "answers", "python": sys.executable}
    script.write_text(STANDIN.format(**{name: shlex.quote(str(value)) for name, value in words.items()}))
    script.chmod(0o755)
    usual = dict(project.environment)
    # without it the engine writes the whole state after each of hundreds of steps
    project.environment |= {"PULUMI_SKIP_CHECKPOINTS": "true", "PULUMI_EXPERIMENTAL": "true"}
    project.environment["PATH"] = f"{script.parent}:{project.variables()['PATH']}"
    file = project.directory / "components" / "sealos" / "cluster.py"
    text = file.read_text()
    if text.count(_PROVIDER) != 1:
        raise Failed(f"{file} has not {_PROVIDER!r} once; bench/standing.py goes by it")
    rendered = json.dumps(str(folder / "objects"))
    file.write_text(text.replace(_PROVIDER, f"render_yaml_to_directory={rendered},"))
    succeeded(project.up())
    file.write_text(text)
    project.environment = usual
    _as_if_by_an_api_server(project)
    changed = {op: number for op, number in project.preview()["changeSummary"].items() if op != "same"}
    if changed:
        raise Failed(f"a preview of the stack that was made shows changes: {changed}")
    return project


def succeeded(done: Done) -> Done:
    """What ended well.

    Raises:
        Failed: it did not.
    """
    if done.status:
        raise Failed(done.text[-2000:])
    return done


def _as_if_by_an_api_server(project: Project) -> None:
    """The provider in the state gets the kubeconfig in the place of the folder; it takes one of them only."""
    exported = succeeded(project.pulumi("stack", "export", "--show-secrets", "--stack", project.stack))
    state = json.loads(exported.stdout)
    resources = state["deployment"]["resources"]
    [kubeconfig] = [r["outputs"]["stdout"] for r in resources if r["urn"].endswith("::cluster-kubeconfig")]
    for resource in resources:
        if resource["type"] == "pulumi:providers:kubernetes":
            for side in ("inputs", "outputs"):
                resource[side].pop("renderYamlToDirectory")
                resource[side]["kubeconfig"] = kubeconfig
    succeeded(project.pulumi("stack", "import", "--stack", project.stack, stdin=json.dumps(state)))
