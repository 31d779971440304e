"""Hosts of the event cases: connections over which single writes are timed."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence

from bench.own.installation import Installation
from bench.shapes import GIB, KIB
from bilocate.cli.client import Volume
from bilocate.demo.nbd_client import NbdClient, NbdGone

BLOCK_BYTES = 4 * KIB
DEPTH = 4


async def connect(installation: Installation, volumes: Sequence[Volume]) -> list[NbdClient]:
    """One connection to each volume; the calls go out side by side."""
    uris = await asyncio.gather(*(asyncio.to_thread(installation.connect, volume) for volume in volumes))
    return list(await asyncio.gather(*(NbdClient.connect(uri, DEPTH) for uri in uris)))


async def write_each(installation: Installation, volumes: Sequence[Volume]) -> list[float]:
    """A host for each volume asks for its connection, connects and writes a block, all side by side; the moments at
    which the answers came, in order."""
    content = os.urandom(BLOCK_BYTES)

    async def write(volume: Volume) -> float:
        (client,) = await connect(installation, [volume])
        await client.write(0, content)
        answered = time.monotonic()
        await client.close()
        return answered

    return sorted(await asyncio.gather(*map(write, volumes)))


class Writer:
    """Writes without a pause and notes the longest time between a write and its answer.

    `again`: connects anew when the connection has ended; the write is then written again, and its time goes on.
    Without it the end of the connection is the end of `run`.
    """

    def __init__(self, client: NbdClient, again: Callable[[], Awaitable[NbdClient]] | None = None) -> None:
        self.client = client
        self._again = again
        self._ending = False
        self._longest_seconds = 0.0
        self.writes = 0

    async def run(self) -> None:
        """Until `end` is called; the write under way then is answered first."""
        content = os.urandom(BLOCK_BYTES)
        blocks = GIB // BLOCK_BYTES // 16
        while not self._ending:
            began = time.monotonic()
            await self._write(self.writes % blocks * BLOCK_BYTES, content)
            self._longest_seconds = max(self._longest_seconds, time.monotonic() - began)
            self.writes += 1

    async def _write(self, offset: int, content: bytes) -> None:
        while True:
            try:
                return await self.client.write(offset, content)
            except NbdGone:
                if self._again is None or self._ending:
                    raise
                self.client = await self._again()

    def take_longest(self) -> float:
        """The longest since this was asked before, in seconds; one that is not answered yet is in the next."""
        longest, self._longest_seconds = self._longest_seconds, 0.0
        return longest

    def end(self) -> None:
        """No further write."""
        self._ending = True
