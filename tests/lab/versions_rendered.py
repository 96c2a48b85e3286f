"""What the table of versions says, held against each version's own istioctl: profiles, add-ons, gateways, the operator's objects.

For the files of those versions that are built together.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.mesh import IstioSettings
from components.istio import operator_manifests as manifests
from components.istio import refused, renderer
from components.istio.gateways.model import GatewayKind
from components.istio.gateways.rendered_schema import VALUE, component_objects, gateway_objects
from components.istio.istio_operator import KINDS, plan
from components.istio.match import find, holds
from components.istio.releases.support import SUPPORTED
from components.istio.releases.table import release
from components.istio.renderer import Rendered
from devtools import parts
from lab import package
from lab.machines import ISTIO

OWN = (ISTIO, *package.RELEASES[0].istios)
"""Those that run on the lab's own Kubernetes."""


def istioctl(version: str) -> Path:
    return parts.binary("istioctl" if version == ISTIO else f"istioctl-{version}")


def made(version: str, **istio: Any) -> tuple[dict[str, Any], Rendered]:
    """What is wanted of settings, and what Istio makes of them."""
    settings = IstioSettings.model_validate({"version": version, **istio})
    planned = plan(settings)
    rendered = renderer.render(planned.manifest, istioctl(version))
    assert renderer.unfulfilled(planned.manifest, rendered) == []
    for kubernetes in newest_and_oldest(version):
        assert refused.problems(rendered, settings, kubernetes) == ([], ""), f"what is right is silent on Kubernetes {kubernetes}"
    return planned.wanted, rendered


def newest_and_oldest(version: str) -> list[str]:
    """Versions of Kubernetes on which a version of Istio runs."""
    support = SUPPORTED[version.rpartition(".")[0]]
    return [f"v{major}.{minor}.3" for major, minor in {support.first, min(support.last, (1, 27))}]


def deployments(rendered: Rendered) -> list[str]:
    return sorted(known["metadata"]["name"] for known in rendered.objects if known["kind"] == "Deployment")


def missing(shape: Any, live: Any, path: str = "") -> Iterator[str]:
    """Where a rendered object lacks what a shape says of it."""
    if isinstance(shape, dict):
        for key, inside in shape.items():
            if not isinstance(live, dict) or key not in live:
                yield f"{path}.{key}"
            else:
                yield from missing(inside, live[key], f"{path}.{key}")
    elif isinstance(shape, list):
        for position, inside in enumerate(shape):
            selects = {key: value for key, value in inside.items() if value != VALUE} if isinstance(inside, dict) else {}
            key = next((key for key in ("name", "mountPath", "containerPort", "key") if key in selects), None)
            found = [item for item in live if key is None or item.get(key) == inside[key]] if isinstance(live, list) else []
            if len(found) <= (0 if key else position):
                yield f"{path}[{position}] {inside}"
            elif key:
                yield from missing(inside, found[0], f"{path}[{inside[key]}]")


def _overlays(kind: str, name: str, patches: Any) -> dict[str, Any]:
    listed = patches.items() if isinstance(patches, dict) else patches
    return {"overlays": [{"kind": kind, "name": name, "patches": [{"path": path, "value": value} for path, value in listed]}]}


def _gateway(kind: str, patches: Any) -> dict[str, Any]:
    """The ingress gateway with an overlay of one of its objects."""
    name = "istio-ingressgateway"
    return {"name": name, "k8s": _overlays(kind, name, patches)}


