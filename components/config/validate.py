"""What single sections can't show: keys that don't go together, with each other or with what Istio, Kubernetes and Contour can do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.config import fields
from components.config.address_plan import address_plan
from components.config.base import PROJECT, SettingsError
from components.config.dashboards import DashboardSettings
from components.config.hosts import Machine
from components.config.mesh import CONFIG_FILES, CniSettings, GatewaySettings, IstioSettings
from components.config.operator_file import of_global
from components.config.stack import Settings
from components.dashboards import fit
from components.istio import host_ports
from components.istio.cni_chain import CONFIG_FOLDER
from components.istio.gateways.host_network import HOSTNAME
from components.istio.gateways.model import OverlayError
from components.istio.host_ports import HostGateway
from components.istio.releases.compatibility import check_pair
from components.istio.releases.table import RELEASES, release
from components.kubernetes.values import as_map
from components.plan import Plan, plan_of


def checked(settings: Settings) -> Plan:
    """What the settings come to, when they can.

    Raises:
        SettingsError: with what single keys can't show; each line names the keys that don't go together.
    """
    istio = settings.istio
    plan: Plan | None = None
    refused: Sequence[str] = ()
    if istio is None or (_is_known(istio) and not [*_not_in_release(istio)]):
        try:
            plan = plan_of(settings)
        except OverlayError as error:
            refused = error.problems
    if problems := [*_contradictions(settings, plan, refused)]:
        raise SettingsError(problems)
    assert plan  # noqa: S101 - of what is not planned, something is wrong
    return plan


def _contradictions(settings: Settings, plan: Plan | None, refused: Sequence[str]) -> Iterator[str]:
    yield from _listed_once(settings)
    yield from _pinned(settings)
    count = len(settings.masters)
    if count and count % 2 == 0 and not settings.cluster.lost:
        yield (
            f"{PROJECT}:masters lists {count} machines: an even number of etcd members tolerates no more failures than "
            f"{count - 1}; use 1, 3 or 5. Where a master is gone for good, name it in {PROJECT}:cluster.lost"
        )
    yield from _api_is_reached(settings)
    yield from address_plan(settings)
    mesh = list(_mesh_fits(settings, plan, refused))
    yield from mesh
    if plan and not mesh:
        yield from fit.problems(settings, plan)


def _places(settings: Settings) -> Iterable[tuple[str, Machine]]:
    """Every machine with its place in the stack's file."""
    for key, machines in (("masters", settings.masters), ("nodes", settings.nodes)):
        yield from ((f"{key}[{position}]", machine) for position, machine in enumerate(machines))


def _listed_once(settings: Settings) -> Iterable[str]:
    seen: dict[tuple[str, str], str] = {}
    for place, machine in _places(settings):
        for kind, value in (("name", machine.name), ("address", machine.address)):
            first = seen.setdefault((kind, value), f"{place}.{kind}")
            if first != f"{place}.{kind}":
                yield (
                    f"{PROJECT}:{place}.{kind}: {value} is listed already as {first}; "
                    f"every machine is listed once, as master or as node"
                )


def _pinned(settings: Settings) -> Iterable[str]:
    if settings.ssh.host_keys == "unverified" or settings.ssh.known_hosts:
        return
    for place, machine in _places(settings):
        if not machine.host_key:
            yield (
                f"{PROJECT}:{place}.hostKey is missing: {machine.name} could be anyone. Add what "
                f"`python3 -m components.host_keys` prints (and compare it), or {PROJECT}:ssh.knownHosts, or say "
                f"{PROJECT}:ssh.hostKeys: unverified"
            )
    if settings.ssh.bastion and not settings.ssh.bastion.host_key:
        yield f"{PROJECT}:ssh.bastion.hostKey is missing: every log-in passes the bastion; pin it as the machines"


def _api_is_reached(settings: Settings) -> Iterable[str]:
    cluster = settings.cluster
    if cluster.api_endpoint is None:
        return
    if cluster.api_tunnel is not None:
        yield f"{PROJECT}:cluster.apiEndpoint and cluster.apiTunnel: the API server is reached by one of them; take the other out"
    host, _ = fields.host_and_port(cluster.api_endpoint)
    names = {*cluster.cert_sans, *(machine.address for machine in settings.masters[:1])}
    if not names & {host, f"*.{host.partition('.')[2]}"}:
        yield (
            f"{PROJECT}:cluster.apiEndpoint: the API server's certificate would not be good for {host}; add it to cluster.certSans "
            f"(on a live cluster, which keeps its certificate, use cluster.apiTunnel)"
        )


