"""What a secondary does with the numbered frames of one link: apply them in order, confirm what is applied.

Frames that do not overlap may reach the disk in any order; those that do, one after the other (OVERLAP). All
up to the confirmed number is written here. One link, one applier: frames of an older one are forgotten with it
(DISCARD); what its disk still has ends before a hello is answered.
"""

from collections import deque
from collections.abc import Callable, Sequence

from bilocate.replication.frames import KEEP_ALLOCATED, Frame, Kind, MalformedFrame, header
from bilocate.replication.intents import IntentWaits
from bilocate.replication.marks import Marks
from bilocate.replication.ports import Ports
from bilocate.replication.ranges import Ranges
from bilocate.replication.requests import Op, Request, to_nobody

_WRITE, _ZERO = Op.WRITE, Op.ZERO


class Applier:
    """`failed(request, errno)`: a write failed here; `barrier()`: the oldest unapplied number has risen."""

    def __init__(
        self,
        link: int,
        ports: Ports,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        flush_number: Callable[[], int],
        failed: Callable[[Request, int], None],
        barrier: Callable[[], None],
        intents_ahead: int = 0,
    ) -> None:
        self._link = link  # its number stands in each request's `cookie`
        self._ports = ports
        self._marks = marks
        self._intents = IntentWaits(ports, next_token, intents_ahead)
        self._flush_number = flush_number
        self._failed = failed
        self._barrier = barrier
        self._ranges = [Ranges() for _ in marks]
        self._queue: deque[Request] = deque()  # taken and not all applied, in order
        self._last_seq = 0
        self._told_seq = 0
        self._applied_seq = 0
        self._discarded = False
        self.local_pending = 0  # requests that the disks have

    def take(self, request: Request) -> None:
        """Take what a WRITE, ZERO or COPY asks for.

        :raises MalformedFrame: when it is not within its volume, or not in order.
        """
        volume, seq, length = request.volume, request.seq, request.length
        if volume >= len(self._marks) or not length:
            raise MalformedFrame(f"{request.op.name} of {length} bytes for volume {volume}")
        if request.offset + length > self._marks[volume].record.size_bytes:
            raise MalformedFrame(
                f"{request.op.name} of {length} bytes at {request.offset}: past the volume's end"
            )
        if seq <= self._last_seq:
            raise MalformedFrame(f"number {seq} after {self._last_seq}")
        request.cookie = self._link
        self._last_seq = seq
        if not self._queue and not self._discarded:
            self._take_alone(request)
            return
        self._queue.append(request)
        if self._ranges[volume].enter(request):
            self._begin(request)
        self._own_payload(request)

    def _take_alone(self, request: Request) -> None:
        """All before it is applied, so nothing is there that it could overlap, and nobody waits for what it ends: a
        write that the disk carries out at once is noted nowhere. That is nearly every one, and saves a third."""
        volume, errno = request.volume, None
        may_go = self._intents.may_go(request, self._marks[volume], self._flush_number())
        if may_go:
            errno = self._ports.write(request)
            if errno == 0:
                self._applied_seq = request.seq
                return
        self._queue.append(request)
        self._ranges[volume].enter(request)
        if errno:
            self._failed(request, errno)
        elif may_go:
            self.local_pending += 1
        self._own_payload(request)

    def _own_payload(self, request: Request) -> None:
        """SECINT, OVERLAP: it has to wait, and its payload may be a part of the receive buffer."""
        if not request.local and type(request.data) is memoryview:
            request.data = bytes(request.data)

    def request_of(self, frame: Frame) -> Request:
        """What a WRITE, ZERO or COPY asks for.

        :raises MalformedFrame: for a WRITE without a payload, or a ZERO with one.
        """
        if (frame.kind is Kind.WRITE and not frame.payload) or (frame.kind is Kind.ZERO and frame.payload):
            raise MalformedFrame(f"{frame.kind.name} with a payload of {len(frame.payload)} bytes")
        op = _WRITE if frame.payload else _ZERO
        request = Request(op, frame.offset, frame.length, to_nobody, frame.payload)
        request.keep_allocated = bool(frame.flags & KEEP_ALLOCATED)
        request.volume = frame.volume
        request.seq = frame.seq
        request.copied = frame.kind is Kind.COPY
        return request

    def _begin(self, request: Request) -> None:
        """SECINT: its extents' intents are durable before it is written here."""
        if self._discarded:
            return
        if self._intents.may_go(request, self._marks[request.volume], self._flush_number()):
            errno = self._ports.write(request)
            if errno is None:
                self.local_pending += 1
            else:
                self._applied(request, errno)

    def committed(self, token: int) -> None:
        """A commit is durable: the writes that waited for it begin."""
        for request in self._intents.committed(token):
            self._begin(request)

    def local_done(self, request: Request, errno: int) -> None:
        """The disk finished what it could not finish at once."""
        self.local_pending -= 1
        if not self._discarded:
            self._applied(request, errno)

    def _applied(self, request: Request, errno: int) -> None:
        if errno:
            self._failed(request, errno)
            return
        request.local = True
        free = self._ranges[request.volume].leave(request)
        queue = self._queue
        if queue and queue[0].local:
            while queue and queue[0].local:
                self._applied_seq = queue.popleft().seq
            self._barrier()
        if free:
            for follower in free:
                self._begin(follower)

    def all_applied(self, seq: int) -> bool:
        """Whether everything that was taken up to number `seq` is written here."""
        return not self._queue or self._queue[0].seq > seq

    @property
    def last_seq(self) -> int:
        """The number of the last frame that was taken."""
        return self._last_seq

    def confirm(self) -> None:
        """Tell the primary how far it has got: once for many."""
        if self._applied_seq > self._told_seq:
            self._told_seq = self._applied_seq
            self._ports.send(header(Kind.CONFIRM, seq=self._applied_seq))

    def extents_under_write(self, volume: int) -> set[int]:
        """The extents of what is not applied yet (DROPRACE)."""
        return self._ranges[volume].extents_under_write()

    def discard(self) -> None:
        """DISCARD: what is not at the disk yet never gets there; nothing is confirmed any more."""
        self._discarded = True
        self._intents.clear()
        self._queue.clear()
        self._told_seq = self._applied_seq
