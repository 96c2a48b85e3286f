"""sealos's own config.yaml and the kubeconfig, built and changed as YAML data. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

import yaml

from components.remote.models import Login, Machine, MachineError
from components.sealos.requests import Identity

HOME = "/root/.sealos"


def target(machine: Machine) -> str:
    """The machine in sealos's form; the port always written, because sealos compares texts (docs/reference/sealos.md)."""
    return f"{machine.address}:{machine.port}"


def targets(machines: Iterable[Machine]) -> str:
    """Machines as sealos's config lists them, a line each."""
    return "".join(f"{target(machine)}\n" for machine in machines)


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
        MachineError: when there is neither a password nor a key, or the key can't be used.
    """
    from components.sealos.way_in import key_for_sealos  # which a preview does without

    password = login.password.get_secret_value() if login.password else ""
    key = key_for_sealos(login)
    if not password and not key:
        raise MachineError(
            "sealos",
            "has neither a password nor a private key to log in with from the first master (an agent is not enough)",
            "Set password or privateKey.",
            "login",
        )
    fields = {"passwd": password, "pkpassword": "", "pkgurl": package}
    files = {"login.yaml": _yaml(fields)}
    if key:
        files["key"] = key.encode()
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
    """A kubeconfig for use from outside, made of nothing but admin.conf's CA, client certificate, client key and names.

    Whoever reads a kubeconfig also runs its `exec` and `auth-provider`, reads its `tokenFile` and goes through its `proxy-url`, so
    nothing else of what the first master says is passed on. Keys and their order are kubeadm's own: of an ordinary admin.conf
    the server's name alone is another afterwards, which only the machines know.

    Args:
        admin_conf: the first master's /etc/kubernetes/admin.conf.
        address: an address of the first master that its API server's certificate has.

    Raises:
        ValueError: when the text is no kubeconfig with these three; it says what it lacks and never what it holds.
    """
    try:
        config = yaml.safe_load(admin_conf)
    except (yaml.YAMLError, RecursionError):
        raise ValueError("admin.conf is no kubeconfig: it is no YAML") from None
    if not isinstance(config, dict) or config.get("kind") != "Config":
        raise ValueError("admin.conf is no kubeconfig")
    current = _name(config.get("current-context"), "current-context")
    context = _entry(config, "contexts", "context", current)
    cluster_name, user_name = (_name(context.get(key), f"contexts[{current}].{key}") for key in ("cluster", "user"))
    cluster = _entry(config, "clusters", "cluster", cluster_name)
    user = _entry(config, "users", "user", user_name)
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {
                    "certificate-authority-data": _pem(cluster, f"clusters[{cluster_name}]", "certificate-authority-data"),
                    "server": api_server(address),
                },
                "name": cluster_name,
            }
        ],
        "contexts": [{"context": {"cluster": cluster_name, "user": user_name}, "name": current}],
        "current-context": current,
        "kind": "Config",
        "preferences": {},
        "users": [
            {
                "name": user_name,
                "user": {
                    key: _pem(user, f"users[{user_name}]", key) for key in ("client-certificate-data", "client-key-data")
                },
            }
        ],
    }
    if "preferences" not in config:  # later kubeadms leave it out
        del made["preferences"]
    return str(yaml.safe_dump(made, sort_keys=False))


def reached_at(text: str, host: str, port: int, name: str | None = None) -> str:
    """A kubeconfig of ours whose API server is reached at another place.

    Args:
        text: as `kubeconfig` makes it.
        host: where.
        port: where on it.
        name: what the certificate there is good for, if not the host.
    """
    config = yaml.safe_load(text)
    cluster = config["clusters"][0]["cluster"]
    cluster["server"] = api_server(host, port)
    if name:
        cluster["tls-server-name"] = name
    return str(yaml.safe_dump(config, sort_keys=False))


_PLAIN_NAME = re.compile(r"[A-Za-z0-9@:._-]{1,253}")
_BLOCKS = {
    "certificate-authority-data": "CERTIFICATE",
    "client-certificate-data": "CERTIFICATE",
    "client-key-data": "(?:RSA |EC )?PRIVATE KEY",
}
"""What each of the kubeconfig's data is, as the kind of its PEM blocks (RFC 7468)."""


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
        raise ValueError(f"admin.conf is no kubeconfig: {where} is no name of letters, digits and @:._-")
    return value


def _entry(config: dict[str, Any], section: str, key: str, name: str) -> dict[str, Any]:
    """The one entry of that name in a section."""
    entries = config.get(section)
    listed = entries if isinstance(entries, list) else []
    found = [entry.get(key) for entry in listed if isinstance(entry, dict) and entry.get("name") == name]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise ValueError(f"admin.conf is no kubeconfig: {section} must have {name} once and has it {len(found)} times")
    return found[0]


def _pem(entry: dict[str, Any], where: str, key: str) -> str:
    """The base64 of PEM blocks of the kind that belongs there, written anew."""
    value = entry.get(key)
    if value is None:
        other = ", ".join(sorted(str(name)[:40] for name in entry)) or "nothing"
        raise ValueError(
            f"admin.conf is no kubeconfig that can be used: {where} has no {key} (it has {other}); only a CA, a client certificate and "
            f"a key that stand in the file are passed on, as `kubeadm init phase kubeconfig admin` writes them"
        )
    try:
        data = base64.b64decode(str(value), validate=True)
        text = data.decode("ascii")
    except ValueError:
        text = ""
    kind = _BLOCKS[key]
    if not re.fullmatch(rf"(?:-----BEGIN {kind}-----\n(?:[A-Za-z0-9+/]+={{0,2}}\n)+-----END {kind}-----\n*)+", text):
        raise ValueError(
            f"admin.conf is no kubeconfig that can be used: {where}.{key} is not the base64 of a PEM "
            f"{'private key' if 'KEY' in kind else 'certificate'}"
        )
    return base64.b64encode(data).decode()


def api_server(address: str, port: int = 6443) -> str:
    """The URL of the API server on a master, or where else it is reached."""
    return f"https://{f'[{address}]' if ':' in address else address}:{port}"


def _yaml(data: dict[str, Any]) -> bytes:
    # a width without end, so that no value is ever folded over lines
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10**9)).encode()
