"""What every step of a stack file is: the whole program on Pulumi's mocks, as the engine would hear of it in an update.

`python -m tests.graph.recorded` writes tests/graph/golden/, a file for each stack file; `git diff` then shows what a live stack would see.
Secrets are a test's, and there is no renderer, so that the same comes out everywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import yaml
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import rpc, stack
from pulumi.runtime.sync_await import _sync_await

from bench.standing import configured
from tests.graph import mocked
from tests.project import ROOT

GOLDEN = Path(__file__).parent / "golden"
STACKS = ("dev", "prod", "staging", "walkthrough")
LONG = 3000
"""Characters of JSON from which on a value is held by its digest and not shown: the CustomResourceDefinition of Istio's operator."""

_OF_THE_PROTOCOL = (
    "type", "name", "object", "sourcePosition", "stackTrace", "acceptSecrets", "acceptResources", "custom",
    "supportsPartialValues", "supportsResultReporting", "packageRef", "version",
)  # fmt: skip


def told(request: Any) -> dict[str, Any]:
    """A resource as the engine hears of it, without what only the protocol needs."""
    said = MessageToDict(request)
    # what each input comes from, but for the many that are there at once
    if comes_from := {name: urns for name, urns in said.pop("propertyDependencies", {}).items() if urns}:
        said["propertyDependencies"] = comes_from
    how = {name: _by_name(value) for name, value in said.items() if name not in _OF_THE_PROTOCOL}
    return {"inputs": readable(said.get("object", {})), **dict(sorted(how.items()))}


def readable(value: Any) -> Any:
    """A value with its secrets marked; a JSON text as what it holds, where that says every byte of it."""
    if isinstance(value, Mapping):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return {"secret": readable(value["value"])}
        return _short({name: readable(inner) for name, inner in sorted(value.items())})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _short([readable(inner) for inner in value])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value[:1] in "{[":
        try:
            held = json.loads(value)
        except ValueError:
            return value
        # in the order of its keys, which is one of its bytes
        return {"json": held} if json.dumps(held) == value else value
    return value


def _short(value: Any) -> Any:
    text = json.dumps(value)
    if len(text) <= LONG or '"json"' in text:
        return value
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "characters": len(text)}


def _by_name(value: Any) -> Any:
    """URNs as names, the order of which says nothing."""
    if isinstance(value, Mapping):
        return {name: _by_name(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return sorted((_by_name(inner) for inner in value), key=str)
    return value.split("::")[3] if isinstance(value, str) and value.startswith("urn:") else value


def run(name: str) -> str:
    """Runs the program as that stack's update, in this process, which can run no other one afterwards; returns the record."""
    config, secrets = configured(name)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    pulumi.runtime.set_all_config(
        {f"sealos-istio:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        | {f"sealos-istio:{key}": value for key, value in secrets.items()},
        [f"sealos-istio:{key}" for key in secrets],
    )
    with mocked.engine({}, name) as engine:
        root = pulumi.runtime.get_root_resource()
        assert isinstance(root, stack.Stack)

        def program() -> None:
            runpy.run_path(str(ROOT / "__main__.py"))
            root.register_outputs(stack.massage(root.outputs, []))

        _sync_await(stack.run_pulumi_func(program))
    record = {
        "outputs": readable(MessageToDict(engine.exported)),
        "looks": [{"token": look.token, **readable(look.args)} for look in engine.looks],
        "resources": {f"{r.type} {r.name}": told(r) for r in sorted(engine.requests.values(), key=lambda r: (r.type, r.name))},
    }
    return yaml.safe_dump(record, sort_keys=False, width=140, default_flow_style=None, allow_unicode=True)


def record(name: str) -> str:
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "tests.graph.recorded", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    if sys.argv[1:]:
        print(run(sys.argv[1]), end="")
    else:
        for name in STACKS:
            (GOLDEN / f"{name}.yaml").write_text(record(name))
