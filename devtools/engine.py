"""Which Pulumi runs this checkout, with which plugins, and the environment for it.

A real `pulumi` on PATH that is recent enough is used, with real plugins; what can't be had that way is built (devtools.builder)
and put into a PULUMI_HOME of this checkout's own, so that the user's ~/.pulumi stays as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from devtools import builder, parts
from devtools.builder import Builds
from devtools.golang import ToolMissing
from devtools.parts import Part

PULUMI_MINIMUM = (3, 220, 0)
LANGUAGE_HOST = "pulumi-language-python"

PASSPHRASE = "lab"  # noqa: S105
"""Of the stack dev: no secret, since its state holds nothing but the lab, which is as disposable as the state."""

ASK_AGAIN = 24 * 3600
"""Seconds for which a plugin that couldn't be downloaded isn't tried again."""


@dataclass(frozen=True)
class Plugin:
    """A resource plugin at the version that requirements.txt's SDK of the same name asks for.

    Attributes:
        name: Pulumi's name for it.
        version: without the leading v.
        part: the part that is built where the real one can't be had.
        limit: seconds that its download may take.
    """

    name: str
    version: str
    part: str
    limit: int

    @property
    def folder(self) -> str:
        """Its folder's name in PULUMI_HOME/plugins."""
        return f"resource-{self.name}-v{self.version}"


COMMAND = Plugin("command", "1.2.1", "pulumi-resource-command", limit=60)
KUBERNETES = Plugin("kubernetes", "4.25.0", "pulumi-resource-kubernetes", limit=300)
PLUGINS = (COMMAND, KUBERNETES)


@dataclass(frozen=True)
class Engine:
    """A Pulumi that can run this checkout.

    Attributes:
        pulumi: the program.
        built: whether it was built here (and not found on PATH).
        home: the PULUMI_HOME of its plugins; None for the user's own.
        built_plugins: names of the plugins that were built here.
    """

    pulumi: Path
    built: bool
    home: Path | None
    built_plugins: tuple[str, ...]

    @property
    def command_standin(self) -> bool:
        """Whether the command provider is the stand-in."""
        return COMMAND.name in self.built_plugins


def home(checkout: Path | None = None) -> Path:
    """The PULUMI_HOME of a checkout (by default this one): in the cache, named by the checkout's path."""
    return parts.cache_root() / "home" / hashlib.sha256(os.fsencode(checkout or parts.ROOT)).hexdigest()[:12]


def users_home(environment: Mapping[str, str]) -> Path:
    """The user's own PULUMI_HOME, also in a shell that has this checkout's environment."""
    chosen = environment.get("PULUMI_HOME")
    if chosen and not Path(chosen).is_relative_to(parts.cache_root()):
        return Path(chosen)
    return Path.home() / ".pulumi"


def users_own_plugins(environment: Mapping[str, str]) -> bool:
    """Whether the user's own PULUMI_HOME has every plugin, at its version."""
    plugins = users_home(environment) / "plugins"
    return all((plugins / plugin.folder).is_dir() for plugin in PLUGINS)


def version_of(text: str) -> tuple[int, int, int]:
    """A Pulumi version as it prints it ("v3.220.0", "v3.221.0-alpha.1+dirty"); zeros when it can't be read."""
    try:
        major, minor, patch = text.strip().removeprefix("v").split("-")[0].split("+")[0].split(".")
        return int(major), int(minor), int(patch)
    except ValueError:
        return 0, 0, 0


def on_path(path: str) -> Iterator[Path]:
    """Every `pulumi` on that PATH, but those of our own cache."""
    for folder in path.split(os.pathsep):
        found = shutil.which("pulumi", path=folder) if folder else None
        if found and not Path(found).resolve().is_relative_to(parts.cache_root()):
            yield Path(found)


