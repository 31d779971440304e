"""Things that come out in the order in which they went in: frames of a link, commits of a ledger."""

from collections import deque
from collections.abc import Callable

from tests.sim.world.scheduler import Event, Kind, Scheduler


class Channel:
    """One direction of something ordered. Only its head is in the event queue: holding that holds the rest."""

    def __init__(self, scheduler: Scheduler, kind: Kind, site: str) -> None:
        self._scheduler = scheduler
        self._kind = kind
        self._site = site
        self._queue: deque[tuple[float, str, object, Callable[[], None]]] = deque()
        self._head: Event | None = None
        self._stalled = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, delay: float, name: str, detail: object, run: Callable[[], None]) -> None:
        """`run` happens after `delay`, and after all that was put in before."""
        self._queue.append((self._scheduler.now + delay, name, detail, run))
        if self._head is None:
            self._schedule()

    def _schedule(self) -> None:
        if self._queue and not self._stalled:
            due, name, detail, _ = self._queue[0]
            delay = max(0.0, due - self._scheduler.now)
            self._head = self._scheduler.after(
                delay, self._kind, self._site, name, self._out, self._lost, detail
            )
        else:
            self._head = None

    def _out(self) -> None:
        run = self._queue.popleft()[3]
        self._head = None
        self._schedule()
        run()

    def _lost(self) -> None:
        self._queue.popleft()
        self._schedule()

    def take_ready(self, seconds: float, kind: type) -> list[object]:
        """What is behind the head that just came out, of this kind of detail and due within `seconds`: it comes now."""
        out: list[object] = []
        until = self._scheduler.now + seconds
        while (
            self._queue
            and self._queue[0][0] <= until
            and type(self._queue[0][2]) is kind
            and not self._stalled
        ):
            _, name, detail, _ = self._queue.popleft()
            out.append(detail)
            if self._scheduler.trace.on:
                what = f"{self._kind.value} {name} {detail} (read with the one before)"
                self._scheduler.trace.add(self._scheduler.now, self._site, what)
        if out:
            self._drop_head()
            self._schedule()
        return out

    def _drop_head(self) -> None:
        if self._head is not None:
            self._head.cancelled = True
            self._head = None

    def stall(self) -> None:
        """Nothing comes out until `go_on`."""
        self._stalled = True
        self._drop_head()

    def go_on(self) -> None:
        """What waited comes out, in order."""
        if self._stalled:
            self._stalled = False
            self._schedule()

    def take_all(self) -> list[Callable[[], None]]:
        """Empty it: what was under way, for whoever decides how much of that still happens."""
        out = [run for _, _, _, run in self._queue]
        self._queue.clear()
        self._drop_head()
        return out
