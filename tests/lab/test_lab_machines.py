"""The lab's machines without a cluster on them: networks, SSH, disks, package, power, and that nothing is left when the lab dies."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
import yaml

from devtools import doctor
from lab import cgroups, checks, fidelity, package
from lab.machines import NAMES, Lab, LabError
from tests.lab.conftest import out, shell

NETWORK = "198.18.5.0/24"
RELEASE = package.RELEASES[0]
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's file on this host, made before the lab starts."""
    file = tmp_path_factory.mktemp("person") / "canary-of-this-host"
    file.write_text("private\n")
    return file


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, canary: Path) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), NETWORK) as lab:
        yield lab


def cli(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LAB_DIR": str(lab.directory), "LAB_NETWORK": str(lab.network), "COLUMNS": "400"}
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Logging in ---------------------------------------------------------------------------------------------------------------------


def test_up_again_does_nothing_and_says_so(lab: Lab) -> None:
    before = shell(lab, "sealos03", "stat -c %Y /run/sshd; cat /etc/machine-id; ps -o pid= -C sshd | head -n1")
    assert lab.up() is False
    assert "is up already" in cli(lab, "up").stdout
    assert shell(lab, "sealos03", "stat -c %Y /run/sshd; cat /etc/machine-id; ps -o pid= -C sshd | head -n1") == before


def test_every_machine_takes_the_key_and_the_password_and_nothing_else(lab: Lab) -> None:
    async def log_in(address: str, **how: object) -> str:
        async with asyncssh.connect(
            address, username="root", known_hosts=str(lab.known_hosts), config=None, agent_path=None, **how
        ) as host:
            return str((await host.run("hostname", check=True)).stdout).strip()

    async def all_ways() -> None:
        for name, address in lab.addresses.items():
            assert await log_in(address, client_keys=[str(lab.key)]) == name
            assert await log_in(address, client_keys=None, password=lab.password) == name
            with pytest.raises(asyncssh.PermissionDenied):
                await log_in(address, client_keys=None, password=lab.password[:-1])
            with pytest.raises(asyncssh.PermissionDenied):
                await log_in(address, client_keys=[asyncssh.generate_private_key("ssh-ed25519")])

    asyncio.run(all_ways())


def test_host_keys_are_pinned_as_exported(lab: Lab) -> None:
    async def offered(address: str) -> str:
        key = await asyncssh.get_server_host_key(address, config=None)
        assert key is not None
        return " ".join(key.export_public_key().decode().split()[:2])

    exported = yaml.safe_load(lab.inventory.read_text())
    assert [m["name"] for m in exported["machines"]] == list(NAMES)
    assert [m["role"] for m in exported["machines"]] == ["master", "node", "node", "node"]
    for machine in exported["machines"]:
        assert asyncio.run(offered(machine["address"])) == machine["hostKey"]
        assert f"{machine['address']} {machine['hostKey']}" in lab.known_hosts.read_text().splitlines()
    assert len({machine["hostKey"] for machine in exported["machines"]}) == 4


def test_sftp_and_terminal(lab: Lab) -> None:
    async def use(address: str) -> tuple[object, str]:
        async with asyncssh.connect(
            address,
            username="root",
            known_hosts=str(lab.known_hosts),
            client_keys=[str(lab.key)],
            config=None,
            agent_path=None,
        ) as host:
            async with host.start_sftp_client() as sftp:
                async with sftp.open("/root/sent", "wb") as file:
                    await file.write(bytes(range(256)))
                async with sftp.open("/root/sent", "rb") as file:
                    back = await file.read()
            typed = await host.run("tty; echo done", term_type="xterm", check=True)
            return back, str(typed.stdout)

    back, typed = asyncio.run(use(lab.addresses["sealos02"]))
    assert back == bytes(range(256))
    assert typed == "/dev/pts/0\r\ndone\r\n"  # a terminal of the machine's own, and its line ends


def test_machines_log_in_to_each_other(lab: Lab) -> None:
    there = lab.addresses["sealos03"]
    text = f"""
      umask 077; cat > /run/key
      ssh-keyscan -t ed25519 {there} 2>/dev/null > /run/known
      ssh -F none -i /run/key -o UserKnownHostsFile=/run/known root@{there} hostname; rm /run/key"""
    assert shell(lab, "sealos01", text, stdin=lab.key.read_text()) == "sealos03\n"


# What a machine is --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "hostname",
        "cat /etc/hostname",
        "cat /etc/machine-id",
        "cat /sys/class/net/eth0/address",
        "readlink /proc/self/ns/net",
    ],
)
def test_no_two_machines_have_the_same(lab: Lab, question: str) -> None:
    answers = [shell(lab, name, question).strip() for name in NAMES]
    assert all(answers)
    assert len(set(answers)) == 4


