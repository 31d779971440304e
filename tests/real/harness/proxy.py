"""A wire that can be cut: forwards TCP connections until told otherwise.

CUT: connections are reset, and refused. SILENT: they stay open and are taken, and nothing comes through.
TO_TARGET_SILENT and FROM_TARGET_SILENT: the same in one direction only.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from enum import Enum
from typing import Any

PIECE_BYTES = 256 * 1024
CALL_SECONDS = 5.0


class Wire(Enum):
    """What gets through."""

    WHOLE = "whole"
    CUT = "cut"
    SILENT = "silent"
    TO_TARGET_SILENT = "to_target_silent"
    FROM_TARGET_SILENT = "from_target_silent"


_SILENT_TO = {Wire.SILENT, Wire.TO_TARGET_SILENT}
_SILENT_FROM = {Wire.SILENT, Wire.FROM_TARGET_SILENT}


class Proxy:
    """One listening port in front of one target. All its methods but `set` belong to the loop's thread."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        # Through from end to end, both directions together and each on its own.
        self.to_target_bytes = self.from_target_bytes = 0
        self._wire = Wire.WHOLE
        self._changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=PIECE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Drop everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        self._reset_all()

    async def change(self, wire: Wire) -> None:
        """From now on this gets through."""
        self._wire = wire
        if wire is Wire.CUT:
            self._reset_all()
        async with self._changed:
            self._changed.notify_all()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._until(lambda: self._wire not in _SILENT_TO)
            if self._wire is not Wire.CUT:
                await self._forward(reader, writer)
        except OSError:
            pass
        finally:
            self._reset(writer)
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self.target, limit=PIECE_BYTES)
        self._writers.add(other_writer)
        for each in (writer, other_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            there = asyncio.create_task(self._pump(reader, other_writer, True))
            back = asyncio.create_task(self._pump(other_reader, writer, False))
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            for pump in (there, back):
                pump.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._reset(other_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_target: bool
    ) -> None:
        silent = _SILENT_TO if to_target else _SILENT_FROM
        while data := await reader.read(PIECE_BYTES):
            await self._until(lambda: self._wire not in silent)
            writer.write(data)
            await writer.drain()
            if to_target:
                self.to_target_bytes += len(data)
            else:
                self.from_target_bytes += len(data)
        # The end of a stream is news too.
        await self._until(lambda: self._wire not in silent)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        # With a lingering time of nothing the peer gets a reset, as from a machine that has just started.
        with contextlib.suppress(OSError, AttributeError):
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


class Wires:
    """Proxies in a thread of their own, so that they forward while a test waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def add(self, target: tuple[str, int]) -> Proxy:
        """A new one, whole."""

        async def make() -> Proxy:
            proxy = Proxy(target)
            await proxy.start()
            return proxy

        proxy: Proxy = self._call(make())
        self._proxies.append(proxy)
        return proxy

    def set(self, wire: Wire, *proxies: Proxy) -> None:
        """Change some at once; it is done when this comes back."""

        async def change() -> None:
            for proxy in proxies:
                await proxy.change(wire)

        self._call(change())

    def close(self) -> None:
        """Drop all of them."""

        async def end() -> None:
            for proxy in self._proxies:
                await proxy.close()

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(CALL_SECONDS)
