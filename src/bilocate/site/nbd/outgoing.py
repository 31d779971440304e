"""The replies of one connection, collected and handed to the transport once per turn of the loop."""

import asyncio

from bilocate.replication.requests import Request
from bilocate.site.nbd import protocol as nbd
from bilocate.site.nbd import replies

# Replies with more data are not joined with others: copying them would cost more than it saves.
_JOIN_BYTES_MAX = 16 * 1024


class Outgoing:
    """Replies waiting for the end of the turn, and the count of the read bytes among them."""

    __slots__ = (
        "_has_long",
        "_parts",
        "_read_bytes",
        "_structured",
        "_transport",
        "append",
        "held_read_bytes",
    )

    def __init__(self, transport: asyncio.Transport, structured: bool) -> None:
        self._transport = transport
        self._structured = structured
        self._parts: list[bytes | bytearray | memoryview] = []
        self.append = self._parts.append  # a reply without data; bound once, for the hot path
        self._has_long = False
        self._read_bytes = 0  # of answered reads in `_parts`
        self.held_read_bytes = 0  # of reads taken, answered or not, and not handed to the transport yet

    def add_read(self, request: Request, code: int) -> None:
        """The reply to a read that was counted in `held_read_bytes`."""
        length = request.length
        if code:
            self.held_read_bytes -= length
            self.add_failure(request.cookie, code)
            return
        if self._structured:
            self._parts.append(replies.data_header(request.cookie, request.offset, length))
        else:
            self._parts.append(replies.simple(request.cookie, 0))
        self._parts.append(request.payload)
        self._read_bytes += length
        if length > _JOIN_BYTES_MAX:
            self._has_long = True

    def add_failure(self, cookie: int, code: int) -> None:
        """The failure of a command whose replies are structured where that was agreed on."""
        failed = replies.error_chunk if self._structured else replies.simple
        self._parts.append(failed(cookie, code))

    def add_unasked(self, kind: int, cookie: int, code: int) -> None:
        """The reply to a command that the target was not asked for: a fault, or nothing to do (0)."""
        if kind == nbd.CMD_READ and code == 0 and self._structured:
            self._parts.append(replies.data_header(cookie, 0, 0))
        elif kind in (nbd.CMD_READ, nbd.CMD_BLOCK_STATUS):
            self.add_failure(cookie, code)
        else:
            self._parts.append(replies.simple(cookie, code))

    def send(self) -> None:
        """Hand everything to the transport."""
        parts = self._parts
        if not parts:
            return
        if self._has_long:
            self._has_long = False
            self._transport.writelines(parts)
        else:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        parts.clear()
        self.held_read_bytes -= self._read_bytes
        self._read_bytes = 0

    def drop(self) -> None:
        """The connection is gone."""
        self._parts.clear()
