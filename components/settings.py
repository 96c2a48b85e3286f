"""The settings of one stack: typed, validated, and read from Pulumi's configuration nowhere else.

`load` reads the keys that `Pulumi.yaml` declares; everything wrong is said at once, each line with the key, the reason and
the fix. The models are plain data, so that builders and drivers can be tested without an engine.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from components import valid
from components.istio import cni_chain, operator_file
from components.istio.operator_file import CNI_VALUES
from components.istio.releases.compatibility import check_pair
from components.istio.releases.table import RELEASES, release
from components.sealos.findings import CODES
from components.sealos.requests import ETCD_BACKUPS, JOIN_BATCH

PROJECT = "sealos-istio"
OLDEST_KUBERNETES = (1, 14)
"""The oldest Kubernetes this sets up: the source walk-through's own precondition."""

MOST_PROBLEMS = 40
"""Lines of one message; a list of machines of the wrong kind has as many problems as machines."""

LONGEST_RANGE = 256
"""Machines that one range of addresses may stand for; a typing error in one makes thousands."""

class SettingsError(Exception):
    """The stack's configuration can't be used.

    Args:
        problems: one readable line per problem, each naming the stack key.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        found = [valid.bounded(problem) for problem in problems]
        more = len(found) - MOST_PROBLEMS
        self.problems = (*found[:MOST_PROBLEMS], *([f"{PROJECT}: … and {more} more of them"] if more > 0 else []))
        super().__init__(
            "\n".join(
                [f"the stack's configuration has {len(found)} problem(s):"]
                + [f"  - {p}" for p in self.problems]
            )
        )


class _Model(BaseModel):
    """Keys are written in camelCase, as in Kubernetes; an unknown one is an error, since it would be ignored otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, strict=True, defer_build=True)


class Artifact(_Model):
    """A file that is already on the first master.

    Attributes:
        path: absolute path there.
        sha256: its SHA-256, 64 hexadecimal digits; checked by the preflight when given (sealos itself only compares MD5
            between hosts and never with anything published).
    """

    path: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not re.fullmatch(r"(/[A-Za-z0-9._+@-]+)+", value):
            raise ValueError(
                f"{value!r} must be an absolute path of letters, digits and ._+@- (it names a file on the first master)"
            )
        return value


class Provided(Artifact):
    """A file that the first master needs: it is there already, or comes from here or from a URL.

    Attributes:
        path: absolute path on the first master; /root and the name of file or url unless given.
        sha256: as in Artifact; with file or url it must be given.
        file: where it lies here, relative to the project.
        url: where it is fetched from, here, and then sent; http or https.
    """

    file: str | None = None
    url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "path" not in data:
            source = data.get("file") or data.get("url")
            if isinstance(source, str) and source:
                return {**data, "path": "/root/" + urlsplit(source).path.rsplit("/", 1)[-1]}
        return data

    @field_validator("url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is no http or https URL")
        if parts.username or parts.password:
            raise ValueError("must not hold a user or password, since it stands in plain in the stack's file and state")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file and self.url:
            raise ValueError("has both file and url; keep one")
        if (self.file or self.url) and not self.sha256:
            raise ValueError(
                "needs sha256 beside file or url: what is sent must be what you meant (`sha256sum` prints it)"
            )
        return self


class Machine(_Model):
    """One Linux machine.

    Attributes:
        name: its host name as `hostname` prints it, short or full, which becomes the Node's name.
        address: IPv4 address for SSH, which is also the Node's InternalIP (sealos has one address per host).
        role: master or node, in sealos's words.
        port: TCP port of its SSH server.
        user: who logs in; root (see Ssh.user).
        host_key: its public SSH host key, `type base64`.
    """

    name: str
    address: str
    role: Literal["master", "node"]
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "root"
    host_key: str | None = None

    _check_user = field_validator("user", mode="before")(valid.root)
    _check_name = field_validator("name")(valid.machine_name)
    _check_address = field_validator("address")(valid.ipv4)
    _check_host_key = field_validator("host_key")(valid.host_key)


class Bastion(_Model):
    """A host through which all machines are reached.

    Attributes: as in Machine.
    """

    address: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "root"
    host_key: str | None = None

    _check_address = field_validator("address")(valid.host)
    _check_host_key = field_validator("host_key")(valid.host_key)


class Ssh(_Model):
    """How the machines are reached.

    Attributes:
        port: default TCP port of the machines.
        user: who logs in. Only root: sealos v3 writes to /root, /usr/bin and /etc and has no sudo.
        host_keys: `pinned` refuses a host whose key is not known beforehand; `unverified` takes any key, which lets
            whoever sits between see the password and the cluster's keys.
        known_hosts: an OpenSSH known_hosts file with the machines' keys, relative to the project.
        private_key_file: the private key to log in with, relative to the project. Read when a host is dialled; its
            content is never part of the state.
        agent: whether a running ssh-agent may be asked too.
        bastion: a host to go through.
        connect_timeout: seconds until a host that accepts and stays mute is given up on.
    """

    port: int = Field(default=22, ge=1, le=65535)
    user: Literal["root"] = "root"
    host_keys: Literal["pinned", "unverified"] = "pinned"
    known_hosts: str | None = None
    private_key_file: str | None = None
    agent: bool = False
    bastion: Bastion | None = None
    connect_timeout: int = Field(default=15, ge=1, le=300)

    _check_user = field_validator("user", mode="before")(valid.root)


class Timeouts(_Model):
    """How long each stage may take before it is given up on, in seconds."""

    install: int = Field(default=1800, ge=10)
    join: int = Field(default=900, ge=10)
    clean: int = Field(default=600, ge=10)
    drain: int = Field(default=300, ge=1)
    ready: int = Field(default=300, ge=10)


