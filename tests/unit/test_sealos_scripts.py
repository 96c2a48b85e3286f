"""The parts of the shell scripts that work on text, run by bash as they are."""

from __future__ import annotations

import base64
import hashlib
import random
import shutil
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from components.sealos import facts

SCRIPTS = Path(__file__).parents[2] / "components" / "sealos"
LIB = SCRIPTS / "lib.sh"
CONFIG = """masters:
- 192.0.2.11:22
nodes:
  - "192.0.2.12:2222"
user: root
passwd: |-
  two
  lines
privatekey: /root/.ssh/id_rsa
pkpassword: "x"
alioss:
  passwd: not this one
pkgurl: /root/kube1.16.3.tar.gz
"""


def bash(script: str, directory: Path, stdin: str = "") -> str:
    """What a script prints that has sourced lib.sh, with `directory` as its private one."""
    text = f'set -euo pipefail; dir=$1; . "{LIB}"; config=$dir/config.yaml; {script}'
    done = subprocess.run(
        ["bash", "-c", text, "bash", str(directory)], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_secrets_leave_the_config_and_nothing_else_does(tmp_path: Path) -> None:
    left = yaml.safe_load(bash('without_keys "passwd pkpassword privatekey"', tmp_path, CONFIG))
    expected = yaml.safe_load(CONFIG)
    for key in ("passwd", "pkpassword", "privatekey"):
        del expected[key]
    assert left == expected


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("192.0.2.11:22", True),
        ("192.0.2.12:2222", True),
        ("192.0.2.12:22", False),
        ("192.0.2.1:22", False),
        ("92.0.2.11:22", False),
    ],
)
def test_hosts_of_the_config_by_their_whole_text(host: str, listed: bool, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert bash(f"if listed {host}; then echo yes; fi", tmp_path) == ("yes\n" if listed else "")


def test_a_changed_ssh_port_reaches_the_config_of_sealos_and_nothing_else_does(tmp_path: Path) -> None:
    san = "apiservercertsans:\n- 192.0.2.12\n"
    (tmp_path / "config.yaml").write_text(san + CONFIG.replace("user:", "  - 192.0.2.12:22\nuser:"))
    (tmp_path / "targets").write_text("192.0.2.11:22\n192.0.2.12:2200\n192.0.2.13:24\n")
    bash("true_ports", tmp_path)
    assert (tmp_path / "config.yaml").read_text() == san + CONFIG.replace(":2222", ":2200")


def test_no_config_lists_nobody(tmp_path: Path) -> None:
    assert bash("if listed 192.0.2.11:22; then echo yes; fi", tmp_path) == ""


def test_what_sealos_prints_is_shown_without_its_secrets(tmp_path: Path) -> None:
    line = (
        "\x1b[1;32m12:00:00 [INFO]\x1b[0m kubeadm join 10.103.97.2:6443 --token 9vr73a.a8uxyaju799qwdjv "
        f"--discovery-token-ca-cert-hash sha256:{'7c2e' * 16} --certificate-key {'f8a9' * 16}\n"
    )
    assert bash("plain", tmp_path, line) == (
        "12:00:00 [INFO] kubeadm join 10.103.97.2:6443 --token <token> "
        "--discovery-token-ca-cert-hash sha256:<hash or key> --certificate-key <hash or key>\n"
    )


def test_last_words_are_the_errors_about_a_host_or_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "12:00 [EROR] [192.0.2.13:22] kubeadm join --token 9vr73a.a8uxyaju799qwdjv: identity\n"
        "12:00 [EROR] [192.0.2.12:22] not yours\n" + "\n12:01 [INFO] noise" * 20
    )
    assert bash(f'sealos_log="{log}"; last_words 192.0.2.13', tmp_path) == (
        f"12:00 [EROR] [192.0.2.13:22] kubeadm join --token <token>: identity\n(whole log on this machine: {log})\n"
    )
    assert bash(f'sealos_log="{log}"; last_words 192.0.2.14', tmp_path).count("noise\n") == 8


