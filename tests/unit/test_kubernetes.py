"""What Kubernetes would not take: by its schema, and by the rules that its API server has besides."""

from __future__ import annotations

from typing import Any

import pytest

from components.config.mesh import IstioSettings
from components.istio import refused
from components.istio.renderer import Rendered
from components.kubernetes import schema
from components.kubernetes.rules import broken, unadmitted

NAME = "istio-ingressgateway"
PROXY = "spec.template.spec.containers.[name:istio-proxy]"
HTTP = {"httpGet": {"path": "/ready", "port": 15021}}


def proxy(**more: Any) -> dict[str, Any]:
    mounts = [{"name": "config", "mountPath": "/etc/config"}]
    return {"name": "istio-proxy", "image": "istio/proxyv2:1.8.0", "readinessProbe": HTTP, "volumeMounts": mounts, **more}


def deployment(*containers: dict[str, Any], spec: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    whole = {"containers": list(containers) or [proxy()], "volumes": [{"name": "config", "configMap": {"name": "c"}}], **pod}
    template = {"metadata": {"labels": {"app": NAME}, "annotations": None}, "spec": whole}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": "istio-system", "creationTimestamp": None},
        "spec": {"selector": {"matchLabels": {"app": NAME}}, "template": template, **(spec or {})},
    }


def service(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": {"ports": list(ports), **spec}}


def texts(findings: Any) -> list[str]:
    return [f"{'.'.join(map(str, f.path))}: {f.expected}; {f.observed}" for f in findings]


@pytest.mark.parametrize(
    ("version", "minor", "exact"),
    [("v1.14.0", "1.14", True), ("v1.16.3", "1.16", True), ("v1.27.9", "1.27", True), ("v1.30.1", "1.27", False)],
)
def test_each_version_has_the_schema_of_its_minor_release(version: str, minor: str, exact: bool) -> None:
    assert schema.of(version) == schema.Schema(minor, exact)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (deployment(spec={"pod": {"hostNetwork": True}}), 'spec.pod: a field that Kubernetes 1.16 has there; pod: {"hostNetwork": true}'),
        (deployment(hostNetwrk=True), "spec.template.spec.hostNetwrk: a field that Kubernetes 1.16 has there, nearest hostNetwork; hostNetwrk: true"),
        (deployment(spec={"replicas": "2"}), 'spec.replicas: a whole number; "2"'),
        (deployment(nodeSelector={"zone": {"a": "b"}}), 'spec.template.spec.nodeSelector.zone: a text; {"a": "b"}'),
        (deployment(spec={"selector": None}), "spec.selector: a value, which is required; none"),
        (deployment(startupProbe=HTTP), "spec.template.spec.startupProbe: a field"),
        (service({"port": "x"}), 'spec.ports.0.port: a whole number; "x"'),
        (service({"port": 80, "targetPort": 1.5}), "spec.ports.0.targetPort: a whole number or a text; 1.5"),
    ],
)
def test_what_the_schema_does_not_have_is_found(known: dict[str, Any], words: str) -> None:
    [found] = texts(schema.of("v1.16.3").findings(known))
    assert found.startswith(words), found


@pytest.mark.parametrize(
    "known",
    [
        deployment(),
        deployment(proxy(resources={"limits": {"cpu": 0.5, "memory": "1Gi"}, "requests": {"cpu": 1}})),
        service({"port": 80, "targetPort": "http"}, {"port": 443, "targetPort": 8443}, selector=None),
        {"apiVersion": "networking.istio.io/v1alpha3", "kind": "Gateway", "metadata": {"name": "g"}, "spec": {"what": "ever"}},
    ],
)
def test_what_is_right_is_silent(known: dict[str, Any]) -> None:
    assert schema.of("v1.16.3").findings(known) == []


