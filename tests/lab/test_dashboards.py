"""The ways in on the lab: real Contour judges the HTTPProxies, Istio's own validation the gateway's objects, the real API server all."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.mesh import IstioSettings
from components.dashboards.catalog import NAMES as DASHBOARDS
from components.dashboards.catalog import dashboards_of
from components.istio.istio_operator import plan
from devtools import parts
from lab.machines import Lab
from tests.documented import Terminal
from tests.lab.conftest import Kubectl
from tests.project import Project

PARTS = ("dashboards",)

HOSTS = {name: f"{name}.mesh.example.com" for name in ("grafana", "kiali", "prometheus", "jaeger")}
CONTOUR_NODES = ["sealos03", "sealos04"]


def certificate(directory: Path) -> tuple[str, str]:
    """A certificate for all of the hosts, and its key."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=mesh.example.com", "-addext", "subjectAltName=DNS:*.mesh.example.com"),
            *("-keyout", str(directory / "key"), "-out", str(directory / "crt")),
        ],
        check=True,
        capture_output=True,
    )
    return (directory / "crt").read_text(), (directory / "key").read_text()


class Stack:
    """The stack of this file."""

    def __init__(self, project: Project, certificate: str, key: str) -> None:
        self.project, self.certificate, self.key = project, certificate, key

    def ways(self, **section: Any) -> None:
        """Sets the section `dashboards`, in place of the one before."""
        self.project.edit_config(lambda config: config.update(dashboards=section))

    def set_secret(self, key: str, value: str) -> None:
        done = self.project.pulumi("config", "set", "--secret", "--stack", "ways", f"sealos-istio:{key}", stdin=value)
        assert done.status == 0, done.text

    def up(self) -> None:
        done = self.project.up()
        assert done.status == 0, done.text


@pytest.fixture(scope="module")
def stack(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab.reset()
    directory = tmp_path_factory.mktemp("ways")
    project = Project.copy(directory / "project", "ways", dev_config)
    stack = Stack(project, *certificate(directory))
    stack.set_secret("dashboardsTlsKey", stack.key)
    stack.ways(way="contour", hosts=HOSTS, tls={"certificate": stack.certificate}, contour={"nodes": CONTOUR_NODES})
    yield stack
    done = project.destroy()
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def up(stack: Stack) -> Stack:
    stack.up()
    return stack


@pytest.fixture(scope="module")
def kubectl(up: Stack) -> Kubectl:
    return Kubectl(up.project)


def proxies(kubectl: Kubectl) -> dict[str, tuple[str, str]]:
    """What Contour says of each HTTPProxy."""
    found = kubectl.json("-n", "istio-system", "get", "httpproxies")["items"]
    return {p["metadata"]["name"]: (p["status"]["currentStatus"], p["status"]["description"]) for p in found}


def test_real_contour_calls_every_http_proxy_valid(kubectl: Kubectl, lab: Lab) -> None:
    assert proxies(kubectl) == {f"dashboard-{name}": ("valid", "Valid HTTPProxy") for name in HOSTS}
    pods = kubectl.json("-n", "projectcontour", "get", "pods", "-l", "app=contour")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} <= set(CONTOUR_NODES)
    for pod in pods:
        assert "contour" in lab.run(pod["spec"]["nodeName"], "sh", "-c", "cat /proc/[0-9]*/comm").stdout.split()


def test_envoy_keeps_off_the_node_of_the_gateway(kubectl: Kubectl) -> None:
    [gateway] = kubectl.json("-n", "istio-system", "get", "pods", "-l", "app=istio-ingressgateway")["items"]
    envoys = kubectl.json("-n", "projectcontour", "get", "pods", "-l", "app=envoy")["items"]
    nodes = sorted(pod["spec"]["nodeName"] for pod in envoys)
    assert nodes == CONTOUR_NODES
    assert gateway["spec"]["nodeName"] not in nodes


