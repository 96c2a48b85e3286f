"""Gateways and other components of an IstioOperator's spec, in a form that the operator carries out.

Overlays come out as leaf patches, the service's ports as exactly those that were asked for, and host network with what it takes
besides. What is clear is made safe and noted; what isn't is refused with the fix. Like all of this package: no Pulumi, no SSH.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from components.istio.gateways import host_network, overlays, ports, rendered_schema
from components.istio.gateways.model import Gateway, GatewayKind, Judged, Note, Patch, Refusal, Target, accepted, within
from components.istio.gateways.patches import write
from components.istio.gateways.path import format_path
from components.istio.gateways.tree import exclusive
from components.istio.releases.table import release


@dataclass(frozen=True)
class GatewaySpecs:
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


def gateway_specs(
    gateways: Sequence[Mapping[str, Any]], kind: GatewayKind, istio: str, values: Mapping[str, Any], scaled: bool = True
) -> GatewaySpecs:
    """The same intent in a form that the operator carries out.

    Args:
        gateways: as in an IstioOperator's spec.components.ingressGateways (or egressGateways).
        kind: which of the two.
        istio: Istio's version.
        values: the user's spec.values.
        scaled: whether the profile's gateways have an autoscaler.

    Raises:
        OverlayError: with every problem found.
    """
    specs, notes = accepted(within(f"istio.{kind}Gateways", _specs(gateways, kind, istio, values, scaled)))
    more: dict[str, Any] = {}
    for spec in specs:
        more = merge_under(more, spec.values)
    on_host = frozenset(name for spec in specs for name in spec.host_network)
    listed = {name: given for spec in specs for name, given in spec.ports.items()}
    return GatewaySpecs(tuple(gateway for spec in specs for gateway in spec.gateways), more, notes, on_host, listed)


def component_spec(component: str, given: Mapping[str, Any], istio: str) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Another component than a gateway, with overlays as safe as a gateway's, and what was changed.

    Args:
        component: its key, as `pilot`.
        given: as in an IstioOperator's spec.components, its k8s settings included.
        istio: Istio's version.

    Raises:
        OverlayError: with every problem found.
    """
    k8s = given.get("k8s")
    if not isinstance(k8s, Mapping) or ("overlays" not in k8s and component not in rendered_schema.COMPONENTS):
        return dict(given), ()
    where = "istio.cni" if component == "cni" else f"istio.components.{component}"
    made, notes = accepted(within(where, _component_k8s(component, deepcopy(dict(k8s)), istio)))
    return {**given, "k8s": made}, notes


