"""A disk that could not be opened: its volume is known, its bytes are not to be had."""

import asyncio
import errno
from collections.abc import Callable, Sequence

from bilocate.site.disks.base import Buffer, ChunksDone, Disk, ErrnoDone, Payload, ReadDone, StatusDone


class MissingDisk(Disk):
    """Answers every request with EIO, so that the agent starts and its other volumes are served."""

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.min_block_bytes = 1

    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        return errno.EIO

    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        return errno.EIO

    def read(self, offset: int, length: int, done: ReadDone) -> Buffer | int | None:
        return errno.EIO

    def flush(self, done: ErrnoDone) -> None:
        asyncio.get_running_loop().call_soon(done, errno.EIO)

    def begin_write_out(self) -> None:
        """There is nothing to write."""

    def when_written(self, then: Callable[[], None]) -> None:
        then()

    def block_status(self, offset: int, length: int, done: StatusDone) -> None:
        asyncio.get_running_loop().call_soon(done, errno.EIO, [])

    def read_chunks(self, chunks: Sequence[int], size_bytes: int, done: ChunksDone) -> None:
        asyncio.get_running_loop().call_soon(done, errno.EIO, [])

    def zeroes_fast(self, keep_allocated: bool) -> bool:
        return False

    def resize(self, size_bytes: int) -> int:
        return errno.EIO

    def close(self) -> None:
        """There is nothing open."""
