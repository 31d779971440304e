"""Hosts of the event cases: connections over which single writes are timed."""

import asyncio
import os
import time
from collections.abc import Sequence

from bench.own.installation import Installation
from bench.shapes import KIB
from bilocate.cli.client import Volume
from bilocate.demo.nbd_client import NbdClient

BLOCK_BYTES = 4 * KIB
DEPTH = 4


async def connect(installation: Installation, volumes: Sequence[Volume]) -> list[NbdClient]:
    """One connection to each volume; the calls go out side by side."""
    uris = await asyncio.gather(*(asyncio.to_thread(installation.connect, volume) for volume in volumes))
    return list(await asyncio.gather(*(NbdClient.connect(uri, DEPTH) for uri in uris)))


async def write_each(clients: Sequence[NbdClient]) -> list[float]:
    """Write a block through every connection; the moments at which the answers came, in order."""
    content = os.urandom(BLOCK_BYTES)

    async def write(client: NbdClient) -> float:
        await client.write(0, content)
        return time.monotonic()

    return sorted(await asyncio.gather(*map(write, clients)))


class Writer:
    """Writes without a pause and notes the longest time between a write and its answer."""

    def __init__(self, client: NbdClient) -> None:
        self._client = client
        self._ending = False
        self.longest_seconds = 0.0
        self.writes = 0

    async def run(self) -> None:
        """Until `end` is called; the write under way then is answered first."""
        content = os.urandom(BLOCK_BYTES)
        blocks = self._client.size_bytes // BLOCK_BYTES // 16
        while not self._ending:
            began = time.monotonic()
            await self._client.write(self.writes % blocks * BLOCK_BYTES, content)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.writes += 1

    def end(self) -> None:
        """No further write."""
        self._ending = True
