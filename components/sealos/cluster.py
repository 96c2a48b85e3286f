"""SealosCluster: the graph from bare machines to a cluster that answers, and why each edge is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_command import local

from components.config import fields
from components.config.files import Artifact
from components.config.hosts import Machine
from components.config.mesh import IstioSettings
from components.config.stack import Settings
from components.istio.host_ports import HostGateway, for_preflight
from components.kubernetes.versions import minor_of
from components.sealos import installation, sealos_config
from components.sealos.defaults import ETCD_BACKUPS, JOIN_BATCH
from components.sealos.requests import Identity
from components.tunnel import HERE, hold_for_this_run

_OLDEST_WITH_SERVER_SIDE_APPLY = (1, 16)
"""Server-side apply is on by default from Kubernetes 1.16 (beta) on. It is what lets a create that a killed run had made, but
not recorded, be made again: without it the provider's create of an object that exists fails (pulumi-kubernetes 4.25,
pkg/await/await.go, Creation)."""


_ISTIOS_OWN = ("istio", "docker.io/istio", "gcr.io/istio-release", "registry.istio.io")
"""Where Istio itself puts its images; another registry may have others."""

_IDENTITY = "SEALOS_ISTIO_CLUSTER"
"""Environment variable of the installation's command; holds what can't be changed in place. Drivers don't read it."""

_KUBECONFIG_SHA256 = "KUBECONFIG_SHA256"
"""Environment variable of the kubeconfig's command, which is taken anew when that changes. Drivers don't read it."""


@dataclass(frozen=True)
class SealosClusterArgs:
    """What SealosCluster needs.

    Attributes:
        settings: the stack's; the machines, what is installed and the limits.
        host_gateways: the mesh's gateways that take ports of their nodes.
        fleet: how all machines are reached, as components/remote/fleet.py makes it; secret.
    """

    settings: Settings
    host_gateways: Sequence[HostGateway]
    fleet: pulumi.Input[Mapping[str, Any]]


