"""A full disk takes nothing away: the scripts as they are, run in a mount namespace with a small disk of its own under them."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.sealos.facts import parse
from components.sealos.steps.script import path
from tests.project import ROOT

SCRIPTS = ROOT / "components" / "sealos"
FULL = "No space left on device"

# /root, /etc and /var/log of the script are one small disk; /run and /usr/bin are others, with room. Nothing of it is seen outside.
MACHINE = """
set -eu
place=$1 script=$2
mount -t tmpfs -o size=320k disk "$place/disk"
mount -t tmpfs other "$place/other"
mkdir -p "$place"/disk/{root,etc,etc-work,log} "$place"/other/{bin,bin-work,run}
mount -t overlay -o "lowerdir=/etc,upperdir=$place/disk/etc,workdir=$place/disk/etc-work" overlay /etc
mount -t overlay -o "lowerdir=/usr/bin,upperdir=$place/other/bin,workdir=$place/other/bin-work" overlay /usr/bin
mount --bind "$place/disk/root" /root
mount --bind "$place/disk/log" /var/log
mount --bind "$place/other/run" /run
# what a test writes to a link would reach the host's own program
for program in /usr/bin/curl /usr/bin/hostname /usr/bin/kubectl; do
    if [ -L "$program" ]; then rm -f "$program"; fi
done
printf '#!/bin/sh\\n' >/usr/bin/kubectl
chmod 0755 /usr/bin/kubectl
chmod 0700 /root
full() { head -c 1M /dev/zero >"$place/disk/filler" 2>/dev/null || true; }
export place
export -f full
. "$place/prepare"
status=0
bash "$script" "$place/private" <"$place/stdin" >"$place/stdout" 2>"$place/stderr" || status=$?
rm -f "$place/disk/filler"
. "$place/then"
cp -a /root "$place/root"
mkdir "$place/etc"
cp -a /etc/hosts "$place/etc/hosts"
if [ -d /etc/sealos-istio ]; then cp -a /etc/sealos-istio "$place/etc/sealos-istio"; fi
exit "$status"
"""

CONFIG = """masters:
  - 192.0.2.11:22
nodes: []
dnsdomain: cluster.local
apiservercertsans: []
user: root
network: calico
vip: 10.103.97.2
version: v1.16.3
podcidr: 100.64.0.0/10
certpath: /root/.sealos/pki
lvscaretag: latest
pkgurl: /root/kube1.16.3.tar.gz
passwd: ""
pkpassword: ""
privatekey: /root/.ssh/id_rsa
"""
LOGIN = "passwd: TOPSECRET\npkpassword: ''\npkgurl: /root/kube1.16.3.tar.gz\n"
HAS_CONFIG = f"mkdir -m 0700 /root/.sealos; printf %s {shlex.quote(CONFIG)} >/root/.sealos/config.yaml; "


@dataclass(frozen=True)
class Machine:
    """What a script left.

    Attributes:
        status, stdout, stderr: as it ended.
        place: with root/ and etc/ as they are afterwards.
    """

    status: int
    stdout: str
    stderr: str
    place: Path

    def read(self, path: str) -> str:
        return (self.place / path.lstrip("/")).read_text()


def run(
    place: Path, script: str | Path, prepare: str, files: dict[str, str], stdin: str = "", then: str = ""
) -> Machine:
    """Runs a script with `files` on a machine that bash text has prepared; `full` in it fills the disk."""
    for folder in ("disk", "other", "private"):
        (place / folder).mkdir(parents=True)
    given = {"lib.sh": (SCRIPTS / "lib.sh").read_text(), "lock-wait": "5", **files}
    for name, content in given.items():
        (place / "private" / name).write_text(content)
    for name, content in (("prepare", prepare), ("stdin", stdin), ("then", then)):
        (place / name).write_text(content)
    command = ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c", MACHINE, "machine", str(place)]
    done = subprocess.run([*command, str(path(str(script)))], capture_output=True, text=True, timeout=60, check=False)
    assert (place / "stdout").exists(), done.stderr
    return Machine(done.returncode, (place / "stdout").read_text(), (place / "stderr").read_text(), place)


def sealos(place: Path, does: str) -> dict[str, str]:
    """The files of a join of sealos02, for which `sealos` is a program that does this (it is told nothing else)."""
    place.mkdir(parents=True, exist_ok=True)
    program = place / "sealos"
    program.write_text(f"#!/bin/bash\necho ran >>{place}/ran\n{does}\n")
    program.chmod(0o755)
    return {
        "sealos": str(program),
        "login.yaml": LOGIN,
        "machines": "node sealos02 192.0.2.12:22 join\n",
        "me": "192.0.2.12:22",
        "targets": "192.0.2.11:22\n192.0.2.12:22\n",
        "batch": "10",
        "since": "0.5",
    }


def stopped(done: Machine, file: str) -> None:
    """Asserts that it ended with this file's name and the cause."""
    assert done.status == 1, done.stderr
    assert re.match(rf"{file} could not be written \(.*{FULL}.*\); it stays as it was", done.stderr.splitlines()[-1]), (
        done.stderr
    )


