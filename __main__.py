"""From bare machines to a mesh, one stack an environment: settings → cluster → operator → mesh → checks → outputs."""

import pulumi

from components import interpreter, registrations
from components.config.load import load
from components.dashboards.contour import Contour, ContourArgs
from components.dashboards.dashboards import Dashboards, DashboardsArgs
from components.istio.cni_check import CniCheck, CniCheckArgs
from components.istio.control_plane import ControlPlane, ControlPlaneArgs, foresee
from components.istio.images import ImagesArgs
from components.istio.istioctl import Istioctl, IstioctlArgs
from components.istio.operator import IstioOperator, IstioOperatorArgs
from components.protection import Protection
from components.remote.fleet import fleet_request
from components.sealos.cluster import SealosCluster, SealosClusterArgs

interpreter.check()
registrations.hasten()
settings, credentials = load(pulumi.get_stack())
fleet = fleet_request(settings, credentials)
first_master = fleet_request(settings, credentials, [settings.first_master])
foreseen = foresee(settings.istio, settings.cluster.kubernetes_version) if settings.istio else None  # refuses before the first resource

cluster = SealosCluster("cluster", SealosClusterArgs(settings, fleet))
everything: list[pulumi.Resource] = [cluster]
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("sealosBackup", cluster.sealos_backup)
pulumi.export("apiServer", {"url": cluster.api_server, "version": settings.cluster.kubernetes_version})
pulumi.export("nodes", cluster.nodes)

if foreseen:
    istio, in_cluster = foreseen.istio, cluster.in_cluster
    images = ImagesArgs(foreseen, settings, credentials, cluster.provider)
    operator = IstioOperator("istio-operator", IstioOperatorArgs(istio, images), in_cluster)
    mesh_args = ControlPlaneArgs(foreseen, first_master, fleet, operator, settings.machines, credentials.kiali_passphrase)
    mesh = ControlPlane("istio", mesh_args, in_cluster)
    everything += [operator, mesh]
    if istio.cni.enabled:
        # Every machine is checked, so that one added later is, too; the first master knows which of them is dead.
        nodes = {m.name: fleet_request(settings, credentials, {settings.first_master, m}) for m in settings.machines}
        cni_args = CniCheckArgs(istio, nodes, [mesh.gate, cluster.provider], mesh.found_changed_at)
        everything.append(CniCheck("istio-cni", cni_args))
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
            everything.append(contour := Contour("contour", ContourArgs(settings, credentials, cluster.provider), in_cluster))
            after.append(contour.deployment)
        everything.append(ways_in := Dashboards("dashboards", DashboardsArgs(settings, credentials, first_master, after), in_cluster))
        pulumi.export("dashboards", ways_in.urls)

Protection("cluster.protect", settings.cluster.protect, everything)
registrations.begin()