class SealosCluster(pulumi.ComponentResource):
    """A Kubernetes cluster on machines that exist, installed by sealos v3.

    Every step is a local.Command whose driver dials the machines (`python3 -m components.sealos`). A step that fails leaves
    no state and is taken again; one that finds its work done does nothing. None of the steps but a member has triggers,
    because a replaced installation would take every object in the cluster with it.

    Attributes:
        kubeconfig: for use from outside, by cluster.apiEndpoint or cluster.apiTunnel where they are set; secret.
        sealos_backup: the first master's ~/.sealos with the CA's keys, for components/sealos/restore.sh; secret.
        api_server: URL of the API server on the first master, or at cluster.apiEndpoint.
        nodes: name, address, role and version of every node, as the cluster itself says.
        anchor: the installation; what lives inside the cluster is replaced with it.
        wanted: the list of machines that the cluster is to have; what lives inside the cluster is `deleted_with` it.
        provider: for everything that is put into the cluster; it exists once all nodes are Ready.
        in_cluster: options of a component that lives in the cluster: a full destroy doesn't take it apart first, nor waits for a
            finalizer, and it is made anew with a cluster that is.
    """

    kubeconfig: pulumi.Output[str]
    sealos_backup: pulumi.Output[str]
    api_server: pulumi.Output[str]
    nodes: pulumi.Output[list[dict[str, str]]]
    anchor: local.Command
    wanted: local.Command
    provider: kubernetes.Provider
    in_cluster: pulumi.ResourceOptions

    def __init__(self, name: str, args: SealosClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:sealos:Cluster", name, None, opts)
        self._name = name
        # secret here again, whoever made it: every step's request holds how to log in
        self._fleet: pulumi.Output[Mapping[str, Any]] = pulumi.Output.secret("").apply(lambda _: args.fleet)
        settings, cluster = args.settings, args.settings.cluster
        first = settings.first_master
        # where it comes from concerns only the step that puts it there
        package, sealos = (
            a.model_dump(by_alias=True, include={"path", "sha256"}) for a in (cluster.package, cluster.sealos)
        )
        # a drain's limit goes the way of the wanted list, so that it holds for a machine that is being taken out
        timeouts = cluster.timeouts.model_dump(by_alias=True, exclude={"drain"})
        machines = [machine.model_dump(by_alias=True) for machine in settings.machines]
        identity = installation.as_recorded(
            Identity.model_validate({name: getattr(cluster, name) for name in Identity.model_fields})
        )

        if len(settings.masters) % 2 == 0:  # the settings refuse it but for a master that is lost
            pulumi.warn(
                f"sealos-istio:masters: with {len(settings.masters)} etcd members none may fail; list another machine in the place of "
                f"what cluster.lost names as soon as there is one",
                resource=self,
            )

        # All machines, so that every finding is reported before anything is changed; looked at again when one is added. It is
        # deleted after the installation, and knows all machines when that failed and has no state, or when the first master, which
        # knows them too, is gone for good.
        preflight = self._command(
            "preflight",
            "preflight",
            settings.machines,
            {
                "cluster": cluster.name,
                "kubernetesVersion": cluster.kubernetes_version,
                "package": _source(cluster.package),
                "sealos": _source(cluster.sealos),
                "istioctl": _source(istioctl) if (istioctl := settings.istio and settings.istio.istioctl) else None,
                "maxClockSkew": cluster.max_clock_skew,
                "recover": cluster.recover,
                "adopt": cluster.adopt,
                "vip": cluster.vip,
                "podCidr": cluster.pod_cidr,
                "serviceCidr": cluster.service_cidr,
                "hostPorts": [{"host": host, "port": port, "gateway": gateway} for host, port, gateway in for_preflight(args.host_gateways)],
                # left out at their defaults: a key more in the state would show every live stack a change
                **({"tunnel": True} if cluster.api_tunnel else {}),
                **({} if cluster.network == "calico" else {"network": cluster.network}),
                **({} if cluster.interface is None else {"interface": cluster.interface}),
                **cluster.preflight.model_dump(by_alias=True),
            },
            delete="sweep",
        )
        # Only what the user has not put there: from a file here or a URL, for all machines that sealos copies it to.
        provided = [
            self._command(
                what,
                "provide",
                [first],
                {
                    "what": what,
                    "artifact": _source(artifact),
                    "kubernetesVersion": None
                    if "package-version" in cluster.preflight.waive
                    else cluster.kubernetes_version,
                    "limit": cluster.timeouts.install,
                    "machines": [machine.name for machine in settings.machines],
                },
                delete="withdraw",
                triggers=[artifact.path],
                opts=pulumi.ResourceOptions(depends_on=[preflight]),
            )
            for what, artifact in (("package", cluster.package), ("sealos", cluster.sealos))
            if artifact.file or artifact.url
        ]
        # left out where it is the default: a key more in the state would show every live stack a change
        backups = {} if cluster.etcd_backups == ETCD_BACKUPS else {"etcdBackups": cluster.etcd_backups}
        # There only while the settings ask for it; a replacement for which it could not be taken does not begin.
        saved = []
        if cluster.identity_change == "replace":
            snapshot = self._command(
                "etcd-snapshot",
                "snapshot",
                [first],
                {"etcdBackups": cluster.etcd_backups, "limit": cluster.timeouts.clean, "ifThere": True},
                triggers=[json.dumps(identity)],
                opts=pulumi.ResourceOptions(depends_on=[preflight]),
            )
            saved.append(snapshot)
        # The first master alone: a machine more or less must not touch the installation. It is cleaned by the list on the
        # first master. A changed password or limit comes in as `update`, which looks and never installs.
        self.anchor = self._command(
            "install",
            "install",
            [first],
            {
                "cluster": identity,
                "package": package,
                "sealos": sealos,
                "recover": cluster.recover,
                "adopt": cluster.adopt,
                "timeouts": timeouts,
            },
            update="update",
            delete="clean",
            # in plain, so that a preview shows what of it changes, and the hook can judge it
            environment={_IDENTITY: json.dumps(identity)},
            # when it is replaced, the late clean of the old one would take the new one with it
            opts=pulumi.ResourceOptions(
                depends_on=[preflight, *provided, *saved],
                protect=cluster.protect,
                delete_before_replace=True,
                replace_on_changes=["environment"] if cluster.identity_change == "replace" else None,
                hooks=pulumi.ResourceHookBinding(before_update=[_refusal(f"{name}-identity", _refuse_another_identity)]),
            ),
        )
        looked_at = _refusal(
            f"{name}-looked-at", _refuse_what_was_not_looked_at(f"{name}-preflight", preflight, settings.machines)
        )
        # What follows goes with the cluster, on a destroy and when the installation is replaced, and is made again then. It is
        # deleted_with this list and not with the installation: on a replacement the engine (3.220, step_generator.go) has what
        # is replaced_with the installation marked as deleted, but not the installation itself, and would take every object out
        # of the cluster in no order, by a provider that it has not loaded.
        # Before the members, because whichever of them comes first joins all that stand in it.
        self.wanted = self._command(
            "wanted",
            "want",
            [first],
            {
                "machines": machines,
                "lost": list(cluster.lost),
                "drain": cluster.timeouts.drain,
                # left out at its default: one more key in the state would show every live stack a change
                **({} if cluster.join_batch == JOIN_BATCH else {"joinBatch": cluster.join_batch}),
                "limit": cluster.timeouts.clean,
                **backups,
            },
            opts=pulumi.ResourceOptions(
                depends_on=[self.anchor],
                deleted_with=self.anchor,
                replace_with=[self.anchor],
                hooks=pulumi.ResourceHookBinding(before_create=[looked_at], before_update=[looked_at]),
            ),
        )
        members = [
            # taken out of the program, a member leaves properly; on a full destroy its leave is skipped
            self._command(
                f"member-{machine.name}",
                "join",
                [first, machine],
                {
                    "member": machine.name,
                    "cluster": cluster.name,
                    "kubernetesVersion": cluster.kubernetes_version,
                    "package": package,
                    "sealos": sealos,
                    "vip": cluster.vip,
                    "timeouts": timeouts,
                },
                delete="leave",
                triggers=[machine.address, machine.role],
                opts=pulumi.ResourceOptions(
                    depends_on=[self.wanted, *provided],
                    deleted_with=self.wanted,
                    replace_with=[self.anchor],
                    delete_before_replace=True,
                ),
            )
            for machine in settings.machines
            if machine != first
        ]
        looked = self._look(settings.istio)
        kubeconfig = self._command(
            "kubeconfig",
            "kubeconfig",
            [first],
            {},
            logging=local.Logging.NONE,
            # read again when it was renewed there, which only an update can see
            environment=None if looked is None else {_KUBECONFIG_SHA256: looked.apply(lambda found: str(found["kubeconfig"]))},
            # another first master (docs/operations.md) is another address to reach the API server at
            triggers=[first.address],
            opts=pulumi.ResourceOptions(
                depends_on=[self.anchor],
                deleted_with=self.wanted,
                replace_with=[self.anchor],
                additional_secret_outputs=["stdout", "stderr"],
                # A new password would make it unknown in a preview, and with it everything in the cluster would show as changed.
                ignore_changes=["stdin", *(["environment"] if looked is None else [])],
            ),
        )
        # as Nodes: how they are reached is none of the business of the steps that ask the cluster
        as_nodes = [m.model_dump(include={"name", "address", "role"}) for m in settings.machines]
        ready = self._command(
            "ready",
            "ready",
            [first],
            {
                "machines": as_nodes,
                "kubernetesVersion": cluster.kubernetes_version,
                "timeout": cluster.timeouts.ready,
            },
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(
                depends_on=[self.wanted, *members], deleted_with=self.wanted, replace_with=[self.anchor]
            ),
        )
        # The CA's keys and sealos's own state live on the first master only; without them nothing joins or leaves any more.
        backup = self._command(
            "backup",
            "backup",
            [first],
            {"machines": as_nodes, "limit": cluster.timeouts.join},
            logging=local.Logging.NONE,
            opts=pulumi.ResourceOptions(
                depends_on=[self.wanted, *members],
                deleted_with=self.wanted,
                replace_with=[self.anchor],
                additional_secret_outputs=["stdout", "stderr"],
            ),
        )
        self.sealos_backup = pulumi.Output.secret(backup.stdout)
        self.kubeconfig = pulumi.Output.secret(kubeconfig.stdout)
        self.api_server = pulumi.Output.from_input(sealos_config.api_server(first.address))
        if cluster.api_endpoint:
            host, port = fields.host_and_port(cluster.api_endpoint)
            self.kubeconfig = self.kubeconfig.apply(lambda text: sealos_config.reached_at(text, host, port))
            self.api_server = pulumi.Output.from_input(sealos_config.api_server(host, port))
        elif tunnel := cluster.api_tunnel:
            self.kubeconfig = pulumi.Output.all(self.kubeconfig, self._fleet).apply(
                lambda known: _by_tunnel(known[0], known[1], tunnel, first.address)
            )
        elif settings.ssh.bastion and pulumi.runtime.is_dry_run():
            pulumi.info(
                f"sealos-istio:ssh.bastion: the API server at {sealos_config.api_server(first.address)} must be reached from here as well; "
                f"where only SSH gets through, set cluster.apiTunnel",
                resource=self,
            )
        self.nodes = pulumi.Output.unsecret(ready.stdout).apply(_nodes)
        self.provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=self.kubeconfig,
            # static, or every touched kubeconfig would preview as a replacement of everything in the cluster
            cluster_identifier=cluster.name,
            enable_server_side_apply=minor_of(cluster.kubernetes_version) >= _OLDEST_WITH_SERVER_SIDE_APPLY,
            # what lives in the cluster waits for it by its provider
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[ready], deleted_with=self.wanted, replace_with=[self.anchor]
            ),
        )
        self.in_cluster = pulumi.ResourceOptions(
            providers=[self.provider], deleted_with=self.wanted, transformations=[self._made_anew_with_the_cluster]
        )
        self.register_outputs(
            {
                "kubeconfig": self.kubeconfig,
                "sealosBackup": self.sealos_backup,
                "apiServer": self.api_server,
                "nodes": self.nodes,
            }
        )

    def _made_anew_with_the_cluster(
        self, args: pulumi.ResourceTransformationArgs
    ) -> pulumi.ResourceTransformationResult:
        """The engine takes deleted_with from a parent, but not replace_with."""
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(replace_with=[self.anchor]))
        return pulumi.ResourceTransformationResult(args.props, opts)

    def _look(self, istio: IstioSettings | None) -> pulumi.Output[Mapping[str, Any]] | None:
        """What no step sees, told, and the kubeconfig's SHA-256; None in a preview, which has no host to need.

        An update without a change runs no step, so the cluster is asked beside them. After the list of wanted machines was written, if it is: one that has more than the settings is another state's then.
        """
        if pulumi.runtime.is_dry_run():
            return None
        version = istio.version if istio and istio.hub in _ISTIOS_OWN else None
        looked = local.run_output(
            command=_driver("look"),
            stdin=pulumi.Output.all(self._fleet, self.wanted.stdout).apply(
                lambda known: json.dumps({"fleet": known[0], "mesh": istio is not None, "istio": version})
            ),
            add_previous_output_in_env=False,
            logging=local.Logging.NONE,
        )

        def tell(found: local.RunResult) -> Mapping[str, Any]:
            told: Mapping[str, Any] = json.loads(found.stdout)
            for line in told["said"]:
                pulumi.log.warn(line, self)
            return told

        return pulumi.Output.unsecret(looked).apply(tell)

    def _command(
        self,
        name: str,
        verb: str,
        machines: Iterable[Machine],
        request: Mapping[str, Any],
        *,
        update: str | None = None,
        delete: str | None = None,
        triggers: list[Any] | None = None,
        environment: Mapping[str, pulumi.Input[str]] | None = None,
        logging: local.Logging = local.Logging.STDERR,
        opts: pulumi.ResourceOptions | None = None,
    ) -> local.Command:
        """One step: its driver gets the request, and how to reach `machines` only, as a secret on standard input."""
        names = [machine.name for machine in machines]

        def of(fleet: Mapping[str, Any]) -> str:
            reached = [machine for machine in fleet["machines"] if machine["name"] in names]
            return json.dumps({**request, "fleet": {**fleet, "machines": reached}})

        return local.Command(
            f"{self._name}-{name}",
            create=_driver(verb),
            update=_driver(update) if update else None,
            delete=_driver(delete) if delete else None,
            stdin=self._fleet.apply(of),
            triggers=triggers,
            environment=environment,
            logging=logging,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), opts),
        )


