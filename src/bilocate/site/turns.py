"""Turns: of the calls that change the same volumes or sessions, one at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from bilocate.site.errors import Busy

# Who waits longer is told to come again: calls behind one that hangs must not pile up.
_WAIT_SECONDS_MAX = 20.0


class Turns:
    """Locks by name, taken all at once, so that nobody who holds some waits for others."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def hold(self, names: Callable[[], Iterable[str]]) -> AsyncIterator[None]:
        """Hold what `names` tells. It is asked anew after each wait: which names are meant may have changed.

        :raises Busy: others have held one of them for too long.
        """
        try:
            async with asyncio.timeout(_WAIT_SECONDS_MAX):
                while self._held.intersection(wanted := set(names())):
                    await self._changed()
        except TimeoutError:
            raise Busy from None
        self._held |= wanted
        try:
            yield
        finally:
            self._held -= wanted
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                if not one.done():
                    one.set_result(None)

    async def _changed(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change
