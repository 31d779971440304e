"""What an agent counts beside its work: writes' latencies, stalls, bytes on links. Nothing acts by it."""

import time
from bisect import bisect_left
from collections.abc import Callable

from bilocate.domain.primary_states import OPEN, PrimaryState
from bilocate.replication.requests import Request

# Upper bounds in seconds: from the page cache to a host's patience.
LATENCY_BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
# One request of so many is looked at, and measured if it is a write: every one would cost a percent of the IOPS.
SAMPLED_MASK = 15

Done = Callable[[Request, int], None]


class Latencies:
    """A histogram of the sampled writes of one volume: from the host's request to its answer, failures included."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (
            len(LATENCY_BOUNDS) + 1
        )  # not summed up; the last is what is longer than all bounds
        self.seconds = 0.0

    def timed(self, done: Done) -> Done:
        """An answer that is counted when it is given."""
        began = time.monotonic()

        def answered(request: Request, errno: int) -> None:
            took = time.monotonic() - began
            self.seconds += took
            self.counts[bisect_left(LATENCY_BOUNDS, took)] += 1
            done(request, errno)

        return answered


class SessionFigures:
    """Of one session in this life of the agent. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.stalls = 0  # how often hosts were held that had been answered before
        self.ended_links_bytes_in = self.ended_links_bytes_out = 0
        self._held_seconds = 0.0
        self._held_since: float | None = None

    def moved(self, before: str, after: str, now: float) -> None:
        """The primary half went from one state to another."""
        was_open, is_open = PrimaryState(before) in OPEN, PrimaryState(after) in OPEN
        if was_open and not is_open and after != PrimaryState.RETIRED.value:
            self.stalls += 1
            self._held_since = now
        elif is_open or after == PrimaryState.RETIRED.value:
            self._held_seconds = self.held_seconds(now)
            self._held_since = None

    def held_seconds(self, now: float) -> float:
        """For how long hosts were held, all stalls together, the present one included."""
        return self._held_seconds + (0.0 if self._held_since is None else now - self._held_since)

    @property
    def held(self) -> bool:
        """Whether hosts are held now."""
        return self._held_since is not None
