"""Virtual time: an event queue ordered by (time, tie number), and the hands that hold events back."""

import heapq
from collections.abc import Callable
from enum import Enum

from tests.sim.world.trace import Trace


class Kind(Enum):
    """What an event is of. A scenario holds, drops or lets through by kind, site and name."""

    DISK = "disk"  # an answer of a disk to a read or a write
    FLUSH = "flush"
    CHUNKS = "chunks"  # chunks were read and hashed
    LEDGER = "ledger"  # a commit is durable
    ASK = "ask"  # a request reaches the arbiter
    ANSWER = "answer"  # the arbiter's answer reaches the agent
    FRAME = "frame"  # a frame reaches the other site
    LINK = "link"  # a connection comes up, or its end is noticed
    CALL = "call"  # the controller's call reaches an agent, or its answer the controller
    TIMER = "timer"
    HOST = "host"
    FAULT = "fault"
    STEP = "step"  # a step of a controller's event loop

    # Every event is looked up by its kind; the hash that Enum brings is a call of Python's.
    __hash__ = object.__hash__


class Event:
    """Something that is going to happen. `site` is where; for a frame, where it arrives."""

    __slots__ = ("cancelled", "detail", "kind", "lost", "name", "run", "site", "time")

    def __init__(
        self,
        time: float,
        kind: Kind,
        site: str,
        name: str,
        run: Callable[[], None],
        lost: Callable[[], None] | None = None,
        detail: object = "",
    ) -> None:
        self.time = time
        self.kind = kind
        self.site = site
        self.name = name
        self.run = run
        self.lost = lost
        self.detail = detail
        self.cancelled = False

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.site} {self.name} {self.detail} at {self.time:.4f}>"


class Hold:
    """Events that match are parked when they are due, until they are let through or dropped. "" matches all."""

    def __init__(self, kind: Kind, site: str, name: str) -> None:
        self.kind = kind
        self.site = site
        self.name = name

    def matches(self, event: Event) -> bool:
        """Whether this hold keeps the event."""
        return (
            event.kind is self.kind
            and (not self.site or self.site == event.site)
            and (not self.name or self.name == event.name)
        )


class Scheduler:
    """The one clock and the one queue of a world."""

    def __init__(self, trace: Trace) -> None:
        self.now = 0.0
        self.trace = trace
        self.events_run = 0
        self.after_each: Callable[[Event], None] | None = None  # told of every event that has happened
        self.parked: list[Event] = []
        self._holds: list[Hold] = []
        self._frozen: dict[str, list[Event]] = {}  # by site: what was due while it was stopped
        self._heap: list[tuple[float, int, Event]] = []
        self._tie = 0

    def after(
        self,
        delay: float,
        kind: Kind,
        site: str,
        name: str,
        run: Callable[[], None],
        lost: Callable[[], None] | None = None,
        detail: object = "",
    ) -> Event:
        """`run` happens `delay` seconds from now; `lost` instead of it if a scenario drops the event."""
        time = self.now + delay
        event = Event(time, kind, site, name, run, lost, detail)
        self._tie += 1
        heapq.heappush(self._heap, (time, self._tie, event))
        return event

    def step(self, until: float = float("inf")) -> bool:
        """Run the next event that is due by `until`; whether there was one."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            event = heapq.heappop(heap)[2]
            if event.cancelled:
                continue
            if event.time > self.now:
                self.now = event.time
            if self._frozen and event.site in self._frozen and _happens_inside(event):
                self._frozen[event.site].append(event)
                continue
            if self._holds and any(hold.matches(event) for hold in self._holds):
                self.parked.append(event)
                continue
            self._run(event)
            return True
        return False

    def run(self, seconds: float) -> None:
        """Let time go by."""
        until = self.now + seconds
        while self.step(until):
            pass
        self.now = until

    def _run(self, event: Event) -> None:
        self.events_run += 1
        if self.trace.on and event.kind is not Kind.STEP:
            self.trace.add(self.now, event.site, f"{event.kind.value} {event.name} {event.detail}".rstrip())
        event.run()
        if self.after_each is not None:
            self.after_each(event)

    def freeze(self, site: str) -> None:
        """Nothing happens inside this site's process until `thaw`."""
        self._frozen.setdefault(site, [])

    def thaw(self, site: str, lost: Kind | None = None) -> None:
        """What was due meanwhile happens now, in its order; nothing of the kind `lost` ever does."""
        for event in self._frozen.pop(site, []):
            if event.kind is lost:
                if event.lost is not None and not event.cancelled:
                    event.lost()
                continue
            event.time = self.now
            self._tie += 1
            heapq.heappush(self._heap, (self.now, self._tie, event))

    # --- by hand ---

    def hold(self, kind: Kind, site: str = "", name: str = "") -> Hold:
        """Park such events from now on."""
        hold = Hold(kind, site, name)
        self._holds.append(hold)
        return hold

    def holds(self, kind: Kind, site: str, name: str) -> bool:
        """Whether such an event would be parked: then it must not happen from inside a call."""
        if not self._holds:
            return False
        event = Event(self.now, kind, site, name, lambda: None)
        return any(hold.matches(event) for hold in self._holds)

    def release(self, hold: Hold) -> None:
        """No longer, and those that were parked happen now, in the order in which they were due."""
        self._holds.remove(hold)
        for event in [e for e in self.parked if hold.matches(e)]:
            self.parked.remove(event)
            event.time = self.now
            self._tie += 1
            heapq.heappush(self._heap, (self.now, self._tie, event))

    def found(self, kind: Kind, site: str = "", name: str = "") -> list[Event]:
        """The parked events that match, in order."""
        wanted = Hold(kind, site, name)
        self.parked = [event for event in self.parked if not event.cancelled]
        return [event for event in self.parked if wanted.matches(event)]

    def deliver(self, event: Event) -> None:
        """Let one parked event happen now."""
        self.parked.remove(event)
        self._run(event)

    def drop(self, event: Event) -> None:
        """One parked event never happens; who waits for it hears of it where the event says so."""
        self.parked.remove(event)
        if self.trace.on:
            self.trace.add(
                self.now, event.site, f"LOST {event.kind.value} {event.name} {event.detail}".rstrip()
            )
        if event.lost is not None:
            event.lost()


def _happens_inside(event: Event) -> bool:
    """Whether the event needs the process of its site. What has left it, or is done to it, does not."""
    if event.kind in (Kind.ASK, Kind.FAULT):
        return False
    return event.kind is not Kind.CALL or not event.name.endswith(("answered", "out of reach"))
