"""Runs the previews: read-only, against a stack's state where it can be read, else between two versions of the program."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from devtools import engine as engines
from devtools import parts
from devtools.engine import Engine
from review import plan as plans
from review.plan import Plan

LIMIT = 600
"""Seconds that one Pulumi command may take."""

PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "policy")
"""What a preview needs of a checkout, besides the stacks' files."""

THROWAWAY = "throwaway"
"""The passphrase of a copy that lives for one preview and holds placeholders only."""

PLACEHOLDER = "placeholder"
"""In a copy, what stands for every secret."""


@dataclass(frozen=True)
class Checkout:
    """A version of the program that previews can be run in.

    Attributes:
        engine: the Pulumi that runs it.
        directory: where it is.
        environment: its variables.
    """

    engine: Engine
    directory: Path
    environment: Mapping[str, str]

    @classmethod
    def own(cls, engine: Engine) -> Checkout:
        """This checkout, on the backend that the environment names, or else on its own."""
        variables = engines.variables(engine)
        if backend := os.environ.get("PULUMI_BACKEND_URL"):
            variables["PULUMI_BACKEND_URL"] = backend
        return cls(engine, parts.ROOT, {**os.environ, **variables})

    def pulumi(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `pulumi …` and keeps what it prints."""
        # a shell that answers every question with yes (as build servers do) would make `refresh --preview-only` fail
        ambient = {k: v for k, v in self.environment.items() if k != "PULUMI_SKIP_CONFIRMATIONS"}
        return subprocess.run(
            [str(self.engine.pulumi), *arguments, "--non-interactive"],
            cwd=self.directory,
            # events are an option for tools, which the CLI keeps behind this variable
            env={**ambient, "PULUMI_DEBUG_COMMANDS": "true", "NO_COLOR": "1"},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def has(self, stack: str) -> bool:
        """Whether the backend has that stack, and can be read."""
        return self.pulumi("stack", "ls", "--json").returncode == 0 and (
            self.pulumi("stack", "output", "--json", "--stack", stack).returncode == 0
        )

    def preview(self, stack: str) -> Plan:
        """What `pulumi up` would change, and what the policies say about it; nothing is written anywhere."""
        with tempfile.TemporaryDirectory(prefix="sealos-istio-review.") as folder:
            events = Path(folder, "events")
            done = self.pulumi(
                *("preview", "--stack", stack, "--json", "--show-sames", "--event-log", str(events)),
                *("--policy-pack", str(parts.ROOT / "policy")),
            )
            told = list(policy_violations(events.read_text())) if events.exists() else []
        try:
            document: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            document = {}
        found = replace(plans.parse(stack, document), violations=tuple(told))
        if done.returncode and not any(mandatory for mandatory, _ in told):
            return replace(found, error=_why(document, done.stderr or done.stdout))
        return found

    def idle(self, stack: str) -> tuple[str, ...]:
        """Settings of the mesh that do nothing; nothing where its renderer isn't on PATH, which the preview says."""
        done = subprocess.run(
            [sys.executable, "-m", "components.istio", "render", "--stack", stack, "--check"],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        return tuple(done.stdout.splitlines())

    def graph(self, stack: str) -> str:
        """The state's graph in DOT; empty when there is no state."""
        with tempfile.TemporaryDirectory(prefix="sealos-istio-review.") as folder:
            file = Path(folder, "graph.dot")
            self.pulumi("stack", "graph", "--stack", stack, str(file))
            return file.read_text() if file.exists() else ""


def policy_violations(events: str) -> Iterator[tuple[bool, str]]:
    """The policy violations of an event log, as (mandatory, text); one for all resources that break a policy in the same way."""
    found: dict[tuple[bool, str, str], list[str]] = {}
    for line in events.splitlines():
        if event := json.loads(line).get("policyEvent"):
            reason = str(event["message"]).strip().splitlines()[-1]
            key = event["enforcementLevel"] == "mandatory", str(event["policyName"]), reason
            found.setdefault(key, []).append(str(event.get("resourceUrn", "")).rpartition("::")[2])
    for (mandatory, policy, reason), names in found.items():
        listed = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield mandatory, f"{policy}: {reason} ({listed})"


def _why(document: Mapping[str, Any], text: str) -> str:
    told = [str(d["message"]).strip() for d in document.get("diagnostics", []) if d.get("severity") == "error"]
    return "\n".join(dict.fromkeys(told)) or text.strip()[-2000:] or "pulumi preview failed without a word"


def stacks(directory: Path = parts.ROOT) -> list[str]:
    """The stacks that have a file, by name."""
    files = (file.name for file in directory.glob("Pulumi.*.yaml"))
    return sorted(name.removeprefix("Pulumi.").removesuffix(".yaml") for name in files)


def from_state(checkout: Checkout, stack: str) -> tuple[Plan, str]:
    """The plan against the stack's state, and the state's graph in DOT."""
    return checkout.preview(stack), checkout.graph(stack)


def with_idle(plan: Plan, checkout: Checkout) -> Plan:
    """The plan with what the settings of its mesh say in vain."""
    return plan if plan.error else replace(plan, idle=checkout.idle(plan.stack))


def from_nothing(engine: Engine, stack: str, base: str | None) -> Plan:
    """The plan without any state or secret: between `base` and this checkout, or all of the stack where there is no base.

    Args:
        engine: what runs it.
        stack: the stack.
        base: a commit of this repository.
    """
    with copied(engine, parts.ROOT, stack) as head:
        after = with_idle(head.preview(stack), head)
    if not base or after.error:
        return replace(after, compared_with="nothing: no state could be read here, so that this is the whole stack")
    with tempfile.TemporaryDirectory(prefix="sealos-istio-base.") as folder:
        directory = Path(folder)
        unpack(base, directory)
        if stack not in stacks(directory):
            return replace(after, compared_with=f"nothing: {base} has no stack {stack}")
        with copied(engine, directory, stack) as checkout:
            before = checkout.preview(stack)
    if before.error:
        return replace(after, compared_with=f"nothing: {base} itself can't be previewed")
    return replace(
        plans.between(before, after),
        compared_with=f"what {base} asks for (no state could be read here, so that nothing is said about what is there)",
    )


def unpack(commit: str, directory: Path) -> None:
    """Writes a commit's files into a directory.

    Raises:
        ValueError: there is no such commit here.
    """
    done = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=parts.ROOT, capture_output=True, check=False, timeout=LIMIT
    )
    if done.returncode:
        raise ValueError(f"{commit} can't be read: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")


@contextmanager
def copied(engine: Engine, source: Path, stack: str) -> Iterator[Checkout]:
    """A copy of the program with a backend of its own, an empty state, and a placeholder for each secret."""
    with tempfile.TemporaryDirectory(prefix="sealos-istio-copy.") as folder:
        directory = Path(folder, *"above")  # some levels down, for files that the settings name by ../
        directory.mkdir(parents=True)
        for name in PROGRAM:
            if (source / name).exists():
                (directory / name).symlink_to(source / name)
        raw = yaml.safe_load((source / f"Pulumi.{stack}.yaml").read_text()) or {}
        config, secrets = without_secrets(raw.get("config") or {})
        (directory / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}, sort_keys=False))
        (directory / "state").mkdir()
        for named in files_named(config):
            link = Path(os.path.normpath(directory / named))
            with suppress(OSError, ValueError):  # a text that is no path
                if (source / named).is_file() and link.is_relative_to(folder) and not link.exists():
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to((source / named).resolve())
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PULUMI_", "AWS_", "PG"))},
            **engines.variables(engine),
            "PULUMI_BACKEND_URL": f"file://{directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": THROWAWAY,
        }
        checkout = Checkout(engine, directory, environment)
        checkout.pulumi("stack", "init", stack)
        for key in secrets:
            checkout.pulumi("config", "set", "--secret", "--stack", stack, key, stdin=PLACEHOLDER)
        yield checkout


def files_named(value: Any) -> Iterator[str]:
    """Each text of a stack's configuration that may be the relative path of a file, as that of istio.file."""
    match value:
        case Mapping():
            for inner in value.values():
                yield from files_named(inner)
        case list():
            for inner in value:
                yield from files_named(inner)
        case str() if not Path(value).is_absolute():
            yield value


def without_secrets(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A stack's configuration without its encrypted values, and the keys of those."""
    secrets = [key for key, value in config.items() if isinstance(value, Mapping) and set(value) == {"secure"}]
    return {key: value for key, value in config.items() if key not in secrets}, secrets
