"""A copy of the project with a backend of its own, driven by the real engine: what graph and lab tests run `pulumi` in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from devtools import engine as engines

ROOT = Path(__file__).parents[1]
PROGRAM = ("Pulumi.yaml", "__main__.py", "components")
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
"""For a stack whose cluster nobody asks: nothing listens there."""

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0ZZ1mCkAqJ6pSjYyF0p0R6vZ0nX1m9cJ7v6cQ8m0aF"
"""A host key that no machine has."""


def config_of(text: str) -> dict[str, Any]:
    """The configuration in a stack file's text, keys without the project's prefix."""
    return {key.removeprefix("sealos-istio:"): value for key, value in yaml.safe_load(text)["config"].items()}


def stack_config(stack: str = "dev") -> dict[str, Any]:
    """The same of one of the project's stack files."""
    return config_of((ROOT / f"Pulumi.{stack}.yaml").read_text())


def members(count: int) -> dict[str, list[dict[str, Any]]]:
    """That many machines as a stack lists them, the first of them the master."""
    listed = [{"name": f"sealos0{n}", "address": f"192.0.2.1{n}", "hostKey": KEY} for n in range(1, count + 1)]
    return {"masters": listed[:1], "nodes": listed[1:]}


@dataclass(frozen=True)
class Done:
    """A Pulumi command that ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything it printed."""
        return self.stdout + self.stderr


@dataclass
class Project:
    """The program in a directory of its own, so that tests can edit it.

    Attributes:
        directory: where it is.
        stack: the stack that commands work on.
        environment: variables besides the engine's own.
        printed: each command that ended and what it printed, but for those that were asked for secrets.
    """

    directory: Path
    stack: str
    environment: dict[str, str] = field(default_factory=dict)
    printed: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def copy(cls, directory: Path, stack: str, config: Mapping[str, Any], salt: str | None = None) -> Self:
        """A copy of the program with one stack that has `config` (keys without the project's prefix)."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in PROGRAM:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, directory / name)
        project = cls(directory, stack)
        (directory / "backend").mkdir(mode=0o700)
        project.write_config(config)
        done = project.pulumi("stack", "init", stack)
        assert done.status == 0, done.text
        return project

    @property
    def config_file(self) -> Path:
        """The stack's file."""
        return self.directory / f"Pulumi.{self.stack}.yaml"

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Sets all of the stack's configuration; the encryption salt stays."""
        old = yaml.safe_load(self.config_file.read_text()) if self.config_file.exists() else {}
        new = {k: v for k, v in old.items() if k == "encryptionsalt"}
        new["config"] = {f"sealos-istio:{key}": value for key, value in config.items()}
        self.config_file.write_text(yaml.safe_dump(new, sort_keys=False))

    def edit_config(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Changes the stack's configuration in place (keys without the prefix)."""
        config = config_of(self.config_file.read_text())
        change(config)
        self.write_config(config)

    def variables(self) -> dict[str, str]:
        """The environment of the engine on this copy."""
        engine = engines.present()
        ambient = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_") and k != "KUBECONFIG"}
        return {
            **ambient,
            **engines.variables(engine, ambient),
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "NO_COLOR": "1",
            **self.environment,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts `pulumi …` in a process group of its own."""
        return subprocess.Popen(
            [str(engines.present().pulumi), *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def pulumi(self, *arguments: str, stdin: str = "", limit: float = 600) -> Done:
        """Runs `pulumi …` to its end.

        Args:
            arguments: as on the command line.
            stdin: what it reads.
            limit: seconds until it is killed and the test fails.
        """
        process = self.start(*arguments)
        try:
            stdout, stderr = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(f"pulumi {' '.join(arguments)} took over {limit} s:\n{stdout}{stderr}") from None
        if "--show-secrets" not in arguments:
            self.printed.append((" ".join(arguments), stdout + stderr))
        return Done(process.returncode, stdout, stderr)

    def preview(self, *arguments: str) -> dict[str, Any]:
        """`pulumi preview --json`; fails the test when that fails."""
        done = self.pulumi("preview", "--json", "--stack", self.stack, *arguments)
        assert done.status == 0, done.text
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def up(self, *arguments: str, limit: float = 600) -> Done:
        """`pulumi up`."""
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", self.stack, *arguments, limit=limit)

    def destroy(self, *arguments: str, limit: float = 300) -> Done:
        """`pulumi destroy`."""
        return self.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.stack, *arguments, limit=limit)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain."""
        done = self.pulumi("stack", "output", "--json", "--show-secrets", "--stack", self.stack)
        assert done.status == 0, done.text
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def changes(preview: Mapping[str, Any]) -> dict[str, str]:
    """The resources that a preview would change: operation by type and name, `same` left out."""
    return {
        f"{step['urn'].split('::')[-2].split('$')[-1]} {step['urn'].split('::')[-1]}": step["op"]
        for step in preview["steps"]
        if step["op"] != "same"
    }