class Versions:
    """What is asked of each version.

    Attributes:
        versions: those of the file.
    """

    versions: tuple[str, ...]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        asked, wanted = self.versions, set(metafunc.fixturenames)
        if "profile" in wanted:
            pairs = [(version, profile) for version in asked for profile in sorted(release(version).profiles)]
            metafunc.parametrize(("version", "profile"), pairs)
        elif "kind" in wanted:
            metafunc.parametrize(("version", "kind"), [(version, kind) for version in asked for kind in KINDS])
        elif "version" in wanted:
            metafunc.parametrize("version", asked)
        elif "later" in wanted:
            metafunc.parametrize("later", [version for version in asked if version != ISTIO])

    def test_each_profile_installs_what_the_table_says(self, version: str, profile: str) -> None:
        wanted, rendered = made(version, profile=profile)
        assert deployments(rendered) == wanted["deployments"] == sorted(release(version).profiles[profile])
        cni = rendered.named("DaemonSet", "istio-cni-node", "kube-system")
        assert cni
        assert cni["spec"]["template"]["spec"]["containers"][0]["name"] == "install-cni"

    def test_every_profile_of_its_own_is_in_the_table(self, later: str) -> None:
        listed = subprocess.run(
            [istioctl(later), "profile", "list"],
            env={"KUBECONFIG": "/dev/null"},
            capture_output=True,
            text=True,
            check=True,
        )
        # later ones print it as they print errors
        printed = listed.stdout or listed.stderr
        assert {line.strip() for line in printed.splitlines()[1:]} >= set(release(later).profiles)

    def test_each_add_on_can_be_had_and_left_out(self, version: str) -> None:
        for addon in release(version).addons:
            for profile, enabled in (("minimal", True), ("demo", False)):
                wanted, rendered = made(version, profile=profile, addonComponents={addon: {"enabled": enabled}})
                assert deployments(rendered) == wanted["deployments"], addon

    def test_the_operators_objects_are_those_that_istioctl_dumps(self, later: str) -> None:
        dumped = subprocess.run(
            [istioctl(later), "operator", "dump"],
            env={"KUBECONFIG": "/dev/null"},
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = {known["kind"]: known for known in yaml.safe_load_all(dumped.stdout) if known}
        ours = {
            known["kind"]: known
            for known in (
                manifests.namespace(),
                manifests.service_account(),
                manifests.cluster_role(later),
                manifests.cluster_role_binding(),
                manifests.service(),
                manifests.deployment("docker.io/istio", later, "istio-system", "an identity"),
            )
        }
        # from 1.12 or 1.13 on `init` makes the namespace, and `dump` has none
        assert {*theirs, "Namespace"} == {*ours, "CustomResourceDefinition"}
        assert theirs["CustomResourceDefinition"]["metadata"]["name"] == manifests.CRD_NAME
        theirs["ClusterRole"]["metadata"].pop("creationTimestamp", None)
        for port in theirs["Service"]["spec"]["ports"]:
            port.setdefault("protocol", "TCP")
        [container] = theirs["Deployment"]["spec"]["template"]["spec"]["containers"]
        watched = container["env"][0]
        # from 1.7 on `dump` leaves open what `init` gives this value
        watched["value"] = watched["value"] or "istio-system"
        # ours on purpose: no limit of its share of the processor, what restarts it, and a label as on its pods
        del container["resources"]["limits"]["cpu"]
        metadata = ours["Deployment"]["spec"]["template"]["metadata"]
        assert metadata["annotations"].pop(manifests.RESTART_ANNOTATION) == "an identity"
        if not metadata["annotations"]:
            metadata.pop("annotations")
        ours["Deployment"]["metadata"].pop("labels")
        for kind, known in theirs.items():
            assert kind == "CustomResourceDefinition" or known == ours[kind], kind

    def test_whose_only_pod_is_kept_is_known_and_each_way_out_of_it(self, version: str) -> None:
        def held(**istio: Any) -> list[str]:
            return made(version, **istio)[1].held()

        # 1.5's budget of istiod selects a label that its pods don't have
        both = ["istio-ingressgateway", *([] if version == ISTIO else ["istiod"])]
        gateway = {"name": "istio-ingressgateway", "k8s": {"replicaCount": 2}}
        assert [name for name in held(profile="demo") if name != "istio-egressgateway"] == both
        two = held(profile="demo", components={"pilot": {"k8s": {"replicaCount": 2}}}, ingressGateways=[gateway])
        assert not {*two} & {*both}
        assert held(profile="demo", values={"global": {"defaultPodDisruptionBudget": {"enabled": False}}}) == []

    def test_another_chain_is_other_pods_of_the_cni_plugins_installer(self, version: str) -> None:
        """Else the installer, which reads its ConfigMap as environment, would never hear of it."""

        def annotations(**cni: Any) -> dict[str, str]:
            _, rendered = made(version, values={"cni": {"podAnnotations": {"team": "edge"}}}, cni=cni)
            installer = rendered.named("DaemonSet", "istio-cni-node", "kube-system")
            assert installer
            found: dict[str, str] = installer["spec"]["template"]["metadata"]["annotations"]
            assert found["team"] == "edge"
            return found

        first = annotations()
        assert annotations() == first
        for other in ({"logLevel": "debug"}, {"excludeNamespaces": ["kube-system"]}, {"configFile": "10-x.conflist"}):
            found = annotations(**other)
            assert {key for key in first if first[key] != found[key]} == {"sealos-istio/cni-chain"}
        merged = annotations(k8s={"podAnnotations": {"mine": "too"}})
        assert merged == first | {"mine": "too"}

    def test_the_cni_plugins_installer_is_told_what_the_settings_say(self, version: str) -> None:
        _, rendered = made(
            version,
            cni={"excludeNamespaces": ["shop", "istio-system"], "logLevel": "debug", "configFile": "10-x.conflist"},
        )
        config, installer = (
            rendered.named(*what, "kube-system")
            for what in (("ConfigMap", "istio-cni-config"), ("DaemonSet", "istio-cni-node"))
        )
        assert config
        assert installer
        [container] = [c for c in installer["spec"]["template"]["spec"]["containers"] if c["name"] == "install-cni"]
        environment = config["data"] | {variable["name"]: variable.get("value") for variable in container["env"]}
        assert environment["CNI_CONF_NAME"] == "10-x.conflist"
        if release(version).cni_agent:
            assert {"configMapRef": {"name": "istio-cni-config"}} in container["envFrom"]
            assert environment["EXCLUDE_NAMESPACES"] == "shop,istio-system"
            assert "--log_output_level=default:info,cni-plugin:debug" in container["args"]
            return
        plugin = json.loads(config["data"]["cni_network_config"])
        assert plugin["kubernetes"]["exclude_namespaces"] == ["shop", "istio-system"]
        assert plugin["log_level"] == "debug"

    @pytest.mark.parametrize("as_root", [True, False])
    def test_a_gateway_has_the_shape_that_overlays_rely_on(
        self, version: str, kind: GatewayKind, as_root: bool
    ) -> None:
        known, chart = release(version), f"istio-{kind}gateway"
        if not as_root and known.gateway_names:
            return  # 1.5's charts know no other user
        values = {} if known.gateway_names else {"gateways": {chart: {"runAsRoot": as_root}}}
        for name in (chart,) if known.gateway_names else (chart, "edge"):
            _, rendered = made(version, profile="demo", values=values, **{f"{kind}Gateways": [{"name": name}]})
            for (of, called), shape in gateway_objects(kind, {}, known, name, as_root).items():
                live = rendered.named(of, called)
                assert live, f"{of} {called}"
                assert list(missing(shape, live)) == [], f"{of} {called}"

    def test_istiod_and_the_plugin_have_what_overlays_rely_on(self, version: str) -> None:
        _, rendered = made(version, profile="default")
        objects = {
            **{key: shape for component in ("pilot", "cni") for key, shape in component_objects(component, {}, release(version)).items()},
            **gateway_objects("ingress", {}, release(version), "istio-ingressgateway", True, scaled=True),
        }
        for (of, called), shape in objects.items():
            live = rendered.named(of, called)
            assert live, f"{of} {called}"
            assert list(missing(shape, live)) == [], f"{of} {called}"
        assert made(version, profile="demo")[1].named("HorizontalPodAutoscaler", "istio-ingressgateway") is None

    def test_maps_that_must_be_replaced_hold_nothing_else(self, version: str) -> None:
        known = release(version)
        probe = {"tcpSocket": {"port": 15020}, "periodSeconds": 5}
        container = "spec.template.spec.containers.[name:istio-proxy]"
        patches = {
            "spec.strategy": {"type": "Recreate"},
            f"{container}.readinessProbe": probe,
            f"{container}.env.[name:NODE_NAME].value": "mine",
            "spec.template.spec.volumes.[name:ingressgateway-certs]": {"hostPath": {"path": "/srv/certs"}},
            f"{container}.ports.[containerPort:15090].hostPort": 15090,
        }
        _, rendered = made(version, ingressGateways=[_gateway("Deployment", patches)])
        deployment = rendered.named("Deployment", "istio-ingressgateway")
        assert deployment
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        pod = deployment["spec"]["template"]["spec"]
        [proxy] = pod["containers"]
        assert {"tcpSocket", "periodSeconds"} <= proxy["readinessProbe"].keys()
        assert "httpGet" not in proxy["readinessProbe"]
        assert ("failureThreshold" in proxy["readinessProbe"]) is known.deletes_map_keys, "what nobody named stays where it can"
        assert find(proxy, ("env", "[name:NODE_NAME]")) == {"name": "NODE_NAME", "value": "mine"}
        certs = find(pod, ("volumes", "[name:ingressgateway-certs]"))
        assert certs == {"name": "ingressgateway-certs", "hostPath": {"path": "/srv/certs"}}
        assert find(proxy, ("ports", "[containerPort:15090]"))["hostPort"] == 15090

    def test_settings_that_must_replace_do(self, version: str) -> None:
        secret = {"secretKeyRef": {"name": "zone", "key": "zone"}}
        k8s = {
            "strategy": {"type": "Recreate"},
            "readinessProbe": {"tcpSocket": {"port": 15020}},
            "env": [{"name": "NODE_NAME", "valueFrom": secret}, {"name": "ISTIO_META_CLUSTER_ID", "valueFrom": secret}],
        }
        _, rendered = made(version, ingressGateways=[{"name": "istio-ingressgateway", "k8s": k8s}])
        deployment = rendered.named("Deployment", "istio-ingressgateway")
        assert deployment
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        [proxy] = deployment["spec"]["template"]["spec"]["containers"]
        assert "httpGet" not in proxy["readinessProbe"]
        for name in ("NODE_NAME", "ISTIO_META_CLUSTER_ID"):
            assert find(proxy, ("env", f"[name:{name}]")) == {"name": name, "valueFrom": secret}

    def test_a_budget_has_one_limit(self, later: str) -> None:
        patches = {"spec.maxUnavailable": 1}
        _, rendered = made(later, ingressGateways=[_gateway("PodDisruptionBudget", patches)])
        budget = rendered.named("PodDisruptionBudget", "istio-ingressgateway")
        assert budget
        assert (budget["spec"].get("maxUnavailable"), budget["spec"].get("minAvailable")) == (1, None)

    def test_items_of_the_charts_lists_are_patched_where_they_are(self, version: str) -> None:
        ports = {"spec.ports.[name:http2].nodePort": 30080, "spec.ports.[port:443].nodePort": 30443}
        _, rendered = made(version, ingressGateways=[_gateway("Service", ports)])
        service = rendered.named("Service", "istio-ingressgateway")
        assert service
        by_name = {port["name"]: port for port in service["spec"]["ports"]}
        assert (by_name["http2"]["nodePort"], by_name["https"]["nodePort"]) == (30080, 30443)
        assert by_name["http2"]["port"] == 80
        _, rendered = made(version, ingressGateways=[_gateway("HorizontalPodAutoscaler", {"spec.maxReplicas": 3})])
        scaler = rendered.named("HorizontalPodAutoscaler", "istio-ingressgateway")
        assert scaler
        assert scaler["spec"]["maxReplicas"] == 3

    def test_what_is_appended_is_there_in_order(self, later: str) -> None:
        known = release(later)
        container = "spec.template.spec.containers.[name:istio-proxy]"
        variables = [(f"{container}.env[-1]", {"name": name, "value": name.lower()}) for name in ("EDGE_ZONE", "EDGE_TIER")]
        block = (f"{container}.env[-1]", "name: EDGE_TEXT\nvalue: text\n")
        appended = [
            ("spec.template.spec.volumes[-1]", {"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}),
            ("spec.template.spec.volumes[-1]", {"name": "lua", "configMap": {"name": "edge-lua"}}),
            (f"{container}.volumeMounts[100]", {"name": "scratch", "mountPath": "/var/scratch"}),
            (f"{container}.volumeMounts[100]", "name: lua\nmountPath: /etc/lua\n"),
            ("spec.template.spec.tolerations[-1]", {"operator": "Exists"}),
        ]
        patches = [*variables, block, *(appended if known.appends_at_minus_one else ())]
        wanted, rendered = made(later, ingressGateways=[_gateway("Deployment", patches)])
        deployment = rendered.named("Deployment", "istio-ingressgateway")
        assert deployment
        assert all(holds(deployment, tuple(f["path"]), f["value"]) for f in wanted["fields"] if f["kind"] == "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        [proxy] = pod["containers"]
        mine = [variable for variable in proxy["env"] if variable["name"].startswith("EDGE_")]
        assert [variable["value"] for variable in mine] == ["edge_zone", "edge_tier", "text"]
        if known.appends_at_minus_one:
            assert [volume["name"] for volume in pod["volumes"][-2:]] == ["scratch", "lua"]
            assert pod["volumes"][-1] == {"name": "lua", "configMap": {"name": "edge-lua"}}
            assert [mount["mountPath"] for mount in proxy["volumeMounts"][-2:]] == ["/var/scratch", "/etc/lua"]
            assert pod["tolerations"] == [{"operator": "Exists"}]
            port = {"name": "tcp-mqtt", "port": 8883, "targetPort": 8883}
            _, rendered = made(later, ingressGateways=[_gateway("Service", {"spec.ports[-1]": port})])
            service = rendered.named("Service", "istio-ingressgateway")
            assert service
            plain = made(later)[1].named("Service", "istio-ingressgateway")
            assert plain
            assert service["spec"]["ports"][:-1] == plain["spec"]["ports"]
            assert service["spec"]["ports"][-1] == port

    def test_a_gateway_in_a_namespace_of_its_own_is_all_there(self, version: str) -> None:
        gateways = [{"name": "istio-ingressgateway", "namespace": "istio-ingress"}]
        images = {"tag": f"{version}-distroless", "values": {"global": {"hub": "registry.example.com/istio"}}}
        wanted, rendered = made(version, ingressGateways=gateways, **images)
        view = renderer.gate_view({"spec": "x", "objects": rendered.shown()}, "istio-system")
        assert view
        assert set(wanted["deployments"]) == set(view["deployments"])
        assert "istio-ingress/istio-ingressgateway" in wanted["deployments"]
        [asked] = [field for field in wanted["fields"] if field["path"][-1] == "image"]
        assert asked in view["fields"]
        assert asked["value"] == f"registry.example.com/istio/proxyv2:{version}-distroless"

    def test_udp_and_tcp_on_one_number_are_both_rendered(self, version: str) -> None:
        ports = [{"name": "https", "port": 443}, {"name": "h3", "port": 443, "protocol": "UDP"}]
        host = {"name": "istio-ingressgateway", "hostNetwork": {"nodes": ["sealos02"], "ports": ports}}
        wanted, rendered = made(version, ingressGateways=[host])
        for field in wanted["fields"]:
            if field["path"][-1] == "ports":
                live = find(rendered.named(field["kind"], field["name"]), tuple(field["path"]))
                number = "port" if field["kind"] == "Service" else "containerPort"
                listed = sorted((port[number], port.get("protocol", "TCP")) for port in live)
                assert listed == sorted((port[number], port.get("protocol", "TCP")) for port in field["value"])
                assert {(443, "TCP"), (443, "UDP")} <= set(listed)

    def test_overlays_of_istiod_and_the_plugin_lose_nothing(self, version: str) -> None:
        pilot = _overlays("Deployment", "istiod", {"spec.template.spec": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}})
        cni = _overlays("DaemonSet", "istio-cni-node", {"spec.template.spec": {"priorityClassName": "system-node-critical"}})
        plain = made(version)[1]
        _, rendered = made(version, components={"pilot": {"k8s": pilot}}, cni={"k8s": cni})
        for kind, name, more in (
            ("Deployment", "istiod", {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
            ("DaemonSet", "istio-cni-node", {"priorityClassName": "system-node-critical"}),
        ):
            before, after = plain.named(kind, name), rendered.named(kind, name)
            assert before
            assert after
            assert after["spec"]["template"]["spec"] == {**before["spec"]["template"]["spec"], **more}

    @pytest.mark.parametrize("nodes", [["sealos02"], ["sealos02", "sealos03"]])
    def test_host_network_is_all_there(self, version: str, nodes: list[str]) -> None:
        _, rendered = made(version, cni={"enabled": False}, ingressGateways=[{"hostNetwork": {"nodes": nodes}}])
        deployment = rendered.named("Deployment", "istio-ingressgateway")
        service = rendered.named("Service", "istio-ingressgateway")
        assert deployment
        assert service
        spec = deployment["spec"]
        pod = spec["template"]["spec"]
        assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
        assert "securityContext" not in pod, "ports 80 and 443 take root"
        assert spec["replicas"] == len(nodes)
        assert spec["strategy"]["rollingUpdate"]["maxSurge"] == 0
        assert sorted(port["containerPort"] for port in pod["containers"][0]["ports"]) == [80, 443, 15090]
        assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(80, 80), (443, 443)]
        assert service["spec"]["type"] == "ClusterIP"
        assert rendered.named("HorizontalPodAutoscaler", "istio-ingressgateway") is None
        if len(nodes) == 1:
            assert pod["nodeSelector"] == {"kubernetes.io/hostname": nodes[0]}
        else:
            terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
                "nodeSelectorTerms"
            ]
            assert terms[0]["matchExpressions"][0]["values"] == nodes

    def test_the_same_settings_are_rendered_the_same(self, version: str) -> None:
        """Otherwise a preview without a change would show one."""
        addons = {addon: {"enabled": True} for addon in release(version).addons}
        first, again = (made(version, profile="demo", addonComponents=addons)[1].shown() for _ in range(2))
        assert first == again

    def test_several_gateways_have_names_selectors_and_ports_of_their_own(self, later: str) -> None:
        https = {"name": "https", "port": 443, "targetPort": 8443}
        gateways = [
            {"name": "istio-edge", "k8s": {"service": {"type": "ClusterIP", "ports": [https]}}},
            {"name": "inner", "label": {"team": "web"}, "k8s": {"service": {"type": "ClusterIP"}}},
        ]
        chart_ports = release(later).chart_ports["ingress"]
        wanted, rendered = made(later, profile="default", ingressGateways=gateways)
        assert deployments(rendered) == wanted["deployments"]
        assert "istio-ingressgateway" not in wanted["deployments"], "the list replaces the profile's"
        for name, labels, ports in (
            ("istio-edge", {"app": "istio-edge", "istio": "edge"}, [443]),
            ("inner", {"app": "inner", "istio": "inner", "team": "web"}, sorted(port["port"] for port in chart_ports)),
        ):
            deployment, service = rendered.named("Deployment", name), rendered.named("Service", name)
            assert deployment
            assert service
            assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
            assert sorted(port["port"] for port in service["spec"]["ports"]) == ports
