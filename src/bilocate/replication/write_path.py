"""The way of a host's request through the primary: the hot path, kept short and in one place.

    submit → (gate) → Ranges → intent durable? → put on the link; end of the batch: written here → confirmed → answered

No task, future or timer per request. The half that owns this path sets the gate, the permit and whether there
is a link; nothing here decides about them.

The own disk gets a batch's writes behind its frames: the agent sends them before, and the secondary works meanwhile.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import HEADER, KEEP_ALLOCATED, Kind
from bilocate.replication.intents import IntentWaits
from bilocate.replication.marks import Marks
from bilocate.replication.ports import Buffer, Ports
from bilocate.replication.ranges import Ranges
from bilocate.replication.requests import Op, Request

_READ, _WRITE, _FLUSH = Op.READ, Op.WRITE, Op.FLUSH
_pack = HEADER.pack
_KIND_WRITE, _KIND_ZERO = int(Kind.WRITE), int(Kind.ZERO)  # packing a plain int takes half the time


class WritePath:
    """The requests of one primary half, from submission to answer."""

    def __init__(
        self,
        ports: Ports,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        on_flush: Callable[[Request], None],
        on_local_failure: Callable[[Request], None],
        intents_ahead: int = 0,
    ) -> None:
        self._ports = ports
        self._marks = marks
        self._intents = IntentWaits(ports, next_token, intents_ahead)
        self._on_flush = on_flush
        self._on_local_failure = on_local_failure
        self.ranges = [Ranges() for _ in marks]
        self.open = False  # the gate of all volumes of the session (TRIP)
        self.permit = False  # may answer without the secondary (rule 1)
        self.linked = False  # writes go on the link
        self.linked_after = 0  # writes numbered above this are on the present link
        self.seq = 0  # of the last write begun
        self.confirmed_seq = 0
        self.flush_number = 0  # rises with every flush that begins (DROPRACE)
        self.held: deque[Request] = deque()
        self.unanswered: dict[int, Request] = {}  # by seq, in order
        self.unconfirmed: deque[Request] = deque()  # those on the present link, in order
        self.bytes = 0  # of writes taken and not answered
        self.link_bytes = 0  # of writes on the present link and not confirmed
        self._begun: list[Request] = []  # writes that the own disk gets at the end of the batch
        self.local_pending = 0  # requests that the disks have and did not answer
        self._locks: dict[int, Callable[[], None]] = {}  # id of a lock that waits → what begins then
        self._given_up: set[int] = set()  # ids of locks that nobody wants any more and that still wait
        self._abandoned = False
        self._arrivals = 0  # numbers requests in the order in which they came

    # --- in ---

    def submit(self, request: Request) -> None:
        """Take a host's request."""
        self.submit_all((request,))

    def submit_all(self, requests: Iterable[Request]) -> None:
        """Take a host's requests, in their order. Writes that may begin do so together: that saves seven calls for
        each of them."""
        ready: list[Request] = []
        for request in requests:
            self._arrivals = request.arrival = self._arrivals + 1
            op = request.op
            if op is _READ or op is _FLUSH:
                self._go(ready)  # what came before it goes before it
                ready = []
                self._admit(request)
                continue
            self.bytes += request.length
            if not self.open:
                self.held.append(request)
            elif self.ranges[request.volume].enter(request) and self._may_begin(request):
                ready.append(request)
        self._go(ready)

    def _admit(self, request: Request) -> None:
        if not self.open:
            self.held.append(request)
            return
        op = request.op
        if op is _FLUSH:
            self._on_flush(request)
            return
        ranges = self.ranges[request.volume]
        if op is _READ:
            if not ranges.touched(request.offset, request.length):
                self._quick_read(request, ranges)
            elif ranges.enter(request):
                self._begin_read(request)
        elif ranges.enter(request):
            self._begin_write(request)

    def _begin(self, request: Request) -> None:
        begin = self._locks.pop(id(request), None)
        if begin is not None:
            begin()
        elif id(request) in self._given_up:
            self._given_up.discard(id(request))
            self._leave(request)
        elif request.op is _READ:
            self._begin_read(request)
        else:
            self._begin_write(request)

    # --- reads ---

    def _quick_read(self, request: Request, ranges: Ranges) -> None:
        """A read that touches nothing under way; it is entered only when the disk does not answer at once."""
        errno = self._ports.read(request)
        if errno is None:
            ranges.enter(request)
            self.local_pending += 1
        else:
            request.done(request, errno)

    def _begin_read(self, request: Request) -> None:
        if not self.open:  # READWAIT ended in a trip: nothing is answered now, so nothing is read now
            self.held.append(request)  # before its followers, which leave() lets begin
            self._leave(request)
            return
        errno = self._ports.read(request)
        if errno is None:
            self.local_pending += 1
        else:
            self._read_done(request, errno)

    def _read_done(self, request: Request, errno: int) -> None:
        if self.open:
            request.done(request, errno)
            self._leave(request)
        else:
            self.held.append(request)  # before its followers, which leave() lets begin
            self._leave(request)

    # --- writes ---

    def _begin_write(self, request: Request) -> None:
        """Its range is its own now."""
        if not self.open:
            self.held.append(request)  # before its followers, which leave() lets begin
            self._leave(request)
        elif self._may_begin(request):
            self._go((request,))

    def _may_begin(self, request: Request) -> bool:
        """INTENT: not one byte moves before its extents' intents are durable; `committed` begins it then."""
        return self._intents.may_go(request, self._marks[request.volume], self.flush_number)

    def committed(self, token: int) -> None:
        """A commit of intents is durable: the writes that waited for it begin."""
        for request in self._intents.committed(token):
            self._begin_write(request)

    def _go(self, requests: Sequence[Request]) -> None:
        """On the link, and to the own disk at the end of the batch: the frames travel while the disk works."""
        if not requests:
            return
        seq, unanswered = self.seq, self.unanswered
        for request in requests:
            seq = request.seq = seq + 1
            unanswered[seq] = request
        self.seq = seq
        if self.permit:
            for request in requests:
                self._make_dirty(request)
        if self.linked:
            self.unconfirmed.extend(requests)
            self._send(requests)
        self._begun.extend(requests)

    def write_begun(self) -> None:
        """The end of a batch: the own disk gets its writes, and those which their answers let begin.

        No rule tells these writes from those that the disk has: their intents are durable, they count as unanswered
        and as under way (OVERLAP, READWAIT, DROPRACE, LOCKCOPY).
        """
        write = self._ports.write
        while self._begun:
            begun, self._begun = self._begun, []
            for request in begun:
                errno = write(request)
                if errno is None:
                    self.local_pending += 1
                else:
                    self._written(request, errno)

    def forget_begun(self) -> None:
        """What the own disk has not got yet it never gets: it goes to the next half, which would not wait for it."""
        self._begun.clear()

    def _send(self, requests: Iterable[Request]) -> None:
        """All on the link, in order."""
        frames: list[Buffer] = []  # header and payload in turn
        size = 0
        for request in requests:
            length = request.length
            size += length
            if request.op is _WRITE:
                frames.append(
                    _pack(_KIND_WRITE, 0, request.volume, length, length, request.seq, request.offset)
                )
                frames.append(request.data)  # type: ignore[arg-type]  # a host's is in memory: see `Unread`
            else:
                flags = KEEP_ALLOCATED if request.keep_allocated else 0
                frames.append(
                    _pack(_KIND_ZERO, flags, request.volume, length, 0, request.seq, request.offset)
                )
                frames.append(b"")
        self.link_bytes += size
        self._ports.send_all(frames)

    def _make_dirty(self, request: Request) -> None:
        """SOLO: dirty before it is answered. In memory; until it is durable its extent's intent is the evidence."""
        dirty = self._marks[request.volume].record.dirty
        first = request.offset // CHUNK_BYTES
        last = (request.offset + request.length - 1) // CHUNK_BYTES
        if first == last:
            dirty.add(first)
        else:
            dirty.add_range(first, last + 1)

    # --- the disk's answers ---

    def local_done(self, request: Request, errno: int) -> None:
        """The own disk finished a request that it could not finish at once."""
        self.local_pending -= 1
        if self._abandoned:
            return
        if request.op is _READ:
            self._read_done(request, errno)
        else:
            self._written(request, errno)

    def _written(self, request: Request, errno: int) -> None:
        if errno:
            request.errno = errno
            self._on_local_failure(request)
            return
        request.local = True
        if request.confirmed or self.permit:
            self._answer(request)

    # --- the secondary's answers ---

    def confirmed(self, seq: int) -> None:
        """The secondary has applied everything up to `seq`, on the present connection (CONFLINK)."""
        self.confirmed_seq = seq
        unconfirmed = self.unconfirmed
        while unconfirmed and unconfirmed[0].seq <= seq:
            request = unconfirmed.popleft()
            self.link_bytes -= request.length
            request.confirmed = True
            if request.local:
                self._answer(request)

    # --- out ---

    def _answer(self, request: Request) -> None:
        """Rule 1 holds for this write; answer it, once."""
        if self.unanswered.pop(request.seq, None) is None:
            return
        self.bytes -= request.length
        if request.fua and not request.errno:
            self._on_flush(request)  # answered by the flush; its range is free already
        else:
            request.done(request, request.errno)
        free = self.ranges[request.volume].leave(request)
        if free:
            for follower in free:
                self._begin(follower)

    def answer_failed(self, request: Request) -> None:
        """The failed mark is durable: the host gets its error (STICKY)."""
        self._answer(request)

    def _leave(self, request: Request) -> None:
        free = self.ranges[request.volume].leave(request)
        if free:
            for follower in free:
                self._begin(follower)

    # --- the resync's locks ---

    def lock(self, lock: Request, begin: Callable[[], None]) -> None:
        """Hold the bytes of `lock` (a READ) against writes; `begin` is called once those under way are answered."""
        if self.ranges[lock.volume].enter(lock):
            begin()
        else:
            self._locks[id(lock)] = begin

    def unlock(self, lock: Request) -> None:
        """The bytes are free; a lock that still waits is given up when its turn comes."""
        if self._locks.pop(id(lock), None) is None:
            self._leave(lock)
        else:
            self._given_up.add(id(lock))

    def next_seq(self) -> int:
        """The next place in the order of the link, for a frame that is no host's write."""
        self.seq += 1
        return self.seq

    # --- the gate, as its owner says ---

    def shut(self) -> None:
        """TRIP: nothing is answered; whatever was confirmed and not answered counts as unconfirmed."""
        self.open = False
        self.unlink()
        for request in self.unanswered.values():
            request.confirmed = False

    def unlink(self) -> None:
        """The link is gone: what it took and did not confirm, it may have lost (CONFLINK)."""
        self.linked = False
        self.unconfirmed.clear()
        self.link_bytes = 0

    def link(self) -> None:
        """From now on every write goes on the link."""
        self.linked = True
        self.linked_after = self.seq
        self.confirmed_seq = 0

    def send_again(self) -> None:
        """RESUME: all that was not answered, in order. What the own disk failed is not among it."""
        self.linked = True
        self.confirmed_seq = 0
        self.linked_after = 0
        self.unconfirmed = deque(request for request in self.unanswered.values() if not request.errno)
        self._send(self.unconfirmed)

    def admit_held(self) -> None:
        """The gate is open again: what was held goes on, in the order in which it came."""
        held, self.held = self.held, deque()
        while held:
            if not self.open:
                held.extend(self.held)
                self.held = held
                return
            self._admit(held.popleft())

    def take_permit(self) -> None:
        """From now on, and until it is given up, every write's chunk is dirty before it is answered (SOLO, SET)."""
        self.permit = True
        for marks in self._marks:
            marks.exact.clear()

    def permit_given(self) -> None:
        """SOLO: every unconfirmed write's chunks become dirty, then they are answered."""
        self.take_permit()
        waiting = list(self.unanswered.values())
        for request in waiting:
            self._make_dirty(request)
        for request in waiting:
            if request.local:
                self._answer(request)

    def extents_under_write(self, volume: int) -> set[int]:
        """Extents of writes that are under way, or wait for their turn (DROPRACE)."""
        return self.ranges[volume].extents_under_write()

    def all_on_link(self) -> bool:
        """Whether every write under way is on the present link (ENDSENT)."""
        return all(seq > self.linked_after for seq in self.unanswered)

    @property
    def idle(self) -> bool:
        """Nothing is under way: no write unanswered or waiting for its turn, no disk at work."""
        return not (self.unanswered or self._intents or self.local_pending or any(map(bool, self.ranges)))

    def abandon(self) -> list[Request]:
        """Give every request up, unanswered. The disks must be idle, for those given back are carried out anew.

        Returns them all, as they came from the hosts, in that order.
        """
        self.open = self.permit = False
        self._abandoned = True
        self.unlink()
        found = {id(request): request for ranges in self.ranges for request in ranges.all()}
        found.update((id(request), request) for request in self.held)
        self.held.clear()
        self.unanswered.clear()
        self._intents.clear()
        self._locks.clear()
        self.ranges = [Ranges() for _ in self.ranges]
        self.bytes = 0
        # A lock of the resync never arrived.
        return sorted((r for r in found.values() if r.arrival), key=lambda request: request.arrival)