def test_a_join_keeps_the_config_of_sealos(tmp_path: Path) -> None:
    done = run(tmp_path, "join.sh", HAS_CONFIG + "full", sealos(tmp_path, "true"))
    assert done.read("/root/.sealos/config.yaml") == CONFIG
    stopped(done, "/root/.sealos/config.yaml.room")
    assert not (tmp_path / "ran").exists(), "sealos was run without a way to log in"
    assert sorted(file.name for file in (tmp_path / "root/.sealos").iterdir()) == ["config.yaml"]


@pytest.mark.parametrize(
    "does",
    [
        pytest.param("full; exit 1", id="before its config"),
        pytest.param("full; (cat /root/.sealos/config.yaml; echo x) >$place/longer; cat $place/longer >/root/.sealos/config.yaml; true", id="in its config"),
        pytest.param("full; : >/root/.sealos/config.yaml; head -c 100k /dev/zero >>/root/.sealos/sealos.log; exit 0", id="emptied its config"),
        pytest.param("sed -i 5q /root/.sealos/config.yaml; full; head -c 100k /dev/zero >>/root/.sealos/sealos.log; exit 0", id="cut its config off"),
    ],
)  # fmt: skip
def test_a_disk_that_sealos_fills_leaves_its_config_whole_and_no_password(does: str, tmp_path: Path) -> None:
    done = run(tmp_path, "join.sh", HAS_CONFIG + "mkdir -p /var/log/sealos-istio", sealos(tmp_path, does))
    assert (tmp_path / "ran").exists()
    config = done.read("/root/.sealos/config.yaml")
    assert set(CONFIG.splitlines()) <= set(config.splitlines()), config + done.stderr
    assert "TOPSECRET" not in config
    assert (tmp_path / "root/.sealos/config.yaml").stat().st_mode & 0o777 == 0o600
    assert "config.yaml.room" not in {file.name for file in (tmp_path / "root/.sealos").iterdir()}


@pytest.mark.parametrize(
    ("script", "note"), [("want.sh", "wanted"), ("tidy.sh", "member"), ("adopt.sh", "cluster"), ("install.sh", "installing")]
)  # fmt: skip
def test_notes_of_the_cluster_are_whole_or_as_they_were(script: str, note: str, tmp_path: Path) -> None:
    there = "" if script in ("adopt.sh", "install.sh") else '{"was": true}'
    prepare = "mkdir /etc/sealos-istio; " + (f"echo '{there}' >/etc/sealos-istio/{note}.json; " if there else "")
    sent = "cluster" if script == "install.sh" else note
    done = run(tmp_path, script, prepare + "full", {f"{sent}.json": '{"is": true}', "init-arguments": "", "name": "x"})
    stopped(done, f"/etc/sealos-istio/{note}.json")
    left = tmp_path / f"etc/sealos-istio/{note}.json"
    assert (left.read_text().strip() if left.exists() else "") == there
    assert {file.name for file in left.parent.iterdir()} <= {left.name}


def test_the_removal_of_a_lost_machine_keeps_the_config_of_sealos(tmp_path: Path) -> None:
    prepare = HAS_CONFIG + "mkdir -p /etc/kubernetes; : >/etc/kubernetes/admin.conf; full"
    files = {"role": "node", "name": "sealos02", "address": "192.0.2.12", "gone": "yes"}
    done = run(tmp_path, "leave.sh", prepare, files)
    assert done.read("/root/.sealos/config.yaml") == CONFIG
    stopped(done, "/root/.sealos/config.yaml")


