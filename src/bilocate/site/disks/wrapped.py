"""A disk that stands before another one."""

from collections.abc import Callable, Sequence

from bilocate.site.disks.base import Buffer, ChunksDone, Disk, ErrnoDone, Payload, ReadDone, StatusDone


class WrappedDisk(Disk):
    """Hands everything on. A subclass says what it does otherwise.

    Not `write_now` and `read_now`: else a subclass that has only a `write` of its own would be passed by.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = disk.name
        self.min_block_bytes = disk.min_block_bytes
        self.size_bytes = disk.size_bytes

    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        return self._disk.write(offset, data, done)

    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        return self._disk.zero(offset, length, keep_allocated, done)

    def read(self, offset: int, length: int, done: ReadDone) -> Buffer | int | None:
        return self._disk.read(offset, length, done)

    def flush(self, done: ErrnoDone) -> None:
        self._disk.flush(done)

    def begin_write_out(self) -> None:
        self._disk.begin_write_out()

    def when_written(self, then: Callable[[], None]) -> None:
        self._disk.when_written(then)

    def block_status(self, offset: int, length: int, done: StatusDone) -> None:
        self._disk.block_status(offset, length, done)

    def read_chunks(self, chunks: Sequence[int], size_bytes: int, done: ChunksDone) -> None:
        self._disk.read_chunks(chunks, size_bytes, done)

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return self._disk.zeroes_fast(keep_allocated)

    def resize(self, size_bytes: int) -> int:
        code = self._disk.resize(size_bytes)
        self.size_bytes = self._disk.size_bytes
        return code

    def close(self) -> None:
        self._disk.close()
