"""What a single value of the settings must look like: each function gives the value back, or says what is wrong with it.

Pure and light; what takes several settings to judge is in validate.py.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.kubernetes import values

HOST_LABEL = re.compile(values.LABEL)
"""A DNS label (RFC 1123 section 2.1)."""

DNS_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{values.SUBDOMAIN}")
"""What kubeadm takes as a certificate's name besides addresses: an RFC 1123 name, or one below a wildcard (ValidateCertSANs)."""

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\.?")
"""A host name that a resolver may know."""

_HUB = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
"""What may stand before `/pilot:1.5.0` in an image's reference (distribution/reference, regexp.go)."""

_RANGE = re.compile(r"\d+(\.\d+){3}\s*-\s*\d")

KUBERNETES_OWN = frozenset(("default", "kube-system", "kube-public", "kube-node-lease"))
"""Namespaces that every cluster has."""

OPERATOR_NAMESPACE = "istio-operator"
"""Where Istio's operator lives."""

LONGEST_LINE = 900
"""Characters of one problem's line; a wrong value may be as long as it likes."""


_LONGEST_TEXT = 1 << 16
"""Characters of one value; the longest that is real is a chain of certificates, with a few thousand."""

_LONGEST_KEY = 317
"""Characters of a key; Kubernetes' longest, an annotation's, is a name of 63 behind a prefix of 253."""

_DEEPEST = 32
"""Levels of one section; what Istio takes has about 15."""

_API_VERSION = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?")
_K8S_MAPS = (
    *("affinity", "hpaSpec", "nodeSelector", "podAnnotations", "podDisruptionBudget", "readinessProbe", "resources", "service"),
    *("serviceAnnotations", "strategy"),
)
_K8S_LISTS = ("env", "imagePullSecrets", "overlays", "tolerations")
_QUOTED = "; write it in quotes"
_TEXT_MAPS = ("nodeSelector", "podAnnotations", "serviceAnnotations")


def odd(where: str, value: Any, depth: int = 0) -> Iterator[str]:
    """What no setting can hold, wherever it stands: such values would end in a message of somebody else, if in any.

    Args:
        where: the key.
        value: as it came out of YAML.
        depth: how many levels it is inside its section.
    """
    if depth > _DEEPEST:
        yield f"{where} is more than {_DEEPEST} levels deep"
        return
    match value:
        case str() if len(value) > _LONGEST_TEXT:
            yield f"{where} is {len(value)} characters long; {_LONGEST_TEXT} is the most that a value may have"
        case str() if bad := re.search(r"[\0\ud800-\udfff]", value):
            yield f"{where} holds the character {bad[0]!r}, which is no text"
        case bool() | str() | None:
            pass
        case int() if not -(1 << 63) <= value < 1 << 63:
            yield f"{where} is a number of more than 64 bits"
        case float() if not math.isfinite(value):
            yield f"{where} is {value}, which is no number"
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str) or not key or len(key) > _LONGEST_KEY or re.search(r"[\0\n\ud800-\udfff]", key):
                    yield f"{where} has the key {key!r}, which nothing can be named"
                else:
                    yield from odd(f"{where}.{key}", inner, depth + 1)
        case list():
            for position, inner in enumerate(value):
                yield from odd(f"{where}[{position}]", inner, depth + 1)


