"""QEMU's synchronous mirror: two storage daemons, blockdev-mirror in write-blocking mode between them over NBD."""

import time
from collections.abc import Sequence
from typing import Any

from bench.errors import BenchError
from bench.peers.qmp import Qmp
from bench.peers.variants import MIRROR_VARIANTS, MirrorVariant
from bench.place import Address, Place
from bench.processes import HOST, LOOK_SECONDS, Child, await_nbd
from bench.same import assert_same
from bench.server import Server

DAEMON = "qemu-storage-daemon"
EXPORT = "disk"
SYNC_SECONDS = 600.0


class QemuMirror(Server):
    """The first daemon serves the host and mirrors every write to the second before it answers."""

    name = "qemu-mirror"
    title = "QEMU mirror"
    replicated = True

    def __init__(self, place: Place, variant: MirrorVariant = MIRROR_VARIANTS[0]) -> None:
        self._files = (place.disk("mirror-1.raw"), place.disk("mirror-2.raw"))
        self._addresses = (place.address("m1"), place.address("m2"))
        monitors = (place.socket("q1"), place.socket("q2"))
        self.settings = f"copy-mode=write-blocking, cache.direct=off, {variant.title}"
        self._daemons = [
            Child(
                _command(str(file), address, str(monitor), variant),
                place.log(f"qemu-{number}"),
            )
            for number, (file, address, monitor) in enumerate(
                zip(self._files, self._addresses, monitors, strict=True), 1
            )
        ]
        for daemon, address in zip(self._daemons, self._addresses, strict=True):
            await_nbd(daemon, address.target)
        self._qmp = Qmp(monitors[0])
        self._begin_mirror()

    @property
    def uri(self) -> str:
        return self._addresses[0].uri(EXPORT)

    def pids(self) -> Sequence[int]:
        return [daemon.pid for daemon in self._daemons]

    def _begin_mirror(self) -> None:
        server = _socket_address(self._addresses[1])
        self._qmp.call(
            "blockdev-add", driver="nbd", **{"node-name": "peer", "server": server, "export": EXPORT}
        )
        self._qmp.call(
            "blockdev-mirror",
            **{
                "job-id": "mirror",
                "device": EXPORT,
                "target": "peer",
                "sync": "full",
                "copy-mode": "write-blocking",
            },
        )
        give_up = time.monotonic() + SYNC_SECONDS
        while not self._job()["ready"]:
            if time.monotonic() > give_up:
                raise BenchError("QEMU's mirror did not become ready")
            time.sleep(LOOK_SECONDS)

    def _job(self) -> dict[str, Any]:
        jobs = self._qmp.call("query-block-jobs")
        if len(jobs) != 1:
            raise BenchError("QEMU's mirror job is gone")
        return dict(jobs[0])

    def check(self) -> None:
        """Ready, nothing left to copy, no block dirty: every write since then went to both before its answer."""
        for daemon in self._daemons:
            daemon.check_alive()
        job = self._job()
        if job["status"] != "ready" or not job["ready"] or job["offset"] != job["len"]:
            raise BenchError(f"QEMU's mirror is not in sync: {job}")
        nodes = self._qmp.call("query-named-block-nodes", flat=True)
        dirty = [
            bitmap["count"]
            for node in nodes
            for bitmap in node.get("dirty-bitmaps", [])
            if node["node-name"] == EXPORT
        ]
        if not dirty or any(dirty):
            raise BenchError(f"QEMU's mirror has fallen behind, it is not write-blocking any more: {dirty}")

    def finish(self) -> None:
        """Ending the job when it is ready leaves two equal disks; that is compared, byte by byte."""
        self.check()
        self._qmp.call("block-job-cancel", device="mirror")
        give_up = time.monotonic() + SYNC_SECONDS
        while self._qmp.call("query-block-jobs"):
            if time.monotonic() > give_up:
                raise BenchError("QEMU's mirror job does not end")
            time.sleep(LOOK_SECONDS)
        assert_same(*self._files)

    def stop(self) -> None:
        for daemon in self._daemons:
            daemon.stop()


def _command(file: str, address: Address, monitor: str, variant: MirrorVariant) -> list[str]:
    if address.path:
        listen = f"addr.type=unix,addr.path={address.path}"
    else:
        listen = f"addr.type=inet,addr.host={HOST},addr.port={address.port}"
    thread = ["--object", "iothread,id=io"] if variant.iothread else []
    export = f"type=nbd,id=export,node-name={EXPORT},name={EXPORT},writable=on"
    return [
        DAEMON,
        *thread,
        "--blockdev",
        f"driver=file,node-name={EXPORT},filename={file},cache.direct=off,cache.no-flush=off,aio={variant.aio}",
        "--nbd-server",
        listen,
        "--export",
        export + (",iothread=io" if variant.iothread else ""),
        "--chardev",
        f"socket,path={monitor},server=on,wait=off,id=monitor",
        "--monitor",
        "chardev=monitor",
    ]


def _socket_address(address: Address) -> dict[str, str]:
    if address.path:
        return {"type": "unix", "path": str(address.path)}
    return {"type": "inet", "host": HOST, "port": str(address.port)}