def test_a_lost_machine_stays_a_name_of_the_api_servers_certificate(tmp_path: Path) -> None:
    """kubeadm's own configuration keeps it, and refuses the certificate of a further master without it."""
    before = CONFIG.replace("nodes: []", "nodes:\n- 192.0.2.12:22").replace("sans: []", "sans:\n- 127.0.0.1\n- 192.0.2.12")
    prepare = f"mkdir -p /root/.sealos /etc/kubernetes; : >/etc/kubernetes/admin.conf; printf %s {shlex.quote(before)} >/root/.sealos/config.yaml"
    files = {"role": "node", "name": "sealos02", "address": "192.0.2.12", "gone": "yes"}
    done = run(tmp_path, "leave.sh", prepare, files)
    assert done.read("/root/.sealos/config.yaml") == before.replace("- 192.0.2.12:22\n", "")


HOSTS = "127.0.0.1 localhost\n192.0.2.11 apiserver.cluster.local\n192.0.2.50 theirs\n"


@pytest.mark.parametrize("mounted", [False, True], ids=["a file", "a mount"])
@pytest.mark.parametrize("room", [False, True], ids=["full", "with room"])
def test_the_sweep_keeps_what_is_others_of_hosts_and_bashrc(mounted: bool, room: bool, tmp_path: Path) -> None:
    prepare = f"printf %s {shlex.quote(HOSTS)} >/etc/hosts; chmod 0640 /etc/hosts; echo theirs >/root/.bashrc; "
    prepare += "echo 'source <(kubectl completion bash)' >>/root/.bashrc; "
    prepare += "mount --bind /etc/hosts /etc/hosts; " if mounted else ""
    done = run(
        tmp_path,
        "clean.sh",
        prepare + ("true" if room else "full"),
        {},
        then="umount /etc/hosts || true" if mounted else "",
    )
    hosts, bashrc = done.read("/etc/hosts"), done.read("/root/.bashrc")
    assert re.sub(".*apiserver.*\n", "", hosts) == "127.0.0.1 localhost\n192.0.2.50 theirs\n"
    assert bashrc.startswith("theirs\n")
    assert (tmp_path / "etc/hosts").stat().st_mode & 0o777 == 0o640
    if room:
        assert done.status == 0, done.stderr
        assert "apiserver" not in hosts
        assert "kubectl" not in bashrc
    else:
        stopped(done, "/root/.bashrc" if mounted else "/etc/hosts")


@pytest.mark.parametrize("busy", [True, False])
def test_the_sweep_takes_the_notes_and_the_ca_last(busy: bool, tmp_path: Path) -> None:
    """They say whose the rest is; as long as something is left, the next sweep needs them."""
    prepare = "mkdir -p /etc/sealos-istio /root/.sealos/pki /root/kube/x; echo ca >/root/.sealos/pki/ca.crt; echo '{}' >/etc/sealos-istio/member.json; "
    theirs = "mount -t tmpfs theirs /root/kube/x; : >/root/kube/x/theirs; : >/root/kube/ours; "
    then = 'ls -R /root/kube >"$place/kube"; umount /root/kube/x || true'
    done = run(tmp_path, "clean.sh", prepare + (theirs if busy else ""), {}, then=then)
    assert ("theirs" in (tmp_path / "kube").read_text()) is busy
    assert "ours" not in (tmp_path / "kube").read_text()
    assert ("/root/kube" in done.stdout.splitlines()) is busy
    assert (tmp_path / "root/.sealos/pki/ca.crt").exists() is busy
    assert (tmp_path / "etc/sealos-istio/member.json").exists() is busy


DISKS = {
    "a disk": "mount -t tmpfs disk {0}; ",
    "a folder of another disk": "mkdir /var/lib/.of{1}; mount --bind /var/lib/.of{1} {0}; ",
    "a link": "rmdir {0}; ln -s /var/lib/.to{1} {0}; mkdir /var/lib/.to{1}; ",
}


