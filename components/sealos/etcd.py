"""etcd's snapshots: taken on the first master, checked and kept here; and what a cluster holds made of one again.

Who reads a snapshot reads every Secret of the cluster. It is written for its owner alone, and nothing of it is ever printed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from components.driver import DriverError, progress
from components.remote.connection import connect, on_all
from components.remote.host import Host
from components.remote.models import Machine, MachineError
from components.sealos import artifacts, installation, nodes, requests
from components.sealos.steps.ask import look, nodes_of, settled, wanted_of
from components.sealos.steps.install import install_files, wipe
from components.sealos.steps.script import files, work
from components.sealos.steps.want import want

HERE = Path(__file__).parent
KEPT = 10
"""How many snapshots of a cluster the folder keeps; those with a place of their own stay."""
_LOOK = 60.0  # seconds for a script that only looks
_SUM = 32  # bytes of etcd's SHA-256 of the pages before it
_PAGE = 512  # bytes that these are a multiple of
_MAGIC = b"\xed\xda\x0c\xed"  # bbolt's, in its first page


async def run_snapshot(request: requests.Snapshot) -> str:
    """A snapshot of etcd, as a file here.

    Returns:
        Its path; nothing where it was asked for only if there is a cluster and there is none.

    Raises:
        DriverError, MachineError: when there is no whole one here.
    """
    async with connect(request.fleet.first_master, request.fleet.login) as host:
        return str(await _save(host, request.etcd_backups, request.limit, request.file, request.if_there) or "")


async def run_want(request: requests.Want) -> str:
    """steps/want.py, after a snapshot of etcd when masters come or go: before any of them does."""
    async with connect(request.fleet.first_master, request.fleet.login) as host:
        before, after = (
            {(machine.name, machine.address) for machine in machines if machine.role == "master"}
            for machines in ((await wanted_of(host)).machines, request.machines)
        )
        if before and (before != after or await _lost_masters(host, request.lost)):
            await _save(host, request.etcd_backups, request.limit)
        return await want(host, request)


async def _lost_masters(host: Host, lost: Sequence[str]) -> bool:
    present = await nodes_of(host) if lost else {}
    return any(node.role == "master" for name, node in present.items() if name in lost)


async def _save(
    host: Host, backups: str, limit: float, place: str | None = None, if_there: bool = False
) -> Path | None:
    """Takes a snapshot of etcd on the first master and brings it here; for the arguments see requests.Snapshot."""
    facts = await look(host)
    if facts.marker is None and if_there:
        return None
    folder, prefix = _here(backups), quote(str((facts.marker or {}).get("name", "")), safe="")
    file = _here(place) if place else folder / f"{prefix}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    progress(host.machine.name, "taking a snapshot of etcd …")
    room = await _room(host)
    try:
        await work(host, "etcd_save.sh", files(room=room), limit, "the snapshot of etcd")
        with _whole(file) as out:
            await host.get(f"{room}/snapshot.db", out, limit)
    except OSError as error:
        raise DriverError(
            f"{file}: the snapshot of etcd can't be kept here ({error.strerror}); cluster.etcdBackups is the folder for it"
        ) from None
    finally:
        with suppress(MachineError, DriverError):  # what stays there, the next one takes away
            await _room(host, forget=room)
    if not place:
        _forget_old(folder, prefix)
    progress(host.machine.name, f"etcd's snapshot is in {file}")
    return file


def _forget_old(folder: Path, prefix: str) -> None:
    """Removes all but the newest KEPT snapshots of one cluster."""
    for old in sorted(folder.glob(f"{prefix}-{'[0-9]' * 8}T{'[0-9]' * 6}Z.db"))[:-KEPT]:
        old.unlink(missing_ok=True)


def _here(path: str) -> Path:
    return Path(path).expanduser()


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """A snapshot to be written: its owner's alone, and there under its name only when it is whole and on the disk.

    Raises:
        OSError: when it can't be written.
        DriverError: when it is damaged.
    """
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if wrong := damage(half):
            raise DriverError(f"{file}: the snapshot of etcd did not come here whole: {wrong}. Run it again")
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def damage(file: Path) -> str | None:
    """What is wrong with a snapshot: etcd ends it with the SHA-256 of everything before.

    Raises:
        OSError: when it can't be read.
    """
    size, digest = file.stat().st_size, hashlib.sha256()
    if size % _PAGE != _SUM:
        return f"{size} bytes are no whole snapshot"
    with file.open("rb") as read:
        if read.read(_PAGE)[16:20] != _MAGIC:
            return "it is no snapshot of etcd"
        read.seek(0)
        left = size - _SUM
        while part := read.read(min(left, 1 << 20)):
            digest.update(part)
            left -= len(part)
        if read.read() != digest.digest():
            return "its SHA-256 is another than the one it ends with"
    return None


async def _room(host: Host, forget: str | None = None) -> str:
    """A private folder on the host's disk; or one that is taken away again."""
    result = await host.run(HERE / "etcd_room.sh", files(forget=forget), _LOOK)
    if result.status:
        raise DriverError(f"{host.machine.name}: has no place for a snapshot of etcd: {result.last_words}")
    return result.stdout.strip()


