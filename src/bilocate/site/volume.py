"""A volume at this site: its disk, its marks, its exports, and who carries its hosts' requests right now."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bilocate.replication.marks import Marks
from bilocate.replication.requests import Op, Request
from bilocate.site.disks import Disk, DiskTarget
from bilocate.site.figures import SAMPLED_MASK, Latencies
from bilocate.site.target import Allocation, HostConnection
from bilocate.site.waiting import WaitingRoom
from bilocate.site.wish import WantedExport

_WRITE = Op.WRITE


class Carrier(Protocol):
    """Carries out hosts' requests: the bare disk, a session that serves, or the waiting room."""

    def submit_all(self, requests: Sequence[Request]) -> None:
        """Take requests, in their order."""

    def busy(self) -> bool:
        """Whether hosts are to be read no further."""

    def end_of_batch(self) -> None:
        """No more requests are there right now."""

    def undisturbed(self, number: int, offset: int, length: int) -> bool:
        """Whether a host may be told now what the disk has there, without a read's wait for writes."""


class Export:
    """One attachment's way to a volume: what the NBD server serves under one export name."""

    __slots__ = ("attachment_id", "connections", "read_only", "submitted", "volume")

    def __init__(self, volume: "SiteVolume", attachment_id: str, read_only: bool = False) -> None:
        self.volume = volume
        self.attachment_id = attachment_id
        self.read_only = read_only  # its host may only read
        self.connections: set[HostConnection] = set()
        self.submitted = 0

    @property
    def findable(self) -> bool:
        """Whether hosts may connect to it now (rules 2 and 19)."""
        return self.volume.served and self.attachment_id not in self.volume.refused

    @property
    def size_bytes(self) -> int:
        return self.volume.size_bytes

    @property
    def min_block_bytes(self) -> int:
        return self.volume.disk.min_block_bytes

    @property
    def preferred_block_bytes(self) -> int:
        return max(4096, self.volume.disk.min_block_bytes)

    @property
    def takes_unread(self) -> bool:
        """Sessions send what is written, and the waiting room keeps it for them."""
        return self.volume.bare

    def submit_all(self, requests: Sequence[Request]) -> None:
        volume = self.volume
        number = volume.number
        if number:  # a request's number is 0 when it comes
            for request in requests:
                request.volume = number
        first = self.submitted + 1
        self.submitted += len(requests)
        for request in requests[(1 - first) & SAMPLED_MASK :: SAMPLED_MASK + 1]:
            if request.op is _WRITE:
                request.done = volume.latencies.timed(request.done)
        volume.carrier.submit_all(requests)

    def busy(self) -> bool:
        return self.volume.carrier.busy()

    def end_of_batch(self) -> None:
        self.volume.carrier.end_of_batch()

    def block_status(self, offset: int, length: int, done: Callable[[int, list[Allocation]], None]) -> None:
        self.volume.block_status(offset, length, done)

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return self.volume.disk.zeroes_fast(keep_allocated)

    def opened(self, connection: HostConnection) -> None:
        self.connections.add(connection)
        self.volume.connections.add(connection)

    def closed(self, connection: HostConnection) -> None:
        self.connections.discard(connection)
        self.volume.connections.discard(connection)

    def disconnect(self, reason: str) -> None:
        """Close its connections. They tell `closed` later."""
        for connection in list(self.connections):
            connection.disconnect(reason)


