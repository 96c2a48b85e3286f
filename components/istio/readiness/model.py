"""What is wanted of the mesh, what one look shows, and what a look is found to be. Only models here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.problem import Code, Problem
from components.remote.models import Request
from components.sealos import nodes as cluster_nodes

Object = Mapping[str, Any]


class Field(Request):
    """Something a live object must hold.

    Attributes:
        kind: Deployment or Service.
        name: the object's, with its namespace where that isn't the mesh's (`istio-ingress/edge`), as everywhere here.
        path: elements of an overlay's path (components/istio/gateways/path.py).
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
class Verdict:
    """All problems of one look; none means ready.

    Attributes:
        status: Istio's word for the status, NONE when there is none.
        problems: what isn't as wanted; `where` is the object's kind and its name, with its namespace where it has one.
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
        return tuple(p for p in self.problems if p.code is Code.OPERATOR_ERROR)

    @property
    def hanging(self) -> tuple[Problem, ...]:
        """The operator's being at work, when all that it works at is as wanted: it hangs when that lasts."""
        at_work = self.status in ("RECONCILING", "UPDATING") and all(p.code in (Code.MESH_STATUS, Code.OPERATOR_MISSING) for p in self.problems)
        return self.problems if at_work else ()

    @property
    def ignored(self) -> tuple[Problem, ...]:
        """What the operator calls done although it isn't: its cache's doing when it lasts."""
        return tuple(p for p in self.problems if p.code in (Code.OBJECT_MISSING, Code.OBJECT_DIFFERS)) if self.status == "HEALTHY" else ()