@pytest.mark.parametrize("disk", DISKS)
def test_disks_of_their_own_are_clean_when_new_and_again_when_swept(disk: str, tmp_path: Path) -> None:
    places = ("/var/lib/etcd", "/var/lib/kubelet", "/etc/kubernetes/pki")
    new = "mount -t tmpfs lib /var/lib; mkdir -p /etc/kubernetes; mkdir -p /etc/kubernetes/pki /var/lib/etcd /var/lib/kubelet; "
    new += "".join(DISKS[disk].format(place, number) for number, place in enumerate(places if disk != "a link" else places[:2]))
    new += "".join(f"mkdir {place}/lost+found; " for place in places)
    looked = run(tmp_path / "new", "facts.sh", new, {})
    assert looked.status == 0, looked.stderr
    assert parse(looked.stdout).leftovers == ()
    assert set(parse(looked.stdout).own_disks) == (set(places[:2]) if disk == "a disk" else set())

    used = new + "mkdir -p /var/lib/etcd/member/wal /var/lib/kubelet/pki /var/lib/kubelet/pods/a/volumes/b; mkdir /etc/sealos-istio; "
    used += "for file in /var/lib/etcd/member/wal/0 /var/lib/kubelet/config.yaml /var/lib/kubelet/pki/key /etc/kubernetes/pki/ca.crt; do : >$file; done; "
    used += "mount -t tmpfs volume /var/lib/kubelet/pods/a/volumes/b; : >/var/lib/kubelet/pods/a/volumes/b/file; "
    seen = run(tmp_path / "used", "facts.sh", used, {})
    assert {"/var/lib/etcd", "/var/lib/kubelet/pki", "/etc/kubernetes/pki"} <= set(parse(seen.stdout).leftovers)

    then = f'find {" ".join(f"{place}/" for place in places)} -mindepth 1 >"$place/left" 2>/dev/null || true; ls -ld {" ".join(places)} >"$place/there" || true'
    swept = run(tmp_path / "swept", "clean.sh", used, {"role": "master"}, then=then)
    assert (swept.status, swept.stdout, swept.stderr) == (0, "", "")
    assert (tmp_path / "swept/left").read_text() == ""
    there = (tmp_path / "swept/there").read_text()
    assert all((place in there) is (disk != "a link" or place != places[2]) for place in places)


@pytest.mark.parametrize("disk", DISKS)
def test_what_fsck_found_is_not_nothing(disk: str, tmp_path: Path) -> None:
    new = "mount -t tmpfs lib /var/lib; mkdir /var/lib/etcd; " + DISKS[disk].format("/var/lib/etcd", 0)
    looked = run(tmp_path, "facts.sh", new + "mkdir -p /var/lib/etcd/lost+found/#12", {})
    assert parse(looked.stdout).leftovers == ("/var/lib/etcd",)


@pytest.mark.parametrize(("script", "sent"), [("install.sh", "cluster.json"), ("note.sh", "member.json")])
def test_kubeadm_finds_a_new_disk_empty(script: str, sent: str, tmp_path: Path) -> None:
    files = sealos(tmp_path, "exit 1") | {sent: "{}", "init-arguments": "", "config.yaml": CONFIG, "name": "sealos01"}
    new = "mount -t tmpfs lib /var/lib; mkdir /var/lib/etcd; mount -t tmpfs disk /var/lib/etcd; mkdir /var/lib/etcd/lost+found"
    run(tmp_path, script, new, files, then='{ ls -A /var/lib/etcd; stat -c %a /var/lib/etcd; } >"$place/etcd"')
    assert (tmp_path / "etcd").read_text() == "700\n"


@pytest.mark.parametrize(
    ("mounted", "fstab", "told"),
    [
        pytest.param("pods", "", ["pods"], id="by hand"),
        pytest.param("", "pods", ["pods"], id="sealos's own clean came before"),
        pytest.param("pods plugins", "pods", ["plugins", "pods"], id="several"),
        pytest.param("pods/a/volumes/b", "", [], id="a pod's volume"),
        pytest.param("", "", [], id="none"),
    ],
)
def test_a_disk_below_kubelets_folder_that_a_reset_unmounts_is_told(mounted: str, fstab: str, told: list[str], tmp_path: Path) -> None:
    """kubeadm is played by what its reset runs (cmd/phases/reset/unmount.go)."""
    kubeadm = "#!/bin/sh\nawk '$2 ~ \"/var/lib/kubelet/\" { print $2 }' /proc/mounts | xargs -r umount\n"
    prepare = f"printf %s {shlex.quote(kubeadm)} >/usr/bin/kubeadm; chmod 0755 /usr/bin/kubeadm; mount -t tmpfs lib /var/lib; mkdir /var/lib/kubelet; "
    prepare += "".join(f"mkdir -p /var/lib/kubelet/{name}; mount -t tmpfs disk /var/lib/kubelet/{name}; " for name in mounted.split())
    prepare += "rm -f /etc/fstab; : >/etc/fstab; " + "".join(f"echo 'LABEL=x /var/lib/kubelet/{name} ext4 defaults 0 0' >>/etc/fstab; " for name in fstab.split())
    done = run(tmp_path, "clean.sh", prepare, {"role": "node"})
    assert (done.status, done.stdout) == (0, "")
    assert re.findall(r"warning: /var/lib/kubelet/(\S+) is not mounted any more", done.stderr) == told


