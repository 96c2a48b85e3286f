"""The seven objects of Istio's in-cluster operator, as plain data: what `istioctl operator init` applies, by version.

Pure: no Pulumi. Sources: Istio 1.5.0, operator/data/operator/templates/; from 1.6 on, manifests/charts/istio-operator/, which
`istioctl operator dump` of that version prints. Two things differ on purpose: the CRD is apiextensions v1
(served since Kubernetes 1.16) and the same for all versions, and the pod template carries the identity of the IstioOperator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.config.fields import OPERATOR_NAMESPACE
from components.istio.releases.table import release

Manifest = dict[str, Any]

NAME = "istio-operator"
NAMESPACE = OPERATOR_NAMESPACE
"""1.5's own manifests take the namespace as a parameter but always create this one."""

RESTART_ANNOTATION = "sealos-istio/control-plane"
"""On the operator's pod template: a hash of the IstioOperator it serves. 1.5.0 ignores an IstioOperator of a name that it
has seen before in its life (istio#22325), so a new identity has to start a new pod."""

CRD_NAME = "istiooperators.install.istio.io"
_METRICS = ("127.0.0.1", "15014")
MANAGED = {"istio-operator-managed": "Reconcile", "istio-injection": "disabled"}


def namespace(
    name: str = NAMESPACE, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """A namespace with the labels that Istio's own charts give it, so that nobody tugs at them, and with more."""
    metadata: Manifest = {"name": name, "labels": {**(labels or {}), **MANAGED}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def crd() -> Manifest:
    """The IstioOperator's definition. Without preserve-unknown-fields a v1 definition would prune the whole spec."""
    free: Manifest = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": dict(free), "status": dict(free)}, **free}
        },
    }
    names = {"kind": "IstioOperator", "plural": "istiooperators", "singular": "istiooperator", "shortNames": ["iop"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {"group": "install.istio.io", "names": names, "scope": "Namespaced", "versions": [version]},
    }


def service_account() -> Manifest:
    """Who the operator is to the API server."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}


def cluster_role(istio: str) -> Manifest:
    """What the operator may do: one rule for each API group or pair of groups that the version's charts touch.

    Args:
        istio: Istio's version.
    """
    known = release(istio)

    def rule(groups: list[str], resources: list[str], verbs: tuple[str, ...] = ("*",)) -> Manifest:
        return {"apiGroups": groups, "resources": resources, "verbs": list(verbs)}

    rules = [rule([f"{group}.istio.io"], ["*"]) for group in known.operator_groups]
    rules += [
        rule(["admissionregistration.k8s.io"], ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]),
        rule(["apiextensions.k8s.io"], ["customresourcedefinitions.apiextensions.k8s.io", "customresourcedefinitions"]),
        rule(["apps", "extensions"], [*known.operator_workloads]),
        rule(["autoscaling"], ["horizontalpodautoscalers"]),
        rule(
            ["monitoring.coreos.com"],
            ["servicemonitors"],
            ("get", "create", "update") if known.operator_hardened else ("get", "create"),
        ),
        rule(["policy"], ["poddisruptionbudgets"]),
        rule(["rbac.authorization.k8s.io"], ["clusterrolebindings", "clusterroles", "roles", "rolebindings"]),
    ]
    if known.operator_leases:
        rules.append(rule(["coordination.k8s.io"], ["leases"], ("get", "create", "update")))
    core = ["configmaps", "endpoints", "events", "namespaces", *known.operator_pods, "persistentvolumeclaims"]
    rules.append(rule([""], [*core, "secrets", "services", "serviceaccounts", *known.operator_quotas]))
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NAME},
        "rules": rules,
    }


def cluster_role_binding() -> Manifest:
    """Gives the account those rights."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def service() -> Manifest:
    """Where the operator's metrics are served."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"name": NAME}},
        "spec": {
            "ports": [{"name": "http-metrics", "port": 8383, "targetPort": 8383, "protocol": "TCP"}],
            "selector": {"name": NAME},
        },
    }


def deployment(
    hub: str,
    istio: str,
    watch_namespace: str,
    identity: str,
    tag: str | None = None,
    pull_secrets: Sequence[str] = (),
) -> Manifest:
    """The operator itself.

    Args:
        hub: where its image is.
        istio: Istio's version.
        watch_namespace: the one namespace whose IstioOperator it carries out.
        identity: see `control_plane_identity`.
        tag: its image's; the version by default.
        pull_secrets: names of the Secrets, in its own namespace, that open the registry.
    """
    known = release(istio)
    environment: list[Manifest] = [
        {"name": "WATCH_NAMESPACE", "value": watch_namespace},
        {"name": "LEADER_ELECTION_NAMESPACE", "value": NAMESPACE},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "OPERATOR_NAME", "value": NAMESPACE},
    ]
    container: Manifest = {
        "name": NAME,
        "image": f"{hub}/operator:{tag or istio}",
        "command": ["operator", "server"],
        "env": environment,
        # not the chart's limit of 200m: a first mesh takes two cores for some seconds, which it stretches to minutes
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "128Mi"}},
    }
    annotations = {RESTART_ANNOTATION: identity}
    if known.operator_monitored:
        host, port = _METRICS
        container["command"] += [f"--monitoring-host={host}", f"--monitoring-port={port}"]
        annotations |= {"prometheus.io/port": port, "prometheus.io/scrape": "true"}
    else:
        container["imagePullPolicy"] = "IfNotPresent"
    if known.operator_hardened:
        environment += [{"name": "WAIT_FOR_RESOURCES_TIMEOUT", "value": "300s"}, {"name": "REVISION", "value": ""}]
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        }
        if known.operator_user is not None:
            container["securityContext"] |= {"runAsGroup": known.operator_user, "runAsUser": known.operator_user}
    template = {
        "metadata": {"labels": {"name": NAME}, "annotations": annotations},
        "spec": {
            "serviceAccountName": NAME,
            "containers": [container],
            **({"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}),
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"name": NAME}},
        "spec": {
            "replicas": 1,
            **({} if known.operator_history is None else {"revisionHistoryLimit": known.operator_history}),
            "selector": {"matchLabels": {"name": NAME}},
            "template": template,
        },
    }


def control_plane_identity(namespace: str, name: str) -> str:
    """A short hash of which IstioOperator is meant; it changes only when another one takes its place."""
    return hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()[:16]
