"""Threads for disk work that may sleep. Answers come back on the event loop, many per wake-up."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

# Of works done on the loop: each may take some tens of microseconds, so hosts wait for half a millisecond at most.
IN_ONE_TURN = 16

# (what to do in a thread, who gets its result on the event loop)
_Job = tuple[Callable[[], Any], Callable[[Any], None]]


class Workers:
    """A bounded pool, shared by all disks of an agent. Threads are started when the first work needs them.

    Leaner than an executor: no future and one wake-up of the loop for all answers that are there.
    """

    def __init__(self, threads: int = 16) -> None:
        """`threads`: how many flushes, uncached reads and hashings may be under way at once."""
        self._loop = asyncio.get_running_loop()
        self._limit = threads
        self._threads: list[threading.Thread] = []
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._answers: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._waking = False
        self._under_way = 0  # counted on the loop only
        self._turns: deque[Callable[[], None]] = deque()

    def run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Call `work` in a thread, then `done` with its result on the event loop.

        `work` must not raise: it answers errors in its result.
        """
        self._under_way += 1
        if self._under_way > len(self._threads) < self._limit:
            thread = threading.Thread(target=self._serve, name=f"disk-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put((work, done))

    def in_turn(self, work: Callable[[], None]) -> None:
        """Call `work` on the event loop, never from inside this call: what is short and does not sleep.

        Few in one turn of the loop, of all disks together, so that hosts wait for few.
        """
        self._turns.append(work)
        if len(self._turns) == 1:
            self._loop.call_soon(self._take_turns)

    def _take_turns(self) -> None:
        turns = self._turns
        for _ in range(min(len(turns), IN_ONE_TURN)):
            try:
                turns[0]()
            except Exception as error:
                self._loop.call_exception_handler({"message": "a disk's work failed", "exception": error})
            turns.popleft()  # behind the call: what it adds is not the first, which would schedule us twice
        if turns:
            self._loop.call_soon(self._take_turns)

    def close(self) -> None:
        """End the threads behind the work that was given; answers that nobody waits for are dropped."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self) -> None:
        """Wait (blocking) for the threads to end, after `close`."""
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            self._answers.append((done, work()))
            if not self._waking:
                self._waking = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop was closed: the process is ending
                    return

    def _deliver(self) -> None:
        # The flag goes down first: an answer that is appended from now on wakes the loop again.
        self._waking = False
        answers = self._answers
        for _ in range(len(answers)):
            done, result = answers.popleft()
            self._under_way -= 1
            try:
                done(result)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a disk's answer was not taken", "exception": error}
                )
