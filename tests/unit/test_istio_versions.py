from __future__ import annotations

import pytest

from components.istio.versions import RELEASES, check_pair, release


@pytest.mark.parametrize("kubernetes", ["v1.14.0", "v1.15.9", "v1.16.3", "1.16"])
def test_pairs_that_fit(kubernetes: str) -> None:
    assert check_pair("1.5.0", kubernetes) is None


@pytest.mark.parametrize(
    ("istio", "kubernetes", "words"),
    [
        pytest.param("1.5.0", "v1.17.0", ["v1.17.0", "v1.14 to v1.16"], id="too new a server"),
        pytest.param("1.5.0", "v1.13.5", ["v1.14 to v1.16"], id="too old a server"),
        pytest.param("1.26.0", "v1.33.0", ["1.26.0", "no in-cluster operator", "1.5.0"], id="operator removed"),
        pytest.param("1.9.1", "v1.16.3", ["1.9.1", "never tried", "1.5.0"], id="not in the table"),
        pytest.param("1.5.9", "v1.16.3", ["1.5.9", "never tried", "1.5.0"], id="another patch"),
        pytest.param("latest", "v1.16.3", ["latest", "write it as 1.5.0"], id="no version"),
        pytest.param("1.5.0", "sixteen", ["sixteen", "write it as v1.16.3"], id="no server version"),
    ],
)
def test_a_refusal_says_what_to_use_instead(istio: str, kubernetes: str, words: list[str]) -> None:
    problem = check_pair(istio, kubernetes)
    assert problem is not None
    assert [word for word in words if word not in problem] == []


def test_1_5_writes_numbers_and_three_is_healthy() -> None:
    words = release("1.5.0").status_words
    assert (words["3"], words["4"], words["2"]) == ("HEALTHY", "ERROR", "RECONCILING")
    assert words["HEALTHY"] == "HEALTHY"


def test_an_unknown_release_is_named() -> None:
    with pytest.raises(ValueError, match=r"1\.99\.0.*1\.5\.x"):
        release("1.99.0")
    assert all(minor == tested.rpartition(".")[0] for minor, r in RELEASES.items() for tested in r.tested)
