"""Shards of the tests, what is built for each, and whose turn it is on a build server."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import parts
from tests import tiers, turns


@pytest.mark.parametrize("number", [1, 2, tiers.SHARDS, 40])
def test_every_file_of_the_rest_is_in_one_shard(number: int) -> None:
    shards = tiers.split(number)
    assert len(shards) == number
    assert sorted(file for files in shards for file in files) == list(tiers.rest())
    assert tiers.CORE not in tiers.rest()
    assert (tiers.ROOT / tiers.CORE).exists()


@pytest.mark.parametrize("text", ["", "1", "0/6", "7/6", "a/6", "1/0", "-1/6"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        tiers.shard(text)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Four files of the lab: two short ones, one that takes as long as both, and two of a part that takes still longer to build."""
    long = max(parts.PARTS, key=lambda part: part.seconds)
    built = f'PARTS = ("{long.name}",)\n'
    files = {"core": "", "a": "", "b": "", "long": "", "built": built, "also_built": f"import x\n{built}"}
    lab = tmp_path / "tests" / "lab"
    lab.mkdir(parents=True)
    for name, text in files.items():
        (lab / f"test_{name}.py").write_text(text)
    took = {"core": 1000, "a": 50, "b": 50, "long": 100, "built": 10, "also_built": 10}
    (tmp_path / "tests" / "durations.json").write_text(
        json.dumps({f"tests/lab/test_{name}.py": float(seconds) for name, seconds in took.items()})
    )
    monkeypatch.setattr(tiers, "ROOT", tmp_path)
    monkeypatch.setattr(tiers.recorded, "__defaults__", (tmp_path / "tests" / "durations.json",))
    tiers.split.cache_clear()
    tiers.parts_of.cache_clear()
    yield tmp_path
    tiers.split.cache_clear()
    tiers.parts_of.cache_clear()


def test_shards_take_the_same_time_and_build_nothing_twice(world: Path) -> None:
    names = [{Path(file).stem.removeprefix("test_") for file in files} for files in tiers.split(2)]
    assert names == [{"built", "also_built"}, {"long", "a", "b"}]
    assert tiers.running(tiers.split(2)[1]) == 200, "one process has the lab's machines"


def test_what_needs_no_machine_runs_beside_what_does(world: Path) -> None:
    assert tiers.on_machines("tests/lab/test_long.py")
    rendered = "tests/lab/test_a_rendered.py"
    assert not tiers.on_machines(rendered)
    assert not tiers.on_machines("tests/unit/test_tiers.py")
    assert tiers.running(["tests/lab/test_long.py", rendered]) == 100


def test_a_file_without_a_record_counts_as_well(world: Path) -> None:
    (world / "tests" / "lab" / "test_new.py").write_text("")
    assert tiers.seconds("tests/lab/test_new.py") == tiers.UNKNOWN
    assert "tests/lab/test_new.py" in tiers.rest()


def test_a_part_that_there_is_not_is_said(world: Path) -> None:
    (world / "tests" / "lab" / "test_a.py").write_text('PARTS = ("istoi",)\n')
    with pytest.raises(AssertionError, match="istoi"):
        tiers.parts_of("tests/lab/test_a.py")


def test_a_group_is_all_its_parts() -> None:
    needed = tiers.parts_of("tests/lab/test_istio_upgrade.py")
    assert needed == tuple(part.name for part in parts.PARTS if part.used_for == "istio-on-1.16")


@pytest.mark.parametrize(
    ("commits", "shallow", "expected"),
    [("12", False, 1), ("13", False, 2), ("17", False, 6), ("1", True, 4), ("", False, 4)],
)
def test_whose_turn_it_is(commits: str, shallow: bool, expected: int) -> None:
    assert turns.first_of(commits, shallow, "0000000f0", 6) == expected


def test_without_a_repository_it_is_the_firsts() -> None:
    assert turns.first_of("", shallow=False, commit="", number=6) == 1


class Server:
    """A clock that goes by what is run: each command takes its time."""

    def __init__(self, core: float, each: float, fails: str = "") -> None:
        self.now, self.core, self.each, self.fails = 0.0, core, each, fails
        self.ran: list[tuple[str, str]] = []

    def gone(self) -> float:
        return self.now

    def run(self, command: list[str], said: str, limit: float) -> int:
        self.now += self.core if command == ["make", "test"] else self.each
        self.ran.append((command[-1], said))
        return 1 if self.fails and command[-1].endswith(self.fails) else 0

    def go(self, planned: float, but: dict[int, float] | None = None) -> int:
        order = [5, 6, 1, 2, 3, 4]
        return turns.take_turns(self, order, lambda shard: (but or {}).get(shard, planned), self.run)  # type: ignore[arg-type]


def test_shards_run_in_turn_until_no_other_may_begin() -> None:
    server = Server(core=5 * 60, each=7 * 60)
    assert server.go(planned=7 * 60) == 0
    assert server.ran == [
        ("test", "ran: core; next: shard 5"),
        ("SHARD=5/6", "ran: core, shard 5; next: shard 6"),
        ("SHARD=6/6", "ran: core, shard 5, 6; next: shard 1"),
        ("SHARD=1/6", "ran: core, shard 5, 6, 1; next: shard 2"),
    ]
    assert server.now <= 75 * 60


def test_each_runs_once_where_there_is_time() -> None:
    server = Server(core=60, each=60)
    assert server.go(planned=60) == 0
    assert len(server.ran) == 1 + 6
    assert server.ran[-1] == ("SHARD=4/6", "ran: core, shard 5, 6, 1, 2, 3, 4; next: shard 5")


def test_what_would_take_too_long_now_is_left_for_another_time() -> None:
    server = Server(core=5 * 60, each=7 * 60)
    assert server.go(planned=7 * 60, but={6: 65 * 60}) == 0
    assert [command for command, _ in server.ran] == ["test", "SHARD=5/6", "SHARD=1/6", "SHARD=2/6"]
    assert server.ran[-1][1] == "ran: core, shard 5, 1, 2; next: shard 6"
    server = Server(core=5 * 60, each=7 * 60)
    assert server.go(planned=7 * 60, but={5: 50 * 60}) == 0
    assert server.ran[1][0] == "SHARD=5/6", "it is done when it comes first"


def test_a_machine_that_shows_itself_slow_begins_less() -> None:
    server = Server(core=5 * 60, each=12 * 60)
    assert server.go(planned=6 * 60, but={6: 30 * 60}) == 0
    assert [command for command, _ in server.ran] == ["test", "SHARD=5/6", "SHARD=1/6"], "the sixth would have ended after 77 minutes"


@pytest.mark.parametrize(("fails", "ran"), [("test", 1), ("5/6", 2), ("6/6", 3)])
def test_what_fails_ends_it(fails: str, ran: int) -> None:
    server = Server(core=60, each=60, fails=fails)
    assert server.go(planned=60) == 1
    assert len(server.ran) == ran


def test_what_takes_too_long_is_interrupted_with_all_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where SIGINT was ignored, as in the background of a shell."""
    monkeypatch.setattr(tiers, "ROOT", tmp_path)
    child = "trap 'touch put-away; exit 3' INT; while :; do sleep 0.1; done"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = turns.run(["bash", "-c", f'bash -c "{child}"; exit 7'], "", limit=2)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert status != 0
    assert (tmp_path / "put-away").exists()


def test_what_the_tests_shall_say_reaches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "ROOT", tmp_path)
    assert (
        turns.run(
            ["sh", "-c", f'test "${{TESTS_SAID}}" = "{turns.said([3], [3, 4])}"'], turns.said([3], [3, 4]), limit=60
        )
        == 0
    )