async def run_restore(request: requests.Restore) -> str:
    """Makes the first master the only member of a new etcd that holds what a snapshot does; installs it anew if it is bare.

    Raises:
        DriverError, MachineError: with what stands in the way, and what is as it was.
    """
    file, first = _here(request.snapshot), request.fleet.first_master
    try:
        wrong = damage(file)
    except OSError as error:
        raise DriverError(f"{file}: the snapshot can't be read ({error.strerror})") from None
    if wrong:
        raise DriverError(f"{file}: it can't be restored: {wrong}. Nothing was changed")
    async with connect(first, request.fleet.login) as host:
        state = await _first_master(host, request)
        room = await _room(host)
        try:
            progress(first.name, f"sending {file.name} ({file.stat().st_size >> 20} MiB) …")
            await host.put(file, f"{room}/snapshot.db", request.timeouts.install, lambda _done, _all: None)
            given = files(
                room=room, limit=f"{request.timeouts.ready:.0f}", lock_wait=request.timeouts.clean, state=state
            )
            limit = request.timeouts.clean + 4 * request.timeouts.ready
            count = await work(host, "etcd_restore.sh", given, limit, "the restore of etcd")
        finally:
            with suppress(MachineError, DriverError):
                await _room(host, forget=room)
    others = [machine for machine in request.fleet.machines if machine.role == "master" and machine != first]
    await _after(request, others)
    told = f"{first.name}: etcd holds what {file.name} does: {count.strip()} nodes. "
    if others:
        names = ", ".join(machine.name for machine in others)
        told += (
            f"It is etcd's only member now. Take {names} out of masters, name them in cluster.lost, and run `pulumi up`; "
            "one that was wiped can be a master again in a later one. Don't switch on one that is off before it is wiped"
        )
    else:
        told += "Run `pulumi up`: it looks whether all is as the settings say"
    return told


async def _first_master(host: Host, request: requests.Restore) -> bytes | None:
    """Sees that the machine is this cluster's first master and that nothing that lives is lost by accident; or installs it.

    Returns:
        The backup of sealos's state where it was installed for this, else None.
    """
    first, facts = host.machine, await settled(host, request.timeouts.install)
    if facts.marker is not None:
        if facts.marker.get("name") != request.cluster.name:
            raise DriverError(
                f"{first.name} is the first master of cluster {facts.marker.get('name')!r}, not {request.cluster.name!r} "
                f"(cluster.name). Nothing was changed"
            )
        present = nodes.parse(facts.nodes or {})
        if not request.roll_back and all(machine.name in present for machine in request.fleet.machines):
            raise DriverError(
                f"{first.name}: the cluster lives and has all its machines. A restore takes it back to what the snapshot holds; everything "
                f"since then is lost. If that is wanted, add --roll-back"
            )
        return None
    decision = installation.decide(facts, request.cluster, first, recover=True, existing=False, adopt=False)
    if decision.action not in ("init", "recover"):
        raise DriverError(f"{first.name}: etcd can't be restored there: {decision.reason}. Nothing was changed")
    if not request.state:
        raise DriverError(
            f"{first.name}: is bare, and the stack has no output sealosBackup, which holds the CA that the cluster's other machines trust. "
            f"Without it a new cluster is all that can be made (`pulumi destroy`, `pulumi up`)"
        )
    if decision.action == "recover":
        progress(first.name, f"{decision.reason}: wiping it")
        await wipe(host, request)
    for what, artifact in (("package", request.package), ("sealos", request.sealos)):
        if artifact.file or artifact.url:
            fleet = request.fleet.model_copy(update={"machines": (first,)})
            given = {"what": what, "artifact": artifact, "limit": request.timeouts.install}
            await artifacts.run_provide(requests.Provide.model_validate({"fleet": fleet, **given}))
    progress(first.name, "is bare: installing it with the cluster's own CA …")
    limit = request.timeouts.install + request.timeouts.ready
    given_files = {**install_files(request), "state": request.state}
    await work(host, "install.sh", given_files, limit, "the installation")
    return request.state


async def _after(request: requests.Restore, others: Sequence[Machine]) -> None:
    """Ends what has the old etcd, and starts kubelets anew; a machine that does not answer is named."""

    async def one(host: Host) -> None:
        script = "etcd_retire.sh" if host.machine in others else "etcd_kubelet.sh"
        result = await host.run(HERE / script, files(), _LOOK)
        if result.status:
            raise MachineError(host.machine.name, f"it could not be seen to after the restore ({result.last_words})", "")
        if result.stdout.strip():
            progress(host.machine.name, "its etcd and API server, with what was there before, were ended")

    for name, answer in (await on_all(request.fleet, one)).items():
        if isinstance(answer, MachineError):
            what = (
                "don't let it come back before it is wiped"
                if name in {m.name for m in others}
                else "restart its kubelet"
            )
            progress(name, f"warning: {answer.cause}; {what}")
