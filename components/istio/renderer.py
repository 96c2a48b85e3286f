"""What Istio will make of an IstioOperator, by its own renderer: the `istioctl` of that very version, when it is on PATH.

Nothing is dialled and nothing is changed: `istioctl manifest generate` (1.5.0: operator/cmd/mesh/manifest-generate.go) runs
the same code as the operator in the cluster. Where that istioctl isn't there, that is said, and nothing depends on it.
No Pulumi here.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.istio import render_cache
from components.istio.gateways.path import format_path, parse_path
from components.istio.match import APPENDED, find, holds
from components.istio.readiness.judge import PLACING
from components.kubernetes.values import WORKLOADS
from components.problem import Code, Problem

Object = dict[str, Any]

TIMEOUT = 60.0
"""Seconds; a rendering takes about 0.3 s."""

LONG = 4000
"""Characters of a text from which on it is shown as its digest: dashboards and the like would bury what a person reads."""

NOT_SHOWN = "(not shown)"

_MADE_UP = re.compile(r"^(\s*signing_key:).*$", re.MULTILINE)
"""Kiali's key of the charts of 1.6 and 1.7 (manifests/charts/istio-telemetry/kiali, configmap.yaml): another one in every
rendering, which would show as a change, and nobody's business."""

_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+\t(debug|info|warn|error)\t.*\n", re.MULTILINE)
_CLUSTER_WIDE = ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Namespace")


class RenderError(Exception):
    """Istio's renderer refuses the IstioOperator; the text is its reason."""


@dataclass(frozen=True)
class Absent:
    """There is no renderer of the version.

    Attributes:
        reason: one sentence.
    """

    reason: str


@dataclass(frozen=True)
class Rendered:
    """The objects that Istio makes, as it prints them.

    Attributes:
        objects: every one, in the renderer's order.
    """

    objects: tuple[Object, ...]

    def named(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object of that kind and name (and namespace, where one is given)."""
        for known in self.objects:
            metadata = known["metadata"]
            if (known["kind"], metadata["name"]) == (kind, name) and namespace in (None, metadata.get("namespace")):
                return known
        return None

    def workloads(self) -> list[str]:
        """What will run, as `Deployment istio-system/istiod`, in order of the alphabet."""
        return sorted(title(known) for known in self.objects if known["kind"] in WORKLOADS)

    def held(self) -> list[str]:
        """Names of the Deployments that a PodDisruptionBudget of Istio's own allows no disruption, in order of the alphabet.

        A budget of minAvailable 1, as the charts have it for each of their single pods, holds a drain up for ever.
        """
        budgets = [known["spec"] for known in self.objects if known["kind"] == "PodDisruptionBudget"]
        least = {
            known["spec"]["scaleTargetRef"]["name"]: known["spec"].get("minReplicas", 1)
            for known in self.objects
            if known["kind"] == "HorizontalPodAutoscaler"
        }
        found = set()
        for known in self.objects:
            if known["kind"] != "Deployment":
                continue
            name, spec = known["metadata"]["name"], known["spec"]
            labels = spec["template"]["metadata"].get("labels", {}).items()
            pods = least.get(name, spec.get("replicas", 1))
            for budget in budgets:
                kept, selector = budget.get("minAvailable"), budget.get("selector", {}).get("matchLabels", {})
                if isinstance(kept, int) and pods <= kept and selector.items() <= labels:
                    found.add(name)
        return sorted(found)

    def shown(self) -> dict[str, Object]:
        """For people and for the state: by title, without what buries (CRDs, dashboards) and what is secret."""
        return {title(known): _shortened(known) for known in self.objects}


def title(known: Mapping[str, Any]) -> str:
    """`Kind namespace/name`, or `Kind name` where there is no namespace."""
    metadata = known["metadata"]
    namespace = "" if known["kind"] in _CLUSTER_WIDE else metadata.get("namespace", "")
    return f"{known['kind']} {namespace}/{metadata['name']}" if namespace else f"{known['kind']} {metadata['name']}"


def istioctl(version: str, path: str | None = None) -> Path | Absent:
    """The istioctl of `version` on PATH: `istioctl-VERSION`, else `istioctl` when it says that it is that version.

    Args:
        version: Istio's, as `1.5.0`.
        path: folders to look in; the environment's PATH by default.
    """
    if exact := shutil.which(f"istioctl-{version}", path=path):
        return Path(exact)
    if (found := shutil.which("istioctl", path=path)) is None:
        return Absent(f"istioctl {version} is not on PATH")
    try:
        # plain output: newer ones print "client version: 1.26.0"
        said = render_cache.kept(Path(found), "version", lambda: _run([found, "version", "--remote=false"]).stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Absent(f"{found} does not run: {error}")
    numbers = re.findall(r"\d+\.\d+\.\d+", said)
    if numbers[:1] == [version]:
        return Path(found)
    return Absent(f"istioctl on PATH ({found}) is {next(iter(numbers), 'of no known version')}, not {version}")


def render(manifest: Mapping[str, Any], program: Path) -> Rendered:
    """What `program` makes of an IstioOperator.

    Raises:
        RenderError: when it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="sealos-istio-render-") as folder:
        file = Path(folder, "istio-operator.yaml")
        file.touch(mode=0o600)
        # JSON, which is YAML as well: a text like `n`, which Go's reader takes for false, stays one
        file.write_text(json.dumps(manifest))
        try:
            done = _run([str(program), "manifest", "generate", "-f", str(file)], folder)
        except subprocess.TimeoutExpired:
            raise RenderError(f"{program} did not end within {TIMEOUT:g} s") from None
        except OSError as error:
            raise RenderError(f"{program} does not run: {error}") from None
    if done.returncode:
        raise RenderError(_reason(done.stderr or done.stdout))
    return Rendered(tuple(_documents(done.stdout)))


