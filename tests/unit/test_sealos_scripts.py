"""The parts of the shell scripts that work on text, run by bash as they are."""

from __future__ import annotations

import base64
import hashlib
import os
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


@pytest.mark.parametrize(
    ("begins", "arch"),
    [
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0", "x86_64"),
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0", "aarch64"),
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xf3\0", ""),
        (b"#!/bin/sh\necho v1.16.3 >\0", ""),
        (b"", ""),
    ],
)
def test_the_architecture_of_a_program(begins: bytes, arch: str, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(begins + bytes(50))
    assert bash('program_arch "$dir/program"', tmp_path).strip() == arch
    assert bash("program_arch /bin/sh; program_arch /nowhere", tmp_path).strip() == os.uname().machine


def test_a_sealos_that_the_kernel_does_not_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "sealos").write_text("/opt/sealos")
    inside = 'mount -t tmpfs -o noexec t /opt; printf "#!/bin/sh\necho 3.3.9\n" >/opt/sealos; chmod 755 /opt/sealos; dir=$1; . "$2"; sealos_version || cat "$dir/sealos-why"'
    done = subprocess.run(["unshare", "--mount", "bash", "-ec", inside, "bash", str(tmp_path), str(LIB)], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("namespaces need root")
    assert done.stdout == "its folder is mounted noexec"


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


def waiting(directory: Path, holder: str, rest: str = "echo mine") -> subprocess.CompletedProcess[str]:
    """A script that takes the lock while another process has it, which does what the bash text `holder` says."""
    lock = directory / "lock"
    with subprocess.Popen(["flock", str(lock), "bash", "-c", f"{holder}"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        text = f'set -euo pipefail; dir=$1; . "{LIB}"; lock_file=$dir/lock; lock; {rest}'
        return subprocess.run(["bash", "-c", text, "bash", str(directory)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("wait", "got"), [("1", False), ("20", True)], ids=["given up on", "waited for"])
def test_another_job_is_waited_for_within_a_limit(wait: str, got: bool, tmp_path: Path) -> None:
    (tmp_path / "lock-wait").write_text(wait)
    done = waiting(tmp_path, "echo held; sleep 2.5")
    assert done.stdout == ("mine\n" if got else "")
    assert done.returncode == (0 if got else 1)
    assert "waiting for another job" in done.stderr
    assert ("did not end in time" in done.stderr) is not got


def test_a_job_that_may_take_longer_is_waited_for_and_what_it_does_is_said(tmp_path: Path) -> None:
    """What a job says while it has the lock is what the waiting one is told."""
    (tmp_path / "holder").mkdir()
    for folder, wait in ((tmp_path, "1"), (tmp_path / "holder", "60")):
        (folder / "lock-wait").write_text(wait)
        (folder / ".timeout").write_text("60")
    holder = f'set -euo pipefail; dir={tmp_path}/holder; . "{LIB}"; lock_file={tmp_path}/lock'
    # as flock's child it has the lock already
    holder += "; lock_until=$(($(date +%s) + 60)); say 'draining sealos03 …'; echo held; sleep 3; say 'sealos clean …'; sleep 3"
    done = waiting(tmp_path, holder, rest='say "joining"; cat "$lock_file"')
    assert done.returncode == 0, done.stderr
    assert "to end (draining sealos03 …), for " in done.stderr
    assert "to end (sealos clean …), for " in done.stderr
    assert done.stdout.endswith(" joining\n")


def test_what_is_waited_for_is_data(tmp_path: Path) -> None:
    (tmp_path / "lock-wait").write_text("20")
    (tmp_path / "lock").write_text("9999999999999999999999 $(reboot)\n")
    done = waiting(tmp_path, "echo held; sleep 1.5")
    assert done.stdout == "mine\n"
    assert "reboot" not in done.stderr


def test_a_job_has_its_own_limit_from_when_it_has_the_lock(tmp_path: Path) -> None:
    (tmp_path / "lock-wait").write_text("20")
    (tmp_path / "work-limit").write_text("1")
    text = f'set -euo pipefail; dir=$1; . "{LIB}"; lock_file=$dir/lock; lock; sleep 30; echo done'
    (tmp_path / "script").write_text(text)
    job = 'timeout 60 bash "$1" "$2"; exit $?'  # as components/remote/job.sh has it
    done = subprocess.run(
        ["bash", "-c", job, "job", str(tmp_path / "script"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 143
    assert done.stderr.startswith("it did not end within 1 s\n")
    assert done.stdout == ""


def test_every_script_ends_where_something_fails() -> None:
    """The rest of what can be said of a script's text, shellcheck says in `make lint`."""
    # what is sourced ends with what sources it
    scripts = {*SCRIPTS.parent.rglob("*.sh")} - {LIB, SCRIPTS.parent / "istio" / "owned.sh"}
    assert len(scripts) > 30
    for script in scripts:
        assert "set -euo pipefail" in script.read_text(), script


INSIDE = """
hostname "$1"
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/resolv.conf" /etc/resolv.conf
ip link set lo up
ip link add eth0 type veth peer name peer0; ip link set peer0 up; ip link set eth0 up; ip addr add 192.0.2.12/24 dev eth0
ip link add eth9 type veth peer name peer9; ip link set peer9 up; ip link set eth9 up; ip addr add 10.0.2.15/24 dev eth9
ip link add eth8 type veth peer name peer8; ip link set peer8 up; ip addr add 10.9.9.9/24 dev eth8
ip route add default via 10.0.2.2 dev eth9
exec bash "$3/facts.sh" "$4"
"""


def machine_facts(tmp_path: Path, hosts: str, resolv: str, name: str = "node1.example.com", before: str = "") -> facts.Facts:
    """What facts.sh sees in namespaces of its own: network, host name and mounts."""
    directory = tmp_path / "private"
    directory.mkdir(exist_ok=True)
    shutil.copy(LIB, directory)
    (tmp_path / "hosts").write_text(hosts)
    (tmp_path / "resolv.conf").write_text(resolv)
    given = ["bash", "-ec", before + INSIDE, "bash", name, str(tmp_path), str(SCRIPTS), str(directory)]
    done = subprocess.run(["unshare", "--net", "--mount", "--uts", *given], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("namespaces need root")
    assert done.returncode == 0, done.stderr
    return facts.parse(done.stdout)


def test_addresses_resolvers_and_names_of_a_machine(tmp_path: Path) -> None:
    hosts = "127.0.0.1 localhost\n127.0.1.1 node1.example.com node1 # as installed\n# 192.0.2.99 node1.example.com\n192.0.2.12\tx node1.example.com\n"
    found = machine_facts(tmp_path, hosts, "search example.com\nnameserver 100.100.2.136\nnameserver\t2001:db8::53\n# nameserver 192.0.2.53\n")
    assert found.hostname == "node1.example.com"
    assert [(one.device, one.address) for one in found.interfaces] == [("eth0", "192.0.2.12"), ("eth9", "10.0.2.15")]
    assert found.default_device == "eth9"
    assert set(found.nameservers) >= {"100.100.2.136", "2001:db8::53"}
    assert "192.0.2.53" not in found.nameservers
    assert found.own_entries == ("127.0.1.1", "192.0.2.12")
    assert found.named_in_hosts
    capitals = machine_facts(tmp_path, "198.51.100.9 NODE1.Example.com\n", " nameserver 192.0.2.54\n")
    assert (capitals.named_in_hosts, capitals.own_entries) == (False, ("198.51.100.9",))
    assert "192.0.2.54" in capitals.nameservers, "kubelet reads it with spaces before it"


def test_distributions_as_they_write_themselves(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("NAME=x\nID='openEuler'\nID_LIKE=\"rhel fedora\"\n")
    found = machine_facts(tmp_path, "", "", before='mount --bind "$2/os-release" "$(readlink -f /etc/os-release)"; ')
    assert found.os == ("openeuler", "rhel", "fedora")


@pytest.mark.parametrize(
    ("before", "fact", "value"),
    [
        pytest.param("mount -t tmpfs -o noexec t /opt; ", "noexec", ("/opt/cni/bin",), id="noexec /opt"),
        pytest.param("mount -t tmpfs -o noexec t /var/lib; ", "noexec", ("/var/lib/docker", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet"), id="noexec /var/lib"),
        pytest.param("mount -t tmpfs -o ro t /opt; ", "read_only", ("/opt/cni/bin",), id="read-only /opt"),
        pytest.param("mount -t tmpfs t /var/lib; ln -s /data/etcd /var/lib/etcd; ", "broken_links", {"/var/lib/etcd": "/data/etcd"}, id="a disk that is not mounted"),
        pytest.param("mount -t tmpfs t /var/lib; mkdir /var/lib/there; ln -s there /var/lib/etcd; ", "broken_links", {}, id="one that is"),
        pytest.param("mount -t tmpfs t /sys/fs/cgroup; ", "cgroups", "tmpfs", id="cgroups"),
    ],
)  # fmt: skip
def test_mounts_of_a_machine(before: str, fact: str, value: object, tmp_path: Path) -> None:
    assert getattr(machine_facts(tmp_path, "", "", before=before), fact) == value


def test_addresses_where_hostname_does_not_tell_them(tmp_path: Path) -> None:
    """As busybox's, or where there is none: sealos itself needs one."""
    (tmp_path / "busybox").write_text("#!/bin/sh\n[ $# = 0 ] && exec cat /proc/sys/kernel/hostname\nexit 1\n")
    (tmp_path / "busybox").chmod(0o755)
    found = machine_facts(tmp_path, "", "", before='mount --bind "$2/busybox" "$(readlink -f "$(command -v hostname)")"; hostname() { echo "$1" >/proc/sys/kernel/hostname; }; ')
    assert set(found.addresses) >= {"192.0.2.12", "10.0.2.15"}
    assert found.hostname == "node1.example.com"


def test_a_name_that_is_part_of_another(tmp_path: Path) -> None:
    found = machine_facts(tmp_path, "192.0.2.30 node10\n", "", "node1")
    assert (found.named_in_hosts, found.own_entries) == (True, ())
    found = machine_facts(tmp_path, "192.0.2.30 other\n", "", "node1")
    assert (found.named_in_hosts, found.own_entries) == (False, ())


def test_proxies_and_tools_of_a_machine(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / ".proxies").write_text("https_proxy\nALL_PROXY\n")
    found = machine_facts(tmp_path, "", "", before="export no_proxy=10.0.0.0/8,example.com; ")
    assert found.proxies == ("https_proxy", "ALL_PROXY")
    assert found.no_proxy == "10.0.0.0/8,example.com"
    assert machine_facts(tmp_path / "private", "", "").proxies == ()


NOEXEC = 'for place in "$@"; do mount -t tmpfs -o noexec tmpfs "$place"; done; '


@pytest.mark.parametrize(
    ("noexec", "fact"),
    [
        pytest.param(["/run"], "package_kubeadm v1.17.0", id="28: /run"),
        pytest.param(["/run", "/tmp"], "package_kubeadm v1.17.0", id="/tmp too"),
        pytest.param(["/run", "/tmp", "/root", "/var/tmp", "/usr/local/bin"], "package_unasked yes", id="nowhere"),
    ],
)
def test_a_package_is_asked_where_programs_can_be_run(tmp_path: Path, noexec: list[str], fact: str) -> None:
    """In mounts of its own; the package's kubeadm is a script here."""
    (tmp_path / "kube" / "bin").mkdir(parents=True)
    kubeadm = tmp_path / "kube" / "bin" / "kubeadm"
    kubeadm.write_text("#!/bin/sh\necho v1.17.0\n")
    kubeadm.chmod(0o755)
    archive = Path("/opt") / f"sealos-istio-{tmp_path.name}.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", tmp_path, "kube"], check=True)
    shutil.copy(LIB, archive.with_suffix(".lib"))
    inside = f'{NOEXEC} dir=/run/private; mkdir "$dir"; . {archive.with_suffix(".lib")}; package_facts {archive}; ls -A /run /root'
    try:
        done = subprocess.run(["unshare", "--mount", "bash", "-ec", inside, "bash", *noexec], capture_output=True, text=True, check=False)
    finally:
        archive.unlink()
        archive.with_suffix(".lib").unlink()
    if "Operation not permitted" in done.stderr:
        pytest.skip("namespaces need root")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == fact
    assert ".sealos-istio" not in done.stdout
    said = facts.parse(done.stdout)
    assert said.package_version == (None if said.package_unasked else "v1.17.0")
