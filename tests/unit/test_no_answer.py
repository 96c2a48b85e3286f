"""An API server that does not answer is no answer: no script takes it for "there is none", also where bash has `set -e` off."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.project import ROOT

COMPONENTS = ROOT / "components"
REFUSED = "The connection to the server 192.0.2.11:6443 was refused"
# answers what is asked about the kinds of $ANSWERED, with nothing, and is refused for all else
KUBECTL = f"""#!/bin/sh
for kind in $ANSWERED; do case " $* " in *" $kind"*) exit 0 ;; esac; done
echo "{REFUSED}" >&2
exit 1
"""


@pytest.mark.parametrize(
    ("script", "files", "answered"),
    [
        pytest.param("istio/readiness/gate.sh", {"verb": "look", "says_when_done": "true"}, "crd", id="gate"),
        pytest.param("istio/readiness/gate.sh", {"verb": "look", "says_when_done": "true"}, "deployments,services nodes", id="gate, half-way"),
        pytest.param("istio/readiness/gate.sh", {"verb": "retire", "version": "1.6.5"}, "", id="retire"),
        pytest.param("istio/sweep.sh", {"crds": "keep"}, "", id="sweep"),
        pytest.param("istio/sweep.sh", {"crds": "keep"}, "crd", id="sweep, half-way"),
        pytest.param("istio/recover.sh", {"verb": "look"}, "", id="recover"),
        pytest.param("dashboards/check.sh", {"objects": "Ingress/grafana\n"}, "", id="dashboards"),
    ],
)  # fmt: skip
def test_no_answer_is_an_error(script: str, files: dict[str, str], answered: str, tmp_path: Path) -> None:
    request = tmp_path / "request"
    request.mkdir()
    given = {"namespace": "istio-system", "name": "mesh", "owned.sh": (COMPONENTS / "istio/owned.sh").read_text(), **files}
    for name, text in given.items():
        (request / name).write_text(text)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["bash", str(COMPONENTS / script), str(request)],
        env={**os.environ, "KUBECTL": str(kubectl), "ANSWERED": answered},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0, done.stdout
    assert REFUSED in done.stderr
    assert done.stdout == ""