def test_progress_is_phrases_said_once(tmp_path: Path) -> None:
    here = "12:00:00 [INFO] [ssh.go:12] [ssh][192.0.2.11:22]"
    lines = [
        f"{here} cd /root && tar zxvf kube1.16.3.tar.gz  && cd /root/kube/shell && bash init.sh",
        f"{here} kubeadm init --config=/root/kubeadm-config.yaml --upload-certs -v 0",
        "  kubeadm join apiserver.cluster.local:6443 --token 9vr73a.a8uxyaju799qwdjv \\",
        f"{here} kubeadm init phase upload-certs --upload-certs -v 0",
        "12:00:01 [DEBG] [ssh.go:39] [ssh][192.0.2.11:22]command result is: kubeadm join apiserver.cluster.local:6443",
    ]
    said = bash("phrases 2>&1", tmp_path, "\n".join(lines) + "\n")
    assert said == "unpacking the package and running its init.sh …\nkubeadm init …\n"
    join = f"{here} kubeadm join --config=/root/kubeadm-join-config.yaml -v 0\n"
    assert bash("phrases 2>&1", tmp_path, join * 2) == "kubeadm join …\n"


def test_last_words_have_what_the_failed_command_printed(tmp_path: Path) -> None:
    """It holds the cause, in lines of its own that name no error."""
    log = tmp_path / "log"
    log.write_text(
        "12:00:00 [DEBG] [ssh.go:39] [ssh][192.0.2.12:22]command result is: another host's\n"
        "12:00:00 [DEBG] [ssh.go:39] [ssh][192.0.2.11:22]command result is: W0101 validation.go:28] Cannot validate\n"
        "couldn't unmarshal KubeletConfiguration: yaml: line 5: mapping values are not allowed here\n"
        "To see the stack trace of this error execute with --v=5 or higher\n\n"
        "12:00:00 [INFO] [ssh.go:12] [ssh][192.0.2.12:22] uptime\n"
        "12:00:01 [EROR] [ssh.go:52] [ssh][192.0.2.11:22]Error exec command failed: Process exited with status 1\n"
    )
    assert bash(f'sealos_log="{log}"; last_words 192.0.2.11', tmp_path).splitlines() == [
        "  W0101 validation.go:28] Cannot validate",
        "  couldn't unmarshal KubeletConfiguration: yaml: line 5: mapping values are not allowed here",
        "  To see the stack trace of this error execute with --v=5 or higher",
        "12:00:01 [EROR] [ssh.go:52] [ssh][192.0.2.11:22]Error exec command failed: Process exited with status 1",
        f"(whole log on this machine: {log})",
    ]


