"""A connection between the sites: frames in order, either end may notice its loss alone."""

from collections import deque
from collections.abc import Iterator

from tests.search.tickets import Link, Seq

from bilocate.replication.frames import HEADER, Arrival, Buffer, Frame, Kind
from bilocate.replication.requests import Op, Request, to_nobody


class End:
    """One site's end. `broken`: nothing new reaches it, and it notices at any moment."""

    __slots__ = ("broken", "inbox", "number", "open", "peer")

    def __init__(self, number: Link) -> None:
        self.number = number
        self.peer: End
        self.open = True
        self.broken = False
        self.inbox: deque[Frame | None] = deque()  # None: the peer closed it

    def send(self, header: bytes, payload: Buffer) -> None:
        """Behind all that was sent before."""
        # A chunk's bytes are one here, so the header's length of its payload is not used.
        kind, flags, volume, length, _, seq, offset = HEADER.unpack(header)
        self.peer.arrive(Frame(Kind(kind), flags, volume, length, Seq(seq), offset, bytes(payload)))

    def arrive(self, frame: Frame | None) -> None:
        """It is on its way to this end, if that is there."""
        if self.open and not self.broken:
            self.inbox.append(frame)

    def close(self) -> None:
        """Closed here: what was sent before still arrives, then the peer hears of the end."""
        self.open = False
        self.inbox.clear()
        self.peer.arrive(None)

    def lose(self) -> None:
        """It is lost here; the peer may get any part of what is under way."""
        self.open = False
        self.inbox.clear()
        self.peer.broken = True

    def text(self) -> Iterator[str]:
        """For people: what is on its way."""
        for frame in self.inbox:
            yield "CLOSED" if frame is None else frame.kind.name
        if self.broken:
            yield "BROKEN"


def arrival(frame: Frame) -> Arrival:
    """As a real link gives it out: a WRITE is the request that it asks for."""
    if frame.kind is not Kind.WRITE:
        return frame
    request = Request(Op.WRITE, frame.offset, frame.length, to_nobody, frame.payload)
    request.volume, request.seq = frame.volume, frame.seq
    return request


def connect(number: Link) -> tuple[End, End]:
    """A new connection, both ends."""
    one, other = End(number), End(number)
    one.peer, other.peer = other, one
    return one, other
