"""Whether the mesh is what was asked for, judged by what the API server says. Pure: no SSH, no Pulumi.

"HEALTHY" alone proves nothing on Istio 1.5: it means that the operator's objects were accepted, not that pods run, and the
status has no observedGeneration, so after a change it may still be the old one's. So the objects themselves are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.istio.gateways.ports import protocol_of
from components.istio.match import APPENDED, find, holds
from components.istio.readiness.model import CniDaemonSet, Object, Pod, Verdict, View, Wanted
from components.istio.releases.table import release
from components.kubernetes.workloads import unready
from components.problem import Code, Problem

ABSENT = "does not exist"


def judge(wanted: Wanted, view: View) -> Verdict:
    """Compares one look with what is wanted; every problem at once."""
    status, problems = _status(wanted, view)
    problems += list(_refused(wanted, view))
    problems += list(_operator(view))
    for name in wanted.deployments:
        deployment = view.named("Deployment", wanted.titled(name))
        where = f"Deployment {wanted.titled(name)}"
        if deployment is None:
            problems.append(Problem(Code.OBJECT_MISSING, where, ABSENT))
        else:
            problems += [Problem(Code.WORKLOAD_UNREADY, where, text) for text in unready(deployment, view.pods_of(deployment))]
    if wanted.cni:
        problems += list(_daemon_set(wanted.cni, view))
    problems += list(_webhooks(wanted, view))
    problems += list(_fields(wanted, view))
    left = leftovers(wanted, view)
    problems += [
        Problem(Code.EARLIER_SETTING, f"Deployment {wanted.titled(name)}", f"{pointer} is still there, and nothing asks for it")
        for name, pointers in left.items()
        for pointer in pointers
    ]
    deaf = tuple(name for name in _unfilled(wanted, view) if (there := view.named("Deployment", name)) and not unready(there, view.pods_of(there)))
    return Verdict(status, tuple(dict.fromkeys(problems)), left, deaf, tuple(view.silent()))


def _status(wanted: Wanted, view: View) -> tuple[str, list[Problem]]:
    where = f"IstioOperator {wanted.namespace}/{wanted.name}"
    if view.istio_operator is None:
        return "NONE", [Problem(Code.MESH_STATUS, where, ABSENT)]
    words = release(wanted.version).status_words
    status = view.istio_operator.get("status") or {}
    word = words.get(str(status.get("status")), "NONE")
    if word == "HEALTHY":
        at_work = Problem(Code.MESH_STATUS, where, "it is HEALTHY, but the operator is at work on it again")
        return word, [at_work] if view.settled is False else []
    if word == "ERROR":
        failed = [
            Problem(Code.OPERATOR_ERROR, where, f"{name}: {str(component.get('error', 'no reason given')).strip()}")
            for name, component in sorted((status.get("componentStatus") or {}).items())
            if words.get(str(component.get("status"))) == "ERROR"
        ]
        return word, failed or [Problem(Code.OPERATOR_ERROR, where, "status ERROR without a reason")]
    return word, [Problem(Code.MESH_STATUS, where, "it has no status yet" if word == "NONE" else f"it is {word}")]


REFUSED_OFTEN = 3
"""Attempts after which the operator's reason counts: a conflict or a slow API server is gone by the second."""


def _refused(wanted: Wanted, view: View) -> Iterator[Problem]:
    """1.5.0 gives up without a status when it can't render (operator/pkg/helmreconciler/reconciler.go), and tries for ever.

    Later ones take the status away as they begin, so a HEALTHY of theirs is newer than what was refused.
    """
    status = (view.istio_operator or {}).get("status") or {}
    if status.get("status") == "HEALTHY" and not release(wanted.version).says_when_done:
        return
    for reason, count in Counter(view.refused).items():
        code = Code.OPERATOR_ERROR if count >= REFUSED_OFTEN else Code.MESH_STATUS
        yield Problem(code, f"IstioOperator {wanted.namespace}/{wanted.name}", f"the operator can't carry it out: {reason[:600]}")


def _webhooks(wanted: Wanted, view: View) -> Iterator[Problem]:
    """Istio's programs fill in their own authority; until then the API server can't call them."""
    names = {(o["kind"], o["metadata"]["name"]) for o in view.webhooks}
    if wanted.injector and ("MutatingWebhookConfiguration", wanted.injector) not in names:
        yield Problem(Code.OBJECT_MISSING, f"MutatingWebhookConfiguration {wanted.injector}", ABSENT)
    for server, unfilled in _unfilled(wanted, view).items():
        for configuration, webhook in unfilled:
            yield Problem(
                Code.WEBHOOK_CA,
                f"{configuration['kind']} {configuration['metadata']['name']}",
                f"webhook {webhook['name']} has no CA bundle yet; {server.rpartition('/')[2]} fills it in "
                f"(failurePolicy {webhook.get('failurePolicy', 'Ignore')})",
            )


def _unfilled(wanted: Wanted, view: View) -> dict[str, list[tuple[Object, Object]]]:
    """Webhooks without a CA bundle, with their configurations, by namespace and name of what serves them."""
    found: dict[str, list[tuple[Object, Object]]] = {}
    for configuration in view.webhooks:
        for webhook in configuration.get("webhooks") or []:
            client = webhook.get("clientConfig", {})
            service = client.get("service") or {}
            if service.get("namespace") == wanted.namespace and not client.get("caBundle"):
                found.setdefault(f"{wanted.namespace}/{service.get('name')}", []).append((configuration, webhook))
    return found