class SiteVolume:
    """See the module. `marks` live as long as the volume, whichever session carries it.

    `session_id`: the session that has it (though it may not serve it), None for a plain volume.
    `awaits_session`: no session has it, and yet it is not to be served bare: the controller knows of one that
    is to come (rule 17, and a hand-over from one session to another).
    """

    def __init__(self, marks: Marks, disk: Disk, error: str | None, unanswered_bytes_max: int) -> None:
        self.marks = marks
        self.disk = disk
        self.error = error
        self.exports: dict[str, Export] = {}  # by export name
        self.exports_revision = -1
        self.refused: set[str] = set()  # attachments from before a crash of the machine
        self.connections: set[HostConnection] = set()
        self.session_id: str | None = None
        self.awaits_session = False
        self.number = 0  # within the session that carries it
        self.latencies = Latencies()
        self.source: str | None = None  # the path that it was adopted from: its disk is its owner's
        self.room_bytes = 0  # beyond its size, up to here, its disk is known to be there and to read as zeros
        self._unanswered_bytes_max = unanswered_bytes_max
        self._waiting = WaitingRoom(unanswered_bytes_max)
        self._bare = DiskTarget(disk, unanswered_bytes_max, self.connections)
        self.carrier: Carrier = self._waiting

    @property
    def volume_id(self) -> str:
        return self.marks.record.volume_id

    @property
    def size_bytes(self) -> int:
        """What hosts see. The disk may be larger."""
        return self.marks.record.size_bytes

    @property
    def bare(self) -> bool:
        """Whether its disk is served without a session."""
        return self.carrier is self._bare

    @property
    def served(self) -> bool:
        """Whether hosts may connect."""
        return self.carrier is not self._waiting and not (self.bare and self.error)

    @property
    def refused_exports(self) -> list[str]:
        """The attachments that are still wanted, and refused: their hosts see an error until they attach anew."""
        return sorted({export.attachment_id for export in self.exports.values()} & self.refused)

    # --- who carries it ---

    def hold(self) -> None:
        """Nobody carries it; what hosts ask waits."""
        self.carrier = self._waiting

    def serve_bare(self) -> None:
        """The disk alone carries it."""
        self.session_id, self.number = None, 0
        self._go_on(self._bare)

    def serve_by(self, carrier: Carrier) -> None:
        """A session carries it, as its volume `number`."""
        self._go_on(carrier)

    def _go_on(self, carrier: Carrier) -> None:
        if self.carrier is carrier:
            return
        self.carrier = carrier
        waiting = self._waiting.take_all()
        for request in waiting:
            request.volume = self.number
        carrier.submit_all(waiting)
        carrier.end_of_batch()
        self.wake()

    def give_back(self, request: Request) -> None:
        """A session could not answer it: it goes to the next carrier, before all that came later."""
        self._waiting.give_back(request)

    async def bare_idle(self) -> None:
        """Wait until the bare disk has answered all that hosts asked of it."""
        idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bare.when_idle(lambda: None if idle.done() else idle.set_result(None))
        await idle

    def use_disk(self, disk: Disk) -> None:
        """From now on its disk is reached through this one, or no longer is. Sessions have to be told as well."""
        self.disk = self._bare.disk = disk

    def replace_disk(self, disk: Disk, error: str | None) -> None:
        """Another try to open it. Only while no session has it."""
        was_bare = self.bare
        self.disk.close()
        self.disk, self.error = disk, error
        self.room_bytes = 0
        self._bare = DiskTarget(disk, self._unanswered_bytes_max, self.connections)
        if was_bare:
            self.carrier = self._bare

    # --- hosts ---

    def wake(self) -> None:
        """Connections that were told to wait read on."""
        for connection in list(self.connections):
            connection.resume_reading()

    def disconnect(self, reason: str) -> None:
        """Close all connections; what waits is forgotten."""
        self._waiting.clear()
        for connection in list(self.connections):
            connection.disconnect(reason)

    @property
    def wanted_exports(self) -> list[WantedExport]:
        """Its exports as they were wanted."""
        return [(name, each.attachment_id, each.read_only) for name, each in self.exports.items()]

    def put_exports(self, wanted: Iterable[WantedExport]) -> None:
        """These (name, attachment, read only) and no others; hosts connected by one that is gone are disconnected."""
        kept: dict[str, Export] = {}
        for name, attachment_id, read_only in wanted:
            known = self.exports.pop(name, None)
            if known is not None and (known.attachment_id, known.read_only) != (attachment_id, read_only):
                known.disconnect("the attachment has ended")
                known = None
            kept[name] = known or Export(self, attachment_id, read_only)
        for gone in self.exports.values():
            gone.disconnect("the attachment has ended")
        self.exports = kept

    def refuse_attachments(self) -> bool:
        """OLD MEMORY: all that are known are refused from now on. Whether any is new among the refused."""
        known = {export.attachment_id for export in self.exports.values()}
        if known <= self.refused:
            return False
        self.refused |= known
        for export in self.exports.values():
            export.disconnect("attached before the machine crashed")
        return True

    def block_status(self, offset: int, length: int, done: Callable[[int, list[Allocation]], None]) -> None:
        """Holes, as the disk tells them.

        "Reads as zeros" is a read, and whether it may be answered only the carrier knows, before and after the
        disk was asked (rule 2, READWAIT). To tell all as data is always allowed.
        """
        carrier, number = self.carrier, self.number

        def found(code: int, allocations: list[Allocation]) -> None:
            if self.carrier is carrier and carrier.undisturbed(number, offset, length):
                done(code, allocations)
            else:
                done(0, [(length, False, False)])

        if carrier.undisturbed(number, offset, length):
            self.disk.block_status(offset, length, found)
        else:
            done(0, [(length, False, False)])
