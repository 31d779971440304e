"""Takes what a connection receives apart into frames, without copying payloads.

A frame that arrived whole is given out as a view into the receive buffer, valid until the next read. A large
payload that did not is received where it stays (`LongPayload`), and whoever gets it may keep it.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from bilocate.replication.requests import Unread
from bilocate.site.long_payload import LongPayload

Buffer = bytes | bytearray | memoryview

F = TypeVar("F")

# Behind a payload with memory of its own another one is likely: only so much of it goes through the buffer.
LEAN_BYTES = 4096

# A header at a place of the buffer -> the frame without its payload, and how many bytes of payload follow.
# Raises ValueError (or a class of it) for anything out of bounds.
DecodeHeader = Callable[[memoryview, int], tuple[F, int]]
# Gives a decoded frame its payload.
SetPayload = Callable[[F, Buffer | Unread], F]
# Whether a decoded frame's payload may be an `Unread`.
MayBeUnread = Callable[[F], bool]


class FrameReceiver(Generic[F]):
    """The receive buffer of one connection.

    Memory is bounded by the buffer and by one payload, whose length `decode_header` bounds.
    """

    def __init__(
        self,
        header_bytes: int,
        decode_header: DecodeHeader[F],
        set_payload: SetPayload[F],
        buffer_bytes: int,
        own_payload_bytes: int,
        may_be_unread: MayBeUnread[F],
        socket_fd: int = -1,
    ) -> None:
        """`socket_fd`: where payloads may be moved from (`LongPayload`)."""
        if buffer_bytes < header_bytes + own_payload_bytes:
            raise ValueError(
                "the buffer must hold a header and the longest payload that gets no memory of its own"
            )
        self._header_bytes = header_bytes
        self._decode_header = decode_header
        self._set_payload = set_payload
        self._own_payload_bytes = own_payload_bytes
        self._view = memoryview(bytearray(buffer_bytes))
        self._start = 0  # of what is not given out yet
        self._end = 0  # of what was received
        self._may_be_unread = may_be_unread
        self._socket_fd = socket_fd
        self._own: LongPayload | None = None  # the payload that is received where it stays now
        self._own_frame: F | None = None
        self._lean = False  # the last frame had a payload of its own memory
        self.malformed: str | None = None  # why nothing more can be understood

    def room(self) -> memoryview:
        """Where the next bytes go; never empty. Views given out before end here."""
        if self._own is not None:
            return self._own.rest()
        if self._start:
            left = self._end - self._start
            self._view[:left] = self._view[self._start : self._end]
            self._start, self._end = 0, left
        if self._lean and not self._end:
            return self._view[:LEAN_BYTES]
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """So many bytes were put into `room`."""
        if self._own is not None:
            self._own.received(count)
        else:
            self._end += count

    def discard(self) -> None:
        """Forget what was received and not given out: nobody wants it any more."""
        self._own = self._own_frame = None
        self._start = self._end = 0

    def frames(self) -> list[F]:
        """Every frame that is whole by now. When what follows is malformed, `malformed` says why."""
        out: list[F] = []
        if self._own is not None:
            if self._own.whole:
                self._end_own(self._own, out)
            return out
        header_bytes, view, end = self._header_bytes, self._view, self._end
        at = self._start
        while end - at >= header_bytes:
            try:
                frame, length = self._decode_header(view, at)
            except ValueError as error:
                self.malformed = str(error)
                break
            body = at + header_bytes
            if body + length <= end:
                self._lean = False
                out.append(self._set_payload(frame, view[body : body + length]) if length else frame)
                at = body + length
                continue
            if length >= self._own_payload_bytes:
                self._own_frame = frame
                socket_fd = self._socket_fd if self._may_be_unread(frame) else -1
                self._own = LongPayload(length, view[body:end], socket_fd)
                at = end
                if self._own.whole:
                    self._end_own(self._own, out)
            break
        self._start = at
        return out

    def _end_own(self, own: LongPayload, out: list[F]) -> None:
        assert self._own_frame is not None
        out.append(self._set_payload(self._own_frame, own.data))
        self._own = self._own_frame = None
        self._lean = True
