"""States of live stacks, as the program's main made them on 30 November 2026: today's program previews on them with no change.

They are the stack files walkthrough (a password, a mesh with Kiali, overlays, CNI) and prod (three masters, protected), brought up as
bench/standing.py tells; what of it names the machine on which that was done is left out. A change that live stacks are meant to see is
named in CHANGELOG.md, and makes them anew: `python -m tests.graph.test_states`.
"""

from __future__ import annotations

import json
import lzma
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.standing import configured, stack, stopped, succeeded
from tests.project import changes

pytestmark = pytest.mark.slow

STATES = Path(__file__).parent / "states"
STACKS = ("prod", "walkthrough")
_OF_THE_MACHINE = ("sourcePosition", "stackTrace", "created", "modified")


@pytest.mark.parametrize("name", STACKS)
def test_a_live_stack_sees_no_change(name: str, tmp_path: Path) -> None:
    project = stopped(tmp_path, name, *configured(name))
    state = lzma.decompress((STATES / f"{name}.json.xz").read_bytes()).decode()
    succeeded(project.pulumi("stack", "import", "--stack", name, stdin=state))
    preview = project.preview()
    assert changes(preview) == {}
    resources = json.loads(state)["deployment"]["resources"]
    # of the engine's own providers a preview says nothing
    assert preview["changeSummary"] == {"same": sum("::default" not in resource["urn"] for resource in resources)}


def write(name: str, folder: Path) -> None:
    """Brings a stack file's stack up and keeps its state, the test's secrets in plain."""
    project = stack(folder, name, *configured(name))
    exported: dict[str, Any] = json.loads(succeeded(project.pulumi("stack", "export", "--show-secrets", "--stack", name)).stdout)
    for resource in exported["deployment"]["resources"]:
        for key in _OF_THE_MACHINE:
            resource.pop(key, None)
    text = json.dumps(exported, indent=1)
    assert str(folder) not in text, f"the state of {name} names a folder of this machine"
    (STATES / f"{name}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    for each in STACKS:
        with tempfile.TemporaryDirectory() as place:
            write(each, Path(place))
