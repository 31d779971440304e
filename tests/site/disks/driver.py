"""A disk driven by plain calls, so that a test reads as a list of steps."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bilocate.replication.ports import ChunkContent
from bilocate.site.disks.base import Disk, Payload
from bilocate.site.disks.workers import Workers
from bilocate.site.target import Allocation

TIMEOUT_SECONDS = 60


class DiskDriver:
    """Calls a disk's methods on a loop of its own and waits for their answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk) -> None:
        self.loop = loop
        self.disk = disk

    def _ask(self, start: Callable[[Callable[..., None]], Any]) -> Any:
        async def ask() -> Any:
            answer: asyncio.Future[Any] = self.loop.create_future()

            def done(*result: Any) -> None:
                assert not answer.done(), "answered twice"
                answer.set_result(result if len(result) > 1 else result[0])

            result = start(done)
            if result is not None:
                await asyncio.sleep(0)
                assert not answer.done(), "answered at once and later too"
                return result
            assert not answer.done(), "done was called from inside the call"
            return await asyncio.wait_for(answer, TIMEOUT_SECONDS)

        return self.loop.run_until_complete(ask())

    def write(self, offset: int, data: Payload) -> int:
        return int(self._ask(lambda done: self.disk.write(offset, data, done)))

    def zero(self, offset: int, length: int, keep_allocated: bool = False) -> int:
        return int(self._ask(lambda done: self.disk.zero(offset, length, keep_allocated, done)))

    def read(self, offset: int, length: int) -> bytes | int:
        result = self._ask(lambda done: self.disk.read(offset, length, done))
        return result if isinstance(result, int) else bytes(result)

    def flush(self) -> int:
        return int(self._ask(self.disk.flush))

    def begin_write_out(self) -> None:
        async def begin() -> None:
            self.disk.begin_write_out()

        self.loop.run_until_complete(begin())

    def block_status(self, offset: int, length: int) -> tuple[int, list[Allocation]]:
        result: tuple[int, list[Allocation]] = self._ask(
            lambda done: self.disk.block_status(offset, length, done)
        )
        return result

    def read_chunks(self, chunks: Sequence[int], size_bytes: int) -> tuple[int, list[ChunkContent]]:
        result: tuple[int, list[ChunkContent]] = self._ask(
            lambda done: self.disk.read_chunks(chunks, size_bytes, done)
        )
        return result

    def wait_until(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not condition():
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(wait())


@contextmanager
def driving(open_one: Callable[[Workers], Disk]) -> Iterator[DiskDriver]:
    """A driver for the disk that `open_one` opens."""
    loop = asyncio.new_event_loop()

    async def opened() -> tuple[Workers, Disk]:
        workers = Workers(threads=4)
        return workers, open_one(workers)

    workers, disk = loop.run_until_complete(opened())
    try:
        yield DiskDriver(loop, disk)
    finally:
        disk.close()
        workers.close()
        workers.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