def test_a_field_is_known_from_its_release_on() -> None:
    known = deployment(proxy(startupProbe={"grpc": {"port": 80}}))
    assert schema.of("v1.16.3").findings(known)
    assert schema.of("v1.24.0").findings(known) == []


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (deployment(proxy(readinessProbe={**HTTP, "tcpSocket": {"port": 1}})), "readinessProbe: one of exec, grpc, httpGet, sleep, tcpSocket; httpGet, tcpSocket"),
        (deployment(proxy(livenessProbe={"periodSeconds": 5})), "none of them"),
        (deployment(proxy(lifecycle={"preStop": {"exec": {}, "httpGet": {}}})), "lifecycle.preStop: one of"),
        (deployment(proxy(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {}}}])), "env.0: value or valueFrom; both"),
        (deployment(proxy(env=[{"name": "A", "valueFrom": {}}])), "env.0.valueFrom: one of"),
        (deployment(proxy(image="")), "containers.0.image: an image"),
        (deployment(proxy(ports=[{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}])), "ports.1.name: another name than"),
        (deployment(proxy(ports=[{"containerPort": 1, "protocol": "HTTP"}])), 'protocol: one of TCP, UDP, SCTP; "HTTP"'),
        (deployment(proxy(volumeMounts=[{"name": "x", "mountPath": "/x"}])), 'volumeMounts.0.name: one of the pod\'s volumes (config); "x"'),
        (deployment(proxy(volumeMounts=[{"name": "config", "mountPath": "/x"}] * 2)), "volumeMounts.1.mountPath: another mountPath than"),
        (deployment(proxy(), proxy()), "containers.1.name: another name than an earlier item's; istio-proxy"),
        (deployment(volumes=[{"name": "config", "emptyDir": {}, "secret": {}}]), "volumes.0: exactly one source; emptyDir, secret"),
        (deployment(volumes=[{"name": "config"}]), "volumes.0: exactly one source; none"),
        (deployment(dnsPolicy="clusterFirst"), 'dnsPolicy: one of ClusterFirst, ClusterFirstWithHostNet, Default, None; "clusterFirst"'),
        (deployment(restartPolicy="Never"), "restartPolicy: one of Always"),
        (deployment(spec={"strategy": {"type": "Recreate", "rollingUpdate": {}}}), "spec.strategy.rollingUpdate: none beside type Recreate"),
        (deployment(spec={"strategy": {"type": "Rolling"}}), "spec.strategy.type: one of RollingUpdate, Recreate"),
        (deployment(spec={"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}), "maxSurge or maxUnavailable above 0"),
        (deployment(spec={"selector": {"matchLabels": {"app": "x"}}}), "spec.template.metadata.labels.app: x, as in spec.selector"),
        (deployment(proxy(ports=[{"containerPort": 70000}])), "containerPort: a number from 1 to 65535; 70000"),
        (deployment(proxy(ports=[{"containerPort": 1, "name": "a-very-long-port-name"}])), "ports.0.name: a name of at most 15"),
        (deployment(proxy(ports=[{"containerPort": 80, "hostPort": 81}]), hostNetwork=True), "hostPort: 80, as its containerPort"),
        (deployment(proxy(resources={"limits": {"memory": "1024mb"}})), 'limits.memory: a quantity like 500m or 128Mi, 0 or more; "1024mb"'),
        (deployment(proxy(resources={"limits": {"cpu": "-1"}})), 'limits.cpu: a quantity like 500m or 128Mi, 0 or more; "-1"'),
        (deployment(proxy(resources={"limits": {"cpu": "2"}, "requests": {"cpu": "2001m"}})), 'requests.cpu: no more than its limit, 2; "2001m"'),
        (deployment(proxy(env=[{"name": "MY VAR"}])), "env.0.name: a name of letters"),
        (deployment(proxy(image="https://example.com/proxyv2")), "image: an image's name"),
        (deployment(proxy(image="example.com/istio//proxyv2:1")), "image: an image's name"),
        (deployment(proxy(readinessProbe={"httpGet": {"path": "/", "port": 0}})), "httpGet.port: a number from 1 to 65535, or"),
        (deployment(proxy(readinessProbe={**HTTP, "periodSeconds": -1})), "periodSeconds: 0 or more; -1"),
        (deployment(tolerations=[{"key": "a", "operator": "Equals"}]), 'operator: one of Exists, Equal; "Equals"'),
        (deployment(tolerations=[{"key": "a", "operator": "Exists", "effect": "noSchedule"}]), "effect: one of NoSchedule"),
        (deployment(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]), 'value: none with operator Exists; "b"'),
        (deployment(tolerations=[{"operator": "Equal", "value": "b"}]), "operator: Exists, where there is no key"),
        (deployment(tolerations=[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]), "effect: NoExecute, with tolerationSeconds"),
        (deployment(affinity={"nodeAffinity": {"x": [{"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}]}}), "operator: one of In, NotIn"),
        (deployment(affinity={"nodeAffinity": {"x": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}}), "values: one at least with operator In"),
        (deployment(affinity={"x": [{"weight": 200}]}), "weight: a number from 1 to 100; 200"),
        (deployment(nodeSelector={"zone": "a b"}), 'nodeSelector.zone: at most 63 letters, digits, \'-\', \'_\' and \'.\', a letter or digit at both ends; "a b"'),
        (deployment(volumes=[{"name": "config", "hostPath": {"path": "/x", "type": "directory"}}]), "hostPath.type: one of DirectoryOrCreate"),
        (deployment(dnsPolicy="None"), "dnsConfig.nameservers: one at least with dnsPolicy None"),
        (deployment(hostAliases=[{"ip": "nope"}]), "ip: an IP address"),
        (deployment(terminationGracePeriodSeconds=-1), "terminationGracePeriodSeconds: 0 or more"),
        (deployment(spec={"replicas": -1}), "spec.replicas: 0 or more"),
        (deployment(spec={"strategy": {"rollingUpdate": {"maxUnavailable": "150%"}}}), "maxUnavailable: a number, or a percentage of at most 100%"),
        (deployment(spec={"strategy": {"rollingUpdate": {"maxSurge": "one"}}}), "maxSurge: a number, or a percentage like 25%"),
        ({"kind": "ConfigMap", "metadata": {"annotations": {"a/b/c": "x"}}}, "metadata.annotations.a/b/c: as its key a name"),
        ({"kind": "ConfigMap", "metadata": {"labels": {"zone": "x" * 64}}}, "metadata.labels.zone: at most 63"),
        (service({"port": 80}, externalTrafficPolicy="local", type="NodePort"), 'externalTrafficPolicy: one of Cluster, Local; "local"'),
        (service({"port": 80}, externalTrafficPolicy="Local"), "externalTrafficPolicy: none with type ClusterIP"),
        (service({"port": 80}, sessionAffinity="ClientIp"), "sessionAffinity: one of None, ClientIP"),
        (service({"port": 80}, externalIPs=["192.0.2"]), "externalIPs.0: an IP address"),
        (service({"port": 80}, clusterIP="none"), "clusterIP: an IP address, or None"),
        (service({"port": 80}, type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0"]), "loadBalancerSourceRanges.0: a network"),
        (service({"port": 80}, loadBalancerSourceRanges=["10.0.0.0/8"]), "loadBalancerSourceRanges: none with type ClusterIP"),
        (service({"port": 80, "name": "tcp_mqtt"}), "ports.0.name: a name of lower-case letters"),
        (service({"port": 80, "nodePort": 80}, type="NodePort"), "nodePort: a number from 30000 to 32767; 80"),
        ({"kind": "PodDisruptionBudget", "spec": {"minAvailable": "half"}}, "minAvailable: a number, or a percentage"),
        ({"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 0}}, "minReplicas: 1 or more"),
        (service(), "spec.ports: one at least; none"),
        (service({"port": 80}, {"port": 81, "name": "a"}), "spec.ports.0.name: a name, where there are several ports; none"),
        (service({"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "TCP"}), "spec.ports.1.port: another port than"),
        (service({"port": 80, "nodePort": 30080}), "spec.ports.0.nodePort: none with type ClusterIP; 30080"),
        (service({"port": 80}, type="Nodeport"), 'spec.type: one of ClusterIP, NodePort, LoadBalancer, ExternalName; "Nodeport"'),
        ({"kind": "PodDisruptionBudget", "spec": {"minAvailable": 1, "maxUnavailable": 1}}, "spec: one of maxUnavailable, minAvailable; maxUnavailable, minAvailable"),
        ({"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 3, "maxReplicas": 2}}, "spec.maxReplicas: no less than minReplicas, 3; 2"),
    ],
)
def test_what_the_api_server_refuses_besides_is_found(known: dict[str, Any], words: str) -> None:
    [found] = texts(broken(known))
    assert words in found, found


@pytest.mark.parametrize(
    "known",
    [
        deployment(),
        deployment(proxy(env=[{"name": "A", "value": "", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}] * 2)),
        deployment(spec={"strategy": {"type": "Recreate", "rollingUpdate": None}}),
        deployment(spec={"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}),
        service({"port": 53, "name": "a", "protocol": "UDP"}, {"port": 53, "name": "b"}, type="NodePort"),
        service(clusterIP="None"),
        service(type="ExternalName", externalName="example.com"),
        service({"port": 80, "targetPort": "http"}, type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"], externalTrafficPolicy="Local"),
        deployment(proxy(resources={"limits": {"cpu": 1, "memory": "1.5Gi"}, "requests": {"cpu": "1000m", "memory": "1536Mi"}})),
        deployment(proxy(ports=[{"containerPort": 80, "hostPort": 80, "name": "http"}]), hostNetwork=True),
        deployment(dnsPolicy="None", dnsConfig={"nameservers": ["10.96.0.10"]}, nodeSelector={"a": "", "example.com/b": "c"}),
        deployment(tolerations=[{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}]),
        deployment(proxy(image="localhost:5000/istio/proxyv2:1.5.0@sha256:" + "a" * 64), proxy(name="b", image="auto")),
        {"kind": "PodDisruptionBudget", "spec": {"maxUnavailable": "50%"}},
        {"kind": "EnvoyFilter", "spec": {"replicas": -1}},
    ],
)
def test_what_it_takes_is_silent(known: dict[str, Any]) -> None:
    assert texts(broken(known)) == []


def test_critical_pods_have_a_place_of_their_own_up_to_1_16() -> None:
    critical = deployment(priorityClassName="system-node-critical")
    [found] = texts(unadmitted(critical, "v1.16.3"))
    assert found.startswith("spec.template.spec.priorityClassName: another class")
    assert not list(unadmitted(critical, "v1.17.0"))
    critical["metadata"]["namespace"] = "kube-system"
    assert not list(unadmitted(critical, "v1.16.3"))


@pytest.mark.parametrize("value", [None, {}, [{}], [{"name": {}}], [5], "x", 5])
@pytest.mark.parametrize("key", ["containers", "volumes", "dnsPolicy", "initContainers", "tolerations", "affinity", "nodeSelector", "replicas"])
def test_what_the_schema_tells_of_ends_in_no_traceback(key: str, value: Any) -> None:
    list(broken(deployment(**{key: value})))
    list(broken({"kind": "Deployment", "metadata": None, "spec": {key: value, "template": value, "selector": value, "strategy": value}}))
    list(broken({"kind": "Service", "spec": {"ports": value, "type": value}}))


def where(known: dict[str, Any], **istio: Any) -> list[str]:
    found, _ = refused.problems(Rendered((known,)), IstioSettings.model_validate({"version": "1.8.0", **istio}), "v1.16.3")
    return [problem.where for problem in found]


def patched(*patches: tuple[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    return {"overlays": [{"kind": kind, "name": NAME, "patches": [{"path": path, "value": value} for path, value in patches]}]}


@pytest.mark.parametrize(
    ("known", "k8s", "key"),
    [
        (deployment(hostNetwrk=True), patched(("spec.replicas", 2), ("spec.template.spec.hostNetwrk", True)), ".k8s.overlays[0].patches[1]"),
        (deployment(hostNetwrk=True), patched(("spec.template", {"spec": {"hostNetwrk": True}})), ".k8s.overlays[0].patches[0]"),
        (
            deployment(proxy(), {"name": "istio-proxi", "env": []}),
            patched((f"{PROXY}.env", []), ("spec.template.spec.containers.[name:istio-proxi].env", [])),
            ".k8s.overlays[0].patches[1]",
        ),
        (
            deployment(volumes=[{"name": "config", "emptyDir": {}}, {"name": "two", "emptyDir": {}, "secret": {}}]),
            patched(("spec.template.spec.volumes[-1]", {"name": "one"}), ("spec.template.spec.volumes[-1]", {"name": "two"})),
            ".k8s.overlays[0].patches[1]",
        ),
        (
            deployment(spec={"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}),
            patched(("spec.replicas", 1), ("spec.strategy.type", "Recreate")),
            ".k8s.overlays[0].patches[1]",
        ),
        (deployment(proxy(env=[{"value": "1"}])), {"env": [{"value": "1"}], "resources": {}}, ".k8s.env"),
        (service({"port": 80, "nodePort": 30080}), {"service": {"ports": [{"port": 80}]}}, ".k8s.service"),
        (deployment(hostNetwrk=True), {"replicaCount": 1}, ""),
    ],
)
def test_the_setting_that_asks_for_it_is_named(known: dict[str, Any], k8s: dict[str, Any], key: str) -> None:
    assert where(known, ingressGateways=[{"name": NAME, "k8s": k8s}]) == [f"istio.ingressGateways[0]{key}"]


def test_of_other_objects_the_section_is_named() -> None:
    assert where(deployment(hostNetwrk=True)) == ["istio"]


def test_a_setting_of_istiod_is_named() -> None:
    known = deployment(hostNetwrk=True)
    known["metadata"]["name"] = "istiod"
    overlay = {"kind": "Deployment", "name": "istiod", "patches": [{"path": "spec.template.spec.hostNetwrk", "value": True}]}
    assert where(known, components={"pilot": {"k8s": {"overlays": [overlay]}}}) == ["istio.components.pilot.k8s.overlays[0].patches[0]"]


def test_a_line_is_of_bounded_length_and_has_all_that_is_known() -> None:
    known = deployment(hostNetwrk="x" * 100_000)
    [line] = map(str, refused.problems(Rendered((known,)), IstioSettings(), "v1.16.3")[0])
    assert len(line) < 500
    assert line.startswith(f"istio: Deployment istio-system/{NAME} spec.template.spec.hostNetwrk: expected a field that Kubernetes 1.16 has there")
    assert ", observed hostNetwrk: " in line
