"""What disks with a file descriptor share: the way from the loop to the page cache, or to a thread."""

import errno
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from bilocate.domain.geometry import CHUNK_BYTES, chunk_length
from bilocate.replication.ports import TRANSIENT_BYTES_MAX, ChunkContent
from bilocate.replication.requests import Unread
from bilocate.site.buffers import payloads
from bilocate.site.disks import syscalls
from bilocate.site.disks.base import Buffer, ChunksDone, Disk, ErrnoDone, Payload, ReadDone, StatusDone
from bilocate.site.disks.chunks import hashed, read_and_hash
from bilocate.site.disks.workers import Workers
from bilocate.site.target import Allocation

T = TypeVar("T")

# Measured on ext4, Linux 6.18: a pwrite of 4 KiB on the loop takes 2 to 7 us (see WRITE_PIECE_BYTES), the hop to
# a thread and back adds 67. RWF_NOWAIT for buffered writes is refused by ext4: the call is a plain pwrite.
# 1 MiB takes 135 us on the loop, and a host's 1 MiB writes at depth 8 were 1.3 times as many as with the hop;
# longer ones would hold up everything else on the loop and go to a thread.
LOOP_WRITE_BYTES_MAX = 1024 * 1024
# A cached preadv with RWF_NOWAIT costs 1.6 us for 4 KiB, and one that would sleep says so at once. Reads of
# 1 MiB at depth 8 were 1.1 times as many as with the hop.
LOOP_READ_BYTES_MAX = 1024 * 1024
# Punching takes 117 us for 4 KiB, 230 us for 64 KiB (a transaction and cached pages): long ones in a thread.
LOOP_ZERO_BYTES_MAX = 64 * 1024
# A pwrite that slept (the kernel throttles writers when too much is dirty) sends the next ones to threads
# for a while, so that heartbeats and other volumes do not wait for this disk.
SLOW_WRITE_SECONDS = 0.01
SLOW_HOLD_SECONDS = 0.5
# How many ranges one block status may tell; hosts ask again from where it ended.
STATUS_RANGES_MAX = 1024