def test_a_machine_whose_name_ends_as_a_half_written_note_is_known(tmp_path: Path) -> None:
    """.new is a domain; and what `replace` writes beside one note must be no other's."""
    names = ("node1.example", "node1.example.new")
    files = {"wanted.json": "{}"} | {f"machine.{name}": json.dumps({"name": name}) for name in names}
    then = f'printf machines >"$place/private/what"; bash {SCRIPTS}/steps/show.sh "$place/private" >"$place/shown"'
    done = run(tmp_path, "want.sh", "true", files, then=then)
    assert done.status == 0, done.stderr
    assert {json.loads(line)["name"] for line in (tmp_path / "shown").read_text().splitlines()} == set(names)


@pytest.mark.parametrize("content", ["", "# none\nsearch example.org\n", "nameserver 192.0.2.53\n"])
def test_a_resolv_conf_without_a_nameserver_is_told(content: str, tmp_path: Path) -> None:
    done = run(tmp_path, "facts.sh", f"rm -f /etc/resolv.conf; printf %s {shlex.quote(content)} >/etc/resolv.conf", {})
    assert done.status == 0, done.stderr
    assert parse(done.stdout).no_nameserver is ("192" not in content)


CTR = r"""#!/bin/sh
case "$3 $4" in
    "tasks list" | "containers list") cat "/run/$3" ;;
    "tasks delete") sed -i "/$6/d" "/run/$3" ;;
    "containers info") printf '{\n "path": "/var/run/netns/cni-%s"\n}\n' "$5" ;;
    "containers delete") [ "$5" != stuck ] || { echo busy >&2; exit 1; }; sed -i "/$5/d" "/run/$3" ;;
esac
"""


@pytest.mark.parametrize("stuck", [True, False])
def test_the_sweep_ends_what_kubeadm_left_in_containerd(stuck: bool, tmp_path: Path) -> None:
    containers = "pause\nweb\n" + ("stuck\n" if stuck else "")
    prepare = f"printf %s {shlex.quote(CTR)} >/usr/bin/ctr; chmod 0755 /usr/bin/ctr; printf 'web\n' >/run/tasks; printf %s {shlex.quote(containers)} >/run/containers; "
    prepare += "mkdir /run/netns; touch /run/netns/cni-web /run/netns/theirs"
    done = run(tmp_path, "clean.sh", prepare, {}, then='ls /run/netns >"$place/netns"; cat /run/tasks >"$place/tasks"')
    assert (tmp_path / "netns").read_text() == "theirs\n"
    assert (tmp_path / "tasks").read_text() == ""
    assert ("the container stuck" in done.stdout.splitlines()) is stuck
    assert "the container web" not in done.stdout
    assert ("containerd: busy" in done.stderr) is stuck


@pytest.mark.parametrize("script", ["settled.sh", "backup.sh"])
def test_a_password_that_can_not_be_taken_out_is_an_error_and_the_config_is_whole(script: str, tmp_path: Path) -> None:
    armed = CONFIG.replace('passwd: ""', "passwd: TOPSECRET", 1)
    prepare = f"mkdir -p /root/.sealos /etc/sealos-istio; echo '{{}}' >/etc/sealos-istio/cluster.json; printf %s {shlex.quote(armed)} >/root/.sealos/config.yaml; full"
    done = run(tmp_path, script, prepare, {"facts.sh": "echo looked"})
    stopped(done, "/root/.sealos/config.yaml")
    assert done.read("/root/.sealos/config.yaml") == armed
    assert done.stdout == ""
    assert "TOPSECRET" not in done.stderr