def _source(artifact: Artifact) -> dict[str, Any]:
    """The artifact with where it comes from, as far as that is given."""
    return artifact.model_dump(by_alias=True, include={"path", "sha256"}) | artifact.model_dump(
        by_alias=True, include={"file", "url"}, exclude_none=True
    )


def _refusal(name: str, refuse: Callable[[pulumi.ResourceHookArgs], None]) -> pulumi.ResourceHook:
    """What may refuse a change of a resource before it is made, and in a preview."""
    return pulumi.ResourceHook(name, refuse, pulumi.ResourceHookOptions(on_dry_run=True))


def _refuse_what_was_not_looked_at(
    name: str, preflight: local.Command, machines: Iterable[Machine]
) -> Callable[[pulumi.ResourceHookArgs], None]:
    """Before the list of these machines is written: each must have been looked at, which `--target` can leave out.

    A preflight that is not targeted has the request of its last run, in which machines that are new to the settings are missing.

    Raises:
        ValueError: by the hook; the engine shows its text as the resource's error.
    """
    wanted = {(machine.name, machine.address) for machine in machines}
    known: list[set[tuple[str, str]]] = []  # stays empty where its request can't be known, as in some previews

    def remember(request: str | None) -> None:
        known.append({(machine["name"], machine["address"]) for machine in json.loads(request or "")["fleet"]["machines"]})

    pulumi.Output.unsecret(preflight.stdin).apply(remember)

    def refuse(_: pulumi.ResourceHookArgs) -> None:
        if known and (more := sorted(new for new, _ in wanted - known[0])):
            raise ValueError(
                f"{', '.join(more)}: the preflight has not looked at it, since --target leaves it out. Add --target '**::{name}', or run "
                f"`pulumi up` without --target"
            )

    return refuse


