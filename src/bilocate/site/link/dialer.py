"""Keeps one link to a peer up for as long as it is wanted."""

import asyncio
import random
from collections.abc import Callable

import structlog

from bilocate.site.link.connection import DialerConnection
from bilocate.site.link.handshake import Claim, HandshakeRefused
from bilocate.site.link.link import Link, LinkEvents
from bilocate.site.link.settings import Address, LinkSettings, spell_address

log = structlog.get_logger(__name__)

Connected = Callable[[Link], LinkEvents]


class Dialer:
    """Dials while wanted: at once, then with growing pauses; never while its link is up.

    `connected(link)` is called as soon as the peer has accepted, and gives the link's owner.
    `error` says why there is no link, for people; None while there is one or nothing was tried.
    """

    def __init__(
        self,
        address: Address,
        key: bytes,
        claim: Claim,
        connected: Connected,
        settings: LinkSettings | None = None,
    ) -> None:
        self.address = address
        self.error: str | None = None
        self._key = key
        self._claim = claim
        self._connected = connected
        self._settings = settings or LinkSettings()
        self._link: Link | None = None
        self._trying: DialerConnection | None = None  # in its handshake
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Between `start` and `stop`."""
        return self._task is not None

    def start(self) -> None:
        """Dial from now on. Does nothing when it does already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="link-dialer")

    def stop(self) -> None:
        """Dial no more. A try under way ends without a link; a link that is up stays with its owner."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._trying is not None:
            self._trying.give_up()
            self._trying = None

    async def _run(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        pause = 0.0
        eager_until = 0.0
        await self._until_ended()  # `stop` and `start` again leave the link of before in place
        while True:
            began = loop.time()
            if await self._try():
                await self._until_ended()
                if loop.time() - began >= settings.settled_seconds:
                    pause = 0.0
                    eager_until = loop.time() + settings.eager_seconds
                    continue
            eager = loop.time() < eager_until
            most = settings.eager_pause_seconds_max if eager else settings.retry_seconds_max
            pause = min(max(pause * 2, settings.retry_seconds_min), most)
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))

    async def _until_ended(self) -> None:
        if self._link is not None:
            await asyncio.wait([self._link.ended])

    async def _try(self) -> bool:
        try:
            await self._dial()
        except (OSError, HandshakeRefused) as error:
            self._note(error)
            return False
        self.error = None
        return True

    async def _dial(self) -> None:
        """One try; when it returns, `connected` was called.

        :raises OSError: the peer can't be reached.
        :raises HandshakeRefused: one of the two does not want the link.
        """
        loop, settings = asyncio.get_running_loop(), self._settings
        handshake: asyncio.Future[Link] = loop.create_future()
        connection = DialerConnection(settings, self._key, self._claim, self._own, handshake)
        try:
            async with asyncio.timeout(settings.connect_seconds):
                if isinstance(self.address, str):
                    await loop.create_unix_connection(lambda: connection, self.address)
                else:
                    await loop.create_connection(lambda: connection, *self.address)
        except BaseException as error:
            # It may have been made in the last moment: then the loop has closed it without a word to it.
            connection.give_up()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"no connection within {settings.connect_seconds:g} s") from None
            raise
        self._trying = connection
        try:
            await handshake  # the connection has a timer of its own
        finally:
            if self._trying is connection:
                self._trying = None

    def _own(self, link: Link) -> LinkEvents:
        self._link = link
        return self._connected(link)

    def _note(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        # A peer that is away for an hour is not worth thousands of lines.
        level = log.debug if reason == self.error else log.warning
        self.error = reason
        level(
            "link_dial_failed",
            session=self._claim.session_id,
            peer=self._claim.peer_site,
            address=spell_address(self.address),
            reason=reason,
        )
