"""What the API server would not take, or nobody would answer, of the objects that Istio makes of the settings, each with the setting that asks for it. No Pulumi here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.config.mesh import IstioSettings
from components.istio import unanswered
from components.istio.gateways.model import gateway_chart
from components.istio.gateways.path import parse_path
from components.istio.istio_operator import CNI_DAEMON_SET, KINDS
from components.istio.match import APPENDED, covers
from components.istio.releases.table import release
from components.istio.renderer import Object, Rendered, title
from components.kubernetes.rules import Path, broken, unadmitted
from components.problem import Code, Problem

_OF_OBJECTS: Mapping[str, str] = {"Service": "service", "PodDisruptionBudget": "podDisruptionBudget", "HorizontalPodAutoscaler": "hpaSpec"}
"""By kind, the setting of a component that is about the whole object."""


def problems(made: Rendered, istio: IstioSettings, kubernetes: str) -> tuple[list[Problem], str]:
    """What is wrong, each by the setting that asks for it, and the release of Kubernetes that it was judged by where that isn't the cluster's own.

    Args:
        made: the objects.
        istio: the settings that they come from.
        kubernetes: the cluster's version, as `v1.16.3`.
    """
    from components.kubernetes import schema  # loads a library, which what has no renderer at hand doesn't need

    known = schema.of(kubernetes)
    found = [
        Problem(
            Code.OBJECT_REFUSED,
            _setting(one, finding.path, istio),
            f"{title(one)} {_dotted(one, finding.path)}: expected {finding.expected}, observed {finding.observed} (Kubernetes {known.minor})",
        )
        for one in made.objects
        for finding in (*known.findings(one), *broken(one), *unadmitted(one, kubernetes), *unanswered.findings(one, made.objects))
    ]
    return list(dict.fromkeys(found)), "" if known.exact else known.minor


def _components(istio: IstioSettings) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each component that has settings of its own: its key, its workload's name, and its k8s."""
    known = release(istio.version)
    for kind in KINDS:
        for position, gateway in enumerate(istio.ingress_gateways if kind == "ingress" else istio.egress_gateways):
            yield f"istio.{kind}Gateways[{position}]", gateway.name or gateway_chart(kind), gateway.k8s or {}
    yield "istio.cni", CNI_DAEMON_SET, istio.cni.k8s
    for name, addon in istio.addon_components.items():
        yield f"istio.addonComponents.{name}", known.addons.get(name, name), addon.k8s
    for key, component in istio.components.items():
        k8s = component.get("k8s") if isinstance(component, Mapping) else None
        yield f"istio.components.{key}", known.components.get(key, key), k8s if isinstance(k8s, Mapping) else {}


def _setting(known: Object, path: Path, istio: IstioSettings) -> str:
    """The setting that made what is at the path: the overlay's patch that leads nearest, else the component's; `istio` if none is known."""
    kind, name = known["kind"], known["metadata"]["name"]
    best, nearest, place = 0, "", "istio"
    for key, workload, k8s in _components(istio):
        for position, overlay in enumerate(k8s.get("overlays") or ()):
            if str(overlay.get("kind")).lower() != kind.lower() or overlay.get("name") not in (None, name):
                continue
            for number, patch in enumerate(overlay.get("patches") or ()):
                asked = parse_path(str(patch.get("path")))
                shared = _shared(asked, patch.get("value"), known, path)
                # it says this, or something of this, or something beside it
                if shared >= min(len(asked), max(len(path) - 1, 2)) and shared > best:
                    best, nearest = shared, f"{key}.k8s.overlays[{position}].patches[{number}]"
        if name == workload:
            keys = [*map(str, reversed(path)), _OF_OBJECTS.get(kind, "")]
            inside = next((f".k8s.{own}" for own in keys if own in k8s), "")
            place = f"{key}{inside}"
    return nearest or place


def _shared(asked: Sequence[str], value: Any, known: Any, path: Path) -> int:
    """How many elements of an overlay's path lead the way of `path` in the object."""
    for count, (element, at) in enumerate(zip(asked, path, strict=False)):
        if isinstance(at, int):
            if not _chooses(element, value if count == len(asked) - 1 else None, known[at], at):
                return count
        elif element != at:
            return count
        known = _step(known, at)
    return min(len(asked), len(path))


def _chooses(element: str, value: Any, item: Any, position: int) -> bool:
    """Whether `[name:x]`, `[3]` or `[-1]` in an overlay's path can stand for that item of a list."""
    if not element.startswith("["):
        return False
    key, _, text = element[1:-1].partition(":")
    if text:
        return isinstance(item, Mapping) and str(item.get(key)) == text
    if isinstance(value, Mapping) and not covers(item, value):
        return False
    return element == APPENDED or (key.isdecimal() and int(key) >= position)


def _dotted(known: Any, path: Path) -> str:
    """The path for people: items of lists by their names."""
    text = ""
    for at in path:
        known = _step(known, at)
        if isinstance(at, int):
            name = known.get("name") if isinstance(known, Mapping) else None
            text += f"[{name if isinstance(name, str) else at}]"
        else:
            text += f".{at}" if text else str(at)
    return text


def _step(known: Any, at: str | int) -> Any:
    """What is there; None where nothing is, as of a field that is required."""
    if isinstance(at, int):
        return known[at]
    return known.get(at) if isinstance(known, Mapping) else None