def test_every_route_leads_to_a_port_of_a_service_that_is_there(kubectl: Kubectl) -> None:
    services = {s["metadata"]["name"]: s for s in kubectl.json("-n", "istio-system", "get", "services")["items"]}
    routed = set()
    for proxy in kubectl.json("-n", "istio-system", "get", "httpproxies")["items"]:
        for route in proxy["spec"]["routes"]:
            for service in route["services"]:
                routed.add(service["name"])
                assert service["port"] in [port["port"] for port in services[service["name"]]["spec"]["ports"]]
    assert routed == {"grafana", "kiali", "prometheus", "jaeger-query"}


def test_what_envoy_is_told(kubectl: Kubectl, lab: Lab) -> None:
    """Contour's xDS server, asked by Contour's own client with Envoy's certificate: a route per host, websockets for Grafana alone."""
    [pod, *_] = kubectl.json("-n", "projectcontour", "get", "pods", "-l", "app=contour")["items"]
    node = pod["spec"]["nodeName"]
    secret = kubectl.json("-n", "projectcontour", "get", "secret", "envoycert")["data"]
    for name in ("ca.crt", "tls.crt", "tls.key"):
        write = f"umask 077; mkdir -p /run/envoy; cat >/run/envoy/{name}"
        lab.run(node, "sh", "-c", write, stdin=base64.b64decode(secret[name]).decode()).check_returncode()
    ask = (
        "cd /run/envoy && pid=$(pgrep -o -x contour) && timeout 5 nsenter -t $pid -n /proc/$pid/root/bin/contour cli "
        "--cafile=ca.crt --cert-file=tls.crt --key-file=tls.key rds"
    )
    told = lab.run(node, "sh", "-c", ask)
    lab.run(node, "rm", "-r", "/run/envoy").check_returncode()
    encrypted = told.stdout.split('name: "https/')[1:]
    routes = {route.partition('"')[0]: route for route in encrypted}
    assert sorted(routes) == sorted(HOSTS.values()), told.stdout + told.stderr
    for name, host in HOSTS.items():
        assert f'domains: "{host}"' in routes[host]
        assert ('upgrade_type: "websocket"' in routes[host]) == (name == "grafana"), routes[host]


def test_kiali_never_asks_for_admin_admin(up: Stack, kubectl: Kubectl) -> None:
    secret = kubectl.json("-n", "istio-system", "get", "secret", "kiali")["data"]
    assert base64.b64decode(secret["username"]).decode() == up.project.outputs()["kiali"]["username"] == "kiali"
    assert base64.b64decode(secret["passphrase"]).decode() == up.project.outputs()["kiali"]["passphrase"] != "admin"


def test_outputs_say_where_to_point_a_browser(up: Stack) -> None:
    Terminal.of(up.project).documented("docs/dashboards.md", "One section, three ways")
    assert up.project.outputs()["dashboards"] == {
        "grafana": f"https://{HOSTS['grafana']}/",
        "kiali": f"https://{HOSTS['kiali']}/kiali",
        "prometheus": f"https://{HOSTS['prometheus']}/",
        "jaeger": f"https://{HOSTS['jaeger']}/jaeger",
    }


def test_nothing_changes_when_nothing_changed(up: Stack) -> None:
    done = up.project.pulumi("preview", "--diff", "--expect-no-changes", "--stack", "ways")
    assert done.status == 0, done.text


def test_no_private_key_in_plain(up: Stack) -> None:
    body = up.key.splitlines()[1]
    for file in (up.project.directory / "backend").rglob("*"):
        if file.is_file():
            text = file.read_text(errors="replace")
            assert body not in text
            assert "PRIVATE KEY" not in text


def test_an_http_proxy_that_contour_refuses_stops_the_update_with_its_reason(up: Stack) -> None:
    hosts = {**HOSTS, "grafana": "grafana.elsewhere.example.com"}
    up.ways(
        way="contour", hosts=hosts, tls={"secretName": "not-there"}, contour={"nodes": CONTOUR_NODES}, readyTimeout=10
    )
    up.project.edit_config(lambda config: config.pop("dashboardsTlsKey", None))
    done = up.project.up()
    assert done.status != 0
    assert "Secret istio-system/not-there: does not exist" in done.text
    assert "HTTPProxy/dashboard-grafana: invalid" in done.text
    assert "not-there" in done.text.split("HTTPProxy/dashboard-grafana", 1)[1]
    assert "Traceback" not in done.text


