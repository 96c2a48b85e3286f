"""Which Istio runs on which Kubernetes, and everything else that depends on Istio's version. The only place that decides it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

_NONE: Mapping[str, str] = MappingProxyType({})


def _none() -> Mapping[str, str]:
    return _NONE


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


def _listed(first: int, last: int) -> Support:
    return Support((1, first), (1, last), 'Istio, Supported releases, "Supported Kubernetes versions"')


SUPPORTED: Mapping[str, Support] = MappingProxyType(
    {
        "1.5": Support(
            (1, 14),
            (1, 16),
            "Istio 1.5, Setup, Platform requirements: 1.14, 1.15 and 1.16; its CRDs and webhooks are v1beta1, gone in 1.22",
        ),
        "1.6": Support((1, 15), (1, 18), "Istio 1.6, Setup, Platform requirements: 1.15, 1.16, 1.17 and 1.18"),
        "1.7": Support(
            (1, 16),
            (1, 18),
            "Istio 1.7, Setup, Platform requirements: 1.16, 1.17 and 1.18; 1.16 is required (upgrade notes)",
        ),
        "1.8": Support((1, 16), (1, 19), "Istio 1.8, Setup, Platform requirements: 1.16, 1.17, 1.18 and 1.19"),
        # data/compatibility/supportStatus.yml of istio.io, the key k8sVersions, not the merely tested ones
        "1.9": _listed(17, 20),
        "1.10": _listed(18, 21),
        "1.11": _listed(18, 22),
        "1.12": _listed(19, 22),
        "1.13": _listed(20, 23),
        "1.14": _listed(21, 24),
        "1.15": _listed(22, 25),
        "1.16": _listed(22, 25),
        "1.17": _listed(23, 26),
        "1.18": _listed(24, 27),
        "1.19": _listed(25, 28),
        "1.20": _listed(25, 29),
        "1.21": _listed(26, 29),
        "1.22": _listed(27, 30),
        "1.23": _listed(27, 30),
    }
)
"""By minor release, every one from 1.5 to the last with an in-cluster operator, accepted here or not."""


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
    proxies_pull_always: bool = False
    cni_agent: bool = False
    completion: Literal["collateral", "completion"] = "collateral"

    @property
    def tried(self) -> tuple[str, ...]:
        """The patch versions that something is known of."""
        return (*self.tested, *self.rendered)


_WORDS = {word: word for word in ("NONE", "UPDATING", "RECONCILING", "HEALTHY", "ERROR")}
_NUMBERS = {str(number): word for number, word in enumerate(_WORDS)}
"""1.5's InstallStatus has no JSON marshaller, so numbers arrive (0 to 4 in this order); the comment in 1.5.0's own CRD
(operator/data/operator/templates/crd.yaml) lists the last three in another order and is wrong. Words come from 1.6."""


def _profiles(**deployments: str) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({profile: frozenset(names.split()) for profile, names in deployments.items()})


def _mounts(
    kind: str, more: Mapping[str, str] = _NONE, *, config: bool = False, first: Mapping[str, str] = _NONE
) -> Mapping[str, str]:
    """The volumes that every release's gateway has, with `more` of a release's own, and Istio's configuration from 1.6 on."""
    return MappingProxyType(
        {
            **first,
            "istiod-ca-cert": "/var/run/secrets/istio",
            "podinfo": "/etc/istio/pod",
            **more,
            "istio-token": "/var/run/secrets/tokens",
            **({"config-volume": "/etc/istio/config"} if config else {}),
            f"{kind}gateway-certs": f"/etc/istio/{kind}gateway-certs",
            f"{kind}gateway-ca-certs": f"/etc/istio/{kind}gateway-ca-certs",
        }
    )


_MIXER = {"policy": "istio-policy", "telemetry": "istio-telemetry"}
_TELEMETRY_ADDONS = {"prometheus": "prometheus", "grafana": "grafana", "kiali": "kiali", "tracing": "istio-tracing"}
_DNS = {"istiocoredns": "istiocoredns"}

