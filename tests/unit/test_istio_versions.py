from __future__ import annotations

from typing import Any

import pytest

from components.istio import operator_manifests
from components.istio.releases.compatibility import check_pair, check_upgrade, unproven
from components.istio.releases.support import SUPPORTED
from components.istio.releases.table import RELEASES, release, tried


@pytest.mark.parametrize(
    ("istio", "kubernetes"),
    [
        *(("1.5.0", kubernetes) for kubernetes in ("v1.14.0", "v1.15.9", "v1.16.3", "1.16")),
        *((version, "v1.16.3") for version in ("1.6.5", "1.7.8", "1.8.0")),
        ("1.8.0", "v1.19.16"),
        *((patch, "v1.16.3") for patch in ("1.5.9", "1.6.14")),
        *(("1.9.4", kubernetes) for kubernetes in ("v1.17.0", "v1.20.15")),
        *(("1.13.4", kubernetes) for kubernetes in ("v1.20.0", "v1.23.17")),
        *(("1.15.0", kubernetes) for kubernetes in ("v1.22.0", "v1.25.16")),
        *(("1.16.5", kubernetes) for kubernetes in ("v1.22.0", "v1.25.16")),
        *(("1.18.1", kubernetes) for kubernetes in ("v1.24.0", "v1.27.3")),
        *(("1.19.0", kubernetes) for kubernetes in ("v1.25.16", "v1.28.0")),
        *(("1.20.3", kubernetes) for kubernetes in ("v1.25.16", "v1.29.0")),
        *(("1.21.2", kubernetes) for kubernetes in ("v1.26.0", "v1.29.0")),
        *((istio, kubernetes) for istio in ("1.22.2", "1.23.2") for kubernetes in ("v1.27.3", "v1.30.0")),
    ],
)
def test_pairs_that_fit(istio: str, kubernetes: str) -> None:
    assert check_pair(istio, kubernetes) is None


@pytest.mark.parametrize(
    ("istio", "kubernetes", "words"),
    [
        pytest.param(
            "1.5.0", "v1.17.0", ["v1.17.0", "v1.14 to v1.16", "1.6.5, 1.7.8, 1.8.0, 1.9.4"], id="too new a server"
        ),
        pytest.param("1.5.0", "v1.13.5", ["v1.14 to v1.16", "none is known"], id="too old a server"),
        pytest.param("1.7.8", "v1.15.3", ["v1.16 to v1.18", "use 1.5.0, 1.6.5"], id="too old a server for 1.7"),
        pytest.param("1.26.0", "v1.16.3", ["1.26.0", "no in-cluster operator", "1.5.0, 1.6.5"], id="operator removed"),
        pytest.param(
            "1.26.0", "v1.33.0", ["no in-cluster operator", "none is known"], id="operator removed, new server"
        ),
        pytest.param(
            "1.9.1", "v1.16.3", ["1.9.1", "v1.17 to v1.20", "Supported releases", "1.8.0"], id="1.9 on the lab's"
        ),
        pytest.param("1.23.2", "v1.16.3", ["v1.27 to v1.30"], id="1.23 on the lab's"),
        pytest.param(
            "1.10.3", "v1.17.0", ["v1.18 to v1.21", "use 1.6.5"], id="no version of it taken, too old a server"
        ),
        pytest.param(
            "1.10.3", "v1.18.0", ["never tried", "(it takes those of 1.5.0, 1.6.5", "; use 1.6.5"], id="none of it taken"
        ),
        pytest.param(
            "1.10.3", "v1.21.0", ["never tried", "(it takes those of 1.5.0, 1.6.5"], id="none of it taken, a later server"
        ),
        pytest.param("1.4.2", "v1.16.3", ["1.4.2", "never tried", "1.5.0"], id="before the table"),
        pytest.param("latest", "v1.16.3", ["latest", "write it as 1.5.0"], id="no version"),
        pytest.param("1.5.0", "sixteen", ["sixteen", "write it as v1.16.3"], id="no server version"),
    ],
)
def test_a_refusal_says_what_to_use_instead(istio: str, kubernetes: str, words: list[str]) -> None:
    problem = check_pair(istio, kubernetes)
    assert problem is not None
    assert [word for word in words if word not in problem] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1.5.0", "1.6.5"),
        ("1.6.5", "1.7.8"),
        ("1.7.8", "1.8.0"),
        ("1.8.0", "1.9.4"),
        ("1.7.6", "1.7.8"),
        ("1.7.8", "1.7.6"),
        ("1.20.3", "1.21.2"),
        ("1.21.2", "1.22.2"),
        ("1.18.1", "1.19.0"),
        ("1.19.0", "1.20.3"),
        ("1.15.0", "1.16.5"),
        ("1.22.2", "1.23.2"),
    ],
)
def test_the_next_release_and_another_patch_are_upgrades(before: str, after: str) -> None:
    assert check_upgrade(before, after) is None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param("1.5.0", "1.7.8", ["in one step", "go by 1.6.5"], id="one left out"),
        pytest.param("1.5.0", "1.8.0", ["go by 1.6.5, then 1.7.8"], id="two left out"),
        pytest.param(
            "1.8.0", "1.13.4", ["in one step", "no version of 1.10 is known", "take istio out"], id="a gap between"
        ),
        pytest.param("1.6.5", "1.5.0", ["can't go back", "take istio out"], id="back"),
    ],
)
def test_another_way_is_refused_with_the_steps(before: str, after: str, words: list[str]) -> None:
    problem = check_upgrade(before, after)
    assert problem is not None
    assert [word for word in words if word not in problem] == []


