from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from components.driver import DriverError
from components.istio import cni_probe, sweep
from components.istio.cni_chain import CniChain, NodeFiles, problems, without_plugin
from components.problem import Code, Problem
from components.remote.host import Result
from components.remote.models import Fleet, Machine, MachineError
from components.sealos.nodes import Node

CHAIN = CniChain(
    config_file="10-calico.conflist", excluded_namespaces=("istio-system", "kube-system"), log_level="info"
)
CALICO = {"type": "calico"}
ISTIO = {
    "type": "istio-cni",
    "log_level": "info",
    "kubernetes": {"exclude_namespaces": ["kube-system", "istio-system"]},
}


def files(plugins: list[dict[str, Any]] | str | None, **other: Any) -> NodeFiles:
    text = plugins if isinstance(plugins, str) or plugins is None else json.dumps({"plugins": plugins})
    return NodeFiles(
        **{"listed": ("10-calico.conflist",), "conflist": text, "binary": "755", "kubeconfig": "600", **other}
    )


def test_a_late_agent_writes_a_flat_entry_and_keeps_its_kubeconfig_elsewhere() -> None:
    chain = CHAIN.model_copy(update={"agent": True})
    entry = {
        "type": "istio-cni",
        "plugin_log_level": "info",
        "exclude_namespaces": ["kube-system", "istio-system"],
        "cni_agent_run_dir": "/var/run/istio-cni",
    }
    assert problems("n1", chain, files([CALICO, entry])) == []
    early = problems("n1", chain, files([CALICO, ISTIO], kubeconfig=None))
    assert [one for one in early if "does not exclude istio-system, kube-system" in one.text]
    assert [one for one in early if one.text.startswith("/var/run/istio-cni/istio-cni-kubeconfig does not exist")]
    # what 1.23.2 writes when nothing tells it the namespaces
    [untold] = problems("n1", chain, files([CALICO, {**entry, "exclude_namespaces": [""]}]))[:1]
    assert "does not exclude istio-system, kube-system" in untold.text


@pytest.mark.parametrize("told", [True, False])
def test_the_script_finds_the_kubeconfig_of_a_late_agent(tmp_path: Path, told: bool) -> None:
    (tmp_path / "config_file").write_text("10-calico.conflist")
    kubeconfig = tmp_path / "istio-cni-kubeconfig"
    kubeconfig.touch(mode=0o600)
    if told:
        (tmp_path / "kubeconfig_path").write_text(str(kubeconfig))
    environment = {
        "CNI_FOLDER": str(tmp_path / "none"),
        "CNI_AGENT": str(tmp_path),
        "KUBECTL": "/nonexistent",
        "PATH": "/usr/bin:/bin",
    }
    command = ["bash", str(cni_probe.SCRIPT), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert cni_probe.parse(done.stdout).kubeconfig == "600"


def test_an_appended_plugin_is_fine() -> None:
    assert problems("n1", CHAIN, files([CALICO, ISTIO])) == []
    assert problems("n1", CHAIN, files([CALICO, ISTIO], rights="yes")) == []


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        pytest.param(files([CALICO]), Code.CNI_CHAIN, "no istio-cni, only calico", id="never installed"),
        pytest.param(files([ISTIO]), Code.CNI_CHAIN, "has istio-cni alone", id="before calico, in its file"),
        pytest.param(files([ISTIO, CALICO]), Code.CNI_CHAIN, "ends with calico", id="a later writer"),
        pytest.param(files([ISTIO, CALICO, ISTIO]), Code.CNI_CHAIN, "2 times", id="twice"),
        pytest.param(
            files([CALICO, {**ISTIO, "kubernetes": {}}]), Code.CNI_SETTINGS, "does not exclude istio-system, kube-system", id="defaults lost"
        ),
        pytest.param(
            files([CALICO, {**ISTIO, "kubernetes": {"exclude_namespaces": ["kube-system", "istio-system", "shop"]}}]),
            Code.CNI_SETTINGS, "also excludes shop",
            id="one too many",
        ),
        pytest.param(files([CALICO, {**ISTIO, "log_level": "debug"}]), Code.CNI_SETTINGS, "logs at 'debug', wanted 'info'", id="log level"),
        pytest.param(files('{"plugins": ['), Code.CNI_FILE, "is no list of plugins", id="half written"),
        pytest.param(
            files(None, listed=("YYY-istio-cni.conflist",)), Code.CNI_FILE, "there are YYY-istio-cni.conflist", id="before calico, in a file of its own"
        ),
        pytest.param(
            files([CALICO, ISTIO], listed=("05-other.conf", "10-calico.conflist")),
            Code.CNI_ORDER, "05-other.conf comes before",
            id="pre-empted",
        ),
        pytest.param(files([CALICO, ISTIO], binary=None), Code.CNI_PLUGIN, "/opt/cni/bin/istio-cni does not exist", id="no binary"),
        pytest.param(files([CALICO, ISTIO], binary="644"), Code.CNI_PLUGIN, "not executable", id="not executable"),
        pytest.param(files([CALICO, ISTIO], kubeconfig=None), Code.CNI_PLUGIN, "kubeconfig does not exist", id="no kubeconfig"),
        pytest.param(files([CALICO, ISTIO], kubeconfig="644"), Code.CNI_PLUGIN, "mode 644, not 600", id="readable token"),
        pytest.param(files([CALICO, ISTIO], rights="no - RBAC: not found"), Code.CNI_RIGHTS, "may not get pods (no - RBAC: not found)", id="no rights"),
    ],
)
def test_every_trouble_is_named(found: NodeFiles, code: Code, words: str) -> None:
    [problem] = problems("n1", CHAIN, found)
    assert (problem.where, problem.code) == ("n1", code)
    assert words in problem.text


