"""sealos's own config.yaml and the kubeconfig, built and changed as YAML data. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from components.login import Login, Machine, MachineError
from components.sealos.requests import Identity

HOME = "/root/.sealos"


def target(machine: Machine) -> str:
    """The machine in sealos's form; the port always written, because sealos compares texts (sealos.md section 1)."""
    return f"{machine.address}:{machine.port}"


def document(cluster: Identity, package: str, machines: Iterable[Machine], home: str = HOME) -> dict[str, Any]:
    """config.yaml for `sealos init --config` of v3.3.9, without how to log in.

    Everything that a flag has a default for stands in it: what the file leaves out is empty afterwards.

    Args:
        cluster: its values.
        package: path of the offline package on the first master.
        machines: the hosts to list.
        home: sealos's folder.
    """
    listed = list(machines)
    return {
        "masters": [target(m) for m in listed if m.role == "master"],
        "nodes": [target(m) for m in listed if m.role == "node"],
        "dnsdomain": "cluster.local",
        "apiservercertsans": list(cluster.cert_sans),
        "user": "root",
        "apiserverdomain": "apiserver.cluster.local",
        "network": cluster.network,
        "vip": cluster.vip,
        "pkgurl": package,
        "version": cluster.kubernetes_version,
        "repo": cluster.repo,  # empty is kubeadm's own default, which the package's images are named by
        "podcidr": cluster.pod_cidr,
        "svccidr": cluster.service_cidr,
        "certpath": f"{home}/pki",
        "certetcdpath": f"{home}/pki/etcd",
        "lvscarename": "fanux/lvscare",
        "lvscaretag": "latest",
    }


def login_files(login: Login, package: str) -> dict[str, bytes]:
    """How sealos logs in to the machines, as files for a script: `login.yaml`, and `key` when there is a private key.

    Args:
        login: the stack's; its agent can't be used by sealos.
        package: path of the package, which may have moved since the installation.

    Raises:
        MachineError: when there is neither a password nor a key.
    """
    password = login.password.get_secret_value() if login.password else ""
    passphrase = login.private_key_passphrase.get_secret_value() if login.private_key_passphrase else ""
    key = login.key_text()
    if not password and not key:
        raise MachineError(
            "sealos",
            "has neither a password nor a private key to log in with from the first master (an agent is not enough)",
            "Set password or privateKey.",
            "login",
        )
    fields = {"passwd": password, "pkpassword": passphrase if key else "", "pkgurl": package}
    files = {"login.yaml": _yaml(fields)}
    if key:
        files["key"] = (key.rstrip("\n") + "\n").encode()
    return files


def init_arguments(cluster: Identity) -> bytes:
    """What `sealos init` only takes as flags, one argument per line; nothing secret."""
    arguments = []
    if cluster.interface:
        arguments += ["--interface", cluster.interface]
    for name in cluster.cert_sans:
        arguments += ["--cert-sans", name]
    return "".join(f"{argument}\n" for argument in arguments).encode()


def config_file(config: dict[str, Any]) -> bytes:
    """config.yaml's text: lists below their key without indentation, as sealos itself writes them."""
    return _yaml(config)


def kubeconfig(admin_conf: str, address: str) -> str:
    """admin.conf for use from outside: the server's name, which only the machines know, becomes an address.

    Args:
        admin_conf: the first master's /etc/kubernetes/admin.conf.
        address: an address of the first master that its API server's certificate has.

    Raises:
        ValueError: when the text is no kubeconfig.
    """
    config = yaml.safe_load(admin_conf)
    if not isinstance(config, dict) or not isinstance(config.get("clusters"), list) or not config["clusters"]:
        raise ValueError("admin.conf is no kubeconfig")
    for entry in config["clusters"]:
        entry["cluster"]["server"] = api_server(address)
    return str(yaml.safe_dump(config, sort_keys=False))


def api_server(address: str) -> str:
    """The URL of the API server on a master."""
    return f"https://{address}:6443"


def _yaml(data: dict[str, Any]) -> bytes:
    # a width without end, so that no value is ever folded over lines
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10**9)).encode()