def test_a_machine_is_offline(lab: Lab) -> None:
    for name, address in lab.addresses.items():
        own = f"{NETWORK} dev eth0 proto kernel scope link src {address}"
        assert [line.strip() for line in shell(lab, name, "ip -4 route").splitlines()] == [f"default via {lab.network[2]} dev eth0", own]
        assert shell(lab, name, "ip -o link | awk -F'[ :@]+' '{print $2}'").split() == ["lo", "eth0"]
    began = time.monotonic()
    beyond = lab.run("sealos02", "bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80").stderr
    assert "unreachable" in beyond
    assert time.monotonic() - began < 2, "what leads nowhere is told at once"


def test_nothing_of_this_hosts_users_is_seen(lab: Lab, canary: Path) -> None:
    assert canary.exists()
    everything = shell(
        lab, "sealos02", "find / -path /proc -prune -o -path /sys -prune -o -path /usr/share -prune -o -print"
    )
    paths = everything.splitlines()
    assert len(paths) > 1000  # it did look
    assert not [path for path in paths if canary.name in path or str(lab.directory) in path or str(PROJECT) in path]
    assert (
        shell(
            lab,
            "sealos02",
            "ls -A /home /srv /mnt /media /usr/local/bin /usr/local/lib | grep -v -e : -e '^$'; ls -A /opt /opt/cni/bin",
        )
        == "/opt:\ncni\n\n/opt/cni/bin:\n"
    )
    assert sorted(shell(lab, "sealos02", "ls -A /root").split()) == [".bashrc", ".profile", ".ssh", "sent"]
    here = set(Path("/etc").iterdir())
    known = {entry.split("/")[0] for entry in (*checks_etc(), *made_etc())}
    assert set(shell(lab, "sealos02", "ls -A /etc").split()) <= known
    assert here - {Path("/etc") / entry for entry in known}, "this host has more in /etc, so the above means something"


def checks_etc() -> tuple[str, ...]:
    from lab.disk import SYSTEM_FILES

    return SYSTEM_FILES


def made_etc() -> tuple[str, ...]:
    return (
        "hostname", "machine-id", "hosts", "resolv.conf", "fstab", "nsswitch.conf", "passwd", "group", "shadow", "profile", "no-swap", "ssh",
        "profile.d", "bash_completion.d", "sysctl.d", "default", "systemd", "lab",
        # systemd's, at its first start
        ".pwd.lock", ".updated", "group-", "gshadow", "gshadow-", "mtab", "passwd-", "polkit-1", "shadow-",
    )  # fmt: skip


def test_users_are_the_machines_own(lab: Lab) -> None:
    users = {fields[0]: int(fields[2]) for fields in (line.split(":") for line in out(lab, "sealos02", "cat", "/etc/passwd").splitlines())}
    assert {"root", "daemon", "sshd", "nobody"} <= users.keys()
    assert all(number < 1000 or name == "nobody" for name, number in users.items()), "systemd adds those of the system alone"
    assert out(lab, "sealos02", "cat", "/etc/hosts") == "127.0.0.1 localhost\n"


def test_only_its_own_processes_are_seen(lab: Lab) -> None:
    seen = shell(lab, "sealos04", "ps -eo args").splitlines()
    assert seen[1] == "/usr/lib/systemd/systemd"
    assert len(seen) < 15
    # sealos looks for its own name in ps before it removes itself from a machine
    assert not [line for line in seen if "sealos" in line]


def test_kubernetes_of_this_host_is_hidden(lab: Lab) -> None:
    wanted = "kubectl kubeadm kubelet sealos istioctl docker containerd"
    assert (
        shell(
            lab,
            "sealos04",
            f"for p in {wanted}; do command -v $p || true; done; ls -A /usr/local/bin; ls -d /etc/kubernetes /etc/cni 2>/dev/null || true",
        )
        == ""
    )


