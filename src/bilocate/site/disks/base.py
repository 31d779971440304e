"""The one interface of all disks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from bilocate.replication.ports import ChunkContent
from bilocate.replication.requests import Unread
from bilocate.site.target import Allocation

Buffer = bytes | bytearray | memoryview
Payload = Buffer | Unread
ErrnoDone = Callable[[int], None]
ReadDone = Callable[[Buffer | int], None]
StatusDone = Callable[[int, list[Allocation]], None]
ChunksDone = Callable[[int, list[ChunkContent]], None]


class Disk(ABC):
    """A volume's bytes at this site. Used on the event loop only.

    Results are errnos, never exceptions: 0 is success. `write`, `zero` and `read` answer at once where they
    can (the page cache); where they cannot they return None, and `done` follows on the event loop, exactly
    once and never from inside the call. An operation is done whole or answered with an errno; after an errno
    the bytes of its range are undefined. Operations under way at the same time are in no order: who needs one
    waits.
    Past the end: reads and zeros EINVAL, writes ENOSPC. After `close`: ESHUTDOWN.
    """

    size_bytes: int
    min_block_bytes: int  # smaller or unaligned requests work as well, more slowly
    name: str  # for logs

    def write_now(self, offset: int, data: Payload) -> int | None:
        """As `write`, where it can be done at once; else None, nothing was done, and `write` is to be called.

        For the hot path, which makes no `done` that nobody calls.
        """
        return None

    def read_now(self, offset: int, length: int) -> Buffer | int | None:
        """As `read`, where it can be done at once; else None, and `read` is to be called."""
        return None

    @abstractmethod
    def write(self, offset: int, data: Payload, done: ErrnoDone) -> int | None:
        """Write all of `data`. Not durable before a `flush`.

        The data must not change until the answer, but for a view of up to `TRANSIENT_BYTES_MAX`.
        """

    @abstractmethod
    def zero(self, offset: int, length: int, keep_allocated: bool, done: ErrnoDone) -> int | None:
        """Make the range read as zeros, whatever it takes; give its space back unless `keep_allocated`."""

    @abstractmethod
    def read(self, offset: int, length: int, done: ReadDone) -> Buffer | int | None:
        """Read exactly `length` bytes: the bytes, or an errno (int)."""

    @abstractmethod
    def flush(self, done: ErrnoDone) -> None:
        """Make durable all that was answered before this call.

        A flush that failed fails for ever after (until the disk is opened again): the system may have dropped
        what it could not write, and a second flush would then succeed without it.
        """

    @abstractmethod
    def begin_write_out(self) -> None:
        """Begin to bring to the medium what was written, so that a later `flush` has less to do. Promises nothing, and
        nobody is told of its end or of an error: that is the flush's."""

    @abstractmethod
    def when_written(self, then: Callable[[], None]) -> None:
        """Call `then` once no write and no zeroing is under way; at once if none is. For who keeps new ones away."""

    @abstractmethod
    def block_status(self, offset: int, length: int, done: StatusDone) -> None:
        """Tell holes from data, in order from `offset`; may tell less than `length`, at least one range."""

    @abstractmethod
    def read_chunks(self, chunks: Sequence[int], size_bytes: int, done: ChunksDone) -> None:
        """Read and hash chunks of a volume of `size_bytes` (its last chunk may be short).

        Chunks of zeros come without bytes. One errno for all: after an error the list is empty.
        """

    @abstractmethod
    def zeroes_fast(self, keep_allocated: bool) -> bool:
        """Whether `zero` costs less than writing the zeros would."""

    @abstractmethod
    def resize(self, size_bytes: int) -> int:
        """Grow to `size_bytes`: an errno, EINVAL for a smaller size. Durable after the next `flush`."""

    @abstractmethod
    def close(self) -> None:
        """Take nothing more. What is under way is still done and answered."""