def test_values_of_the_request(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("$(reboot) 'x'")
    assert bash('echo "[$(value name)][$(value absent)]"', tmp_path) == "[$(reboot) 'x'][]\n"


KUBEADM = "#!/bin/sh\n[ \"$*\" = 'version -o short' ] && echo v1.16.3\n"


def package(directory: Path, contents: dict[str, str], cut: int | None = None) -> Path:
    """An offline package of these files and one that is large; cut off after so many bytes when asked for."""
    for name, text in contents.items():
        file = directory / "kube" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    (directory / "kube/images").mkdir(parents=True)
    (directory / "kube/images/images.tar").write_bytes(random.Random(1).randbytes(1 << 20))
    archive = directory / "package.tar.gz"
    subprocess.run(["tar", "-czf", str(archive), "-C", str(directory), "kube"], check=True)
    if cut:
        archive.write_bytes(archive.read_bytes()[:cut])
    return archive


@pytest.mark.parametrize(
    ("contents", "cut", "version", "why"),
    [
        pytest.param({"Metadata": '{"k8sVersion": "v1.18.0"}', "bin/kubeadm": KUBEADM}, None, "v1.18.0", None, id="by Metadata"),
        pytest.param({"Metadata": '{"k8sVersion":"1.18.0"}', "bin/kubeadm": KUBEADM}, None, "v1.18.0", None, id="without the v"),
        pytest.param({"bin/kubeadm": KUBEADM}, None, "v1.16.3", None, id="by kubeadm"),
        pytest.param({"bin/kubeadm": "no program"}, None, None, None, id="a kubeadm that can't be run here"),
        pytest.param({"README": "x"}, None, None, "", id="another archive"),
        pytest.param({"README": "x"}, 5000, None, "unexpected end", id="cut off"),
    ],
)  # fmt: skip
def test_which_kubernetes_a_package_holds(
    contents: dict[str, str], cut: int | None, version: str | None, why: str | None, tmp_path: Path
) -> None:
    archive = package(tmp_path / "made", contents, cut)
    found = facts.parse(bash(f'package_facts "{archive}"', tmp_path))
    assert found.package_version == version
    assert (found.package_why is None) == (why is None)
    assert why is None or why in (found.package_why or "")
    assert not (tmp_path / "unpacked").exists()


def client_certificate(name: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """A kubelet's, as PEM: kubeadm's, with the key that follows it in its file."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")]),
        subject,
        key.public_key(),
        1,
        now,
        now + timedelta(days=1),
    ).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())], ids=["rsa", "ec"]
)
@pytest.mark.parametrize("name", ["sealos0", "node-10.example.org", "n" * 52])
@pytest.mark.parametrize("inside", [True, False], ids=["in its kubeconfig", "in its own file"])
def test_whose_node_a_kubelet_reports(
    inside: bool, name: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    pem, ca = client_certificate(name, key), b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    user = (
        f"client-certificate-data: {base64.b64encode(pem).decode()}" if inside else "client-certificate: elsewhere.pem"
    )
    (tmp_path / "kubelet.conf").write_text(
        f"clusters:\n- cluster:\n    certificate-authority-data: {base64.b64encode(ca).decode()}\n    server: x\nusers:\n- user:\n    {user}\n"
    )
    if not inside:
        (tmp_path / "own.pem").write_bytes(pem)
    asked = "kubelet_conf=$dir/kubelet.conf kubelet_pem=$dir/own.pem; kubelet_ca; node_name"
    assert bash(asked, tmp_path) == f"{hashlib.sha256(ca).hexdigest()}\n{name}"


def test_a_kubelet_without_a_certificate_reports_nobody(tmp_path: Path) -> None:
    (tmp_path / "kubelet.conf").write_text("clusters: []\n")
    asked = "kubelet_conf=$dir/kubelet.conf kubelet_pem=$dir/own.pem; kubelet_ca >/dev/null || echo none; node_name"
    assert bash(asked, tmp_path) == "none\n"


def test_which_programs_of_a_cluster_are_alive_stopped_ones_and_long_names_included(tmp_path: Path) -> None:
    programs = ["etcd", "kube-controller-manager", "kube-controllers", "kube-proxy"]
    for program in programs:
        shutil.copy("/bin/sleep", tmp_path / program)
    running = [subprocess.Popen([str(tmp_path / program), "60"]) for program in programs]
    try:
        running[0].send_signal(signal.SIGSTOP)
        found = bash("alive", tmp_path).split()
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert {"etcd", "kube-controller-manager"} <= set(found)
    assert not {"kube-controllers", "kube-controller", "kube-proxy"} & set(found)


@pytest.mark.parametrize(("wait", "got"), [("1", False), ("20", True)], ids=["given up on", "waited for"])
def test_another_job_is_waited_for_within_a_limit(wait: str, got: bool, tmp_path: Path) -> None:
    (tmp_path / "lock-wait").write_text(wait)
    with subprocess.Popen(
        ["flock", str(tmp_path / "lock"), "sh", "-c", "echo held; sleep 2.5"], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        text = f'set -euo pipefail; dir=$1; . "{LIB}"; lock_file=$dir/lock; lock; echo mine'
        done = subprocess.run(["bash", "-c", text, "bash", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == ("mine\n" if got else "")
    assert done.returncode == (0 if got else 1)
    assert "waiting for another job" in done.stderr
    assert ("did not end in time" in done.stderr) is not got


def test_every_script_ends_where_something_fails() -> None:
    """The rest of what can be said of a script's text, shellcheck says in `make lint`."""
    scripts = {*SCRIPTS.glob("*.sh"), *SCRIPTS.parent.glob("*.sh")} - {LIB}
    assert len(scripts) > 10
    for script in scripts:
        assert "set -euo pipefail" in script.read_text(), script