def test_programs_that_sealos_and_our_scripts_need_are_there(lab: Lab) -> None:
    programs = {name for package in doctor.PACKAGES if package.purpose in doctor.ON_MACHINES for name in package.programs}
    needed = sorted(programs - {"unshare", "pivot_root"})
    assert shell(lab, "sealos04", f"for p in {' '.join(needed)}; do command -v $p >/dev/null || echo $p; done") == ""


def test_the_hosts_clock_swap_and_settings_cannot_be_changed_but_the_network_can(lab: Lab) -> None:
    assert "not permitted" in lab.run("sealos02", "date", "-s", "2020-01-01").stderr
    assert out(lab, "sealos02", "cat", "/proc/swaps").count("\n") == 1
    assert lab.run("sealos02", "sysctl", "-w", "vm.swappiness=60").returncode != 0
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    assert (
        shell(lab, "sealos02", "sysctl -w net.ipv4.ip_forward=1; nft add table ip t; nft list tables")
        == "net.ipv4.ip_forward = 1\ntable ip t\n"
    )
    assert shell(lab, "sealos03", "nft list tables") == ""
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == forwarding


def test_orphans_are_collected(lab: Lab) -> None:
    shell(lab, "sealos02", "for i in 1 2 3; do (setsid sleep 0.1 >/dev/null 2>&1 </dev/null &); done; sleep 0.6")
    assert "Z" not in {state[0] for state in shell(lab, "sealos02", "ps -eo stat=").split()}


def test_every_machine_begins_with_the_images_on_one_disk(lab: Lab) -> None:
    kept = {name: lab.root(name) / "var/lib/docker" for name in NAMES}
    layers = {name: sorted((place / "overlay2").glob("*/diff/usr/local/bin/kube")) for name, place in kept.items()}
    assert all(layers.values())
    assert len({file.stat().st_ino for files in layers.values() for file in files}) == len(layers["sealos01"])


def test_a_machine_writes_to_its_own_disk_only(lab: Lab) -> None:
    shell(lab, "sealos02", "echo changed > /usr/bin/only-here; echo x > /opt/only-here; rm /usr/bin/tar")
    assert not Path("/usr/bin/only-here").exists()
    assert Path("/usr/bin/tar").exists()
    assert (
        shell(lab, "sealos03", "ls /usr/bin/only-here /opt/only-here 2>/dev/null; command -v tar || true")
        == "/usr/bin/tar\n"
    )


# The package --------------------------------------------------------------------------------------------------------------------


def test_what_a_person_brings_is_on_the_first_master_only(lab: Lab) -> None:
    assert {"kube1.16.3.tar.gz", "sealos", "istioctl-1.5.0"} <= set(shell(lab, "sealos01", "ls /root").split())
    assert "3.3.9-standin" in shell(lab, "sealos01", "/root/sealos version")
    assert shell(lab, "sealos01", "/root/istioctl-1.5.0 version --remote=false") == "1.5.0\n"
    assert "kube1.16.3.tar.gz" not in shell(lab, "sealos02", "ls /root")


def test_package_has_the_real_layout(lab: Lab) -> None:
    with tarfile.open(lab.root("sealos01") / "root" / RELEASE.file_name) as tar:
        files = {member.name: member for member in tar if member.isfile()}
        metadata = tar.extractfile("kube/Metadata")
        assert metadata is not None
        assert metadata.read() == b'{"k8sVersion": "v1.16.3", "cniVersion": "v3.8.2", "cniName": "calico"}\n'
    assert set(files) == {
        "kube/Metadata", "kube/bin/kubeadm", "kube/bin/kubectl", "kube/bin/kubelet", "kube/bin/kubelet-pre-start.sh",
        "kube/conf/10-kubeadm.conf", "kube/conf/kubelet.default", "kube/conf/kubelet.service", "kube/images/images.tar",
        "kube/shell/docker.sh", "kube/shell/init.sh",
    }  # fmt: skip
    assert all(files[f"kube/bin/{name}"].mode == 0o755 for name in package.PROGRAMS)


