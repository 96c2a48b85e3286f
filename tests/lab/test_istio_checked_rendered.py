"""What a person wrote is found again in what Istio makes, or named: settings that do nothing, and objects that Kubernetes would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.config.load import parse
from components.config.mesh import IstioSettings
from components.istio import idle, refused, renderer
from components.istio.istio_operator import plan
from tests.lab.versions_rendered import istioctl
from tests.project import ROOT, stack_config
from tests.unit.test_istio_gateways_host_network import stack

NAME = "istio-ingressgateway"
POD = "spec.template.spec"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "_cache", lambda: tmp_path / "rendered")


def idle_in(istio: dict[str, Any], version: str) -> dict[str, str]:
    return {found.key: found.reason for found in idle.idle(stack(istio), "dev", istioctl(version))}


def gateway(**k8s: Any) -> dict[str, Any]:
    return {"ingressGateways": [{"name": NAME, "k8s": k8s}]}


REFUSED = (
    (f"{POD}.containers.[name:istio-proxi].env", [{"name": "A", "value": "b"}], f"{POD}.containers[istio-proxi].image: expected an image"),
    ("spec.pod", {"hostNetwork": True}, "spec.pod: expected a field"),
    ("spec.template.metadata.annotations.example.com/team", "edge", "spec.template.metadata.annotations.example: expected a text"),
    ("spec/template/spec/hostNetwork", True, "spec/template/spec/hostNetwork: expected a field"),
    (f"{POD}.dnsPolicy", "clusterFirst", f"{POD}.dnsPolicy: expected one of ClusterFirst, "),
    ("spec.template.metadata.labels.istio", "x", "spec.template.metadata.labels.istio: expected ingressgateway, as in spec.selector"),
)
"""A patch of the gateway's Deployment, and what Kubernetes has against it."""


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
def test_all_that_kubernetes_would_refuse_is_named_with_its_settings(version: str) -> None:
    patches = [{"path": path, "value": value} for path, value, _ in REFUSED]
    k8s = {
        "overlays": [
            {"kind": "Deployment", "name": NAME, "patches": patches},
            {"kind": "Service", "name": NAME, "patches": [{"path": "spec.typ", "value": "NodePort"}]},
        ],
        "service": {"type": "Nodeport"},
        "env": [{"name": "X", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    }
    settings = IstioSettings.model_validate({"version": version, **gateway(**k8s)})
    made = renderer.render(plan(settings).manifest, istioctl(version))
    found = list(map(str, refused.problems(made, settings, "v1.16.3")[0]))
    expected = [
        *((f"overlays[0].patches[{number}]: Deployment", words) for number, (_, _, words) in enumerate(REFUSED)),
        ("overlays[1].patches[0]: Service", "spec.typ: expected a field that Kubernetes 1.16 has there, nearest type"),
        ("service: Service", "spec.selector: expected labels that the pods of some workload have"),
        ("service: Service", "spec.type: expected one of ClusterIP, NodePort, LoadBalancer, ExternalName"),
        ("env: Deployment", f"{POD}.containers[istio-proxy].env[X]: expected value or valueFrom, observed both"),
    ]
    missing = [
        (key, words)
        for key, words in expected
        if not any(line.startswith(f"istio.ingressGateways[0].k8s.{key} istio-system/{NAME} {words}") for line in found)
    ]
    assert not missing, found
    assert len(found) == len(expected), found


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
def test_what_istio_mixes_of_settings_is_found(version: str) -> None:
    """What our form of the settings mends (components/istio/gateways/specs.py), as Istio makes it of theirs."""
    k8s = {"strategy": {"type": "Recreate"}, "readinessProbe": {"tcpSocket": {"port": 15020}}}
    written = {"profile": "default", "components": {"ingressGateways": [{"name": NAME, "enabled": True, "k8s": k8s}]}}
    metadata = {"name": "mesh", "namespace": "istio-system"}
    made = renderer.render({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": metadata, "spec": written}, istioctl(version))
    settings = IstioSettings.model_validate({"version": version, **gateway(**k8s)})
    found = sorted(line.partition(" (Kubernetes")[0].partition(", observed")[0] for line in map(str, refused.problems(made, settings, "v1.16.3")[0]))
    where = f"Deployment istio-system/{NAME}"
    handlers = "exec, grpc, httpGet, sleep, tcpSocket"
    assert found == [
        f"istio.ingressGateways[0].k8s.readinessProbe: {where} {POD}.containers[istio-proxy].readinessProbe: expected one of {handlers}",
        f"istio.ingressGateways[0].k8s.strategy: {where} spec.strategy.rollingUpdate: expected none beside type Recreate",
    ]
    ours = renderer.render(plan(settings).manifest, istioctl(version))
    assert refused.problems(ours, settings, "v1.16.3") == ([], "")


WRITTEN = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec:
  profile: default
  tag: VERSION
  meshConfig: {accessLogFile: /dev/stdout, enableAutoMtls: true}
  components:
    egressGateways:
      - {name: istio-egressgateway, enabled: false, k8s: {resources: {requests: {cpu: 100m}}}}
    ingressGateways:
      - name: istio-ingressgateway
        enabled: true
        k8s:
          service: {type: NodePort}
          resources: {requests: {cpu: 1000m}}
          hpaSpec: {minReplicas: 1, maxReplicas: 4}
          podAnnotations: {example.com/team: edge}
  values:
    global: {proxy: {logLevel: debug}, jwtPolicy: first-party-jwt}
    gateways:
      istio-egressgateway: {autoscaleMin: 3}
"""


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
def test_what_changes_nothing_is_named_as_it_was_written(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mesh.yaml").write_text(WRITTEN.replace("VERSION", version))
    found = idle_in({"file": "mesh.yaml"}, version)
    assert found == {
        "mesh.yaml: spec.components.egressGateways[0].k8s.resources.requests.cpu": "components.egressGateways[0].enabled is false",
        "mesh.yaml: spec.values.gateways.istio-egressgateway.autoscaleMin": (
            f"Istio {version} makes the same objects whatever it says; look for a typing error, or for a key of another level or release"
        ),
    }
    rendered, render = [], renderer.render

    def counted(manifest: Any, program: Path) -> renderer.Rendered:
        rendered.append(manifest)
        return render(manifest, program)

    monkeypatch.setattr(renderer, "render", counted)
    assert idle_in({"file": "mesh.yaml"}, version) == found
    assert len(rendered) == 1, "the rest is kept by its content"


def test_a_setting_of_another_release_is_named() -> None:
    found = idle_in({"version": "1.5.0", "values": {"global": {"sds": {"enabled": True}}}}, "1.5.0")
    assert list(found) == ["istio.values.global.sds.enabled"]


@pytest.mark.parametrize("name", ["dev", "prod", "staging", "walkthrough"])
def test_the_stacks_of_the_project_say_nothing_in_vain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = parse(config := stack_config(name), name)
    assert settings.istio
    program = istioctl(settings.istio.version)
    assert idle.idle(config, name, program) == []
    made = renderer.render(plan(settings.istio).manifest, program)
    assert refused.problems(made, settings.istio, settings.cluster.kubernetes_version) == ([], "")