class PreflightSettings(_Model):
    """How the preflight's findings are taken; codes as it prints them in brackets.

    Attributes:
        warnings_as_errors: true stops at every warning, a list of codes at those.
        waive: findings to live with: the reason, in words, by code.
    """

    warnings_as_errors: bool | list[str] = False
    waive: dict[str, str] = Field(default_factory=dict)

    @field_validator("warnings_as_errors")
    @classmethod
    def _known(cls, value: bool | list[str]) -> bool | list[str]:
        if not isinstance(value, bool) and (unknown := sorted(set(value) - set(CODES))):
            raise ValueError(f"{', '.join(unknown)} is no code of the preflight; known are {', '.join(sorted(CODES))}")
        return value

    @field_validator("waive")
    @classmethod
    def _with_a_reason(cls, value: dict[str, str]) -> dict[str, str]:
        waivable = sorted(code for code, known in CODES.items() if known.waivable)
        if wrong := sorted(set(value) - set(waivable)):
            raise ValueError(
                f"{', '.join(wrong)} can't be waived: no such code, or no step could go on with it; "
                f"what can be is {', '.join(waivable)}"
            )
        if bare := sorted(code for code, reason in value.items() if len(reason.split()) < 2):
            raise ValueError(f"{', '.join(bare)} needs a reason in words, for whoever reads this later")
        return value


