"""A host: connections to one pair's volume, requests with unique content, a record of every answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.world.connection import Connection
from tests.sim.world.disk import SECTOR
from tests.sim.world.history import HostOp, content_of, writers_of

from bilocate.replication.requests import Op, Request

if TYPE_CHECKING:
    from tests.sim.world.world import World


class Host:
    """One connection at a time to one volume, wherever it is served. What is under way when it closes is lost."""

    def __init__(self, world: "World", volume: int) -> None:
        self.world = world
        self.volume = volume
        self.connection: Connection | None = None
        self.attachment = world.new_name("attachment")
        self.pending: dict[int, HostOp] = {}
        self.then: Callable[[HostOp], None] | None = None  # told of every answer
        self.lost: Callable[[], None] | None = None  # told when the connection is gone

    def connect(self, site: str) -> bool:
        """Connect at a site; whether it serves this host. A refused attachment is made anew."""
        agent = self.world.agents[site]
        if self.attachment in agent.refused:
            # Somebody looked at the error, and attached the volume again.
            self.attachment = self.world.new_name("attachment")
        volume_id = self.world.volume_id(self.volume, site)
        self.connection = agent.connect(volume_id, self.attachment, self._closed)
        return self.connection is not None

    def _closed(self, reason: str) -> None:
        self.connection = None
        moment = self.world.history.tick()
        for op in self.pending.values():
            op.ended = moment
            self.world.observers.ended(op)
        self.pending.clear()
        if self.lost is not None:
            self.lost()

    # --- requests; offsets and lengths are counted in sectors ---

    def write(self, first: int, count: int = 1, fua: bool = False) -> HostOp:
        """Write unique content."""
        return self._ask(Op.WRITE, first, count, fua)

    def zero(self, first: int, count: int = 1) -> HostOp:
        """Write zeros."""
        return self._ask(Op.ZERO, first, count)

    def read(self, first: int, count: int = 1) -> HostOp:
        """Read; who wrote it is in `found` once it is answered."""
        return self._ask(Op.READ, first, count)

    def flush(self) -> HostOp:
        """What was answered on this volume is durable once this is answered."""
        return self._ask(Op.FLUSH, 0, 0)

    def _ask(self, op: Op, first: int, count: int, fua: bool = False) -> HostOp:
        connection = self.connection
        assert connection is not None, "the host is not connected"
        world = self.world
        record = world.history.issue(op, self.volume, connection.site, first, count, fua)
        self.pending[record.number] = record
        data: bytes = content_of(record) if op is Op.WRITE else b""

        def done(request: Request, errno: int) -> None:
            if connection.open:
                self._answered(record, request, errno)

        request = Request(op, first * SECTOR, count * SECTOR, done, data, fua=fua)
        world.observers.issued(record)
        if world.trace.on:
            what = f"{op.name} #{record.number} vol{self.volume} {first}+{count}"
            world.trace.add(
                world.scheduler.now, "host", f"{what}{' FUA' if fua else ''} at {connection.site}"
            )
        connection.submit(request)
        return record

    def _answered(self, record: HostOp, request: Request, errno: int) -> None:
        world = self.world
        if self.pending.pop(record.number, None) is None:
            raise AssertionError(f"request {record.number} was answered twice")
        record.errno = errno
        if record.op is Op.READ and not errno:
            record.found = writers_of(self.volume, record.first, request.payload)
        record.answered = world.history.tick()
        if record.op is Op.FLUSH and not errno:
            world.history.flushes.append(record)
        if world.trace.on:
            found = f" found {record.found}" if record.op is Op.READ else ""
            world.trace.add(
                world.scheduler.now,
                "host",
                f"answered #{record.number} {record.op.name} errno={errno}{found}",
            )
        world.observers.answered(record)
        if self.then is not None:
            self.then(record)
