"""A machine's disk: a fresh Debian-like root that holds nothing of this host's users, beside an overlay over the host's /usr.

Only /usr is shared (read, with the machine's own changes above it). /etc is made here from a few of the host's files that no person
writes (name them to add one); /root, /home, /tmp, /var, /opt and /srv start empty. What would let a machine see or change this host's
Kubernetes, swap or services is hidden from its /usr.
"""

import os
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

HERE = Path(__file__).parent

# Taken from the host's /etc as they are: the shape of the system, without anyone's data.
SYSTEM_FILES = (
    "alternatives", "bash.bashrc", "debian_version", "ethertypes", "gai.conf", "host.conf", "inputrc", "iproute2", "issue", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "login.defs", "magic", "mime.types", "os-release", "protocols", "rpc",
    "services", "shells", "ssh/moduli", "ssl/openssl.cnf", "terminfo", "timezone",
)  # fmt: skip

# Hidden from the machine's /usr/bin and /usr/sbin where the host has them.
HIDDEN_PROGRAMS = (
    "calicoctl", "containerd", "crictl", "ctr", "docker", "dockerd", "etcd", "etcdctl", "helm", "istioctl", "kubeadm", "kubectl", "kubelet",
    "kubelet-pre-start.sh", "nerdctl", "podman", "sealos",
    "swapoff", "swapon",  # swap is the host's
)  # fmt: skip

# Units of the host's systemd that are the host's: its clock, kernel, devices, terminals and network.
MASKED_UNITS = (
    "console-getty.service", "dev-hugepages.mount", "getty.target", "kmod-static-nodes.service", "ldconfig.service", "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "systemd-logind.service", "systemd-modules-load.service", "systemd-networkd.service",
    "systemd-remount-fs.service", "systemd-resolved.service", "systemd-sysctl.service", "systemd-timesyncd.service",
    "systemd-tmpfiles-setup-dev.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket", "systemd-udevd.service", "dbus.service", "dbus.socket", "e2scrub_reap.service", "apt-daily.timer",
    "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-user-sessions.service",
)  # fmt: skip

SSH_UNIT = """\
[Unit]
Description=OpenBSD Secure Shell server
After=network.target

[Service]
ExecStart=/usr/sbin/sshd -D -e
Restart=always
RestartSec=300ms
KillMode=process
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
LimitNOFILE=infinity
"""
HIDDEN_DIRECTORIES = ("libexec/kubernetes", "libexec/cni", "lib/cni")

SSHD_CONFIG = """\
# Everything else is OpenSSH's default, MaxStartups too.
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
PidFile none
PrintMotd no
Subsystem sftp /usr/lib/openssh/sftp-server
"""

BASHRC = """\
# ~/.bashrc: read by interactive shells.
export LS_OPTIONS='--color=auto'
alias ll='ls $LS_OPTIONS -l'
"""


