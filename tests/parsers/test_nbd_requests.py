"""A host's requests with anything in them: the same answers wherever their bytes are cut, and bounded memory."""

import asyncio
from struct import pack
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from tests.parsers.values import cut_up, property_test
from tests.site.nbd import raw
from tests.site.nbd.memory import MemoryTarget

from bilocate.site.busy_poll import BusyPoll
from bilocate.site.nbd.handshake import Chosen
from bilocate.site.nbd.limits import Limits
from bilocate.site.nbd.options import MalformedOption, parse_go, parse_meta_context
from bilocate.site.nbd.receiving import ReceivingRoom
from bilocate.site.nbd.transmission import BUFFER_BYTES, Transmission

SIZE = 1024 * 1024
LIMITS = Limits(request_bytes_max=200_000)
ROOM_BYTES, ROOM_SECONDS = 1024 * 1024, 5.0
TURNS = 3

KINDS, FLAGS = st.integers(0, 9), st.integers(0, 40)
OFFSETS = st.one_of(st.integers(0, SIZE), st.integers(0, 2**64 - 1))
LENGTHS = st.one_of(st.integers(0, 9000), st.sampled_from([65_536, 65_537, 100_000, 200_001, 2**32 - 1]))


class Wire:
    """A transport that keeps what is written; everything is taken at once."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += bytes(data)

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        pass

    resume_reading = pause_reading


def answers(stream: bytes, sizes: list[int], structured: bool) -> tuple[bytes, bool, bytes, list[Any]]:
    """What a host reads, whether it was hung up on, what the volume holds then, and what was asked of it."""

    async def run() -> tuple[bytes, bool, bytes, list[Any]]:
        target, wire = MemoryTarget(SIZE), Wire()
        server = SimpleNamespace(
            limits=LIMITS,
            room=ReceivingRoom(ROOM_BYTES, ROOM_SECONDS),
            lost=lambda each: None,
            busy_poll=BusyPoll(0.0),
        )
        transport = cast(asyncio.Transport, wire)
        connection = Transmission(cast(Any, server), transport, Chosen(target, structured, structured), False)
        connection.begin(b"")
        at, left = 0, list(sizes)
        while at < len(stream) and not wire.ended:
            room = connection.get_buffer(-1)
            assert 0 < len(room) <= max(BUFFER_BYTES, LIMITS.request_bytes_max)
            count = min(len(room), len(stream) - at, left.pop(0) if left else len(room))
            room[:count] = stream[at : at + count]
            connection.buffer_updated(count)
            at += count
            for _ in range(TURNS):
                await asyncio.sleep(0)
        connection.connection_lost(None)
        return wire.written, wire.ended, bytes(target.data), target.seen

    return asyncio.run(run())


def request(kind: int, flags: int, offset: int, length: int, cookie: int) -> bytes:
    payload = bytes([cookie % 251]) * length if kind == raw.WRITE and length < SIZE else b""
    return raw.request(kind, offset, length, cookie, flags, payload)


@property_test(40)
@given(
    st.lists(st.builds(request, KINDS, FLAGS, OFFSETS, LENGTHS, st.integers(0, 2**64 - 1)), max_size=6),
    st.lists(st.integers(1, 9000), max_size=40),
    st.booleans(),
    st.data(),
)
def test_requests_are_answered_alike_wherever_they_are_cut(
    requests: list[bytes], sizes: list[int], structured: bool, data: st.DataObject
) -> None:
    stream = b"".join(requests)
    if data.draw(st.booleans()):
        stream = data.draw(cut_up(stream, [raw.request(raw.READ, 0, 512), b"\0" * 28]))
    whole, cut = answers(stream, [], structured), answers(stream, sizes, structured)
    assert cut[1:] == whole[1:]
    # Who sends nonsense is hung up on at once: answers of the same turn are not sent any more.
    assert cut[0] == whole[0] or (whole[1] and cut[0].startswith(whole[0]))


@property_test(60)
@given(
    cut_up(raw.go_data("name"), [pack(">I", 2**32 - 1), pack(">H", 2**16 - 1), b"\xff"])
    | cut_up(raw.meta_data("name", "base:allocation"), [pack(">I", 2**32 - 1), b"\xff"])
    | st.binary(max_size=60)
)
def test_any_options_data_is_understood_or_malformed(content: bytes) -> None:
    for parse in (parse_go, parse_meta_context):
        try:
            name, wanted = parse(content)
        except MalformedOption:
            continue
        assert len(name) + len(wanted) <= len(content)
