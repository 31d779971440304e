"""The primary's side of a resync: compare the set by hash, copy what differs, end it (rules 13 to 16).

It drives the copying only; when to begin, the permit and the row are the primary half's.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from bilocate.domain.geometry import CHUNK_BYTES, chunk_length
from bilocate.replication.digests import differing
from bilocate.replication.frames import (
    ALL_ZERO,
    DIGEST_BYTES,
    HASH_BATCH_CHUNKS,
    Frame,
    Kind,
    MalformedFrame,
    Welcome,
    header,
)
from bilocate.replication.marks import Marks, runs
from bilocate.replication.pace import Pace
from bilocate.replication.ports import ChunkContent, Ports
from bilocate.replication.requests import Op, Request
from bilocate.replication.write_path import WritePath

# Read, hashed and locked at once: a write that meets a resync waits for a millisecond or two.
LOCKED_CHUNKS = 16


@dataclass(slots=True)
class Progress:
    """What a resync has to do and has done, in bytes; `started` is a monotonic second."""

    total_bytes: int
    started: float
    done_bytes: int = 0
    differing_bytes: int = 0
    link_bytes: int = 0
    ended: float | None = None


def set_of(marks: Sequence[Marks], welcome: Welcome, peer_suspects: Sequence[BitMap]) -> list[BitMap]:
    """SET: what either side suspects, or everything where the pasts differ (GENCHK). A permit is held."""
    out = []
    for own, peer, theirs in zip(marks, welcome.volumes, peer_suspects, strict=True):
        record = own.record
        known = {record.generation, record.pending_generation} - {""}
        if peer.everything or record.blank or peer.generation not in known:
            out.append(own.everything())
            continue
        out.append(own.suspects_under_permit() | theirs)
    return out


class Copier:
    """Compares and copies one set over one link; thrown away when the link is lost."""

    def __init__(
        self,
        ports: Ports,
        path: WritePath,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        window_bytes: int,
        pace: Pace,
        chunks: Sequence[BitMap],
        now: float,
        done: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._ports = ports
        self._path = path
        self._pace = pace
        self._marks = marks
        self._next_token = next_token
        self._window_bytes = window_bytes
        self._done = done
        self._failed = failed
        self._batches = deque(batches_of(chunks, pace.piece_chunks))
        total = sum(
            chunk_length(chunk, marks[volume].record.size_bytes)
            for volume, part in enumerate(chunks)
            for chunk in part
        )
        self.progress = Progress(total, now)
        self._asked: dict[tuple[int, int], int] = {}  # (volume, first chunk) → chunks asked for
        self._locks: dict[int, tuple[Request, bytes]] = {}  # read under way → its lock and the peer's digests
        self._under_way = 0  # bytes asked for or being read
        self._unconfirmed: deque[tuple[int, int]] = deque()  # (seq, bytes) of chunks on the link
        self._unconfirmed_bytes = 0

    def go_on(self, now: float) -> None:
        """Ask for more hashes while the window has room and the pace allows it."""
        while self._may_ask and self._pace.allows(now):
            volume, first, count = self._batches.popleft()
            self._asked[volume, first] = count
            size = self._bytes(volume, first, count)
            self._under_way += size
            self._pace.begun(size, now)
            self._send(header(Kind.ASK, volume=volume, length=count, offset=first))
        if not (self._batches or self._asked or self._locks or self._under_way):
            self._done()

    @property
    def _may_ask(self) -> bool:
        return bool(self._batches) and self._under_way + self._unconfirmed_bytes < self._window_bytes

    @property
    def due(self) -> float:
        """When `go_on` is to be called, where only the pace holds it up; else a time that is long past."""
        return self._pace.due if self._may_ask else float("-inf")

    def on_hashes(self, frame: Frame) -> None:
        """The secondary's digests of one batch.

        :raises MalformedFrame: when they answer no question.
        """
        first, volume = frame.offset, frame.volume
        count = self._asked.pop((volume, first), 0)
        zero = bool(frame.flags & ALL_ZERO)
        if not count or count != frame.length or (not zero and len(frame.payload) != count * DIGEST_BYTES):
            raise MalformedFrame(f"HASHES of {frame.length} chunks from {first} that nobody asked for")
        self.progress.link_bytes += len(frame.payload)
        digests = bytes(frame.payload)
        for start in range(0, count, LOCKED_CHUNKS):
            end = min(start + LOCKED_CHUNKS, count)
            self._lock(
                volume, range(first + start, first + end), digests[start * DIGEST_BYTES : end * DIGEST_BYTES]
            )

    def _lock(self, volume: int, chunks: range, digests: bytes) -> None:
        """LOCKCOPY: chunks are read while no write into them is under way, and none begins before they are sent."""
        size = self._bytes(volume, chunks.start, len(chunks))
        lock = Request(Op.READ, chunks.start * CHUNK_BYTES, size, _nothing)
        lock.volume = volume
        token = self._next_token()
        self._locks[token] = (lock, digests)
        self._path.lock(lock, lambda: self._ports.read_chunks(volume, chunks, token))

    def on_chunks(self, token: int, errno: int, contents: Sequence[ChunkContent], now: float) -> bool:
        """Locked chunks were read: send those that differ. Whether the token was this copier's."""
        found = self._locks.pop(token, None)
        if found is None:
            return False
        lock, theirs = found
        if errno:
            self._path.unlock(lock)
            where = f"{lock.length} bytes at {lock.offset} of volume {lock.volume}"
            self._failed(f"{where} can't be read here: errno {errno}")
            return True
        self._under_way -= lock.length
        self.progress.done_bytes += lock.length
        copied = False
        for content in differing(contents, theirs):
            self._copy(lock.volume, content)
            copied = True
        if not (copied or theirs):
            self._pace.spared(lock.length)  # zeros at both sites: holes of sparse files are not read
        self._path.unlock(lock)
        self.go_on(now)
        return True

    def _copy(self, volume: int, content: ChunkContent) -> None:
        seq = self._path.next_seq()
        payload = content.data if content.data is not None else b""
        offset, length = self._marks[volume].chunk_range(content.chunk)
        head = header(Kind.COPY, volume=volume, length=length, payload=len(payload), seq=seq, offset=offset)
        self._send(head, payload)
        self._unconfirmed.append((seq, length))
        self._unconfirmed_bytes += length
        self.progress.differing_bytes += length

    def confirmed(self, seq: int, now: float) -> None:
        """The secondary has applied everything up to `seq`: the window has room again."""
        freed = False
        while self._unconfirmed and self._unconfirmed[0][0] <= seq:
            self._unconfirmed_bytes -= self._unconfirmed.popleft()[1]
            freed = True
        if freed and self._batches:
            self.go_on(now)

    def abandon(self) -> None:
        """The link is lost: locks are freed; reads under way end in nothing."""
        locks, self._locks = self._locks, {}
        for lock, _ in locks.values():
            self._path.unlock(lock)

    def _bytes(self, volume: int, first: int, count: int) -> int:
        size = self._marks[volume].record.size_bytes
        return min((first + count) * CHUNK_BYTES, size) - first * CHUNK_BYTES

    def _send(self, head: bytes, payload: bytes | bytearray | memoryview = b"") -> None:
        self.progress.link_bytes += len(head) + len(payload)
        self._ports.send(head, payload)


def batches_of(chunks: Sequence[BitMap], most: int = HASH_BATCH_CHUNKS) -> list[tuple[int, int, int]]:
    """(volume, first chunk, count) for every run of the set, at most so many chunks each."""
    out = []
    for volume, part in enumerate(chunks):
        for first, count in runs(part):
            for start in range(first, first + count, most):
                out.append((volume, start, min(most, first + count - start)))
    return out


def _nothing(request: Request, errno: int) -> None:
    """A lock is nobody's request."""
