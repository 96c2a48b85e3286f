"""Snapshots of etcd: what is whole, what is kept, and the script that takes one, run as it is with a curl of the test's own."""

from __future__ import annotations

import base64
import hashlib
import random
import shlex
from pathlib import Path

import pytest

from components.driver import DriverError
from components.sealos import etcd
from tests.unit.test_sealos_full_disk import FULL, run

PAGES = bytes(16) + b"\xed\xda\x0c\xed" + random.Random(1).randbytes(100 * 512 - 20)
SNAPSHOT = PAGES + hashlib.sha256(PAGES).digest()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        pytest.param(SNAPSHOT, None, id="whole"),
        pytest.param(b"", "0 bytes are no whole snapshot", id="empty"),
        pytest.param(SNAPSHOT[:-100], "are no whole snapshot", id="cut off"),
        pytest.param(SNAPSHOT[:512] + SNAPSHOT[1024:], "its SHA-256 is another", id="a page less"),
        pytest.param(SNAPSHOT[:600] + b"\0" + SNAPSHOT[601:], "its SHA-256 is another", id="changed"),
        pytest.param(PAGES, "are no whole snapshot", id="etcd's file, without its sum"),
        pytest.param(bytes(1024 + 32), "it is no snapshot of etcd", id="another file"),
    ],
)
def test_what_is_wrong_with_a_snapshot(content: bytes, wrong: str | None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    found = etcd.damage(tmp_path / "file")
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in (found or "")


def test_a_snapshot_is_there_whole_and_for_its_owner_alone_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "a.db"
    with etcd._whole(file) as out:
        out.write(SNAPSHOT)
        assert not file.exists()
    assert file.read_bytes() == SNAPSHOT
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(DriverError, match="did not come here whole"), etcd._whole(tmp_path / "b.db") as out:
        out.write(SNAPSHOT[:-1])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_oldest_of_one_cluster_go(tmp_path: Path) -> None:
    own = [f"prod-202401{day:02}T000000Z.db" for day in range(1, 13)]
    others = ["prod-eu-20240101T000000Z.db", "prod-before-the-upgrade.db", "eu-20240101T000000Z.db"]
    for name in own + others:
        (tmp_path / name).touch()
    etcd._forget_old(tmp_path, "prod")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(own[-etcd.KEPT :] + others)


def machine(api: str) -> str:
    """Bash text for a first master whose curl streams the snapshot as etcd of that JSON API does, in parts of 32 KiB, the sum apart."""
    parts = [PAGES[start : start + 32768] for start in range(0, len(PAGES), 32768)] + [SNAPSHOT[-32:]]
    lines = [f'{{"result":{{"header":{{"revision":"7"}},"blob":"{base64.b64encode(part).decode()}"}}}}' for part in parts]
    curl = f"""#!/bin/bash
case "$*" in
    *https://127.0.0.1:2379/{api}/maintenance/snapshot*) cat "$place/stream" ;;
    *) echo 'curl: (22) The requested URL returned error: 404 Not Found' >&2; exit 22 ;;
esac
"""
    stream = shlex.quote("\n".join(lines))
    return (
        "mkdir -p /etc/kubernetes/pki $place/other/room; : >/etc/kubernetes/pki/apiserver-etcd-client.crt; "
        f"printf '%s\n' {stream} >$place/stream; printf %s {shlex.quote(curl)} >/usr/bin/curl; chmod 755 /usr/bin/curl; "
    )


# the machine's disks are gone with its namespace
KEEP = "if [ -s $place/other/room/snapshot.db ]; then cp $place/other/room/snapshot.db $place/kept; fi"


@pytest.mark.parametrize("api", ["v3", "v3beta"])
def test_etcds_stream_becomes_the_snapshot_and_nothing_of_it_is_printed(api: str, tmp_path: Path) -> None:
    done = run(tmp_path, "etcd_save.sh", machine(api), {"room": str(tmp_path / "other/room")}, then=KEEP)
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "kept").read_bytes() == SNAPSHOT


def test_an_error_says_why_and_nothing_of_what_was_read(tmp_path: Path) -> None:
    prepare = machine("v3") + "mkdir /root/room; full"
    done = run(tmp_path, "etcd_save.sh", prepare, {"room": "/root/room"})
    assert done.status == 1
    assert done.stderr.startswith("etcd on this machine gave no snapshot: ")
    assert FULL in done.stderr
    assert len(done.stderr) < 200
    assert done.stdout == ""
