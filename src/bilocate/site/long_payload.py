"""A payload that is received where it stays, for copying it out of a connection's buffer would cost too much."""

import asyncio

from bilocate.replication.requests import Unread
from bilocate.site.buffers import payloads
from bilocate.site.pipes import PIPED_BYTES_MAX, PIPED_BYTES_MIN, Piped, pipes

# What is not in a payload's own memory comes through here: the first bytes that arrive after a pause.
_SCRATCH = memoryview(bytearray(4096))


def plain_socket(transport: asyncio.BaseTransport) -> int:
    """The descriptor out of which a connection's payloads may be moved; -1 where they are encrypted there."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return -1
    return int(sock.fileno())


class LongPayload:
    """Bytes that are arriving: in a pipe where that can be, else in memory.

    `rest` and `received` are a transport's `get_buffer` and `buffer_updated`. Behind what these bring, everything else
    that the socket has goes straight into the pipe.
    """

    __slots__ = ("_filled", "_length", "_memory", "_piped", "_socket_fd")

    def __init__(self, length: int, first: memoryview, socket_fd: int = -1) -> None:
        """`first`: what has arrived of it already. `socket_fd`: where its bytes may be moved from, -1: nowhere."""
        self._length = length
        self._filled = 0
        self._socket_fd = socket_fd
        self._memory: bytearray | None = None
        self._piped: Piped | None = None
        if socket_fd >= 0 and PIPED_BYTES_MIN <= length <= PIPED_BYTES_MAX:
            pipe = pipes.take()
            if pipe is not None:
                self._piped = Piped(pipe, length, pipes)
        if self._piped is None:
            self._memory = payloads.take(length)
        self._add(first)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self._filled == self._length

    @property
    def data(self) -> bytearray | Unread:
        """The payload, once it is whole."""
        return self._in_memory() if self._piped is None else self._piped

    def rest(self) -> memoryview:
        """Where to receive the next bytes."""
        if self._memory is not None:
            return memoryview(self._memory)[self._filled :]
        return _SCRATCH[: self._length - self._filled]

    def received(self, count: int) -> None:
        """So many bytes are in `rest`."""
        if self._memory is not None:
            self._filled += count
        else:
            self._add(_SCRATCH[:count])

    def bring_to_memory(self) -> bytearray:
        """What is there of it is in memory from now on, and what comes as well."""
        if self._piped is not None:
            self._memory = payloads.take(self._length)
            self._piped.read_into(memoryview(self._memory))
            self._piped = None
        return self._in_memory()

    def _in_memory(self) -> bytearray:
        assert self._memory is not None
        return self._memory

    def _add(self, data: memoryview) -> None:
        """Take bytes that are in memory, and what is behind them in the socket."""
        if self._piped is not None:
            put = self._piped.put(data)
            if put == len(data):
                self._piped.receive(self._socket_fd)
                self._filled = self._piped.filled
                return
            # The pipe is full of small pieces.
            self._filled += put
            data = data[put:]
            self.bring_to_memory()
        end = self._filled + len(data)
        self._in_memory()[self._filled : end] = data
        self._filled = end
