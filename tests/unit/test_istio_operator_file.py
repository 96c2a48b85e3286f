"""An IstioOperator written by others, given as a file: the same settings, the same checks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.base import SettingsError
from components.config.load import parse
from components.config.mesh import IstioSettings
from components.istio.istio_operator import plan
from tests.unit.test_istio_gateways_host_network import stack

ROOT = Path(__file__).parents[2]


def published() -> dict[str, Any]:
    """The walk-through's IstioOperator, as the stack of the same name states it key by key."""
    istio = yaml.safe_load((ROOT / "Pulumi.walkthrough.yaml").read_text())["config"]["sealos-istio:istio"]
    return {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"namespace": "istio-system", "name": istio["name"]},
        "spec": {
            "profile": istio["profile"],
            "components": {
                "cni": {"enabled": True, "namespace": istio["cni"]["namespace"]},
                "ingressGateways": istio["ingressGateways"],
            },
            "values": {
                "cni": {"excludeNamespaces": istio["cni"]["excludeNamespaces"], "logLevel": istio["cni"]["logLevel"]}
            },
        },
    }


def read(tmp_path: Path, *documents: Any, **beside: Any) -> IstioSettings:
    (tmp_path / "mesh.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    istio = parse(stack({"file": "mesh.yaml", **beside}), "dev", tmp_path).istio
    assert istio
    return istio


def test_the_published_file_is_the_same_mesh_as_its_keys(tmp_path: Path) -> None:
    keys = yaml.safe_load((ROOT / "Pulumi.walkthrough.yaml").read_text())["config"]["sealos-istio:istio"]
    by_keys = plan(IstioSettings.model_validate(keys))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
    by_file = plan(read(tmp_path, namespace, published()))
    assert by_file.manifest == by_keys.manifest
    assert by_file.wanted == by_keys.wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apiVersion": "v1"}, "apiVersion is v1; an IstioOperator's is install.istio.io/v1alpha1"),
        ({"metadata": {"generateName": "mesh-"}}, "metadata.generateName is not supported"),
        ({"metadata": {"name": "mesh", "annotations": {"a/b/c": "x"}}}, "istio.metadata.annotations: 'a/b/c' can't be: expected as its key a name"),
        ({"spec": {"tag": "1.8.0", "components": {"pilot": None}}}, "istio.components: pilot must be an object, not None, with which Istio would leave it out"),
    ],
)
def test_what_would_be_lost_of_it_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        read(tmp_path, published() | change)


def test_one_that_was_read_from_a_cluster_is_taken(tmp_path: Path) -> None:
    operator = published()
    operator["metadata"] |= {"uid": "x", "resourceVersion": "5", "finalizers": ["istio-finalizer.install.istio.io"], "creationTimestamp": None}
    assert read(tmp_path, operator | {"status": {"status": "HEALTHY"}})


def test_nothing_of_the_file_is_lost(tmp_path: Path) -> None:
    operator = published()
    operator["spec"] |= {
        "hub": "registry.example.org/istio",
        "tag": "1.5.0",
        "meshConfig": {"accessLogFile": "/dev/stdout"},
        "addonComponents": {"kiali": {"enabled": False}},
    }
    operator["spec"]["components"] |= {"pilot": {"k8s": {"replicaCount": 2}}}
    operator["spec"]["components"]["cni"] |= {"k8s": {"priorityClassName": "system-node-critical"}}
    operator["spec"]["values"] |= {"global": {"proxy": {"privileged": True}}}
    operator["spec"]["values"]["cni"] |= {"repair": {"enabled": False}, "cniConfFileName": "05-mine.conflist"}
    spec = plan(read(tmp_path, operator)).manifest["spec"]
    for key in ("hub", "tag", "meshConfig", "addonComponents"):
        assert spec[key] == operator["spec"][key]
    assert spec["components"]["pilot"] == {"k8s": {"replicaCount": 2}}
    assert spec["components"]["cni"] == operator["spec"]["components"]["cni"]
    assert spec["values"]["global"] == operator["spec"]["values"]["global"]
    added = {"podAnnotations": spec["values"]["cni"]["podAnnotations"], "pullPolicy": "IfNotPresent"}
    assert spec["values"]["cni"] == operator["spec"]["values"]["cni"] | added


def test_a_file_without_the_plugin_gets_none(tmp_path: Path) -> None:
    assert read(tmp_path, {"kind": "IstioOperator", "spec": {"profile": "minimal"}}).cni.enabled is False


def test_what_the_file_leaves_open_can_stand_beside_it(tmp_path: Path) -> None:
    istio = read(tmp_path, published(), readyTimeout=60, version="1.5.0", cni={"configFile": "05-x.conflist"})
    assert (istio.ready_timeout, istio.version, istio.cni.config_file) == (60, "1.5.0", "05-x.conflist")


def without(*keys: str) -> dict[str, Any]:
    operator = published()
    operator["spec"] = {k: v for k, v in operator["spec"].items() if k not in keys}
    return operator


@pytest.mark.parametrize(
    ("documents", "beside", "words"),
    [
        pytest.param([], {}, ["mesh.yaml holds 0 objects of kind IstioOperator"], id="none"),
        pytest.param([published(), published()], {}, ["holds 2 objects of kind IstioOperator"], id="two"),
        pytest.param(
            [published(), {"kind": "Gateway", "metadata": {"name": "x"}}], {}, ["Gateway too", "not applied"], id="more"
        ),
        pytest.param(["text"], {}, ["must hold objects"], id="no object"),
        pytest.param(
            [{**published(), "spec": {"installPackagePath": "/x"}}], {}, ["spec.installPackagePath"], id="unknown key"
        ),
        pytest.param([published()], {"profile": "minimal"}, ["istio.profile and mesh.yaml", "keep one"], id="doubled"),
        pytest.param(
            [published()], {"cni": {"logLevel": "debug"}}, ["istio.cni.logLevel and mesh.yaml"], id="doubled cni"
        ),
        pytest.param(
            [{**published(), "spec": {"tag": "1.4.0"}}], {}, ["istio.version: Istio 1.4.0"], id="other version"
        ),
        pytest.param(
            [{**published(), "spec": {"profile": "sds"}}], {}, ["istio.profile", "'sds'"], id="unknown profile"
        ),
        pytest.param(
            [
                {
                    **published(),
                    "spec": {
                        "components": {
                            "ingressGateways": [
                                {"k8s": {"overlays": [{"kind": "Deployment", "name": "nope", "patches": []}]}}
                            ]
                        }
                    },
                }
            ],
            {},
            ["istio.ingressGateways[0].k8s.overlays[0]: Deployment nope is not among"],
            id="overlay of nothing",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_fix(
    tmp_path: Path, documents: list[Any], beside: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, *documents, **beside)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(None, "can't be read"), ("a: [", "is no YAML"), ("\0", "is no YAML")])
def test_a_file_that_is_none(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "mesh.yaml").write_text(content)
    with pytest.raises(SettingsError, match=words):
        parse(stack({"file": "mesh.yaml"}), "dev", tmp_path)
