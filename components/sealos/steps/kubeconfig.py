"""The kubeconfig for use from outside."""

from __future__ import annotations

from components.driver import DriverError
from components.remote.connection import connect
from components.sealos import requests, sealos_config
from components.sealos.steps.ask import show


async def run_kubeconfig(request: requests.Kubeconfig) -> str:
    """The cluster's kubeconfig for use from outside; secret."""
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        try:
            return sealos_config.kubeconfig(await show(host, "kubeconfig"), first.address).rstrip("\n")
        except ValueError as error:
            raise DriverError(f"{first.name}: {error}") from None
