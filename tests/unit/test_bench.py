"""What `make bench` makes of its measurements; that it measures is seen by running it (docs/performance.md)."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import figures
from bench.figures import Figure
from bench.measure import Failed, Program, Run, in_turns, peak_memory

ONE, OTHER = [Run(2, 1), Run(4, 2), Run(9, 3)], [Run(1, 1), Run(2, 1), Run(3, 1)]


def test_a_ratio_is_of_runs_beside_each_other() -> None:
    figure = Figure.compare(("preview", 4), ("this", ONE), ("that", OTHER), goal=1.6)
    assert asdict(figure)["ratio"] == {"median": 2, "least": 2, "most": 3}
    assert asdict(figure)["cpu_ratio"] == {"median": 2, "least": 1, "most": 3}
    assert "| this | that | 2.00 (2.00 to 3.00) | ≤ 1.6 |" in figures.markdown([figure], {"date": "today"}, 3)


def test_what_was_measured_is_written_beside_what_was_measured_before(tmp_path: Path) -> None:
    first, again = (Figure.compare(("preview", 4), (what, ONE), ("that", OTHER)) for what in ("first", "again"))
    other = Figure.compare(("start", 0), ("start", ONE), ("that", OTHER))
    figures.write([first, other], {"processor": "one"}, 3, tmp_path)
    assert figures.write([again], {"processor": "one"}, 3, tmp_path) == [again, other]
    found = json.loads((tmp_path / "figures.json").read_text())
    assert [figure["what"] for figure in found["figures"]] == ["again", "start"]
    assert found["figures"][0]["seconds"] == {"median": 4, "least": 2, "most": 9}
    assert figures.write([again], {"processor": "another"}, 3, tmp_path) == [again]


def test_programs_are_run_in_turns_after_one_run_that_does_not_count(tmp_path: Path) -> None:
    programs = {
        name: Program([sys.executable, "-c", f"open('log', 'a').write('{name}')"], tmp_path, dict(os.environ)) for name in "ab"
    }
    found = in_turns(programs, 2)
    assert (tmp_path / "log").read_text() == "ababab"
    assert [len(runs) for runs in found.values()] == [2, 2]
    assert all(run.cpu > 0 for runs in found.values() for run in runs)


def test_children_count_in_the_memory(tmp_path: Path) -> None:
    child = "import time; held = bytearray(64 << 20); time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert peak_memory(Program([sys.executable, "-c", parent], tmp_path, dict(os.environ))) > 64


def test_what_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="the reason"):
        in_turns({"a": Program(["sh", "-c", "echo the reason >&2; exit 3"], tmp_path, dict(os.environ))}, 1)
