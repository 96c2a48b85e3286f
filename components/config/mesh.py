"""The mesh: what one IstioOperator says, with the parts that most people set as keys of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from components.config import fields, operator_file
from components.config.base import Model
from components.config.files import Artifact, ImagesFile
from components.config.operator_file import CNI_VALUES


class CniSettings(Model):
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

    _check_namespace = field_validator("namespace")(fields.label)
    _check_k8s = field_validator("k8s")(fields.k8s)

    @field_validator("exclude_namespaces")
    @classmethod
    def _namespaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(fields.label(name) for name in value)


class GatewayPort(Model):
    """A port of a gateway in its node's network: what clients reach is what Envoy listens on.

    Attributes:
        name: begins with the protocol (http2, https, tcp, tls-…), by which Istio knows how to handle it.
        port: on the node and in the Service.
        protocol: TCP or UDP.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    port: int = Field(ge=1, le=65535)
    protocol: Literal["TCP", "UDP"] = "TCP"


class HostNetwork(Model):
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


class GatewaySettings(Model):
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

    _check_label = field_validator("label")(fields.label_map)

    @field_validator("name", "namespace")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        return value if value is None else fields.label(value)  # a Service's name is a label, too

    @field_validator("k8s")
    @classmethod
    def _shape(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        fields.k8s(value or {})
        return value

    def as_operator(self) -> dict[str, Any]:
        """As an IstioOperator says it, without what was left out and without hostNetwork."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude={"host_network"})


class AddonSettings(Model):
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
        fields.k8s(value)
        return value


class Labelled(Model):
    """Labels and annotations of an object."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    _check_labels = field_validator("labels")(fields.label_map)
    _check_annotations = field_validator("annotations")(fields.annotation_map)


class IstioSettings(Model):
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

    _check_hub = field_validator("hub")(fields.hub)
    _check_name = field_validator("name")(fields.object_name)
    _check_namespace = field_validator("namespace")(fields.mesh_namespace)

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
            if isinstance(k8s := component.get("k8s"), Mapping):
                try:
                    fields.k8s(k8s)
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


CONFIG_FILES: Mapping[str, str] = {"calico": "10-calico.conflist", "flannel": "10-flannel.conflist"}
"""The chain that the plugin joins, by the pod network (`cluster.network`) that writes it. Cilium's is not listed: the name of its
file changes with its release, and its agent writes it anew (istio#36821, istio/cni#252)."""


def following(istio: Mapping[str, Any], network: Any) -> dict[str, Any]:
    """The mesh's settings, as they are written, with the chain of the pod network where they name none.

    Args:
        istio: the settings.
        network: the pod network.
    """
    cni = istio.get("cni") or {}
    file = CONFIG_FILES.get(str(network))
    if not isinstance(cni, Mapping) or file in (None, CONFIG_FILES["calico"]) or "configFile" in cni or cni.get("enabled") is False:
        return dict(istio)
    return {**istio, "cni": {**cni, "configFile": file}}