def real_pulumi(environment: Mapping[str, str]) -> Path | None:
    """The first `pulumi` on PATH, if it is recent enough and has its Python language host beside it."""
    for found in on_path(environment.get("PATH", "")):
        program = found.resolve()
        if not (program.parent / LANGUAGE_HOST).is_file():
            return None
        try:
            answer = subprocess.run(
                [str(program), "version"],
                env={**environment, "PULUMI_SKIP_UPDATE_CHECK": "true"},
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        # only the one that the user's shell would start
        return found if version_of(answer.stdout) >= PULUMI_MINIMUM else None
    return None


def _assembled() -> Path:
    """Where the built CLI and its language host lie side by side, as the CLI wants them."""
    cli, host = (parts.directory(parts.part(name)).parent.name for name in ("pulumi", LANGUAGE_HOST))
    return parts.cache_root() / "engine" / f"{cli}-{host}" / "bin"


def _assemble() -> Path:
    target = _assembled()
    if target.is_dir():
        return target
    with builder.locked("engine"):
        if target.is_dir():
            return target
        work = Path(tempfile.mkdtemp(prefix=".engine.", dir=parts.cache_root()))
        (work / "bin").mkdir()
        for name in ("pulumi", LANGUAGE_HOST):
            chosen = parts.part(name)
            for binary in chosen.binaries:
                os.link(parts.directory(chosen) / binary, work / "bin" / binary)
        work.chmod(0o755)
        target.parent.parent.mkdir(exist_ok=True)
        work.rename(target.parent)
    return target


def _records(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "plugins.json").read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(source) for name, source in found.items()} if isinstance(found, dict) else {}


def _record(folder: Path, plugin: Plugin, source: str) -> None:
    known = {**_records(folder), plugin.folder: source}
    fresh = folder / ".plugins.json"
    fresh.write_text(json.dumps(known, indent=2) + "\n")
    fresh.rename(folder / "plugins.json")


def _source(plugin: Plugin, folder: Path) -> str | None:
    """How the plugin came into our own PULUMI_HOME: "real", the key of its present build, or None when it isn't there."""
    if not (folder / "plugins" / plugin.folder).is_dir():
        return None
    source = _records(folder).get(plugin.folder)
    if source == "real":
        return source
    chosen = parts.part(plugin.part)
    return source if parts.has_module(chosen) and source == parts.key(chosen) else None


def present(environment: Mapping[str, str] | None = None) -> Engine:
    """The engine as it is, without building or downloading anything.

    Raises:
        ToolMissing: a part of it isn't there; the message says what to run.
    """
    ambient = os.environ if environment is None else environment
    pulumi = real_pulumi(ambient)
    if pulumi is not None and users_own_plugins(ambient):
        return Engine(pulumi, built=False, home=None, built_plugins=())
    own = home()
    sources = {plugin.name: _source(plugin, own) for plugin in PLUGINS}
    program = pulumi or _assembled() / "pulumi"
    absent = [f"its plugin {name}" for name, source in sources.items() if source is None]
    if not program.is_file():
        absent.insert(0, "the CLI")
    if absent:
        raise ToolMissing(f"Pulumi is not complete for the present sources ({', '.join(absent)}). Run `make tools`.")
    return Engine(
        program,
        built=pulumi is None,
        home=own,
        built_plugins=tuple(name for name, source in sources.items() if source != "real"),
    )


def missing_parts(environment: Mapping[str, str] | None = None) -> list[Part]:
    """The parts that `prepare` would build now, at most (a plugin that can be downloaded isn't built)."""
    ambient = os.environ if environment is None else environment
    pulumi = real_pulumi(ambient)
    wanted = [] if pulumi else [parts.part("pulumi"), parts.part(LANGUAGE_HOST)]
    if pulumi is None or not users_own_plugins(ambient):
        wanted += [parts.part(plugin.part) for plugin in PLUGINS if _source(plugin, home()) != "real"]
    return [chosen for chosen in wanted if not parts.is_built(chosen)]


def prepare(console: Console, more: Sequence[Part] = ()) -> Engine:
    """Builds and installs what `present` would miss and `more` (parts of the lab), side by side and numbered as one row of steps.

    Raises:
        builder.BuildFailed, ToolMissing: with what failed, and the fix.
    """
    ambient = dict(os.environ)
    pulumi = real_pulumi(ambient)
    cli, host = parts.part("pulumi"), parts.part(LANGUAGE_HOST)
    builds = Builds(console, [*missing_parts(ambient), *more])
    beside = [part for part in more if part.module.name == cli.module.name]

    def engine() -> None:
        if pulumi is None:
            builds.build(cli)
        to_build = []
        if not (pulumi and users_own_plugins(ambient)):
            to_build = _download_plugins(pulumi or parts.binary("pulumi"), builds)
        builds.build(*(parts.part(plugin.part) for plugin in to_build), *beside)
        _install_built(pulumi or parts.binary("pulumi"), to_build)

    jobs: list[Callable[[], object]] = [engine]
    # the longest part of all begins first; the one that waits for nobody and is soon done fills what is left
    jobs += [partial(builds.build, *group) for group in builder.longest_first(p for p in more if p not in beside)]
    if pulumi is None:
        jobs.append(partial(builds.build, host))
    builds.side_by_side(jobs)
    if pulumi is None:
        _assemble()
    return present(ambient)


