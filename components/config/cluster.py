"""The Kubernetes cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from components.config import fields
from components.config.base import Model
from components.config.files import Provided
from components.sealos.defaults import ETCD_BACKUPS, JOIN_BATCH
from components.sealos.findings import CODES

OLDEST_KUBERNETES = (1, 14)
"""The oldest Kubernetes this sets up: the source walk-through's own precondition."""


class Timeouts(Model):
    """How long each stage may take before it is given up on, in seconds."""

    install: int = Field(default=1800, ge=10)
    join: int = Field(default=900, ge=10)
    clean: int = Field(default=600, ge=10)
    drain: int = Field(default=300, ge=1)
    ready: int = Field(default=300, ge=10)


class PreflightSettings(Model):
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


class ClusterSettings(Model):
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
        return tuple(fields.certificate_name(name) for name in value)

    @field_validator("lost")
    @classmethod
    def _machine_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                fields.machine_name(name)
            except ValueError:
                raise ValueError(f"{name!r} is no machine's name; write it as the Node is named (kubectl get nodes)") from None
        return value

    _check_name = field_validator("name")(fields.cluster_name)
    _check_endpoint = field_validator("api_endpoint")(fields.endpoint)
    _check_repo = field_validator("repo")(fields.image_prefix)
    _check_vip = field_validator("vip")(fields.ipv4)
    _check_networks = field_validator("pod_cidr", "service_cidr")(fields.network)

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
