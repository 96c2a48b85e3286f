"""Drift on the lab: nothing on a clean cluster, and each of ten planted differences, found and named; then a review of changes.

The tests of this file share one stack and follow each other.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.machines import Lab
from review.__main__ import STOPPED, status
from review.previews import Checkout
from review.summary import plain
from tests.lab.conftest import Kubectl, standing
from tests.project import ROOT, Project
from tools import engine as engines

CHAIN = "/etc/cni/net.d/10-calico.conflist"
CNI_KUBECONFIG = "/etc/cni/net.d/ZZZ-istio-cni-kubeconfig"
CERTIFICATE = "/etc/kubernetes/pki/front-proxy-client.crt"


@pytest.fixture(scope="module")
def project(lab: Lab, dev_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    directory = tmp_path_factory.mktemp("drift")
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(lab.known_hosts.read_text())
    config = {**dev_config, "ssh": {**dev_config["ssh"], "knownHosts": str(known_hosts)}}
    project = Project.copy(directory / "project", "drift", config)
    yield from standing(project)


def drift(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drift", "--stack", project.stack, "--directory", str(project.directory), *arguments],
        cwd=ROOT,
        env={**os.environ, **project.variables()},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def findings(project: Project) -> list[dict[str, str]]:
    done = drift(project, "--json")
    assert done.returncode in (0, 3), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["drift"] == (done.returncode == 3) == bool(told["findings"])
    found: list[dict[str, str]] = told["findings"]
    return found


def test_a_clean_stack_has_no_drift(project: Project) -> None:
    assert findings(project) == []
    done = drift(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "drift: settings, state, cluster and machines agree."


def ends_in(days: float) -> bytes:
    """A certificate of our own making that ends then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "planted")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=360))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    return made.public_bytes(Encoding.PEM)


def jwt(days: float) -> str:
    claims = json.dumps({"exp": int(time.time() + days * 86400)}).encode()
    return "e30." + base64.urlsafe_b64encode(claims).decode().rstrip("=") + ".c2ln"


def put(lab: Lab, machine: str, file: str, text: str) -> None:
    done = lab.run(machine, "bash", "-c", f"cat > {file}", stdin=text)
    assert done.returncode == 0, done.stderr