_FIVE = Release(
    tested=("1.5.0",),
    status_words=MappingProxyType({**_NUMBERS, **_WORDS}),
    profiles=_profiles(
        default="istiod istio-ingressgateway prometheus",
        demo="istiod istio-ingressgateway istio-egressgateway grafana istio-tracing kiali prometheus",
        empty="",
        minimal="istiod",
        remote="istiod istio-ingressgateway",
        separate="istiod istio-ingressgateway istio-citadel istio-galley istio-sidecar-injector istio-telemetry prometheus",
    ),
    components=MappingProxyType(
        {
            "pilot": "istiod",
            **_MIXER,
            "citadel": "istio-citadel",
            "galley": "istio-galley",
            "sidecarInjector": "istio-sidecar-injector",
        }
    ),
    addons=MappingProxyType({**_TELEMETRY_ADDONS, **_DNS}),
    reads_texts=False,
    port_protocols=False,
    ignores_on_demand=False,
    deletes_map_keys=False,
    gateway_names=MappingProxyType({"ingress": "istio-ingressgateway", "egress": "istio-egressgateway"}),
    ingress_mounts=_mounts("ingress", {"ingressgatewaysdsudspath": "/var/run/ingress_gateway"}),
    egress_mounts=_mounts("egress"),
    gateway_runs_as_root=True,
    merges_gateways=False,
    service_ports="added",
    mesh_expansion_ports=True,
    status_port=15020,
    owner_label="install.operator.istio.io/owner-name",
    prunes_old_version=True,
    forgets_recreated=True,
    says_when_done=True,
    operator_groups=("authentication", "config", "install", "networking", "rbac", "security"),
    operator_leases=False,
    operator_workloads=(
        "daemonsets",
        "deployments",
        "deployments/finalizers",
        "ingresses",
        "replicasets",
        "statefulsets",
    ),
    operator_pods=("pods",),
    operator_hardened=False,
    cni_pulls_always=True,
)

_STATUS_PORT = {"name": "status-port", "port": 15021, "targetPort": 15021}
_WEB_PORTS = (
    {"name": "http2", "port": 80, "targetPort": 8080},
    {"name": "https", "port": 443, "targetPort": 8443},
)
_TLS_PORT = {"name": "tls", "port": 15443, "targetPort": 15443}

# manifests/charts and operator/pkg of 1.6.5: names drive the charts, 15021 is the status port, overlays delete a map's key, and
# the cache follows deletions; the CRD is still v1beta1 and the ClusterRole the one of 1.5. 1.5's values say IfNotPresent for proxies,
# these nothing, which their templates read as Always.
_SIX = replace(
    _FIVE,
    tested=("1.6.5",),
    status_words=MappingProxyType(_WORDS),
    profiles=_profiles(
        default="istiod istio-ingressgateway prometheus",
        demo="istiod istio-ingressgateway istio-egressgateway grafana istio-tracing kiali prometheus",
        empty="",
        minimal="istiod",
        preview="istiod istio-ingressgateway prometheus",
        remote="istiod istio-ingressgateway",
    ),
    components=MappingProxyType({"pilot": "istiod", **_MIXER}),
    appends_at_length=False,
    reads_texts=True,
    deletes_map_keys=True,
    gateway_names=_NONE,
    ingress_mounts=_mounts(
        "ingress",
        {"istio-envoy": "/etc/istio/proxy", "ingressgatewaysdsudspath": "/var/run/ingress_gateway"},
        config=True,
    ),
    egress_mounts=_mounts("egress", {"istio-envoy": "/etc/istio/proxy"}, config=True),
    service_ports="whole",
    chart_ports=MappingProxyType(
        {"ingress": (_STATUS_PORT, *_WEB_PORTS, _TLS_PORT), "egress": (*_WEB_PORTS, _TLS_PORT)}
    ),
    status_port=15021,
    owner_label="install.operator.istio.io/owning-resource",
    prunes_old_version=False,
    forgets_recreated=False,
    says_when_done=False,
    proxies_pull_always=True,
)

# 1.7.8: no profile has an add-on any more (they can be asked for); gateways are not root, listen on 8080 and 8443, and are merged
# into the profile's by name (operator/pkg/util/merge_iop.go).
_SEVEN = replace(
    _SIX,
    tested=("1.7.8",),
    profiles=_profiles(
        default="istiod istio-ingressgateway",
        demo="istiod istio-ingressgateway istio-egressgateway",
        empty="",
        minimal="istiod",
        preview="istiod istio-ingressgateway",
        remote="istiod istio-ingressgateway",
    ),
    creates_missing_parents=True,
    appends_at_minus_one=True,
    ingress_mounts=_mounts(
        "ingress",
        {
            "istio-envoy": "/etc/istio/proxy",
            "gatewaysdsudspath": "/var/run/ingress_gateway",
            "istio-data": "/var/lib/istio/data",
        },
        config=True,
    ),
    egress_mounts=_mounts(
        "egress",
        {
            "istio-envoy": "/etc/istio/proxy",
            "gatewaysdsudspath": "/var/run/ingress_gateway",
            "istio-data": "/var/lib/istio/data",
        },
        config=True,
    ),
    egress_sds=True,
    gateway_runs_as_root=False,
    merges_gateways=True,
    mesh_expansion_ports=False,
    operator_groups=("authentication", "config", "install", "networking", "security"),
    operator_leases=True,
    operator_pods=("pods", "pods/proxy"),
    operator_hardened=True,
    cni_pulls_always=False,
)

# 1.8.0: no mixer, and no add-ons but istiocoredns (releasenotes/notes/remove-addons-mixer-istioctl.yaml).
_EIGHT = replace(
    _SEVEN,
    tested=("1.8.0",),
    port_protocols=True,
    components=MappingProxyType({"pilot": "istiod"}),
    addons=MappingProxyType(_DNS),
    operator_leases=False,
)

# 1.9.4: no add-ons; gateways know no certificates from a socket of their node's any more.
_OWN_FILES = {"istio-envoy": "/etc/istio/proxy", "istio-data": "/var/lib/istio/data"}
_ISTIOD_PORT = {"name": "tcp-istiod", "port": 15012, "targetPort": 15012}
_NINE = replace(
    _EIGHT,
    tested=("1.9.4",),
    ignores_on_demand=True,
    addons=_NONE,
    ingress_mounts=_mounts("ingress", _OWN_FILES, config=True),
    egress_mounts=_mounts("egress", _OWN_FILES, config=True),
    chart_ports=MappingProxyType(
        {
            "ingress": (_STATUS_PORT, *_WEB_PORTS, _ISTIOD_PORT, _TLS_PORT),
            "egress": (*_WEB_PORTS, _TLS_PORT),
        }
    ),
    operator_leases=True,
    operator_workloads=("daemonsets", "deployments", "deployments/finalizers", "replicasets"),
)

# 1.11.4: a gateway that lists no ports has none for other clusters.
_ELEVEN = replace(
    _NINE,
    tested=("1.11.4",),
    chart_ports=MappingProxyType({"ingress": (_STATUS_PORT, *_WEB_PORTS), "egress": _WEB_PORTS}),
    proxies_pull_always=False,
)

# 1.12.7: the operator may forward ports of pods.
_TWELVE = replace(_ELEVEN, tested=("1.12.7",), operator_pods=("pods", "pods/proxy", "pods/portforward"))

# 1.13.4: nothing of what stands here.
_THIRTEEN = replace(_TWELVE, tested=("1.13.4",))

# From here on only rendered: each one's charts and operator were read, and its own istioctl was asked.

# 1.15.0: gateways have sockets and certificates for a workload's identity, and may run on any processor; profile `remote` is gone
# for a while.
_IDENTITY = {
    "workload-socket": "/var/run/secrets/workload-spiffe-uds",
    "credential-socket": "/var/run/secrets/credential-uds",
    "workload-certs": "/var/run/secrets/workload-spiffe-credentials",
}
_FIFTEEN = replace(
    _THIRTEEN,
    tested=(),
    rendered=("1.15.0",),
    profiles=MappingProxyType({name: has for name, has in _THIRTEEN.profiles.items() if name != "remote"}),
    ingress_mounts=_mounts("ingress", _OWN_FILES, config=True, first=_IDENTITY),
    egress_mounts=_mounts("egress", _OWN_FILES, config=True, first=_IDENTITY),
    gateway_architectures=False,
    operator_history=10,
)

# 1.16.5: `remote` is there again, and has nothing but what leads to another cluster's istiod.
_SIXTEEN = replace(
    _FIFTEEN,
    rendered=("1.16.5",),
    profiles=MappingProxyType({**_FIFTEEN.profiles, "remote": frozenset()}),
    operator_quotas=("resourcequotas",),
    image_variants=True,
)

# 1.18.1: the operator serves its metrics where it is told.
_EIGHTEEN = replace(_SIXTEEN, rendered=("1.18.1",), operator_monitored=True)

_NINETEEN = replace(_EIGHTEEN, rendered=("1.19.0",))

# 1.20.3: the operator's user is its image's, and gateways have no group for their volumes.
_TWENTY = replace(_NINETEEN, rendered=("1.20.3",), gateway_fs_group=False, operator_user=None)

_TWENTY_ONE = replace(_TWENTY, rendered=("1.21.2",))

# 1.22.2: the operator may have telemetry and extensions.
_TWENTY_TWO = replace(
    _TWENTY_ONE,
    rendered=("1.22.2",),
    operator_groups=("authentication", "config", "install", "networking", "security", "telemetry", "extensions"),
)

# 1.23.2: the CNI plugin's installer writes its entry of the chain itself (cni/pkg/install/cniconfig.go, kubeconfig.go).
_TWENTY_THREE = replace(_TWENTY_TWO, rendered=("1.23.2",), cni_agent=True)

RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "1.5": _FIVE,
        "1.6": _SIX,
        "1.7": _SEVEN,
        "1.8": _EIGHT,
        "1.9": _NINE,
        "1.11": _ELEVEN,
        "1.12": _TWELVE,
        "1.13": _THIRTEEN,
        "1.15": _FIFTEEN,
        "1.16": _SIXTEEN,
        "1.18": _EIGHTEEN,
        "1.19": _NINETEEN,
        "1.20": _TWENTY,
        "1.21": _TWENTY_ONE,
        "1.22": _TWENTY_TWO,
        "1.23": _TWENTY_THREE,
    }
)
"""What is known of each minor release that a version was tried of, the oldest first."""


def release(istio: str) -> Release:
    """What holds for the version `istio` (as `1.5.0`).

    Raises:
        ValueError: when it is not in the table.
    """
    if (found := RELEASES.get(_minor(istio))) is None:
        raise ValueError(f"Istio {istio} is not known here; known are {', '.join(f'{minor}.x' for minor in RELEASES)}")
    return found


def tried() -> list[str]:
    """Every version of Istio that was tried, the oldest first. A stack may have other patch releases of theirs, too."""
    return [version for known in RELEASES.values() for version in known.tried]


def check_pair(istio: str, kubernetes: str) -> str | None:
    """Why Istio `istio` can't be installed on Kubernetes `kubernetes`, with what to do instead; None when it can.

    Args:
        istio: as `1.5.0`.
        kubernetes: as `v1.16.3`.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", istio):
        return f"{istio!r} is no version of Istio; write it as 1.5.0"
    server = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?", kubernetes)
    if server is None:
        return f"{kubernetes!r} is no version of Kubernetes; write it as v1.16.3"
    here = (int(server[1]), int(server[2]))
    fitting = [v for v in tried() if here in SUPPORTED[_minor(v)]]
    instead = f"use {', '.join(fitting)}" if fitting else f"none is known for Kubernetes {kubernetes}"
    if _numbers(istio) >= (1, 24, 0):
        return f"Istio {istio} has no in-cluster operator any more (it was removed in 1.24); {instead}"
    supported = SUPPORTED.get(_minor(istio))
    if supported and here not in supported:
        shown = " to ".join(f"v{major}.{minor}" for major, minor in (supported.first, supported.last))
        return (
            f"Istio {istio} does not run on Kubernetes {kubernetes}: it needs {shown} ({supported.source}); {instead}"
        )
    if _minor(istio) not in RELEASES:
        return (
            f"Istio {istio} is of a release that was never tried with this program (it takes those of "
            f"{', '.join(tried())}); {instead}"
        )
    return None


def check_upgrade(before: str, after: str) -> str | None:
    """Why a mesh can't be taken from one version of Istio to another in place; None when it can.

    Source: Istio, Setup, Upgrade: in place from one minor release to the next; further is not tested, and downgrades are not
    supported.

    Args:
        before: what runs.
        after: what is asked for.
    """
    (_, was, _), (_, will, _) = _numbers(before), _numbers(after)
    if will < was:
        return (
            f"Istio {before} can't go back to {after}: a downgrade in place is not supported; set istio.version back, or take "
            f"istio out of the stack, `pulumi up`, and put it in again with {after}"
        )
    if will > was + 1:
        steps = {_minor(v): v for v in tried() if was < _numbers(v)[1] < will}
        missing = [minor for minor in (f"1.{number}" for number in range(was + 1, will)) if minor not in steps]
        return (
            f"Istio {before} can't go to {after} in one step: Istio supports an upgrade from one minor release to the next; "
            + (
                f"no version of {', '.join(missing)} is known here, so take istio out of the stack, `pulumi up`, and put it in "
                f"again with {after}"
                if missing
                else f"go by {', then '.join(steps.values())}"
            )
        )
    return None


def unproven(istio: str) -> str | None:
    """What nobody has seen of a version that is accepted all the same; None when it was run on its real operator."""
    known = RELEASES[_minor(istio)]
    if istio in known.tested:
        return None
    if istio in known.rendered:
        seen = "what it makes of these settings was compared with its own istioctl, but how its operator behaves was not seen"
    else:
        seen = f"{', '.join(known.tried)} was, and it is taken to be like that one, which patch releases usually are"
    return f"Istio {istio} was never run with this program: {seen}; try it where nothing is lost"


def _minor(istio: str) -> str:
    return istio.rpartition(".")[0]


def _numbers(istio: str) -> tuple[int, int, int]:
    major, minor, patch = (int(part) for part in istio.split("."))
    return major, minor, patch
