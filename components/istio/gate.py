"""Whether the mesh is what was asked for, judged by what the API server says. Pure: no SSH, no Pulumi.

"HEALTHY" alone proves nothing on Istio 1.5: it means that the operator's objects were accepted, not that pods run, and the
status has no observedGeneration, so after a change it may still be the old one's. So the objects themselves are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.istio.match import APPENDED, find, holds
from components.istio.releases.table import release
from components.istio.shapes import protocol_of
from components.login import Request
from components.sealos import nodes as cluster_nodes

Object = Mapping[str, Any]


class Field(Request):
    """Something a live object must hold.

    Attributes:
        kind: Deployment or Service.
        name: the object's, with its namespace where that isn't the mesh's (`istio-ingress/edge`), as everywhere here.
        path: elements of an overlay's path (components/istio/overlays.py).
        value: what must be there; of a map only the keys given. Lists of ports must match exactly.
    """

    kind: str
    name: str
    path: tuple[str, ...]
    value: Any


class Pod(Request):
    """What may stand in the pod template of a Deployment.

    Attributes:
        name: the Deployment's.
        spec: of the keys PLACING those that are asked for.
        host_ports: container ports that are asked for as host ports.
    """

    name: str
    spec: dict[str, Any]
    host_ports: tuple[int, ...] = ()


class CniDaemonSet(Request):
    """Where the CNI plugin's installer runs."""

    namespace: str
    name: str


class Wanted(Request):
    """What must be true before the mesh counts as ready.

    Attributes:
        version: Istio's.
        name, namespace: the IstioOperator's.
        timeout: seconds until it is given up.
        deployments: names of those that must be available.
        cni: its DaemonSet, which must be ready on every node; None without the plugin.
        gateway: the ingress gateway that is reported; None when there is none.
        fields: what was asked for and must be found in live objects.
        injector: the MutatingWebhookConfiguration that must be there; None where nothing injects sidecars.
        pods: what may stand in the pods; empty where no renderer could tell.
        machines: names of the nodes that the cluster is to have. Another one is about to leave, and isn't reported.
    """

    version: str
    name: str
    namespace: str
    timeout: float
    deployments: tuple[str, ...]
    cni: CniDaemonSet | None = None
    gateway: str | None = None
    fields: tuple[Field, ...] = ()
    injector: str | None = None
    pods: tuple[Pod, ...] = ()
    machines: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those of Deployments and Services besides the mesh's."""
        names = (*self.deployments, *(field_.name for field_ in self.fields))
        return tuple(sorted({name.partition("/")[0] for name in names if "/" in name}))

    def titled(self, name: str) -> str:
        """A name with its namespace, as messages have it."""
        return name if "/" in name else f"{self.namespace}/{name}"


class RenderedSet(Request):
    """What Istio's own renderer made of an IstioOperator (components/istio/renderer.py).

    Attributes:
        spec: the hash of the IstioOperator's spec that was rendered.
        deployments: names of all Deployments.
        fields: what their live objects, and the Services, must hold.
        pods: what may stand in their pods.
    """

    spec: str
    deployments: tuple[str, ...]
    fields: tuple[Field, ...]
    pods: tuple[Pod, ...] = ()


def with_rendered(wanted: Wanted, spec: str, rendered: RenderedSet | None) -> Wanted:
    """What is wanted, by the rendered set where that is of the same spec; otherwise by the tables alone.

    Args:
        wanted: as the settings say.
        spec: the hash of the IstioOperator's spec that is applied.
        rendered: what was rendered last; of another spec when that was changed where there is no renderer.
    """
    if rendered is None or rendered.spec != spec:
        return wanted
    asked = {(field_.kind, field_.name, field_.path) for field_ in wanted.fields}
    more = tuple(f for f in rendered.fields if (f.kind, f.name, f.path) not in asked)
    return wanted.model_copy(
        update={"deployments": rendered.deployments, "fields": wanted.fields + more, "pods": rendered.pods}
    )


