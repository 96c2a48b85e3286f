"""All settings of a stack."""

from __future__ import annotations

from components.config.base import Model
from components.config.cluster import ClusterSettings
from components.config.dashboards import DashboardSettings
from components.config.hosts import Machine, Ssh
from components.config.mesh import IstioSettings


class Settings(Model):
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
