"""The NBD server of a site: it listens, and bounds and drops connections."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import structlog

from bilocate.site.busy_poll import BusyPoll
from bilocate.site.nbd.allocator import keep_freed_memory
from bilocate.site.nbd.limits import Limits
from bilocate.site.nbd.negotiation import Negotiation
from bilocate.site.nbd.receiving import ReceivingRoom
from bilocate.site.nbd.transmission import Transmission
from bilocate.site.target import ExportSource

log = structlog.get_logger()

_BACKLOG = 1024


class NbdServer:
    """Serves what `source` finds. Used on the event loop only."""

    def __init__(
        self, source: ExportSource, limits: Limits | None = None, busy_poll: BusyPoll | None = None
    ) -> None:
        keep_freed_memory()
        self.busy_poll = busy_poll or BusyPoll(0.0)
        self.source = source
        self.limits = limits or Limits()
        self.room = ReceivingRoom(self.limits.receiving_bytes_max, self.limits.receiving_seconds_max)
        self._listeners: list[asyncio.AbstractServer] = []
        self._sockets: list[Path] = []
        self._negotiating: dict[Negotiation, None] = {}  # oldest first
        self._connections: set[Transmission] = set()

    async def listen_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address; port 0 takes a free one. Returns what was taken. Raises OSError."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Negotiation(self), host, port, backlog=_BACKLOG)
        self._listeners.append(listener)
        taken: tuple[str, int] = listener.sockets[0].getsockname()[:2]
        return taken

    async def listen_unix(self, path: Path) -> None:
        """Listen on a socket file, in the place of one left by a dead process. Raises OSError."""
        loop = asyncio.get_running_loop()
        _remove_socket(path)
        listener = await loop.create_unix_server(lambda: Negotiation(self), str(path), backlog=_BACKLOG)
        os.chmod(path, 0o600)
        self._listeners.append(listener)
        self._sockets.append(path)

    async def stop(self) -> None:
        """Listen no more and drop all connections."""
        for listener in self._listeners:
            listener.close()
        self.drop_connections("the server stops")
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        for path in self._sockets:
            _remove_socket(path)
        self._sockets.clear()
        self.room.close()

    @property
    def connection_count(self) -> int:
        """Connections past negotiation."""
        return len(self._connections)

    def drop_connections(self, reason: str) -> None:
        """Close every connection at once, those that negotiate too."""
        for negotiation in list(self._negotiating):
            negotiation.disconnect(reason)
        for connection in list(self._connections):
            connection.disconnect(reason)

    # --- called by the connections ---

    def admit(self, negotiation: Negotiation) -> None:
        """A new connection. Too many that negotiate: the oldest goes."""
        self._negotiating[negotiation] = None
        if len(self._negotiating) > self.limits.negotiating_max:
            next(iter(self._negotiating)).disconnect("too many connections negotiate")

    def negotiated(self, negotiation: Negotiation) -> None:
        """It negotiates no more."""
        self._negotiating.pop(negotiation, None)

    def establish(self, connection: Transmission, transport: asyncio.Transport) -> bool:
        """Whether there is room for one more host's connection."""
        if len(self._connections) >= self.limits.connections_max:
            log.warning("nbd_connections_exhausted", limit=self.limits.connections_max)
            return False
        self._connections.add(connection)
        self._keep_alive(transport)
        return True

    def lost(self, connection: Transmission) -> None:
        """An established connection is gone."""
        self._connections.discard(connection)

    def _keep_alive(self, transport: asyncio.Transport) -> None:
        """Find peers that died without a word. Unix sockets need no probes."""
        peer = transport.get_extra_info("socket")
        if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
            return
        with contextlib.suppress(OSError):  # gone already
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.limits.keepalive_seconds)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, self.limits.keepalive_seconds // 3 or 1)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _remove_socket(path: Path) -> None:
    if path.is_socket():
        path.unlink()