def write(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a small file with its mode from the first moment on; makes its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


def place(path: Path, source: Path, mode: int) -> None:
    """Put a copy of a file in place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    shutil.copyfile(source, half)
    half.chmod(mode)
    half.replace(path)


def _etc(etc: Path, name: str, *, password_hash: str, host_key: Path, nameserver: str) -> None:
    for entry in SYSTEM_FILES:
        source, target = Path("/etc") / entry, etc / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            shutil.copyfile(source, target)
    write(etc / "hostname", f"{name}\n")
    write(etc / "machine-id", f"{secrets.token_hex(16)}\n", 0o444)
    write(etc / "hosts", "127.0.0.1 localhost\n")
    write(etc / "resolv.conf", f"nameserver {nameserver}\n")
    write(etc / "fstab", "")
    write(etc / "nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    write(
        etc / "passwd",
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    )
    write(
        etc / "group",
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nutmp:x:43:\nnogroup:x:65534:\n",
    )
    write(
        etc / "shadow",
        f"root:{password_hash}:18000:0:99999:7:::\ndaemon:*:18000::::::\nsshd:!:18000::::::\nnobody:*:18000::::::\n",
        0o600,
    )
    write(
        etc / "profile",
        'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nfor f in /etc/profile.d/*.sh; do [ -r "$f" ] && . "$f"; done\n',
    )
    write(etc / "no-swap", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")  # shown as /proc/swaps
    write(etc / "ssh/sshd_config", SSHD_CONFIG)
    place(etc / "ssh/ssh_host_ed25519_key", host_key, 0o600)
    place(etc / "ssh/ssh_host_ed25519_key.pub", host_key.with_suffix(".pub"), 0o644)
    for directory in ("profile.d", "bash_completion.d", "sysctl.d", "default", "systemd/system"):
        (etc / directory).mkdir(parents=True, exist_ok=True)


VIRTUAL_SERVER_UNIT = """\
[Unit]
Description=Way to the masters where the kernel has no IPVS

[Service]
ExecStart=/usr/sbin/lab-virtual-server {first}
Restart=always
"""


def serve_virtually(disk: Path, first: str, lvscare: Path) -> None:
    """Give a machine that is off what stands for IPVS in its kernel (virtual_server.sh); `first` is the first master's address."""
    place(disk / "usr/sbin/lab-virtual-server", HERE / "virtual_server.sh", 0o755)
    place(disk / "usr/lib/lab-containers/bin/lvscare", lvscare, 0o755)
    system = disk / "root/etc/systemd/system"
    write(system / "lab-virtual-server.service", VIRTUAL_SERVER_UNIT.format(first=first))
    wanted = system / "multi-user.target.wants/lab-virtual-server.service"
    if not wanted.is_symlink():
        wanted.symlink_to("../lab-virtual-server.service")


def _units(system: Path) -> None:
    """What systemd starts: sshd, and what is enabled later."""
    for unit in MASKED_UNITS:
        (system / unit).symlink_to("/dev/null")
    (system / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    write(system / "ssh.service", SSH_UNIT)
    (system / "multi-user.target.wants").mkdir()
    (system / "multi-user.target.wants/ssh.service").symlink_to("../ssh.service")
    # the kernel's log, where systemd writes without a journal, is the host's
    write(system.parent / "system.conf", "[Manager]\nLogTarget=journal\nShowStatus=no\nDefaultTimeoutStopSec=10s\n")
    write(system.parent / "journald.conf", "[Journal]\nStorage=persistent\nReadKMsg=no\nForwardToSyslog=no\nRateLimitBurst=0\n")


def _usr(upper: Path) -> None:
    """Changes above the host's /usr: an empty /usr/local, hidden programs."""
    local = upper / "local"
    for directory in ("bin", "sbin", "lib", "share", "etc", "include", "src"):
        (local / directory).mkdir(parents=True)
    os.setxattr(local, "trusted.overlay.opaque", b"y")
    hidden = [Path(place, program) for place in ("bin", "sbin") for program in HIDDEN_PROGRAMS]
    hidden += [path.relative_to("/usr") for path in Path("/usr/bin").glob("kube*")]
    hidden += map(Path, HIDDEN_DIRECTORIES)
    for path in dict.fromkeys(hidden):
        if os.path.lexists("/usr" / path):
            (upper / path).parent.mkdir(parents=True, exist_ok=True)
            os.mknod(upper / path, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs: this name is gone


def create(disk: Path, name: str, *, password_hash: str, public_key: Path, host_key: Path, nameserver: str) -> None:
    """Make a bare machine's disk, whole or not at all.

    Args:
        disk: directory to make; must not exist.
        name: host name.
        password_hash: crypt(3) hash of root's password.
        public_key: OpenSSH public key that may log in as root.
        host_key: the machine's ed25519 private host key, with its public half beside it.
        nameserver: the address in /etc/resolv.conf.
    """
    half = disk.with_name(f".{disk.name}.part")
    remove(half)
    umask = os.umask(0o022)  # whatever the person's own is
    try:
        _fill(half, name, password_hash=password_hash, public_key=public_key, host_key=host_key, nameserver=nameserver)
    finally:
        os.umask(umask)
    half.rename(disk)


def _fill(half: Path, name: str, *, password_hash: str, public_key: Path, host_key: Path, nameserver: str) -> None:
    root = half / "root"
    for directory in ("boot", "dev", "etc", "home", "media", "mnt", "opt/cni/bin", "proc", "run", "srv", "sys", "usr", "var"):
        (root / directory).mkdir(parents=True)
    for directory in ("cache", "lib", "local", "log", "mail", "opt", "spool"):
        (root / "var" / directory).mkdir()
    for record in ("lastlog", "wtmp", "btmp"):
        write(root / "var/log" / record, "", 0o640)
    for directory in ("tmp", "var/tmp"):
        (root / directory).mkdir()
        (root / directory).chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(f"usr/{link}")
    (root / "root").mkdir(mode=0o700)
    write(root / "root/.bashrc", BASHRC)
    write(root / "root/.profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n")
    (root / "root/.ssh").mkdir(mode=0o700)
    write(root / "root/.ssh/authorized_keys", public_key.read_text(), 0o600)
    _etc(root / "etc", name, password_hash=password_hash, host_key=host_key, nameserver=nameserver)
    (half / "usr").mkdir()
    (half / "work").mkdir()
    _units(root / "etc/systemd/system")
    _usr(half / "usr")


def link(source: Path, target: Path) -> None:
    """Give a machine that is off a folder whose files it shares with others: hard links where the file system allows them.

    Databases, which are written in place, are the machine's own. Nothing to do when the folder is there.
    """
    if target.exists():
        return
    half = target.with_name(f".{target.name}.part")
    remove(half)
    linked = subprocess.run(["cp", "-al", source, half], capture_output=True, check=False)
    if linked.returncode:  # another file system
        remove(half)
        subprocess.run(["cp", "-a", source, half], check=True)
    for database in half.rglob("*.db"):
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)
        database.chmod(0o600)
    half.rename(target)


def bring(disk: Path, files: Mapping[str, tuple[Path, int]]) -> None:
    """Put files on the disk of a machine that is off, as a person would have before starting: {path below /: (source, mode)}."""
    for path, (source, mode) in files.items():
        target = disk / "root" / path
        if not target.exists() or not _same(target, source):
            place(target, source, mode)


KEPT = 4
"""Of what is made from files and kept: checkouts that work side by side have each their own."""


def used(path: Path) -> Path:
    """Marks what is kept as used now: by the time of its last access, since that of its last change goes into the names of others."""
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    return path


def keep(new: Path, kind: Iterable[Path]) -> Path:
    """Removes of a kind (it may be among them) what was used longest ago."""
    others = {path: path.stat().st_atime_ns for path in kind if path != new}
    for path in sorted(others, key=lambda path: -others[path])[KEPT - 1 :]:
        # another lab that comes up may be at it, too
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return new


def _same(target: Path, source: Path) -> bool:
    if target.stat().st_size != source.stat().st_size:
        return False
    return subprocess.run(["cmp", "-s", target, source], check=False).returncode == 0


def remove(disk: Path) -> None:
    """Delete a disk; nothing to do when there is none."""
    if disk.exists():
        shutil.rmtree(disk)
