"""What the pages say about stacks and previews, typed in a fresh clone; no host is dialled. Each test leaves the clone as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from devtools import parts
from tests.documented import Terminal
from tests.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

README = ("README.md", "Try it: the embedded lab")
TOOLS = ("docs/toolchain.md", "toolchain/, standins/, devtools/: what is built, and why")
NEW = ("docs/environments.md", "A new stack")
ANSWERS = [
    ("Masters", "m1=192.168.30.11"),
    ("Nodes", "n1=192.168.30.21 n2=192.168.30.22"),
    ("known_hosts", "known_hosts.blue"),
    ("Private key file", "~/.ssh/blue"),
    ("Kubernetes version", ""),
    ("Istio profile", ""),
    ("refuse to delete", "n"),
]


def pulumi(terminal: Terminal) -> Terminal:
    """The terminal, with the environment for plain pulumi commands."""
    terminal.documented(*README, "eval")
    return terminal


def test_a_new_stack_is_asked_for_on_a_terminal_and_can_be_previewed(clone: Terminal) -> None:
    printed = clone.documented(*NEW, "make new-stack", answers=ANSWERS)
    clone.documented(*NEW, ".venv/bin/python", replace={"stack blue": "stack green", "Pulumi.blue": "Pulumi.green"})
    blue, green = (clone.directory / f"Pulumi.{name}.yaml" for name in ("blue", "green"))
    assert blue.read_text() == green.read_text().replace("green", "blue"), (
        "asked and told by options, it is the same stack"
    )
    again = clone.documented(*README, "make new-stack", replace={"NAME=…": "NAME=blue"}, answers=ANSWERS, status=2)
    assert "Pulumi.blue.yaml is there already" in again
    # the commands that it names are typed, too; the first asks the machines
    scan, init, preview = [line.strip() for line in printed.partition("Next:\n")[2].splitlines()]
    assert scan.startswith("ssh-keyscan ")
    key = (ROOT / "Pulumi.walkthrough.yaml").read_text().partition("hostKey: ")[2].split("}")[0].strip()
    keys = clone.directory / "known_hosts.blue"
    keys.write_text("".join(f"192.168.30.{n} {key}\n" for n in (11, 21, 22)))
    pulumi(clone).run(init)
    said = clone.run(preview).stdout
    assert "blue: " in said
    assert "n1, n2 join" in said
    for file in (blue, green, keys):
        file.unlink()


def test_a_stack_of_ones_own_is_begun_as_the_readme_says(clone: Terminal) -> None:
    pulumi(clone).documented("README.md", "Your own machines", stdin="it's a $ecret")
    file = clone.directory / "Pulumi.production.yaml"
    written = yaml.safe_load(file.read_text())
    assert list(written["config"]["sealos-istio:password"]) == ["secure"]
    assert "ecret" not in file.read_text()
    file.unlink()


def test_a_preview_is_a_summary_and_a_picture(clone: Terminal) -> None:
    pulumi(clone).run("pulumi stack init prod")
    printed = clone.documented("docs/review.md", "On your own machine")
    for stack in ("dev", "prod"):
        assert f"{stack}: " in printed
        kind = "svg" if shutil.which("dot") else "dot"
        assert (
            f'digraph "{stack}"' in (clone.directory / ".state" / f"preview-{stack}.{kind}").read_text()
            or kind == "svg"
        )
    assert printed.count("A new cluster") == 2


def test_the_renderer_shows_the_objects(clone: Terminal) -> None:
    printed = clone.documented(*README, "make render")
    kinds = {document["kind"] for document in yaml.safe_load_all(printed.partition("\n---\n")[2]) if document}
    assert {"Deployment", "Service", "ConfigMap"} <= kinds


def test_a_modules_pins_are_made_complete(clone: Terminal) -> None:
    pins = Path("standins", "machine", "go.mod")
    whole = (ROOT / pins).read_text()
    [unused] = [line for line in (ROOT / pins).with_name("go.sum").read_text().splitlines() if "check.v1" in line and "/go.mod" not in line]
    (clone.directory / pins).write_text(f"{whole}\nrequire {' '.join(unused.split()[:2])} // indirect\n")
    assert clone.documented(*TOOLS, "python -m devtools tidy PART", replace={"PART": "machine"}) == ""
    assert (clone.directory / pins).read_text() == whole


def test_a_group_of_parts_that_is_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To build them takes half an hour, so here their places are taken."""
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path))
    for part in parts.PARTS:
        parts.directory(part).mkdir(parents=True)
    terminal = Terminal(ROOT, {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"})
    assert terminal.documented(*TOOLS, "python -m devtools build --only dashboards") == ""
    assert terminal.documented(*TOOLS, "python -m devtools build --only istio-on-1.16") == ""
    assert terminal.documented(*TOOLS, "python -m devtools build --only istio-later") == ""
    assert terminal.documented(*TOOLS, "python -m devtools build --only istioctl-only") == ""