def test_init_sh_prepares_a_machine(lab: Lab) -> None:
    """As sealos runs it (reference: sealos v3.3.9 install/send.go), on a terminal."""
    shell(
        lab,
        "sealos01",
        "cd /root && rm -rf kube && tar zxf kube1.16.3.tar.gz && cd /root/kube/shell && rm -f ../bin/sealos && bash init.sh",
    )
    assert shell(lab, "sealos01", "kubeadm version -o short; kubelet --version; kubectl version --client --short").split() == [
        "v1.16.3", "Kubernetes", "v1.16.3", "Client", "Version:", "v1.16.3",
    ]  # fmt: skip
    assert shell(lab, "sealos01", "systemctl is-enabled kubelet docker; systemctl is-active docker").split() == [
        "enabled", "enabled", "active",
    ]  # fmt: skip
    names = "docker images --format '{{.Repository}}:{{.Tag}}'"
    assert {"k8s.gcr.io/kube-apiserver:v1.16.3", "istio/pilot:1.5.0"} <= set(shell(lab, "sealos01", names).split())
    config = yaml.safe_load(out(lab, "sealos01", "cat", "/var/lib/kubelet/config.yaml"))
    assert config["clusterDNS"] == ["10.96.0.10"]
    assert config["staticPodPath"] == "/etc/kubernetes/manifests"
    assert "--kubeconfig=/etc/kubernetes/kubelet.conf" in out(lab, "sealos01", "systemctl", "cat", "kubelet")
    assert shell(lab, "sealos01", "ls /usr/bin/kube*").split() == [
        f"/usr/bin/{n}" for n in ("kubeadm", "kubectl", "kubelet", "kubelet-pre-start.sh")
    ]


# Power --------------------------------------------------------------------------------------------------------------------------


def test_power_off_and_on_keeps_the_disk_and_nothing_else(lab: Lab) -> None:
    shell(
        lab, "sealos04", "echo kept > /root/kept; echo x > /run/gone; (setsid sleep 500 >/dev/null 2>&1 </dev/null &)"
    )
    others = shell(lab, "sealos03", "readlink /proc/1/ns/pid")
    lab.stop_machine("sealos04")
    status = {host.name: host for host in lab.status().hosts}
    assert (status["sealos04"].on, status["sealos04"].ssh, status["sealos04"].programs) == (False, False, ())
    assert all(status[name].on and status[name].ssh for name in NAMES[:3])
    with pytest.raises(LabError, match="sealos04 is off"):
        lab.run("sealos04", "true")
    lab.start_machine("sealos04")
    assert shell(lab, "sealos04", "cat /root/kept; ls /run/gone 2>/dev/null; ps -C sleep -o pid= || true") == "kept\n"
    assert shell(lab, "sealos03", "readlink /proc/1/ns/pid") == others


def test_up_powers_on_what_is_off_even_without_its_disk(lab: Lab) -> None:
    lab.stop_machine("sealos02")
    shutil.rmtree(lab.root("sealos02").parent)  # a reset that was interrupted
    assert lab.up() is True
    assert all(host.ssh for host in lab.status().hosts)


def test_reset_makes_one_machine_bare_and_keeps_its_keys(lab: Lab) -> None:
    before = shell(
        lab, "sealos03", "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; touch /root/started; ls /root/started"
    ).splitlines()
    other = shell(lab, "sealos02", "readlink /proc/1/ns/pid")
    lab.reset(["sealos03"])
    after = shell(
        lab,
        "sealos03",
        "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub; ls /root/started 2>/dev/null || true",
    ).splitlines()
    assert after[1] == before[1]
    assert after[0] != before[0]
    assert len(after) == 2
    assert shell(lab, "sealos02", "readlink /proc/1/ns/pid") == other


def test_reset_of_the_first_master_brings_its_package_back(lab: Lab) -> None:
    shell(lab, "sealos01", "rm -rf /root/kube1.16.3.tar.gz /root/sealos /usr/bin/env")
    lab.reset(["sealos01"])
    assert {"istioctl-1.5.0", "kube1.16.3.tar.gz", "sealos"} <= set(shell(lab, "sealos01", "ls /root").split())
    assert shell(lab, "sealos01", "command -v env kubeadm || true") == "/usr/bin/env\n"


