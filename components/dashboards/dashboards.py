"""Dashboards: the objects that lead to the mesh's dashboards, their secrets, and the check that they lead somewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.config.dashboards import DashboardSettings
from components.config.load import Credentials
from components.dashboards import routes
from components.istio.istio_operator import ControlPlanePlan
from components.istio.objects import kubernetes_object, secret_json, secret_manifest

CHECK = "python3 -m components.dashboards check"
HTPASSWD = "python3 -m components.dashboards htpasswd"


@dataclass(frozen=True)
class DashboardsArgs:
    """What makes the ways in.

    Attributes:
        dashboards: their settings.
        mesh: whose they are.
        kubernetes: the cluster's version, as `v1.16.3`.
        credentials: basic authentication's password and the certificate's key.
        fleet: how to reach the first master (components/remote/fleet.py); secret.
        after: the mesh's ready gate, and Contour where it is installed here.
    """

    dashboards: DashboardSettings
    mesh: ControlPlanePlan
    kubernetes: str
    credentials: Credentials
    fleet: pulumi.Input[Mapping[str, Any]]
    after: Sequence[pulumi.Resource]


class Dashboards(pulumi.ComponentResource):
    """One way in for each dashboard.

    Attributes:
        urls: where to point a browser, by dashboard; known once the check has passed.
    """

    urls: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: DashboardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:dashboards:Dashboards", name, None, opts)
        dashboards, mesh, istio = args.dashboards, args.mesh, args.mesh.istio
        secrets = list(self._secrets(name, args))
        manifests = routes.manifests(dashboards, mesh, args.kubernetes)
        objects = [
            kubernetes_object(
                f"{name}-{manifest['kind'].lower()}-{manifest['metadata']['name'].removeprefix('dashboard-')}",
                manifest,
                pulumi.ResourceOptions(parent=self, depends_on=[*args.after, *secrets]),
            )
            for manifest in manifests
        ]
        found = routes.routes_of(dashboards, mesh)
        wanted = {
            "namespace": istio.namespace,
            "objects": [f"{m['kind']}/{m['metadata']['name']}" for m in manifests],
            "backends": [
                {"dashboard": r.dashboard.name, "service": r.dashboard.service, "port": r.dashboard.port} for r in found
            ],
            "secret": routes.tls_secret_name(dashboards) if found else None,
            # without what is as ever: a request that changes is made again
            **({"secretNamespace": place} if (place := routes.tls_namespace(dashboards, mesh)) != istio.namespace else {}),
            "timeout": dashboards.ready_timeout,
        }
        request = {
            "fleet": args.fleet,
            "wanted": wanted,
            "manifests": hashlib.sha256(json.dumps(manifests, sort_keys=True).encode()).hexdigest(),
        }
        check = local.Command(
            f"{name}-check",
            create=CHECK,
            stdin=secret_json(request),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after, *secrets, *objects]),
        )
        urls = routes.urls(dashboards, mesh)
        stdout: pulumi.Output[str] = pulumi.Output.unsecret(check.stdout)
        self.urls = stdout.apply(lambda _: urls)
        self.register_outputs({"urls": self.urls})

    def _secrets(self, name: str, args: DashboardsArgs) -> Sequence[pulumi.Resource]:
        dashboards, mesh = args.dashboards, args.mesh
        made: list[pulumi.Resource] = []

        def secret(suffix: str, manifest: Mapping[str, Any]) -> None:
            # the namespace is the mesh's
            options = pulumi.ResourceOptions(parent=self, depends_on=list(args.after))
            made.append(kubernetes_object(f"{name}-{suffix}", manifest, options))

        key = args.credentials.dashboards_tls_key
        if dashboards.tls and dashboards.tls.certificate and key is not None:
            values: dict[str, pulumi.Input[str]] = {"tls.crt": dashboards.tls.certificate, "tls.key": key}
            secret("tls", secret_manifest(routes.TLS_SECRET, routes.tls_namespace(dashboards, mesh), values, "kubernetes.io/tls"))
        if dashboards.basic_auth:
            login = {"username": dashboards.basic_auth.username, "password": args.credentials.dashboards_password}
            line = local.Command(
                f"{name}-htpasswd",
                create=HTPASSWD,
                # a hash has a salt of its own each time, so it is made when the password changes, and only then
                stdin=secret_json(login),
                add_previous_output_in_env=False,
                logging=local.Logging.NONE,
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["stdout", "stderr"]),
            )
            stdout: pulumi.Output[str] = line.stdout
            secret("basic-auth", secret_manifest(routes.BASIC_AUTH_SECRET, mesh.istio.namespace, {"auth": stdout}))
        return made
