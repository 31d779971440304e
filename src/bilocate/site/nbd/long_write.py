"""A write whose payload is received where it stays: copying it out of the buffer would cost too much."""

from bilocate.replication.requests import Request
from bilocate.site.buffers import payloads


class LongWrite:
    """A payload that is arriving. It takes memory only once `allocate` was called."""

    __slots__ = ("_filled", "_view", "command_flags", "request")

    def __init__(self, request: Request, command_flags: int) -> None:
        self.request = request
        self.command_flags = command_flags
        self._view: memoryview | None = None
        self._filled = 0

    def allocate(self) -> None:
        """The room is reserved."""
        self.request.data = payloads.take(self.request.length)
        self._view = memoryview(self.request.data)

    def take(self, data: memoryview) -> int:
        """Copy what is here already of the payload; how many bytes that were."""
        assert self._view is not None
        count = min(len(data), self.request.length)
        self._view[:count] = data[:count]
        self._filled = count
        return count

    @property
    def whole(self) -> bool:
        """Whether the payload is complete."""
        return self._view is not None and self._filled == self.request.length

    def rest(self) -> memoryview | None:
        """Where the rest is to be received; None while there is no room reserved."""
        return None if self._view is None else self._view[self._filled :]

    def received(self, count: int) -> None:
        """So many bytes of the rest are there."""
        self._filled += count