def test_a_given_sealos_takes_the_stand_ins_place(lab: Lab, tmp_path: Path) -> None:
    given = tmp_path / "sealos-given"
    given.write_text("#!/bin/bash\necho the given one\n")
    given.chmod(0o755)
    assert lab.status().sealos == "stand-in"
    with_given = Lab(lab.directory, NETWORK, sealos=given)
    with_given.reset(["sealos01"])
    assert out(lab, "sealos01", "/root/sealos") == "the given one\n"
    assert lab.status().sealos == "real"
    assert fidelity.GIVEN_SEALOS[1] in cli(lab, "status").stdout
    lab.reset(["sealos01"])
    assert "3.3.9-standin" in out(lab, "sealos01", "/root/sealos", "version")
    assert lab.status().sealos == "stand-in"


def test_status_names_programs_also_of_process_namespaces_inside(lab: Lab) -> None:
    """As containers have them."""
    shell(
        lab, "sealos02", "(setsid unshare --pid --fork bash -c 'exec -a coredns sleep 300' >/dev/null 2>&1 </dev/null &)"
    )
    deadline = time.monotonic() + 5
    while "coredns" not in {h.name: h.programs for h in lab.status().hosts}["sealos02"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "coredns" not in {h.name: h.programs for h in lab.status().hosts}["sealos03"]


# The command line ---------------------------------------------------------------------------------------------------------------


def test_status_tells_machines_and_what_is_real(lab: Lab) -> None:
    shown = cli(lab, "status")
    assert shown.returncode == 0, shown.stderr
    assert f"The lab is up on {NETWORK}, interface lab" in shown.stdout
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line.startswith("sealos0")}
    assert {name: row[1:4] for name, row in rows.items()} == {
        name: [address, "on", "answers"] for name, address in lab.addresses.items()
    }
    for _, text in (*fidelity.REAL, *fidelity.STAND_INS, fidelity.SEALOS):
        assert text in shown.stdout


def test_the_document_says_the_same_as_status() -> None:
    document = (PROJECT / "docs/lab.md").read_text()
    for name, text in (*fidelity.REAL, *fidelity.STAND_INS, fidelity.SEALOS):
        assert f"| {name} | {text} |" in document


def test_ssh_runs_commands_and_passes_status_input_and_arguments_on(lab: Lab) -> None:
    assert cli(lab, "ssh", "sealos02", "--", "hostname").stdout == "sealos02\n"
    assert cli(lab, "ssh", "sealos02", "--", "exit 7").returncode == 7
    assert cli(lab, "ssh", "sealos02", "--", "printf", "[%s]", "a b", "$HOME", "'").stdout == "[a b][$HOME][']"
    assert cli(lab, "ssh", "sealos02", "--", "echo one | tr n N").stdout == "oNe\n"


def test_logs_show_a_machines_journal(lab: Lab) -> None:
    assert "Server listening on 0.0.0.0 port 22" in cli(lab, "logs", "sealos02", "--lines", "10000").stdout
    assert "sealos02 is on" in cli(lab, "logs", "--lines", "10000").stdout
    assert "sshd" in cli(lab, "logs", "sealos02", "--lines", "1").stdout.splitlines()[-1]
    assert len(cli(lab, "logs", "--lines", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize("command", [["ssh", "sealos09"], ["logs", "sealos09"], ["reset", "sealos09"]])
def test_an_unknown_machine_is_one_message(lab: Lab, command: list[str]) -> None:
    said = cli(lab, *command)
    assert said.returncode == 1
    assert said.stderr == "no machine 'sealos09'; the lab has sealos01, sealos02, sealos03, sealos04\n"


def test_secrets_are_for_their_owner_only(lab: Lab) -> None:
    assert stat.S_IMODE(lab.directory.stat().st_mode) == 0o700
    for file in ("id_ed25519", "password", *(f"host_keys/{name}" for name in NAMES)):
        assert stat.S_IMODE((lab.directory / file).stat().st_mode) == 0o600, file
    for readable in (
        "plan.json",
        "inventory.yaml",
        "known_hosts",
        *(f"logs/{name}.log" for name in (*NAMES, "supervisor")),
    ):
        assert lab.password not in (lab.directory / readable).read_text()
    assert (
        shell(lab, "sealos02", "stat -c %a /etc/shadow /etc/ssh/ssh_host_ed25519_key /root/.ssh /root")
        == "600\n600\n700\n700\n"
    )


# What keeps a lab from starting -------------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = doctor.Package("its-package", "up", "for this test", ("no-such-program",))
    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, lacking))
    monkeypatch.setattr(checks, "DISK_NEEDED", 2**60)
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    lab = Lab(tmp_path / "lab", "127.1.0.0/24", sealos=tmp_path / "absent")
    with pytest.raises(LabError) as caught:
        lab.up()
    said = str(caught.value)
    assert "not installed: no-such-program (for this test). Fix: apt-get install its-package" in said
    assert "127.0.0.0/8 (lo)" in said
    assert "LAB_NETWORK=" in said
    assert "not built yet: usr, images, kube, " in said
    assert "this host has no cgroup hierarchy of version 1 for cpu, " in said
    assert "Fix: make tools" in said
    assert f"LAB_SEALOS: {tmp_path / 'absent'} is not a program" in said
    assert "make room" in said
    assert not (tmp_path / "lab" / "machines").exists()


