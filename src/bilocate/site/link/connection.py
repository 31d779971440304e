"""The asyncio side of a link: the handshake first, frames afterwards, one buffer for both."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import structlog

from bilocate.replication.frames import Arrival
from bilocate.site.link.codec import frame_receiver
from bilocate.site.link.handshake import (
    Claim,
    DialerHandshake,
    HandshakeRefused,
    Kind,
    ListenerHandshake,
    Message,
    decode,
    encode,
    encode_refusal,
)
from bilocate.site.link.link import Link, LinkEvents
from bilocate.site.link.receiver import FrameReceiver
from bilocate.site.link.settings import LinkSettings
from bilocate.site.long_payload import plain_socket

log = structlog.get_logger(__name__)

# Holds more than one message of the handshake, so it is never full without a whole one.
_EARLY_BYTES = 4096


class Connection(asyncio.BufferedProtocol, ABC):
    """Common to both sides. A subclass says what its handshake does with a message."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        # A half-open connection costs this little; the receive buffer comes with the link.
        self._early = memoryview(bytearray(_EARLY_BYTES))
        self._early_bytes = 0
        self._receiver: FrameReceiver[Arrival] | None = None
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._refused = False
        self._link: Link | None = None
        self.peer_address = ""

    # --- what a subclass adds ---

    @abstractmethod
    def _on_message(self, message: Message) -> None:
        """Take one message of the handshake; `_establish` ends it."""

    @abstractmethod
    def _on_refused(self, error: HandshakeRefused) -> None:
        """The handshake ended badly, with either side's reason; told once."""

    # --- asyncio's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of this shape, but not of this class.
        self._transport = cast(asyncio.Transport, transport)
        self.peer_address = _spell_peer(self._transport)
        _set_options(self._transport, self._settings)
        self._timeout = asyncio.get_running_loop().call_later(
            self._settings.handshake_seconds,
            self.refuse,
            f"the handshake took longer than {self._settings.handshake_seconds:g} s",
        )

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._receiver is not None:
            return self._receiver.room()
        return self._early[self._early_bytes :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._receiver is None:
            self._early_bytes += nbytes
            self._shake_hands()
        else:
            self._receiver.received(nbytes)
            self._take_frames(self._receiver, nbytes)

    def eof_received(self) -> bool:
        return False  # close: half a connection is of no use

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timeout()
        reason = f"connection lost: {exc}" if exc else "the peer closed the connection"
        if self._link is not None:
            self._link.on_connection_lost(reason)
        elif not self._refused:
            self._refused = True
            self._on_refused(HandshakeRefused(f"{reason} during the handshake", by_peer=True))

    def _take_frames(self, receiver: FrameReceiver[Arrival], nbytes: int) -> None:
        link = self._link
        if link is None or not link.open:
            receiver.discard()
            return
        link.bytes_in += nbytes
        frames = receiver.frames()
        if frames:
            link.deliver(frames)
        if receiver.malformed is not None:
            link.fail(f"malformed frame: {receiver.malformed}")

    # --- the handshake ---

    def refuse(self, reason: str) -> None:
        """End the handshake, and tell the peer why."""
        self._fail_handshake(HandshakeRefused(reason))

    def give_up(self) -> None:
        """End the handshake without a word: the link is not wanted any more."""
        if self._link is None:
            self._refused = True
            self._stop_timeout()
            if self._transport is not None:
                self._transport.abort()

    def _shake_hands(self) -> None:
        try:
            while self._link is None and not self._refused:
                message = decode(self._early[: self._early_bytes])
                if message is None:
                    return
                left = self._early_bytes - message.size
                self._early[:left] = self._early[message.size : self._early_bytes]
                self._early_bytes = left
                self._on_message(message)
        except HandshakeRefused as error:
            self._fail_handshake(error)
        if self._refused:
            self._early_bytes = 0
        else:
            self._begin_frames()

    def _begin_frames(self) -> None:
        """Frames may have come right behind the handshake."""
        assert self._transport is not None
        self._receiver = frame_receiver(self._settings, plain_socket(self._transport))
        came, self._early_bytes = self._early_bytes, 0
        if came:
            self._receiver.room()[:came] = self._early[:came]
            self._receiver.received(came)
            self._take_frames(self._receiver, came)

    def _fail_handshake(self, error: HandshakeRefused) -> None:
        if self._refused or self._link is not None:
            return
        self._refused = True
        self._stop_timeout()
        assert self._transport is not None
        if not error.by_peer:
            self._transport.write(encode_refusal(error.reason))
        self._transport.close()
        # Whoever does not read the refusal must not keep the connection.
        asyncio.get_running_loop().call_later(self._settings.linger_seconds, self._transport.abort)
        self._on_refused(error)

    def _establish(self, claim: Claim, peer_site: str, own: Callable[[Link], LinkEvents | str]) -> str | None:
        """Frames follow from now on; gives the owner's refusal, if that is what it says."""
        assert self._transport is not None
        link = Link(self._transport, claim.session_id, peer_site, self._settings)
        events = own(link)
        if isinstance(events, str):
            link.open = False
            return events
        self._stop_timeout()
        self._link = link
        link.begin(events)
        log.info(
            "link_up", link=link.number, session=claim.session_id, peer=peer_site, address=self.peer_address
        )
        return None

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if data:
            self._transport.write(data)

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None


class DialerConnection(Connection):
    """The dialing side of one try. `ended` is told how the handshake ended: a link, or why there is none."""

    def __init__(
        self,
        settings: LinkSettings,
        key: bytes,
        claim: Claim,
        connected: Callable[[Link], LinkEvents],
        ended: "asyncio.Future[Link]",
    ) -> None:
        super().__init__(settings)
        self._handshake = DialerHandshake(key, claim)
        self._claim = claim
        self._connected = connected
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._write(self._handshake.start())

    def _on_message(self, message: Message) -> None:
        self._write(self._handshake.take(message))
        if self._handshake.done:
            self._establish(self._claim, self._claim.peer_site, self._own)

    def _own(self, link: Link) -> LinkEvents:
        events = self._connected(link)
        if not self._ended.done():
            self._ended.set_result(link)
        return events

    def _on_refused(self, error: HandshakeRefused) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


class ListenerConnection(Connection):
    """The listening side of one connection."""

    def __init__(
        self,
        settings: LinkSettings,
        key: bytes,
        site: str,
        accept: Callable[[Link], LinkEvents | str],
        over: "Callable[[ListenerConnection], None]",
        opened: "Callable[[ListenerConnection], None]",
    ) -> None:
        super().__init__(settings)
        self._handshake = ListenerHandshake(key, site)
        self._accept = accept
        self._opened = opened
        self._over = over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opened(self)

    def drop(self) -> None:
        """End the handshake without a word and without a line: there are too many."""
        self.give_up()
        self._over(self)

    def _on_message(self, message: Message) -> None:
        self._write(self._handshake.take(message))
        if not self._handshake.done:
            return
        claim = self._handshake.claim
        refusal = self._establish(claim, claim.site, self._own)
        if refusal is not None:
            raise HandshakeRefused(refusal)
        self._over(self)

    def _own(self, link: Link) -> LinkEvents | str:
        events = self._accept(link)
        if not isinstance(events, str) and link.open:
            # Before anything that the owner sends from now on: it goes out at the next turn at the earliest.
            self._write(encode(Kind.ACCEPTED))
        return events

    def _on_refused(self, error: HandshakeRefused) -> None:
        claim = self._handshake.claim
        log.warning(
            "link_refused",
            address=self.peer_address,
            claimed_site=claim.site,
            claimed_session=claim.session_id,
            reason=error.reason,
            by="peer" if error.by_peer else "us",
        )
        self._over(self)


def _spell_peer(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "unix socket")


def _set_options(transport: asyncio.Transport, settings: LinkSettings) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    if sock.family == socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.unix_socket_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.unix_socket_bytes)
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.keepalive_idle_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, settings.keepalive_interval_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, settings.keepalive_probes)
