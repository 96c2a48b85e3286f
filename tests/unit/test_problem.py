"""How problems are printed: once for all places, cut to a length, with each next step below what it is for."""

from __future__ import annotations

from components.problem import LONGEST, Code, Problem, first_of, told


def test_what_several_places_have_is_said_once_with_all_of_their_names() -> None:
    dead = [Problem(Code.SWAP, name, "1 swap area in use", "Switch it off.") for name in ("a", "b")]
    assert told(dead) == ["  - [swap] a, b: 1 swap area in use", "    Switch it off."]
    assert told(dead, machines=2)[0] == "  - [swap] all 2 machines: 1 swap area in use"
    assert told(dead[:1], machines=1)[0] == "  - [swap] a: 1 swap area in use"
    assert told([]) == []


def test_a_step_that_follows_several_is_said_after_the_last() -> None:
    found = [Problem(Code.CPU, "a", "one"), Problem(Code.CPU, "b", "two"), Problem(Code.DISK, "b", "three", "Make room.")]
    assert told(found) == [
        "  - [cpu] a: one",
        "  - [cpu] b: two",
        f"    {Code.CPU.fix}",
        "  - [disk] b: three",
        "    Make room.",
    ]


def test_what_stops_nothing_is_marked() -> None:
    assert told([Problem(Code.CPU, "a", "one", severity="warning")])[0] == "  - warning [cpu] a: one"
    waived = [Problem(Code.CPU, "a", "one", waived="it is small"), Problem(Code.CPU, "b", "two", waived="it is small")]
    assert told(waived) == ["  - waived [cpu] a: one", "  - waived [cpu] b: two", "    waived in the settings: it is small"]


def test_a_text_has_an_end_and_two_that_differ_behind_it_stay_two() -> None:
    long = [Problem(Code.OBJECT_DIFFERS, name, "x" * LONGEST + name, "Look.") for name in ("a", "b")]
    assert told(long) == [f"  - [object-differs] {name}: {'x' * LONGEST} …" for name in ("a", "b")] + ["    Look."]


def test_who_watches_sees_the_first_and_how_many_there_are_besides() -> None:
    one, other = Problem(Code.ROUTE, "Ingress/a", "does not exist"), Problem(Code.ROUTE, "Ingress/b", "does not exist")
    assert first_of([one]) == "Ingress/a: does not exist"
    assert first_of([one, other]) == "Ingress/a: does not exist (and 1 more)"