class View(Request):
    """What the API server said in one look.

    Attributes:
        istio_operator: the IstioOperator; None when it isn't there.
        mesh: Deployments, Services and Pods of the mesh's namespace, and of those of its gateways.
        daemon_set: the CNI plugin's; None when it isn't there.
        nodes: the cluster's.
        operator: Deployments and Pods of the operator's namespace.
        webhooks: all webhook configurations of the cluster.
        record: the ConfigMap in which the gate notes what it has seen; None before the first time.
        settled: whether the operator has finished the last reconcile that it began; None when its log doesn't tell (from 1.6).
        refused: why it gave up, once for every attempt since it last finished one.
    """

    istio_operator: dict[str, Any] | None
    mesh: tuple[dict[str, Any], ...]
    daemon_set: dict[str, Any] | None
    nodes: tuple[dict[str, Any], ...]
    operator: tuple[dict[str, Any], ...]
    webhooks: tuple[dict[str, Any], ...] = ()
    record: dict[str, Any] | None = None
    settled: bool | None = None
    refused: tuple[str, ...] = ()

    def named(self, kind: str, title: str) -> Object | None:
        """The object of that namespace and name, as `Wanted.titled` has them."""
        namespace, _, name = title.partition("/")
        for known in self.mesh:
            metadata = known["metadata"]
            if (known["kind"], metadata.get("namespace"), metadata["name"]) == (kind, namespace, name):
                return known
        return None

    def silent(self) -> list[cluster_nodes.Node]:
        """Nodes of machines that have died: nothing on them is waited for."""
        return [node for node in cluster_nodes.parse({"items": self.nodes}).values() if node.silent]

    def pods_of(self, workload: Object) -> list[Object]:
        """The pods that a Deployment or DaemonSet selects."""
        labels = workload["spec"]["selector"].get("matchLabels", {}).items()
        same = (o for o in (*self.mesh, *self.operator) if o["kind"] == "Pod")
        return [
            pod
            for pod in same
            if labels <= pod["metadata"].get("labels", {}).items()
            and pod["metadata"].get("namespace") == workload["metadata"].get("namespace")
        ]


@dataclass(frozen=True)
class Problem:
    """One thing that isn't as wanted.

    Attributes:
        sort: `error` the operator reports it; `status` there is no HEALTHY yet; `missing` an object isn't there; `field` an
            object differs from what was asked for; `waiting` Kubernetes is at work.
        text: begins with the object's kind and name, and says the reason.
    """

    sort: Literal["error", "status", "missing", "field", "waiting"]
    text: str

    @property
    def where(self) -> str:
        """The object's namespace and name, or its name alone where it has no namespace."""
        return self.text.split()[1].rstrip(":")


@dataclass(frozen=True)
class Verdict:
    """All problems of one look; none means ready.

    Attributes:
        status: Istio's word for the status, NONE when there is none.
        problems: what isn't as wanted.
        leftovers: where in Deployments earlier settings still stand, by their names (see `leftovers`); a problem each.
        deaf: names of Deployments that run, though webhooks that they serve have no CA bundle of theirs; a problem each.
        silent: nodes of machines that have died; nothing on them is waited for.
    """

    status: str
    problems: tuple[Problem, ...] = field(default=())
    leftovers: Mapping[str, list[str]] = field(default_factory=dict)
    deaf: tuple[str, ...] = ()
    silent: tuple[cluster_nodes.Node, ...] = ()

    @property
    def failed(self) -> tuple[Problem, ...]:
        """What the operator itself calls an error."""
        return tuple(p for p in self.problems if p.sort == "error")

    @property
    def hanging(self) -> tuple[Problem, ...]:
        """The operator's being at work, when all that it works at is as wanted: it hangs when that lasts."""
        at_work = self.status in ("RECONCILING", "UPDATING") and all(p.sort == "status" for p in self.problems)
        return self.problems if at_work else ()

    @property
    def ignored(self) -> tuple[Problem, ...]:
        """What the operator calls done although it isn't: its cache's doing when it lasts."""
        return tuple(p for p in self.problems if p.sort in ("missing", "field")) if self.status == "HEALTHY" else ()


