"""An NBD client that sends exactly the bytes it is told, and picks replies apart."""

import socket
from dataclasses import dataclass, field
from struct import pack, unpack

from tests.site.nbd.memory import EXPORT
from tests.site.nbd.running import TIMEOUT_SECONDS, RunningServer

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS, OPT_INFO, OPT_GO = 1, 2, 3, 5, 6, 7
OPT_STRUCTURED, OPT_LIST_META, OPT_SET_META = 8, 9, 10
ACK, SERVER, INFO, META_CONTEXT = 1, 2, 3, 4
ERR_UNSUP, ERR_INVALID, ERR_UNKNOWN = 0x80000001, 0x80000003, 0x80000006


def option(number: int, data: bytes = b"") -> bytes:
    return b"IHAVEOPT" + pack(">II", number, len(data)) + data


def string(text: str) -> bytes:
    return pack(">I", len(text.encode())) + text.encode()


def go_data(name: str = EXPORT, infos: tuple[int, ...] = ()) -> bytes:
    return string(name) + pack(f">H{len(infos)}H", len(infos), *infos)


def meta_data(*queries: str, name: str = EXPORT) -> bytes:
    return string(name) + pack(">I", len(queries)) + b"".join(string(query) for query in queries)


def request(
    kind: int, offset: int = 0, length: int = 0, cookie: int = 1, flags: int = 0, data: bytes = b""
) -> bytes:
    return pack(">IHHQQI", 0x25609513, flags, kind, cookie, offset, length) + data


def write(offset: int, data: bytes, cookie: int = 1, flags: int = 0) -> bytes:
    return request(WRITE, offset, len(data), cookie, flags, data)


@dataclass
class Reply:
    """A simple reply, or the one chunk of a structured one."""

    cookie: int
    errno: int = 0
    data: bytes = b""
    status: list[tuple[int, int]] = field(default_factory=list)
    structured: bool = False


class Client:
    """A blocking connection."""

    def __init__(self, server: RunningServer, tcp: bool = False) -> None:
        if tcp:
            self.socket = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(TIMEOUT_SECONDS)
            self.socket.connect(str(server.path))
        self._read_lengths: dict[int, int] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ConnectionResetError("closed by the server")
            data += part
        return bytes(data)

    def is_closed_by_server(self) -> bool:
        """Reads on to the end of the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return True

    def greet(self, flags: int = 3) -> None:
        assert self.receive(18) == b"NBDMAGICIHAVEOPT\0\3"
        self.socket.sendall(pack(">I", flags))

    def option_replies(self, number: int) -> list[tuple[int, bytes]]:
        """All replies to one option: (type, data), the last an ACK or an error."""
        found = []
        while True:
            magic, option_number, kind, length = unpack(">QIII", self.receive(20))
            assert (magic, option_number) == (0x3E889045565A9, number)
            found.append((kind, self.receive(length)))
            if kind == ACK or kind >= 2**31:
                return found

    def ask(self, number: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        self.socket.sendall(option(number, data))
        return self.option_replies(number)

    def go(self, structured: bool = False, allocation: bool = False, name: str = EXPORT) -> "Client":
        """Negotiate all the way."""
        self.greet()
        if structured or allocation:
            assert self.ask(OPT_STRUCTURED) == [(ACK, b"")]
        if allocation:
            assert self.ask(OPT_SET_META, meta_data("base:allocation", name=name))[-1][0] == ACK
        assert self.ask(OPT_GO, go_data(name))[-1][0] == ACK
        return self

    def send(self, *requests: bytes) -> None:
        for one in requests:
            if one[6:8] == b"\0\0":
                self._read_lengths[unpack(">Q", one[8:16])[0]] = unpack(">I", one[24:28])[0]
        self.socket.sendall(b"".join(requests))

    def reply(self) -> Reply:
        magic = unpack(">I", self.receive(4))[0]
        if magic == 0x67446698:
            code, cookie = unpack(">IQ", self.receive(12))
            length = self._read_lengths.pop(cookie, 0)
            return Reply(cookie, code, b"" if code else self.receive(length))
        assert magic == 0x668E33EF
        flags, kind, cookie, length = unpack(">HHQI", self.receive(16))
        payload = self.receive(length)
        self._read_lengths.pop(cookie, None)
        assert flags == 1
        if kind == 1:
            return Reply(cookie, 0, payload[8:], structured=True)
        if kind == 5:
            assert payload[:4] == b"\0\0\0\1"
            words = unpack(f">{(length - 4) // 4}I", payload[4:])
            return Reply(cookie, status=list(zip(words[::2], words[1::2], strict=True)), structured=True)
        if kind == 0x8001:
            return Reply(cookie, unpack(">I", payload[:4])[0], structured=True)
        assert (kind, length) == (0, 0)
        return Reply(cookie, structured=True)

    def do(self, one: bytes) -> Reply:
        self.send(one)
        return self.reply()