def _mesh_fits(settings: Settings, plan: Plan | None, refused: Sequence[str]) -> Iterator[str]:
    istio = settings.istio
    if istio is None:
        return
    if problem := check_pair(istio.version, settings.cluster.kubernetes_version):
        yield f"{PROJECT}:istio.version: {problem}"
    if problem := check_cni_namespace(istio.cni, settings.cluster.kubernetes_version):
        yield f"{PROJECT}:istio.cni.namespace: {problem}"
    if problem := _cni_misfit(istio.cni, settings.cluster.network):
        yield f"{PROJECT}:{problem}"
    if not _is_known(istio):
        return  # what that version makes of the rest, nobody knows
    if unknown := list(_not_in_release(istio)):
        yield from unknown
        return
    yield from (f"{PROJECT}:{problem}" for problem in refused)
    yield from _host_ports_are_free(settings, istio, plan.host_gateways if plan else ())
    if as_map(istio.values.get("kiali")).get("createDemoSecret"):
        yield (
            f"{PROJECT}:istio.values.kiali.createDemoSecret would open Kiali to admin/admin; take it out: this program makes a "
            f"log-in of its own ({PROJECT}:kialiPassphrase sets yours)"
        )
    names = {m.name for m in settings.machines}
    for key, gateways in (("ingressGateways", istio.ingress_gateways), ("egressGateways", istio.egress_gateways)):
        for position, gateway in enumerate(gateways):
            host = as_map(as_map(gateway.k8s).get("nodeSelector")).get(HOSTNAME)
            if host is not None and host not in names:
                yield (
                    f"{PROJECT}:istio.{key}[{position}].k8s.nodeSelector: no machine is named {host!r}, so the gateway's "
                    f"pod could never be scheduled; the machines are {', '.join(sorted(names))}"
                )
            if gateway.host_network:
                yield from _host_network_nodes(settings, f"istio.{key}[{position}]", gateway)


def _is_known(istio: IstioSettings) -> bool:
    return istio.version.rpartition(".")[0] in RELEASES


def _not_in_release(istio: IstioSettings) -> Iterable[str]:
    """What a stack names that its version of Istio does not have."""
    known = release(istio.version)
    if istio.profile not in known.profiles:
        yield (
            f"{PROJECT}:istio.profile: Istio {istio.version} has no profile {istio.profile}; it has "
            f"{', '.join(sorted(known.profiles))}"
        )
    if gone := [name for name in istio.addon_components if name not in known.addons]:
        yield (
            f"{PROJECT}:istio.addonComponents: Istio {istio.version} installs no {', '.join(gone)} (from 1.8 on it brings no "
            f"add-ons but {', '.join(known.addons)}); take it out, and install what you need of it beside the mesh"
        )


def _host_network_nodes(settings: Settings, where: str, gateway: GatewaySettings) -> Iterable[str]:
    wanted = gateway.host_network.nodes if gateway.host_network else ()
    roles = {machine.name: machine.role for machine in settings.machines}
    for node in wanted:
        if node not in roles:
            yield (
                f"{PROJECT}:{where}.hostNetwork.nodes: no machine is named {node!r}; the machines are "
                f"{', '.join(sorted(roles))}"
            )
        elif roles[node] == "master" and not (gateway.k8s or {}).get("tolerations"):
            yield (
                f"{PROJECT}:{where}.hostNetwork.nodes: {node} is a master, whose taint keeps pods off; name a node, or add "
                f"k8s.tolerations: [{{key: node-role.kubernetes.io/master, operator: Exists, effect: NoSchedule}}]"
            )


def check_cni_namespace(cni: CniSettings, kubernetes: str) -> str | None:
    """Why the CNI plugin's pods could not be made in that namespace; None when they can.

    Source: Kubernetes' admission plugin Priority takes system-cluster-critical and system-node-critical outside kube-system
    only since 1.17 (cilium/cilium pull request 12151 has the switch).
    """
    _, minor = (int(part) for part in kubernetes.removeprefix("v").split(".")[:2])
    if cni.enabled and cni.namespace != "kube-system" and minor < 17:
        return (
            f"{cni.namespace!r} can't hold the plugin on Kubernetes {kubernetes}: its pods are critical add-ons "
            f"(system-cluster-critical), which up to Kubernetes 1.16 may only run in kube-system; write kube-system"
        )
    return None


def _cni_misfit(cni: CniSettings, network: str) -> str | None:
    """Why the plugin can't join the chain of that pod network, with its settings key; None when it can."""
    if not cni.enabled:
        return None
    if network not in CONFIG_FILES and "config_file" not in cni.model_fields_set:
        return (
            f"istio.cni.configFile: which file {network} writes into {CONFIG_FOLDER} depends on its release; name it, or set "
            f"istio.cni.enabled: false"
        )
    other = next((name for name in (*CONFIG_FILES, "cilium") if name in cni.config_file and name != network), None)
    if other:
        fix = "leave it out" if network in CONFIG_FILES else f"name {network}'s"
        return f"istio.cni.configFile: {cni.config_file} is {other}'s, but cluster.network is {network}; {fix}"
    return None


