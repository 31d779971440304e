"""What is inside an option's data. Every length is checked; what does not fit raises MalformedOption."""

from struct import error as struct_error
from struct import unpack_from

from bilocate.site.nbd import protocol as nbd

# The protocol's longest string.
STRING_BYTES_MAX = 4096


class MalformedOption(Exception):
    """An option whose data is not what the protocol says; answered with NBD_REP_ERR_INVALID."""


class _Data:
    """Reads an option's data from front to end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, code: str) -> int:
        try:
            value: int = unpack_from(code, self._data, self._at)[0]
        except struct_error as error:
            raise MalformedOption("the data ends early") from error
        self._at += 2 if code == ">H" else 4
        return value

    def string(self) -> str:
        length = self.number(">I")
        raw = self._data[self._at : self._at + length]
        if length > STRING_BYTES_MAX or len(raw) != length:
            raise MalformedOption("a string is too long")
        self._at += length
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise MalformedOption("a string is not UTF-8") from error

    def end(self) -> None:
        if self._at != len(self._data):
            raise MalformedOption("there is more data than the option has")


def parse_go(data: bytes) -> tuple[str, list[int]]:
    """The export's name and the information asked for, of NBD_OPT_GO and NBD_OPT_INFO."""
    reader = _Data(data)
    name = reader.string()
    wanted = [reader.number(">H") for _ in range(reader.number(">H"))]
    reader.end()
    return name, wanted


def parse_meta_context(data: bytes) -> tuple[str, list[str]]:
    """The export's name and the queries of NBD_OPT_SET_META_CONTEXT and NBD_OPT_LIST_META_CONTEXT."""
    reader = _Data(data)
    name = reader.string()
    count = reader.number(">I")
    queries = []
    for _ in range(count):  # ends early when the data does: a count can't make it long
        queries.append(reader.string())
    reader.end()
    return name, queries


def option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    """One reply to an option."""
    return nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, option, kind, len(data)) + data
