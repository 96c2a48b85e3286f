"""What the drivers read from standard input: one model per verb, made by components/sealos/cluster.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.remote.models import Fleet, Machine, Request
from components.sealos.defaults import ETCD_BACKUPS, JOIN_BATCH


class Artifact(Request):
    """A file on the first master; fields as in the stack's settings, where it comes from only for who needs that."""

    path: str
    sha256: str | None = None
    file: str | None = None
    url: str | None = None


class Provide(Request):
    """The first master, and what it shall hold.

    Attributes:
        what: which of the two.
        artifact: with file or url, and sha256.
        kubernetes_version: what a package must hold; None when that is waived.
        limit: seconds for fetching it, and again for sending it.
        machines: whom it is for; when one is added, it is seen to again.
    """

    fleet: Fleet
    what: Literal["package", "sealos"]
    artifact: Artifact
    kubernetes_version: str | None = None
    limit: float = Field(default=1800, gt=0)
    machines: tuple[str, ...] = ()


class Limits(Request):
    """Seconds that each stage may take, from cluster.timeouts."""

    install: float = Field(default=1800, gt=0)
    join: float = Field(default=900, gt=0)
    clean: float = Field(default=600, gt=0)
    ready: float = Field(default=300, gt=0)


class HostPort(Request):
    """A port that a gateway takes on its node; host None stands for any node."""

    host: str | None = None
    port: int
    gateway: str


class Preflight(Request):
    """All machines, what they are judged by, and how findings are taken (cluster.preflight).

    Attributes:
        tunnel: whether the API server is reached by a tunnel through the first master's SSH server (cluster.apiTunnel).
    """

    fleet: Fleet
    cluster: str
    kubernetes_version: str
    package: Artifact
    sealos: Artifact
    istioctl: Artifact | None = None
    max_clock_skew: float = 2.0
    recover: bool = False
    adopt: bool = False
    vip: str | None = None
    pod_cidr: str | None = None
    service_cidr: str | None = None
    network: str = "calico"
    interface: str | None = None
    tunnel: bool = False
    host_ports: tuple[HostPort, ...] = ()
    warnings_as_errors: bool | list[str] = False
    waive: dict[str, str] = Field(default_factory=dict)


class Identity(Request):
    """What of a cluster can't be changed once it is there; written down on its first master."""

    name: str
    kubernetes_version: str
    vip: str
    pod_cidr: str
    service_cidr: str
    network: str
    interface: str | None = None
    cert_sans: tuple[str, ...] = ()
    repo: str = ""


class Install(Request):
    """The first master alone, so that a change of another machine doesn't touch the installation."""

    fleet: Fleet
    cluster: Identity
    package: Artifact
    sealos: Artifact
    recover: bool = False
    adopt: bool = False
    timeouts: Limits = Limits()


class Wanted(Request):
    """What the cluster shall have, as it is written down on the first master.

    A removal is run with the settings that its member was made by; what a removal must know of today's settings is here.

    Attributes:
        machines: all of them.
        lost: names of machines that are gone for good, and that may be taken out of the cluster without being asked.
        drain: seconds that a drain may take.
        join_batch: nodes that sealos joins at a time.
    """

    machines: tuple[Machine, ...] = ()
    lost: tuple[str, ...] = ()
    drain: float = Field(default=300, gt=0)
    join_batch: int = Field(default=JOIN_BATCH, ge=1)


class Want(Wanted):
    """The first master, and what the cluster shall have.

    Attributes:
        limit: seconds for taking the lost out, and for a snapshot of etcd.
        etcd_backups: where that goes, a folder here.
    """

    fleet: Fleet
    limit: float = Field(default=600, gt=0)
    etcd_backups: str = ETCD_BACKUPS


class Backup(Request):
    """The first master; `machines` only so that the backup is taken again when the cluster's members change."""

    fleet: Fleet
    machines: tuple[Machine, ...]
    limit: float = Field(default=900, gt=0)


class Snapshot(Request):
    """The first master, whose etcd is saved.

    Attributes:
        etcd_backups: the folder here for it.
        file: the file here that it shall be instead.
        limit: seconds for taking it, and again for fetching it.
        if_there: whether a machine without a cluster is no error.
    """

    fleet: Fleet
    etcd_backups: str = ETCD_BACKUPS
    file: str | None = None
    limit: float = Field(default=600, gt=0)
    if_there: bool = False


class Restore(Install):
    """All machines, and what their etcd is made of again.

    Attributes:
        snapshot: a file here.
        state: the stack's output sealosBackup, decoded; secret. For a first master that is bare.
        roll_back: whether a cluster that lives may be taken back to what the snapshot holds.
    """

    snapshot: str
    state: bytes | None = Field(default=None, repr=False)
    roll_back: bool = False


class Member(Request):
    """The first master and one further machine, for join and leave."""

    fleet: Fleet
    member: str
    cluster: str
    kubernetes_version: str
    package: Artifact
    sealos: Artifact
    vip: str
    timeouts: Limits = Limits()


class Look(Request):
    """All machines.

    Attributes:
        mesh: whether the look at the mesh (components/istio/readiness/change_detection.py) tells of the dead ones.
        istio: the mesh's version, where its images are Istio's own.
    """

    fleet: Fleet
    mesh: bool = False
    istio: str | None = None


class Kubeconfig(Request):
    """The first master."""

    fleet: Fleet


class Ready(Request):
    """The first master, and the machines that must be Ready nodes."""

    fleet: Fleet
    machines: tuple[Machine, ...]
    kubernetes_version: str
    timeout: float = Field(default=300, gt=0)
