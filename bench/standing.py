"""A stack that is up although there is no lab: what a preview without a change is measured on.

Engine, program, settings, providers and renderer are the real ones. Two things are played, only while the state is made:
the drivers, by a script in the place of `python3 -m components…` that answers what a healthy cluster would; and the API server,
by the Kubernetes provider's own way of writing objects into files (`renderYamlToDirectory`), which is taken out of the state
afterwards. In the measured previews no driver runs, and the kubeconfig names a port on which nobody listens.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from bench.measure import Failed
from tests.project import KUBECONFIG, ROOT, Done, Project

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


def settings(nodes: int) -> dict[str, Any]:
    """The stack dev's, with that many machines, the first of them the master."""
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    config = {key.removeprefix("sealos-istio:"): value for key, value in yaml.safe_load(text)["config"].items()}
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
    machines = [
        {"name": f"sealos{number:02}", "address": f"198.18.{number // 250}.{number % 250 + 1}", "hostKey": key}
        for number in range(1, nodes + 1)
    ]
    return config | {"masters": machines[:1], "nodes": machines[1:], "ssh": {"privateKeyFile": "id_ed25519"}}


def stack(folder: Path, nodes: int) -> Project:
    """A copy of the program with a stack that is up.

    Raises:
        Failed: it can't be brought there, or a preview of it shows a change.
    """
    project = Project.copy(folder / "project", "dev", settings(nodes))
    nodes_found = [{"name": name, "role": "node", "address": "198.18.0.1", "version": "v1.16.3"} for name in ("a", "b")]
    answers = {
        "kubeconfig": KUBECONFIG,
        "look": json.dumps({"said": [], "kubeconfig": ""}),
        "backup": "{}",
        "ready": json.dumps(nodes_found),
        "gate": json.dumps({"status": "HEALTHY", "gateway": None}),
        "cni-check": json.dumps({"nodes": []}),
        "istioctl": json.dumps({"path": "/usr/local/bin/istioctl", "version": "1.5.0"}),
        "passphrase": "passphrase",
    }
    for part in ("bin", "answers"):
        (folder / part).mkdir()
    for verb, text in answers.items():
        (folder / "answers" / verb).write_text(text)
    script = folder / "bin" / "python3"
    words = {"answers": folder / "answers", "python": sys.executable}
    script.write_text(STANDIN.format(**{name: shlex.quote(str(value)) for name, value in words.items()}))
    script.chmod(0o755)
    usual = dict(project.environment)
    # without it the engine writes the whole state after each of hundreds of steps
    project.environment |= {"PULUMI_SKIP_CHECKPOINTS": "true", "PULUMI_EXPERIMENTAL": "true"}
    project.environment["PATH"] = f"{script.parent}:{os.environ['PATH']}"
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
