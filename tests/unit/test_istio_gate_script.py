"""What gate.sh reads from the operator's log, by what each version writes there; with a kubectl that has nothing but a log."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from components.istio.readiness.probe import OWNED, SCRIPT

KUBECTL = """#!/usr/bin/env bash
case " $* " in *" logs "*) cat "$LOG" ;; *" get crd "*) exit 1 ;; esac
"""
AT = "2026-01-02T03:04:05.000000Z"
BEGIN, END = f"{AT}\tinfo\tReconciling IstioOperator", f"{AT}\tinfo\tend reconciling resources"
FAILED = f"{AT}\terror\treconciling err: path not found"
BEGIN_1_8, FAILED_1_8 = f"{AT}\tinfo\tinstaller\tReconciling IstioOperator", f"{AT}\terror\tinstaller\tError during reconcile: path not found"
MERGE_1_8 = f"{AT}\terror\tinstaller\tfailed to merge base profile with user IstioOperator CR mesh, unknown field"


def look(tmp_path: Path, says_when_done: bool, *log: str) -> tuple[bool | None, list[str]]:
    """Whether the log says that the operator is done, and what it gave up for."""
    request = tmp_path / "request"
    request.mkdir()
    for name, text in {"verb": "look", "namespace": "istio-system", "name": "mesh"}.items():
        (request / name).write_text(text)
    (request / "says_when_done").write_text("true" if says_when_done else "false")
    (tmp_path / "log").write_text("".join(f"{line}\n" for line in log))
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["bash", SCRIPT, request],
        env={**os.environ, "KUBECTL": str(kubectl), "LOG": str(tmp_path / "log")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    refused = base64.b64decode(found["refused"]).decode().splitlines()
    return found["settled"], [line for line in refused if line]


@pytest.mark.parametrize(
    ("log", "settled", "refused"),
    [
        pytest.param([], None, [], id="nothing yet"),
        pytest.param([BEGIN], False, [], id="at work"),
        pytest.param([BEGIN, END], True, [], id="done"),
        pytest.param([BEGIN, FAILED, BEGIN, FAILED, BEGIN], False, ["path not found"] * 2, id="refused twice, at work"),
        pytest.param([BEGIN, FAILED, BEGIN, END], True, [], id="refused before it was done"),
    ],
)
def test_1_5_says_when_it_begins_and_ends(tmp_path: Path, log: list[str], settled: bool | None, refused: list[str]) -> None:
    assert look(tmp_path, True, *log) == (settled, refused)


@pytest.mark.parametrize(
    ("log", "refused"),
    [
        pytest.param([BEGIN, FAILED], ["path not found"], id="1.6"),
        pytest.param([BEGIN_1_8, FAILED_1_8, BEGIN_1_8, FAILED_1_8], ["path not found"] * 2, id="1.8"),
        pytest.param([BEGIN_1_8, MERGE_1_8], [MERGE_1_8.rpartition("\t")[2]], id="1.8, no profile to merge with"),
        pytest.param([BEGIN_1_8, FAILED_1_8, BEGIN_1_8, BEGIN_1_8], [], id="an attempt without an error in between"),
    ],
)
def test_later_ones_only_say_when_they_begin_or_give_up(tmp_path: Path, log: list[str], refused: list[str]) -> None:
    assert look(tmp_path, False, *log) == (None, refused)


def test_what_belongs_to_an_istio_operator_is_found_by_both_of_its_labels_and_deleted(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = f"""
    ask() {{ printf '%s\\n' "$*" >>{asked}; if [[ $1 == get && $* == *owning-resource=mesh* ]]; then echo service/old; fi; }}
    . {OWNED}
    delete_owned mesh operator.istio.io/version!=1.8.0
    """
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["service/old", "service/old"]  # of the namespaces, and of the cluster
    words = asked.read_text().splitlines()
    deleted = [line for line in words if line.startswith("delete ")]
    assert len(words) == 6
    assert len(deleted) == 2
    selector = "-l install.operator.istio.io/owning-resource=mesh,operator.istio.io/version!=1.8.0"
    assert all(selector in line for line in deleted)
    assert not [line for line in words if "persistentvolumeclaims" in line or "secrets" in line], "these may hold data"


def test_namespaces_of_gateways_are_looked_at_as_well(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        "#!/usr/bin/env bash\n"
        'case " $* " in *" get crd "*) exit 1 ;; *" -n edge deployments"*|*" get -n edge "*) echo \'{"kind":"List","items":[{"kind":"Service"}]}\' ;; esac\n'
    )
    kubectl.chmod(0o755)
    files = {"verb": "look", "namespace": "istio-system", "name": "mesh", "says_when_done": "false", "namespaces": "edge\ngone\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(["bash", SCRIPT, tmp_path], env={**os.environ, "KUBECTL": str(kubectl)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["others"] == [{"kind": "List", "items": [{"kind": "Service"}]}, None]


@pytest.mark.parametrize(("shell", "then"), [(True, []), (False, ["delete pod/operator-1 --wait=false"])])
def test_a_restart_keeps_the_pod_where_its_image_has_a_shell(tmp_path: Path, shell: bool, then: list[str]) -> None:
    request, kubectl, told = tmp_path / "request", tmp_path / "kubectl", tmp_path / "told"
    request.mkdir()
    for name, text in {"verb": "restart", "namespace": "istio-operator", "selector": "name=istio-operator"}.items():
        (request / name).write_text(text)
    kubectl.write_text(
        f"""#!/usr/bin/env bash
printf "%s\\n" "$*" >>{told}
case " $* " in *" get pods "*) echo pod/operator-1 ;; *" exec "*) exit {0 if shell else 126} ;; esac
"""
    )
    kubectl.chmod(0o755)
    done = subprocess.run(["bash", SCRIPT, request], env={**os.environ, "KUBECTL": str(kubectl)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked, run, *rest = told.read_text().splitlines()
    assert asked.endswith("-n istio-operator get pods -l name=istio-operator -o name")
    assert " exec pod/operator-1 -- sh -c " in run
    assert [line.partition("-n istio-operator ")[2] for line in rest] == then