def test_the_other_ways_replace_it(up: Stack, kubectl: Kubectl, tmp_path: Path) -> None:
    up.ways(way="gateway", hosts=HOSTS)
    up.up()
    objects = kubectl("-n", "istio-system", "get", "gateways.networking.istio.io,virtualservices", "-o", "yaml")
    found = yaml.safe_load(objects)["items"]
    assert {(o["kind"], o["metadata"]["name"]) for o in found} == {
        ("Gateway", "ingressgateway"),  # the demo profile's own, for any host
        ("Gateway", "dashboards"),
        *(("VirtualService", f"dashboard-{name}") for name in HOSTS),
    }
    (tmp_path / "objects.yaml").write_text(objects)
    # Istio's own validation of 1.5.0, and its analysis of all objects together
    istioctl = [str(parts.binary("istioctl")), "--kubeconfig", str(kubectl.file)]
    for ask in (["validate", "-f", str(tmp_path / "objects.yaml")], ["analyze", "-n", "istio-system"]):
        done = subprocess.run([*istioctl, *ask], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Error" not in done.stdout, done.stdout
    names = kubectl("get", "crds", "-o", "name")
    assert "httpproxies.projectcontour.io" not in names, "Contour was taken out, too"

    up.ways(
        way="ingress", hosts=HOSTS, ingress={"class": "nginx", "controller": "nginx"}, basicAuth={"username": "ops"}
    )
    up.set_secret("dashboardsPassword", "it's $ecret")
    up.up()
    ingresses = kubectl.json("-n", "istio-system", "get", "ingresses.v1beta1.networking.k8s.io")["items"]
    assert {i["spec"]["rules"][0]["host"] for i in ingresses} == set(HOSTS.values())
    secret = kubectl.json("-n", "istio-system", "get", "secret", "dashboards-basic-auth")
    assert list(secret["data"]) == ["auth"]
    left = kubectl("-n", "istio-system", "get", "gateways.networking.istio.io,virtualservices", "-o", "name")
    assert left.split() == ["gateway.networking.istio.io/ingressgateway"]


@pytest.mark.parametrize("profile", ["default", "demo", "minimal", "remote", "separate"])
@pytest.mark.parametrize("provider", ["jaeger", "zipkin"])
def test_the_catalog_is_what_istios_own_renderer_makes(profile: str, provider: str) -> None:
    """Every dashboard's service, port and pods, and what `istioctl dashboard` looks for; without a cluster."""
    ask = ["manifest", "generate", "--set", f"profile={profile}", "--set", f"values.tracing.provider={provider}"]
    istioctl = str(parts.binary("istioctl"))
    # it says on standard output, among the objects, when the file that KUBECONFIG names isn't there
    alone = {**os.environ, "KUBECONFIG": "/dev/null"}
    done = subprocess.run([istioctl, *ask], capture_output=True, text=True, timeout=60, check=True, env=alone)
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    services = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
    pods = [o["spec"]["template"] for o in objects if o["kind"] == "Deployment"]
    # where `istioctl dashboard` goes: pods with this label, this port
    forwards = {"grafana": 3000, "kiali": 20001, "prometheus": 9090, "jaeger": 16686, "zipkin": 9411}
    istio = IstioSettings.model_validate({"profile": profile, "values": {"tracing": {"provider": provider}}})
    found = dashboards_of(plan(istio))
    for name in DASHBOARDS:
        labelled = [pod for pod in pods if pod["metadata"]["labels"].get("app") == name]
        assert bool(labelled) == (name in found), f"{profile}: {name}"
        if name not in found:
            continue
        spec = services[found[name].service]
        [port] = [port for port in spec["ports"] if port["port"] == found[name].port]
        assert port.get("targetPort", port["port"]) == forwards[name]
        assert spec["selector"] == {"app": name}
