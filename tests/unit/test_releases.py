"""toolchain/releases.toml is what is built, what the lab runs, what the program says that it was tried with, and what the docs' tables say."""

from __future__ import annotations

import re

import pytest

from components.istio.releases.compatibility import check_pair
from components.istio.releases.model import minor_of
from components.istio.releases.support import SUPPORTED
from components.istio.releases.table import RELEASES
from devtools import parts, releases
from lab import package
from tests.project import ROOT

ISTIO = {row.version: row for row in releases.ISTIO}
LIFECYCLE = (ROOT / "docs" / "istio-lifecycle.md").read_text()
TOOLCHAIN = (ROOT / "docs" / "toolchain.md").read_text()


def test_the_program_says_of_each_row_what_it_was_tried_with() -> None:
    known = {kind: [v for known in RELEASES.values() for v in getattr(known, kind)] for kind in ("tested", "rendered")}
    assert known["tested"] == [row.version for row in releases.ISTIO if row.kind == "operator"]
    assert known["rendered"] == [row.version for row in releases.ISTIO if row.kind == "rendered"]


@pytest.mark.parametrize("row", releases.ISTIO, ids=lambda row: str(row.version))
def test_the_commit_is_the_one_that_go_mod_pins(row: releases.Istio) -> None:
    pins = (ROOT / "toolchain" / "istio" / "modules" / row.minor / "go.mod").read_text()
    assert re.findall(r"^require istio\.io/istio v\S+-(\w+)$", pins, re.MULTILINE) == [row.commit]


@pytest.mark.parametrize("row", releases.KUBERNETES, ids=lambda row: str(row.version))
def test_the_kubernetes_is_the_one_that_go_mod_pins(row: releases.Kubernetes) -> None:
    pins = (ROOT / "toolchain" / "kubernetes" / "modules" / row.minor / "go.mod").read_text()
    assert re.findall(r"^\tk8s\.io/kubernetes v(\S+)$", pins, re.MULTILINE) == [row.version]


@pytest.mark.parametrize(("kind", "rows"), [("istio", releases.ISTIO), ("kubernetes", releases.KUBERNETES)])
def test_every_module_has_a_row_and_every_row_a_part(kind: str, rows: tuple[releases.Row, ...]) -> None:
    assert {folder.name for folder in (ROOT / "toolchain" / kind / "modules").iterdir()} == {row.minor for row in rows}
    built = list(dict.fromkeys(part.module.folder for part in parts.PARTS if part.name.startswith(kind)))
    assert built == [f"toolchain/{kind}/modules/{row.minor}" for row in rows]


def test_an_operator_is_tested_on_each_kubernetes_of_the_lab_that_its_row_names_and_fits_it() -> None:
    for row in releases.ISTIO:
        assert bool(row.kubernetes) == (row.kind == "operator"), row.version
        assert [check_pair(row.version, f"v{kubernetes}") for kubernetes in row.kubernetes] == [None] * len(row.kubernetes)
    on_the_lab = {release.version: set(release.istios) for release in package.RELEASES}
    assert on_the_lab == {
        f"v{k8s.version}": {v for v, row in ISTIO.items() if k8s.version in row.kubernetes and row.group != "lab"}
        for k8s in releases.KUBERNETES
    }


def test_the_lab_finds_the_programs_of_each_kubernetes_and_istio() -> None:
    binaries = {name for part in parts.PARTS for name in part.binaries}
    for release in package.RELEASES:
        assert {f"{name}{release.suffix}" for name in ("kube", *package.PROGRAMS)} | {release.coredns} <= binaries
        for version in release.istios:
            assert {f"{name}-{version}" for name in ("istio", "istio-operator", "envoy-bootstrap", "istioctl")} <= binaries


def test_the_table_of_versions_in_the_docs_is_this_one() -> None:
    rows = re.findall(r"^\| (1\.\d+\.\d+) \| (\S+ to \S+) \| ([^|]+) \|", LIFECYCLE, re.MULTILINE)
    assert rows == [(row.version, supported(row.version), tried(row)) for row in releases.ISTIO]


def supported(version: str) -> str:
    support = SUPPORTED[minor_of(version)]
    return " to ".join(f"{major}.{minor}" for major, minor in (support.first, support.last))


def tried(row: releases.Istio) -> str:
    return f"on the real operator, {' and '.join(row.kubernetes)}" if row.kind == "operator" else "rendered"


def test_the_list_of_parts_in_the_docs_is_this_one() -> None:
    shown = [re.split(r" {2,}", line.strip()) for line in TOOLCHAIN.partition("    part   ")[2].partition("\n\n")[0].splitlines()[1:]]
    assert [row[:3] for row in shown] == [[part.name, part.title, parts.minutes(part.seconds)] for part in parts.PARTS]


def test_each_group_of_istios_is_told_with_its_minor_releases() -> None:
    for group in ("istio-on-1.16", "istio-later", "istioctl-only"):
        [told] = re.findall(rf"^\| `python -m devtools build --only {group}` \|(.*)", TOOLCHAIN, re.MULTILINE)
        assert re.findall(r"1\.\d+", told.partition("Kubernetes")[0]) == [row.minor for row in releases.ISTIO if row.group == group]
