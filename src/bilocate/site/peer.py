"""The way to a session's peer: a dialer for as long as the session wants a link, and why there is none."""

import time
from collections.abc import Callable
from typing import Any

import structlog

from bilocate.site.link import Address, Dialer, Link, LinkEvents, parse_address

log = structlog.get_logger(__name__)

# (address, peer site, session id, who owns the link) -> a dialer
MakeDialer = Callable[[Address, str, str, Callable[[Link], LinkEvents]], Dialer]


class Peer:
    """One session's peer. `lost` keeps why the last link ended."""

    def __init__(
        self, session_id: str, make_dialer: MakeDialer, connected: Callable[[Link], LinkEvents]
    ) -> None:
        self.lost: str | None = None
        self._session_id = session_id
        self._make_dialer = make_dialer
        self._connected = connected
        self._dialer: Dialer | None = None
        self._dialled: tuple[Any, str] | None = None  # address and site that the dialer is for

    def dial(self, address: Any, site: str) -> None:
        """Keep dialling this peer; another one than before from now on, if it is another."""
        if self._dialled != (address, site):
            self.stop()
            self._dialled = (address, site)
            try:
                parsed = parse_address(address)
            except ValueError as error:
                self._dialer, self.lost = None, str(error)
                log.warning("peer_address_unusable", session=self._session_id, error=str(error))
                return
            self._dialer = self._make_dialer(parsed, site, self._session_id, self._connected)
        if self._dialer is not None:
            self._dialer.start()

    def stop(self) -> None:
        """Dial no more; a link that is up stays."""
        if self._dialer is not None:
            self._dialer.stop()

    def told(self, link: Link | None, now: float) -> dict[str, Any]:
        """The link's part of the session's JSON. `now`: of the loop's clock."""
        error = self._dialer.error if self._dialer is not None and self._dialer.error else self.lost
        return {
            # Seconds since 1970; the loop's clock has no such beginning.
            "since": None if link is None else round(time.time() - (now - link.since), 3),
            "error": error if link is None else None,
            "bytes_in": 0 if link is None else link.bytes_in,
            "bytes_out": 0 if link is None else link.bytes_out,
        }