def test_the_script_prints_what_the_judge_reads(tmp_path: Path) -> None:
    folder = tmp_path / "net.d"
    folder.mkdir()
    (tmp_path / "config_file").write_text("10-calico.conflist")
    text = json.dumps({"plugins": [CALICO, ISTIO]}, indent=2)
    (folder / "10-calico.conflist").write_text(text)
    (folder / "ZZZ-istio-cni-kubeconfig").touch(mode=0o600)
    (folder / "99-loopback.conf").touch()
    (folder / "ZZZ-istio-cni-kubeconfig").write_text("server: https://[10.96.0.1]:443\n")  # as the installer writes it
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        """#!/bin/sh
        grep -qx 'server: https://10.96.0.1:443' "${1#--kubeconfig=}" || { echo 'error: host must be a URL' >&2; exit 1; }
        echo 'Warning: noise' >&2; echo 'no - RBAC: not found'; exit 1
        """
    )
    kubectl.chmod(0o755)
    environment = {
        "CNI_FOLDER": str(folder), "CNI_BINARY": str(tmp_path / "none"), "KUBECTL": str(kubectl), "PATH": "/usr/bin:/bin"
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(cni_probe.SCRIPT), str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    found = cni_probe.parse(done.stdout)
    assert found == NodeFiles(
        listed=("10-calico.conflist", "99-loopback.conf"), conflist=text, binary=None, kubeconfig="600",
        rights="no - RBAC: not found",
    )  # fmt: skip


def test_an_api_server_that_can_not_be_asked_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "config_file").write_text("10-calico.conflist")
    (tmp_path / "ZZZ-istio-cni-kubeconfig").touch(mode=0o600)
    for words, rights in (("Unable to connect to the server: dial tcp", None), ("must be logged in (Unauthorized)", "must be logged in (Unauthorized)")):
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{words}' >&2; exit 1\n")
        (tmp_path / "kubectl").chmod(0o755)
        environment = {"CNI_FOLDER": str(tmp_path), "KUBECTL": str(tmp_path / "kubectl"), "PATH": "/usr/bin:/bin"}
        command = ["bash", str(cni_probe.SCRIPT), str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert cni_probe.parse(done.stdout).rights == rights


FLEET = {"machines": [{"name": n, "address": "198.51.100.1"} for n in ("sealos01", "sealos02")], "login": {}}


@pytest.mark.parametrize(("silent", "answers"), [(True, False), (False, False), (True, True)])
def test_a_machine_that_is_dead_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], silent: bool, answers: bool
) -> None:
    async def on_all(fleet: Fleet, action: Any, machines: Any) -> dict[str, Any]:
        assert [machine.name for machine in machines] == ["sealos02"]
        return {"sealos02": [Problem(Code.CNI_CHAIN, "sealos02", "wrong")] if answers else MachineError("sealos02", "does not answer", "Look.", "unreachable")}

    @contextlib.asynccontextmanager
    async def connect(machine: Machine, login: object) -> AsyncIterator[str]:
        yield machine.name

    async def nodes_of(first: str) -> dict[str, Node]:
        assert first == "sealos01"
        return {"sealos02": Node("sealos02", "", "node", "v1.16.3", False, "Kubelet stopped posting", silent)}

    for name, played in (("on_all", on_all), ("connect", connect), ("nodes_of", nodes_of)):
        monkeypatch.setattr(cni_probe, name, played)
    request = cni_probe.CniRequest.model_validate({"fleet": FLEET, "node": "sealos02", "chain": CHAIN.model_dump()})
    if answers or not silent:
        with pytest.raises(DriverError, match=r"sealos02: (wrong|does not answer)"):
            asyncio.run(cni_probe.cni_check(request))
        return
    assert json.loads(asyncio.run(cni_probe.cni_check(request)))["nodes"] == []
    assert "sealos02 is not Ready: Kubelet stopped posting. It is not waited for. Bring it back" in capsys.readouterr().err


