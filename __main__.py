"""From bare machines to a mesh, one stack an environment: settings → plan → cluster → operator → mesh → checks → outputs."""

import pulumi

from components import interpreter, registrations
from components.config.load import load
from components.dashboards.contour import Contour, ContourArgs
from components.dashboards.dashboards import Dashboards, DashboardsArgs
from components.istio.cni_check import CniCheck, CniCheckArgs
from components.istio.control_plane import ControlPlane, ControlPlaneArgs
from components.istio.images import ImagesArgs
from components.istio.istioctl import Istioctl, IstioctlArgs
from components.istio.mesh_plan import plan_mesh
from components.istio.operator import IstioOperator, IstioOperatorArgs
from components.protection import Protection
from components.remote.fleet import reaching
from components.sealos.cluster import SealosCluster, SealosClusterArgs

interpreter.check()
registrations.hasten()
settings, plan, credentials = load(pulumi.get_stack())
machines, kubernetes, limit = settings.machines, settings.cluster.kubernetes_version, settings.cluster.timeouts.install
reach = reaching(settings, credentials)
fleet, first_master = reach(machines), reach([settings.first_master])
mesh_plan = plan_mesh(plan.mesh, kubernetes) if plan.mesh else None  # refuses before the first resource

cluster = SealosCluster("cluster", SealosClusterArgs(settings, plan.host_gateways, fleet))
everything: list[pulumi.Resource] = [cluster]
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("sealosBackup", cluster.sealos_backup)
pulumi.export("apiServer", {"url": cluster.api_server, "version": kubernetes})
pulumi.export("nodes", cluster.nodes)

if mesh_plan:
    istio, in_cluster = mesh_plan.istio, cluster.in_cluster
    images = ImagesArgs(mesh_plan, machines, reach, limit, cluster.provider)
    operator = IstioOperator("istio-operator", IstioOperatorArgs(istio, images), in_cluster)
    mesh = ControlPlane("istio", ControlPlaneArgs(mesh_plan, first_master, fleet, operator, machines, credentials.kiali_passphrase), in_cluster)
    everything += [operator, mesh]
    if istio.cni.enabled:
        everything.append(CniCheck("istio-cni", CniCheckArgs(istio, machines, reach, [mesh.gate, cluster.provider], mesh.found_changed_at)))
    if istio.istioctl:
        istioctl_args = IstioctlArgs(istio.version, istio.istioctl, first_master)
        everything.append(Istioctl("istioctl", istioctl_args, pulumi.ResourceOptions(depends_on=[cluster.anchor])))
    pulumi.export("istio", mesh.report.apply(lambda report: {k: v for k, v in report.items() if k != "gateway"}))
    pulumi.export("ingressGateway", mesh.report.apply(lambda report: report["gateway"]))
    if mesh.kiali:
        pulumi.export("kiali", mesh.kiali.login)
    if dashboards := settings.dashboards:
        after: list[pulumi.Resource] = [mesh.gate]
        if dashboards.contour:
            contour_args = ContourArgs(dashboards, kubernetes, machines, reach, limit, cluster.provider)
            everything.append(contour := Contour("contour", contour_args, in_cluster))
            after.append(contour.deployment)
        ways_args = DashboardsArgs(dashboards, mesh_plan.control_plane, kubernetes, credentials, first_master, after)
        everything.append(ways_in := Dashboards("dashboards", ways_args, in_cluster))
        pulumi.export("dashboards", ways_in.urls)

Protection("cluster.protect", settings.cluster.protect, everything)
registrations.begin()