def rendered(manifest: Mapping[str, Any], version: str) -> Rendered | Absent:
    """`render` by the istioctl on PATH, or what it made of the same manifest before.

    Raises:
        RenderError: when it refuses.
    """
    program = istioctl(version)
    if isinstance(program, Absent):
        return program
    question = json.dumps(manifest, sort_keys=True)
    return Rendered(tuple(render_cache.kept(program, question, lambda: list(render(manifest, program).objects))))


def unfulfilled(manifest: Mapping[str, Any], made: Rendered) -> list[Problem]:
    """What overlays of the IstioOperator ask for and the rendered objects don't hold; empty when all is there.

    Istio ignores an overlay without target from 1.24 on, and a key's deletion before 1.6, in silence.
    """
    problems = [
        Problem(Code.OVERLAY_MISSED, "istio", f"{title(known)} comes out without containers: an overlay replaces its pod's spec")
        for known in made.objects
        if known["kind"] in WORKLOADS and not known["spec"]["template"]["spec"].get("containers")
    ]
    for key, component in _components(manifest["spec"].get("components") or {}):
        if component.get("enabled", True):
            for overlay in (component.get("k8s") or {}).get("overlays") or ():
                where = f"{key}.k8s.overlays for {overlay['kind']} {overlay['name']}"
                problems += [Problem(Code.OVERLAY_MISSED, where, text) for text in _missed(overlay, made)]
    return problems


