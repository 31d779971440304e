"""A zeroing longer than a target takes in one request, done in parts, one after the other."""

import errno
from collections.abc import Callable

from bilocate.replication.requests import Op, Request
from bilocate.site.target import BlockTarget


class LongZero:
    """Submits parts that end at multiples of `part_bytes`; `done(errno)` behind the last or a failure."""

    def __init__(
        self, target: BlockTarget, whole: Request, part_bytes: int, done: Callable[[int], None]
    ) -> None:
        self._target = target
        self._whole = whole
        self._at = whole.offset
        self._end = whole.offset + whole.length
        self._part_bytes = part_bytes
        self._done = done
        self._running = False  # inside `go_on`: a part answered at once needs no call of its own
        self._waiting = False
        self._code = 0
        self.cancelled = False  # the connection is gone: no further part

    def go_on(self) -> None:
        """Submit parts until one is not answered at once."""
        self._running = True
        while self._at < self._end and not self._code and not self._waiting:
            if self.cancelled:
                self._code = errno.ESHUTDOWN
                break
            part_end = min(self._end, (self._at // self._part_bytes + 1) * self._part_bytes)
            offset, self._at = self._at, part_end
            self._waiting = True
            part = Request(Op.ZERO, offset, part_end - offset, self._part_done)
            part.fua, part.keep_allocated = self._whole.fua, self._whole.keep_allocated
            self._target.submit_all((part,))
        self._running = False
        if not self._waiting:
            self._done(self._code)

    def _part_done(self, part: Request, code: int) -> None:
        self._waiting = False
        self._code = code
        if not self._running:
            self.go_on()
            self._target.end_of_batch()
