"""Contour: the Ingress controller for traffic from outside, as native resources, on nodes of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import local

from components.config.dashboards import DashboardSettings
from components.config.files import ImagesFile
from components.config.hosts import Machine
from components.dashboards import contour_manifests as manifests
from components.dashboards.fit import contour_release
from components.istio.objects import kubernetes_object, secret_json, secret_manifest
from components.remote.fleet import Reach

CERTIFICATES = "python3 -m components.dashboards xds-certificates"


LOAD_IMAGES = "python3 -m components.dashboards load-images"


@dataclass(frozen=True)
class ContourArgs:
    """What Contour needs to know.

    Attributes:
        dashboards: with `contour`.
        kubernetes: the cluster's version, as `v1.16.3`.
        machines: all of the stack's.
        reach: how to reach some of them, where images are loaded from a file; secret.
        timeout: seconds for the images of one of them.
        cluster_ready: what must be there before images can be loaded on a node.
    """

    dashboards: DashboardSettings
    kubernetes: str
    machines: Sequence[Machine]
    reach: Reach
    timeout: int
    cluster_ready: pulumi.Resource


class Contour(pulumi.ComponentResource):
    """Contour and its Envoys, ready.

    Attributes:
        deployment: Contour itself; an HTTPProxy depends on it, since nobody else would judge it.
    """

    deployment: pulumi.CustomResource

    def __init__(self, name: str, args: ContourArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sealos-istio:dashboards:Contour", name, None, opts)
        contour, release = args.dashboards.contour, contour_release(args.kubernetes)
        if contour is None or release is None:
            raise ValueError(f"no Contour is asked for, or none is known for Kubernetes {args.kubernetes}")
        image = f"{contour.registry}/projectcontour/contour:{release.contour}"
        envoy = f"{contour.registry}/envoyproxy/envoy:{release.envoy}"

        def child(suffix: str, manifest: manifests.Manifest, *after: pulumi.Resource) -> pulumi.CustomResource:
            limit = f"{contour.ready_timeout}s"
            options = pulumi.ResourceOptions(
                parent=self,
                depends_on=list(after),
                custom_timeouts=pulumi.CustomTimeouts(create=limit, update=limit, delete=f"{manifests.ENVOY_GRACE + 120}s"),
            )
            return kubernetes_object(f"{name}-{suffix}", manifest, options)

        namespace = child("namespace", manifests.namespace())
        first: list[pulumi.Resource] = [
            child(suffix, made, namespace) for suffix, made in manifests.everything_before_the_pods()
        ]
        # made once, and kept in the state as a secret
        made = local.Command(
            f"{name}-certificates",
            create=CERTIFICATES,
            stdin=secret_json({"namespace": manifests.NAMESPACE}),
            add_previous_output_in_env=False,
            logging=local.Logging.NONE,
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["stdout", "stderr"]),
        )
        certificates: pulumi.Output[str] = made.stdout
        secrets = {
            whose: child(f"certificates-{whose}", _secret(whose, certificates), namespace)
            for whose in ("contour", "envoy")
        }
        if contour.images:
            machines = [machine for machine in args.machines if machine.name in contour.nodes]
            first.append(self._load(name, contour.images, [image, envoy], machines, args))
        pods = manifests.deployment(image, contour.nodes, args.dashboards.ingress.class_name)
        self.deployment = child("deployment", pods, *first, secrets["contour"])
        # the provider waits for a Service's endpoints: after the Deployment there is one message when that fails, not two
        service = child("service", manifests.service(), self.deployment)
        child("daemon-set", manifests.daemon_set(image, envoy, contour.nodes), secrets["envoy"], service, *first)
        self.register_outputs({"image": image, "envoy": envoy, "nodes": list(contour.nodes)})

    def _load(self, name: str, images: ImagesFile, references: list[str], machines: Sequence[Machine], args: ContourArgs) -> local.Command:
        """The images on every node that has Contour; looked at again when the file, a node or a version changes."""
        request = {
            "fleet": args.reach(machines),
            "file": images.file,
            "sha256": images.sha256,
            "images": references,
            "timeout": args.timeout,
        }
        return local.Command(
            f"{name}-images",
            create=LOAD_IMAGES,
            stdin=secret_json(request),
            add_previous_output_in_env=False,
            logging=local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.cluster_ready]),
        )


def _secret(whose: str, certificates: pulumi.Output[str]) -> manifests.Manifest:
    """The Secret with which `contour` or `envoy` shows who it is."""

    def value(key: str) -> pulumi.Output[str]:
        return certificates.apply(lambda text: manifests.certificate_values(json.loads(text), whose)[key])

    values = {key: value(key) for key in ("ca.crt", "tls.crt", "tls.key")}
    name = manifests.CONTOUR_SECRET if whose == "contour" else manifests.ENVOY_SECRET
    return secret_manifest(name, manifests.NAMESPACE, values)