def _components(components: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every component, each gateway one of its own, by its settings key."""
    for key, component in components.items():
        if key in ("ingressGateways", "egressGateways"):
            yield from ((f"istio.{key}[{position}]", gateway) for position, gateway in enumerate(component or ()))
        elif isinstance(component, Mapping):
            yield "istio.cni" if key == "cni" else f"istio.components.{key}", component


def _missed(overlay: Mapping[str, Any], made: Rendered) -> Iterator[str]:
    patches = list(overlay["patches"])
    renamed = next((p["value"] for p in patches if p["path"] == "metadata.name" and "value" in p), overlay["name"])
    if (target := made.named(overlay["kind"], renamed)) is None:
        yield "Istio makes no such object"
        return
    for patch in patches:
        path = parse_path(patch["path"])
        if "value" not in patch:
            if find(target, path) is not None and ":" in path[-1]:
                yield f"{patch['path']} is still there"
        elif path[-1] != APPENDED and re.fullmatch(r"\[[^:]*\D[^:]*\]", path[-1]):
            continue  # an entry of a list of texts, chosen by a pattern that its new text need not match
        elif not holds(target, path, patch["value"]):
            if path[-1] == APPENDED:
                yield f"{format_path(path[:-1])} has no {patch['value']!r} in what Istio makes"
            else:
                yield f"{patch['path']} is {find(target, path)!r} in what Istio makes, not {patch['value']!r}"


def gate_view(last: Mapping[str, Any] | None, namespace: str) -> dict[str, Any] | None:
    """What the ready gate takes from the rendered set: see components/istio/readiness/model.py, `RenderedSet`.

    Args:
        last: what was rendered last, as the state keeps it: `spec` (a hash) and `objects` (as `Rendered.shown` gives them);
            empty when nothing ever was.
        namespace: the mesh's; objects of others go by both names.
    """
    if not last or not last.get("spec"):
        return None
    # the engine hands maps back in another order than it got them, and a change of order must not look like one
    objects: dict[str, Object] = json.loads(json.dumps(last["objects"], sort_keys=True))
    here = [known for known in objects.values() if known["kind"] in ("Deployment", "Service")]

    def name(known: Object) -> str:
        metadata = known["metadata"]
        other = metadata.get("namespace") not in (None, namespace)
        return f"{metadata['namespace']}/{metadata['name']}" if other else str(metadata["name"])

    fields = [
        {
            "kind": "Deployment",
            "name": name(known),
            "path": ["spec", "template", "spec", "containers", f"[name:{container['name']}]", "image"],
            "value": container["image"],
        }
        for known in here
        if known["kind"] == "Deployment"
        for container in known["spec"]["template"]["spec"]["containers"]
    ]
    fields += [
        {"kind": "Service", "name": name(known), "path": ["spec", "selector"], "value": selector}
        for known in here
        if known["kind"] == "Service" and (selector := known["spec"].get("selector"))
    ]
    pods = {name(known): known["spec"]["template"]["spec"] for known in here if known["kind"] == "Deployment"}
    return {
        "spec": last["spec"],
        "deployments": sorted(pods),
        "fields": fields,
        "pods": [
            {
                "name": workload,
                "spec": {key: pods[workload][key] for key in PLACING if pods[workload].get(key) is not None},
                "hostPorts": sorted(
                    port["containerPort"]
                    for container in pods[workload]["containers"]
                    for port in container.get("ports") or ()
                    if port.get("hostPort")
                ),
            }
            for workload in sorted(pods)
        ],
    }


def spec_hash(manifest: Mapping[str, Any]) -> str:
    """A hash of an IstioOperator's spec, which tells whether two are the same."""
    return hashlib.sha256(json.dumps(manifest["spec"], sort_keys=True).encode()).hexdigest()


def as_yaml(objects: Mapping[str, Object]) -> str:
    """Objects by title, as one YAML stream in order of their titles."""
    documents = (f"# {name}\n{yaml.safe_dump(objects[name], sort_keys=True, width=120)}" for name in sorted(objects))
    return "---\n".join(documents)


def _shortened(known: Object) -> Object:
    if known["kind"] == "CustomResourceDefinition":
        text = json.dumps(known, sort_keys=True)
        return {"apiVersion": known["apiVersion"], "kind": known["kind"], "content": _digest(text)}
    if known["kind"] == "Secret":
        hidden = {key: dict.fromkeys(known[key], NOT_SHOWN) for key in ("data", "stringData") if known.get(key)}
        known = {**known, **hidden}
    short: Object = _short(known)
    return short


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, str):
        return value
    text = without_made_up(value)
    return _digest(text) if len(text) > LONG else text


def without_made_up(text: str) -> str:
    """A text without what is another one in every rendering."""
    return _MADE_UP.sub(rf"\1 {NOT_SHOWN}", text)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]} ({len(text)} characters)"


def _run(command: Sequence[str], folder: str | None = None) -> subprocess.CompletedProcess[str]:
    # 1.5.0's istioctl mixes logs into what it prints (istio#21704) and looks at the user's cluster unless told there is none
    return subprocess.run(
        [*command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": folder or "/nonexistent", "KUBECONFIG": "/dev/null"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _documents(text: str) -> Iterator[Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # log lines get among the objects (istio#21704)
    for document in re.split(r"^---$", _LOG_LINE.sub("", text), flags=re.MULTILINE):
        try:
            known = yaml.load(document, Loader=loader)  # noqa: S506 - a safe loader, the fast one where there is one
        except yaml.YAMLError as error:
            raise RenderError(f"istioctl printed what is no YAML: {' '.join(str(error).split())}") from None
        if isinstance(known, dict) and isinstance(known.get("metadata"), dict) and "kind" in known:
            yield known


def _reason(text: str) -> str:
    """Its last words without the noise that 1.5.0 always prints, and without the dumps of Go's structures and of the whole YAML."""
    text = re.split(r"[:\s]+YAML:\s", text)[0]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("proto: ")]
    kept, inside = [], False
    for line in lines:
        if line.startswith("[]*"):
            inside = True
        elif inside:
            inside = not line.startswith("}")
        else:
            kept.append(line.strip().removeprefix("Error: "))
    if panic := next((line for line in kept if line.startswith("panic: ")), None):
        return f"the renderer crashes ({panic}), and so would the operator"
    return " ".join(kept)[:2000] or "it gave no reason"
