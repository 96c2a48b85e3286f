"""The review with the real engine and the real policy pack: what is clean passes, what is not is stopped, and nobody is dialled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from devtools import engine as engines
from review.__main__ import STOPPED, status
from review.plan import LABELS
from review.previews import copied, from_nothing, stacks
from tests.documented import Terminal
from tests.project import ROOT

MESH = """apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec: {profile: default, tag: 1.5.0}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_mandatory_policy_stops_the_preview(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "__main__.py", "components"):
        (tmp_path / name).symlink_to(ROOT / name)
    raw = yaml.safe_load((ROOT / "Pulumi.walkthrough.yaml").read_text())
    raw["config"]["sealos-istio:ssh"] = {"hostKeys": "unverified"}
    (tmp_path / "Pulumi.walkthrough.yaml").write_text(yaml.safe_dump(raw))
    with copied(engines.present(), tmp_path, "walkthrough") as checkout:
        plan = checkout.preview("walkthrough")
    assert not plan.error
    [(mandatory, text)] = plan.violations
    assert mandatory
    assert text.startswith("pinned-host-keys: ssh.hostKeys is unverified")
    assert status([plan], tuple(LABELS.values())) == STOPPED


@pytest.mark.parametrize("file", ["mesh/edge.yaml", "../shared/edge.yaml", "./edge.yaml"])
def test_a_copy_takes_along_what_the_settings_name_by_a_relative_path(file: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    project.mkdir(exist_ok=True)
    (project / file).write_text(MESH)
    for name in ("Pulumi.yaml", "__main__.py", "components"):
        (project / name).symlink_to(ROOT / name)
    raw = yaml.safe_load((ROOT / "Pulumi.walkthrough.yaml").read_text())
    raw["config"]["sealos-istio:istio"] = {"file": file}
    (project / "Pulumi.walkthrough.yaml").write_text(yaml.safe_dump(raw))
    with copied(engines.present(), project, "walkthrough") as checkout:
        assert (checkout.directory / file).read_text().startswith("apiVersion")
        # what of the settings is wrong would be said by the key
        plan = checkout.preview("walkthrough")
    assert not plan.error
    assert "istio-istio-operator" in {change.name for change in plan.changes}


def test_two_versions_are_compared_where_there_is_no_state() -> None:
    plan = from_nothing(engines.present(), "dev", "HEAD")
    assert not plan.error, plan.error
    assert "what HEAD asks for" in plan.compared_with
    assert not plan.losses()


def test_the_check_previews_every_stack_without_a_secret_and_every_policy_is_kept(
    clone: Terminal, tmp_path: Path
) -> None:
    summary = tmp_path / "step"
    clone.environment |= {"GITHUB_STEP_SUMMARY": str(summary), "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    printed = clone.documented("README.md", "Try it: the embedded lab", "make review")
    out = clone.directory / ".state" / "review"
    for stack in stacks():
        assert f"{stack}: " in printed
        assert (out / f"{stack}.{'svg' if shutil.which('dot') else 'dot'}").exists()
    assert printed.count("A new cluster") == len(stacks()) >= 4
    assert "Advice" not in printed
    assert "no state could be read here" in summary.read_text()
    assert summary.read_text() == (out / "comment.md").read_text()
