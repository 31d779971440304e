"""Flushes at the secondary: one at a time, each behind what it must cover; intents go where they may (rule 5)."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bilocate.replication.intents import superfluous
from bilocate.replication.marks import Marks
from bilocate.replication.ports import Ports
from bilocate.replication.records import Change

Commit = Callable[[Sequence[Change], Callable[[float], None]], None]


@dataclass(slots=True)
class _Barrier:
    ready: Callable[[], bool]
    then: Callable[[int], None]
    drop_all: bool


class Barriers:
    """A barrier waits until it is ready, flushes, and tells `then(errno)`.

    With `drop_all` all intents that the flush made superfluous are gone, durably, by then.
    """

    def __init__(
        self,
        ports: Ports,
        marks: Sequence[Marks],
        next_token: Callable[[], int],
        commit: Commit,
        under_write: Callable[[int], set[int]],
        intents_max: int,
    ) -> None:
        self._ports = ports
        self._marks = marks
        self._next_token = next_token
        self._commit = commit
        self._under_write = under_write
        self._intents_max = intents_max
        self._waiting: deque[_Barrier] = deque()
        self._running: _Barrier | None = None
        self._token = 0
        self._candidates: list[set[int]] = []
        self._once_more = False
        self.flush_number = 0  # rises with every flush that begins (DROPRACE)

    def add(self, ready: Callable[[], bool], then: Callable[[int], None], drop_all: bool = False) -> None:
        """Flush behind all earlier barriers as soon as `ready()`."""
        self._waiting.append(_Barrier(ready, then, drop_all))
        self.pursue()

    def pursue(self) -> None:
        """Something was applied, or the disks fell idle: the next one may be ready."""
        if self._running is None and self._waiting and self._waiting[0].ready():
            self._begin(self._waiting.popleft())

    def trim(self, failed: Callable[[int], None]) -> None:
        """Past the bound of intents a flush of our own makes room (rule 27); `failed(errno)` if it can't."""
        if self._running is None and not self._waiting and self._count() > self._intents_max:
            self._begin(_Barrier(lambda: True, lambda errno: failed(errno) if errno else None, False))

    def _begin(self, barrier: _Barrier) -> None:
        self._running = barrier
        self.flush_number += 1
        self._candidates = [
            each.record.intents - self._under_write(volume) for volume, each in enumerate(self._marks)
        ]
        # An intent that is still on its way (for a write that was discarded, say) can't be dropped by this flush.
        self._once_more = barrier.drop_all and any(each.committing for each in self._marks)
        self._token = self._next_token()
        self._ports.flush(self._token)

    def flushed(self, token: int, errno: int) -> None:
        """The disks have flushed."""
        barrier = self._running
        if barrier is None or token != self._token:
            return
        self._running = None
        if errno:
            # What the disk dropped is unknown: every extent that was not proven durable has failed (STICKY).
            self._commit(
                [c for each in self._marks for c in each.fail(each.record.intents)], lambda now: None
            )
        changes = [] if errno else self._drop(barrier.drop_all)
        if barrier.drop_all:
            once_more = self._once_more
            self._commit(changes, lambda now: self._dropped(barrier, errno, once_more))
        else:
            if changes:
                self._commit(changes, lambda now: None)
            barrier.then(errno)
        self.pursue()

    def _dropped(self, barrier: _Barrier, errno: int, once_more: bool) -> None:
        """What was dropped is gone durably, and every intent that was on its way before is there."""
        if once_more and not errno:
            self._waiting.appendleft(barrier)
            self.pursue()
        else:
            barrier.then(errno)

    def _drop(self, drop_all: bool) -> list[Change]:
        if not drop_all and self._count() <= self._intents_max:
            return []
        keep = 0 if drop_all else self._intents_max // 2
        dropped = superfluous(self._marks, self._candidates, self.flush_number, keep)
        return [
            change
            for each, gone in zip(self._marks, dropped, strict=True)
            for change in each.drop_intents(gone)
        ]

    def _count(self) -> int:
        return sum(len(each.record.intents) for each in self._marks)

    def clear(self) -> None:
        """Nobody waits any more; a flush under way ends in nothing."""
        self._waiting.clear()
        self._running = None
