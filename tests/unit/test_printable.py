"""Nothing that a machine says reaches a terminal as a command or carries a secret, whichever way it leaves a driver."""

from __future__ import annotations

import ast
import base64
import io
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncssh
import pytest

from components import printable
from components.driver import DriverError, Verb, drive, progress
from components.printable import harmless, know
from components.remote.models import Login, MachineError, Request
from components.sealos import requests
from components.sealos.steps import backup as backups
from components.sealos.steps import script
from tests.project import ROOT
from tests.unit.conftest import Server


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printable, "_known", {})


@pytest.mark.parametrize(
    ("said", "left"),
    [
        pytest.param("\x1b[31mred\x1b[0m \x1b[2K\x1b[1A\x1b[?25lup", "red up", id="CSI"),
        pytest.param("\x9b31mred\x9b2J", "red", id="CSI of C1"),
        pytest.param("a\x1b]52;c;ZXZpbA==\x07b", "ab", id="OSC 52, the clipboard"),
        pytest.param("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\b", "alinkb", id="OSC 8, a link"),
        pytest.param("a\x9d0;title\x9cb", "ab", id="OSC of C1"),
        pytest.param("a\x1bP+q544e\x1b\\b\x1b_x\x1b\\c\x1b^y\x07d", "abcd", id="DCS, APC, PM"),
        pytest.param("a\x1b]0;never closed\nnext", "a\nnext", id="an OSC that is not closed keeps to its line"),
        pytest.param("a\x1b[", "a", id="a CSI that is cut off"),
        pytest.param("a\x1bcb\x1b(0c\x1b", "abc", id="reset and character sets"),
        pytest.param("[sealos01] failed\r[sealos01] fine  ", "[sealos01] failed [sealos01] fine  ", id="CR"),
        pytest.param("one\r\ntwo\tthree\n", "one\ntwo\tthree\n", id="lines and tabulators stay"),
        pytest.param("a\x00\x07\x08\x0b\x0c\x7f\x85b", "ab", id="C0, DEL, C1"),
        pytest.param("a\u202egnp.exe\u2066b\u2028c", "agnp.exeb c", id="direction and separators"),
        pytest.param("größer … → ✓ 例", "größer … → ✓ 例", id="other scripts stay"),
    ],
)
def test_what_a_terminal_would_obey_goes(said: str, left: str) -> None:
    assert harmless(said) == left


KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
LINES = "".join(
    base64.b64encode(random.Random(n).randbytes(48)).decode() + "\n" for n in range(20)
)  # as a key's, or a backup's
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{LINES}-----END RSA PRIVATE KEY-----\n"
JWT = f"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.{'aB3_' * 20}"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        pytest.param(f"before\n{PEM}after", "before\n<private key>\nafter", id="PEM"),
        pytest.param(f"before\n{PEM[:200]}", "before\n<private key>", id="PEM, cut off"),
        pytest.param(repr(PEM), "'<private key>\\n'", id="PEM in a repr"),
        pytest.param(KEY, "<private key>\n", id="OpenSSH's"),
        pytest.param(f"    client-key-data: {base64.b64encode(PEM.encode()).decode()}", "    client-key-data: <secret>", id="kubeconfig"),
        pytest.param(json.dumps({"tls.key": base64.b64encode(PEM.encode()).decode()}), '{"tls.key": "<base64>"}', id="Secret"),
        pytest.param(LINES.split("\n")[3], "<base64>", id="a line of a key"),
        pytest.param(base64.b64encode(b"\x1f\x8b" + random.Random(1).randbytes(55)).decode(), "<base64>", id="a line of a backup"),
        pytest.param("join --token 9vr73a.a8uxyaju799qwdjv x", "join --token <token> x", id="bootstrap token"),
        pytest.param(f"--certificate-key {'f8a9' * 16} x", "--certificate-key <key> x", id="certificate key"),
        pytest.param(f"Authorization: Bearer {JWT}", "Authorization: Bearer <token>", id="bearer"),
        pytest.param(f"token {JWT}!", "token <token>!", id="service account"),
        pytest.param("passwd: it's $ecret\nuser: root", "passwd: <secret>\nuser: root", id="sealos's config"),
        pytest.param('{"token": "abc", "a": 1}', '{"token": <secret>, "a": 1}', id="JSON"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_goes(said: str, left: str) -> None:
    assert printable.printable(said) == left


@pytest.mark.parametrize(
    "said",
    [
        f"/root/kube1.16.3.tar.gz has SHA-256 {'7c2e' * 16}, not {'f8a9' * 16} (cluster.package.sha256)",
        "/usr/libexec/kubernetes/kubelet/plugins/volume/exec/nodeagent/uds is still there",
        "sealos-istio:password is missing; Set password or privateKey to what the machine takes",
        "sealos01: did not finish within 60 s; its last words: waiting for another job on this cluster to end",
        "pod istio-system/istio-ingressgateway-5d869f5bbf-b8zjk: has not ended yet",
        "quay.io/calico/node@sha256:" + "0a1b" * 16,
        '{"password": "", "passwd": \'\'}',
    ],
)
def test_what_must_be_read_stays(said: str) -> None:
    assert printable.printable(said) == said


def test_what_the_driver_knows_goes_in_every_form() -> None:
    know('pa"ss/wörd', KEY, None, "", "abc")
    for form in ('pa"ss/wörd', 'pa\\"ss/wörd', 'pa\\"ss/w\\u00f6rd', base64.b64encode('pa"ss/wörd'.encode()).decode()):
        assert "<secret>" in printable.printable(f"(tried {form})"), form
        assert form.rstrip("=") not in printable.printable(f"(tried {form})")
    for line in KEY.splitlines()[1:-1]:
        assert line not in printable.printable(f"read: {line}")
    assert printable.printable("abc abcd") == "<secret> abcd", "a short one only as a word"
    assert printable.printable("before") == "before"


class Played(Request):
    login: Login
    words: str = ""


def run(action: object, request: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    return drive("test", {"do": Verb(Played, action, "do it")}, ["do"])  # type: ignore[arg-type]


PLANTED = f"\x1b]52;c;eA==\x07 the password is hunter2! {PEM}"


@pytest.mark.parametrize("way", ["error", "machine", "progress", "mistake"])
def test_every_way_out_of_a_driver_is_filtered(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY)

    async def action(request: Played) -> str:
        assert request.login.key_text() == KEY
        words = request.words + KEY.splitlines()[2][10:]  # no PEM any more
        match way:
            case "error":
                raise DriverError(words)
            case "machine":
                raise MachineError("sealos01", words, "")
            case "mistake":
                raise KeyError(words)
        progress("sealos01", words)
        return ""

    request = {"login": {"password": "hunter2!", "privateKeyFile": str(tmp_path / "key")}, "words": PLANTED}
    status = run(action, request, monkeypatch)
    said = capsys.readouterr()
    assert status == (way != "progress")
    assert said.out == ""
    assert "the password is <secret>" in said.err
    assert "<private key>" in said.err
    for secret in ("hunter2!", LINES.split("\n")[3], "\x1b", "\x07"):
        assert secret not in said.err


def test_drivers_say_nothing_past_the_filter() -> None:
    """print and sys.stderr stand in driver.py alone, but for commands that print what they were asked for and no machine's words."""
    own = {"components/driver.py", "components/etcd.py", "components/host_keys.py", "components/istio/render_command.py", "components/istio/recover.py", "components/tunnel.py"}  # fmt: skip
    found = {
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "components").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr == "stderr" and ast.unparse(node.value) == "sys")
    }
    assert found == own


@pytest.mark.slow
@pytest.mark.parametrize("backup", ["cat key; exit 1", "cat key; echo 'tar: file changed' >&2; exit 1", "cat key >&2; exit 2"])
def test_a_backup_that_fails_prints_nothing_of_what_it_read(
    backup: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = LINES.replace("\n", "")
    (tmp_path / "key").write_text("".join(f"{archive[at : at + 76]}\n" for at in range(0, len(archive), 76)))
    (tmp_path / "backup.sh").write_text(f"cd {tmp_path}; {backup}")
    monkeypatch.setattr(script, "HERE", tmp_path)
    machine = {**server.machine().model_dump(by_alias=True), "role": "master"}
    login = {"privateKey": server.private_key, "connectTimeout": 5}
    request = {"fleet": {"machines": [machine], "login": login}, "machines": [], "limit": 20}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    assert drive("test", {"backup": Verb(requests.Backup, backups.run_backup, "")}, ["backup"]) == 1
    said = capsys.readouterr()
    assert "the backup of sealos's state failed" in said.err
    assert said.out == ""
    for line in (tmp_path / "key").read_text().split():
        assert line not in said.err
        assert len(line) < 48 or line[4:40] not in said.err
