"""What the renderer said is kept for the same program and question, by its user alone."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from components.istio import render_cache


class Renderer:
    """A program, and how often it was asked."""

    def __init__(self, file: Path, content: bytes = b"\x7fELF") -> None:
        self.file, self.asked = file, 0
        file.write_bytes(content)

    def __call__(self, question: str, answer: Any = "answer") -> Any:
        def ask() -> Any:
            self.asked += 1
            return answer

        return render_cache.kept(self.file, question, ask)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rendered"


@pytest.fixture
def renderer(cache: Path, tmp_path: Path) -> Renderer:
    return Renderer(tmp_path / "istioctl")


def test_the_same_is_asked_once(renderer: Renderer, cache: Path) -> None:
    objects = [{"kind": "Service", "spec": {"ports": [1]}}]
    assert [renderer("a", objects), renderer("a"), renderer("b")] == [objects, objects, "answer"]
    assert renderer.asked == 2
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in cache.iterdir()} == {0o600}


def test_a_changed_program_is_another_one(renderer: Renderer) -> None:
    renderer("a")
    renderer.file.write_bytes(b"\x7fELF2")
    renderer("a")
    assert renderer.asked == 2


@pytest.mark.parametrize("answer", ["", [], {1: "a number"}, [dt.date(2020, 3, 6)]])
def test_what_is_empty_or_would_come_back_as_something_else_is_not_kept(renderer: Renderer, answer: Any) -> None:
    assert [renderer("a", answer), renderer("a", answer)] == [answer, answer]
    assert renderer.asked == 2


def test_what_starts_another_program_is_always_asked(cache: Path, tmp_path: Path) -> None:
    script = Renderer(tmp_path / "istioctl", b"#!/bin/sh")
    (tmp_path / "bin").mkdir()
    manager = Renderer(tmp_path / "manager")
    manager.file = tmp_path / "bin" / "istioctl"
    manager.file.symlink_to(tmp_path / "manager")
    for one in (script, manager):
        one("a")
        one("a")
        assert one.asked == 2


def test_a_folder_of_others_is_not_used(renderer: Renderer, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o770)
    renderer("a")
    renderer("a")
    assert renderer.asked == 2
    assert not list(cache.iterdir())


def test_what_is_broken_is_asked_again(renderer: Renderer, cache: Path) -> None:
    renderer("a")
    [file] = cache.iterdir()
    file.write_text("{")
    assert renderer("a") == "answer"
    assert renderer("a") == "answer"
    assert renderer.asked == 2


def test_the_ones_not_needed_longest_go(renderer: Renderer, cache: Path) -> None:
    renderer("first")
    [first] = cache.iterdir()
    for number in range(render_cache.KEPT):
        os.utime(first, (1, 1))
        renderer(str(number))
    assert len(list(cache.iterdir())) == render_cache.KEPT
    assert not first.exists()
