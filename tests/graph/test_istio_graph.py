"""Which resources the mesh registers, which edges they have, and that nothing of the log-in is in plain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.config.files import Artifact
from components.config.load import Credentials, parse
from components.config.mesh import IstioSettings
from components.images import ImagesRequest
from components.istio.cni_check import CniCheck, CniCheckArgs
from components.istio.control_plane import ControlPlane, ControlPlaneArgs
from components.istio.images import ImagesArgs
from components.istio.istio_operator import plan
from components.istio.istioctl import Istioctl, IstioctlArgs
from components.istio.mesh_plan import MeshPlan, plan_mesh
from components.istio.objects import type_token
from components.istio.operator import IstioOperator, IstioOperatorArgs
from components.istio.operator_manifests import CRD_NAME, RESTART_ANNOTATION
from components.remote.fleet import fleet_request
from tests.graph import mocked
from tests.graph.mocked import Engine
from tests.project import members
from tests.unit.test_images import saved

PASSWORD = "not-for-anyone"
LOOKED = "2026-01-02T03:04:05Z"
REPORT = {"nodes": ["sealos01"], "status": "HEALTHY", "gateway": {"type": "ClusterIP"}}
ANSWERS = {"gate": json.dumps(REPORT), "look": LOOKED}


def settings(**more: Any) -> IstioSettings:
    gateway = {
        "k8s": {
            "overlays": [
                {
                    "kind": "Deployment",
                    "name": "istio-ingressgateway",
                    "patches": [{"path": "spec.template.spec", "value": {"hostNetwork": True}}],
                }
            ]
        }
    }
    return IstioSettings.model_validate({"profile": "demo", "ingressGateways": [gateway], **more})


def planned(istio: IstioSettings) -> MeshPlan:
    return plan_mesh(plan(istio), "v1.16.3")


def fleet() -> pulumi.Output[dict[str, Any]]:
    machine = {"name": "sealos01", "address": "198.51.100.11", "role": "master"}
    return pulumi.Output.secret({"machines": [machine], "login": {"password": PASSWORD}})


@dataclass(frozen=True)
class Seen:
    """What was registered, and what came out: values, and whether they are secret."""

    engine: Engine
    outputs: dict[str, tuple[Any, bool]]

    @property
    def types(self) -> dict[str, str]:
        return self.engine.types

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        return self.engine.inputs


def run(program: Callable[[], dict[str, pulumi.Output[Any]]], preview: bool = False) -> Seen:
    """Runs a program on mocks; what it returns is resolved."""
    with mocked.engine(ANSWERS, preview=preview) as engine:
        return Seen(engine, mocked.resolved(program))


def mesh() -> dict[str, pulumi.Output[Any]]:
    operator = IstioOperator("operator", IstioOperatorArgs(settings()))
    plane = ControlPlane("mesh", ControlPlaneArgs(planned(settings()), fleet(), fleet(), operator, ()))
    machines = parse({**members(2), "password": "set"}, "dev").machines
    check = CniCheck("cni", CniCheckArgs(settings(), machines, lambda _: fleet(), [plane.gate], plane.found_changed_at))
    tool = Istioctl("istioctl", IstioctlArgs("1.5.0", Artifact(path="/root/istioctl"), fleet()))
    return {"report": plane.report, "chain": check.report, "path": tool.path}


@pytest.fixture
def seen() -> Seen:
    return run(mesh)


def after(seen: Seen, name: str) -> set[str]:
    """Names of the resources that one waits for."""
    return seen.engine.after(name)


def test_native_types_and_names(seen: Seen) -> None:
    assert seen.types == {
        "operator": "sealos-istio:istio:Operator",
        "operator-crd": "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "operator-namespace": "kubernetes:core/v1:Namespace",
        "operator-service-account": "kubernetes:core/v1:ServiceAccount",
        "operator-cluster-role": "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
        "operator-cluster-role-binding": "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
        "operator-deployment": "kubernetes:apps/v1:Deployment",
        "operator-service": "kubernetes:core/v1:Service",
        "mesh": "sealos-istio:istio:ControlPlane",
        "mesh-rendered": "pulumi:index:Stash",
        "mesh-namespace": "kubernetes:core/v1:Namespace",
        "mesh-kiali-passphrase": "command:local:Command",
        "mesh-kiali": "kubernetes:core/v1:Secret",
        "mesh-istio-operator": "kubernetes:install.istio.io/v1alpha1:IstioOperator",
        "mesh-leftovers": "command:local:Command",
        "mesh-gate": "command:local:Command",
        "cni": "sealos-istio:istio:CniCheck",
        "cni-sealos01": "command:local:Command",
        "cni-sealos02": "command:local:Command",
        "istioctl": "sealos-istio:istio:Istioctl",
        "istioctl-install": "command:local:Command",
    }


def test_the_operator_and_its_rights_outlive_the_istio_operator(seen: Seen) -> None:
    assert after(seen, "mesh-istio-operator") == {
        "mesh-namespace",
        "mesh-leftovers",
        "mesh-kiali",
        "operator-deployment",
        "operator-service-account",
        "operator-cluster-role",
        "operator-cluster-role-binding",
        "operator-crd",
        "operator-namespace",
    }
    assert after(seen, "operator-deployment") >= {
        "operator-service-account",
        "operator-cluster-role-binding",
        "operator-crd",
    }
    assert after(seen, "mesh-gate") == {"mesh-istio-operator", "mesh-rendered"}
    # an update looks at the mesh before, by what was rendered
    assert after(seen, "cni-sealos01") == after(seen, "cni-sealos02") == {"mesh-gate", "mesh-rendered"}


def test_every_object_is_taken_over_when_a_killed_run_had_made_it(seen: Seen) -> None:
    objects = [name for name, typ in seen.types.items() if typ.startswith("kubernetes:")]
    assert len(objects) == 10
    annotations = {name: seen.inputs[name]["metadata"]["annotations"] for name in objects}
    assert all(found["pulumi.com/patchForce"] == "true" for found in annotations.values())
    assert [name for name, found in annotations.items() if "pulumi.com/skipAwait" in found] == [
        "operator-service-account"
    ]


def test_two_istio_operators_never_meet(seen: Seen) -> None:
    assert seen.engine.requests["mesh-istio-operator"].deleteBeforeReplace
    metadata = seen.inputs["mesh-istio-operator"]["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("istiocontrolplane", "istio-system")


def test_log_in_data_is_secret_and_findings_are_not(seen: Seen) -> None:
    commands = [name for name, typ in seen.types.items() if typ == "command:local:Command"]
    commands.remove("mesh-kiali-passphrase")  # reaches no machine
    assert len(commands) == 5
    for name in commands:
        assert PASSWORD in seen.inputs[name]["stdin"]["value"], "the request must be wrapped as a secret"
        rest = {key: value for key, value in seen.inputs[name].items() if key != "stdin"}
        assert PASSWORD not in json.dumps(rest)
        assert "triggers" not in rest
        assert rest["create"].startswith("python3 -m components.istio ") or name == "mesh-leftovers"
        assert rest["addPreviousOutputInEnv"] is False
    assert seen.inputs["istioctl-install"]["delete"] == "python3 -m components.istio istioctl-remove"
    assert seen.outputs["report"] == (REPORT, False)
    assert seen.outputs["path"] == ("/usr/local/bin/istioctl", False)


def test_what_is_left_is_swept_after_the_istio_operator_and_never_before(seen: Seen) -> None:
    sweep = seen.inputs["mesh-leftovers"]
    assert (sweep["create"], sweep["delete"]) == ("true", "python3 -m components.istio sweep")
    request = json.loads(sweep["stdin"]["value"])
    assert (request["crds"], request["name"], request["configFile"]) == (
        "keep",
        "istiocontrolplane",
        "10-calico.conflist",
    )
    assert not after(seen, "mesh-leftovers"), "the sweep is deleted last, so it depends on nothing of the mesh"


def test_an_update_looks_once_and_a_preview_not_at_all() -> None:
    guarded = {"mesh-gate", "cni-sealos01", "cni-sealos02"}
    for preview in (False, True):
        seen = run(mesh, preview)
        assert len(seen.engine.looks) == (0 if preview else 1)
        for name in guarded:
            assert seen.inputs[name].get("environment") == (None if preview else {"FOUND_CHANGED_AT": LOOKED})
            assert bool(seen.engine.requests[name].ignoreChanges) is preview
    assert PASSWORD not in json.dumps({name: seen.inputs[name].get("environment") for name in guarded})


def test_the_gate_looks_again_when_the_spec_changes_and_only_then() -> None:
    def request(istio: IstioSettings) -> Any:
        def program() -> dict[str, pulumi.Output[Any]]:
            operator = IstioOperator("operator", IstioOperatorArgs(istio))
            args = ControlPlaneArgs(planned(istio), fleet(), fleet(), operator, ())
            return {"report": ControlPlane("mesh", args).report}

        return json.loads(run(program).inputs["mesh-gate"]["stdin"]["value"])

    first, again = request(settings()), request(settings())
    assert first == again
    assert request(settings(values={"global": {"proxy": {"logLevel": "debug"}}})) != first
    assert [f["path"][-1] for f in first["wanted"]["fields"]] == ["image", "strategy", "hostNetwork", "dnsPolicy"]


def test_a_new_istio_operator_starts_a_new_operator() -> None:
    def annotation(istio: IstioSettings) -> str:
        def program() -> dict[str, pulumi.Output[Any]]:
            return {"urn": IstioOperator("operator", IstioOperatorArgs(istio)).urn}

        spec = run(program).inputs["operator-deployment"]["spec"]
        return str(spec["template"]["metadata"]["annotations"][RESTART_ANNOTATION])

    assert annotation(settings()) == annotation(settings(values={"a": 1}))
    assert annotation(settings()) != annotation(settings(name="another"))


def test_a_version_that_cannot_be_reached_is_refused_in_the_preview() -> None:
    def operator(version: str) -> Seen:
        def program() -> dict[str, pulumi.Output[Any]]:
            return {"urn": IstioOperator("operator", IstioOperatorArgs(settings(version=version))).urn}

        return run(program)

    seen = {version: operator(version) for version in ("1.5.0", "1.6.5", "1.7.8")}

    def judge(before: str, after: str) -> None:
        hook = seen[after].engine.hooks.registered["operator-version"]
        assert hook.opts is not None
        assert hook.opts.on_dry_run
        old, new = (seen[version].inputs["operator-deployment"] for version in (before, after))
        hook(pulumi.ResourceHookArgs(urn="", id="", name="", type="", old_inputs=old, new_inputs=new))

    judge("1.5.0", "1.6.5")
    judge("1.6.5", "1.6.5")
    with pytest.raises(ValueError, match=r"1\.5\.0 can't go to 1\.7\.8 in one step.*go by 1\.6\.5"):
        judge("1.5.0", "1.7.8")
    with pytest.raises(ValueError, match=r"1\.7\.8 can't go back to 1\.6\.5"):
        judge("1.7.8", "1.6.5")


def test_the_tokens_are_those_of_the_generated_classes() -> None:
    assert type_token({"apiVersion": "v1", "kind": "Service"}) == "kubernetes:core/v1:Service"
    assert type_token({"apiVersion": "apps/v1", "kind": "Deployment"}) == "kubernetes:apps/v1:Deployment"


def test_the_definition_keeps_what_it_does_not_know(seen: Seen) -> None:
    crd = seen.inputs["operator-crd"]
    assert crd["metadata"]["name"] == CRD_NAME
    [version] = crd["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"] is True
    assert version["subresources"] == {"status": {}}


def test_the_operator_has_exactly_the_rights_of_1_5_0(seen: Seen) -> None:
    rules = seen.inputs["operator-cluster-role"]["rules"]
    groups = [group for rule in rules for group in rule["apiGroups"]]
    assert sorted(groups) == sorted(
        [
            *(
                f"{group}.istio.io"
                for group in ("authentication", "config", "install", "networking", "rbac", "security")
            ),
            *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apps", "extensions", "autoscaling"),
            *("monitoring.coreos.com", "policy", "rbac.authorization.k8s.io", ""),
        ]
    )
    limited = {rule["apiGroups"][0]: rule["verbs"] for rule in rules if rule["verbs"] != ["*"]}
    assert limited == {"monitoring.coreos.com": ["get", "create"]}


@pytest.mark.parametrize("here", [True, False])
def test_images_from_a_file_are_on_every_node_before_the_operator_starts(here: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi, "warn", lambda text, **_: warned.append(text))
    file = tmp_path / "mesh.tar"
    if here:
        file.write_bytes(saved("istio/operator:1.5.0", "istio/pilot:1.5.0"))
    stack = parse({**members(2), "password": "set"}, "dev")
    istio = settings(images={"file": str(file), "sha256": "0" * 64})

    def program() -> dict[str, pulumi.Output[Any]]:
        ready = pulumi.CustomResource("a:b:Ready", "ready", {})
        credentials = Credentials(password=pulumi.Output.secret(PASSWORD))
        operator = IstioOperator("operator", IstioOperatorArgs(istio, ImagesArgs(planned(istio), stack.machines, partial(fleet_request, stack, credentials), 60, ready)))
        return {"id": operator.deployment.id}

    seen = run(program)
    steps = {"operator-images-sealos01", "operator-images-sealos02"}
    assert after(seen, "operator-deployment") >= steps
    assert steps <= set(seen.inputs)
    for name in steps:
        assert after(seen, name) == {"ready"}
        assert seen.inputs[name]["create"] == "python3 -m components.istio load-images"
        request = ImagesRequest.model_validate_json(seen.inputs[name]["stdin"]["value"])
        assert [machine.name for machine in request.fleet.machines] == [name.rpartition("-")[2]]
        assert (request.images, request.of, request.key) == (("istio/operator:1.5.0",), "mesh", "istio.images")
    lacking = [text for text in warned if "istio.images" in text]
    assert bool(lacking) is here
    if here:
        assert "istio/proxyv2:1.5.0" in lacking[0]
        assert "istio/pilot" not in lacking[0]
        assert "operator" not in lacking[0]
