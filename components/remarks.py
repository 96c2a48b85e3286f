"""What a stack may say and yet hardly means: settings that do nothing, and such as will stop working. Pure; printed as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.istio.istio_operator import plan
from components.istio.operator_file import of_global
from components.settings import PROJECT, IstioSettings, Settings

ENDING_HUBS = ("gcr.io/istio-release", "registry.istio.io")
"""Hubs on Google's hosting, which Istio leaves: nothing is published there from 1.31 on, and both end in December 2026 (Istio 1.31,
upgrade notes)."""


def remarks(settings: Settings, config: Mapping[str, Any]) -> Iterator[str]:
    """A line each, with the key and what to do.

    Args:
        settings: as parsed.
        config: what they were parsed from, for the presence of secrets.
    """
    istio, dashboards = settings.istio, settings.dashboards
    if istio:
        yield from _hub(istio)
        if not istio.cni.enabled and (idle := sorted(istio.cni.model_dump(by_alias=True, exclude_unset=True, exclude={"enabled"}))):
            yield f"{PROJECT}:istio.cni.{idle[0]} does nothing while istio.cni.enabled is false; take it out, or enable the plugin"
    if config.get("kialiPassphrase") and not (istio and plan(istio).needs_kiali_login):
        yield f"{PROJECT}:kialiPassphrase does nothing: {'this mesh has no Kiali' if istio else 'there is no mesh'}; remove the key"
    if config.get("privateKeyPassphrase") and not (config.get("privateKey") or settings.ssh.private_key_file):
        yield (
            f"{PROJECT}:privateKeyPassphrase does nothing: there is no private key for it; set {PROJECT}:privateKey or "
            f"{PROJECT}:ssh.privateKeyFile, or remove the key"
        )
    if config.get("privateKey") and settings.ssh.private_key_file:
        yield f"{PROJECT}:ssh.privateKeyFile does nothing beside {PROJECT}:privateKey, which is taken; keep one of them"
    if not dashboards:
        for key in ("dashboardsPassword", "dashboardsTlsKey"):
            if config.get(key):
                yield f"{PROJECT}:{key} does nothing without {PROJECT}:dashboards; remove the key"
        return
    if not dashboards.hosts and not dashboards.contour:
        yield f"{PROJECT}:dashboards does nothing without hosts; name one for each dashboard that is wanted"
    if dashboards.way == "gateway" and "ingress" in dashboards.model_fields_set:
        yield f"{PROJECT}:dashboards.ingress does nothing with way gateway; take it out"


def _hub(istio: IstioSettings) -> Iterator[str]:
    places = dict(_images("values", istio.values)) | dict(_images("components", istio.components))
    if "hub" not in of_global(istio.values):
        places = {"hub": istio.hub, **places}
    for key, image in places.items():
        for name in ENDING_HUBS:
            if f"{image}/".startswith(f"{name}/"):
                yield (
                    f"{PROJECT}:istio.{key}: {name} ends in December 2026, for every version; pods that are made after that can't pull "
                    f"their images. Use istio (Docker Hub, the default) or a registry of your own"
                )


def _images(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every place where images come from, with its key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _images(f"{key}.{name}", inner)
    elif isinstance(value, str) and key.rpartition(".")[2] in ("hub", "image"):
        yield key, value
