"""Settings that do nothing: each value is changed, and what Istio makes of it looked at; where that is the same, the value says nothing to Istio.

About the settings as they were written, a file's in the form of the file. A value is not taken out but changed, since one that only
repeats a default is no fault. No Pulumi here; nothing is dialled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import get_ident
from typing import Any

import yaml

from components.config.base import PROJECT, SettingsError
from components.config.load import parse_and_plan
from components.documents import load_all
from components.istio import renderer
from components.istio.gateways.model import OverlayError
from components.istio.istio_operator import ControlPlanePlan
from components.istio.renderer import Object, Rendered, RenderError

Path_ = tuple[str | int, ...]
"""Keys, and positions in lists."""

_AT_ONCE = 2
"""Renderings; each takes a processor."""

_NOT_RENDERED = frozenset(
    ("version", "file", "name", "namespace", "metadata", "namespaceMetadata", "readyTimeout", "istioctl", "crds", "configFile")
)
"""Keys of `istio` that are about other things than what Istio makes."""


@dataclass(frozen=True)
class Idle:
    """A value that changes nothing.

    Attributes:
        key: where it was written: a key of the stack, or of the file `istio.file`.
        reason: why it does nothing, as far as can be seen.
        in_file: whether it is that file's.
    """

    key: str
    reason: str
    in_file: bool

    def __str__(self) -> str:
        return f"{'' if self.in_file else f'{PROJECT}:'}{self.key} does nothing: {self.reason}"


@dataclass(frozen=True)
class _Written:
    """What somebody wrote of the mesh.

    Attributes:
        config: the stack's configuration.
        documents: those of `istio.file`.
    """

    config: Mapping[str, Any]
    documents: tuple[Any, ...]

    @property
    def whole(self) -> tuple[Mapping[str, Any], tuple[Any, ...]]:
        """Both, for paths."""
        return self.config, self.documents

    def values(self) -> Iterator[tuple[str, Path_]]:
        """Each value that Istio may look at: how it is called for people, and where it is in (config, documents)."""
        for path in _leaves(self.config["istio"]):
            if path[0] not in _NOT_RENDERED and not self._names((0, "istio", *path)):
                yield f"istio{_dotted(path)}", (0, "istio", *path)
        file = self.config["istio"].get("file")
        for position, document in enumerate(self.documents):
            if document and document.get("kind") == "IstioOperator":
                for path in _leaves(document.get("spec") or {}):
                    if path[0] != "tag" and not self._names((1, position, "spec", *path)):
                        yield f"{file}: spec{_dotted(path)}", (1, position, "spec", *path)

    def _names(self, path: Path_) -> bool:
        """Whether it is the name of what is turned off there, which says no more than that."""
        return path[-1] == "name" and _at(self.whole, (*path[:-1], "enabled")) in (False, "false")

    def other(self, path: Path_) -> _Written:
        """The same with another value there."""
        whole: Any = [deepcopy(dict(self.config)), deepcopy(list(self.documents))]
        place = whole
        for at in path[:-1]:
            place = place[at]
        place[path[-1]] = _another(place[path[-1]])
        return _Written(whole[0], tuple(whole[1]))

    def plan(self, stack: str) -> ControlPlanePlan:
        """What the program makes of it."""
        with TemporaryDirectory(prefix="sealos-istio-idle-") as folder:
            if isinstance(file := self.config["istio"].get("file"), str):
                copy = Path(folder, Path(file).name)
                copy.write_text(yaml.safe_dump_all(self.documents))
                config = {**self.config, "istio": {**self.config["istio"], "file": str(copy)}}
            else:
                config = dict(self.config)
            mesh = parse_and_plan(config, stack)[1].mesh
        assert mesh is not None  # noqa: S101 - it was there before
        return mesh


def idle(config: Mapping[str, Any], stack: str, program: Path) -> list[Idle]:
    """Every value of a stack's mesh that does nothing.

    Args:
        config: the stack's, as `parse` takes it, with a mesh in it; its files are looked for in the working directory.
        stack: its name.
        program: the istioctl of the mesh's version.

    Raises:
        SettingsError, OverlayError, RenderError: when the settings as they are can't be rendered.
    """
    file = config["istio"].get("file")
    written = _Written(config, tuple(load_all(Path(file).read_text())) if file else ())
    mesh = written.plan(stack)
    profile = _profile(program, mesh.istio.profile)
    read_later = _injected(renderer.render(mesh.manifest, program))
    made = _made(mesh, program)

    def does_nothing(value: tuple[str, Path_]) -> Idle | None:
        key, path = value
        spec = path[2:] if path[0] == 0 else path[3:]
        if _is_word(_at(written.whole, path)) and _at(profile, spec) is not None:
            return None  # the charts may compare it with another: a third one says no more than this one
        if spec[0] == "values" and _is_read(read_later, spec[1:]):
            return None
        try:
            same = _made(written.other(path).plan(stack), program) == made
        except (SettingsError, OverlayError, RenderError):
            return None  # who refuses another value has read it
        return Idle(key, _reason(written.whole, path, mesh.istio.version), in_file=path[0] == 1) if same else None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [found for found in pool.map(does_nothing, written.values()) if found]


def _made(mesh: ControlPlanePlan, program: Path) -> str:
    """A digest of what Istio makes, kept by what it is made of."""
    manifest, stat = mesh.manifest, program.stat()
    kept = _cache() / _digest([manifest, str(program.resolve()), stat.st_size, stat.st_mtime_ns])
    try:
        return kept.read_text()
    except OSError:
        digest = _digest([_comparable(known) for known in renderer.render(manifest, program).objects])
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.{os.getpid()}.{get_ident()}")
    part.write_text(digest)
    part.replace(kept)
    return digest


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sealos-istio", "rendered")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _comparable(known: Object) -> Object:
    """Without the copy of all values that the injector has, whether it reads them or not, and what is made up each time."""
    data = known.get("data")
    if known["kind"] != "ConfigMap" or not isinstance(data, Mapping):
        return known
    left = {} if "config" not in data else {"values": ""}
    return {**known, "data": {**{key: renderer.without_made_up(text) for key, text in data.items()}, **left}}


def _injected(made: Rendered) -> str:
    """The templates that the injector fills with values when a pod comes."""
    data = [known.get("data") or {} for known in made.objects if known["kind"] == "ConfigMap"]
    return "\n".join(str(one["config"]) for one in data if "config" in one and "values" in one)


def _is_read(templates: str, path: Path_) -> bool:
    """Whether a template names the value, or a map that it is in and takes it whole."""
    names = [".".join(map(str, path[:length])) for length in range(1, len(path) + 1)]
    return any(re.search(rf"\.Values\.{re.escape(name)}(?![\w.])", templates) for name in names)


def _profile(program: Path, profile: str) -> Any:
    """What a profile says by itself: an IstioOperator's spec; nothing where istioctl doesn't tell."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"}
    command = [str(program), "profile", "dump", profile]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=renderer.TIMEOUT, check=False)
    try:
        return (yaml.safe_load(done.stdout) or {}).get("spec") or {}
    except (yaml.YAMLError, AttributeError):
        return {}


