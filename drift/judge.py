"""Judges what was seen: pure, data in, findings out."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from cryptography import x509

from components.problem import Code, Problem
from components.remote.models import Machine
from components.sealos import nodes

AREAS = (
    "settings",
    "objects",
    "mesh",
    "membership",
    "versions",
    "machines",
    "cni",
    "host-keys",
    "tokens",
    "certificates",
)
"""What is compared, in the order of the findings; each belongs to one by its code."""


@dataclass(frozen=True)
class Seen:
    """What look.sh told of one machine.

    Attributes:
        hostname: its own.
        certificates: PEM by file.
        tokens: a JWT's claims by file.
        nodes: `kubectl get nodes -o json`; None where it can't be asked.
        version: the API server's.
        bootstrap: bootstrap tokens: id and expiration (empty for never).
        wanted: the names that the first master's own list has; None when there is no list.
        api_silent: whether this master's API server gave no answer.
    """

    hostname: str = ""
    certificates: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nodes: Mapping[str, Any] | None = None
    version: str = ""
    bootstrap: tuple[tuple[str, str], ...] = ()
    wanted: tuple[str, ...] | None = None
    api_silent: bool = False


def parse(text: str) -> Seen:
    """What look.sh printed."""
    single: dict[str, str] = {}
    certificates: dict[str, str] = {}
    tokens: dict[str, Mapping[str, Any]] = {}
    bootstrap = []
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "certificate":
            file, _, data = value.partition(" ")
            certificates[file] = _decoded(data)
        elif key == "token":
            file, _, data = value.partition(" ")
            tokens[file] = _claims(data)
        elif key == "bootstrap":
            name, _, expiration = value.partition(" ")
            bootstrap.append((_decoded(name), _decoded(expiration)))
        else:
            single[key] = value
    found = json.loads(_decoded(single["version"]) or "{}") if "version" in single else {}
    listed = json.loads(_decoded(single["wanted"]))["machines"] if "wanted" in single else None
    return Seen(
        hostname=single.get("hostname", ""),
        certificates=certificates,
        tokens=tokens,
        nodes=json.loads(_decoded(single["nodes"])) if "nodes" in single else None,
        version=(found.get("serverVersion") or {}).get("gitVersion", ""),
        bootstrap=tuple(bootstrap),
        wanted=tuple(machine["name"] for machine in listed) if listed is not None else None,
        api_silent="api_silent" in single,
    )


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


def _claims(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def settings(changed: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """What the settings ask for and the state doesn't have.

    Args:
        changed: operation and name of what a preview would change.
    """
    for operation, name in changed:
        yield Problem(Code.NOT_APPLIED, name, f"the settings would {operation} it")


def objects(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What `pulumi refresh --preview-only --json` says: Kubernetes objects that are not as the state has them."""
    for step in document.get("steps", []):
        urn = str(step["urn"])
        if "$kubernetes:" not in urn and "::kubernetes:" not in urn:
            continue
        name = f"{urn.split('::')[-2].rpartition(':')[2]} {urn.rpartition('::')[2]}"
        if step["op"] == "delete" or not (step.get("newState") or {}).get("outputs"):
            yield Problem(Code.OBJECT_GONE, name, "it is gone from the cluster")
        elif paths := sorted(_differences(step)):
            told = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
            yield Problem(Code.OBJECT_CHANGED, name, f"changed by hand: {told}")


def _differences(step: Mapping[str, Any]) -> set[str]:
    """Paths that the program sets and that differ in the cluster; what others add is theirs."""
    if detailed := step.get("detailedDiff"):
        return set(detailed)
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    inputs = old.get("inputs") or {}
    # what differed when it was made is the provider's spelling, or another owner's default
    return set(_unequal(inputs, new.get("outputs") or {})) - set(_unequal(inputs, old.get("outputs") or {}))


def _unequal(wanted: Any, there: Any, path: str = "") -> Iterator[str]:
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            if str(key).startswith("__") or str(key).startswith("pulumi.com/"):
                continue
            inner = there.get(key) if isinstance(there, Mapping) else None
            yield from _unequal(value, inner, f"{path}.{key}" if path else str(key))
    elif isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        for position, (one, other) in enumerate(zip(wanted, there, strict=True)):
            yield from _unequal(one, other, f"{path}[{position}]")
    elif wanted != there and not (wanted in ("", [], {}) and there is None):
        yield path


