"""An NBD server on a loop in a thread of its own, so that tests can use blocking clients."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from bilocate.site.nbd import Limits, NbdServer
from bilocate.site.target import ExportSource

T = TypeVar("T")
TIMEOUT_SECONDS = 30


class RunningServer:
    """Listens on TCP (`port`) and on a Unix socket (`path`)."""

    def __init__(
        self, path: Path, open_source: Callable[[], ExportSource], limits: Limits, uvloop_used: bool = True
    ) -> None:
        self.path = path
        self.loop = uvloop.new_event_loop() if uvloop_used else asyncio.new_event_loop()
        self.errors: list[dict[str, Any]] = []  # what the loop complained of: `close` raises then
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

        async def start() -> tuple[NbdServer, int]:
            server = NbdServer(open_source(), limits)
            await server.listen_unix(path)
            _, port = await server.listen_tcp("127.0.0.1", 0)
            return server, port

        self.server, self.port = asyncio.run_coroutine_threadsafe(start(), self.loop).result(TIMEOUT_SECONDS)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's loop."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(TIMEOUT_SECONDS)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, asked on the server's loop."""

        async def wait() -> None:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not condition():
                    await asyncio.sleep(0.002)

        asyncio.run_coroutine_threadsafe(wait(), self.loop).result(2 * TIMEOUT_SECONDS)

    def uri(self, export: str) -> str:
        return f"nbd+unix:///{export}?socket={self.path}"

    def close(self) -> None:
        if self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(TIMEOUT_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(TIMEOUT_SECONDS)
        self.loop.close()
        assert self.errors == []
