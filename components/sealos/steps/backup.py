"""The first master's own state of sealos, for a rainy day."""

from __future__ import annotations

from components.remote.connection import connect
from components.sealos import requests
from components.sealos.steps.script import PROBE, files, work


async def run_backup(request: requests.Backup) -> str:
    """The first master's ~/.sealos, CA keys included, as base64 of a gzipped archive; secret."""
    first = request.fleet.first_master
    async with connect(first, request.fleet.login) as host:
        given = files(lock_wait=request.limit)
        what = "the backup of sealos's state"
        return (await work(host, "backup.sh", given, request.limit + PROBE, what, prints_secrets=True)).strip()
