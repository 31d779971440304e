"""One request that reaches a server's socket while the server hangs."""

import contextlib
import os
import socket
from pathlib import Path
from struct import pack, unpack
from urllib.parse import unquote, urlsplit

from tests.real.harness.record import FREE_FROM_BYTE

SECONDS = 10.0
CONTENT = b"this came too late".ljust(4096, b".")
REQUEST_MAGIC, READ, WRITE = 0x25609513, 0, 1


class NbdSocket:
    """A connection that has chosen its export; everything after that is the caller's."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        assert parts.hostname is not None
        assert parts.port is not None
        self.socket = socket.create_connection((parts.hostname, parts.port), SECONDS)
        assert self.receive(18) == b"NBDMAGICIHAVEOPT\0\3"
        name = unquote(parts.path.removeprefix("/")).encode()
        data = pack(">I", len(name)) + name + b"\0\0"
        self.socket.sendall(pack(">I", 3) + b"IHAVEOPT" + pack(">II", 7, len(data)) + data)
        kind = 0
        while kind != 1:
            _, _, kind, length = unpack(">QIII", self.receive(20))
            assert kind < 2**31, f"the export was refused: {kind:#x}"
            self.receive(length)

    def receive(self, length: int) -> bytes:
        """Exactly so many bytes.

        :raises ConnectionError: the server hung up.
        """
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ConnectionResetError("the server hung up")
            data += part
        return data

    def send(self, kind: int, offset: int, length: int, payload: bytes = b"", flags: int = 0) -> None:
        """One request; its cookie is 1."""
        self.socket.sendall(pack(">IHHQQI", REQUEST_MAGIC, flags, kind, 1, offset, length) + payload)

    def error(self) -> int:
        """The error of the next simple reply; 0 is success."""
        _, code, _ = unpack(">IIQ", self.receive(16))
        return int(code)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class LateRequest:
    """Connected in time, sent too late."""

    def __init__(self, uri: str) -> None:
        self.connection = NbdSocket(uri)

    def assert_not_answered(self) -> None:
        """The server hangs up, or says that it failed."""
        code = -1
        with contextlib.suppress(ConnectionError):
            code = self.connection.error()
        assert code, f"a {type(self).__name__} that came while the site hung was answered"
        self.connection.close()


class LateRead(LateRequest):
    """What is there may be old when it is carried out."""

    def send(self) -> None:
        """The kernel takes it for the server."""
        self.connection.send(READ, FREE_FROM_BYTE, len(CONTENT))


class LateWrite(LateRequest):
    """Nobody has it but a site that is primary no more."""

    def send(self) -> None:
        """The kernel takes it for the server."""
        self.connection.send(WRITE, FREE_FROM_BYTE, len(CONTENT), CONTENT)

    @staticmethod
    def is_in(file: Path) -> bool:
        """Whether a volume holds it."""
        with file.open("rb") as volume:
            return os.pread(volume.fileno(), len(CONTENT), FREE_FROM_BYTE) == CONTENT
