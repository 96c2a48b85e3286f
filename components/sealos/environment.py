"""The preflight's judgements about how a machine receives whoever logs in: SSH server, shell and environment. Pure.

Our own calls get past all of this; sealos, which logs in on its own from the first master, and kubeadm, which it starts, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from components.remote.models import Machine
from components.sealos.facts import Facts
from components.sealos.findings import Finding
from components.sealos.requests import Preflight

API_NAME = "apiserver.cluster.local"


def judge(request: Preflight, machine: Machine, facts: Facts, *, member: bool) -> Iterator[Finding]:
    """What sealos and kubeadm would stumble over."""
    if facts.refuses_sha1:
        yield Finding(
            machine.name,
            "rsa-key",
            "warning" if member else "error",
            "its SSH server takes the private key from here, but not from sealos, which signs RSA keys with SHA-1 only (OpenSSH 8.8 and "
            "later refuse that)",
            "Use an ed25519 key (`ssh-keygen -t ed25519`), or a password; or allow it there: `PubkeyAcceptedAlgorithms +ssh-rsa` in "
            "sshd_config.",
        )
    for where, said, severity in (("output", facts.shell_said[0], "error"), ("errors", facts.shell_said[1], "warning")):
        if said:
            first = said.splitlines()[0][:80]
            yield Finding(
                machine.name,
                "shell",
                "error" if severity == "error" and not member else "warning",
                f"{machine.user}'s shell prints to its {where} before any command: {first!r}",
                "sealos takes that for the command's own. Let /root/.bashrc and what it reads be silent unless the shell is interactive "
                "(`case $- in *i*) ;; *) return ;; esac` at its top).",
            )
    if facts.proxies and not member and (asked := list(_by_proxy(request, facts.no_proxy))):
        yield Finding(
            machine.name,
            "proxy",
            "warning",
            f"root has {', '.join(facts.proxies)} set: our own calls don't go by it, but kubeadm and sealos's kubectl would ask it for "
            f"{', '.join(asked)}, and kubeadm writes it into the control plane's manifests",
            f"Take it out of root's environment (/root/.bashrc, /etc/environment), or add to no_proxy there: {','.join(asked)}",
        )


def _by_proxy(request: Preflight, no_proxy: str) -> Iterator[str]:
    """What of the cluster a program of Go's would ask the proxy for (golang.org/x/net/http/httpproxy)."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]
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