@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_without_root_it_says_so_and_makes_nothing(tmp_path: Path, lab: Lab, command: str) -> None:
    # In a user namespace without a mapping nobody is root, and root's Python can still be read.
    said = subprocess.run(
        ["unshare", "--user", sys.executable, "-m", "lab", command],
        cwd=PROJECT, env={**os.environ, "LAB_DIR": str(tmp_path / "lab")}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 1, said.stdout
    assert "Fix: run it as root" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "lab").exists()


def test_a_lab_stays_on_its_network_without_being_told(lab: Lab) -> None:
    assert str(Lab(lab.directory).network) == NETWORK


def test_a_second_lab_on_the_same_network_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"the network 198\.18\.5\.0/24 is in use on this host: .*lab"):
        Lab(tmp_path, NETWORK).up()


@pytest.mark.parametrize("network", ["198.18.5.0/29", "198.18.5.5/24", "2001:db8::/64", "lab"])
def test_an_unusable_network_is_refused(tmp_path: Path, network: str) -> None:
    with pytest.raises(LabError, match="LAB_NETWORK: "):
        Lab(tmp_path, network)


@pytest.mark.parametrize("count", ["0", "17", "four"])
def test_an_unusable_number_of_machines_is_refused(tmp_path: Path, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MACHINES", count)
    with pytest.raises(LabError, match=f"LAB_MACHINES: '{count}' is no number of machines"):
        Lab(tmp_path)


def test_a_lab_has_as_many_machines_as_asked_for_else_as_it_had_last(lab: Lab, tmp_path: Path) -> None:
    assert Lab(tmp_path).names == NAMES
    assert Lab(tmp_path, count=6).names == (*NAMES, "sealos05", "sealos06")
    (tmp_path / "plan.json").write_text(json.dumps({"machines": [{}] * 2}))
    assert Lab(tmp_path).names == NAMES[:2]
    with pytest.raises(LabError, match="the lab is up with 4 machines"):
        Lab(lab.directory, NETWORK, count=6).up()


def test_a_lab_has_the_kubernetes_asked_for_else_what_it_had_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_KUBERNETES", raising=False)
    assert Lab(tmp_path).release is RELEASE
    assert Lab(tmp_path, kubernetes="v1.20.15").release.file_name == "kube1.20.15.tar.gz"
    monkeypatch.setenv("LAB_KUBERNETES", "v1.20.15")
    assert Lab(tmp_path).release.version == "v1.20.15"
    with pytest.raises(
        LabError, match=r"LAB_KUBERNETES: the lab has v1\.16\.3, v1\.19\.16, v1\.20\.15, not 'v1\.30\.0'"
    ):
        Lab(tmp_path, kubernetes="v1.30.0")
    (tmp_path / "plan.json").write_text(json.dumps({"machines": [{}], "kubernetes": "v1.16.3"}))
    with pytest.raises(LabError, match=r"v1\.20\.15 is asked for, and the machines in .* have v1\.16\.3\. Fix: "):
        Lab(tmp_path)
    monkeypatch.delenv("LAB_KUBERNETES")
    assert Lab(tmp_path).release is RELEASE


def test_what_a_later_kubernetes_needs_and_is_not_built_is_said_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALOS_ISTIO_CACHE", str(tmp_path / "empty"))
    with pytest.raises(
        LabError, match=r"not built yet: .*kubelet.*Fix: make tools, then python -m devtools build --only istio-later"
    ):
        Lab(tmp_path / "lab", NETWORK, kubernetes="v1.20.15").up()


def test_a_lab_that_is_up_does_not_move_to_another_network(lab: Lab) -> None:
    with pytest.raises(LabError, match="up on another network"):
        Lab(lab.directory, "198.51.100.0/24").up()


# The end ------------------------------------------------------------------------------------------------------------------------


def family(pid: int) -> set[int]:
    """The process and all below it."""
    found = {pid}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= family(int(child))
    return found


def namespaces(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in ("net", "mnt", "pid", "uts", "ipc", "cgroup"):
            with contextlib.suppress(OSError):
                found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def running() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def remains(lab: Lab, own: set[str], interface: str) -> list[str]:
    """What is left of a lab: namespaces with processes in them, mounts, the interface, routes."""
    here = running()
    left = sorted(namespaces(here) & own)
    for pid in here:
        with contextlib.suppress(OSError):
            left += [
                line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if str(lab.directory) in line
            ]
    left += [name for name in os.listdir("/sys/class/net") if name == interface]  # noqa: PTH208
    left += [
        line
        for line in subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
        if NETWORK in line
    ]
    return left


def in_cgroups(lab: Lab) -> list[Path]:
    return [*cgroups.ROOT.glob(f"*/{cgroups.name_of(lab.directory)}")]


def owner(lab: Lab) -> int:
    return int((lab.directory / "running").read_text())


@pytest.mark.parametrize("victim", ["outer", "supervisor"])
def test_a_killed_lab_leaves_nothing_and_starts_again(lab: Lab, victim: str) -> None:
    shell(lab, "sealos02", f"echo {victim} > /root/before; (setsid sleep 500 >/dev/null 2>&1 </dev/null &)")
    outer = owner(lab)
    members = family(outer)
    assert len(members) > 12  # outer, supervisor, and of four machines at least unshare, init and sshd
    own = namespaces(members) - namespaces({os.getpid()})
    assert len(own) >= 5 * 5  # the supervisor's and four machines', five kinds each
    interface = lab.status().interface
    assert remains(lab, own, interface)  # it does see a lab that runs
    children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    os.kill(outer if victim == "outer" else int(children[0]), signal.SIGKILL)
    deadline = time.monotonic() + 10
    # the outer process takes the cgroups away; where it is the one that is killed, the next `up` does
    while left := [*remains(lab, own, interface), *(in_cgroups(lab) if victim == "supervisor" else [])]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert not lab.status().up
    assert lab.up() is True
    assert shell(lab, "sealos02", "cat /root/before; ps -C sleep -o pid= || true") == f"{victim}\n"


def test_down_leaves_nothing_at_once(lab: Lab) -> None:
    own = namespaces(family(owner(lab))) - namespaces({os.getpid()})
    interface = lab.status().interface
    assert remains(lab, own, interface)
    assert in_cgroups(lab)
    assert lab.down() is True
    assert remains(lab, own, interface) == []
    assert in_cgroups(lab) == []
    assert lab.down() is False
    assert "The lab is not up" in cli(lab, "down").stdout
    assert "The lab is down." in cli(lab, "status").stdout
    # not even tried: without the lab's own route the address would be looked for elsewhere
    assert cli(lab, "ssh", "sealos01", "--", "true").stderr == "the lab is not up. Start it: python -m lab up\n"


def test_images_that_are_to_be_loaded_anew_cost_no_machine_its_disk(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As after `make tools`; what else has a store may be at work with it, so this lab is given another place."""
    kept = tmp_path / "packages"
    monkeypatch.setattr(lab, "_store", lambda offline: kept / "store-new")
    kept.mkdir()
    assert lab.up() is True
    assert not list(kept.iterdir()), "nobody lacks images"
    shell(lab, "sealos01", "touch /root/stays")
    lab.reset(["sealos03", "sealos04"])
    assert [folder.name for folder in kept.iterdir()] == ["store-new"]
    assert "overlay2" in shell(lab, "sealos03", "ls /var/lib/docker")
    assert "overlay2" in shell(lab, "sealos04", "ls /var/lib/docker")
    shell(lab, "sealos01", "ls /root/stays")
    lab.down()


def test_a_lab_that_is_down_can_be_reset(lab: Lab) -> None:
    assert not lab.status().up
    lab.reset()
    assert lab.up() is True
    assert shell(lab, "sealos02", "ls /root/before 2>/dev/null || true") == ""
