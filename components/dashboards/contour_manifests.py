"""Contour and its Envoy as plain data. Pure.

Written from what Contour 1.9 needs (its flags, the resources that it watches, its gRPC Authentication guide), not from its
example files, which they differ from on purpose: certificates are made by this program instead of a Job in the cluster, so
none has to be renewed within the year and nothing in the cluster may write Secrets; Envoy takes ports 80 and 443 of chosen
nodes only; there is no Service of type LoadBalancer, since bare machines have nothing that would serve it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]

NAMESPACE = "projectcontour"
"""Where Contour 1.9 looks for its own things (CONTOUR_NAMESPACE's default)."""

GROUP = "projectcontour.io"
XDS_PORT = 8001
CONTOUR_HTTP_PORT = 8000
ENVOY_HTTP_PORT = 8002
CONTOUR_SECRET = "contourcert"  # noqa: S105 (a Secret's name)
ENVOY_SECRET = "envoycert"  # noqa: S105 (a Secret's name)
HOSTNAME = "kubernetes.io/hostname"
ENVOY_GRACE = 300
"""Seconds for which a proxy that is taken away serves the connections that it has (Contour's example manifests: Redeploying Envoy)."""


def namespace() -> Manifest:
    """Contour's namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def crds() -> list[Manifest]:
    """What Contour watches. The schemas are open: Contour itself judges an HTTPProxy, and says so in its status."""
    return [
        _crd("HTTPProxy", "httpproxies", "v1", ("proxy", "proxies")),
        _crd("TLSCertificateDelegation", "tlscertificatedelegations", "v1", ("tlscerts",)),
        _crd("ExtensionService", "extensionservices", "v1alpha1", ("extensionservice",)),
    ]


def _crd(kind: str, plural: str, version: str, short: Sequence[str]) -> Manifest:
    free: Manifest = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": dict(free), "status": dict(free)}, **free}
        },
    }
    if kind == "HTTPProxy":
        served["additionalPrinterColumns"] = [
            {"name": "FQDN", "type": "string", "jsonPath": ".spec.virtualhost.fqdn"},
            {"name": "Status", "type": "string", "jsonPath": ".status.currentStatus"},
            {"name": "Description", "type": "string", "jsonPath": ".status.description"},
        ]
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": list(short),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [served]},
    }


def service_account(name: str) -> Manifest:
    """Who Contour, or Envoy, is to the API server."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}


def rights() -> list[Manifest]:
    """What Contour may do: read what it routes to, write the status of what it judges, and hold its lock."""
    watch = ("get", "list", "watch")
    status = ("create", "get", "update")

    def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Manifest:
        return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}

    cluster = [
        rule("", ("endpoints", "namespaces", "secrets", "services"), watch),
        rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("list",)),
        rule("networking.k8s.io", ("ingresses",), watch),
        rule("networking.k8s.io", ("ingresses/status",), status),
        rule(GROUP, ("extensionservices", "httpproxies", "tlscertificatedelegations"), watch),
        rule(GROUP, ("extensionservices/status", "httpproxies/status"), status),
    ]
    lock = [rule("", ("configmaps",), status), rule("", ("events",), ("create", "patch"))]
    return [_role("ClusterRole", cluster), _binding("ClusterRole"), _role("Role", lock), _binding("Role")]


def _role(kind: str, rules: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _scoped(kind),
        "rules": rules,
    }


def _binding(kind: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{kind}Binding",
        "metadata": _scoped(kind),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "contour"},
        "subjects": [{"kind": "ServiceAccount", "name": "contour", "namespace": NAMESPACE}],
    }


def _scoped(kind: str) -> Manifest:
    return {"name": "contour"} | ({"namespace": NAMESPACE} if kind == "Role" else {})


