"""What facts.sh found on a machine, as data."""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """One machine, as it is.

    Attributes:
        uid: of who logged in.
        hostname, machine_id: as the machine has them; empty when it has none.
        addresses: its own IPv4 and IPv6 addresses.
        swap: number of swap areas in use.
        ports: TCP ports that something listens on.
        missing_tools: programs that our scripts need and that are not there.
        runtimes: container runtimes found (dockerd, containerd).
        free_root, free_lib: free space below /root and /var/lib in bytes; None when unknown.
        leftovers: paths of an earlier or half-made cluster.
        ca: SHA-256 of the cluster's CA certificate on the machine.
        marker: what our installation wrote down when it was done (an Identity), on a first master.
        intent: the same, while an installation is under way or after it died.
        wanted: our list of the cluster's machines, on a first master.
        nodes: `kubectl get nodes -o json`, where the API answered; api_error says why it did not.
        package_bytes, package_sha256: of the offline package; None when it isn't there or the checksum wasn't asked for.
        sealos_bytes, sealos_sha256, sealos_version: of the sealos binary, likewise; the version None when it can't run.
    """

    uid: int = 0
    hostname: str = ""
    machine_id: str = ""
    addresses: tuple[str, ...] = ()
    swap: int = 0
    ports: frozenset[int] = frozenset()
    missing_tools: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    free_root: int | None = None
    free_lib: int | None = None
    leftovers: tuple[str, ...] = ()
    ca: str | None = None
    marker: dict[str, Any] | None = None
    intent: dict[str, Any] | None = None
    wanted: list[dict[str, Any]] | None = None
    nodes: dict[str, Any] | None = None
    api_error: str | None = None
    package_bytes: int | None = None
    package_sha256: str | None = None
    sealos_bytes: int | None = None
    sealos_sha256: str | None = None
    sealos_version: str | None = None


def parse(text: str) -> Facts:
    """The facts in facts.sh's output, "key value" lines; keys that are not there keep their defaults."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        lines[key].append(value.strip())

    def last(key: str) -> str | None:
        return lines[key][-1] if lines.get(key) else None

    def number(key: str, unit: int = 1) -> int | None:
        value = last(key)
        return int(value) * unit if value and value.isdigit() else None

    return Facts(
        uid=number("uid") or 0,
        hostname=last("hostname") or "",
        machine_id=last("machine_id") or "",
        addresses=tuple(lines.get("address", ())),
        swap=number("swap") or 0,
        ports=frozenset(int(port, 16) for port in lines.get("port", ())),
        missing_tools=tuple(lines.get("missing_tool", ())),
        runtimes=tuple(lines.get("runtime", ())),
        free_root=number("free_root", 1024),
        free_lib=number("free_lib", 1024),
        leftovers=tuple(lines.get("leftover", ())),
        ca=last("ca"),
        marker=_document(last("cluster")),
        intent=_document(last("installing")),
        wanted=_document(last("wanted")),
        nodes=_document(last("nodes")),
        api_error=last("api_error"),
        package_bytes=number("package_bytes"),
        package_sha256=last("package_sha256"),
        sealos_bytes=number("sealos_bytes"),
        sealos_sha256=last("sealos_sha256"),
        sealos_version=last("sealos_version"),
    )


def _document(encoded: str | None) -> Any:
    """The JSON document, or None when there is none or it is no JSON (a file that was cut off is as good as none)."""
    if not encoded:
        return None
    try:
        return json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return None
