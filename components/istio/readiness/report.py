"""What the gate says: of a mesh that is as wanted, as the stack's outputs; of one that is not, in others' words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.istio.match import find
from components.istio.readiness.judge import judge
from components.istio.readiness.model import Object, View, Wanted
from components.problem import Problem


def report(wanted: Wanted, view: View, restarted: bool) -> dict[str, Any]:
    """The gate's output once everything is as wanted: nothing in it is secret.

    Returns:
        status (a word), version, deployments (names), cni (namespace, name, ready) or None, operatorRestarted, and gateway:
        namespace, name, type, hostNetwork, ports (name, port, targetPort), nodes (names) and addresses (IPs), or None.
    """
    return {
        "status": judge(wanted, view).status,
        "version": wanted.version,
        "namespace": wanted.namespace,
        "deployments": list(wanted.deployments),
        **placed(wanted, view),
        "operatorRestarted": restarted,
    }


def placed(wanted: Wanted, view: View) -> dict[str, Any]:
    """The part of the report that tells of nodes: cni and gateway. It changes when pods move, without any change of the settings."""
    daemon_set = view.daemon_set
    cni = None
    if wanted.cni and daemon_set:
        # a pod on each node, ready where the node is, or the gate would not be passed
        leaving = _leaving(wanted, view) - {node.name for node in view.silent()}
        ready = daemon_set["status"].get("numberReady", 0) - len(leaving)
        cni = {"namespace": wanted.cni.namespace, "name": wanted.cni.name, "ready": max(ready, 0)}
    return {"cni": cni, "gateway": _gateway(wanted, view)}


def _leaving(wanted: Wanted, view: View) -> set[str]:
    """Nodes that are taken out of the cluster at the end of this update."""
    return {node["metadata"]["name"] for node in view.nodes} - set(wanted.machines) if wanted.machines else set()


def _gateway(wanted: Wanted, view: View) -> dict[str, Any] | None:
    if not wanted.gateway:
        return None
    namespace, _, name = (title := wanted.titled(wanted.gateway)).partition("/")
    service, deployment = view.named("Service", title), view.named("Deployment", title)
    if service is None or deployment is None:
        return None
    pods = [pod for pod in view.pods_of(deployment) if not pod["metadata"].get("deletionTimestamp")]
    nodes = sorted({node for pod in pods if (node := pod["spec"].get("nodeName"))} - _leaving(wanted, view))
    host_network = bool(find(deployment, ("spec", "template", "spec", "hostNetwork")))
    if host_network:
        addresses = [address for node in nodes if (address := _internal_ip(view, node))]
    else:
        balancer = find(service, ("status", "loadBalancer", "ingress")) or []
        addresses = [i.get("ip") or i.get("hostname") for i in balancer] or [service["spec"].get("clusterIP")]
    return {
        "namespace": namespace,
        "name": name,
        "type": service["spec"]["type"],
        "hostNetwork": host_network,
        "ports": [
            {key: port[key] for key in ("name", "port", "targetPort", "nodePort") if key in port}
            for port in service["spec"]["ports"]
        ],
        "nodes": nodes,
        "addresses": [str(address) for address in addresses if address and address != "None"],
    }


def _internal_ip(view: View, node: str) -> str | None:
    for found in view.nodes:
        if found["metadata"]["name"] == node:
            for address in found.get("status", {}).get("addresses", []):
                if address["type"] == "InternalIP":
                    return str(address["address"])
    return None


def warnings(events: Sequence[Object], problems: Sequence[Problem], limit: int = 6) -> list[str]:
    """What Kubernetes itself says about the objects that aren't as wanted, and no problem says already: the last of its warnings.

    Args:
        events: of type Warning, of whatever object.
        problems: what isn't as wanted; a workload's pods count as the workload.
        limit: how many.
    """
    said: dict[str, str] = {}
    known = "\n".join(problem.text for problem in problems)
    names = {problem.where.partition(" ")[2] for problem in problems}
    for event in sorted(events, key=_time):
        about, message = event["involvedObject"], " ".join(str(event.get("message", "")).split())
        where = f"{about.get('namespace')}/{about.get('name')}"
        if message and message not in known and any(f"{where}-".startswith(f"{name}-") for name in names):
            text = f"{event.get('reason')}: {message[:400]}"
            said.pop(text, None)  # the latest of those that say the same
            said[text] = f"{_time(event)[11:19]} {about.get('kind')} {where}: {text}"
    return list(said.values())[-limit:]


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def last_words(log: str, limit: int = 8) -> list[str]:
    """The lines of the operator's log that say why: it prints whole manifests, so most lines are noise."""
    errors: list[str] = []
    warnings: list[str] = []
    for line in log.splitlines():
        columns = [column.strip() for column in line.split("\t")]
        level = columns[1] if len(columns) > 2 else ""
        if line.startswith(("panic:", "fatal error:")):
            errors.append(line[:400])
        elif level in ("error", "fatal"):
            errors.append(" ".join(columns[2:])[:400])
        elif level == "warn":
            warnings.append(" ".join(columns[2:])[:400])
    return list(dict.fromkeys(errors or warnings))[-limit:]
