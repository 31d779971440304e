"""A connection until its client has chosen an export; then `Transmission` takes the transport over."""

import asyncio
from typing import TYPE_CHECKING, cast

import structlog

from bilocate.site.nbd.handshake import GREETING, Chosen, Handshake
from bilocate.site.nbd.transmission import Transmission

if TYPE_CHECKING:
    from bilocate.site.nbd.server import NbdServer

log = structlog.get_logger()

_OPTION_HEADER_BYTES = 16
# Replies that the client has not taken: past it the server stops reading.
_UNSENT_BYTES_MAX = 64 * 1024


class Negotiation(asyncio.BufferedProtocol):
    """Owns the transport while the handshake lasts, at most `negotiation_seconds_max`."""

    def __init__(self, server: "NbdServer") -> None:
        self._server = server
        self._handshake = Handshake(server.source, server.limits)
        self._buffer = bytearray(_OPTION_HEADER_BYTES + server.limits.option_bytes_max)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._writes_paused = False
        self._over = False
        self._transport: asyncio.Transport
        self._timeout: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's: only a cast can say what they are.
        self._transport = cast("asyncio.Transport", transport)
        limits = self._server.limits
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(limits.negotiation_seconds_max, self.disconnect, "took too long")
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES_MAX)
        self._server.admit(self)
        self._transport.write(GREETING)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self._go_on()

    def _go_on(self) -> None:
        """Take whole messages from the buffer while the client takes the replies."""
        start = 0
        while not self._over and not self._writes_paused:
            consumed, reply = self._handshake.receive(self._view[start : self._filled])
            if reply:
                self._transport.write(reply)
            start += consumed
            outcome = self._handshake.outcome
            if isinstance(outcome, Chosen):
                self._hand_over(outcome, bytes(self._view[start : self._filled]))
                return
            if outcome is not None:
                self._end()
                self._transport.close()
                return
            if consumed == 0:
                break
        # bytes(): source and destination may overlap.
        rest = bytes(self._view[start : self._filled])
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

    def _hand_over(self, chosen: Chosen, trailing: bytes) -> None:
        self._end()
        transmission = Transmission(self._server, self._transport, chosen, self._writes_paused)
        if self._server.establish(transmission, self._transport):
            self._transport.set_protocol(transmission)
            transmission.begin(trailing)
        else:
            self._transport.abort()

    def _end(self) -> None:
        self._over = True
        self._timeout.cancel()
        self._server.negotiated(self)

    def pause_writing(self) -> None:
        self._writes_paused = True
        if not self._over:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._writes_paused = False
        if not self._over:
            self._go_on()
        if not self._over and not self._writes_paused:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over:
            self._end()

    def disconnect(self, reason: str) -> None:
        """Close it at once."""
        if not self._over:
            log.info("nbd_negotiation_ended", reason=reason)
            self._end()
            self._transport.abort()