def _host_ports_are_free(settings: Settings, istio: IstioSettings, gateways: Sequence[HostGateway]) -> Iterator[str]:
    """Before anything is changed: the mesh comes last, and what it can't take must not be found out there."""
    masters, nodes = ([m.name for m in machines] for machines in (settings.masters, settings.nodes))
    claims = [*host_ports.machine_claims(settings), *host_ports.gateway_claims(gateways, [*masters, *nodes], istio.version)]
    yield from (f"{PROJECT}:{problem}" for problem in (*host_ports.conflicts(claims), *host_ports.crowded(gateways, masters, nodes)))


_BCRYPT = 72
"""Bytes of a password that bcrypt can hash."""


def secrets_of_dashboards(dashboards: DashboardSettings | None, config: Mapping[str, Any]) -> Iterable[str]:
    """The secrets that the section needs, and those that nothing would use."""
    if dashboards is None:
        return
    for key, needed, why in (
        ("dashboardsPassword", dashboards.basic_auth is not None, "dashboards.basicAuth"),
        ("dashboardsTlsKey", bool(dashboards.tls and dashboards.tls.certificate), "dashboards.tls.certificate"),
    ):
        if needed and not config.get(key):
            yield f"{PROJECT}:{key} is missing, which {why} needs; `pulumi config set --secret {PROJECT}:{key}` sets it"
        elif config.get(key) and not needed:
            yield f"{PROJECT}:{key} is set, but without {PROJECT}:{why} nothing uses it; set that, or remove the key"
    password = config.get("dashboardsPassword")
    if dashboards.basic_auth and isinstance(password, str) and len(password.encode(errors="replace")) > _BCRYPT:
        yield (
            f"{PROJECT}:dashboardsPassword is longer than {_BCRYPT} bytes, of which bcrypt, which the Ingress controller compares it by, "
            f"takes no more; set a shorter one"
        )


ENDING_HUBS = ("gcr.io/istio-release", "registry.istio.io")
"""Hubs on Google's hosting, which Istio leaves: nothing is published there from 1.31 on, and both end in December 2026 (Istio 1.31,
upgrade notes)."""


def remarks(settings: Settings, plan: Plan, config: Mapping[str, Any]) -> Iterator[str]:
    """What a stack may say and yet hardly means, printed as warnings: a line each, with the key and what to do.

    Args:
        settings: as parsed.
        plan: what they come to.
        config: what they were parsed from, for the presence of secrets.
    """
    istio, dashboards = settings.istio, settings.dashboards
    if istio:
        yield from _ending_hubs(istio)
        if not istio.cni.enabled and (idle := sorted(istio.cni.model_dump(by_alias=True, exclude_unset=True, exclude={"enabled"}))):
            yield f"{PROJECT}:istio.cni.{idle[0]} does nothing while istio.cni.enabled is false; take it out, or enable the plugin"
    if config.get("kialiPassphrase") and not (plan.mesh and plan.mesh.needs_kiali_login):
        yield f"{PROJECT}:kialiPassphrase does nothing: {'this mesh has no Kiali' if istio else 'there is no mesh'}; remove the key"
    if config.get("privateKeyPassphrase") and not (config.get("privateKey") or settings.ssh.private_key_file):
        yield (
            f"{PROJECT}:privateKeyPassphrase does nothing: there is no private key for it; set {PROJECT}:privateKey or "
            f"{PROJECT}:ssh.privateKeyFile, or remove the key"
        )
    if config.get("privateKey") and settings.ssh.private_key_file:
        yield f"{PROJECT}:ssh.privateKeyFile does nothing beside {PROJECT}:privateKey, which is taken; keep one of them"
    if not dashboards:
        for key in ("dashboardsPassword", "dashboardsTlsKey"):
            if config.get(key):
                yield f"{PROJECT}:{key} does nothing without {PROJECT}:dashboards; remove the key"
        return
    if not dashboards.hosts and not dashboards.contour:
        yield f"{PROJECT}:dashboards does nothing without hosts; name one for each dashboard that is wanted"
    if dashboards.way == "gateway" and "ingress" in dashboards.model_fields_set:
        yield f"{PROJECT}:dashboards.ingress does nothing with way gateway; take it out"


def _ending_hubs(istio: IstioSettings) -> Iterator[str]:
    places = dict(_images("values", istio.values)) | dict(_images("components", istio.components))
    if "hub" not in of_global(istio.values):
        places = {"hub": istio.hub, **places}
    for key, image in places.items():
        for name in ENDING_HUBS:
            if f"{image}/".startswith(f"{name}/"):
                yield (
                    f"{PROJECT}:istio.{key}: {name} ends in December 2026, for every version; pods that are made after that can't pull "
                    f"their images. Use istio (Docker Hub, the default) or a registry of your own"
                )


def _images(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every place where images come from, with its key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _images(f"{key}.{name}", inner)
    elif isinstance(value, str) and key.rpartition(".")[2] in ("hub", "image"):
        yield key, value
