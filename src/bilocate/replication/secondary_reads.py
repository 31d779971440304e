"""What a secondary reads for its primary: hashes for a resync (ASK), chunks that differ for a pull (PULL)."""

from collections.abc import Callable, Sequence

from bilocate.domain.geometry import chunk_count
from bilocate.replication.digests import differing, digests_of
from bilocate.replication.frames import (
    ALL_ZERO,
    DIGEST_BYTES,
    HASH_BATCH_CHUNKS,
    Frame,
    Kind,
    MalformedFrame,
    header,
)
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent, Ports

# Questions that may be open at once; the primary's window is far below.
_ASKS_MAX = 1024


class Reads:
    """The questions of the present link. `failed(reason, errno)`: chunks can't be read here."""

    def __init__(
        self,
        ports: Ports,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        failed: Callable[[str, int], None],
    ) -> None:
        self._ports = ports
        self._marks = marks
        self._next_token = next_token
        self._failed = failed
        self._open: dict[int, tuple[Frame, bytes]] = {}  # token → question, the digests it came with

    def take(self, frame: Frame) -> None:
        """An ASK or a PULL.

        :raises MalformedFrame: when the chunks are not the volume's, or the digests not theirs.
        """
        volume, first, count = frame.volume, frame.offset, frame.length
        if volume >= len(self._marks) or not 0 < count <= HASH_BATCH_CHUNKS:
            raise MalformedFrame(f"{frame.kind.name} of {count} chunks of volume {volume}")
        if first + count > chunk_count(self._marks[volume].record.size_bytes):
            raise MalformedFrame(f"{frame.kind.name} of chunks past the end of volume {volume}")
        digests = bytes(frame.payload)
        if frame.kind is Kind.PULL and not frame.flags & ALL_ZERO and len(digests) != count * DIGEST_BYTES:
            raise MalformedFrame(f"PULL of {count} chunks with {len(digests)} bytes of digests")
        if len(self._open) >= _ASKS_MAX:
            raise MalformedFrame(f"more than {_ASKS_MAX} questions at once")
        token = self._next_token()
        self._open[token] = (frame, digests)
        self._ports.read_chunks(volume, range(first, first + count), token)

    def done(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> None:
        """Chunks were read; those of a link that is gone are nobody's."""
        frame, digests = self._open.pop(token, (None, b""))
        if frame is None:
            return
        if errno:
            self._failed(f"chunk {frame.offset} of volume {frame.volume} can't be read", errno)
        elif frame.kind is Kind.ASK:
            self._tell_hashes(frame, contents)
        else:
            self._tell_differing(frame, contents, digests)

    def clear(self) -> None:
        """The link is gone."""
        self._open.clear()

    def _tell_hashes(self, frame: Frame, contents: Sequence[ChunkContent]) -> None:
        flags, payload = digests_of(contents)
        head = header(
            Kind.HASHES,
            volume=frame.volume,
            length=frame.length,
            payload=len(payload),
            offset=frame.offset,
            flags=flags,
        )
        self._ports.send(head, payload)

    def _tell_differing(self, frame: Frame, contents: Sequence[ChunkContent], digests: bytes) -> None:
        for content in differing(contents, digests):
            offset, length = self._marks[frame.volume].chunk_range(content.chunk)
            payload = content.data if content.data is not None else b""
            head = header(
                Kind.PULLED, volume=frame.volume, length=length, payload=len(payload), offset=offset
            )
            self._ports.send(head, payload)
        self._ports.send(
            header(Kind.PULL_DONE, volume=frame.volume, length=frame.length, offset=frame.offset)
        )
