"""One authenticated connection between two agents, for one session."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Protocol

import structlog

from bilocate.replication.frames import Arrival, MalformedFrame
from bilocate.site.link.receiver import Buffer
from bilocate.site.link.settings import LinkSettings

log = structlog.get_logger(__name__)

_numbers = count(1)


class LinkEvents(Protocol):
    """What the owner of a link is told, on the event loop."""

    def on_frames(self, link: "Link", frames: Sequence[Arrival]) -> None:
        """A batch of frames. After `Link.close` from inside this call the rest of them count for nothing.

        A payload that is a view of up to `TRANSIENT_BYTES_MAX` is valid during this call only.
        MalformedFrame may be raised: it ends the link. Any other exception does so too, as a defect.
        """

    def on_lost(self, link: "Link", reason: str) -> None:
        """The link is gone, and nothing more comes from it. Called once, and never after `Link.close`."""


class Link:
    """Sends frames in order, and tells its owner what arrives. `number` rises from link to link."""

    def __init__(self, transport: asyncio.Transport, session_id: str, peer_site: str, settings: LinkSettings):
        self.number = next(_numbers)
        self.session_id = session_id
        self.peer_site = peer_site
        self.bytes_in = 0
        self.bytes_out = 0
        self.open = True
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()  # done when `open` has become False
        self.since = loop.time()  # seconds of the loop's clock
        self._loop = loop
        self._transport = transport
        self._settings = settings
        self._events: LinkEvents | None = None
        self._collected: list[Buffer] = []
        self._collected_bytes = 0
        self._flush_is_due = False
        self.owner_flushes = False  # the owner calls `flush` behind all that it sends
        self._lost_reason = ""
        self._closed_here = False

    # --- the owner's calls ---

    def send(self, header: bytes, payload: Buffer = b"") -> None:
        """Put a frame behind all earlier ones. On a link that is closed or lost it is dropped.

        The payload is not copied: it must stay unchanged until the peer has answered, or the link is gone.
        """
        self.send_all((header, payload) if payload else (header,))

    def send_all(self, parts: Sequence[Buffer]) -> None:
        """`send` for the headers and payloads of several frames, in turn."""
        if not self.open:
            return
        self._collected += parts
        self._collected_bytes += sum(map(len, parts))
        if self._collected_bytes >= self._settings.collected_bytes_max:
            self.flush()
        elif not self._flush_is_due and not self.owner_flushes:
            self._flush_is_due = True
            self._loop.call_soon(self._flush_due)

    def flush(self) -> None:
        """Give what was collected to the kernel now (it would be at the next turn of the loop)."""
        if not self._collected or self._events is None:
            return  # before `begin` the handshake's last message is still to be sent
        collected, self._collected = self._collected, []
        self.bytes_out += self._collected_bytes
        self._collected_bytes = 0
        self._transport.writelines(collected)
        unsent = self._transport.get_write_buffer_size()
        if self.open and unsent > self._settings.unsent_bytes_max:
            self.fail(f"the peer does not read: {unsent} bytes are unsent, the bound is {self._unsent_max}")

    def close(self, reason: str) -> None:
        """Send what was collected, then close. The owner is told nothing more, of frames or of the end."""
        if not self.open:
            self._closed_here = True  # a loss that was not told yet is not told any more
            return
        self._end()
        self._closed_here = True
        self.flush()
        self._transport.close()
        # A peer that reads nothing would keep the connection and what is unsent for ever.
        self._loop.call_later(self._settings.linger_seconds, self._transport.abort)
        self._log_end(reason)

    def abort(self, reason: str) -> None:
        """Close at once; what was not sent yet is dropped. The owner is told nothing more."""
        if self.open:
            self._end()
            self._log_end(reason)
        self._closed_here = True
        self._transport.abort()

    def pause_reading(self) -> None:
        """Take nothing more from the peer for now (rule 27)."""
        if self.open:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self.open:
            self._transport.resume_reading()

    def unsent_bytes(self) -> int:
        """Bytes that `send` took and the kernel did not yet."""
        return self._collected_bytes + self._transport.get_write_buffer_size()

    # --- the connection's calls ---

    def begin(self, events: LinkEvents) -> None:
        """From now on the owner is told, and what it sends goes out."""
        self._events = events
        self.flush()

    def deliver(self, frames: list[Arrival]) -> None:
        """Hand a batch to the owner; a frame whose content it calls malformed ends the link."""
        if self.open and self._events is not None:
            try:
                self._events.on_frames(self, frames)
            except MalformedFrame as error:
                self.fail(f"malformed frame: {error}")

    def fail(self, reason: str) -> None:
        """End the link; the owner is told at a later turn of the loop, never from inside its own call."""
        if self.open:
            self._end()
            self._lost_reason = reason
            self._transport.abort()

    def on_connection_lost(self, reason: str) -> None:
        """The connection is gone, for whatever reason."""
        self._end()
        self._collected = []
        if self._closed_here:
            return
        self._closed_here = True
        self._lost_reason = self._lost_reason or reason
        self._log_end(self._lost_reason)
        if self._events is not None:
            self._events.on_lost(self, self._lost_reason)

    def _end(self) -> None:
        self.open = False
        if not self.ended.done():
            self.ended.set_result(None)

    def _flush_due(self) -> None:
        self._flush_is_due = False
        if self.open:
            self.flush()

    @property
    def _unsent_max(self) -> int:
        return self._settings.unsent_bytes_max

    def _log_end(self, reason: str) -> None:
        log.info(
            "link_ended",
            link=self.number,
            session=self.session_id,
            peer=self.peer_site,
            reason=reason,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )
