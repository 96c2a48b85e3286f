"""What depends on Istio's version, by minor release. The only place that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from components.istio.releases.model import NONE, Release, minor_of

_WORDS = {word: word for word in ("NONE", "UPDATING", "RECONCILING", "HEALTHY", "ERROR")}
_NUMBERS = {str(number): word for number, word in enumerate(_WORDS)}
"""1.5's InstallStatus has no JSON marshaller, so numbers arrive (0 to 4 in this order); the comment in 1.5.0's own CRD
(operator/data/operator/templates/crd.yaml) lists the last three in another order and is wrong. Words come from 1.6."""


def _profiles(**deployments: str) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({profile: frozenset(names.split()) for profile, names in deployments.items()})


def _mounts(
    kind: str, more: Mapping[str, str] = NONE, *, config: bool = False, first: Mapping[str, str] = NONE
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
    cni_probed=False,
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
    gateway_names=NONE,
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
    cni_probed=True,
)

# 1.9.4: no add-ons; gateways know no certificates from a socket of their node's any more.
_OWN_FILES = {"istio-envoy": "/etc/istio/proxy", "istio-data": "/var/lib/istio/data"}
_ISTIOD_PORT = {"name": "tcp-istiod", "port": 15012, "targetPort": 15012}
_NINE = replace(
    _EIGHT,
    tested=("1.9.4",),
    ignores_on_demand=True,
    addons=NONE,
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
    if (found := RELEASES.get(minor_of(istio))) is None:
        raise ValueError(f"Istio {istio} is not known here; known are {', '.join(f'{minor}.x' for minor in RELEASES)}")
    return found


def tried() -> list[str]:
    """Every version of Istio that was tried, the oldest first. A stack may have other patch releases of theirs, too."""
    return [version for known in RELEASES.values() for version in known.tried]