def _refuse_another_identity(args: pulumi.ResourceHookArgs) -> None:
    """Before the installation is updated, in a preview as well: what can't be changed in place is refused there and then.

    Raises:
        ValueError: with every such change; the engine shows its text as the resource's error.
    """
    old, new = (
        json.loads(((inputs or {}).get("environment") or {}).get(_IDENTITY) or "{}")
        for inputs in (args.old_inputs, args.new_inputs)
    )
    if old and (found := installation.changes(old, new)):
        raise ValueError(
            f"this can't be changed on a live cluster: {'; '.join(map(str, found))}. Set it back; or set cluster.identityChange: replace to "
            f"have the whole cluster destroyed and made anew with everything in it; or `pulumi destroy` and `pulumi up`"
        )


def _driver(verb: str) -> str:
    """How Pulumi runs a driver: from the project's folder, with the program's own Python; no path of this machine."""
    return f"python3 -m components.sealos {verb}"


def _by_tunnel(kubeconfig: str, fleet: Mapping[str, Any], port: int, address: str) -> str:
    """The kubeconfig by a tunnel that is held from now on for the whole of the update."""
    hold_for_this_run(fleet, port)
    return sealos_config.reached_at(kubeconfig, HERE, port, address)


def _nodes(text: str) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(text)
    return listed