def test_the_report_names_every_problem_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    class Host:
        def __init__(self, machine: Machine) -> None:
            self.machine = machine

        async def run(self, script: Path, files: dict[str, bytes], timeout: float) -> Result:  # noqa: ASYNC109
            return Result("listed 10-calico.conflist\n", "", 0)

    async def on_all(fleet: Fleet, action: Any, machines: Any) -> dict[str, Any]:
        assert machines is None
        return {machine.name: await action(Host(machine)) for machine in fleet.machines}

    monkeypatch.setattr(cni_probe, "on_all", on_all)
    request = cni_probe.CniRequest.model_validate({"fleet": FLEET, "chain": CHAIN.model_dump(), "timeout": 0})
    with pytest.raises(DriverError) as failed:
        asyncio.run(cni_probe.cni_check(request))
    assert str(failed.value).count("] sealos01, sealos02: ") == 3, "what both have is said once"


def test_a_chain_without_the_plugin_keeps_all_else() -> None:
    chain = {"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [CALICO, ISTIO, {"type": "portmap"}]}
    restored = without_plugin(json.dumps(chain))
    assert restored is not None
    assert json.loads(restored) == {**chain, "plugins": [CALICO, {"type": "portmap"}]}
    assert without_plugin(restored) is None
    assert without_plugin('{"plugins": [') is None


def test_restoring_a_node_takes_away_the_plugin_and_nothing_else(tmp_path: Path) -> None:
    folder, binaries, request = tmp_path / "net.d", tmp_path / "bin", tmp_path / "request"
    for path in (folder, binaries, request):
        path.mkdir()
    (folder / "10-calico.conflist").write_text("old")
    (folder / "10-calico.conflist").chmod(0o640)
    for path in (
        folder / "calico-kubeconfig",
        folder / "ZZZ-istio-cni-kubeconfig",
        binaries / "calico",
        binaries / "istio-cni",
        request / "istio-cni-kubeconfig",
    ):
        path.touch()
    (request / "config_file").write_text("10-calico.conflist")
    (request / "conflist").write_text("new")
    environment = {
        "CNI_FOLDER": str(folder), "CNI_BINARIES": str(binaries), "CNI_AGENT": str(request), "PATH": "/usr/bin:/bin"
    }  # fmt: skip
    for _ in range(2):
        subprocess.run(["bash", str(sweep.RESTORE), str(request)], env=environment, check=True)
    assert (folder / "10-calico.conflist").read_text() == "new"
    assert (folder / "10-calico.conflist").stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in folder.iterdir()) == ["10-calico.conflist", "calico-kubeconfig"]
    assert [p.name for p in binaries.iterdir()] == ["calico"]
    assert sorted(p.name for p in request.iterdir()) == ["config_file", "conflist"]
