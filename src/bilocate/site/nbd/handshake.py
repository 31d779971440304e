"""The negotiation of a connection, without I/O: bytes in, replies and an outcome out."""

from collections.abc import Callable
from dataclasses import dataclass
from struct import pack

from bilocate.site.nbd import protocol as nbd
from bilocate.site.nbd.limits import Limits
from bilocate.site.nbd.options import MalformedOption, option_reply, parse_go, parse_meta_context
from bilocate.site.target import BlockTarget, ExportSource

GREETING = nbd.GREETING_MAGIC + nbd.OPTION_MAGIC + pack(">H", nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES)
_DESCRIPTION = b"Bilocate volume"
_FLAGS_BYTES = 4


@dataclass(frozen=True, slots=True)
class Chosen:
    """The client has chosen an export: transmission begins."""

    target: BlockTarget
    structured: bool  # structured replies were agreed on
    allocation: bool  # so was base:allocation, for this export


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is to be closed behind the replies."""

    reason: str


class Handshake:
    """One connection's negotiation. `outcome` is None while it goes on."""

    def __init__(self, source: ExportSource, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._flags: int | None = None
        self._structured = False
        self._allocation_for: str | None = None  # the export for which base:allocation was selected
        self.outcome: Chosen | Ended | None = None
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            nbd.OPT_EXPORT_NAME: self._export_name,
            nbd.OPT_ABORT: self._abort,
            nbd.OPT_LIST: self._list,
            nbd.OPT_INFO: self._info,
            nbd.OPT_GO: self._go,
            nbd.OPT_STRUCTURED_REPLY: self._structured_reply,
            nbd.OPT_LIST_META_CONTEXT: self._list_meta_context,
            nbd.OPT_SET_META_CONTEXT: self._set_meta_context,
        }

    def receive(self, data: memoryview) -> tuple[int, bytes]:
        """Take one message from the front: (bytes consumed, reply). Nothing is consumed until it is whole."""
        if self._flags is None:
            if len(data) < _FLAGS_BYTES:
                return 0, b""
            self._take_flags(int.from_bytes(data[:_FLAGS_BYTES], "big"))
            return _FLAGS_BYTES, b""
        if len(data) < nbd.OPTION.size:
            return 0, b""
        magic, option, length = nbd.OPTION.unpack_from(data)
        if magic != nbd.OPTION_MAGIC or length > self._limits.option_bytes_max:
            self.outcome = Ended("malformed option")
            return nbd.OPTION.size, b""
        end = nbd.OPTION.size + length
        if len(data) < end:
            return 0, b""
        return end, self._answer(option, bytes(data[nbd.OPTION.size : end]))

    def _take_flags(self, flags: int) -> None:
        self._flags = flags
        if flags & ~(nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES):
            self.outcome = Ended("unknown handshake flags")

    def _answer(self, option: int, data: bytes) -> bytes:
        answer = self._answers.get(option)
        if answer is None:  # STARTTLS among them: a client that insists on TLS goes away by itself
            return option_reply(option, nbd.REP_ERR_UNSUP)
        try:
            return answer(data)
        except MalformedOption as error:
            return option_reply(option, nbd.REP_ERR_INVALID, str(error).encode())

    def _choose(self, name: str, target: BlockTarget) -> None:
        self.outcome = Chosen(target, self._structured, self._structured and self._allocation_for == name)

    def _transmission_flags(self, target: BlockTarget) -> int:
        flags = (
            nbd.HAS_FLAGS
            | nbd.SEND_FLUSH
            | nbd.SEND_FUA
            | nbd.SEND_CACHE
            | nbd.CAN_MULTI_CONN  # a flush covers all connections (rule 8)
        )
        if self._structured:
            flags |= nbd.SEND_DF
        if target.read_only:
            return flags | nbd.READ_ONLY
        flags |= nbd.SEND_TRIM | nbd.SEND_WRITE_ZEROES
        if target.zeroes_fast(keep_allocated=False):
            flags |= nbd.SEND_FAST_ZERO
        return flags

    def _export_name(self, data: bytes) -> bytes:
        # The old way has no reply for a failure.
        try:
            name = data.decode()
        except UnicodeDecodeError:
            self.outcome = Ended("malformed export name")
            return b""
        target = self._source.find(name)
        if target is None:
            self.outcome = Ended("unknown export")
            return b""
        self._choose(name, target)
        padding = b"" if (self._flags or 0) & nbd.FLAG_NO_ZEROES else bytes(124)
        return pack(">QH", target.size_bytes, self._transmission_flags(target)) + padding

    def _abort(self, data: bytes) -> bytes:
        self.outcome = Ended("the client ended it")
        return option_reply(nbd.OPT_ABORT, nbd.REP_ACK)

    def _list(self, data: bytes) -> bytes:
        if data:
            raise MalformedOption("NBD_OPT_LIST has no data")
        names = [name.encode() for name in self._source.listed()]
        replies = [option_reply(nbd.OPT_LIST, nbd.REP_SERVER, pack(">I", len(name)) + name) for name in names]
        return b"".join(replies) + option_reply(nbd.OPT_LIST, nbd.REP_ACK)

    def _structured_reply(self, data: bytes) -> bytes:
        if data:
            raise MalformedOption("NBD_OPT_STRUCTURED_REPLY has no data")
        self._structured = True
        return option_reply(nbd.OPT_STRUCTURED_REPLY, nbd.REP_ACK)

    def _info(self, data: bytes) -> bytes:
        return self._describe(nbd.OPT_INFO, data)

    def _go(self, data: bytes) -> bytes:
        return self._describe(nbd.OPT_GO, data)

    def _describe(self, option: int, data: bytes) -> bytes:
        """NBD_OPT_INFO, and NBD_OPT_GO which goes on from there."""
        name, wanted = parse_go(data)
        target = self._source.find(name)
        if target is None:
            return option_reply(option, nbd.REP_ERR_UNKNOWN, b"no such export")
        flags = self._transmission_flags(target)
        infos = [pack(">HQH", nbd.INFO_EXPORT, target.size_bytes, flags)]
        if nbd.INFO_NAME in wanted:
            infos.append(pack(">H", nbd.INFO_NAME) + name.encode())
        if nbd.INFO_DESCRIPTION in wanted:
            infos.append(pack(">H", nbd.INFO_DESCRIPTION) + _DESCRIPTION)
        infos.append(
            pack(
                ">HIII",
                nbd.INFO_BLOCK_SIZE,
                target.min_block_bytes,
                target.preferred_block_bytes,
                self._limits.request_bytes_max,
            )
        )
        if option == nbd.OPT_GO:
            self._choose(name, target)
        replies = [option_reply(option, nbd.REP_INFO, info) for info in infos]
        return b"".join(replies) + option_reply(option, nbd.REP_ACK)

    def _list_meta_context(self, data: bytes) -> bytes:
        name, queries = parse_meta_context(data)
        shown = not queries or "base:" in queries or nbd.ALLOCATION_CONTEXT in queries
        return self._meta_contexts(nbd.OPT_LIST_META_CONTEXT, name, shown)

    def _set_meta_context(self, data: bytes) -> bytes:
        self._allocation_for = None
        name, queries = parse_meta_context(data)
        if not self._structured:
            raise MalformedOption("structured replies come first")
        selected = nbd.ALLOCATION_CONTEXT in queries
        reply = self._meta_contexts(nbd.OPT_SET_META_CONTEXT, name, selected)
        if selected:
            self._allocation_for = name
        return reply

    def _meta_contexts(self, option: int, name: str, shown: bool) -> bytes:
        if self._source.find(name) is None:
            return option_reply(option, nbd.REP_ERR_UNKNOWN, b"no such export")
        reply = b""
        if shown:
            number = nbd.ALLOCATION_ID if option == nbd.OPT_SET_META_CONTEXT else 0
            context = pack(">I", number) + nbd.ALLOCATION_CONTEXT.encode()
            reply = option_reply(option, nbd.REP_META_CONTEXT, context)
        return reply + option_reply(option, nbd.REP_ACK)