def test_each_of_ten_planted_drifts_is_found(project: Project, lab: Lab, tmp_path: Path) -> None:
    kubectl = Kubectl(project)
    before = {
        (machine, file): lab.run(machine, "cat", file).stdout
        for machine, file in (
            ("sealos03", CHAIN),
            ("sealos04", CNI_KUBECONFIG),
            ("sealos01", CERTIFICATE),
            ("sealos01", "/etc/sealos-istio/wanted.json"),
        )
    }
    known_hosts = Path(project.config_file.parents[1], "known_hosts")
    keys, config = known_hosts.read_text(), project.config_file.read_text()

    # 1 and 2: objects; the operator first, so that it does not put right what follows
    kubectl("-n", "istio-operator", "scale", "deployment", "istio-operator", "--replicas=0")
    kubectl("-n", "istio-operator", "delete", "service", "istio-operator")
    # 3: what the operator made of the IstioOperator
    kubectl("-n", "istio-system", "delete", "deployment", "kiali")
    # 4: a node that nobody asked for
    stranger = tmp_path / "stranger.yaml"
    stranger.write_text("apiVersion: v1\nkind: Node\nmetadata: {name: stranger}\n")
    kubectl("create", "-f", str(stranger))
    # 5: a node that takes no pods
    kubectl("cordon", "sealos03")
    # 6: a join token for ever
    token = tmp_path / "token.yaml"
    token.write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: bootstrap-token-aaaaaa, namespace: kube-system}\n"
        "type: bootstrap.kubernetes.io/token\nstringData: {token-id: aaaaaa, token-secret: aaaaaaaaaaaaaaaa}\n"
    )
    kubectl("create", "-f", str(token))
    # 7: a CNI chain that something else wrote
    chain = json.loads(before["sealos03", CHAIN])
    chain["plugins"].append({"type": "tuning"})
    put(lab, "sealos03", CHAIN, json.dumps(chain))
    # 8: a token that ends soon
    put(lab, "sealos04", CNI_KUBECONFIG, f"users:\n- name: istio-cni\n  user:\n    token: {jwt(2)}\n")
    # 9: a certificate that ends soon
    put(lab, "sealos01", CERTIFICATE, ends_in(5).decode())
    # 10: another machine at the address, by its host key
    address = lab.addresses["sealos02"]
    other = next(line.split(" ", 1)[1] for line in keys.splitlines() if line.startswith(lab.addresses["sealos03"]))
    lines = [line for line in keys.splitlines() if not line.startswith(address)]
    known_hosts.write_text("\n".join([*lines, f"{address} {other}"]) + "\n")
    # 11: settings that nobody applied, 12: the list on the first master
    project.edit_config(lambda c: c["istio"]["ingressGateways"][0].update(label={"team": "edge"}))
    wanted = json.loads(before["sealos01", "/etc/sealos-istio/wanted.json"])
    wanted["machines"].append({**wanted["machines"][-1], "name": "sealos09", "address": "198.18.0.9"})
    put(lab, "sealos01", "/etc/sealos-istio/wanted.json", json.dumps(wanted))
    try:
        found = findings(project)
    finally:
        known_hosts.write_text(keys)
        project.config_file.write_text(config)
        for (machine, file), text in before.items():
            put(lab, machine, file, text)
    told = {(f["area"], f["where"], f["what"]) for f in found}

    def has(area: str, where: str, *words: str) -> bool:
        return any(a == area and w == where and all(word in what for word in words) for a, w, what in told)

    assert has("objects", "Deployment istio-operator-deployment", "spec.replicas"), told
    assert has("objects", "Service istio-operator-service", "gone"), told
    assert has("mesh", "example-istiocontrolplane", "kiali"), told
    assert has("membership", "stranger", "in no settings"), told
    assert has("membership", "sealos03", "cordoned"), told
    assert has("membership", "sealos01", "wanted.json", "sealos09"), told
    assert has("tokens", "sealos01", "aaaaaa never ends"), told
    assert has("tokens", "sealos04", CNI_KUBECONFIG, "in 2.0 days"), told
    assert has("cni", "sealos03", "ends with tuning, not istio-cni"), told
    assert has("certificates", "sealos01", CERTIFICATE, "in 5.0 days"), told
    assert has("host-keys", "sealos02"), told
    assert has("settings", "IstioOperator istio-istio-operator", "update"), told
    assert "aaaaaaaaaaaaaaaa" not in json.dumps(found), "the token's secret was told"
    assert all(f["fix"] for f in found)

    kubectl("delete", "-f", str(stranger), "-f", str(token))
    kubectl("uncordon", "sealos03")
    done = project.up("--refresh")
    assert done.status == 0, done.text
    assert findings(project) == []


def test_the_review_of_a_change_and_the_gate(project: Project) -> None:
    checkout = Checkout(engines.present(), project.directory, project.variables())
    before = project.config_file.read_text()
    try:
        project.edit_config(lambda c: c["nodes"].pop(1))
        plan = checkout.preview(project.stack)
        assert "STOP: the node sealos03 would be deleted (label allow-node-loss)" in plain(plan)
        assert status([plan], ()) == STOPPED
        assert status([plan], ("allow-node-loss",)) == 0
        project.config_file.write_text(before)
        project.edit_config(lambda c: c["cluster"].update(name="other", identityChange="replace"))
        plan = checkout.preview(project.stack)
        assert "STOP: the cluster would be replaced" in plain(plan)
        assert status([plan], ("allow-node-loss", "allow-mesh-loss")) == STOPPED
        assert "cluster-member-sealos03" in checkout.graph(project.stack)
    finally:
        project.config_file.write_text(before)
    assert not checkout.preview(project.stack).changed
