"""What is said of a minor release of Istio, and how its versions are written. The values are in table.py and support.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

NONE: Mapping[str, str] = MappingProxyType({})
"""What a release without any of something has."""


def _none() -> Mapping[str, str]:
    return NONE


@dataclass(frozen=True)
class Support:
    """On which Kubernetes a minor release of Istio runs.

    Attributes:
        first, last: the first and the last supported (major, minor).
        source: where that comes from.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    source: str

    def __contains__(self, kubernetes: tuple[int, int]) -> bool:
        return self.first <= kubernetes <= self.last


@dataclass(frozen=True)
class Release:
    """What one minor release of Istio's in-cluster operator needs and does.

    Attributes:
        tested: the patch versions of Istio that this program was run with, on the real operator.
        rendered: those whose own renderer was asked only: what they make of our settings is known, how their operator behaves isn't.
        status_words: IstioOperator.status.status as the operator writes it, to the word that Istio gives the value.
        profiles: the Deployments in the IstioOperator's namespace that each profile renders.
        components: keys of spec.components that stand for one Deployment, by its name.
        addons: keys of spec.addonComponents, by the Deployment that each stands for.
        creates_missing_parents: whether an overlay's path may go through a key that isn't there yet.
        appends_at_minus_one: whether `[-1]` in an overlay's path appends to a list (otherwise the operator panics).
        appends_at_length: whether, where it does not, an index that is the list's length does.
        reads_texts: whether an overlay's value that is the YAML of a map is taken for that map.
        deletes_map_keys: whether an overlay without a value deletes a map's key (otherwise it is silently ignored).
        gateway_names: the names that its charts can render; empty where the gateway's own name is used.
        ingress_mounts, egress_mounts: volumes of a gateway's pod and where its proxy mounts them, those of every installation.
        egress_sds: whether the egress gateway has a Role of its own for Secrets, as the ingress gateway always has.
        gateway_runs_as_root: whether a gateway runs as root unless values.gateways.KIND.runAsRoot says otherwise.
        gateway_fs_group: whether the pod of a gateway that is not root has a group for its volumes.
        gateway_architectures: whether its charts list the processors that a gateway may run on, as affinity.
        merges_gateways: whether a gateway of the settings is merged into the profile's of the same name, and the others of the
            profile stay (otherwise the list replaces the profile's).
        service_ports: what k8s.service.ports does: `added` to the Service's, never cut; or `whole`, the ports of Service and pod.
        mesh_expansion_ports: whether the chart adds ports to the pod that only values.gateways.KIND.meshExpansionPorts cuts.
        chart_ports: the ports of a gateway's chart by kind, where k8s.service.ports stands for all of them.
        port_protocols: whether the pod's ports have the protocols of the service's.
        image_variants: whether the charts know values.global.variant.
        ignores_on_demand: whether the operator leaves alone an IstioOperator with the annotation install.istio.io/ignoreReconcile.
        status_port: where a gateway answers that it is ready.
        owner_label: the label by which the operator's objects carry the IstioOperator's name.
        prunes_old_version: whether nothing of an earlier version can be there, or the operator takes it away itself.
        forgets_recreated: whether the operator's object cache ignores an IstioOperator that was deleted and created again.
        says_when_done: whether the operator's log says that a reconcile has ended.
        operator_groups: API groups of Istio's own that the operator's ClusterRole opens.
        operator_leases: whether it may have Leases.
        operator_workloads, operator_pods, operator_quotas: what it may have of the group of Deployments, of pods and of quotas.
        operator_hardened: whether its container drops all rights, and takes WAIT_FOR_RESOURCES_TIMEOUT and REVISION.
        operator_user: the user that the container of a hardened one names; None leaves it to the image.
        operator_history: how many of its Deployment's earlier ReplicaSets are kept, where its chart says so.
        operator_monitored: whether it is told where to serve its metrics (and no longer when to pull its image).
        cni_pulls_always: whether the CNI plugin's image is pulled though the node has it, unless values.cni.pullPolicy says otherwise.
        cni_probed: whether the installer of the CNI plugin has a readiness probe.
        proxies_pull_always: whether the image of sidecars, Prometheus' own among them, is pulled though the node has it, unless
            values.global.imagePullPolicy says otherwise.
        cni_agent: whether the CNI plugin's installer is told by its environment and arguments, names the settings in a flat entry of
            the chain, and keeps its kubeconfig beside its sockets (otherwise a template says them, and the chain's folder has it).
        completion: how istioctl writes completion files; `collateral` is a folder of files, `completion` prints one.
    """

    status_words: Mapping[str, str]
    profiles: Mapping[str, frozenset[str]]
    ingress_mounts: Mapping[str, str]
    egress_mounts: Mapping[str, str]
    tested: tuple[str, ...] = ()
    rendered: tuple[str, ...] = ()
    components: Mapping[str, str] = field(default_factory=_none)
    addons: Mapping[str, str] = field(default_factory=_none)
    creates_missing_parents: bool = False
    appends_at_minus_one: bool = False
    appends_at_length: bool = True
    reads_texts: bool = True
    deletes_map_keys: bool = True
    gateway_names: Mapping[str, str] = field(default_factory=_none)
    egress_sds: bool = False
    gateway_runs_as_root: bool = False
    gateway_fs_group: bool = True
    gateway_architectures: bool = True
    merges_gateways: bool = True
    service_ports: Literal["added", "whole"] = "whole"
    mesh_expansion_ports: bool = False
    chart_ports: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    port_protocols: bool = True
    image_variants: bool = False
    ignores_on_demand: bool = True
    status_port: int = 15021
    owner_label: str = "install.operator.istio.io/owning-resource"
    prunes_old_version: bool = False
    forgets_recreated: bool = False
    says_when_done: bool = False
    operator_groups: tuple[str, ...] = ("authentication", "config", "install", "networking", "security")
    operator_leases: bool = True
    operator_workloads: tuple[str, ...] = ("daemonsets", "deployments", "deployments/finalizers", "replicasets")
    operator_pods: tuple[str, ...] = ("pods", "pods/proxy")
    operator_quotas: tuple[str, ...] = ()
    operator_hardened: bool = True
    operator_user: int | None = 1337
    operator_history: int | None = None
    operator_monitored: bool = False
    cni_pulls_always: bool = False
    cni_probed: bool = True
    proxies_pull_always: bool = False
    cni_agent: bool = False
    completion: Literal["collateral", "completion"] = "collateral"

    @property
    def tried(self) -> tuple[str, ...]:
        """The patch versions that something is known of."""
        return (*self.tested, *self.rendered)


def minor_of(istio: str) -> str:
    """The minor release of a version: `1.5` of `1.5.0`."""
    return istio.rpartition(".")[0]


def numbers(istio: str) -> tuple[int, int, int]:
    """A version in its parts, for comparing."""
    major, minor, patch = (int(part) for part in istio.split("."))
    return major, minor, patch
