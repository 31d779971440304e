"""Stands between a program and a PostgreSQL server, and cuts their connections at the message that it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path

PIECE_BYTES = 64 * 1024


class Cut(Enum):
    """When, of the client's `number`th message."""

    BEFORE = "before"  # the server never hears of it
    UNANSWERED = "unanswered"  # the server carries it out, and its answer is lost
    SILENT = "silent"  # the same, and nobody says that the connection is lost


class CuttingProxy:
    """A TCP port on loopback in front of a server's unix socket. Messages of all connections are counted together."""

    def __init__(self, socket_file: Path) -> None:
        self._socket_file = socket_file
        self._cut = Cut.BEFORE
        self._at = 0
        self.port = 0
        self.seen = 0
        self.away = False  # every message is cut before the server hears of it

    def cut_at(self, number: int, cut: Cut) -> None:
        """Count anew, and cut there; 0: never."""
        self._at, self._cut, self.seen = number, cut, 0

    @property
    def reached(self) -> bool:
        """Whether the message has come."""
        return 0 < self._at <= self.seen

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["CuttingProxy"]:
        """Takes connections meanwhile."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_unix_connection(str(self._socket_file))
        back = asyncio.create_task(self._answers(other_reader, writer))
        try:
            while data := await reader.read(PIECE_BYTES):
                self.seen += 1
                if self.away:
                    return
                if self.seen != self._at:
                    other_writer.write(data)
                    continue
                if self._cut is not Cut.BEFORE:
                    back.cancel()
                    await asyncio.wait([back])
                    other_writer.write(data)
                    await other_reader.read(PIECE_BYTES)  # the server has done it, or refused it
                if self._cut is Cut.SILENT:
                    await reader.read(PIECE_BYTES)
                return
        except (OSError, asyncio.CancelledError):
            pass  # the connection, or the test, has ended
        finally:
            back.cancel()
            writer.transport.abort()
            other_writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                writer.write(data)
        writer.transport.abort()
