"""A small NBD client, so that the demonstration needs nothing but Python.

It speaks what a block device driver speaks: fixed newstyle handshake, GO, then READ, WRITE and FLUSH with
many requests under way at once, answered in whatever order the server likes. It asks for simple replies only.
"""

import asyncio
import os
import struct
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

GREETING = struct.Struct(">8s8sH")
OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">QIII")
REQUEST = struct.Struct(">IHHQQI")
SIMPLE_REPLY = struct.Struct(">IIQ")
EXPORT_INFO = struct.Struct(">HQH")

OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x0003E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698

HANDSHAKE_FLAGS = 0b11  # fixed newstyle, and no padding of zeroes
OPT_GO = 7
REP_ACK, REP_INFO, REP_ERROR = 1, 3, 1 << 31
INFO_EXPORT = 0
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
LONGEST_OPTION_REPLY_BYTES = 64 * 1024
DEFAULT_PORT = 10809


class NbdError(OSError):
    """The server refused a request; `errno` is its error number."""


class NbdGone(ConnectionError):
    """The connection ended; what was not answered may or may not have been carried out."""


@dataclass
class _Pending:
    future: asyncio.Future[bytes]
    read_bytes: int


class NbdClient:
    """One connection to one export. At most `depth` requests are under way; more wait their turn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, depth: int) -> None:
        self._reader, self._writer = reader, writer
        self._slots = asyncio.Semaphore(depth)
        self._pending: dict[int, _Pending] = {}
        self._next_cookie = 0
        self._gone: NbdGone | None = None
        self._answers: asyncio.Task[None] | None = None
        self.size_bytes = 0

    @classmethod
    async def connect(cls, uri: str, depth: int = 16) -> Self:
        """Open the export an `nbd://host:port/name` address names.

        :raises NbdGone: when nobody answers there; NbdError when the export is refused.
        """
        parts = urlsplit(uri)
        if parts.scheme != "nbd" or not parts.hostname:
            raise ValueError(f"not an nbd:// address: {parts.scheme}://…")
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or DEFAULT_PORT)
        except OSError as error:
            raise NbdGone(str(error)) from error
        client = cls(reader, writer, depth)
        try:
            await client._negotiate(unquote(parts.path.removeprefix("/")))
        except (OSError, EOFError) as error:
            writer.close()
            raise (
                error if isinstance(error, OSError) else NbdGone("the server hung up in the handshake")
            ) from error
        client._answers = asyncio.create_task(client._read_answers())
        return client

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`."""
        return await self._request(READ, offset, length, b"", length)

    async def write(self, offset: int, content: bytes) -> None:
        """Write; comes back when the server has acknowledged it."""
        await self._request(WRITE, offset, len(content), content, 0)

    async def flush(self) -> None:
        """Come back when everything acknowledged so far is on stable storage."""
        await self._request(FLUSH, 0, 0, b"", 0)

    async def close(self) -> None:
        """Say goodbye and hang up."""
        if self._gone is None:
            self._writer.write(REQUEST.pack(REQUEST_MAGIC, 0, DISCONNECT, 0, 0, 0))
        self._writer.close()
        if self._answers is not None:
            await asyncio.wait([self._answers], timeout=1)
            self._answers.cancel()

    async def _negotiate(self, export: str) -> None:
        magic, options, _flags = GREETING.unpack(await self._reader.readexactly(GREETING.size))
        if (magic, options) != (b"NBDMAGIC", OPTION_MAGIC):
            raise NbdGone("the server does not speak NBD (fixed newstyle)")
        self._writer.write(struct.pack(">I", HANDSHAKE_FLAGS))
        name = export.encode()
        data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self._writer.write(OPTION.pack(OPTION_MAGIC, OPT_GO, len(data)) + data)
        while await self._option_reply() != REP_ACK:
            pass

    async def _option_reply(self) -> int:
        header = await self._reader.readexactly(OPTION_REPLY.size)
        magic, option, kind, length = OPTION_REPLY.unpack(header)
        if magic != OPTION_REPLY_MAGIC or option != OPT_GO or length > LONGEST_OPTION_REPLY_BYTES:
            raise NbdGone("the server's handshake makes no sense")
        data = await self._reader.readexactly(length)
        if kind & REP_ERROR:
            raise NbdError(kind & ~REP_ERROR, f"the export was refused: {data.decode(errors='replace')}")
        if kind == REP_INFO and data[:2] == struct.pack(">H", INFO_EXPORT):
            _, self.size_bytes, _ = EXPORT_INFO.unpack(data)
        return int(kind)

    async def _request(
        self, command: int, offset: int, length: int, payload: bytes, read_bytes: int
    ) -> bytes:
        async with self._slots:
            if self._gone is not None:
                raise self._gone
            self._next_cookie += 1
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._pending[self._next_cookie] = _Pending(future, read_bytes)
            header = REQUEST.pack(REQUEST_MAGIC, 0, command, self._next_cookie, offset, length)
            self._writer.write(header + payload)
            return await future

    async def _read_answers(self) -> None:
        reason = "the server hung up"
        try:
            while True:
                await self._read_answer()
        except asyncio.IncompleteReadError:
            pass
        except (OSError, NbdGone) as error:
            reason = str(error)
        finally:
            self._gone = NbdGone(reason)
            for pending in self._pending.values():
                if not pending.future.done():
                    pending.future.set_exception(self._gone)
            self._pending.clear()
            self._writer.close()

    async def _read_answer(self) -> None:
        header = await self._reader.readexactly(SIMPLE_REPLY.size)
        magic, error, cookie = SIMPLE_REPLY.unpack(header)
        pending = self._pending.pop(cookie, None)
        if magic != SIMPLE_REPLY_MAGIC or pending is None:
            raise NbdGone("the server's answer makes no sense")
        try:
            content = b"" if error else await self._reader.readexactly(pending.read_bytes)
        except asyncio.IncompleteReadError:
            self._pending[cookie] = pending  # unanswered like the others
            raise
        if pending.future.done():
            return  # its caller was cancelled meanwhile
        if error:
            pending.future.set_exception(NbdError(error, os.strerror(error)))
        else:
            pending.future.set_result(content)
