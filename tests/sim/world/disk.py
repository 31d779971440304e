"""A volume's bytes at one site: sectors in a page cache over what is durable.

A power cut may keep any version of a sector that was written since the last flush, or none: a cache writes back
when it likes, in any order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from blake3 import blake3

from bilocate.domain.geometry import CHUNK_BYTES, chunk_length
from bilocate.replication.ports import Buffer, ChunkContent

SECTOR = 512
ZERO = bytes(SECTOR)
SECTORS_PER_CHUNK = CHUNK_BYTES // SECTOR
Version = tuple[int, bytes]  # of which write, what it put there


@lru_cache(maxsize=64)
def _zeros(length: int) -> ChunkContent:
    return ChunkContent(-1, blake3(bytes(length)).digest(), None)


@dataclass(frozen=True, slots=True)
class Failure:
    """Operations that touch these bytes fail. `op` is "read", "write" or "flush" (of the whole disk)."""

    op: str
    errno: int
    first: int = 0
    end: int = 1 << 62


class Disk:
    """One volume at one site. It outlives the agent's process; what to run when is the agent's business."""

    def __init__(self, volume_id: str, size_bytes: int, volume: int = 0) -> None:
        assert size_bytes % SECTOR == 0
        self.volume_id = volume_id
        self.volume = volume  # the number of its pair
        self.size_bytes = size_bytes
        self.failures: list[Failure] = []
        self.cache: dict[int, bytes] = {}  # a sector that is not there is zeros
        self.changed: set[int] | None = None  # what a checker has not seen yet; None: perhaps everything
        self._durable: dict[int, bytes] = {}
        self._writes = 0  # how many there were
        self._unflushed: dict[int, list[Version]] = {}  # by sector: since the last flush, in order
        self.flush_broken = 0
        self._chunks: dict[int, ChunkContent] = {}  # as hashed, until something is written there
        self._touched: set[int] = set()  # chunks in which anything was ever written: all others are zeros

    # --- the work of a running process ---

    def write(self, offset: int, length: int, data: Buffer, rng: Random) -> int:
        """Write, or zero where there is no data. An errno leaves any part of it written."""
        errno = self._failure("write", offset, length)
        if errno:
            self.tear(offset, length, data, rng)
            return errno
        self._set(offset, data, range(length // SECTOR))
        self._forget_chunks(offset, length)
        return 0

    def tear(self, offset: int, length: int, data: Buffer, rng: Random) -> None:
        """Some sectors of a write arrive, others don't: an error, or a process that ended meanwhile."""
        most = rng.choice((0.0, 0.5, 1.0))
        self._set(offset, data, [index for index in range(length // SECTOR) if rng.random() < most])
        self._forget_chunks(offset, length)

    def read(self, offset: int, length: int) -> bytes | int:
        """The bytes, or an errno."""
        errno = self._failure("read", offset, length)
        if errno:
            return errno
        first = offset // SECTOR
        cache = self.cache
        return b"".join([cache.get(sector, ZERO) for sector in range(first, first + length // SECTOR)])

    def chunk(self, chunk: int) -> ChunkContent | int:
        """One chunk with its hash; zeros come without bytes. An errno when it can't be read."""
        length = chunk_length(chunk, self.size_bytes)
        if self.failures and (errno := self._failure("read", chunk * CHUNK_BYTES, length)):
            return errno
        found = self._chunks.get(chunk)
        if found is None:
            found = self._chunks[chunk] = self._hash(chunk, length)
        return found

    def _hash(self, chunk: int, length: int) -> ChunkContent:
        first = chunk * SECTORS_PER_CHUNK
        zeros = _zeros(length)
        if chunk not in self._touched:
            return ChunkContent(chunk, zeros.digest, None)
        data = b"".join([self.cache.get(sector, ZERO) for sector in range(first, first + length // SECTOR)])
        digest = blake3(data).digest()
        return ChunkContent(chunk, digest, None if digest == zeros.digest else data)

    def begin_flush(self) -> Callable[[], int]:
        """A flush begins: what it gives makes durable what was written by now, no more, and says its errno."""
        moment = self._writes

        def end() -> int:
            errno = self.flush_broken or self._failure("flush", 0, self.size_bytes)
            if errno:
                self.flush_broken = errno  # the system may have dropped what it could not write
                return errno
            self._harden(moment)
            return 0

        return end

    def _harden(self, moment: int) -> None:
        unflushed, durable = self._unflushed, self._durable
        for sector in [sector for sector, versions in unflushed.items() if versions[0][0] <= moment]:
            versions = unflushed[sector]
            if versions[-1][0] <= moment:
                durable[sector] = versions[-1][1]
                del unflushed[sector]
            else:
                older = [content for number, content in versions if number <= moment]
                durable[sector] = older[-1]
                del versions[: len(older)]

    def bring(self, sector: int, content: bytes) -> None:
        """What was on this disk already, whoever wrote it."""
        self.cache[sector] = self._durable[sector] = content
        self.changed = None
        self._forget_chunks(sector * SECTOR, SECTOR)

    # --- ends ---

    def process_ended(self) -> None:
        """The page cache stays; a file that is opened again forgets the failed flush."""
        self.flush_broken = 0

    def power_cut(self, keep: Callable[[int], int]) -> bool:
        """`keep(n)`: how many of a sector's n versions since the last flush the disk had. Whether any was lost."""
        lost = False
        for sector, versions in self._unflushed.items():
            count = keep(len(versions))
            lost = lost or count < len(versions)
            if count:
                self._durable[sector] = versions[count - 1][1]
        self._unflushed.clear()
        self._chunks.clear()
        self.cache = dict(self._durable)
        self.changed = None
        self.flush_broken = 0
        return lost

    @property
    def unflushed_sectors(self) -> int:
        """How many sectors a power cut may take back."""
        return len(self._unflushed)

    # --- inside ---

    def _set(self, offset: int, data: Buffer, indexes: Iterable[int]) -> None:
        """These sectors of a write, counted from its first; zeros where there is no data.

        Where the same is there already, and durably, nothing can tell that it was written once more.
        """
        self._writes = number = self._writes + 1
        cache, unflushed, changed, first = self.cache, self._unflushed, self.changed, offset // SECTOR
        data, content = bytes(data), ZERO
        for index in indexes:
            if data:
                content = data[index * SECTOR : (index + 1) * SECTOR]
            sector = first + index
            versions = unflushed.get(sector)
            if versions is None and cache.get(sector, ZERO) == content:
                continue
            cache[sector] = content
            if changed is not None:
                changed.add(sector)
            if versions is None:
                unflushed[sector] = [(number, content)]
            else:
                versions.append((number, content))

    def _forget_chunks(self, offset: int, length: int) -> None:
        for chunk in range(offset // CHUNK_BYTES, (offset + length - 1) // CHUNK_BYTES + 1):
            self._touched.add(chunk)
            self._chunks.pop(chunk, None)

    def _failure(self, op: str, offset: int, length: int) -> int:
        for failure in self.failures:
            if failure.op == op and offset < failure.end and failure.first < offset + length:
                return failure.errno
        return 0
