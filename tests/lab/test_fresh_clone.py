"""From a fresh clone to a running mesh and back, by nothing but what README.md and the pages say, typed as it is written.

The tests of this file share one clone with a lab of its own and follow each other.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devtools import parts
from devtools.engine import PASSPHRASE
from tests.documented import Terminal
from tests.github import Job
from tests.lab.conftest import NETWORK, TIMEOUT
from tests.project import ROOT

DASHBOARD = ("docs/dashboards.md", "istioctl dashboard")
README = ("README.md", "Try it: the embedded lab")
LAB = ("docs/lab.md", "Commands")
TOOLS = ("docs/toolchain.md", "toolchain/, standins/, devtools/: what is built, and why")

OTHER = "198.19.{}.0/24".format(100 + int(NETWORK.split(".")[2]) % 100)
"""Beside the lab of the other tests; its addresses are as long as those in the docs, so that tables are as wide."""
HERE = {"198.51.100.": OTHER.removesuffix("0/24")}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal.clone(tmp_path_factory.mktemp("fresh"))
    terminal.environment["LAB_NETWORK"] = OTHER
    file = terminal.directory / "Pulumi.dev.yaml"
    [(documented, ours)] = HERE.items()
    file.write_text(file.read_text().replace(documented, ours))
    yield terminal
    terminal.run("python -m lab down")


def test_the_lab_starts_and_starts_once(clone: Terminal) -> None:
    clone.documented(*LAB, "python -m lab up", replace=HERE)


def test_make_up_ends_with_a_mesh(clone: Terminal) -> None:
    printed = clone.documented(*README, "make up", replace=HERE, limit=TIMEOUT - 30)
    assert "created" in printed


def test_make_up_again_changes_nothing(clone: Terminal) -> None:
    printed = clone.documented(*README, "make up", replace=HERE)
    assert "created" not in printed
    assert "unchanged" in printed


def test_what_runs_on_the_machines(clone: Terminal) -> None:
    clone.documented(*LAB, "python -m lab status", replace={**HERE, "interface lab0": "interface lab…"})
    clone.documented(*LAB, "python -m lab ssh sealos01 -- kubectl get nodes")
    name = clone.documented(*LAB, "python -m lab ssh HOST", replace={"HOST [-- COMMAND]": "sealos02 hostname"})
    assert name == "sealos02\n"
    logs = clone.documented(*LAB, "python -m lab logs", replace={" [HOST]": " sealos01"})
    assert "sealos01.log" in logs
    assert "journal" in logs


def test_plain_pulumi_and_kubectl_work(clone: Terminal) -> None:
    shell = Terminal(clone.directory, dict(clone.environment))
    shell.documented(*README, "eval")
    assert "unchanged" in shell.run("pulumi preview --expect-no-changes --stack dev").stdout
    assert "sealos04" in shell.run("kubectl get nodes").stdout
    shell.run("pulumi stack select dev")
    shell.documented("README.md", "Outputs")
    file = shell.directory / "kubeconfig"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "sealos04" in shell.run("kubectl --kubeconfig kubeconfig get nodes").stdout
    file.unlink()


def test_nothing_has_drifted_and_the_morning_job_says_so(clone: Terminal) -> None:
    assert "dev: nothing changes" in clone.documented(*README, "make preview")
    said = "dev: settings, state, cluster and machines agree."
    assert said in clone.documented(*README, "make drift")
    assert said in clone.documented("docs/review.md", "Drift", replace={"prod": "dev"})
    secrets = {"PULUMI_BACKEND_URL": f"file://{clone.directory}/.state", "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    context = {"secrets": secrets, "inputs": {"stack": "dev"}, "matrix": {"stack": "dev"}}
    Job.of("drift.yaml", "look", context).run(Terminal(clone.directory, dict(clone.environment)))
    told = json.loads((clone.directory / "drift.json").read_text())
    assert told == {"stack": "dev", "drift": False, "findings": []}


def test_kiali_is_opened_with_what_the_stack_says(clone: Terminal) -> None:
    shell = Terminal(clone.directory, dict(clone.environment))
    shell.documented(*README, "eval")
    told = json.loads(shell.documented("docs/dashboards.md", "Kiali's log-in"))
    secret = json.loads(shell.run("kubectl -n istio-system get secret kiali -o json").stdout)["data"]
    assert {key: base64.b64decode(value).decode() for key, value in secret.items()} == told


def test_istioctl_dashboard_goes_to_pods_and_ports_that_are_there(clone: Terminal) -> None:
    """Each kind finds its pod and forwards a port of it, where a browser of ours is answered and ends it."""
    shell = Terminal(clone.directory, dict(clone.environment))
    shell.documented(*README, "eval")
    browser = clone.directory.parent / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(f"#!/bin/sh\ncurl -s -o /dev/null --max-time 10 -w '%{{http_code}}\\n' \"$1\" >>{browser}.asked\nkill -INT $PPID\n")
    browser.chmod(0o755)
    shell.environment["PATH"] = f"{browser.parent}:{shell.environment['PATH']}"

    def found(what: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(shell.run(f"kubectl -n istio-system get {what} -o json").stdout)[
            "items"
        ]
        return items

    page = (ROOT / "docs" / "dashboards.md").read_text()
    rows = re.findall(r"^\| `istioctl dashboard (\w+)` \| app=(\w+), (\d+) \|", page, re.MULTILINE)
    assert [kind for kind, _, _ in rows] == ["grafana", "kiali", "prometheus", "jaeger", "zipkin"]
    services = [service["spec"] for service in found("services")]
    for kind, label, port in rows:
        assert len(found(f"pods -l app={label}")) == (kind != "zipkin"), kind
        targets = {str(p["targetPort"]) for s in services if s.get("selector") == {"app": label} for p in s["ports"]}
        assert kind == "zipkin" or port in targets, (kind, targets)
    gateway, istiod = (found(f"pods -l app={app}")[0]["metadata"]["name"] for app in ("istio-ingressgateway", "istiod"))
    shell.documented(*DASHBOARD, "istioctl dashboard grafana", limit=60)
    shell.documented(*DASHBOARD, "istioctl dashboard kiali", limit=60)
    shell.documented(*DASHBOARD, "istioctl dashboard prometheus", limit=60)
    shell.documented(*DASHBOARD, "istioctl dashboard jaeger", limit=60)
    shell.documented(
        *DASHBOARD, "istioctl dashboard envoy", replace={"POD[.NAMESPACE]": f"{gateway}.istio-system"}, limit=60
    )
    shell.documented(
        *DASHBOARD, "istioctl dashboard controlz", replace={"POD[.NAMESPACE]": f"{istiod}.istio-system"}, limit=60
    )
    asked = Path(f"{browser}.asked").read_text().split()
    assert len(asked) == 6
    assert "000" not in asked, "nobody answered at a forwarded port"
    assert "no Zipkin pods found" in shell.documented(*DASHBOARD, "istioctl dashboard zipkin", status=1)


def test_what_is_built_is_found_and_as_pinned(clone: Terminal) -> None:
    clone.documented(*TOOLS, "make tools")
    clone.documented(*TOOLS, "python -m devtools list")
    clone.documented(*TOOLS, "python -m devtools build")
    clone.documented(*TOOLS, "python -m devtools go -C standins/sealos test ./...")
    clone.documented(
        "docs/toolchain.md",
        "toolchain/, standins/, devtools/: what is built, and why",
        "python -m devtools build PART…",
        replace={"PART…": "sealos coredns"},
    )
    found = clone.documented(*TOOLS, "python -m devtools path")
    assert parts.binary("kubectl").samefile(found.strip())
    verified = clone.documented(*TOOLS, "python -m devtools verify")
    left = [part for part in parts.PARTS if not parts.is_built(part)]
    assert {part.used_for for part in left} <= {"dashboards", "istio-on-1.16", "istio-later", "istioctl-only"}
    assert verified.count("as pinned") == len(parts.PARTS) - len(left)
    clone.documented(*TOOLS, "python -m devtools doctor", replace={" [up|test|test-fast|tools|preview]": " up"})


def test_make_down_leaves_nothing(clone: Terminal) -> None:
    clone.documented(*README, "make down")
    assert "The lab is down." in clone.run("python -m lab status").stdout
    assert json.loads(clone.run('eval "$(make -s env)"; pulumi stack export --stack dev').stdout)["deployment"].get(
        "resources"
    ) in (None, [])


def test_another_sealos_takes_the_stand_ins_place(clone: Terminal) -> None:
    binary = clone.directory.parent / "sealos-v3.3.9"
    shutil.copy(parts.binary("sealos"), binary)
    with binary.open("ab") as file:
        file.write(b"\0another")
    clone.documented(*LAB, "python -m lab reset", replace={"[HOST …]": "sealos01"})
    clone.documented("docs/lab.md", "A real sealos", replace={"~": str(clone.directory.parent)})
    there = clone.run("python -m lab ssh sealos01 -- sha256sum /root/sealos").stdout
    assert there.split()[0] == clone.run(f"sha256sum {binary}").stdout.split()[0]
    clone.documented(*LAB, "python -m lab down")