def k8s(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The shape of a component's `k8s`, as an IstioOperator has it; what is in it, is judged by what is made of it."""
    if problem := next(_misshapen(value), None):
        raise ValueError(problem)
    return value


def _misshapen(value: Mapping[str, Any]) -> Iterator[str]:
    for key, wanted, word in (*((k, Mapping, "an object") for k in _K8S_MAPS), *((k, list, "a list") for k in _K8S_LISTS)):
        if value.get(key) is not None and not isinstance(value[key], wanted):
            yield f"{key} must be {word}, not {value[key]!r}"
    for key in _TEXT_MAPS:
        for name, text in (value.get(key) or {}).items():
            if not isinstance(text, str | None):
                yield f"{key}.{name} must be a text, not {text!r}{_QUOTED}"
    budget = value.get("podDisruptionBudget") or {}
    if None not in (budget.get("minAvailable"), budget.get("maxUnavailable")):
        yield "podDisruptionBudget has minAvailable and maxUnavailable, of which Kubernetes takes one; keep one"
    yield from _misshapen_items(value)


def _misshapen_items(value: Mapping[str, Any]) -> Iterator[str]:
    for position, variable in enumerate(value.get("env") or ()):
        if not isinstance(variable, Mapping):
            yield f"env[{position}] must be an object with name and value, not {variable!r}"
            continue
        for key in ("name", "value"):
            if not isinstance(text := variable.get(key), str | None):
                yield f"env[{position}].{key} must be a text, not {text!r}{_QUOTED}"
    for position, overlay in enumerate(value.get("overlays") or ()):
        if not isinstance(overlay, Mapping):
            yield f"overlays[{position}] must be an object with kind, name and patches"
            continue
        for key in ("kind", "name", "apiVersion"):
            if not isinstance(overlay.get(key), str | None):
                yield f"overlays[{position}].{key} must be a text, not {overlay[key]!r}"
        if (version := overlay.get("apiVersion")) and not _API_VERSION.fullmatch(version):
            yield f"overlays[{position}].apiVersion: {version!r} is no version of an API, as apps/v1 or v1"


def bounded(line: str) -> str:
    """The line, without its middle when it is too long: key at its start and reason at its end stay. Any terminal can print it."""
    line = line.encode(errors="backslashreplace").decode()
    if len(line) <= LONGEST_LINE:
        return line
    begin, end = LONGEST_LINE // 2, LONGEST_LINE // 3
    return f"{line[:begin]} … ({len(line) - begin - end} characters are left out here) … {line[-end:]}"


def ipv4(value: str) -> str:
    """An IPv4 address.

    Raises:
        ValueError: as all of these do, with the reason in words.
    """
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise ValueError(f"{value!r} is no IPv4 address; sealos v3 takes neither names nor IPv6") from None


def network(value: str) -> str:
    """An IPv4 network in CIDR form."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no IPv4 network in CIDR form ({error})") from None


def host(value: str) -> str:
    """A host name or an IPv4 address, as it is dialled from here."""
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        if not _HOST.fullmatch(value) or re.fullmatch(r"[0-9.]+", value):
            raise ValueError(f"{value!r} is neither a host name nor an IPv4 address, so nobody could be dialled there") from None
    return value


def root(value: Any) -> Any:
    """Who logs in to a machine."""
    if isinstance(value, str) and value != "root":
        raise ValueError(
            f"{value!r} can't be who logs in: sealos v3 has no sudo, and writes to /root, /usr/bin and /etc as whoever does, so it must be "
            f"root. Let root in by the same key: on each machine `sudo install -m 600 -D ~/.ssh/authorized_keys /root/.ssh/authorized_keys`, "
            f"and `PermitRootLogin prohibit-password` in its sshd_config"
        )
    return value


def machine_name(value: str) -> str:
    """A machine's host name, short or full, which its kubelet registers as the Node's name and as a label, which takes 63 characters."""
    if not DNS_SUBDOMAIN.fullmatch(value) or value.startswith("*") or len(value) > 63:
        raise ValueError(
            f"{value!r} is no host name that Kubernetes takes: lower-case letters, digits, '-' and '.', at most 63 in all"
        )
    if re.fullmatch(r"[0-9.]+", value) and "." in value:
        raise ValueError(f"{value!r} is an address; write the machine's host name, which becomes the Node's name")
    return value


def certificate_name(value: str) -> str:
    """A name or address of a certificate."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not DNS_SUBDOMAIN.fullmatch(value):
            raise ValueError(
                f"{value!r} is no name for a certificate: a host name in lower case (k8s.example.org) or an IP address, without scheme, "
                f"port, path or space"
            ) from None
    return value


def host_and_port(value: str) -> tuple[str, int]:
    """The two of `host`, `host:port` or `[IPv6]:port`; the port is 6443 where none is given."""
    host, colon, port = value.rpartition(":")
    if value.endswith("]") or not colon or (":" in host and not host.endswith("]")):
        host, port = value, "6443"
    return host.removeprefix("[").removesuffix("]"), int(port)


def endpoint(value: str | None) -> str | None:
    """Where a server is reached, as `host` or `host:port`."""
    if value is None:
        return None
    try:
        host, port = host_and_port(value)
        good = 0 < port < 65536 and not certificate_name(host).startswith("*")
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{value!r} is no place of a server: write k8s.example.org:6443, or 192.0.2.9, without a scheme or path")
    return value


def host_key(value: str | None) -> str | None:
    """An SSH public key, `type base64`, without its comment."""
    if value is None:
        return None
    kind, _, rest = value.strip().partition(" ")
    blob = rest.split(" ")[0]
    try:
        decoded = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):  # the latter for what is not ASCII
        decoded = b""
    if not kind or not decoded[4:].startswith(kind.encode()):
        raise ValueError(
            f"is {'no' if value.strip() else 'empty, which is no'} SSH public key; write it as `python3 -m components.host_keys` prints "
            f"it: 'ssh-ed25519 AAAA…'"
        )
    return f"{kind} {blob}"


