"""The rules, as pure functions on a stack's resources: what no preview may contain, and what deserves a word.

A rule sees plain values, secrets included, so no message ever shows more than a resource's name and a key. A value that a
preview can't know yet is taken for right: the rule looks again when the resource is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_policy.proxy import UnknownValueError

from components.istio.releases.compatibility import check_pair
from components.kubernetes.versions import minor_of

COMMANDS = ("command:local:Command", "command:remote:Command", "command:remote:CopyToRemote", "command:remote:CopyFile")

DRIVER = re.compile(r"python3 -m components\.(?P<part>[a-z_.]+) (?P<verb>[a-z-]+)")
"""How the program runs its drivers. Each of them limits every step on a machine (components/remote/host.py), so that a driver
needs no limit of its own; any other command does."""

GOES_OTHERWISE: Mapping[str, str] = {
    "sealos backup": "leaves nothing",
    "sealos preflight": "leaves nothing",
    "sealos snapshot": "the file is what it is for",
    "sealos want": "the installation's clean takes the list away",
    "sealos kubeconfig": "leaves nothing",
    "sealos ready": "leaves nothing",
    "istio gate": "leaves nothing",
    "istio cni-check": "leaves nothing",
    "istio passphrase": "leaves nothing outside the state",
    "dashboards check": "leaves nothing",
    "dashboards htpasswd": "leaves nothing outside the state",
    "dashboards xds-certificates": "leaves nothing outside the state",
    "istio load-images": "images stay in a node's container runtime, as pulled ones do",
    "dashboards load-images": "images stay in a node's container runtime, as pulled ones do",
}
"""Driver verbs that need no `delete`, and why."""

CRITICAL_PODS_ELSEWHERE = (1, 17)
"""The first Kubernetes whose critical pods may live outside kube-system (its changelog: the ResourceQuota admission took over)."""

_SECRET_SHAPES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"),  # a bootstrap token, as kubeadm writes it
    re.compile(r"sshpass +-p"),
    re.compile(r"--(passwd|password|token)[ =]"),
)

Report = Callable[..., None]
"""Called with a message and the resource's URN."""


@dataclass(frozen=True)
class Resource:
    """One resource of a stack, as a rule sees it.

    Attributes:
        urn, type, name: as Pulumi has them.
        inputs: its properties; reading one that isn't known yet may raise.
        secret_outputs: outputs that the program marks as secret.
    """

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    secret_outputs: tuple[str, ...] = ()

    def get(self, *path: str | int) -> Any:
        """The value at that path; None when it isn't there or isn't known yet."""
        value: Any = self.inputs
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError, UnknownValueError):
                return None
        return value


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: what people call it, and what a policy configuration names.
        description: what must hold.
        mandatory: whether a preview that breaks it fails; otherwise it is only said.
        judge: looks at all resources and reports each violation.
    """

    name: str
    description: str
    mandatory: bool
    judge: Callable[[Sequence[Resource], Report], None]


RULES: list[Rule] = []


def _rule(name: str, description: str, *, mandatory: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(judge: Callable[[Sequence[Resource]], Iterator[tuple[str, Resource]]]) -> Callable[..., Any]:
        def report_all(resources: Sequence[Resource], report: Report) -> None:
            for message, resource in judge(resources):
                report(message, resource.urn)

        RULES.append(Rule(name, description, mandatory, report_all))
        return judge

    return add


def request_of(resource: Resource) -> Mapping[str, Any]:
    """What a driver's command gets on standard input; empty when it is no driver, or not known yet."""
    text = resource.get("stdin")
    if not isinstance(text, str):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _commands(resources: Iterable[Resource]) -> Iterator[Resource]:
    return (resource for resource in resources if resource.type in COMMANDS)


def _requests(resources: Iterable[Resource]) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    for resource in _commands(resources):
        if request := request_of(resource):
            yield resource, request


