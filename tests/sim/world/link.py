"""The wire between two sites: connections with ordered frames, real bytes, delays, cuts and black holes."""

from collections.abc import Callable
from typing import Protocol

from tests.sim.world.channel import Channel
from tests.sim.world.scheduler import Kind as EventKind
from tests.sim.world.scheduler import Scheduler

from bilocate.replication.frames import (
    HEADER,
    Arrival,
    Buffer,
    Kind,
    decode_arrival,
    decode_header,
    put_payload,
)
from bilocate.replication.ports import TRANSIENT_BYTES_MAX

NAMES = {kind.value: kind.name for kind in Kind}
SPOILT = memoryview(b"\xee" * TRANSIENT_BYTES_MAX)


class LinkOwner(Protocol):
    """Who holds one end of a connection."""

    def on_frames(self, end: "End", frames: list[Arrival]) -> None:
        """Frames arrived at this end. Short payloads are valid during this call only (`TRANSIENT_BYTES_MAX`)."""

    def on_lost(self, end: "End", reason: str) -> None:
        """The connection is gone, and this end did not close it."""


class End:
    """One site's end of a connection. What it sends arrives at `peer`, in order, or never."""

    def __init__(self, wire: "Wire", number: int, site: str, owner: LinkOwner) -> None:
        self.wire = wire
        self.number = number
        self.site = site
        self.owner = owner
        self.open = True
        self.told = False  # that it is lost, or it closed itself
        self.peer: End
        self.incoming = Channel(wire.scheduler, EventKind.FRAME, site)
        self.bytes_out = 0

    def send(self, header: bytes, payload: Buffer) -> None:
        """Put a frame on the wire. The bytes are taken now: nothing on the wire changes later."""
        if not self.open:
            return
        raw = header + payload if payload else bytes(header)
        self.bytes_out += len(raw)
        peer = self.peer
        peer.incoming.put(self.wire.delay(), NAMES[header[0]], Raw(raw), lambda: peer.arrive(raw))

    def arrive(self, raw: bytes) -> None:
        """A frame reaches this end."""
        if not self.open:
            self.wire.reset(self.peer)  # nobody listens here any more
            return
        more = self.incoming.take_ready(burst, Raw) if (burst := self.wire.burst()) else []
        buffers = [bytearray(raw)]
        if more:
            buffers += [bytearray(each.raw) for each in more if isinstance(each, Raw)]
        self.owner.on_frames(self, [_arrival(buffer) for buffer in buffers])
        for buffer in buffers:
            spoil = len(buffer) - HEADER.size
            if 0 < spoil <= TRANSIENT_BYTES_MAX:
                buffer[HEADER.size :] = SPOILT[:spoil]  # the next bytes from the wire are there now

    def close(self) -> None:
        """Closed here: what was sent before still arrives, then the peer hears of the end."""
        if self.open:
            self.open = False
            self.told = True
            self.incoming.take_all()
            peer = self.peer
            peer.incoming.put(
                self.wire.delay(), "CLOSED", "", lambda: peer.lose("the peer closed the connection")
            )

    def lose(self, reason: str) -> None:
        """The connection is gone; the owner hears of it, once, unless it closed this end itself."""
        self.open = False
        self.incoming.take_all()
        if not self.told:
            self.told = True
            self.wire.ends_changed()
            self.owner.on_lost(self, reason)


def _arrival(buffer: bytearray) -> Arrival:
    arrival, length = decode_arrival(buffer, 0)
    assert len(buffer) == HEADER.size + length, "the payload is as long as its header says"
    return put_payload(arrival, memoryview(buffer)[HEADER.size :]) if length else arrival


class Raw:
    """A frame's bytes as the trace shows them."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __str__(self) -> str:
        frame, length = decode_header(self.raw, 0)
        return f"vol{frame.volume} {frame.offset}+{frame.length} seq={frame.seq} payload={length}"


class Wire:
    """All connections between two sites."""

    def __init__(
        self, scheduler: Scheduler, delay: Callable[[], float], burst: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.scheduler = scheduler
        self.delay = delay
        self.burst = burst  # seconds: what arrives within is read at once
        self.number = 0
        self.up = True  # whether new connections come about
        self._stalled: set[str] = set()  # sites that nothing reaches
        self._ends: list[End] = []

    def connect(self, dialer: str, dialer_owner: LinkOwner, site: str, owner: LinkOwner) -> tuple[End, End]:
        """A new connection, both ends. Numbers rise, as the core expects of them."""
        self.number += 1
        one = End(self, self.number, dialer, dialer_owner)
        other = End(self, self.number, site, owner)
        one.peer, other.peer = other, one
        for end in (one, other):
            if end.site in self._stalled:
                end.incoming.stall()
        self._ends += [one, other]
        return one, other

    def reaches(self, site: str) -> bool:
        """Whether a new connection to this site would come about."""
        return self.up and not self._stalled

    def ends_changed(self) -> None:
        """Forget connections that are gone at both ends."""
        self._ends = [end for end in self._ends if end.open or end.peer.open]

    # --- faults ---

    def black_hole(self, site: str) -> None:
        """Nothing reaches this site; what is sent waits, as in a kernel that sends again and again."""
        self._stalled.add(site)
        for end in self._ends:
            if end.site == site:
                end.incoming.stall()

    def heal(self) -> None:
        """Everything gets through again: late frames too, where both ends still hold on."""
        self.up = True
        self._stalled.clear()
        for end in self._ends:
            end.incoming.go_on()

    def cut(
        self, deliver: Callable[[int], int] | None = None, notice: float = 0.0, site: str | None = None
    ) -> None:
        """Every connection breaks, or only `site`'s ends. `deliver(n)`: how many of n frames under way still arrive."""
        for end in list(self._ends):
            if site is None or end.site == site:
                self.break_end(end, deliver, notice)

    def break_end(self, end: End, deliver: Callable[[int], int] | None, notice: float) -> None:
        """This end's connection broke: some of what is under way arrives, then the owner hears of it."""
        under_way = end.incoming.take_all()
        if not end.open:
            return
        count = deliver(len(under_way)) if deliver is not None else 0
        for arrive in under_way[:count]:
            end.incoming.put(0.0, "late", "", arrive)
        end.incoming.put(notice, "CUT", "", lambda: end.lose("the connection was cut"))

    def site_died(self, site: str, deliver: Callable[[int], int], silent: bool) -> None:
        """A site's process ended: its ends are gone. `silent`: with its machine, so the peers hear nothing."""
        for end in list(self._ends):
            if end.site == site:
                end.open = False
                end.told = True
                end.incoming.take_all()
                if not silent:
                    self.break_end(end.peer, deliver, self.delay())
                else:
                    count = deliver(len(end.peer.incoming))
                    arriving = end.peer.incoming.take_all()[:count]
                    for arrive in arriving:
                        end.peer.incoming.put(0.0, "late", "", arrive)
        self.ends_changed()

    def reset(self, end: End) -> None:
        """Something arrived where nobody listens: the sender is told."""
        if end.open:
            end.incoming.put(self.delay(), "RESET", "", lambda: end.lose("the peer reset the connection"))
