"""The preflight's judgements about how a machine receives whoever logs in: SSH server, shell and environment. Pure.

Our own calls get past all of this; sealos, which logs in on its own from the first master, and kubeadm, which it starts, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from components.problem import Code, Problem, Severity
from components.remote.models import Machine
from components.sealos.facts import Facts
from components.sealos.requests import Preflight

API_NAME = "apiserver.cluster.local"
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "busybox"}
"""Those that take `&&`, `||` and `$(…)` as sealos sends them to root's login shell; fish and csh don't."""

_FOR_HTTPS = {"https_proxy", "HTTPS_PROXY"}
"""What a program of Go's asks for a proxy to the API server: neither http_proxy nor all_proxy (golang.org/x/net/http/httpproxy)."""


def judge(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Problem]:
    """What sealos and kubeadm would stumble over."""
    severity: Severity = "warning" if member else "error"
    if facts.refuses_sealos:
        code, why = facts.refuses_sealos
        if code is Code.RSA_KEY:
            cause = (
                "its SSH server takes the private key from here, but not from sealos, which signs RSA keys with SHA-1 only (OpenSSH 8.8 and "
                "later refuse that)"
            )
        else:
            cause = f"its SSH server lets us in, but not sealos, which dials from the first master with an SSH library of 2019: {why}"
        yield Problem(code, machine.name, cause, severity=severity)
    if not facts.forwards:
        yield Problem(
            Code.FORWARDING, machine.name,
            "its SSH server passes no connections on, which the tunnel to the API server (cluster.apiTunnel) takes",
        )
    for where, said, of_it in (("output", facts.shell_said[0], severity), ("errors", facts.shell_said[1], "warning")):
        if said:
            first = said.splitlines()[0][:80]
            yield Problem(
                Code.SHELL, machine.name,
                f"{machine.user}'s shell prints to its {where} before any command: {first!r}",
                severity="error" if of_it == "error" else "warning",
            )
    if facts.login_shell and facts.login_shell.rpartition("/")[2] not in _SHELLS:
        yield Problem(
            Code.SHELL, machine.name,
            f"{machine.user}'s login shell is {facts.login_shell}, which sealos's commands are not written for",
            f"`usermod --shell /bin/bash {machine.user}` on it.",
            severity=severity,
        )
    if _FOR_HTTPS & set(facts.proxies) and not member and (asked := list(_by_proxy(request, facts.no_proxy))):
        yield Problem(
            Code.PROXY, machine.name,
            f"root has {', '.join(facts.proxies)} set: our own calls don't go by it, but kubeadm and sealos's kubectl would ask it for "
            f"{', '.join(asked)}, and kubeadm writes it into the control plane's manifests",
            f"Take it out of root's environment (/root/.bashrc, /etc/environment), or add to no_proxy there: {','.join(asked)}",
            severity="warning",
        )


def _by_proxy(request: Preflight, no_proxy: str) -> Iterator[str]:
    """What of the cluster a program of Go's would ask the proxy for (golang.org/x/net/http/httpproxy)."""
    entries = [entry.strip().lower().removesuffix(":6443").removeprefix("*.") for entry in no_proxy.split(",") if entry.strip()]
    if "*" in entries:
        return
    wanted = [machine.address for machine in request.fleet.machines if machine.role == "master"]
    wanted += [text for text in (request.vip, request.service_cidr, request.pod_cidr) if text]
    for text in wanted:
        if not any(_holds(entry, IPv4Network(text)) for entry in entries):
            yield text
    if not any(entry.lstrip(".") == API_NAME or API_NAME.endswith(f".{entry.lstrip('.')}") for entry in entries):
        yield API_NAME


def _holds(entry: str, network: IPv4Network) -> bool:
    try:
        return network.subnet_of(IPv4Network(entry, strict=False))
    except ValueError:
        return False
