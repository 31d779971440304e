"""A restarted primary takes from the secondary what it may lack, by hash (rule 18). Nothing is served meanwhile."""

from collections import deque
from collections.abc import Callable, Sequence

from pyroaring import BitMap

from bilocate.domain.geometry import CHUNK_BYTES, chunk_length
from bilocate.replication.digests import digests_of
from bilocate.replication.frames import Frame, Kind, MalformedFrame, header
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent, Ports
from bilocate.replication.requests import Op, Request
from bilocate.replication.resync import batches_of

PULLS_AT_ONCE = 4


class Puller:
    """One pull over one link. The intents stay until both sites have flushed (PULLKEEP): its owner's job."""

    def __init__(
        self,
        ports: Ports,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        chunks: Sequence[BitMap],
        done: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._ports = ports
        self._marks = marks
        self._next_token = next_token
        self._batches = deque(batches_of(chunks))
        self._done = done
        self._failed = failed
        self._reading: dict[int, tuple[int, int, int]] = {}  # token → batch
        self._asked: set[tuple[int, int]] = set()  # (volume, first chunk) of PULLs under way
        self.writing: set[int] = set()  # ids of requests that the disk has
        self.pulled_bytes = 0

    def go_on(self) -> None:
        """Read and ask for as many batches as go at once; tell when all is here."""
        while self._batches and len(self._reading) + len(self._asked) < PULLS_AT_ONCE:
            volume, first, count = self._batches.popleft()
            token = self._next_token()
            self._reading[token] = (volume, first, count)
            self._ports.read_chunks(volume, range(first, first + count), token)
        if not (self._batches or self._reading or self._asked or self.writing):
            self._done()

    def on_chunks(self, token: int, errno: int, contents: Sequence[ChunkContent]) -> bool:
        """Own chunks were read: ask for those that differ. Whether the token was this puller's."""
        batch = self._reading.pop(token, None)
        if batch is None:
            return False
        volume, first, count = batch
        if errno:
            self._failed(f"chunk {first} of volume {volume} can't be read here: errno {errno}")
            return True
        flags, digests = digests_of(contents)
        self._asked.add((volume, first))
        head = header(Kind.PULL, volume=volume, length=count, payload=len(digests), offset=first, flags=flags)
        self._ports.send(head, digests)
        return True

    def on_pulled(self, frame: Frame) -> None:
        """A chunk that differs, as the secondary has it.

        :raises MalformedFrame: when it is no chunk of the volume.
        """
        size = self._marks[frame.volume].record.size_bytes
        chunk, rest = divmod(frame.offset, CHUNK_BYTES)
        if rest or frame.offset >= size or frame.length != chunk_length(chunk, size):
            raise MalformedFrame(f"PULLED of {frame.length} bytes at {frame.offset} is no chunk")
        op = Op.WRITE if frame.payload else Op.ZERO
        # The payload may be a view into the receive buffer, and the disk may take its time.
        request = Request(op, frame.offset, frame.length, _nothing, data=bytes(frame.payload))
        request.volume = frame.volume
        request.copied = True
        self.pulled_bytes += frame.length
        errno = self._ports.write(request)
        if errno is None:
            self.writing.add(id(request))
        elif errno:
            self._failed(
                f"a pulled chunk can't be written at {frame.offset} of volume {frame.volume}: errno {errno}"
            )

    def on_pull_done(self, frame: Frame) -> None:
        """All of one batch was sent."""
        self._asked.discard((frame.volume, frame.offset))
        self.go_on()

    def on_local_done(self, request: Request, errno: int) -> None:
        """The disk finished a pulled chunk."""
        self.writing.discard(id(request))
        if errno:
            self._failed(f"a pulled chunk can't be written at {request.offset}: errno {errno}")
        else:
            self.go_on()


def _nothing(request: Request, errno: int) -> None:
    """No host waits for a pulled chunk."""
