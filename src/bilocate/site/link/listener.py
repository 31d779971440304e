"""Where the agents of other sites dial in."""

import asyncio
import contextlib
import os
from collections.abc import Callable

import structlog

from bilocate.site.link.connection import ListenerConnection
from bilocate.site.link.link import Link, LinkEvents
from bilocate.site.link.settings import Address, LinkSettings, spell_address

log = structlog.get_logger(__name__)

# Gives the link's owner, or the reason for a refusal, which both sides log. `link.session_id` and
# `link.peer_site` are proven by then; what is sent on the link goes out after the acceptance.
Accept = Callable[[Link], LinkEvents | str]


def _remove_stale(path: str) -> None:
    """A socket file left by a process that was killed is in the way of a new one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


class LinkListener:
    """Takes connections on one address and hands the authenticated ones to `accept`."""

    def __init__(
        self, address: Address, key: bytes, site: str, accept: Accept, settings: LinkSettings | None = None
    ) -> None:
        self.address = address
        self.half_open_dropped = 0
        self._key = key
        self._site = site
        self._accept = accept
        self._settings = settings or LinkSettings()
        self._server: asyncio.Server | None = None
        # In the order of their coming: a dict is a set that keeps it.
        self._half_open: dict[ListenerConnection, None] = {}

    @property
    def half_open(self) -> int:
        """Connections whose handshake is under way."""
        return len(self._half_open)

    async def start(self) -> None:
        """Listen. With port 0 the kernel chooses one: see `address` afterwards.

        :raises OSError: the address can't be listened on.
        """
        loop = asyncio.get_running_loop()
        if isinstance(self.address, str):
            _remove_stale(self.address)
            self._server = await loop.create_unix_server(self._connection, self.address)
            os.chmod(self.address, 0o600)
        else:
            self._server = await loop.create_server(self._connection, *self.address, backlog=256)
            self.address = (self.address[0], self._server.sockets[0].getsockname()[1])
        log.info("link_listening", address=spell_address(self.address))

    def close(self) -> None:
        """Take no more connections and end those in their handshake. Links stay: their owners close them."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._half_open):
            connection.refuse("this agent is stopping")

    def _connection(self) -> ListenerConnection:
        return ListenerConnection(
            self._settings, self._key, self._site, self._accept, self._forget, self._remember
        )

    def _remember(self, connection: ListenerConnection) -> None:
        self._half_open[connection] = None
        if len(self._half_open) > self._settings.half_open_max:
            self.half_open_dropped += 1
            if self.half_open_dropped.bit_count() == 1:  # at 1, 2, 4, 8 ...: a flood is no flood of lines
                log.warning("link_half_open_dropped", dropped=self.half_open_dropped)
            next(iter(self._half_open)).drop()

    def _forget(self, connection: ListenerConnection) -> None:
        self._half_open.pop(connection, None)