def cluster_name(value: str) -> str:
    """What the cluster is known by to its own tooling."""
    if value != value.strip() or not (value.isprintable() or not value):
        raise ValueError(f"{value!r} must be one line without spaces around it")
    if len(value) > 253:
        raise ValueError(f"{value!r} has {len(value)} characters; 253 is the most")
    if _RANGE.search(value):
        raise ValueError(f"{value!r} has a range of addresses in it, which belongs to masters or nodes")
    return value


def label_map(value: Mapping[str, str]) -> Mapping[str, str]:
    """Labels of an object."""
    return _of_metadata(value, "labels")


def annotation_map(value: Mapping[str, str]) -> Mapping[str, str]:
    """Annotations of an object."""
    return _of_metadata(value, "annotations")


def _of_metadata(value: Mapping[str, str], what: str) -> Mapping[str, str]:
    for (*_, key), expected, observed in values.named(value, (what,)):
        raise ValueError(f"{key!r} can't be: expected {expected}, observed {observed!r}")
    return value


def image_prefix(value: str) -> str:
    """What kubeadm's images are named by."""
    if "://" in value or value.startswith(("/", "-", ".", ":")) or value.endswith(("/", ":")):
        raise ValueError(
            f"{value!r} can't begin an image's name; write registry and path alone, as registry.example.org/kubernetes, without scheme "
            f"and without a slash at the end"
        )
    return value


def hub(value: str) -> str:
    """Where Istio's images come from."""
    first = value.split("/", maxsplit=1)[0]
    # without a dot or a port it is no registry but a path, which has no capitals (distribution/reference, normalize.go)
    if not _HUB.fullmatch(value) or (first != first.lower() and not re.search(r"[.:]", first)):
        raise ValueError(
            f"{value!r} can't begin an image's name; write registry and path alone, as registry.example.org/istio, without scheme, "
            f"capitals or a slash at the end (the operator's image is then registry.example.org/istio/operator:1.5.0)"
        )
    return value


def label(value: str) -> str:
    """The name of a namespace or a Service."""
    if not HOST_LABEL.fullmatch(value):
        raise ValueError(
            f"{value!r} is no name that Kubernetes takes here: lower-case letters, digits and '-', a letter or digit at both ends, at "
            f"most 63"
        )
    return value


def mesh_namespace(value: str) -> str:
    """A namespace that the mesh may have for itself: this program makes it, and takes it away with the mesh."""
    label(value)
    if value in KUBERNETES_OWN:
        raise ValueError(f"{value} is Kubernetes' own, and would be deleted with the mesh; use istio-system or another of its own")
    if value == OPERATOR_NAMESPACE:
        raise ValueError(f"{value} is where Istio's operator lives, which must outlive the mesh; use istio-system or another of its own")
    return value


def object_name(value: str) -> str:
    """The name of an object in the cluster that is also put into labels, which take 63 characters."""
    if not DNS_SUBDOMAIN.fullmatch(value) or value.startswith("*") or len(value) > 63:
        raise ValueError(
            f"{value!r} is no name of an object: lower-case letters, digits, '-' and '.', a letter or digit at both ends, at most 63"
        )
    return value
