"""Makes a gateway's intent safe for Istio's operator: overlays, ports, and what host network takes besides.

Overlays come out as leaf patches (components/istio/patches.py); the service's ports, which 1.5 adds to but never cuts, as
exactly those that were asked for. What is clear is made safe and noted; what isn't is refused with the fix.

Pure: no Pulumi, no SSH.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.istio.patches import Branch, Leaf, Note, OverlayError, Patcher, Target, format_path, put, rivals
from components.istio.releases.model import Release
from components.istio.releases.table import release
from components.istio.shapes import (
    COMPONENTS,
    ENVIRONMENT,
    ENVOY_METRICS_PORT,
    PERHAPS,
    GatewayKind,
    Shape,
    component_objects,
    container_ports,
    doubled,
    gateway_objects,
    pod_ports,
)


@dataclass(frozen=True)
class SafeGateways:
    """Gateways as the operator may have them.

    Attributes:
        gateways: the list for spec.components.ingressGateways or .egressGateways.
        values: what has to be merged under spec.values, the user's own values winning.
        notes: what was changed.
        host_network: names of the gateways whose pods live in the node's network.
        ports: by gateway's name, exactly the service's ports; absent where they are the profile's.
    """

    gateways: tuple[dict[str, Any], ...]
    values: dict[str, Any]
    notes: tuple[Note, ...]
    host_network: frozenset[str] = frozenset()
    ports: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


def make_safe(
    gateways: Sequence[Mapping[str, Any]],
    kind: GatewayKind,
    istio: str,
    values: Mapping[str, Any],
    key: str | None = None,
    scaled: bool = True,
) -> SafeGateways:
    """The same intent in a form that the operator carries out.

    Args:
        gateways: as in an IstioOperator's spec.components.ingressGateways (or egressGateways).
        kind: which of the two.
        istio: Istio's version.
        values: the user's spec.values.
        key: what the list is called in messages; istio.ingressGateways by default.
        scaled: whether the profile's gateways have an autoscaler.

    Raises:
        OverlayError: with every problem found.
    """
    key = key or f"istio.{kind}Gateways"
    problems: list[str] = []
    notes: list[Note] = []
    safe: list[dict[str, Any]] = []
    more_values: dict[str, Any] = {}
    host_network: set[str] = set()
    ports: dict[str, tuple[dict[str, Any], ...]] = {}
    known = release(istio)
    if known.gateway_names and len(gateways) > 1:
        problems.append(
            f"{key}: Istio {istio} has one {kind} gateway, {known.gateway_names[kind]}: its chart gives every entry that name, "
            f"so they would overwrite each other; keep one entry"
        )
    names = [gateway.get("name") or gateway_chart(kind) for gateway in gateways]
    if not known.gateway_names and (doubled := sorted({str(n) for n in names if names.count(n) > 1})):
        problems.append(f"{key}: {', '.join(doubled)} is listed twice; every gateway needs a name of its own")
    for position, gateway in enumerate(gateways):
        one = _Gateway(f"{key}[{position}]", gateway, kind, known, istio, values, scaled, problems, notes)
        if (result := one.safe()) is None:
            continue
        safe.append(result)
        if one.values:
            more_values = merge_under(more_values, {"gateways": {one.chart: one.values}})
        if one.host_network:
            host_network.add(one.name)
        if one.ports is not None:
            ports[one.name] = tuple(one.ports)
    if problems:
        raise OverlayError(problems)
    return SafeGateways(tuple(safe), more_values, tuple(notes), frozenset(host_network), ports)


class _Gateway:
    """One gateway on its way to being safe."""

    def __init__(
        self,
        where: str,
        given: Mapping[str, Any],
        kind: GatewayKind,
        known: Release,
        istio: str,
        values: Mapping[str, Any],
        scaled: bool,
        problems: list[str],
        notes: list[Note],
    ) -> None:
        self.where, self.kind, self.known, self.istio = where, kind, known, istio
        self.given = deepcopy(dict(given))
        self.problems, self.notes = problems, notes
        self.name = ""
        self.chart = gateway_chart(kind)
        gateways = values.get("gateways")
        own = gateways.get(self.chart) if isinstance(gateways, Mapping) else None
        self.own_values: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        self.scaled = bool(self.own_values.get("autoscaleEnabled", scaled))
        self.values: dict[str, Any] = {}
        self.host_network = False
        self.ports: list[dict[str, Any]] | None = None

    def refuse(self, where: str, text: str) -> None:
        self.problems.append(f"{self.where}{where}: {text}")

    def note(self, where: str, text: str) -> None:
        self.notes.append(Note(f"{self.where}{where}", text))

    def safe(self) -> dict[str, Any] | None:
        before = len(self.problems)
        self._name()
        k8s = self.given.get("k8s", {})
        if not isinstance(k8s, Mapping):
            self.refuse(".k8s", "must be an object with service, strategy, nodeSelector, overlays and the like")
            return None
        k8s = dict(k8s)
        overlays = k8s.pop("overlays", None)
        workload = ("Deployment", self.name, "istio-proxy")
        replaced = _taken_for_overlays(k8s, workload, f"{self.where}.k8s", self.notes, all_budgets=self._budget_is_lost)
        as_root = bool(self.own_values.get("runAsRoot", self.known.gateway_runs_as_root))
        listed = self._listed(k8s)
        objects = gateway_objects(self.kind, k8s, self.known, self.name, as_root, listed, self.scaled)
        patcher = self._patcher(objects)
        if not isinstance(self.given.setdefault("enabled", True), bool):
            self.given["enabled"] = patcher.boolean(self.given["enabled"], ".enabled")
        intents = patcher.collect(overlays)
        _ask(patcher, intents, replaced)
        pod = _at(intents.get(("Deployment", self.name), {}), "spec", "template", "spec")
        self.host_network = isinstance(wanted := _at(pod, "hostNetwork"), Leaf) and wanted.value is True
        if self.host_network:
            self._in_host_network(k8s, pod, intents)
        if listed is not None:
            listed = self._folded(k8s, listed, intents)
        written = patcher.write(intents)
        if patcher.moved_env:
            k8s["env"] = _merge_named(k8s.get("env") or [], patcher.moved_env)
        if sources := _one_source_each(k8s, "istio-proxy"):
            written.setdefault(("Deployment", self.name), []).extend(sources)
        self._ports(k8s, written, listed)
        self._both_protocols(written)
        if self.host_network:
            self._one_pod_a_node(k8s, written["Deployment", self.name])
        elif not as_root:
            self._needs_no_root(pod, written)
        if written:
            k8s["overlays"] = _overlays(written)
        if k8s:
            self.given["k8s"] = k8s
        return self.given if len(self.problems) == before else None

    def _patcher(self, objects: Mapping[Target, Shape]) -> Patcher:
        volumes = f"use values.gateways.{self.chart}.secretVolumes"
        return Patcher(
            self.where,
            self.known,
            self.istio,
            objects,
            self.problems,
            self.notes,
            container="istio-proxy",
            hints={"tolerations": "set k8s.tolerations", "volumes": volumes, "volumeMounts": volumes},
            grows=not self.own_values.get("sds"),
        )

    @property
    def _budget_is_lost(self) -> bool:
        """1.5 looks for the ingress gateway's PodDisruptionBudget by another name than its chart gives it."""
        return self.kind == "ingress" and bool(self.known.gateway_names)

    def _listed(self, k8s: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The service's ports as settings or values list them; None where they are the chart's, or no list of ports."""
        service = k8s.get("service")
        of_setting = service.get("ports") if isinstance(service, Mapping) else None
        wished = of_setting or self.own_values.get("ports")
        return [dict(port) for port in wished] if wished and _are_ports(wished) else None

    def _folded(self, k8s: dict[str, Any], listed: list[dict[str, Any]], intents: Mapping[Target, Branch]) -> list[dict[str, Any]]:
        """The ports that are listed with what overlays of the Service change in them: one list, which everything else goes by."""
        spec = _at(intents.get(("Service", self.name), {}), "spec")
        if not isinstance(spec, dict) or not isinstance(patches := spec.get("ports"), dict):
            return listed
        folded: list[dict[str, Any]] = put(listed, [], patches)
        service = k8s.get("service")
        if isinstance(service, Mapping) and service.get("ports"):
            del spec["ports"]
            k8s["service"] = {**service, "ports": folded}
            self.note(".k8s.overlays for Service spec.ports", "written into k8s.service.ports, which lists them")
        return folded

    def _in_host_network(self, k8s: Mapping[str, Any], pod: Branch, intents: Mapping[Target, Branch]) -> None:
        """What contradicts the nodes' network in overlays."""
        if not k8s.get("hpaSpec") and any(kind == "HorizontalPodAutoscaler" for kind, _ in intents):
            self.refuse(".k8s.overlays", "a gateway in its nodes' network has no HorizontalPodAutoscaler; take the overlay out")
        policy = pod.get("dnsPolicy")
        if isinstance(policy, Leaf) and policy.value in ("ClusterFirst", "Default"):
            self.note(
                "",
                f"hostNetwork with dnsPolicy {policy.value} asks the node's own DNS, which does not know istiod, so dnsPolicy "
                f"ClusterFirstWithHostNet",
            )
            pod["dnsPolicy"] = Leaf("ClusterFirstWithHostNet")

    def _needs_no_root(self, pod: Any, written: Mapping[Target, list[dict[str, Any]]]) -> None:
        """Who isn't root can't listen below 1024; from 1.9 on istiod does not even ask it to (pilot/pkg/networking/core)."""
        given = [pod, *(_at(pod, "containers").values() if isinstance(_at(pod, "containers"), dict) else ())]
        if any(isinstance(part, dict) and "securityContext" in part for part in given):
            return  # rights of its own may allow it
        appended = [p["value"] for p in written.get(("Service", self.name), ()) if p["path"] == "spec.ports.[-1]"]
        ports = [*(self.ports or ()), *(appended if _are_ports(appended) else ())]
        low = [str(number) for number in pod_ports(ports, self.known) if number < 1024]
        if low and self.given["enabled"]:
            self.refuse(
                "",
                f"its pods would have to listen on {', '.join(low)}, which takes root, and Istio {self.istio}'s gateways are not root: nobody "
                f"would answer there. Write a targetPort of 1024 or more (as 8080 and 8443), or set values.gateways.{self.chart}.runAsRoot: true",
            )

    def _name(self) -> None:
        given = self.given.get("name")
        only = self.known.gateway_names.get(self.kind)
        if only is None:
            if not given:
                self.note(".name", f"is missing; taken as {self.chart}, the name of the profiles' own")
            self.name = str(given or self.chart)
            # the chart takes `label` for the selector as well, in place of its own labels
            own = {"app": self.name, "istio": self.name.removeprefix("istio-")}
            if self.given.get("label") or self.name != self.chart:
                self.given["label"] = {**own, **(self.given.get("label") or {})}
        else:
            if given not in (None, only):
                self.refuse(
                    ".name", f"{given!r} has no effect in Istio {self.istio}: its chart always says {only}; write that"
                )
            self.name = only
            if self.given.get("label"):
                self.refuse(
                    ".label",
                    f"has no effect in Istio {self.istio}, whose chart always has its own labels; add one to the pods by an overlay of "
                    f"Deployment {only}: path spec.template.metadata.labels.NAME, with its value",
                )
        self.given = {"name": self.name, **{k: v for k, v in self.given.items() if k != "name"}}

    def _ports(
        self,
        k8s: dict[str, Any],
        written: Mapping[Target, list[dict[str, Any]]],
        listed: list[dict[str, Any]] | None,
    ) -> None:
        """Cuts the ports that were not asked for, in the Service and, where the pod shares the node's network, in the pod."""
        service = k8s.get("service")
        own = self.own_values
        wished = next((p["value"] for p in written.get(("Service", self.name), []) if p["path"] == "spec.ports"), None)
        asked = ".k8s.overlays for Service spec.ports"
        from_setting = False
        if wished is None and isinstance(service, Mapping) and service.get("ports"):
            wished, asked, from_setting = service["ports"], ".k8s.service.ports", True
        if wished is None:
            wished, asked = own.get("ports") if listed is None else listed, ""
        if wished is not None:
            if not _are_ports(wished):
                self.refuse(asked, "must be a list of ports, each with name, port and targetPort")
                return
            self.ports = [dict(port) for port in wished]
        if self.host_network:
            self._cut_host_ports(own, k8s)
        elif from_setting and "ports" not in own and self.known.service_ports == "added":
            self.values["ports"] = _chart_ports(self.ports or (), ("name", "port", "targetPort", "nodePort"))
            self.note(
                asked,
                f"Istio {self.istio} merges it by port and cuts none, so the same list is set as values.gateways.{self.chart}.ports",
            )
        if self.known.service_ports == "whole":
            self._whole_ports(k8s)

    def _both_protocols(self, written: dict[Target, list[dict[str, Any]]]) -> None:
        """Up to 1.11 the operator merges ports by their number alone, so that of TCP and UDP on one number one would be lost."""
        if not self.ports or not doubled(self.ports):
            return
        service = written.setdefault(("Service", self.name), [])
        if all(patch["path"] != "spec.ports" for patch in service):
            service.append({"path": "spec.ports", "value": deepcopy(self.ports)})
        if self.host_network and not self.known.port_protocols:
            path = "spec.template.spec.containers.[name:istio-proxy].ports"
            # Prometheus knows Envoy's metrics by their port's name
            ports = [
                {"name": "http-envoy-prom", **port} if port["containerPort"] == ENVOY_METRICS_PORT else port
                for port in container_ports(self.ports, self.known)
            ]
            written["Deployment", self.name].append({"path": path, "value": ports})

    def _whole_ports(self, k8s: dict[str, Any]) -> None:
        """From 1.6 on k8s.service.ports is the list for Service and pod (translate.go, applyGatewayTranslations), empty if left out."""
        service = k8s.get("service")
        if not isinstance(service, Mapping) and self.ports is None:
            return
        service = dict(service) if isinstance(service, Mapping) else {}
        inherits = self.known.merges_gateways and self.name == self.chart
        if not service.get("ports") and (self.ports is not None or not inherits):
            if self.ports is None:
                self.note(".k8s.service", f"Istio {self.istio} takes a service without ports as one of no port; the chart's are written out")
            service["ports"] = self.ports or [dict(port) for port in self.known.chart_ports[self.kind]]
            k8s["service"] = service

    def _one_pod_a_node(self, k8s: dict[str, Any], patches: list[dict[str, Any]]) -> None:
        """What host network takes besides the ports, where its author left it out."""
        paths = [patch["path"] for patch in patches]
        if "spec.template.spec.dnsPolicy" not in paths:
            patches.append({"path": "spec.template.spec.dnsPolicy", "value": "ClusterFirstWithHostNet"})
            self.note(
                "",
                "hostNetwork asks the node's own DNS, which does not know istiod, so dnsPolicy ClusterFirstWithHostNet",
            )
        if "strategy" not in k8s and not any(path.startswith("spec.strategy") for path in paths):
            k8s["strategy"] = {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
            self.note(
                "",
                "hostNetwork leaves a new pod no port before the old one has gone, so maxUnavailable 100 % and maxSurge 0",
            )

    def _cut_host_ports(self, own: Mapping[str, Any], k8s: Mapping[str, Any]) -> None:
        values = f"values.gateways.{self.chart}"
        if not own.get("autoscaleEnabled") and not k8s.get("hpaSpec"):
            self.values["autoscaleEnabled"] = False  # two gateways can't share a node's ports
        elif own.get("autoscaleEnabled"):
            self.note(
                "", f"{values}.autoscaleEnabled: a second replica on the same node can't have the same host ports"
            )
        if self.known.mesh_expansion_ports and self.kind == "ingress" and "meshExpansionPorts" not in own:
            self.values["meshExpansionPorts"] = []
        if self.ports is None:
            self.note(
                "", "hostNetwork makes every container port a port of the node; list the service's ports to cut them"
            )
            return
        if self.known.service_ports == "added" and "ports" not in own:
            self.values["ports"] = _chart_ports(self.ports, ("name", "port", "targetPort"))
        low = [str(port) for port in pod_ports(self.ports, self.known) if port < 1024]
        if low and not self.known.gateway_runs_as_root and "runAsRoot" not in own:
            self.values["runAsRoot"] = True
            self.note("", f"ports {', '.join(low)} of the node take root, which Istio {self.istio} gives up: {values}.runAsRoot")
        listed = ", ".join(str(port["port"]) for port in self.ports)
        how = values if self.known.service_ports == "added" else "k8s.service.ports"
        self.note(
            "",
            f"hostNetwork makes every container port a port of the node, so the pod's are cut to the service's ({listed}) by {how}",
        )


def _taken_for_overlays(
    k8s: dict[str, Any], workload: tuple[str, str, str], where: str, notes: list[Note], *, all_budgets: bool = False
) -> list[tuple[str, str, Any]]:
    """Settings that the operator merges into a map of which Kubernetes takes one key only, or that it can't read: they become overlays.

    Args:
        k8s: a component's; what is taken is taken out.
        workload: kind and name, and its container.
        where: the settings key.
        notes: where that is said.
        all_budgets: whether a PodDisruptionBudget never gets there by the setting.

    Returns:
        The object's kind, path and value of each.
    """
    kind, _, container = workload
    found = []
    for key, of, path, there in (
        ("strategy", kind, "spec.strategy", "rollingUpdate"),
        ("readinessProbe", kind, f"spec.template.spec.containers.[name:{container}].readinessProbe", "httpGet"),
        ("podDisruptionBudget", "PodDisruptionBudget", "spec", "minAvailable"),
    ):
        if not isinstance(wanted := k8s.get(key), Mapping) or not wanted:
            continue
        reason = f"the operator would leave {there} beside it" if rivals(path.split("."), wanted, [there]) else ""
        if of == "PodDisruptionBudget" and (all_budgets or any(isinstance(value, str) for value in wanted.values())):
            reason = reason or "the operator does not take it from there"  # up to 1.6 it reads no percentage
        if reason:
            found.append((of, path, {name: value for name, value in wanted.items() if value is not None}))
            del k8s[key]
            notes.append(Note(f"{where}.{key}", f"is set by an overlay, since {reason}"))
    return found


def _ask(patcher: Patcher, intents: dict[Target, Branch], wanted: Sequence[tuple[str, str, Any]]) -> None:
    """Adds what was taken for overlays to what they ask for."""
    for kind, path, value in wanted:
        target = next(known for known in patcher.objects if known[0] == kind)
        patcher.ask(intents.setdefault(target, {}), path, value)


def make_component_safe(
    component: str, given: Mapping[str, Any], istio: str
) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Another component than a gateway, with overlays as safe as a gateway's, and what was changed.

    Args:
        component: its key, as `pilot`.
        given: as in an IstioOperator's spec.components, its k8s settings included.
        istio: Istio's version.

    Raises:
        OverlayError: with every problem found.
    """
    k8s = given.get("k8s")
    container = COMPONENTS.get(component)
    if not isinstance(k8s, Mapping) or ("overlays" not in k8s and container is None):
        return dict(given), ()
    problems: list[str] = []
    notes: list[Note] = []
    k8s = deepcopy(dict(k8s))
    overlays = k8s.pop("overlays", None)
    known = release(istio)
    where = "istio.cni" if component == "cni" else f"istio.components.{component}"
    replaced = [] if container is None else _taken_for_overlays(k8s, ("Deployment", "istiod", container), f"{where}.k8s", notes)
    objects = component_objects(component, k8s, known)
    perhaps = PERHAPS.get(component, frozenset())
    patcher = Patcher(
        where, known, istio, objects, problems, notes, others=True, container=container, perhaps=perhaps, grows=component == "pilot"
    )
    intents = patcher.collect(overlays)
    _ask(patcher, intents, replaced)
    written = patcher.write(intents)
    if problems:
        raise OverlayError(problems)
    if patcher.moved_env:
        k8s["env"] = _merge_named(k8s.get("env") or [], patcher.moved_env)
    if container is not None and (sources := _one_source_each(k8s, container)):
        written.setdefault(("Deployment", "istiod"), []).extend(sources)
    if any(written.values()):
        k8s["overlays"] = _overlays(written)
    return {**given, "k8s": k8s}, tuple(notes)


def gateway_chart(kind: GatewayKind) -> str:
    """The key in spec.values.gateways for all gateways of a kind, which is also the name of the profiles' own."""
    return f"istio-{kind}gateway"


def _chart_ports(ports: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[dict[str, Any]]:
    """Ports in the form of the chart's values, which know fewer keys (1.5.0: PortsConfig) and refuse all others."""
    return [{key: port[key] for key in known if key in port} for port in ports]


def _one_source_each(k8s: dict[str, Any], container: str) -> list[dict[str, Any]]:
    """Patches by which variables of k8s.env have the one source that is asked for.

    The operator merges: where the chart's has another source, it would have both. And its API knows no name in the reference
    to a Secret or a ConfigMap (1.5.0 to 1.13.4 refuse the whole IstioOperator), so there k8s.env only makes the variable.
    """
    patches = []
    variables = list(k8s.get("env") or ())
    for number, variable in enumerate(variables):
        if not isinstance(variable, Mapping) or not (name := variable.get("name")):
            continue
        source = variable.get("valueFrom")
        asked = next(iter(source), None) if isinstance(source, Mapping) else "value" if "value" in variable else None
        there = ENVIRONMENT.get(str(name), asked)
        if asked in ("secretKeyRef", "configMapKeyRef"):
            variables[number] = {"name": name, "value": ""}
        elif asked in (None, there):
            continue
        path = format_path(["spec", "template", "spec", "containers", f"[name:{container}]", "env", f"[name:{name}]"])
        patches.append({"path": path, "value": dict(variable)})
    if patches:
        k8s["env"] = variables
    return patches


def _are_ports(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(p, Mapping) and isinstance(p.get("port"), int) for p in given)


def _at(tree: Any, *path: str) -> Any:
    """The part of a tree of intents at a path; an empty branch where nothing is."""
    for element in path:
        tree = tree.get(element, {}) if isinstance(tree, dict) else {}
    return tree


def _overlays(written: Mapping[Target, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"kind": kind, "name": name, "patches": patches} for (kind, name), patches in written.items() if patches]


def _merge_named(given: Sequence[Any], more: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    kept = [item for item in given if not (isinstance(item, Mapping) and item.get("name") in more)]
    return [*kept, *(dict(item) for item in more.values())]


def merge_under(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with what of `more` it does not say itself; maps are merged, lists are not."""
    merged = dict(values)
    for key, value in more.items():
        if key not in merged:
            merged[key] = deepcopy(value)
        elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
            merged[key] = merge_under(merged[key], value)
    return merged
