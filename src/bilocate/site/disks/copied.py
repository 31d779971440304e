"""A disk of which a copy is being made: the copy is what the disk holds at one moment, while hosts go on writing.

    hold     what comes to be written waits, until all that was under way is written (`Disk.when_written`)
    begin    that is the moment. From now on a write first has saved to the copy whatever of its chunks the copy
             lacks; all the others are saved one after another meanwhile

So a write into a chunk waits for at most once, and only until that chunk is saved; reads and flushes wait for
nothing. The end comes however much hosts write, and there is no last rest to stop them for. Every write that was
answered before the moment is in the copy, and none that came after it: what a power cut of that moment could have
left of the disk.

It stands before the disk only while a copy is made; requests that never meet it cost nothing more.
A copy that can't go on (a disk fails, it is not wanted any more) frees all writes at once, and changes nothing else.
"""

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bilocate.domain.geometry import CHUNK_BYTES, chunk_count
from bilocate.replication.ports import TRANSIENT_BYTES_MAX
from bilocate.site.disks.base import Buffer, Disk, ErrnoDone, Payload
from bilocate.site.disks.wrapped import WrappedDisk
from bilocate.site.target import Allocation

# Long enough to go to a thread at both ends: the event loop is for hosts.
_RUN_CHUNKS_MAX = 32
# As much may be saved and not be on the disk yet: what a system has to write at once, hosts wait for as well.
_UNFLUSHED_BYTES_MAX = 64 * 1024 * 1024
_STATUS_BYTES_MAX = 1024**3

_SAVED, _LEFT, _BUSY = 0, 1, 2
_LEFT_IS_SAVED = bytes([_SAVED, _SAVED, _BUSY])


@dataclass(slots=True, eq=False)
class _Waiting:
    """A write that waits for chunks `first` to `end` (not included)."""

    first: int
    end: int
    begin: Callable[[], int | None]
    done: ErrnoDone
    is_saving: bool = False


