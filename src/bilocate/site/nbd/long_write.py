"""A write whose payload is received where it stays: copying it out of the buffer would cost too much."""

from bilocate.replication.requests import Request
from bilocate.site.long_payload import LongPayload


class LongWrite:
    """A request whose payload is arriving. It takes memory only once `allocate` was called."""

    __slots__ = ("_payload", "command_flags", "request")

    def __init__(self, request: Request, command_flags: int) -> None:
        self.request = request
        self.command_flags = command_flags
        self._payload: LongPayload | None = None

    def allocate(self, data: memoryview, socket_fd: int) -> int:
        """The room is reserved: take what is here already of the payload; how many bytes that were.

        `socket_fd`: where the rest may be moved from (`LongPayload`).
        """
        count = min(len(data), self.request.length)
        self._payload = LongPayload(self.request.length, data[:count], socket_fd)
        return count

    @property
    def whole(self) -> bool:
        """Whether the payload is complete."""
        return self._payload is not None and self._payload.whole

    def rest(self) -> memoryview | None:
        """Where the rest is to be received; None while there is no room reserved."""
        return None if self._payload is None else self._payload.rest()

    def received(self, count: int) -> None:
        """So many bytes of the rest are there."""
        assert self._payload is not None
        self._payload.received(count)

    def complete(self, unread: bool) -> Request:
        """The request, with its payload; in memory unless it may be `unread`."""
        assert self._payload is not None
        self.request.data = self._payload.data if unread else self._payload.bring_to_memory()
        return self.request
