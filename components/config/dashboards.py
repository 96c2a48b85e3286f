"""The ways in to the mesh's dashboards."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.config.base import Model
from components.config.files import ImagesFile

_FQDN = re.compile(r"(?=.{4,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
"""A DNS name of at least two labels (RFC 1123 section 2.1), as Ingress, HTTPProxy and Gateway take it."""


class TlsSettings(Model):
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


class BasicAuth(Model):
    """One user for all dashboards, with the secret sealos-istio:dashboardsPassword.

    Attributes:
        username: who may enter.
    """

    username: str = Field(pattern=r"^[A-Za-z0-9._@-]+$")


class IngressSettings(Model):
    """How the cluster's Ingress controller is addressed.

    Attributes:
        class_name: the class of its Ingresses (or of Contour's HTTPProxies); none leaves it to whoever is the default.
        controller: which one it is, for what only its own annotations can say.
    """

    class_name: str | None = Field(default=None, alias="class", pattern=r"^[A-Za-z0-9./-]+$")
    controller: Literal["nginx", "contour", "other"] = "other"


class ContourSettings(Model):
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


class DashboardSettings(Model):
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