def judge(wanted: Wanted, view: View) -> Verdict:
    """Compares one look with what is wanted; every problem at once."""
    status, problems = _status(wanted, view)
    problems += list(_refused(wanted, view))
    problems += list(_operator(view))
    for name in wanted.deployments:
        deployment = view.named("Deployment", wanted.titled(name))
        where = f"Deployment {wanted.titled(name)}"
        if deployment is None:
            problems.append(Problem("missing", f"{where} does not exist"))
        else:
            problems += [
                Problem("waiting", f"{where}: {text}") for text in unready(deployment, view.pods_of(deployment))
            ]
    if wanted.cni:
        problems += list(_daemon_set(wanted.cni, view))
    problems += list(_webhooks(wanted, view))
    problems += list(_fields(wanted, view))
    left = leftovers(wanted, view)
    problems += [
        Problem("waiting", f"Deployment {wanted.titled(name)}: {pointer} is still there, and nothing asks for it")
        for name, pointers in left.items()
        for pointer in pointers
    ]
    deaf = tuple(name for name in _unfilled(wanted, view) if (there := view.named("Deployment", name)) and not unready(there, view.pods_of(there)))
    return Verdict(status, tuple(dict.fromkeys(problems)), left, deaf, tuple(view.silent()))


def _status(wanted: Wanted, view: View) -> tuple[str, list[Problem]]:
    where = f"IstioOperator {wanted.namespace}/{wanted.name}"
    if view.istio_operator is None:
        return "NONE", [Problem("status", f"{where} does not exist")]
    words = release(wanted.version).status_words
    status = view.istio_operator.get("status") or {}
    word = words.get(str(status.get("status")), "NONE")
    if word == "HEALTHY":
        at_work = Problem("status", f"{where} is HEALTHY, but the operator is at work on it again")
        return word, [at_work] if view.settled is False else []
    if word == "ERROR":
        failed = [
            Problem("error", f"{where}: {name}: {str(component.get('error', 'no reason given')).strip()}")
            for name, component in sorted((status.get("componentStatus") or {}).items())
            if words.get(str(component.get("status"))) == "ERROR"
        ]
        return word, failed or [Problem("error", f"{where}: status ERROR without a reason")]
    shown = "has no status yet" if word == "NONE" else f"is {word}"
    return word, [Problem("status", f"{where} {shown}")]


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
        sort: Literal["error", "status"] = "error" if count >= REFUSED_OFTEN else "status"
        yield Problem(
            sort, f"IstioOperator {wanted.namespace}/{wanted.name}: the operator can't carry it out: {reason[:600]}"
        )


