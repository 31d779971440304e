"""Dependent writes over two volumes, as a database and its log make them, and the check of what survived.

A stream writes numbered records of one block each, in turn to the first and the second volume; record n+1 is
sent only after record n was acknowledged. So whatever moment a site holds of *both* volumes, the records it
has of a stream must be 0, 1, 2 … without a gap, at least all acknowledged ones and at most one more. A gap
means that the volumes are of different moments; a record missing at the end, that an acknowledged write was
lost.
"""

import asyncio
import hashlib
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bilocate.demo.nbd_client import NbdClient, NbdError, NbdGone

BLOCK_BYTES = 4096
HEADER = struct.Struct(">8sIQ")
MAGIC = b"bilorec1"
DIGEST_BYTES = 32
# A stream's part of each volume: room for 32768 records over the two, more than a demonstration writes.
REGION_BYTES = 64 * 1024**2
RECORDS_PER_REGION = REGION_BYTES // BLOCK_BYTES
READ_BYTES = 256 * 1024


@dataclass
class Stream:
    """One writer, and what it knows from outside: how many of its records were acknowledged."""

    number: int
    first_byte: int  # where its region starts, on both volumes
    acknowledged: int = 0
    last_acknowledged_at: float = 0.0  # time.monotonic()

    def place(self, record: int) -> tuple[int, int]:
        """(volume 0 or 1, byte offset) of a record."""
        return record % 2, self.first_byte + (record // 2) * BLOCK_BYTES

    @property
    def full(self) -> bool:
        """Whether its region has no room left."""
        return self.acknowledged >= 2 * RECORDS_PER_REGION


@dataclass
class Found:
    """What a site holds of one stream."""

    acknowledged: int
    present: int  # records found in an unbroken row from 0
    beyond: int  # records found after the first gap: more than none means that the order was broken

    @property
    def missing(self) -> int:
        """Acknowledged records that are not there."""
        return max(0, self.acknowledged - self.present)

    @property
    def in_order(self) -> bool:
        """Whether what is there is the beginning of what was written, and nothing from a later moment."""
        return self.beyond == 0 and self.present <= self.acknowledged + 1


@dataclass
class Writers:
    """Streams that write until they are stopped or their connections end."""

    streams: Sequence[Stream]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    stopping: bool = False

    def start(self, volumes: Sequence[NbdClient]) -> None:
        """Begin to write, or go on after the last acknowledged record."""
        self.stopping = False
        self.tasks = [asyncio.create_task(self._write(stream, volumes)) for stream in self.streams]

    async def stop(self) -> None:
        """Let every stream end after the record it is at."""
        self.stopping = True
        await self.ended()

    async def ended(self) -> None:
        """Come back when all streams have ended, by `stop` or because their connections broke."""
        await asyncio.gather(*self.tasks)

    @property
    def acknowledged(self) -> int:
        """All records acknowledged so far."""
        return sum(stream.acknowledged for stream in self.streams)

    async def _write(self, stream: Stream, volumes: Sequence[NbdClient]) -> None:
        while not self.stopping and not stream.full:
            volume, offset = stream.place(stream.acknowledged)
            try:
                await volumes[volume].write(offset, encode(stream.number, stream.acknowledged))
            except (NbdGone, NbdError):
                return  # what a host sees when its site dies: no answer, so the record does not count
            stream.acknowledged += 1
            stream.last_acknowledged_at = time.monotonic()


async def first_acknowledgement(writers: Writers, since: int, timeout_seconds: float) -> float:
    """When (time.monotonic) a record was first acknowledged after `since` had been."""
    give_up = time.monotonic() + timeout_seconds
    while writers.acknowledged <= since:
        if time.monotonic() > give_up:
            raise TimeoutError("no write was acknowledged in time")
        await asyncio.sleep(0.0005)
    return time.monotonic()


def encode(stream: int, record: int) -> bytes:
    """A block that says which record it is, and whose every byte is covered by a digest."""
    header = HEADER.pack(MAGIC, stream, record)
    body = header + hashlib.sha256(header).digest() * ((BLOCK_BYTES - HEADER.size) // DIGEST_BYTES - 1)
    body = body.ljust(BLOCK_BYTES - DIGEST_BYTES, b"\0")
    return body + hashlib.sha256(body).digest()


def holds(block: bytes, stream: int, record: int) -> bool:
    """Whether a block is exactly this record."""
    return block == encode(stream, record)


async def find(stream: Stream, volumes: Sequence[NbdClient]) -> Found:
    """Read a stream's records back and see how far they go."""
    # A little further than what was acknowledged: a record from a later moment would stand there.
    last = min(stream.acknowledged + 64, 2 * RECORDS_PER_REGION)
    present = [False] * last
    per_read = READ_BYTES // BLOCK_BYTES

    async def look(volume: int, first_row: int) -> None:
        content = await volumes[volume].read(stream.first_byte + first_row * BLOCK_BYTES, READ_BYTES)
        for row in range(per_read):
            record = (first_row + row) * 2 + volume
            if record < last:
                block = content[row * BLOCK_BYTES : (row + 1) * BLOCK_BYTES]
                present[record] = holds(block, stream.number, record)

    rows = range(0, (last + 1) // 2, per_read)
    await asyncio.gather(*(look(volume, row) for volume in (0, 1) for row in rows))
    unbroken = next((record for record in range(last) if not present[record]), last)
    return Found(stream.acknowledged, unbroken, sum(present[unbroken:]))
