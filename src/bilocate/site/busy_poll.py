"""Busy polling: where requests come one by one, the loop looks for the next one for a moment instead of sleeping.

At depth 1 a replicated write waits for four processes to be woken, one after the other, and that takes longer than
all of their work. A loop that did not sleep need not be woken. It costs CPU time that would have been idle, for at
most `seconds` after each event and only while such waits have been worth it; and between two looks the CPU is given
up, so that whoever has work goes first. If that takes long, CPUs are short here, and polling rests.
"""

import asyncio
import os
import time

# Behind more than this, its own work is most of what a request takes: databases write pages of 4 to 16 KiB.
SMALL_BYTES_MAX = 16 * 1024
# One event that was not worth it takes back what two that were have earned; at most four such are forgiven.
_CREDIT_MAX = 8
_CREDIT_LOST = 2
# Giving up the CPU takes a microsecond, or about 50 where the other end of a connection runs meanwhile. A program
# that computes keeps it for 1 to 5 ms (measured with one and two of them on two CPUs).
AWAY_SECONDS_MAX = 1e-3
REST_SECONDS = 0.05


class Expectation:
    """Whether what comes next is worth waiting for awake, by what came until now. Times are of one steady clock."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long to wait awake at most; 0: never."""
        self._seconds = seconds
        self._credit = 0
        self._came_at = self._rest_until = float("-inf")

    def came(self, count: int, length: int, now: float) -> float:
        """So many requests came at once, the first for `length` bytes.

        Returns until when to wait awake for the next; `now` says not at all.
        """
        soon = now - self._came_at < self._seconds
        self._came_at = now
        if soon and count == 1 and length <= SMALL_BYTES_MAX:
            self._credit = min(self._credit + 1, _CREDIT_MAX)
        else:
            # Several at once, or large ones, keep the CPUs busy: what is polled away would be missing, and a loop that
            # slept finds more at once.
            self._credit = max(self._credit - _CREDIT_LOST, 0)
        if self._credit == 0 or now < self._rest_until:
            return now
        return now + self._seconds

    def gave_way(self, seconds: float, now: float) -> bool:
        """Giving up the CPU took so long. Whether to go on waiting awake."""
        if seconds <= AWAY_SECONDS_MAX:
            return True
        self._rest_until = now + REST_SECONDS
        return False


class BusyPoll:
    """Keeps the running loop awake while that is worth it. One for all connections and links of a process."""

    def __init__(self, seconds: float) -> None:
        self.rests = 0  # how often it ended because CPUs were short
        self._enabled = seconds > 0
        self._expectation = Expectation(seconds)
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._awake = False  # `_look` is scheduled
        self._awake_since = 0.0
        self._awake_seconds = 0.0  # until the loop slept last

    def came(self, count: int, length: int) -> None:
        """As `Expectation.came`."""
        if not self._enabled:
            return
        now = time.monotonic()  # the loop's own clock has milliseconds only
        self._until = self._expectation.came(count, length, now)
        if self._until > now and not self._awake:
            self._awake = True
            self._awake_since = now
            self._loop.call_soon(self._look)

    def awake_seconds(self) -> float:
        """For how long the loop has been kept awake until now, with what it did meanwhile."""
        present = time.monotonic() - self._awake_since if self._awake else 0.0
        return self._awake_seconds + present

    def _look(self) -> None:
        """A loop that has something to call looks at its sockets and does not wait for them."""
        began = time.monotonic()
        if began < self._until:
            os.sched_yield()
            now = time.monotonic()
            if self._expectation.gave_way(now - began, now):
                self._loop.call_soon(self._look)
                return
            self.rests += 1
        self._awake_seconds = self.awake_seconds()
        self._awake = False
