"""What hosts asked for and were told, and what operators said: all that the checkers may know beside the disks."""

import struct
from dataclasses import dataclass, field

from tests.sim.world.disk import SECTOR, ZERO

from bilocate.replication.requests import Op

_STAMP = struct.Struct("!QII")  # number of the write, volume, sector
_PAD = bytes(SECTOR - _STAMP.size)
NEVER = 1 << 62


@dataclass(slots=True, eq=False)
class HostOp:
    """One request of a host. Moments are counts of host events, so no two are the same."""

    number: int
    op: Op
    volume: int  # number of the pair
    site: str
    first: int  # sector
    count: int
    issued: int
    branch: int
    fua: bool = False
    answered: int = NEVER
    errno: int = 0
    ended: int = NEVER  # its connection was closed: it takes effect before that, or not at all
    found: list[int] = field(default_factory=list)  # READ: who wrote each sector

    @property
    def ok(self) -> bool:
        """Whether the host was told that it was done."""
        return self.answered != NEVER and not self.errno

    @property
    def effect_end(self) -> int:
        """The moment by which it has taken effect, if it ever does. After an error it may do so later."""
        return self.answered if self.ok else self.ended

    @property
    def sectors(self) -> range:
        """The sectors it touches."""
        return range(self.first, self.first + self.count)


class History:
    """Everything in one order. `branch` rises where an operator accepted that answered writes may be lost."""

    def __init__(self) -> None:
        self.clock = 0
        self.branch = 0
        self.ops: list[HostOp] = []
        self.by_number: dict[int, HostOp] = {}
        self.flushes: list[HostOp] = []  # answered without an error, in order of their answers

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    def issue(self, op: Op, volume: int, site: str, first: int, count: int, fua: bool = False) -> HostOp:
        """A host asks."""
        record = HostOp(len(self.ops) + 1, op, volume, site, first, count, self.tick(), self.branch, fua)
        self.ops.append(record)
        self.by_number[record.number] = record
        return record


def content_of(op: HostOp) -> bytes:
    """What a write puts there: every sector says who wrote it, and where it belongs."""
    return b"".join([_STAMP.pack(op.number, op.volume, sector) + _PAD for sector in op.sectors])


def writer_of(volume: int, sector: int, content: bytes) -> int:
    """Who wrote this sector; 0 for zeros. A sector that belongs elsewhere is an error at once."""
    number, its_volume, its_sector = _STAMP.unpack_from(content)
    if not number and content == ZERO:
        return 0
    if (its_volume, its_sector) != (volume, sector):
        raise AssertionError(
            f"sector {sector} of volume {volume} holds what was written to {its_sector} of {its_volume}"
        )
    return int(number)


def writers_of(volume: int, first: int, data: bytes | bytearray | memoryview) -> list[int]:
    """Who wrote each sector of what was read."""
    view = memoryview(data)
    return [
        writer_of(volume, first + index, bytes(view[index * SECTOR : (index + 1) * SECTOR]))
        for index in range(len(view) // SECTOR)
    ]