def _operator(view: View) -> Iterator[Problem]:
    where = "Deployment istio-operator/istio-operator"
    deployment = next((o for o in view.operator if o["kind"] == "Deployment"), None)
    if deployment is None:
        yield Problem(Code.OPERATOR_MISSING, where, ABSENT)
        return
    for text in unready(deployment, view.pods_of(deployment)):
        yield Problem(Code.WORKLOAD_UNREADY, where, text)


def _daemon_set(cni: CniDaemonSet, view: View) -> Iterator[Problem]:
    where = f"DaemonSet {cni.namespace}/{cni.name}"
    if (daemon_set := view.daemon_set) is None:
        yield Problem(Code.OBJECT_MISSING, where, ABSENT)
        return
    status = daemon_set.get("status", {})
    if status.get("observedGeneration", 0) < daemon_set["metadata"].get("generation", 0):
        yield Problem(Code.WORKLOAD_UNREADY, where, "its last change has not been seen by the controller yet")
        return
    nodes, desired = len(view.nodes), status.get("desiredNumberScheduled", 0)
    ready, updated = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    if not (desired == nodes and min(ready, updated) >= nodes - len(view.silent())):
        yield Problem(Code.WORKLOAD_UNREADY, where, f"{ready} ready and {updated} up to date of {desired} wanted on {nodes} nodes")


def _fields(wanted: Wanted, view: View) -> Iterator[Problem]:
    for field_ in wanted.fields:
        title = wanted.titled(field_.name)
        where = f"{field_.kind} {title}"
        if (live := view.named(field_.kind, title)) is None:
            if field_.kind != "Deployment" or field_.name not in wanted.deployments:
                yield Problem(Code.OBJECT_MISSING, where, ABSENT)
            continue
        found = find(live, field_.path)
        path = ".".join(field_.path)
        if field_.path[-1] == "ports" and isinstance(field_.value, list):
            if (has := _ports(found)) != (asked := _ports(field_.value)):
                yield Problem(Code.OBJECT_DIFFERS, where, f"{path} has {_shown(has)}, wanted exactly {_shown(asked)}")
        elif holds(live, field_.path, field_.value):
            continue
        elif field_.path[-1] == APPENDED:
            yield Problem(Code.OBJECT_DIFFERS, where, f"{path.removesuffix('.' + APPENDED)} has no {field_.value!r}")
        else:
            yield Problem(Code.OBJECT_DIFFERS, where, f"{path} is {'not set' if found is None else repr(found)}, wanted {field_.value!r}")


PLACING = ("nodeSelector", "affinity", "tolerations", "priorityClassName", "hostNetwork", "dnsPolicy")
"""Keys of a pod's spec that say where it runs and in which network. The API has no default for them but dnsPolicy's."""

_POD = "/spec/template/spec"


def leftovers(wanted: Wanted, view: View) -> dict[str, list[str]]:
    """By Deployment, where an earlier IstioOperator's words still stand in its pod template: JSON pointers (RFC 6901).

    The operator merges what it renders into what is there (operator/pkg/helmreconciler: patching.go of 1.5.0 without the last
    configuration to compare with, `MergePatch` in common.go later), so a key that the settings no longer name stays as it was.
    """
    found = {}
    for pod in wanted.pods:
        live = find(view.named("Deployment", wanted.titled(pod.name)) or {}, ("spec", "template", "spec"))
        if live:
            placed = {
                key: live[key] for key in PLACING if key in live and (key, live[key]) != ("dnsPolicy", "ClusterFirst")
            }
            pointers = [*_beyond(placed, pod.spec, _POD), *_host_ports(live, pod)]
            if pointers:
                found[pod.name] = pointers
    return found


def _beyond(live: Mapping[str, Any], asked: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, value in live.items():
        here = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in asked:
            yield here
        elif isinstance(value, Mapping) and isinstance(asked[key], Mapping):
            yield from _beyond(value, asked[key], here)


def _host_ports(live: Mapping[str, Any], pod: Pod) -> Iterator[str]:
    """With the host's network the API makes every port a host port, and they stay when it is gone."""
    if pod.spec.get("hostNetwork"):
        return
    for position, container in enumerate(live.get("containers", [])):
        for index, port in enumerate(container.get("ports", [])):
            if port.get("hostPort") and port.get("containerPort") not in pod.host_ports:
                yield f"{_POD}/containers/{position}/ports/{index}/hostPort"


def _ports(ports: Any) -> list[tuple[Any, ...]]:
    """Ports in a comparable form, with Kubernetes' defaults: TCP, and the port itself as target."""
    listed = [p for p in ports or [] if isinstance(p, Mapping)]
    return sorted(
        (
            int(p.get("port", p.get("containerPort", 0))),
            str(p.get("targetPort", p.get("port", ""))),
            protocol_of(p),
            str(p.get("name", "")) if "port" in p else "",
        )
        for p in listed
    )


def _shown(ports: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(f"{p[3]} {p[0]}".strip() for p in ports) or "no ports"