def merge_under(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with what of `more` it does not say itself; maps are merged, lists are not."""
    merged = dict(values)
    for key, value in more.items():
        if key not in merged:
            merged[key] = deepcopy(value)
        elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
            merged[key] = merge_under(merged[key], value)
    return merged


def _specs(
    listed: Sequence[Mapping[str, Any]], kind: GatewayKind, istio: str, values: Mapping[str, Any], scaled: bool
) -> Judged[list[GatewaySpecs]]:
    known = release(istio)
    gateways = [Gateway.of(given, kind, istio, known, values, scaled) for given in listed]
    if known.gateway_names and len(gateways) > 1:
        yield Refusal(
            "",
            f"Istio {istio} has one {kind} gateway, {known.gateway_names[kind]}: its chart gives every entry that name, "
            f"so they would overwrite each other; keep one entry",
        )
    names = [gateway.name for gateway in gateways]
    if not known.gateway_names and (twice := sorted({name for name in names if names.count(name) > 1})):
        yield Refusal("", f"{', '.join(twice)} is listed twice; every gateway needs a name of its own")
    specs = []
    for position, (given, gateway) in enumerate(zip(listed, gateways, strict=True)):
        specs.append((yield from within(f"[{position}]", _spec(deepcopy(dict(given)), gateway))))
    return specs


def _spec(given: dict[str, Any], gateway: Gateway) -> Judged[GatewaySpecs]:
    given = yield from _named(given, gateway)
    k8s = given.get("k8s", {})
    if not isinstance(k8s, Mapping):
        yield Refusal(".k8s", "must be an object with service, strategy, nodeSelector, overlays and the like")
        return GatewaySpecs((given,), {}, ())
    # 1.5 looks for the ingress gateway's PodDisruptionBudget by another name than its chart gives it
    all_budgets = gateway.kind == "ingress" and bool(gateway.known.gateway_names)
    written = k8s.get("overlays")
    k8s, wanted = yield from _by_overlays({k: v for k, v in k8s.items() if k != "overlays"}, "istio-proxy", all_budgets)
    listed = ports.listed(k8s, gateway)
    component = _component_of(gateway, k8s, listed)
    given["enabled"] = yield from overlays.boolean(".enabled", given.get("enabled", True))
    trees = yield from overlays.read(written, component)
    trees = yield from overlays.ask(trees, wanted, component)
    if on_host := host_network.on_host(trees, gateway):
        trees = yield from host_network.with_cluster_dns(k8s, trees, gateway)
    if listed is not None:
        k8s, listed, trees = yield from ports.folded(k8s, listed, trees, gateway)
    made = yield from write(trees, component)
    k8s, patches = _with_env(k8s, made.env, made.patches, ("Deployment", gateway.name), "istio-proxy")
    asked = yield from ports.asked_for(k8s, patches, listed, gateway)
    if on_host:
        values = yield from ports.chart_values_on_host(asked, k8s, gateway)
    else:
        values = yield from ports.chart_values(asked, k8s, patches, gateway)
    k8s = yield from ports.with_service_ports(k8s, asked, gateway)
    patches = ports.with_both_protocols(patches, asked, on_host, gateway)
    if on_host:
        deployment = "Deployment", gateway.name
        k8s, patches[deployment] = yield from host_network.one_pod_a_node(k8s, patches[deployment])
    elif given["enabled"] and not gateway.as_root:
        yield from ports.without_root(trees, patches, asked, gateway)
    if patches:
        k8s = {**k8s, "overlays": _overlays(patches)}
    of_chart = {"gateways": {gateway.chart: values}} if values else {}
    listed_of = {} if asked is None else {gateway.name: tuple(asked)}
    return GatewaySpecs(({**given, "k8s": k8s} if k8s else given,), of_chart, (), frozenset({gateway.name} if on_host else ()), listed_of)


def _named(given: dict[str, Any], gateway: Gateway) -> Judged[dict[str, Any]]:
    """The gateway with the name and the labels that its release takes."""
    name, label = given.get("name"), given.get("label")
    if not gateway.known.gateway_names:
        if not name:
            yield Note(".name", f"is missing; taken as {gateway.chart}, the name of the profiles' own")
        # the chart takes `label` for the selector as well, in place of its own labels
        if label or gateway.name != gateway.chart:
            given["label"] = {"app": gateway.name, "istio": gateway.name.removeprefix("istio-"), **(label or {})}
    else:
        if name not in (None, gateway.name):
            yield Refusal(".name", f"{name!r} has no effect in Istio {gateway.istio}: its chart always says {gateway.name}; write that")
        if label:
            yield Refusal(
                ".label",
                f"has no effect in Istio {gateway.istio}, whose chart always has its own labels; add one to the pods by an overlay of "
                f"Deployment {gateway.name}: path spec.template.metadata.labels.NAME, with its value",
            )
    return {"name": gateway.name, **{key: value for key, value in given.items() if key != "name"}}


def _component_of(gateway: Gateway, k8s: Mapping[str, Any], listed: Sequence[Mapping[str, Any]] | None) -> rendered_schema.Component:
    known = gateway.known
    objects = rendered_schema.gateway_objects(gateway.kind, k8s, known, gateway.name, gateway.as_root, listed, gateway.scaled)
    volumes = f"use values.gateways.{gateway.chart}.secretVolumes"
    hints = {"tolerations": "set k8s.tolerations", "volumes": volumes, "volumeMounts": volumes}
    return rendered_schema.Component(known, gateway.istio, objects, container="istio-proxy", hints=hints, grows=not gateway.own.get("sds"))


def _component_k8s(key: str, k8s: dict[str, Any], istio: str) -> Judged[dict[str, Any]]:
    known, container = release(istio), rendered_schema.COMPONENTS.get(key)
    given = k8s.pop("overlays", None)
    k8s, wanted = yield from _by_overlays(k8s, container)
    objects, perhaps = rendered_schema.component_objects(key, k8s, known), rendered_schema.PERHAPS.get(key, frozenset())
    component = rendered_schema.Component(known, istio, objects, others=True, container=container, perhaps=perhaps, grows=key == "pilot")
    trees = yield from overlays.read(given, component)
    trees = yield from overlays.ask(trees, wanted, component)
    made = yield from write(trees, component)
    k8s, patches = _with_env(k8s, made.env, made.patches, ("Deployment", "istiod"), container)
    return {**k8s, "overlays": _overlays(patches)} if any(patches.values()) else k8s


def _by_overlays(
    k8s: dict[str, Any], container: str | None, all_budgets: bool = False
) -> Judged[tuple[dict[str, Any], list[tuple[str, str, Any]]]]:
    """Settings that the operator merges into a map of which Kubernetes takes one key only, or that it can't read: they become overlays.

    Args:
        k8s: a component's.
        container: its Deployment's; without one nothing is taken.
        all_budgets: whether a PodDisruptionBudget never gets there by the setting.

    Returns:
        The k8s settings without them, and the object's kind, path and value of each.
    """
    found = []
    for key, of, path, there in (
        ("strategy", "Deployment", "spec.strategy", "rollingUpdate"),
        ("readinessProbe", "Deployment", f"spec.template.spec.containers.[name:{container}].readinessProbe", "httpGet"),
        ("podDisruptionBudget", "PodDisruptionBudget", "spec", "minAvailable"),
    ):
        if container is None or not isinstance(wanted := k8s.get(key), Mapping) or not wanted:
            continue
        reason = f"the operator would leave {there} beside it" if exclusive(path.split("."), wanted, [there]) else ""
        if of == "PodDisruptionBudget" and (all_budgets or any(isinstance(value, str) for value in wanted.values())):
            reason = reason or "the operator does not take it from there"  # up to 1.6 it reads no percentage
        if reason:
            found.append((of, path, {name: value for name, value in wanted.items() if value is not None}))
            k8s = {name: value for name, value in k8s.items() if name != key}
            yield Note(f".k8s.{key}", f"is set by an overlay, since {reason}")
    return k8s, found


def _with_env(
    k8s: dict[str, Any], more: Mapping[str, dict[str, Any]], patches: dict[Target, list[Patch]], workload: Target, container: str | None
) -> tuple[dict[str, Any], dict[Target, list[Patch]]]:
    """k8s.env with more variables, and the patches by which each has the one source that is asked for.

    The operator merges: where the chart's has another source, it would have both. And its API knows no name in the reference
    to a Secret or a ConfigMap (1.5.0 to 1.13.4 refuse the whole IstioOperator), so there k8s.env only makes the variable.
    """
    if more:
        kept = [item for item in k8s.get("env") or () if not (isinstance(item, Mapping) and item.get("name") in more)]
        k8s = {**k8s, "env": [*kept, *more.values()]}
    sources: list[Patch] = []
    variables = list(k8s.get("env") or ())
    for number, variable in enumerate(variables if container else ()):
        if not isinstance(variable, Mapping) or not (name := variable.get("name")):
            continue
        source = variable.get("valueFrom")
        asked = next(iter(source), None) if isinstance(source, Mapping) else "value" if "value" in variable else None
        if asked in ("secretKeyRef", "configMapKeyRef"):
            variables[number] = {"name": name, "value": ""}
        elif asked in (None, rendered_schema.ENVIRONMENT.get(str(name), asked)):
            continue
        path = format_path(["spec", "template", "spec", "containers", f"[name:{container}]", "env", f"[name:{name}]"])
        sources.append({"path": path, "value": dict(variable)})
    if not sources:
        return k8s, patches
    return {**k8s, "env": variables}, {**patches, workload: [*patches.get(workload, ()), *sources]}


def _overlays(patches: Mapping[Target, list[Patch]]) -> list[dict[str, Any]]:
    return [{"kind": kind, "name": name, "patches": listed} for (kind, name), listed in patches.items() if listed]