def _webhooks(wanted: Wanted, view: View) -> Iterator[Problem]:
    """Istio's programs fill in their own authority; until then the API server can't call them."""
    names = {(o["kind"], o["metadata"]["name"]) for o in view.webhooks}
    if wanted.injector and ("MutatingWebhookConfiguration", wanted.injector) not in names:
        yield Problem("missing", f"MutatingWebhookConfiguration {wanted.injector} does not exist")
    for server, unfilled in _unfilled(wanted, view).items():
        for configuration, webhook in unfilled:
            yield Problem(
                "waiting",
                f"{configuration['kind']} {configuration['metadata']['name']}: webhook {webhook['name']} has no CA bundle yet; "
                f"{server.rpartition('/')[2]} fills it in (failurePolicy {webhook.get('failurePolicy', 'Ignore')})",
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
    deployment = next((o for o in view.operator if o["kind"] == "Deployment"), None)
    if deployment is None:
        yield Problem("status", "Deployment istio-operator/istio-operator does not exist")
        return
    for text in unready(deployment, view.pods_of(deployment)):
        yield Problem("waiting", f"Deployment istio-operator/istio-operator: {text}")


def unready(deployment: Object, pods: Sequence[Object]) -> list[str]:
    """Why a Deployment isn't available in its current form; empty when it is."""
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return ["its last change has not been seen by the controller yet"]
    replicas = deployment["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= replicas and available >= replicas and status.get("replicas", 0) == updated:
        return []
    reasons = [f"{available} of {replicas} replicas available, {updated} up to date"]
    for condition in status.get("conditions", []):
        failing = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        stuck = condition["type"] == "Progressing" and condition["status"] == "False"
        if failing or stuck:
            reasons.append(f"{condition.get('reason')}: {condition.get('message')}")
    reasons += [reason for pod in pods for reason in _pod_reasons(pod)]
    return ["; ".join(reasons)]


def _pod_reasons(pod: Object) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"pod {name}: {condition.get('reason')}: {condition.get('message')}"
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            message = f": {waiting['message']}" if waiting.get("message") else ""
            ended = (container.get("lastState") or {}).get("terminated")
            last = f"; it ended with status {ended.get('exitCode')}: {ended.get('reason')}" if ended else ""
            yield f"pod {name}, container {container['name']}: {waiting.get('reason')}{message}{last}"
    if status.get("phase") == "Failed":
        yield f"pod {name}: {status.get('reason', 'Failed')}: {status.get('message', 'no reason given')}"


def _daemon_set(cni: CniDaemonSet, view: View) -> Iterator[Problem]:
    where = f"DaemonSet {cni.namespace}/{cni.name}"
    if (daemon_set := view.daemon_set) is None:
        yield Problem("missing", f"{where} does not exist")
        return
    status = daemon_set.get("status", {})
    if status.get("observedGeneration", 0) < daemon_set["metadata"].get("generation", 0):
        yield Problem("waiting", f"{where}: its last change has not been seen by the controller yet")
        return
    nodes, desired = len(view.nodes), status.get("desiredNumberScheduled", 0)
    ready, updated = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    if not (desired == nodes and min(ready, updated) >= nodes - len(view.silent())):
        yield Problem(
            "waiting", f"{where}: {ready} ready and {updated} up to date of {desired} wanted on {nodes} nodes"
        )


def _fields(wanted: Wanted, view: View) -> Iterator[Problem]:
    for field_ in wanted.fields:
        title = wanted.titled(field_.name)
        if (live := view.named(field_.kind, title)) is None:
            if field_.kind != "Deployment" or field_.name not in wanted.deployments:
                yield Problem("missing", f"{field_.kind} {title} does not exist")
            continue
        found = find(live, field_.path)
        where = f"{field_.kind} {title}: {'.'.join(field_.path)}"
        if field_.path[-1] == "ports" and isinstance(field_.value, list):
            if (has := _ports(found)) != (asked := _ports(field_.value)):
                yield Problem("field", f"{where} has {_shown(has)}, wanted exactly {_shown(asked)}")
        elif holds(live, field_.path, field_.value):
            continue
        elif field_.path[-1] == APPENDED:
            yield Problem("field", f"{where.removesuffix('.' + APPENDED)} has no {field_.value!r}")
        else:
            yield Problem("field", f"{where} is {'not set' if found is None else repr(found)}, wanted {field_.value!r}")


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


def report(wanted: Wanted, view: View, restarted: bool) -> dict[str, Any]:
    """The gate's output once everything is as wanted: nothing in it is secret.

    Returns:
        status (a word), version, deployments (names), cni (namespace, name, ready) or None, operatorRestarted, and gateway:
        namespace, name, type, hostNetwork, ports (name, port, targetPort), nodes (names) and addresses (IPs), or None.
    """
    return {
        "status": judge(wanted, view).status,
        "version": wanted.version,
        "namespace": wanted.namespace,
        "deployments": list(wanted.deployments),
        **placed(wanted, view),
        "operatorRestarted": restarted,
    }


def placed(wanted: Wanted, view: View) -> dict[str, Any]:
    """The part of the report that tells of nodes: cni and gateway. It changes when pods move, without any change of the settings."""
    daemon_set = view.daemon_set
    cni = None
    if wanted.cni and daemon_set:
        # a pod on each node, ready where the node is, or the gate would not be passed
        leaving = _leaving(wanted, view) - {node.name for node in view.silent()}
        ready = daemon_set["status"].get("numberReady", 0) - len(leaving)
        cni = {"namespace": wanted.cni.namespace, "name": wanted.cni.name, "ready": max(ready, 0)}
    return {"cni": cni, "gateway": _gateway(wanted, view)}


def _leaving(wanted: Wanted, view: View) -> set[str]:
    """Nodes that are taken out of the cluster at the end of this update."""
    return {node["metadata"]["name"] for node in view.nodes} - set(wanted.machines) if wanted.machines else set()


def _gateway(wanted: Wanted, view: View) -> dict[str, Any] | None:
    if not wanted.gateway:
        return None
    namespace, _, name = (title := wanted.titled(wanted.gateway)).partition("/")
    service, deployment = view.named("Service", title), view.named("Deployment", title)
    if service is None or deployment is None:
        return None
    pods = [pod for pod in view.pods_of(deployment) if not pod["metadata"].get("deletionTimestamp")]
    nodes = sorted({node for pod in pods if (node := pod["spec"].get("nodeName"))} - _leaving(wanted, view))
    host_network = bool(find(deployment, ("spec", "template", "spec", "hostNetwork")))
    if host_network:
        addresses = [address for node in nodes if (address := _internal_ip(view, node))]
    else:
        balancer = find(service, ("status", "loadBalancer", "ingress")) or []
        addresses = [i.get("ip") or i.get("hostname") for i in balancer] or [service["spec"].get("clusterIP")]
    return {
        "namespace": namespace,
        "name": name,
        "type": service["spec"]["type"],
        "hostNetwork": host_network,
        "ports": [
            {key: port[key] for key in ("name", "port", "targetPort", "nodePort") if key in port}
            for port in service["spec"]["ports"]
        ],
        "nodes": nodes,
        "addresses": [str(address) for address in addresses if address and address != "None"],
    }


def _internal_ip(view: View, node: str) -> str | None:
    for found in view.nodes:
        if found["metadata"]["name"] == node:
            for address in found.get("status", {}).get("addresses", []):
                if address["type"] == "InternalIP":
                    return str(address["address"])
    return None


def warnings(events: Sequence[Object], problems: Sequence[Problem], limit: int = 6) -> list[str]:
    """What Kubernetes itself says about the objects that aren't as wanted, and no problem says already: the last of its warnings.

    Args:
        events: of type Warning, of whatever object.
        problems: what isn't as wanted; a workload's pods count as the workload.
        limit: how many.
    """
    said: dict[str, str] = {}
    known = "\n".join(problem.text for problem in problems)
    for event in sorted(events, key=_time):
        about, message = event["involvedObject"], " ".join(str(event.get("message", "")).split())
        where = f"{about.get('namespace')}/{about.get('name')}"
        if message and message not in known and any(f"{where}-".startswith(f"{p.where}-") for p in problems):
            text = f"{event.get('reason')}: {message[:400]}"
            said.pop(text, None)  # the latest of those that say the same
            said[text] = f"{_time(event)[11:19]} {about.get('kind')} {where}: {text}"
    return list(said.values())[-limit:]


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def last_words(log: str, limit: int = 8) -> list[str]:
    """The lines of the operator's log that say why: it prints whole manifests, so most lines are noise."""
    errors: list[str] = []
    warnings: list[str] = []
    for line in log.splitlines():
        columns = [column.strip() for column in line.split("\t")]
        level = columns[1] if len(columns) > 2 else ""
        if line.startswith(("panic:", "fatal error:")):
            errors.append(line[:400])
        elif level in ("error", "fatal"):
            errors.append(" ".join(columns[2:])[:400])
        elif level == "warn":
            warnings.append(" ".join(columns[2:])[:400])
    return list(dict.fromkeys(errors or warnings))[-limit:]