def _download_plugins(program: Path, builds: Builds) -> list[Plugin]:
    """Downloads the plugins that our own PULUMI_HOME lacks, and returns those that can't be had that way."""
    own = home()
    (own / "plugins").mkdir(parents=True, exist_ok=True)
    with builder.locked(f"home-{own.name}", builds.console):
        absent = [plugin for plugin in PLUGINS if _source(plugin, own) is None]
        for number, plugin in enumerate(absent):
            if not _download(program, plugin, own, builds.console):
                return absent[number:]  # who can't reach one reaches none
            _record(own, plugin, "real")
    return []


def _install_built(program: Path, plugins: Sequence[Plugin]) -> None:
    own = home()
    with builder.locked(f"home-{own.name}"):
        for plugin in plugins:
            if _source(plugin, own) is not None:
                continue  # another process was faster
            chosen = parts.directory(parts.part(plugin.part))
            _install(program, plugin, own, ["--file", str(chosen / f"pulumi-resource-{plugin.name}")], limit=120)
            _record(own, plugin, chosen.parent.name)


def _install(program: Path, plugin: Plugin, into: Path, more: list[str], limit: int) -> None:
    environment = {**os.environ, "PULUMI_HOME": str(into), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [str(program), "plugin", "install", "resource", plugin.name, plugin.version, "--reinstall", *more]
    try:
        answer = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise builder.BuildFailed(
            f"Pulumi's plugin {plugin.name} {plugin.version} did not come within {limit} s."
        ) from None
    if answer.returncode != 0:
        raise builder.BuildFailed(
            f"`pulumi plugin install` of {plugin.name} {plugin.version} failed: {(answer.stderr or answer.stdout).strip()[-500:]}"
        )


def tried_lately(last: float, now: float) -> bool:
    """Whether a failed download at `last` (seconds since the epoch) still counts at `now`; a clock set back does not keep it alive."""
    return 0 <= now - last < ASK_AGAIN


def _download(program: Path, plugin: Plugin, into: Path, console: Console) -> bool:
    """Tries the real plugin; remembers for a day that it couldn't be had."""
    memory = parts.cache_root() / f"unreachable-{plugin.folder}"
    if memory.is_file() and tried_lately(memory.stat().st_mtime, time.time()):
        return False
    console.print(f"      asking for Pulumi's own plugin {plugin.name} {plugin.version}", highlight=False)
    try:
        _install(program, plugin, into, [], limit=plugin.limit)
    except builder.BuildFailed:
        console.print("      it can't be had from here; building it", highlight=False)
    else:
        memory.unlink(missing_ok=True)
        return True
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.touch()
    return False


def path_with(first: list[str], path: str) -> str:
    """PATH with `first` in front, each folder once."""
    rest = [folder for folder in path.split(os.pathsep) if folder and folder not in first]
    return os.pathsep.join([*first, *rest])


def variables(engine: Engine, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which plain `pulumi` commands work on this checkout's stack dev.

    Args:
        engine: from `present` or `prepare`.
        environment: the environment to add to; this process's own by default.

    Returns:
        Only what is to be set, PATH among it. A passphrase that the user has set is left alone.
    """
    ambient = os.environ if environment is None else environment
    venv = parts.ROOT / ".venv" / "bin"
    state = parts.ROOT / ".state"
    state.mkdir(mode=0o700, exist_ok=True)
    ours = [str(venv), str(engine.pulumi.parent)]
    # previews show what Istio will make of the settings where its istioctl is there (components/istio/renderer.py)
    with contextlib.suppress(ToolMissing):
        ours.append(str(parts.binary("istioctl").parent))
    found = {
        "PATH": path_with(ours, ambient.get("PATH", os.defpath)),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_PYTHON_CMD": str(venv / "python"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if not (ambient.get("PULUMI_CONFIG_PASSPHRASE") or ambient.get("PULUMI_CONFIG_PASSPHRASE_FILE")):
        found["PULUMI_CONFIG_PASSPHRASE"] = PASSPHRASE
    if engine.home is not None:
        found["PULUMI_HOME"] = str(engine.home)
        # another program's plugin on PATH would be taken by its name, whatever its version
        found["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "1"
    if engine.built_plugins:
        found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if engine.command_standin:
        found["SEALOS_ISTIO_COMMAND_STANDIN"] = "lab"
    return found