class CopiedDisk(WrappedDisk):
    """See the module. It holds from the beginning; `begin` or `give_up` follow."""

    def __init__(self, disk: Disk, copy: Disk, ended: Callable[[int, str], None]) -> None:
        """`copy`: zeros, and not smaller than `disk`. `ended(errno, what)`: once, on the event loop and never from
        inside a call; 0: the copy has all, not flushed; else what failed."""
        super().__init__(disk)
        self._copy = copy
        self._ended: Callable[[int, str], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self._holding = True
        self._waiting: list[_Waiting] = []
        self._chunks = bytearray()  # each _SAVED, _LEFT or _BUSY; empty before the moment and after the end
        self._bytes = 0  # of the disk, at the moment
        self._known_until = 0  # below it the holes are saved, so what is left there is data
        self._is_ahead = False  # a step of what is done beside hosts' writes is under way
        self._unflushed_bytes = 0
        self._woken = False

    @property
    def left_bytes(self) -> int:
        """How much is not saved yet, about."""
        return self._chunks.count(_LEFT) * CHUNK_BYTES

    def begin(self, size_bytes: int) -> None:
        """This is the moment. Copied are the first `size_bytes`."""
        self._bytes = size_bytes
        self._chunks = bytearray([_LEFT]) * chunk_count(size_bytes)
        self._holding = False
        self._wake()

    def give_up(self, code: int, what: str) -> None:
        """The copy is not made to its end: writes go on as if it never had been. No effect after the end."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        self._holding = False
        self._chunks = bytearray()
        self._wake()
        self._loop.call_soon(ended, code, what)

    # --- hosts' writes ---

    def write_now(self, offset: int, data: Payload) -> int | None:
        if self._holding or self._is_in_the_way(*_chunks_of(offset, len(data))):
            return None
        return self._disk.write_now(offset, data)

    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        first, end = _chunks_of(offset, len(data))
        if not self._holding and not self._is_in_the_way(first, end):
            return self._disk.write(offset, data, done)
        if type(data) is memoryview and len(data) <= TRANSIENT_BYTES_MAX:
            data = bytes(data)
        self._wait(_Waiting(first, end, lambda: self._disk.write(offset, data, done), done))
        return None

    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        first, end = _chunks_of(offset, length)
        if not self._holding and not self._is_in_the_way(first, end):
            return self._disk.zero(offset, length, keep_allocated, done)
        begin = lambda: self._disk.zero(offset, length, keep_allocated, done)  # noqa: E731
        self._wait(_Waiting(first, end, begin, done))
        return None

    def _is_in_the_way(self, first: int, end: int) -> bool:
        chunks = self._chunks
        return chunks.find(_LEFT, first, end) >= 0 or chunks.find(_BUSY, first, end) >= 0

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._wake()

    def _wake(self) -> None:
        """Soon, and never from inside a call: an answer must not come before the call has returned."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._woken = False
        if self._holding:
            return
        waiting, self._waiting = self._waiting, []
        still = [each for each in waiting if not self._free(each)]
        self._waiting = still + self._waiting
        if self._ended is not None and not self._is_ahead:
            self._go_ahead()

    def _free(self, waiting: _Waiting) -> bool:
        """Let a write go if nothing is in its way; else see to it that it can."""
        left = self._chunks.find(_LEFT, waiting.first, waiting.end)
        if left < 0 and self._chunks.find(_BUSY, waiting.first, waiting.end) < 0:
            code = waiting.begin()
            if code is not None:
                waiting.done(code)
            return True
        if left >= 0 and not waiting.is_saving:
            waiting.is_saving = True

            def saved() -> None:
                waiting.is_saving = False

            self._save(left, min(waiting.end, left + _RUN_CHUNKS_MAX), saved)
        return False

    # --- saving ---

    def _go_ahead(self) -> None:
        """One step of saving what no host asks for: where holes are, or a run of chunks, or a flush."""
        left = self._chunks.find(_LEFT)
        if left < 0:
            if self._chunks.find(_BUSY) < 0:
                self._end()
            return
        self._is_ahead = True
        if self._unflushed_bytes >= _UNFLUSHED_BYTES_MAX:
            self._unflushed_bytes = 0
            self._copy.flush(self._flushed)
        elif left * CHUNK_BYTES >= self._known_until:
            offset = left * CHUNK_BYTES
            length = min(_STATUS_BYTES_MAX, self._bytes - offset)
            self._disk.block_status(offset, length, lambda code, found: self._status(offset, code, found))
        else:
            self._save(left, left + _RUN_CHUNKS_MAX, self._ahead_done)

    def _ahead_done(self) -> None:
        self._is_ahead = False

    def _flushed(self, code: int) -> None:
        self._ahead_done()
        if code:
            self.give_up(code, "flushing the copy")
        self._wake()

    def _status(self, offset: int, code: int, found: Sequence[Allocation]) -> None:
        """Holes are as good as saved: the copy is zeros. Of a chunk that is still left nothing has changed since the
        moment, whenever the disk looked; of one that is being saved this says nothing."""
        self._ahead_done()
        if code:
            self.give_up(code, "reading the source")
        elif self._chunks:
            for length, _, reads_as_zeros in found:
                if reads_as_zeros:
                    self._skip(offset, offset + length)
                offset += length
            self._known_until = offset
        self._wake()

    def _skip(self, offset: int, end: int) -> None:
        first = chunk_count(offset)
        last = len(self._chunks) if end >= self._bytes else end // CHUNK_BYTES
        if first < last:
            self._chunks[first:last] = self._chunks[first:last].translate(_LEFT_IS_SAVED + bytes(253))

    def _save(self, first: int, end: int, then: Callable[[], None]) -> None:
        """Save chunks from `first` on, at most to `end`, as long as they are left. `then` comes in any case."""
        chunks = self._chunks
        end = min(end, len(chunks))
        run_end = next((chunk for chunk in range(first, end) if chunks[chunk] != _LEFT), end)
        chunks[first:run_end] = bytes([_BUSY]) * (run_end - first)
        offset = first * CHUNK_BYTES
        length = min(run_end * CHUNK_BYTES, self._bytes) - offset

        def written(code: int) -> None:
            then()
            if code:
                self.give_up(code, "writing the copy")
            elif self._chunks:
                self._chunks[first:run_end] = bytes(run_end - first)
                self._unflushed_bytes += length
            self._wake()

        def found(data: Buffer | int) -> None:
            if isinstance(data, int):
                then()
                self.give_up(data, "reading the source")
                self._wake()
                return
            code = 0 if data == bytes(length) else self._copy.write(offset, data, written)
            if code is not None:
                written(code)

        data = self._disk.read(offset, length, found)
        if data is not None:
            found(data)

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        self._chunks = bytearray()
        if ended is not None:
            self._loop.call_soon(ended, 0, "")

    # --- the rest is the disk's own affair; by what it grows is not in the copy ---

    def read_now(self, offset: int, length: int) -> Buffer | int | None:
        return self._disk.read_now(offset, length)

    def close(self) -> None:
        """What waits is under way as well: it is still done."""
        self.give_up(errno.ESHUTDOWN, "the source was closed")
        self._holding = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            code = each.begin()
            if code is not None:
                self._loop.call_soon(each.done, code)
        self._disk.close()


def _chunks_of(offset: int, length: int) -> tuple[int, int]:
    """The first chunk that bytes touch, and the one behind the last."""
    return offset // CHUNK_BYTES, chunk_count(offset + length)
