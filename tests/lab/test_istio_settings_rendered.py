"""`make render`: what Istio's own renderer makes of a stack's settings, printed as the docs say."""

from __future__ import annotations

from pathlib import Path

from tests.documented import Terminal


def test_the_render_command_prints_all_of_it_or_how_it_differs(tmp_path: Path) -> None:
    terminal = Terminal.clone(tmp_path)
    whole = terminal.documented("docs/istio.md", "What Istio will make of it", "make render")
    assert "# Deployment istio-system/istio-ingressgateway\n" in whole
    terminal.documented("docs/istio.md", "What Istio will make of it", "make render ARGS=--istio-operator")
    # the stack dev says nothing in vain
    assert not terminal.documented("docs/istio.md", "What Kubernetes would refuse, and what does nothing", "make render ARGS=--check").strip()
    terminal.run('eval "$(make -s env)" && pulumi stack init dev')
    difference = terminal.documented("docs/istio.md", "What Istio will make of it", "make render ARGS=--diff")
    new = [line[1:] for line in difference.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert new, "nothing was there before"
    titles = [line for line in whole.splitlines() if line.startswith("# ") and not line.startswith("# istio.")]
    assert [line for line in new if line.startswith("# ")] == titles
