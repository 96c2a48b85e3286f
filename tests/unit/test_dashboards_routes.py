"""What leads to a dashboard, by each way, and which dashboards a mesh has."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.dashboards import DashboardSettings
from components.config.mesh import IstioSettings
from components.dashboards import catalog, routes
from components.istio.istio_operator import ControlPlanePlan, plan

HOSTS = {name: f"{name}.example.com" for name in catalog.NAMES}
K8S = "v1.16.3"


def mesh(**more: Any) -> ControlPlanePlan:
    return plan(IstioSettings.model_validate({"profile": "demo", **more}))


def ways(way: str, **more: Any) -> DashboardSettings:
    return DashboardSettings.model_validate({"way": way, "hosts": HOSTS, **more})


def by_name(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in manifests}


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("demo", {"grafana", "kiali", "prometheus", "jaeger"}),
        ("default", {"prometheus"}),
        ("separate", {"prometheus"}),
        ("minimal", set()),
        ("remote", set()),
        ("empty", set()),
    ],
)
def test_dashboards_follow_the_profile(profile: str, expected: set[str]) -> None:
    assert set(catalog.dashboards_of(mesh(profile=profile))) == expected


def test_zipkin_is_there_only_where_zipkin_does_the_tracing() -> None:
    zipkin = mesh(values={"tracing": {"provider": "zipkin"}})
    assert set(catalog.dashboards_of(zipkin)) == {"grafana", "kiali", "prometheus", "zipkin"}
    assert "istio.values.tracing.provider: jaeger" in (catalog.why_not("jaeger", zipkin) or "")
    assert "istio.values.tracing.provider: zipkin" in (catalog.why_not("zipkin", mesh()) or "")
    assert catalog.why_not("jaeger", mesh()) is None


def test_no_add_ons_from_1_8() -> None:
    later = mesh(version="1.8.0")
    assert catalog.dashboards_of(later) == {}
    assert "1.8" in (catalog.why_not("grafana", later) or "")
    assert "istio.addonComponents.tracing.enabled: true" in (catalog.why_not("jaeger", mesh(version="1.7.8")) or "")
    assert "use profile demo (or default, separate)" in (catalog.why_not("prometheus", mesh(profile="minimal")) or "")


def test_the_base_path_follows_the_charts_values() -> None:
    values = {"tracing": {"contextPath": "/traces/"}, "kiali": {"contextPath": "/mesh"}}
    found = catalog.dashboards_of(mesh(values=values))
    assert (found["jaeger"].base_path, found["kiali"].base_path) == ("/traces", "/mesh")


@pytest.mark.parametrize(
    ("kubernetes", "expected"),
    [
        ("v1.13.5", "extensions/v1beta1"),
        ("v1.14.0", "networking.k8s.io/v1beta1"),
        ("v1.16.3", "networking.k8s.io/v1beta1"),
        ("v1.18.20", "networking.k8s.io/v1beta1"),
        ("v1.19.0", "networking.k8s.io/v1"),
        ("v1.31.1", "networking.k8s.io/v1"),
    ],
)
def test_the_ingress_api_is_the_clusters(kubernetes: str, expected: str) -> None:
    assert routes.ingress_api(kubernetes) == expected


def test_an_old_ingress() -> None:
    chosen = ways("ingress", ingress={"class": "edge"}, tls={"secretName": "wildcard"})
    found = by_name(routes.manifests(chosen, mesh(), K8S))
    assert found["dashboard-grafana"] == {
        "apiVersion": "networking.k8s.io/v1beta1",
        "kind": "Ingress",
        "metadata": {
            "name": "dashboard-grafana",
            "namespace": "istio-system",
            "annotations": {"kubernetes.io/ingress.class": "edge"},
        },
        "spec": {
            "tls": [{"hosts": ["grafana.example.com"], "secretName": "wildcard"}],
            "rules": [
                {
                    "host": "grafana.example.com",
                    "http": {"paths": [{"path": "/", "backend": {"serviceName": "grafana", "servicePort": 3000}}]},
                }
            ],
        },
    }


def test_a_stable_ingress() -> None:
    found = by_name(routes.manifests(ways("ingress", ingress={"class": "edge"}), mesh(), "v1.22.1"))
    spec = found["dashboard-kiali"]["spec"]
    assert spec["ingressClassName"] == "edge"
    assert "annotations" not in found["dashboard-kiali"]["metadata"]
    [path] = spec["rules"][0]["http"]["paths"]
    assert path == {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "kiali", "port": {"number": 20001}}},
    }


def test_ingress_nginx_is_told_what_an_ingress_cannot_say() -> None:
    chosen = ways("ingress", ingress={"controller": "nginx"}, basicAuth={"username": "ops"})
    found = by_name(routes.manifests(chosen, mesh(), K8S))
    annotations = {name: m["metadata"]["annotations"] for name, m in found.items()}
    prefix = "nginx.ingress.kubernetes.io"
    assert all(a[f"{prefix}/auth-type"] == "basic" for a in annotations.values())
    assert {a[f"{prefix}/auth-secret"] for a in annotations.values()} == {routes.BASIC_AUTH_SECRET}
    assert annotations["dashboard-jaeger"][f"{prefix}/app-root"] == "/jaeger"
    assert f"{prefix}/app-root" not in annotations["dashboard-kiali"], "Kiali redirects itself"
    assert annotations["dashboard-grafana"][f"{prefix}/proxy-read-timeout"] == "3600"


def test_contours_ingress_lets_grafanas_websockets_through() -> None:
    found = by_name(routes.manifests(ways("ingress", ingress={"controller": "contour"}), mesh(), K8S))
    assert found["dashboard-grafana"]["metadata"]["annotations"] == {"projectcontour.io/websocket-routes": "/"}
    assert "annotations" not in found["dashboard-prometheus"]["metadata"]


def test_http_proxies() -> None:
    chosen = ways("contour", tls={"secretName": "wildcard"}, ingress={"class": "outside"})
    found = by_name(routes.manifests(chosen, mesh(), K8S))
    assert found["dashboard-grafana"]["spec"] == {
        "virtualhost": {"fqdn": "grafana.example.com", "tls": {"secretName": "wildcard"}},
        "routes": [
            {
                "conditions": [{"prefix": "/"}],
                "services": [{"name": "grafana", "port": 3000}],
                "enableWebsockets": True,
            }
        ],
    }
    assert found["dashboard-grafana"]["metadata"]["annotations"] == {"projectcontour.io/ingress.class": "outside"}
    root, base = found["dashboard-jaeger"]["spec"]["routes"]
    assert root["pathRewritePolicy"] == {"replacePrefix": [{"prefix": "/", "replacement": "/jaeger/"}]}
    assert base == {"conditions": [{"prefix": "/jaeger"}], "services": [{"name": "jaeger-query", "port": 16686}]}
    assert {m["metadata"]["namespace"] for m in found.values()} == {"istio-system"}


def test_the_meshs_own_gateway() -> None:
    found = by_name(routes.manifests(ways("gateway", tls={"secretName": "wildcard"}), mesh(), K8S))
    hosts = [HOSTS[name] for name in ("grafana", "kiali", "prometheus", "jaeger")]
    assert found["dashboards"]["spec"] == {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {
                "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                "hosts": hosts,
                "tls": {"httpsRedirect": True},
            },
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": hosts,
                "tls": {"mode": "SIMPLE", "credentialName": "wildcard"},
            },
        ],
    }
    redirect, rest = found["dashboard-jaeger"]["spec"]["http"]
    assert redirect == {"match": [{"uri": {"exact": "/"}}], "redirect": {"uri": "/jaeger"}}
    assert rest["route"][0]["destination"] == {
        "host": "jaeger-query.istio-system.svc.cluster.local",
        "port": {"number": 16686},
    }
    assert found["dashboard-grafana"]["spec"]["gateways"] == ["dashboards"]


def test_without_tls_the_gateway_has_one_server() -> None:
    found = by_name(routes.manifests(ways("gateway"), mesh(), K8S))
    [server] = found["dashboards"]["spec"]["servers"]
    assert "tls" not in server


def test_a_gateway_with_a_label_of_its_own_is_found() -> None:
    labelled = mesh(version="1.6.5", ingressGateways=[{"label": {"istio": "edge"}}])
    found = by_name(routes.manifests(ways("gateway"), labelled, K8S))
    assert found["dashboards"]["spec"]["selector"] == {"istio": "edge"}


def test_nothing_asked_for_makes_nothing() -> None:
    for way in ("ingress", "contour", "gateway"):
        assert routes.manifests(DashboardSettings.model_validate({"way": way}), mesh(), K8S) == []


def test_urls_lead_to_the_pages() -> None:
    assert routes.urls(ways("gateway", tls={"secretName": "x"}), mesh()) == {
        "grafana": "https://grafana.example.com/",
        "kiali": "https://kiali.example.com/kiali",
        "prometheus": "https://prometheus.example.com/",
        "jaeger": "https://jaeger.example.com/jaeger",
    }
    assert routes.urls(ways("gateway"), mesh())["grafana"] == "http://grafana.example.com/"


def gateways(*listed: dict[str, Any], profile: str = "demo", version: str = "1.6.5") -> ControlPlanePlan:
    return mesh(version=version, profile=profile, ingressGateways=list(listed))


HTTPS = {"name": "https", "port": 443, "targetPort": 8443}
HTTP = {"name": "http2", "port": 80, "targetPort": 8080}


def overlays(kind: str, *patches: dict[str, Any], name: str = "istio-ingressgateway") -> dict[str, Any]:
    return {"overlays": [{"kind": kind, "name": name, "patches": list(patches)}]}


@pytest.mark.parametrize(
    ("listed", "label"),
    [
        ([{"name": "istio-edge"}], "edge"),
        ([{"name": "edge", "label": {"istio": "mine"}}], "mine"),
        ([{"name": "istio-ingressgateway"}], "ingressgateway"),
        ([{"name": "off", "enabled": False}, {"name": "on"}], "on"),
        ([{"name": "istio-ingressgateway", "k8s": overlays("Deployment", {"path": "spec.template.metadata.labels.istio", "value": "x"})}], "x"),
        ([{"name": "istio-ingressgateway", "k8s": overlays("Service", {"path": "spec.ports.[name:http2]"})}, {"name": "plain"}], "plain"),
        ([{"name": "istio-ingressgateway", "k8s": overlays("Service", {"path": "spec.ports.[name:http2].port", "value": 8080})}, {"name": "plain"}], "plain"),
        ([{"name": "secure", "k8s": {"service": {"ports": [HTTPS]}, **overlays("Service", {"path": "spec.ports[-1]", "value": HTTP}, name="secure")}}, {"name": "plain"}], "secure"),
        ([{"name": "secure", "k8s": {"service": {"ports": [HTTPS]}}}, {"name": "plain"}], "plain"),
    ],
)
def test_the_gateways_pods_are_chosen_by_the_label_that_they_get(listed: list[dict[str, Any]], label: str) -> None:
    found = by_name(routes.manifests(ways("gateway"), gateways(*listed), K8S))
    assert found["dashboards"]["spec"]["selector"] == {"istio": label}


def test_what_the_charts_values_say_of_their_own_gateway_counts() -> None:
    def of_values(**own: Any) -> ControlPlanePlan:
        return mesh(values={"gateways": {"istio-ingressgateway": own}})

    assert routes.entrances(of_values(labels={"istio": "mine"})) == [routes.Entrance("istio-ingressgateway", "istio-system", "mine")]
    [secure] = routes.entrances(of_values(ports=[HTTPS]))
    assert (secure.has(80), secure.has(443)) == (False, True)


def test_with_tls_a_gateway_of_port_443_alone_will_do() -> None:
    mesh_of_one = gateways({"name": "secure", "k8s": {"service": {"ports": [HTTPS]}}})
    tls = ways("gateway", tls={"secretName": "wildcard"})
    [server] = by_name(routes.manifests(tls, mesh_of_one, K8S))["dashboards"]["spec"]["servers"]
    assert server["port"]["number"] == 443
    quic = {"name": "h3", "port": 443, "protocol": "UDP", "targetPort": 8443}
    udp = gateways({"name": "udp", "k8s": {"service": {"ports": [quic]}}})
    assert routes.entrance(tls, udp) == routes.Entrance("udp", "istio-system", "udp", frozenset())
    assert not routes.Entrance("udp", "istio-system", "udp", frozenset()).has(443)


def test_the_certificate_is_beside_the_gateway_that_reads_it() -> None:
    elsewhere = gateways({"name": "edge", "namespace": "istio-ingress"})
    assert routes.tls_namespace(ways("gateway", tls={"secretName": "x"}), elsewhere) == "istio-ingress"
    assert routes.tls_namespace(ways("ingress", tls={"secretName": "x"}), elsewhere) == "istio-system"