def test_a_full_disk_alone_keeps_nobody_from_looking(tmp_path: Path) -> None:
    prepare = HAS_CONFIG + "mkdir /etc/sealos-istio; echo '{}' >/etc/sealos-istio/cluster.json; full"
    done = run(tmp_path, "settled.sh", prepare, {"facts.sh": "echo looked"})
    assert (done.status, done.stdout) == (0, "looked\n"), done.stderr


def test_a_backup_is_put_back_whole_or_not_at_all(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        config = CONFIG.replace("192.0.2.11:22", "ADDRESS:22")
        big = "x" * 115_000  # room for what it unpacks, and not for another
        for name, content in (
            ("root/.sealos/config.yaml", config), ("root/.sealos/pki/ca.crt", "CA"), ("root/.sealos/filled", big),
            ("etc/sealos-istio/cluster.json", "{}"), ("etc/sealos-istio/filled", big),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    prepare = "mkdir -p /etc/kubernetes/pki /etc/sealos-istio /root/.sealos; : >/etc/kubernetes/admin.conf; printf CA >/etc/kubernetes/pki/ca.crt; "
    prepare += "echo was >/etc/sealos-istio/member.json; echo was >/root/.sealos/sealos.log; "
    prepare += "printf '#!/bin/sh\\necho ADDRESS\\n' >/usr/bin/hostname; chmod 0755 /usr/bin/hostname; "
    done = run(tmp_path, "restore.sh", prepare, {}, stdin=base64.b64encode(buffer.getvalue()).decode())
    assert done.status == 1
    assert FULL in done.stderr
    assert done.read("/etc/sealos-istio/member.json") == "was\n"
    assert done.read("/root/.sealos/sealos.log") == "was\n"
    assert not list((tmp_path / "root").glob(".sealos-restore*"))
    assert not (tmp_path / "disk/etc/sealos-istio.new").exists()


def replaced(tmp_path: Path, call: str) -> subprocess.CompletedProcess[str]:
    text = f'set -euo pipefail; dir=$1; . "{SCRIPTS}/lib.sh"; cd "$dir"; {call}'
    return subprocess.run(["bash", "-c", text, "bash", str(tmp_path)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param("half() { echo half && false; }; replace file half || true", "no reason given", id="that ends half-way"),
        pytest.param("replace file cat absent || true", "No such file or directory", id="that can't read"),
        pytest.param("replace file cat /dev/null; replace absent/file cat file", "No such file or directory", id="without its folder"),
    ],
)  # fmt: skip
def test_what_a_failed_command_prints_replaces_nothing(command: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("whole\n")
    done = replaced(tmp_path, f"{command}; echo 'went on'")
    assert done.returncode == 1
    assert "went on" not in done.stdout, "an error was lost where set -e is off"
    assert f"could not be written ({why})" in done.stderr
    assert not list(tmp_path.glob("*.new~"))
    if "absent/" not in command:
        assert (tmp_path / "file").read_text() == "whole\n"


def test_what_is_replaced_keeps_its_mode_and_its_link_and_what_is_new_is_the_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o754)
    (tmp_path / "link").symlink_to("file")
    done = replaced(tmp_path, "replace link echo new; replace fresh echo new")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o754
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o600


WITHOUT_SET_E = {
    # print what they find, which may be nothing
    "listening", "own_etcd",
    # look at folders, and what can't be found is none
    "mounted_at", "place_of", "on_own_disk",
    # one command each, whose failure is the caller's condition
    "kube", "ask", "sum", "has", "listed", "leftovers", "api_listens", "sealos_version", "value", "read_name", "kubelet_ca", "retargeted",
    # say themselves what failed, or end the script
    "run_sealos", "disarm", "etcd_call", "etcd_members", "etcd_healthy", "mounts", "disarmed_config", "plain_file", "state",
    "etcd_spares", "make_way", "sealos_join",
}  # fmt: skip
"""Functions that are called where `set -e` is off; look at each step of one before it is added."""


def test_set_e_is_off_only_in_functions_that_do_without_it() -> None:
    scripts = sorted((ROOT / "components").rglob("*.sh"))
    done = subprocess.run(
        ["shellcheck", "-x", "--enable=check-set-e-suppressed", "--include=SC2310", "--format=json", *map(str, scripts)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found, "shellcheck has found none: is the check still called so?"
    called = {}
    for place in found:
        line = Path(place["file"]).read_text().splitlines()[place["line"] - 1]
        called[line[place["column"] - 1 :].split()[0].strip('";)')] = f"{Path(place['file']).name}:{place['line']}"
    assert called.keys() <= WITHOUT_SET_E, {name: where for name, where in called.items() if name not in WITHOUT_SET_E}


KUBEADM = r"""#!/bin/bash
case "$3 $4" in
    "certs ca") cd /etc/kubernetes/pki; echo new >ca.crt; echo new >ca.key ;;
    "certs apiserver"*) cd /etc/kubernetes/pki; [ ! -e /run/fails ] || { echo "no such luck" >&2; exit 1; }; echo new >"${4}.crt"; echo new >"${4}.key" ;;
    "kubeconfig all") for name in admin controller-manager scheduler kubelet; do echo "server: https://api:6443" >/etc/kubernetes/$name.conf; done ;;
    "kubeconfig kubelet") mkdir -p "$8"; printf '%s %s' "$6" "${12}" >"$8/kubelet.conf" ;;
esac
"""


@pytest.mark.parametrize("fails", [False, True])
def test_another_ca_is_whole_or_everything_is_put_back(fails: bool, tmp_path: Path) -> None:
    """Its order and its way back; what Kubernetes makes of it is seen on the lab (test_containers.py)."""
    programs = {
        "kubeadm": KUBEADM,
        "kubectl": '#!/bin/sh\ncase "$*" in *jsonpath*) echo sealos01 sealos02 ;; *) echo node/sealos01 ;; esac\n',
        "systemctl": "#!/bin/sh\necho restarted >>/run/kubelet\n",
        "hostname": "#!/bin/sh\necho sealos01\n",
    }
    prepare = "mount -t tmpfs lib /var/lib; mkdir -p /var/lib/kubelet/pki /etc/kubernetes/pki /etc/kubernetes/manifests /root/.sealos/pki; "
    for name, text in programs.items():
        prepare += f"rm -f /usr/bin/{name}; printf %s {shlex.quote(text)} >/usr/bin/{name}; chmod 0755 /usr/bin/{name}; "
    prepare += "for file in ca.crt ca.key apiserver.crt sa.key; do echo was >/etc/kubernetes/pki/$file; echo was >/root/.sealos/pki/$file; done; "
    prepare += "echo '    server: https://api:6443' >/etc/kubernetes/kubelet.conf; echo was >/etc/kubernetes/admin.conf; : >/root/kubeadm-config.yaml; "
    prepare += "for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do echo $pod >/etc/kubernetes/manifests/$pod.yaml; done; "
    prepare += "echo was >/var/lib/kubelet/pki/kubelet-client-current.pem; " + (": >/run/fails; " if fails else "")
    then = 'cp -a /etc/kubernetes "$place/kubernetes"; cp /run/kubelet "$place/kubelet"; ls /var/lib/kubelet/pki >"$place/pki"'
    done = run(tmp_path, "new_ca.sh", prepare, {}, then=then)
    kubernetes, own = tmp_path / "kubernetes", tmp_path / "root/.sealos/pki"
    assert {file.name for file in (kubernetes / "manifests").iterdir()} == {
        f"{pod}.yaml" for pod in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    }
    assert not (kubernetes / "sealos-istio-aside").exists()
    assert (tmp_path / "kubelet").exists()
    is_now = "was\n" if fails else "new\n"
    assert {(place / name).read_text() for place in (kubernetes / "pki", own) for name in ("ca.crt", "ca.key", "apiserver.crt")} == {is_now}
    assert (kubernetes / "pki/sa.key").read_text() == "was\n"
    assert (tmp_path / "pki").read_text() == ("kubelet-client-current.pem\n" if fails else "")
    assert (tmp_path / "root/sealos-istio-old-ca").exists() is not fails
    if fails:
        assert done.status == 1
        assert "kubeadm init phase certs apiserver --config /root/kubeadm-config.yaml failed: no such luck" in done.stderr
    else:
        assert (done.status, done.stdout) == (0, "sealos01 has a new CA. Next, for each other machine: new_ca_node.sh\n"), done.stderr
        assert done.read("/root/sealos-istio-new-ca/sealos02/kubelet.conf") == "sealos02 api:6443"
        assert done.read("/root/sealos-istio-old-ca/kubernetes/pki/ca.crt") == "was\n"