class ClusterSettings(_Model):
    """The Kubernetes cluster that sealos installs.

    Attributes:
        name: identifies the cluster to its own tooling; the stack's name unless given.
        kubernetes_version: vX.Y.Z, the package's version.
        package: the offline package; on the first master as /root/kubeX.Y.Z.tar.gz unless given.
        sealos: the sealos binary; on the first master as /root/sealos unless given.
        vip: the address at which nodes reach the masters (kept by sealos with IPVS).
        pod_cidr, service_cidr: IPv4 networks of pods and services.
        network: the pod network that sealos applies.
        interface: sealos's --interface, a regular expression of network interface names.
        cert_sans: further names and addresses for the API server's certificate.
        api_endpoint: where the API server is reached from outside, as host or host:port, when that is not the first master's own address:
            behind NAT, or a load balancer. The host stands in cert_sans.
        api_tunnel: a port of this workstation's own, for a tunnel to the API server by SSH where nothing else gets through.
        repo: registry and path that kubeadm names its images by; kubeadm's own unless given.
        max_clock_skew: seconds that a host's clock may differ from the median of all.
        join_batch: nodes that sealos joins at a time; each of them gets the package, some 400 MB, from the first master.
        preflight: how its findings are taken.
        lost: names of machines that are gone for good: taken out of the lists of machines, they leave the cluster without
            being asked. One that still answers leaves as any other.
        adopt: whether a live cluster that was made by hand with sealos may be taken over as it is.
        identity_change: what becomes of a change of the keys that a live cluster keeps (name, version, vip, CIDRs, network,
            interface, SANs, repo): `refuse` it, or `replace` the whole cluster with everything in it.
        recover: whether a half-done installation may be cleaned and made again.
        protect: whether Pulumi refuses to delete the cluster.
        etcd_backups: folder here for the snapshots of etcd that are taken before masters come or go; relative to the project.
        timeouts: limits of the stages.
    """

    name: str = ""
    kubernetes_version: str = "v1.16.3"
    package: Provided = Provided(path="/root/kube.tar.gz")
    sealos: Provided = Provided(path="/root/sealos")
    vip: str = "10.103.97.2"
    pod_cidr: str = "100.64.0.0/10"
    service_cidr: str = "10.96.0.0/12"
    network: Literal["calico", "flannel", "cilium"] = "calico"
    interface: str | None = None
    cert_sans: tuple[str, ...] = Field(default=(), strict=False)
    api_endpoint: str | None = None
    api_tunnel: int | None = Field(default=None, ge=1024, le=65535)
    repo: str = Field(default="", pattern=r"^[A-Za-z0-9._:/-]*$")
    max_clock_skew: float = Field(default=2.0, gt=0)
    join_batch: int = Field(default=JOIN_BATCH, ge=1)
    preflight: PreflightSettings = PreflightSettings()
    lost: tuple[str, ...] = Field(default=(), strict=False)
    adopt: bool = False
    identity_change: Literal["refuse", "replace"] = "refuse"
    recover: bool = False
    protect: bool = False
    etcd_backups: str = Field(default=ETCD_BACKUPS, min_length=1)
    timeouts: Timeouts = Timeouts()

    @field_validator("interface")
    @classmethod
    def _regular_expression(cls, value: str | None) -> str | None:
        how = "by which the pod network chooses the interface; write it as ^eth0$, or eth.*|en.*, or an address that all machines reach by it"
        # an argument of sealos, and a text in what it applies
        if value is not None and not re.fullmatch(r"[A-Za-z0-9.*|_^$()\[\]+?-]+", value):
            raise ValueError(f"{value!r} is no regular expression of letters, digits and .*|_^$()[]+?-, {how}")
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error}), {how}") from None
        return value

    @field_validator("cert_sans")
    @classmethod
    def _certificate_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(valid.certificate_name(name) for name in value)

    @field_validator("lost")
    @classmethod
    def _machine_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                valid.machine_name(name)
            except ValueError:
                raise ValueError(f"{name!r} is no machine's name; write it as the Node is named (kubectl get nodes)") from None
        return value

    _check_name = field_validator("name")(valid.cluster_name)
    _check_endpoint = field_validator("api_endpoint")(valid.endpoint)
    _check_repo = field_validator("repo")(valid.image_prefix)
    _check_vip = field_validator("vip")(valid.ipv4)
    _check_networks = field_validator("pod_cidr", "service_cidr")(valid.network)

    @model_validator(mode="before")
    @classmethod
    def _default_paths(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        version = data.get("kubernetesVersion", data.get("kubernetes_version", "v1.16.3"))
        paths = {"sealos": "/root/sealos"}
        if isinstance(version, str) and re.fullmatch(r"v\d+\.\d+\.\d+", version):
            paths["package"] = f"/root/kube{version[1:]}.tar.gz"
        filled = dict(data)
        for key, path in paths.items():
            given = data.get(key, {})
            if isinstance(given, Mapping) and not {"path", "file", "url"} & set(given):
                filled[key] = {**given, "path": path}
        return filled

    @field_validator("kubernetes_version")
    @classmethod
    def _supported_version(cls, value: str) -> str:
        match = re.fullmatch(r"v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)", value)
        if match is None:
            raise ValueError(f"{value!r} is no version of the form v1.16.3")
        if (int(match[1]), int(match[2])) < OLDEST_KUBERNETES:
            raise ValueError(
                f"{value} is older than v1.14, the oldest that Istio's operator and this program work with"
            )
        return value


class CniSettings(_Model):
    """Istio's CNI plugin, which replaces the privileged istio-init container.

    Attributes:
        enabled: whether it is installed.
        namespace: where its DaemonSet lives. kube-system where critical pods may live nowhere else (Kubernetes up to 1.16).
        exclude_namespaces: namespaces whose pods it leaves alone.
        log_level: the plugin's own log level.
        config_file: the chain it joins, a file in /etc/cni/net.d.
        k8s: further settings of its DaemonSet, as in an IstioOperator's spec.components.cni.k8s.
    """

    enabled: bool = True
    namespace: str = "kube-system"
    exclude_namespaces: tuple[str, ...] = Field(default=("istio-system", "kube-system"), strict=False)
    log_level: Literal["debug", "info", "warn", "error", "fatal"] = "info"
    config_file: str = Field(default="10-calico.conflist", pattern=r"^[A-Za-z0-9._-]+$")
    k8s: dict[str, Any] = Field(default_factory=dict, alias="k8s")

    _check_namespace = field_validator("namespace")(valid.label)
    _check_k8s = field_validator("k8s")(valid.k8s)

    @field_validator("exclude_namespaces")
    @classmethod
    def _namespaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(valid.label(name) for name in value)


class GatewayPort(_Model):
    """A port of a gateway in its node's network: what clients reach is what Envoy listens on.

    Attributes:
        name: begins with the protocol (http2, https, tcp, tls-…), by which Istio knows how to handle it.
        port: on the node and in the Service.
        protocol: TCP or UDP.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    port: int = Field(ge=1, le=65535)
    protocol: Literal["TCP", "UDP"] = "TCP"


class HostNetwork(_Model):
    """A gateway that listens on its nodes' own addresses (components/istio/host_network.py makes it safe).

    Attributes:
        nodes: names of the machines that it runs on, one pod each.
        ports: all that it opens for clients; every other port of the profile is cut.
    """

    nodes: tuple[str, ...] = Field(min_length=1, strict=False)
    ports: tuple[GatewayPort, ...] = Field(
        default=(GatewayPort(name="http2", port=80), GatewayPort(name="https", port=443)),
        min_length=1,
        strict=False,
    )


class GatewaySettings(_Model):
    """One ingress or egress gateway, as in an IstioOperator, and hostNetwork, which stands for all that this takes.

    Attributes:
        name: of its Deployment and Service.
        enabled: whether it is there.
        namespace: where; the mesh's own by default.
        label: its pods' labels, by which Gateway objects find it.
        k8s: as in an IstioOperator, overlays included; made safe before it reaches the operator (components/istio/overlays.py).
        host_network: where and with which ports it lives in its nodes' network; None for an ordinary gateway.
    """

    name: str | None = None
    enabled: bool | str = True
    namespace: str | None = None
    label: dict[str, str] = Field(default_factory=dict)
    k8s: dict[str, Any] | None = Field(default=None, alias="k8s")
    host_network: HostNetwork | None = None

    _check_label = field_validator("label")(valid.label_map)

    @field_validator("name", "namespace")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        return value if value is None else valid.label(value)  # a Service's name is a label, too

    @field_validator("k8s")
    @classmethod
    def _shape(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        valid.k8s(value or {})
        return value

    def as_operator(self) -> dict[str, Any]:
        """As an IstioOperator says it, without what was left out and without hostNetwork."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude={"host_network"})


class AddonSettings(_Model):
    """One of Istio's add-ons.

    Attributes:
        enabled: whether it is there.
        k8s: as in an IstioOperator's spec.addonComponents; 1.5 carries out no overlays of add-ons (istio#23048).
    """

    enabled: bool
    k8s: dict[str, Any] = Field(default_factory=dict, alias="k8s")

    @field_validator("k8s")
    @classmethod
    def _no_overlays(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "overlays" in value:
            raise ValueError(
                "has overlays, which Istio ignores for add-ons (istio#23048); set the add-on's values instead"
            )
        valid.k8s(value)
        return value


class Labelled(_Model):
    """Labels and annotations of an object."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    _check_labels = field_validator("labels")(valid.label_map)
    _check_annotations = field_validator("annotations")(valid.annotation_map)


class ImagesFile(_Model):
    """Container images in a file, as `docker save` writes it.

    Attributes:
        file: where it lies here, relative to the project.
        sha256: its SHA-256, 64 hexadecimal digits.
    """

    file: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class IstioSettings(_Model):
    """The mesh: what one IstioOperator says, with the parts that most people set as keys of their own.

    Attributes:
        version: Istio's version; it must fit the cluster's (components/istio/releases/compatibility.py).
        hub: where the images come from; the operator's is `hub/operator:version`.
        tag: the images' tag, where it goes on after the version (`1.8.0-distroless`).
        images: a file with the images, the operator's included, which is loaded on every node; None has them pull.
        file: a whole IstioOperator written by others, relative to the project, instead of the keys below that it states.
        profile: the profile that everything else is laid over (docs/istio.md lists what each installs).
        name, namespace: the IstioOperator's own.
        metadata: its labels and annotations.
        namespace_metadata: its namespace's, besides those that Istio gives it.
        cni: the CNI plugin.
        ingress_gateways, egress_gateways: the gateways; a list replaces the profile's own.
        addon_components: Istio's add-ons by name, on or off against the profile.
        components, values, mesh_config: the rest of an IstioOperator's spec, as it is.
        ready_timeout: seconds until the mesh must be ready.
        istioctl: the istioctl binary on the first master; None leaves it out.
        crds: what becomes of Istio's own definitions, and with them of every Gateway, VirtualService and so on, when the mesh
            is taken out of the stack: `keep`, or `deleteWithMesh`. It must have been in the last `up` before that.
    """

    version: str = "1.5.0"
    hub: str = "istio"
    tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    images: ImagesFile | None = None
    file: str | None = None
    profile: Literal["default", "demo", "empty", "minimal", "preview", "remote", "separate"] = "default"
    name: str = "istiocontrolplane"
    namespace: str = "istio-system"
    metadata: Labelled = Labelled()
    namespace_metadata: Labelled = Labelled()
    cni: CniSettings = CniSettings()
    ingress_gateways: tuple[GatewaySettings, ...] = Field(default=(), strict=False)
    egress_gateways: tuple[GatewaySettings, ...] = Field(default=(), strict=False)
    addon_components: dict[Literal["prometheus", "grafana", "kiali", "tracing", "istiocoredns"], AddonSettings] = Field(
        default_factory=dict
    )
    components: dict[str, Any] = Field(default_factory=dict)
    values: dict[str, Any] = Field(default_factory=dict)
    mesh_config: dict[str, Any] = Field(default_factory=dict)
    ready_timeout: int = Field(default=300, ge=10)
    istioctl: Artifact | None = None
    crds: Literal["keep", "deleteWithMesh"] = "keep"

    _check_hub = field_validator("hub")(valid.hub)
    _check_name = field_validator("name")(valid.object_name)
    _check_namespace = field_validator("namespace")(valid.mesh_namespace)

    @property
    def image_tag(self) -> str:
        """The tag of every image."""
        return self.tag or self.version

    @model_validator(mode="before")
    @classmethod
    def _images_by_keys(cls, data: Any) -> Any:
        return operator_file.with_images(data) if isinstance(data, Mapping) else data

    @field_validator("components")
    @classmethod
    def _own_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        if doubled := sorted({"cni", "ingressGateways", "egressGateways"} & set(value)):
            raise ValueError(f"{', '.join(doubled)} has a key of its own in istio; write it there")
        if wrong := [name for name, component in value.items() if not isinstance(component, Mapping)]:
            raise ValueError(f"{wrong[0]} must be an object, not {value[wrong[0]]!r}, with which Istio would leave it out; that is {{enabled: false}}")
        for name, component in value.items():
            if isinstance(k8s := _at(component, "k8s"), Mapping):
                try:
                    valid.k8s(k8s)
                except ValueError as error:
                    raise ValueError(f"{name}.k8s.{error}") from None
        return value

    @field_validator("values")
    @classmethod
    def _cni_has_its_own(cls, value: dict[str, Any]) -> dict[str, Any]:
        cni = value.get("cni")
        if isinstance(cni, Mapping) and (doubled := [name for name in CNI_VALUES if name in cni]):
            keys = ", ".join(f"cni.{name} (as istio.cni.{CNI_VALUES[name]})" for name in doubled)
            raise ValueError(f"{keys} has a key of its own; write it there, so that the check of every node knows it")
        secrets = operator_file.of_global(value).get("imagePullSecrets")
        if secrets is not None and not (isinstance(secrets, list) and all(isinstance(name, str) for name in secrets)):
            raise ValueError(f"global.imagePullSecrets must be a list of names of Secrets, as [regcred], not {secrets!r}")
        return value


_FQDN = re.compile(r"(?=.{4,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
"""A DNS name of at least two labels (RFC 1123 section 2.1), as Ingress, HTTPProxy and Gateway take it."""


class TlsSettings(_Model):
    """The dashboards' certificate: one of both.

    Attributes:
        secret_name: a Secret of type kubernetes.io/tls that is, or will be, in the mesh's namespace.
        certificate: PEM, the chain included; its key is the secret sealos-istio:dashboardsTlsKey.
    """

    secret_name: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    certificate: str | None = None

    @field_validator("certificate")
    @classmethod
    def _pem(cls, value: str | None) -> str | None:
        if value is not None and "-----BEGIN CERTIFICATE-----" not in value:
            raise ValueError("is no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.secret_name is None) == (self.certificate is None):
            raise ValueError(
                "give either secretName (a Secret that is there) or certificate (PEM), and only one of them"
            )
        return self


class BasicAuth(_Model):
    """One user for all dashboards, with the secret sealos-istio:dashboardsPassword.

    Attributes:
        username: who may enter.
    """

    username: str = Field(pattern=r"^[A-Za-z0-9._@-]+$")


class IngressSettings(_Model):
    """How the cluster's Ingress controller is addressed.

    Attributes:
        class_name: the class of its Ingresses (or of Contour's HTTPProxies); none leaves it to whoever is the default.
        controller: which one it is, for what only its own annotations can say.
    """

    class_name: str | None = Field(default=None, alias="class", pattern=r"^[A-Za-z0-9./-]+$")
    controller: Literal["nginx", "contour", "other"] = "other"


class ContourSettings(_Model):
    """Contour, installed for traffic from outside.

    Attributes:
        registry: where the images projectcontour/contour and envoyproxy/envoy come from: a registry of one's own with the
            paths of docker.io.
        images: a file with both, which is loaded on the nodes; None has them pull.
        nodes: names of the machines that have it, and whose ports 80 and 443 its Envoy takes.
        ready_timeout: seconds until it must be ready.
    """

    registry: str = Field(default="docker.io", pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$")
    images: ImagesFile | None = None
    nodes: tuple[str, ...] = Field(min_length=1, strict=False)
    ready_timeout: int = Field(default=300, ge=10)


class DashboardSettings(_Model):
    """The ways in to the mesh's dashboards.

    Attributes:
        way: what leads there: an Ingress, a HTTPProxy of Contour, or the mesh's own ingress gateway.
        hosts: one host name for each dashboard that is wanted: grafana, kiali, prometheus, jaeger, zipkin.
        tls: the certificate; None for plain HTTP.
        basic_auth: a user and password in front of all; only where the way can do it.
        ingress: the Ingress controller.
        contour: Contour itself; None when it is there already, or not wanted.
        ready_timeout: seconds until every way in must be valid.
    """

    way: Literal["ingress", "contour", "gateway"]
    hosts: dict[Literal["grafana", "kiali", "prometheus", "jaeger", "zipkin"], str] = Field(default_factory=dict)
    tls: TlsSettings | None = None
    basic_auth: BasicAuth | None = None
    ingress: IngressSettings = IngressSettings()
    contour: ContourSettings | None = None
    ready_timeout: int = Field(default=120, ge=10)

    @field_validator("hosts")
    @classmethod
    def _own_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name, host in value.items():
            if not _FQDN.fullmatch(host):
                raise ValueError(
                    f"{host!r} of {name} is no host name like {name}.example.com (lower case, no path, no port)"
                )
        if doubled := sorted({host for host in value.values() if list(value.values()).count(host) > 1}):
            raise ValueError(f"{', '.join(doubled)} is given twice: every dashboard needs a host name of its own")
        return value


@dataclass(frozen=True)
class Credentials:
    """What opens the machines and the dashboards; every value a Pulumi secret."""

    password: pulumi.Output[str] | None = None
    private_key: pulumi.Output[str] | None = None
    private_key_passphrase: pulumi.Output[str] | None = None
    kiali_passphrase: pulumi.Output[str] | None = None
    dashboards_password: pulumi.Output[str] | None = None
    dashboards_tls_key: pulumi.Output[str] | None = None


class Settings(_Model):
    """All settings of a stack.

    Attributes:
        machines: masters first, in the order of the stack's file; the first is where sealos runs.
        ssh: how they are reached.
        cluster: the Kubernetes cluster.
        istio: the mesh; None for a cluster without one.
        dashboards: the ways in to the mesh's dashboards; None for none.
    """

    machines: tuple[Machine, ...]
    ssh: Ssh = Ssh()
    cluster: ClusterSettings = ClusterSettings()
    istio: IstioSettings | None = None
    dashboards: DashboardSettings | None = None

    @property
    def masters(self) -> tuple[Machine, ...]:
        """The masters, in the order of the stack's file."""
        return tuple(m for m in self.machines if m.role == "master")

    @property
    def nodes(self) -> tuple[Machine, ...]:
        """The nodes, in the order of the stack's file."""
        return tuple(m for m in self.machines if m.role == "node")

    @property
    def first_master(self) -> Machine:
        """Where sealos runs and keeps its state."""
        return self.masters[0]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(_contradictions(self)):
            raise SettingsError(problems)
        return self


def parse(config: Mapping[str, Any], stack: str, directory: Path | None = None) -> Settings:
    """The settings that a stack's configuration states.

    Args:
        config: values by key without the project's prefix: `masters` and `nodes` (lists), `ssh`, `cluster`, `istio`
            and `dashboards` (objects), and, for their presence only, the secrets.
        stack: the stack's name, which is the cluster's unless `cluster.name` says otherwise.
        directory: the project's, where files that the configuration names are; the working directory by default.

    Raises:
        SettingsError: with every problem found.
    """
    problems = [
        f"{PROJECT}:{key} is not a key of this program; known are {', '.join(KEYS)}"
        for key in sorted(set(config) - set(KEYS))
    ]
    if found := [line for key in KEYS if key not in SECRETS for line in valid.odd(f"{PROJECT}:{key}", config.get(key))]:
        raise SettingsError([*problems, *found])
    ssh, found = _section(Ssh, "ssh", config.get("ssh", {}))
    problems += found
    cluster, found = _section(ClusterSettings, "cluster", _named(config.get("cluster", {}), stack))
    problems += found
    network = cluster.network if cluster else None
    istio, found = _mesh(config["istio"], directory, network) if _there(config, "istio") else (None, [])
    problems += found
    dashboards, found = (
        _section(DashboardSettings, "dashboards", config["dashboards"]) if _there(config, "dashboards") else (None, [])
    )
    problems += found
    problems += [
        f"{PROJECT}:{key} is empty, which may be a slip: it would take {what} away if there is one. Write what it is to have, or take the "
        f"key out, which means none"
        for key, what in (("istio", "the mesh with everything in it"), ("dashboards", "the ways in to the dashboards"))
        if key in config and not config[key]
    ]
    problems += _secrets_of_dashboards(dashboards, config)
    machines, found = listed_machines(config, ssh)
    problems += found
    if not config.get("masters"):
        problems.append(
            f"{PROJECT}:masters names no machine; a cluster needs one master, or three or five for high availability"
        )
    given = config.get("ssh", {})
    # a key of it that is mistyped may be the very one; it is said already
    readable = isinstance(given, Mapping) and set(given) <= {field.alias for field in Ssh.model_fields.values()}
    if readable and not any(config.get(key) for key in ("password", "privateKey")) and not given.get("privateKeyFile"):
        problems.append(
            f"{PROJECT}:password, {PROJECT}:privateKey and {PROJECT}:ssh.privateKeyFile are all missing: nothing to log in with "
            f"(an agent is not enough, since sealos itself logs in from the first master); "
            f"`pulumi config set --secret {PROJECT}:password` sets one"
        )
    if problems or cluster is None or ssh is None:
        raise SettingsError(problems)
    try:
        return Settings(machines=tuple(machines), ssh=ssh, cluster=cluster, istio=istio, dashboards=dashboards)
    except SettingsError as error:
        raise error from None


NONE = {"none": True}
"""What `istio` and `dashboards` have in a stack that leaves them out: Pulumi.yaml's default, told by it from one that is there and empty."""


def _there(config: Mapping[str, Any], key: str) -> bool:
    return bool(config.get(key)) and config[key] != NONE


def listed_machines(config: Mapping[str, Any], ssh: Ssh | None) -> tuple[list[Machine], list[str]]:
    """The machines that `masters` and `nodes` list, ranges written out, and what is wrong with the lists.

    Args:
        config: as for `parse`.
        ssh: where port and user come from that an entry does not give; None when it could not be read.
    """
    machines: list[Machine] = []
    problems: list[str] = []
    defaults = {"port": ssh.port, "user": ssh.user} if ssh else {}
    for key, role in (("masters", "master"), ("nodes", "node")):
        entries = config.get(key, [])
        if not isinstance(entries, list):
            problems.append(f"{PROJECT}:{key} must be a list of machines, each with name and address")
            continue
        for position, entry in enumerate(entries):
            where = f"{key}[{position}]"
            if not isinstance(entry, Mapping) or "role" in entry:
                problems.append(
                    f"{PROJECT}:{where} must be an object with name and address (its role is the list it stands in)"
                )
                continue
            try:
                single = _written_out(entry)
            except ValueError as error:
                problems.append(f"{PROJECT}:{where}.{error}")
                continue
            for one in single:
                machine, found = _section(Machine, where, {**defaults, **one, "role": role})
                problems += found
                if machine:
                    machines.append(machine)
    return machines, problems


def _written_out(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries that one with a range of addresses stands for: names numbered on from the first, digits kept, a domain behind them too.

    Raises:
        ValueError: key and reason.
    """
    address, name = entry.get("address"), entry.get("name")
    if not isinstance(address, str) or "-" not in address:
        return [entry]
    try:
        first, last = (ipaddress.IPv4Address(part.strip()) for part in address.split("-"))
    except ValueError:
        raise ValueError(
            f"address: {address!r} is no range of IPv4 addresses; write it as 192.168.0.2-192.168.0.5"
        ) from None
    count = int(last) - int(first) + 1
    if not 1 <= count <= LONGEST_RANGE:
        raise ValueError(f"address: {address} is a range of {count} addresses; a range has 1 to {LONGEST_RANGE}")
    numbered = re.fullmatch(r"([^.]*?)(\d+)((?:\..*)?)", name) if isinstance(name, str) else None
    if numbered is None:
        raise ValueError(
            f"name: {name!r} must end with the first machine's number (as sealos02, or sealos02.example.com), since address is a range"
        )
    if entry.get("hostKey") and count > 1:
        raise ValueError(
            "hostKey: a range has one key per machine; name a known_hosts file in ssh.knownHosts "
            "(`python3 -m components.host_keys --known-hosts` prints one)"
        )
    stem, digits, domain = numbered.groups()
    return [
        {**entry, "name": f"{stem}{int(digits) + step:0{len(digits)}}{domain}", "address": str(first + step)}
        for step in range(count)
    ]


_BCRYPT = 72
"""Bytes of a password that bcrypt can hash."""


def _secrets_of_dashboards(dashboards: DashboardSettings | None, config: Mapping[str, Any]) -> Iterable[str]:
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


SECRETS = (
    "password",
    "privateKey",
    "privateKeyPassphrase",
    "kialiPassphrase",
    "dashboardsPassword",
    "dashboardsTlsKey",
)
KEYS = ("masters", "nodes", "ssh", *SECRETS, "cluster", "istio", "dashboards")


def load(stack: str) -> tuple[Settings, Credentials]:
    """The running stack's settings and what opens its machines.

    Raises:
        pulumi.RunError: when the configuration can't be used; one readable message with every problem.
    """
    config = pulumi.Config(PROJECT)
    raw = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}.items()
        if key.startswith(f"{PROJECT}:")
    }
    from components.remarks import remarks  # which itself reads the settings' models

    try:
        values = _decoded(raw)
        settings = parse(values, stack)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
    for remark in remarks(settings, values):
        pulumi.warn(remark)
    return settings, Credentials(
        password=config.get_secret("password"),
        private_key=config.get_secret("privateKey"),
        private_key_passphrase=config.get_secret("privateKeyPassphrase"),
        kiali_passphrase=config.get_secret("kialiPassphrase") if raw.get("kialiPassphrase") else None,
        dashboards_password=config.get_secret("dashboardsPassword"),
        dashboards_tls_key=config.get_secret("dashboardsTlsKey"),
    )


def _decoded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Pulumi hands structures over as JSON text."""
    values: dict[str, Any] = dict(raw)
    problems = [
        f"{PROJECT}:{key} stands in plain text in the stack's file; set it with `pulumi config set --secret {PROJECT}:{key}`"
        for key in SECRETS
        if raw.get(key) and not pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}")
    ]
    for key in sorted((set(raw) & set(KEYS)) - set(SECRETS)):
        if pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}"):
            # where in it, the engine doesn't say, and hands it over in plain
            problems.append(
                f"{PROJECT}:{key} has a secret in it (`pulumi config set --secret --path`), which would stand in plain in the stack's state, "
                f"its history and its backups. Take it out (`pulumi config rm --path {PROJECT}:{key}.…`): secrets have keys of their own "
                f"({', '.join(SECRETS)}), and what a workload of the mesh needs besides belongs into a Secret of the cluster that its values "
                f"name. One that was used here before is in that history already; change it"
            )
            continue
        try:
            values[key] = json.loads(raw[key])
        except (ValueError, RecursionError):
            problems.append(
                f"{PROJECT}:{key} must be a YAML structure, not the text {raw[key]!r}; see Pulumi.walkthrough.yaml"
            )
    if problems:
        raise SettingsError(problems)
    return values


def _mesh(data: Any, directory: Path | None, network: str | None) -> tuple[IstioSettings | None, list[str]]:
    """The mesh's settings, with the IstioOperator of `istio.file` where there is one, and the pod network's CNI chain."""
    if not isinstance(data, Mapping):
        return _section(IstioSettings, "istio", data)
    if not isinstance(file := data.get("file"), str):
        return _section(IstioSettings, "istio", cni_chain.following(data, network))
    read, problems = operator_file.read((directory or Path.cwd()) / file, file)
    if problems:
        return None, [f"{PROJECT}:istio.file: {problem}" for problem in problems]
    merged, doubled = operator_file.laid_over(data, read)
    if doubled:
        return None, [
            f"{PROJECT}:istio.{key} and {file} (istio.file) say different things; keep one" for key in doubled
        ]
    return _section(IstioSettings, "istio", cni_chain.following(merged, network))


def _named(cluster: Any, stack: str) -> Any:
    return {"name": stack, **cluster} if isinstance(cluster, Mapping) else cluster


_M = TypeVar("_M", bound=_Model)


def _section(model: type[_M], where: str, data: Any) -> tuple[_M | None, list[str]]:
    """The model made of `data`, or the problems, each with its key from the stack's file."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_in_words(where, details) for details in error.errors(include_url=False)]


def _in_words(where: str, details: Any) -> str:
    key = f"{PROJECT}:{where}" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in details["loc"])
    given = details.get("input")
    match details["type"]:
        case "extra_forbidden":
            return f"{key} is not a key of this program; look for a typing error, or see Pulumi.yaml for the keys there are"
        case "missing":
            return f"{key} is missing; Pulumi.yaml says what it holds"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case _:
            shown = "" if isinstance(given, Mapping | list) else f", not {given!r}"
            return f"{key} {details['msg'].removeprefix('Input ')}{shown}"


def _contradictions(settings: Settings) -> Iterable[str]:
    """What single keys can't show: each line names the keys that don't go together."""
    yield from _listed_once(settings)
    yield from _pinned(settings)
    count = len(settings.masters)
    if count and count % 2 == 0 and not settings.cluster.lost:
        yield (
            f"{PROJECT}:masters lists {count} machines: an even number of etcd members tolerates no more failures than "
            f"{count - 1}; use 1, 3 or 5. Where a master is gone for good, name it in {PROJECT}:cluster.lost"
        )
    yield from _api_is_reached(settings)
    yield from _address_plan(settings)
    mesh = list(_mesh_fits(settings))
    yield from mesh
    if settings.dashboards and not mesh:
        from components.dashboards.fit import problems  # which itself reads the settings' models

        yield from problems(settings)


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
    host, _ = valid.host_and_port(cluster.api_endpoint)
    names = {*cluster.cert_sans, *(machine.address for machine in settings.masters[:1])}
    if not names & {host, f"*.{host.partition('.')[2]}"}:
        yield (
            f"{PROJECT}:cluster.apiEndpoint: the API server's certificate would not be good for {host}; add it to cluster.certSans "
            f"(on a live cluster, which keeps its certificate, use cluster.apiTunnel)"
        )


def _mesh_fits(settings: Settings) -> Iterable[str]:
    istio = settings.istio
    if istio is None:
        return
    if problem := check_pair(istio.version, settings.cluster.kubernetes_version):
        yield f"{PROJECT}:istio.version: {problem}"
    if problem := check_cni_namespace(istio.cni, settings.cluster.kubernetes_version):
        yield f"{PROJECT}:istio.cni.namespace: {problem}"
    if problem := cni_chain.misfit(istio.cni, settings.cluster.network):
        yield f"{PROJECT}:{problem}"
    if istio.version.rpartition(".")[0] not in RELEASES:
        return  # what that version makes of the rest, nobody knows
    if unknown := list(_not_in_release(istio)):
        yield from unknown
        return
    yield from _gateways_are_safe(settings, istio)
    if _at(istio.values, "kiali", "createDemoSecret"):
        yield (
            f"{PROJECT}:istio.values.kiali.createDemoSecret would open Kiali to admin/admin; take it out: this program makes a "
            f"log-in of its own ({PROJECT}:kialiPassphrase sets yours)"
        )
    names = {m.name for m in settings.machines}
    for key, gateways in (("ingressGateways", istio.ingress_gateways), ("egressGateways", istio.egress_gateways)):
        for position, gateway in enumerate(gateways):
            host = _at(gateway.k8s, "nodeSelector", "kubernetes.io/hostname")
            if host is not None and host not in names:
                yield (
                    f"{PROJECT}:istio.{key}[{position}].k8s.nodeSelector: no machine is named {host!r}, so the gateway's "
                    f"pod could never be scheduled; the machines are {', '.join(sorted(names))}"
                )
            if gateway.host_network:
                yield from _host_network_nodes(settings, f"istio.{key}[{position}]", gateway)


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


def _gateways_are_safe(settings: Settings, istio: IstioSettings) -> Iterable[str]:
    """Before anything is changed: the mesh comes last, and what it can't take must not be found out there."""
    from components.istio import host_network  # which itself reads the settings' models, as the next does
    from components.istio.istio_operator import plan
    from components.istio.patches import OverlayError

    try:
        made = plan(istio)
    except OverlayError as error:
        yield from (f"{PROJECT}:{problem}" for problem in error.problems)
        return
    names = [machine.name for machine in settings.machines]
    claims = [
        *host_network.machine_claims(settings),
        *host_network.gateway_claims(made.manifest, made.host_network, names, istio.version),
    ]
    yield from (f"{PROJECT}:{problem}" for problem in host_network.conflicts(claims))
    masters, nodes = ([m.name for m in machines] for machines in (settings.masters, settings.nodes))
    crowded = host_network.crowded(made.manifest, made.host_network, masters, nodes)
    yield from (f"{PROJECT}:{problem}" for problem in crowded)


def _at(data: Any, *path: str) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


_NODE_MASK = 24
"""Kubernetes gives every node a network of this prefix out of podCidr (kube-controller-manager's --node-cidr-mask-size), and Flannel and
Cilium take it from there."""

_CALICO_BLOCK = 26
"""Calico gives every node blocks of this prefix instead (its IPAM's default)."""

_UNUSABLE = tuple(
    map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
)
"""What is no address of a host in a network: this one, loopback, link-local, multicast, reserved (RFC 6890)."""


def _ranges(settings: Settings) -> Iterable[str]:
    """Ranges in which no cluster could live, or not this many machines; none of them can be changed on a live one."""
    cluster, count = settings.cluster, len(settings.machines)
    pods, services = ipaddress.IPv4Network(cluster.pod_cidr), ipaddress.IPv4Network(cluster.service_cidr)
    vip = ipaddress.IPv4Address(cluster.vip)
    for key, network in (("podCidr", pods), ("serviceCidr", services), ("vip", ipaddress.IPv4Network(vip))):
        for unusable in _UNUSABLE:
            if network.overlaps(unusable):
                yield (
                    f"{PROJECT}:cluster.{key}: {cluster.vip if key == 'vip' else network} is in {unusable}, which no host can be reached "
                    f"at; take it of a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10)"
                )
    # kubeadm and the API server refuse what is smaller or larger (kubeadm's MinimumAddressesInServiceSubnet, 10; --service-cluster-ip-range)
    if not 12 <= services.prefixlen <= 28:
        yield (
            f"{PROJECT}:cluster.serviceCidr: {services} has {services.num_addresses} addresses; Kubernetes takes /12 to /28 "
            f"(the 10th address is the cluster's DNS server)"
        )
    part = _CALICO_BLOCK if cluster.network == "calico" else _NODE_MASK
    # kubeadm itself refuses less than one node's network only since 1.20 (ValidatePodSubnetNodeMask), and Calico has its own parts
    smallest = part if int(cluster.kubernetes_version.split(".")[1]) < 20 else _NODE_MASK
    if not _NODE_MASK - 16 <= pods.prefixlen <= smallest:
        yield (
            f"{PROJECT}:cluster.podCidr: {pods} has {pods.num_addresses} addresses; Kubernetes {cluster.kubernetes_version} with "
            f"{cluster.network} takes /{_NODE_MASK - 16} to /{smallest}, of which every node gets a part"
        )
    elif (room := 1 << part - pods.prefixlen) < count:
        yield (
            f"{PROJECT}:cluster.podCidr: {pods} is enough for {room} machines of a /{part} each ({cluster.network}), and {count} are "
            f"listed; choose a larger range, since it can't be changed later"
        )
    if vip in pods:
        yield f"{PROJECT}:cluster.vip: {vip} is inside {PROJECT}:cluster.podCidr {pods}, where a pod may get it; choose an address outside"
    yield from _vip_in_services(vip, services)


_LARGE = 16
"""From this prefix on (65536 addresses) the VIP may lie among the services' addresses, as sealos's own default does: hardly ever does
Kubernetes, which draws them at random, come upon it."""


def _vip_in_services(vip: ipaddress.IPv4Address, services: ipaddress.IPv4Network) -> Iterable[str]:
    if vip not in services:
        return
    place = int(vip) - int(services.network_address)
    taken = {0: "its network's address", 1: "the Service kubernetes", 10: "the cluster's DNS server"}.get(place)
    if taken or services.prefixlen > _LARGE:
        yield (
            f"{PROJECT}:cluster.vip: {vip} is inside {PROJECT}:cluster.serviceCidr {services}, "
            + (f"where it is {taken}" if taken else "which is so small that a Service will get it")
            + "; choose an address outside"
        )


def _address_plan(settings: Settings) -> Iterable[str]:
    cluster = settings.cluster
    pods, services = ipaddress.IPv4Network(cluster.pod_cidr), ipaddress.IPv4Network(cluster.service_cidr)
    yield from _ranges(settings)
    if pods.overlaps(services):
        yield f"{PROJECT}:cluster.podCidr {pods} and {PROJECT}:cluster.serviceCidr {services} overlap; give each its own range"
    for machine in settings.machines:
        address = ipaddress.IPv4Address(machine.address)
        for key, network in (("podCidr", pods), ("serviceCidr", services)):
            if address in network:
                yield f"{PROJECT}:cluster.{key}: {network} holds the address {address} of {machine.name}; choose another range"
        if machine.name in cluster.lost:
            yield (
                f"{PROJECT}:cluster.lost names {machine.name}, which is still listed as a {machine.role}; take it out of the list, or "
                f"out of cluster.lost when it is back"
            )
        if machine.address == cluster.vip:
            yield f"{PROJECT}:cluster.vip: {cluster.vip} is {machine.name}'s own address; the VIP must be nobody's"