class DescriptorDisk(Disk):
    """A disk behind a file descriptor, which it owns."""

    _loop_zero_bytes_max = LOOP_ZERO_BYTES_MAX

    def __init__(self, fd: int, name: str, size_bytes: int, min_block_bytes: int, workers: Workers) -> None:
        self._fd = fd
        self.name = name
        self.size_bytes = size_bytes
        self.min_block_bytes = min_block_bytes
        self._workers = workers
        self._under_way = 0  # work that has the descriptor
        self._writes_in_threads = 0  # zeroings too
        self._when_written: list[Callable[[], None]] = []
        self._closed = False
        self._slow_until = 0.0
        self._slow_at = -SLOW_HOLD_SECONDS  # when a write was slow last
        self._nowait = True  # until the file system says that it cannot
        self._in_memory = syscalls.is_in_memory(fd)  # tmpfs refuses RWF_NOWAIT, and has nothing to wait for
        self._beginning_write_out = False  # one at a time: it waits where the medium has much to do
        self._flushing = False
        self._flush_next: list[ErrnoDone] = []  # those that came while a flush was under way
        self._flush_errno = 0

    @abstractmethod
    def _zero_now(self, offset: int, length: int, keep_allocated: bool) -> int:
        """Zero a range inside the disk, blocking; an errno."""

    def write_now(self, offset: int, data: Payload) -> int | None:
        length = len(data)
        if length > LOOP_WRITE_BYTES_MAX:
            return None
        if self._closed or offset < 0 or offset + length > self.size_bytes:
            return self._refusal(offset, errno.ENOSPC)
        began = 0.0
        if not self._in_memory:  # else a long write was kept from a CPU, not from a disk
            began = monotonic()
            if began < self._slow_until:
                return None
        code = self._pwrite(offset, data, length)
        if began and (ended := monotonic()) - began > SLOW_WRITE_SECONDS:
            self._note_slow(ended)
        return code

    def _pwrite(self, offset: int, data: Payload, length: int) -> int:
        """Into the page cache, now; an errno."""
        if isinstance(data, Unread):
            return data.write_to(self._fd, offset)
        if length > syscalls.WRITE_PIECE_BYTES:
            return syscalls.write_all(self._fd, offset, data)
        try:
            written = os.pwrite(self._fd, data, offset)
        except OSError as error:
            return error.errno or errno.EIO
        if written == length:
            return 0
        return syscalls.write_all(self._fd, offset + written, memoryview(data)[written:])

    def _note_slow(self, now: float) -> None:
        """One slow write may be a process that had to wait for a CPU; two of them are a disk."""
        if now - self._slow_at < SLOW_HOLD_SECONDS:
            self._slow_until = now + SLOW_HOLD_SECONDS
        self._slow_at = now

    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        code = self.write_now(offset, data)
        if code is not None:
            return code
        if self._closed or offset < 0 or offset + len(data) > self.size_bytes:
            return self._refusal(offset, errno.ENOSPC)
        if type(data) is memoryview and len(data) <= TRANSIENT_BYTES_MAX:
            data = bytes(data)
        fd = self._fd
        if isinstance(data, Unread):
            self._hop_to_write(partial(data.write_to, fd, offset), done)
        else:
            self._hop_to_write(partial(syscalls.write_all, fd, offset, data), done)
        return None

    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        if self._closed or offset < 0 or offset + length > self.size_bytes:
            return self._refusal(offset, errno.EINVAL)
        if length == 0:
            return 0
        if length > self._loop_zero_bytes_max or monotonic() < self._slow_until:
            self._hop_to_write(lambda: self._zero_now(offset, length, keep_allocated), done)
            return None
        return self._zero_now(offset, length, keep_allocated)

    def read_now(self, offset: int, length: int) -> Buffer | int | None:
        if length > LOOP_READ_BYTES_MAX:
            return None
        if self._closed or offset < 0 or offset + length > self.size_bytes:
            return self._refusal(offset, errno.EINVAL)
        if self._in_memory:
            return syscalls.read_exactly(self._fd, offset, length)
        if not self._nowait:
            return None
        data = payloads.take(length)
        try:
            if os.preadv(self._fd, (data,), offset, os.RWF_NOWAIT) == length:
                return data
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in syscalls.UNSUPPORTED:
                return error.errno or errno.EIO
            self._nowait = False
        return None

    def read(self, offset: int, length: int, done: ReadDone) -> Buffer | int | None:
        found = self.read_now(offset, length)
        if found is not None:
            return found
        if self._closed or offset < 0 or offset + length > self.size_bytes:
            return self._refusal(offset, errno.EINVAL)
        fd = self._fd
        self._hop(lambda: syscalls.read_exactly(fd, offset, length), done)
        return None

    def flush(self, done: ErrnoDone) -> None:
        self._flush_next.append(done)
        if not self._flushing:
            self._flush_waiting()

    def _flush_waiting(self) -> None:
        """One flush for all that asked before it began."""
        waiting, self._flush_next = self._flush_next, []
        self._flushing = True

        def finished(code: int) -> None:
            self._flushing = False
            self._flush_errno = self._flush_errno or code
            if self._flush_next:
                self._flush_waiting()
            for done in waiting:
                done(self._flush_errno if code == 0 else code)

        if self._closed:
            self._workers.run(lambda: errno.ESHUTDOWN, finished)
        else:
            fd = self._fd
            self._hop(lambda: syscalls.sync_data(fd), finished)

    def begin_write_out(self) -> None:
        if not (self._closed or self._in_memory or self._beginning_write_out):
            self._beginning_write_out = True
            fd = self._fd
            self._hop(lambda: syscalls.begin_write_out(fd), self._began_write_out)

    def _began_write_out(self, code: int) -> None:
        self._beginning_write_out = False

    def when_written(self, then: Callable[[], None]) -> None:
        if self._writes_in_threads:
            self._when_written.append(then)
        else:
            then()

    def block_status(self, offset: int, length: int, done: StatusDone) -> None:
        if self._closed or offset < 0 or length <= 0 or offset + length > self.size_bytes:
            code = self._refusal(offset, errno.EINVAL)
            self._workers.run(lambda: code, lambda code: done(code, []))
            return
        self._hop(lambda: self._status_now(offset, length), lambda result: done(*result))

    def _status_now(self, offset: int, length: int) -> tuple[int, list[Allocation]]:
        """In a thread: data and holes by SEEK_DATA and SEEK_HOLE."""
        ranges: list[Allocation] = []
        end = offset + length
        try:
            while offset < end and len(ranges) < STATUS_RANGES_MAX:
                data = syscalls.next_data(self._fd, offset, end)
                if data > offset:
                    ranges.append((data - offset, True, True))
                if data < end:
                    hole = syscalls.next_hole(self._fd, data, end)
                    # A hole punched between the two questions: the next round finds it.
                    if hole > data:
                        ranges.append((hole - data, False, False))
                    data = hole
                offset = data
        except OSError as error:
            return error.errno or errno.EIO, []
        return 0, ranges

    def read_chunks(self, chunks: Sequence[int], size_bytes: int, done: ChunksDone) -> None:
        fd = self._fd
        if self._closed or size_bytes > self.size_bytes:
            code = self._refusal(0, errno.EINVAL)
            self._workers.run(lambda: code, lambda code: done(code, []))
            return

        def work() -> tuple[int, list[ChunkContent]]:
            return read_and_hash(
                chunks,
                size_bytes,
                lambda offset, length: syscalls.read_exactly(fd, offset, length),
                lambda offset: syscalls.next_data(fd, offset, size_bytes),
            )

        def read_alone() -> None:
            """A chunk in memory costs a seventh less here: threads that come and go fight for the interpreter."""
            data = self.read_now(offset, chunk_length(chunk, size_bytes))
            if data is None or isinstance(data, int):
                self._hop(work, lambda result: done(*result))
                self._no_more_under_way()
            else:
                self._no_more_under_way()
                done(0, [hashed(chunk, data)])

        if len(chunks) == 1:
            chunk = chunks[0]
            offset = chunk * CHUNK_BYTES
            self._under_way += 1
            self._workers.in_turn(read_alone)
        else:
            self._hop(work, lambda result: done(*result))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._release_when_idle()

    def _refusal(self, offset: int, past_end: int) -> int:
        if self._closed:
            return errno.ESHUTDOWN
        return errno.EINVAL if offset < 0 else past_end

    def _hop(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do it in a thread. The descriptor stays open until the last is back: its number may be reused."""
        self._under_way += 1

        def finished(result: T) -> None:
            self._no_more_under_way()
            done(result)

        self._workers.run(work, finished)

    def _no_more_under_way(self) -> None:
        """One of those that were counted has ended."""
        self._under_way -= 1
        if self._closed:
            self._release_when_idle()

    def _hop_to_write(self, work: Callable[[], int], done: ErrnoDone) -> None:
        self._writes_in_threads += 1

        def finished(code: int) -> None:
            self._writes_in_threads -= 1
            done(code)
            if not self._writes_in_threads and self._when_written:
                waiting, self._when_written = self._when_written, []
                for then in waiting:
                    then()

        self._hop(work, finished)

    def _release_when_idle(self) -> None:
        if self._under_way == 0 and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