def membership(machines: Sequence[Machine], version: str, seen: Seen) -> Iterator[Problem]:
    """Nodes that lack, are too many, or are not as the settings have them; and versions.

    Args:
        machines: the settings'.
        version: the Kubernetes version that all must have.
        seen: what the first master told.
    """
    first = machines[0].name
    if seen.nodes is None:
        yield Problem(Code.API_SILENT, first, "the cluster can't be asked")
        return
    present = nodes.parse(seen.nodes)
    yield from nodes.problems(machines, present, version)
    names = {machine.name for machine in machines}
    for name in sorted(set(present) - names):
        yield Problem(Code.NODE_UNLISTED, name, "it is a node of the cluster and stands in no settings")
    for item in seen.nodes.get("items", []):
        if item.get("spec", {}).get("unschedulable") and item["metadata"]["name"] in names:
            name = item["metadata"]["name"]
            yield Problem(Code.CORDONED, name, "it takes no pods (cordoned)", f"`kubectl uncordon {name}`.")
    if seen.version and seen.version != version:
        yield Problem(Code.API_VERSION, first, f"its API server is {seen.version}, not {version}")
    if seen.wanted is not None and set(seen.wanted) != names:
        differ = ", ".join(sorted(set(seen.wanted) ^ names))
        yield Problem(Code.WANTED_LIST, first, f"its list of wanted machines (/etc/sealos-istio/wanted.json) differs in {differ}")


def machine(wanted: Machine, seen: Seen) -> Iterator[Problem]:
    """What one machine is, against the settings."""
    if seen.hostname != wanted.name:
        yield Problem(Code.HOSTNAME, wanted.name, f"its host name is {seen.hostname}", f"`hostnamectl set-hostname {wanted.name}`.")


def expiries(host: str, seen: Seen, now: datetime, within: timedelta) -> Iterator[Problem]:
    """Certificates and tokens that end soon, have ended, or never end though they should.

    Args:
        host: the machine's name.
        seen: what it has.
        now: the time.
        within: how soon is soon.
    """
    for file, text in seen.certificates.items():
        try:
            ends = min(c.not_valid_after_utc for c in x509.load_pem_x509_certificates(text.encode()))
        except ValueError:
            yield Problem(Code.CERTIFICATE, host, f"{file} is no certificate", "Look at the file.")
            continue
        if ends <= now + within:
            yield Problem(Code.CERTIFICATE, host, f"{file} {_ends(ends, now)}")
    yield from _token_ends(host, seen, now, within)


ADMIN = "/etc/kubernetes/admin.conf"


def own_kubeconfig(stack: str, kubeconfig: str, seen: Seen, now: datetime, within: timedelta) -> Iterator[Problem]:
    """Whether the kubeconfig in the state opens the cluster, and for how long.

    Args:
        stack: its name.
        kubeconfig: the stack's output.
        seen: what the first master has.
        now: the time.
        within: how soon is soon.
    """
    user = yaml.safe_load(kubeconfig)["users"][0]["user"]
    own = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    ends = _ends(own.not_valid_after_utc, now)
    on_machine = x509.load_pem_x509_certificates(seen.certificates[ADMIN].encode()) if ADMIN in seen.certificates else []
    if on_machine and own not in on_machine:
        what = f"its kubeconfig is not that of {ADMIN} any more, which was renewed; it {ends}"
        yield Problem(Code.KUBECONFIG, stack, what, "`pulumi up` reads it anew.")
    elif own.not_valid_after_utc <= now + within:
        yield Problem(Code.KUBECONFIG, stack, f"its kubeconfig {ends}")


def _token_ends(host: str, seen: Seen, now: datetime, within: timedelta) -> Iterator[Problem]:
    for file, claims in seen.tokens.items():
        if isinstance(exp := claims.get("exp"), int | float):
            ends = datetime.fromtimestamp(exp, UTC)
            if ends <= now + within:
                yield Problem(Code.TOKEN_ENDS, host, f"the token in {file} {_ends(ends, now)}")
    for name, expiration in seen.bootstrap:
        fix = f"`kubectl -n kube-system delete secret bootstrap-token-{name}`: this program makes one for each join."
        if not expiration:
            yield Problem(Code.JOIN_TOKEN, host, f"the join token {name} never ends", fix)
            continue
        ends = datetime.fromisoformat(re.sub(r"Z$", "+00:00", expiration))
        # those of an installation live for a day, and the cluster takes them away by itself
        if ends <= now - timedelta(hours=1):
            yield Problem(Code.JOIN_TOKEN, host, f"the join token {name} {_ends(ends, now)} and is still there", fix)
        elif ends > now + timedelta(days=2):
            yield Problem(Code.JOIN_TOKEN, host, f"the join token {name} is good until {ends:%Y-%m-%d}", fix)


def _ends(ends: datetime, now: datetime) -> str:
    days = (ends - now).total_seconds() / 86400
    when = f"{ends:%Y-%m-%d %H:%M} UTC"
    return f"ended on {when}" if days <= 0 else f"ends on {when}, in {days:.1f} days"