def _reason(whole: Any, path: Path_, version: str) -> str:
    for length in range(len(path) - 1, 1, -1):
        if path[length] != "enabled" and _at(whole, (*path[:length], "enabled")) is False:
            return f"{_dotted(path[2 if path[0] == 0 else 3:length]).strip('.')}.enabled is false"
    return f"Istio {version} makes the same objects whatever it says; look for a typing error, or for a key of another level or release"


def _leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Where values stand, but overlays: `renderer.unfulfilled` looks for each of theirs. A list of plain values is one."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key != "overlays":
                yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for position, inner in enumerate(value):
            yield from _leaves(inner, (*path, position))
    elif value not in (None, []):
        yield path


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not re.search(r"\d", value)


def _another(value: Any) -> Any:
    """Another value of the same kind: where a text has a number, another number, so that it stays a duration or a quantity."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value[:-1], _another(value[-1])]
        case "true" | "false":
            return "false" if value == "true" else "true"
        case str() if re.search(r"\d", value):
            return re.sub(r"\d", lambda digit: str((int(digit[0]) % 9) + 1), value, count=1)
        case _:
            return f"{value}x"


def _at(value: Any, path: Path_) -> Any:
    for at in path:
        if isinstance(value, Mapping):
            value = value.get(at)
        elif isinstance(value, list | tuple) and isinstance(at, int) and at < len(value):
            value = value[at]
        else:
            return None
    return value


def _dotted(path: Path_) -> str:
    return "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in path)
