"""What `recover` reads out of a stack's exported state. The stuck IstioOperator itself is in tests/lab/test_istio_lifecycle.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.driver import DriverError
from components.istio.recover import request_of

REQUEST = {
    "fleet": {"machines": [{"name": "sealos01", "address": "198.51.100.11"}], "login": {}},
    "name": "mesh", "namespace": "istio-system", "hub": "istio", "version": "1.5.0", "crds": "keep", "configFile": None,
}  # fmt: skip


def export(stdin: Any, name: str = "istio-leftovers") -> str:
    urn = f"urn:pulumi:dev::sealos-istio::sealos-istio:istio:ControlPlane$command:local:Command::{name}"
    resource = {"urn": urn, "type": "command:local:Command", "inputs": {"stdin": stdin}}
    return json.dumps({"deployment": {"resources": [resource]}})


def test_the_request_is_the_last_one_that_the_stack_holds() -> None:
    secret = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "plaintext": json.dumps(json.dumps(REQUEST)),
    }
    found = request_of(export(secret))
    assert (found.name, found.namespace, found.fleet.first_master.name) == ("mesh", "istio-system", "sealos01")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("no state", "pulumi stack export --show-secrets", id="not a state"),
        pytest.param(export({"ciphertext": "v1:x"}), "secrets are not in its export", id="still encrypted"),
        pytest.param(export("{}", "istio-gate"), "holds no mesh", id="no mesh"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_traceback(text: str, words: str) -> None:
    with pytest.raises(DriverError, match=words):
        request_of(text)
