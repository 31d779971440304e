"""One written block: what is in it and where it goes. Shared by the writer's process and the checker.

Every 64 bytes of a block name the whole write, so a block that is torn, old or of another place is known as
such. Records are numbered; a phase is one stretch of writing at one place (a failover begins a new one), with
a region of its own, so that what an earlier phase left can still be checked later.
"""

import struct
import zlib
from dataclasses import dataclass

MIB = 1024 * 1024
BLOCK_BYTES = 4096
EXTENT_BYTES = 4 * MIB
VOLUMES = 2
# So many are under way at once, on all volumes together.
DEPTH = 16

# A phase touches four extents of each volume, a quarter of each: 4 MiB in each volume, written over and over.
EXTENTS_PER_PHASE = 4
ROWS_PER_EXTENT = 256
BLOCKS_PER_VOLUME = EXTENTS_PER_PHASE * ROWS_PER_EXTENT
SLOTS = VOLUMES * BLOCKS_PER_VOLUME
PHASE_BYTES = EXTENTS_PER_PHASE * EXTENT_BYTES
# The last 64 MiB of a volume of 1 GiB stay free for what tests write by other means.
PHASES = 60
FREE_FROM_BYTE = PHASES * PHASE_BYTES

# Odd, so that records wander over all slots before one is written again, and from volume to volume unevenly.
STRIDE = 1597

_LINE = struct.Struct("<8s8sQIIQ20s")
_SUM = struct.Struct("<I")
MAGIC = b"BILOREAL"
ZERO = bytes(BLOCK_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record goes."""

    volume: int
    offset: int


class NotARecord(ValueError):
    """A block that holds neither zeros nor one whole record of this run."""


def place_of(seq: int, phase: int) -> Place:
    """Where record `seq`, written in `phase`, goes."""
    slot = (seq * STRIDE) % SLOTS
    volume, block = divmod(slot, BLOCKS_PER_VOLUME)
    row, extent = divmod(block, EXTENTS_PER_PHASE)
    return Place(volume, phase % PHASES * PHASE_BYTES + extent * EXTENT_BYTES + row * BLOCK_BYTES)


def places_of_phase(phase: int) -> list[Place]:
    """All places of a phase."""
    return [place_of(seq, phase) for seq in range(SLOTS)]


def encode(run: bytes, seq: int, place: Place) -> bytes:
    """The block of a record. `run`: eight bytes that tell one writer's records from another's."""
    line = _LINE.pack(MAGIC, run, seq, place.volume, 0, place.offset, b"")
    line += _SUM.pack(zlib.crc32(line))
    return line * (BLOCK_BYTES // len(line))


def decode(run: bytes, block: bytes, place: Place) -> int:
    """The number of the record in a block, 0 for zeros; records are numbered from 1.

    :raises NotARecord: it holds something else.
    """
    if block == ZERO:
        return 0
    line = block[: _LINE.size + _SUM.size]
    magic, its_run, seq, volume, _, offset, _ = _LINE.unpack_from(line)
    if magic != MAGIC or _SUM.unpack_from(line, _LINE.size)[0] != zlib.crc32(line[: _LINE.size]):
        raise NotARecord(f"{place}: no record")
    if its_run != run:
        raise NotARecord(f"{place}: a record of another writer")
    if block != line * (BLOCK_BYTES // len(line)):
        raise NotARecord(f"{place}: a torn block that begins with record {seq}")
    if (volume, offset) != (place.volume, place.offset):
        raise NotARecord(f"{place}: a record of {Place(volume, offset)}")
    return int(seq)