@_rule("pinned-host-keys", "Every machine and bastion is known by its host key before it is dialled.", mandatory=True)
def pinned_host_keys(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """A driver's request must pin, and so must the connection of a command that dials by itself."""
    for resource, request in _requests(resources):
        fleet = request.get("fleet") or {}
        login = fleet.get("login") or {}
        if login.get("hostKeys", "pinned") != "pinned":
            yield f"ssh.hostKeys is {login['hostKeys']}: pin the machines' keys by hostKey or ssh.knownHosts", resource
        elif not login.get("knownHosts"):
            hosts = [*fleet.get("machines", []), *([login["bastion"]] if login.get("bastion") else [])]
            names = [host.get("name", "the bastion") for host in hosts if not host.get("hostKey")]
            if names:
                yield f"no host key is pinned for {', '.join(names)}: set hostKey or ssh.knownHosts", resource
    for resource in _commands(resources):
        for place in (("connection",), ("connection", "proxy")):
            connection = resource.get(*place) if resource.type.startswith("command:remote:") else None
            if connection and not connection.get("hostKey"):
                yield f"{'.'.join(place)}.hostKey is missing, so that any host key would be taken", resource


@_rule("no-secret-in-a-command", "No secret stands in a command's text, environment or triggers.", mandatory=True)
def no_secret_in_a_command(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """Those are printed, kept in plain state, and seen by every user of the machine that runs them."""
    login_data = {
        str(value)
        for _, request in _requests(resources)
        for key in ("password", "privateKey", "privateKeyPassphrase")
        if (value := ((request.get("fleet") or {}).get("login") or {}).get(key))
    }
    for resource in _commands(resources):
        for key in ("create", "update", "delete", "environment", "triggers"):
            text = _text(resource.get(key))
            if any(secret in text for secret in login_data if len(secret) > 3) or any(
                shape.search(text) for shape in _SECRET_SHAPES
            ):
                yield f"its {key} holds a secret: hand it over on standard input", resource


def _text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, default=str)
    except UnknownValueError:
        return ""


@_rule("secret-kubeconfig", "A kubeconfig is a secret wherever it is read.", mandatory=True)
def secret_kubeconfig(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """A command's output is plain unless the program says otherwise, and is streamed to the console, too."""
    for resource in _commands(resources):
        text = f"{resource.get('create')} {resource.get('update')}"
        if re.search(r"components\.\S+ kubeconfig\b|admin\.conf|\.kube/config", text):
            if "stdout" not in resource.secret_outputs:
                yield (
                    "it prints a kubeconfig, and its stdout is no secret: add it to additional_secret_outputs",
                    resource,
                )
            if resource.get("logging") not in ("none", "stderr"):
                yield "it prints a kubeconfig to the console: set logging to none", resource


@_rule("cluster-identifier", "Every Kubernetes provider says which cluster it is for.", mandatory=True)
def cluster_identifier(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """Without it, any touched kubeconfig previews as a replacement of everything in the cluster."""
    for resource in resources:
        if resource.type == "pulumi:providers:kubernetes" and not resource.get("clusterIdentifier"):
            yield "it has no cluster_identifier; give it a static one, and give objects an explicit provider", resource


@_rule("version-pair", "Istio and Kubernetes are versions that go together.", mandatory=True)
def version_pair(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """As components/istio/releases/compatibility.py has it."""
    if not (kubernetes := _kubernetes(resources)):
        return
    for resource in _istio_operators(resources):
        if (tag := resource.get("spec", "tag")) and (problem := check_pair(str(tag), kubernetes)):
            yield problem, resource


@_rule("bounded-with-a-way-down", "Every command has a limit, and something takes down what it makes.", mandatory=True)
def bounded_with_a_way_down(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """The command provider itself would wait for ever, and a command without `delete` leaves what it made."""
    for resource in _commands(resources):
        create = resource.get("create")
        driver = DRIVER.fullmatch(create) if isinstance(create, str) else None
        for key in ("create", "update", "delete"):
            text = resource.get(key)
            bounded = text == "true" or (isinstance(text, str) and re.match(r"timeout +[0-9.]+[smh]? ", text))
            if isinstance(text, str) and not bounded and not DRIVER.fullmatch(text):
                yield (
                    f"its {key} is no driver of this program and has no limit: begin it with `timeout SECONDS`",
                    resource,
                )
        if resource.get("delete"):
            continue
        if driver is None or f"{driver['part']} {driver['verb']}" not in GOES_OTHERWISE:
            yield (
                "nothing takes down what it makes: give it a delete, or a reason in policy/rules.py GOES_OTHERWISE",
                resource,
            )


@_rule(
    "cni-in-kube-system",
    "Istio's CNI plugin is in kube-system where critical pods may be nowhere else.",
    mandatory=True,
)
def cni_in_kube_system(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """Its pods are critical ones; up to Kubernetes 1.16 the API server refuses those elsewhere."""
    kubernetes = _kubernetes(resources)
    if not kubernetes or minor_of(kubernetes) >= CRITICAL_PODS_ELSEWHERE:
        return
    for resource in _istio_operators(resources):
        cni = resource.get("spec", "components", "cni") or {}
        if cni.get("enabled") and cni.get("namespace") != "kube-system":
            where = cni.get("namespace") or "Istio's own namespace"
            yield f"its CNI plugin is in {where}; Kubernetes {kubernetes} wants it in kube-system", resource


@_rule("odd-masters", "The number of masters is odd.", mandatory=False)
def odd_masters(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """An even number of etcd members tolerates no more failures than one less."""
    for resource, request in _requests(resources):
        create = str(resource.get("create"))
        if create.endswith("components.sealos want"):
            masters = [m for m in request.get("machines", []) if m.get("role") == "master"]
            if masters and len(masters) % 2 == 0:
                yield f"the cluster has {len(masters)} masters; 1, 3 or 5 tolerate as much or more", resource


@_rule("resource-limits", "Every container says what it may use at most.", mandatory=False)
def resource_limits(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """One without a memory limit can take its whole node down."""
    for resource in resources:
        if re.fullmatch(r"kubernetes:apps/v1:(Deployment|DaemonSet|StatefulSet)", resource.type):
            for container in resource.get("spec", "template", "spec", "containers") or []:
                if not ((container.get("resources") or {}).get("limits") or {}).get("memory"):
                    yield f"its container {container.get('name')} has no memory limit", resource


@_rule("dashboards-with-tls", "Ways in from outside are encrypted.", mandatory=False)
def dashboards_with_tls(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """Dashboards show what runs, and kiali takes a password."""
    for resource in resources:
        kind = resource.type.rpartition(":")[2]
        if not resource.type.startswith("kubernetes:"):
            continue
        if kind == "Ingress" and not resource.get("spec", "tls"):
            yield "this Ingress has no tls", resource
        if (
            kind == "HTTPProxy"
            and resource.get("spec", "virtualhost")
            and not resource.get("spec", "virtualhost", "tls")
        ):
            yield "this HTTPProxy has no virtualhost.tls", resource
        if kind == "Gateway":
            for server in resource.get("spec", "servers") or []:
                tls = server.get("tls") or {}
                if not (tls.get("mode") or tls.get("httpsRedirect")):
                    yield f"this Gateway serves {', '.join(server.get('hosts', []))} without tls", resource


def _istio_operators(resources: Iterable[Resource]) -> Iterator[Resource]:
    return (r for r in resources if re.fullmatch(r"kubernetes:install\.istio\.io/[^:]+:IstioOperator", r.type))


def _kubernetes(resources: Iterable[Resource]) -> str | None:
    """The Kubernetes version that the drivers' requests ask for."""
    for _, request in _requests(resources):
        if version := request.get("kubernetesVersion"):
            return str(version)
    return None