def service() -> Manifest:
    """Where Envoy finds Contour."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "contour", "namespace": NAMESPACE},
        "spec": {
            "ports": [{"name": "xds", "port": XDS_PORT, "targetPort": XDS_PORT, "protocol": "TCP"}],
            "selector": {"app": "contour"},
        },
    }


def deployment(image: str, nodes: Sequence[str], ingress_class: str | None) -> Manifest:
    """Contour itself.

    Args:
        image: its image.
        nodes: the machines that have it.
        ingress_class: what it serves besides objects without a class; None for its default, `contour`.
    """
    arguments = [
        "serve",
        "--incluster",
        "--xds-address=0.0.0.0",
        f"--xds-port={XDS_PORT}",
        # what Envoy listens on inside its pod; the ports of the node lead there
        "--envoy-service-http-port=80",
        "--envoy-service-https-port=443",
        *(f"--contour-{name}=/certs/{file}" for name, file in _CERTIFICATES.items()),
    ]
    if ingress_class:
        arguments.append(f"--ingress-class-name={ingress_class}")
    container = {
        "name": "contour",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["contour"],
        "args": arguments,
        "env": [_field("CONTOUR_NAMESPACE", "metadata.namespace"), _field("POD_NAME", "metadata.name")],
        "ports": [_port("xds", XDS_PORT), _port("http", CONTOUR_HTTP_PORT)],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": CONTOUR_HTTP_PORT}},
        "readinessProbe": {"tcpSocket": {"port": XDS_PORT}, "initialDelaySeconds": 3},
        "resources": _resources("512Mi"),
        "volumeMounts": [{"name": "certs", "mountPath": "/certs", "readOnly": True}],
    }
    apart = {
        "weight": 100,
        "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": "contour"}}, "topologyKey": HOSTNAME},
    }
    affinity = _only_on(nodes) | {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}}
    pod = {
        "serviceAccountName": "contour",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534},
        "affinity": affinity,
        "tolerations": _masters_too(),
        "containers": [container],
        "volumes": [{"name": "certs", "secret": {"secretName": CONTOUR_SECRET}}],
    }
    return _workload("Deployment", "contour", pod, {"replicas": min(2, len(nodes))})


def daemon_set(image: str, envoy: str, nodes: Sequence[str]) -> Manifest:
    """Envoy on ports 80 and 443 of the chosen nodes.

    Args:
        image: Contour's image, which writes Envoy's first configuration and ends it gently.
        envoy: Envoy's image.
        nodes: the machines whose ports it takes.
    """
    certs = {"name": "certs", "mountPath": "/certs", "readOnly": True}
    config = {"name": "config", "mountPath": "/config"}
    namespaced = _field("CONTOUR_NAMESPACE", "metadata.namespace")
    bootstrap = {
        "name": "envoy-initconfig",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["contour"],
        "args": [
            "bootstrap",
            "/config/envoy.json",
            "--xds-address=contour",
            f"--xds-port={XDS_PORT}",
            "--resources-dir=/config/resources",
            *(f"--envoy-{name}=/certs/{file}" for name, file in _CERTIFICATES.items()),
        ],
        "env": [namespaced],
        "volumeMounts": [config, certs],
    }
    gentle = {
        "name": "shutdown-manager",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["contour"],
        "args": ["envoy", "shutdown-manager"],
        "lifecycle": {"preStop": {"exec": {"command": ["contour", "envoy", "shutdown"]}}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8090}, "initialDelaySeconds": 3},
        "resources": _resources("128Mi"),
    }
    proxy = {
        "name": "envoy",
        "image": envoy,
        "imagePullPolicy": "IfNotPresent",
        "command": ["envoy"],
        "args": [
            *("-c", "/config/envoy.json"),
            *("--service-cluster", "$(CONTOUR_NAMESPACE)"),
            *("--service-node", "$(ENVOY_POD_NAME)"),
            *("--log-level", "info"),
        ],
        "env": [namespaced, _field("ENVOY_POD_NAME", "metadata.name")],
        "ports": [_port("http", 80) | {"hostPort": 80}, _port("https", 443) | {"hostPort": 443}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": ENVOY_HTTP_PORT}, "initialDelaySeconds": 3},
        "lifecycle": {"preStop": {"httpGet": {"path": "/shutdown", "port": 8090, "scheme": "HTTP"}}},
        "resources": _resources("1Gi"),
        "volumeMounts": [config, certs],
    }
    pod = {
        "serviceAccountName": "envoy",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": ENVOY_GRACE,
        "affinity": _only_on(nodes),
        "tolerations": _masters_too(),
        "initContainers": [bootstrap],
        "containers": [gentle, proxy],
        "volumes": [{"name": "config", "emptyDir": {}}, {"name": "certs", "secret": {"secretName": ENVOY_SECRET}}],
    }
    # a port of a node has room for one: the old pod goes before the new one comes, node by node
    return _workload("DaemonSet", "envoy", pod, {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}}})


_CERTIFICATES: Mapping[str, str] = {"cafile": "ca.crt", "cert-file": "tls.crt", "key-file": "tls.key"}


def certificate_values(made: Mapping[str, str], name: str) -> dict[str, str]:
    """A Secret's values for `contour` or `envoy`, out of what components/dashboards/made.py makes."""
    return {"ca.crt": made["ca.crt"], "tls.crt": made[f"{name}.crt"], "tls.key": made[f"{name}.key"]}


def _workload(kind: str, name: str, pod: Manifest, more: Manifest) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            **more,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _only_on(nodes: Sequence[str]) -> Manifest:
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": list(nodes)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _masters_too() -> list[Manifest]:
    """Whoever names a master among the nodes means it."""
    return [{"key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule"}]


def _resources(memory: str) -> Manifest:
    """A little to be scheduled with, and a limit that a mesh's few dashboards and routes stay far below."""
    return {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": memory}}


def _field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _port(name: str, number: int) -> Manifest:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def everything_before_the_pods() -> Iterator[tuple[str, Manifest]]:
    """Resource-name suffix and manifest of all that needs no certificate, in the order in which it is made."""
    for definition in crds():
        yield f"crd-{definition['spec']['names']['singular']}", definition
    for account in ("contour", "envoy"):
        yield f"service-account-{account}", service_account(account)
    for manifest in rights():
        kind: str = manifest["kind"]
        yield "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).lstrip("-"), manifest
