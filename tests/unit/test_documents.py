"""YAML that people wrote: a key that is given twice is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.config import operator_file
from components.documents import load_all

TWICE = "kind: IstioOperator\nspec:\n  values:\n    global: {a: 1}\n  profile: demo\n  values:\n    pilot: {}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TWICE, "values is given twice, in lines 3 and 6; keep one of them"),
        ("- {name: a, name: b}", "name is given twice, in lines 1 and 1"),
        ('a: 1\n"a": 2', "a is given twice"),
        ("a: 1\n---\nb: {c: 1, c: 1}", "c is given twice"),
    ],
)
def test_a_key_that_is_given_twice_is_named(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        load_all(text)


def test_the_same_key_elsewhere_and_what_a_merge_says_again_are_right() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y\n  <<: *x\n  a: 2\nz:\n  <<: *y\n  b: 3\n---\nx: 1\n"
    assert load_all(text) == [{"x": {"a": 1, "b": 1}, "y": {"a": 2, "b": 1}, "z": {"a": 2, "b": 3}}, {"x": 1}]


def test_an_istio_operator_with_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(TWICE)
    assert operator_file.read(tmp_path / "mesh.yaml", "mesh.yaml") == (
        {},
        ["mesh.yaml is no YAML: values is given twice, in lines 3 and 6; keep one of them"],
    )