def test_every_release_with_an_operator_has_its_range() -> None:
    assert list(SUPPORTED) == [f"1.{minor}" for minor in range(5, 24)]
    assert set(RELEASES) <= set(SUPPORTED)
    for earlier, later in zip(SUPPORTED.values(), list(SUPPORTED.values())[1:], strict=False):
        assert earlier.first <= later.first <= later.last
        assert earlier.last <= later.last
        assert (later.first[0], later.first[1] - 1) not in later


def test_1_5_writes_numbers_and_three_is_healthy() -> None:
    words = release("1.5.0").status_words
    assert (words["3"], words["4"], words["2"]) == ("HEALTHY", "ERROR", "RECONCILING")
    assert words["HEALTHY"] == "HEALTHY"
    assert "3" not in release("1.6.5").status_words


def test_the_operators_rights_follow_the_release() -> None:
    def allowed(version: str) -> set[str]:
        rules = operator_manifests.cluster_role(version)["rules"]
        return {
            f"{group}/{resource}" for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]
        }

    assert allowed("1.9.4") - allowed("1.8.0") == {"coordination.k8s.io/leases"}
    assert allowed("1.13.4") - allowed("1.9.4") == {"/pods/portforward"}
    assert allowed("1.9.4") >= allowed("1.13.4") - {"/pods/portforward"}
    assert allowed("1.8.0") - allowed("1.9.4") == {
        f"{group}/{kind}" for group in ("apps", "extensions") for kind in ("ingresses", "statefulsets")
    }
    assert allowed("1.16.5") - allowed("1.13.4") == {"/resourcequotas"}
    assert allowed("1.22.2") - allowed("1.16.5") == {"telemetry.istio.io/*", "extensions.istio.io/*"}
    assert allowed("1.13.4") <= allowed("1.16.5") == allowed("1.20.3") <= allowed("1.22.2")


def test_the_operators_pod_follows_the_release() -> None:
    def made(version: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        spec = operator_manifests.deployment("docker.io/istio", version, "istio-system", "an identity")["spec"]
        [container] = spec["template"]["spec"]["containers"]
        return spec, container, spec["template"]["metadata"]["annotations"]

    spec, container, annotations = made("1.13.4")
    assert "revisionHistoryLimit" not in spec
    assert container["command"] == ["operator", "server"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert list(annotations) == [operator_manifests.RESTART_ANNOTATION]
    assert made("1.16.5")[0]["revisionHistoryLimit"] == 10
    spec, container, annotations = made("1.20.3")
    assert container["command"] == ["operator", "server", "--monitoring-host=127.0.0.1", "--monitoring-port=15014"]
    assert "imagePullPolicy" not in container
    assert annotations["prometheus.io/port"] == "15014"
    assert not {"runAsUser", "runAsGroup"} & set(container["securityContext"])
    assert container["securityContext"]["runAsNonRoot"]


def test_a_gateway_of_1_9_has_ports_for_other_clusters() -> None:
    known = release("1.9.4")
    assert [port["port"] for port in known.chart_ports["ingress"]] == [15021, 80, 443, 15012, 15443]
    assert [port["port"] for port in known.chart_ports["egress"]] == [80, 443, 15443]


def test_a_gateway_of_1_13_has_no_ports_for_other_clusters_by_itself() -> None:
    known = release("1.13.4")
    assert [port["port"] for port in known.chart_ports["ingress"]] == [15021, 80, 443]
    assert [port["port"] for port in known.chart_ports["egress"]] == [80, 443]
    assert not {"gatewaysdsudspath"} & {*known.ingress_mounts, *known.egress_mounts}
    assert known.addons == {}


def test_an_unknown_release_is_named() -> None:
    with pytest.raises(ValueError, match=r"1\.99\.0.*1\.5\.x"):
        release("1.99.0")


def test_every_version_stands_in_its_own_release_and_what_was_only_rendered_is_said() -> None:
    for minor, known in RELEASES.items():
        assert known.tried
        for version in known.tried:
            assert version.rpartition(".")[0] == minor
        assert all(unproven(version) is None for version in known.tested)
        assert all(version in str(unproven(version)) for version in known.rendered)
        assert not set(known.tested) & set(known.rendered)
        seen = ", ".join(known.tried)
        assert f"Istio {minor}.99 was never run" in str(unproven(f"{minor}.99"))
        assert f" {seen} was" in str(unproven(f"{minor}.99"))
    assert tried() == sorted(tried(), key=lambda version: [int(part) for part in version.split(".")])
