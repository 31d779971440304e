"""What crosses a link, and what an arbiter's answer may be: there and back, cut anywhere, or one refusal."""

import contextlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.parsers.values import ANY_JSON, as_sent, cut_up, property_test, spoilt
from tests.replication.arrivals import kept

from bilocate.domain.arbiter import Call, Refusal, Row
from bilocate.replication.frames import (
    DIGEST_BYTES,
    Frame,
    Hello,
    Kind,
    MalformedFrame,
    PeerVolume,
    Welcome,
    decode_header,
    decode_suspects,
    encode_json,
    encode_suspects,
    header,
)
from bilocate.site.arbiter_client import _Reply, _understand
from bilocate.site.link.codec import frame_receiver
from bilocate.site.link.settings import LinkSettings

SMALL = LinkSettings(receive_bytes=2048, own_payload_bytes=512)
HELLO = Hello("group", 7, "az1", "process", ("pair1", "pair2"), (1024, 2048))
WELCOME = Welcome("process", 7, (PeerVolume("g", True, False, True), PeerVolume("", False, True, False)))
ROW = {"session_id": "s", "epoch": 3, "primary": "az1", "secondary": "az2", "state": "stale", "version": 8}
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
WHOLE = st.integers(0, 2**64)
STREAM = b"".join(
    head + payload
    for head, payload in (
        encode_json(Kind.HELLO, HELLO.to_json()),
        encode_json(Kind.WELCOME, WELCOME.to_json()),
        (header(Kind.WRITE, volume=1, length=700, payload=700, seq=1, offset=8192), bytes(700)),
        (header(Kind.ZERO, length=65536, seq=2), b""),
        (header(Kind.HASHES, length=2, payload=2 * DIGEST_BYTES), bytes(2 * DIGEST_BYTES)),
        *encode_suspects(1, [(0, 5), (9, 2)]),
        (header(Kind.END, payload=1), b"g"),
    )
)
HEADERS = [header(kind, length=length, payload=length) for kind in Kind for length in (0, 8, 600, 2**32 - 1)]


def received(stream: bytes, sizes: Sequence[int]) -> tuple[list[Frame], str | None]:
    """The frames of a stream that comes in pieces of these sizes, then in the largest possible."""
    receiver, at, left = frame_receiver(SMALL), 0, list(sizes)
    found: list[Frame] = []
    while at < len(stream) and receiver.malformed is None:
        room = receiver.room()
        assert len(room) <= max(SMALL.receive_bytes, len(stream), 32 * 1024 * 1024)
        count = min(len(room), len(stream) - at, left.pop(0) if left else len(room))
        room[:count] = stream[at : at + count]
        receiver.received(count)
        at += count
        found += map(kept, receiver.frames())
    return found, receiver.malformed


@property_test(100)
@given(cut_up(STREAM, HEADERS), st.lists(st.integers(1, 90), max_size=40))
def test_a_spoilt_stream_gives_the_same_wherever_it_is_cut(stream: bytes, sizes: list[int]) -> None:
    whole = received(stream, [])
    assert received(stream, sizes) == whole
    for frame in whole[0]:
        for read in (Hello.from_frame, Welcome.from_frame, lambda each: list(decode_suspects(each, 100))):
            with contextlib.suppress(MalformedFrame):
                read(frame)


@property_test(60)
@given(
    st.builds(
        Hello,
        TEXT,
        WHOLE,
        TEXT,
        TEXT,
        st.lists(TEXT, max_size=4).map(tuple),
        st.lists(WHOLE, max_size=4).map(tuple),
    ),
    st.builds(
        Welcome,
        TEXT,
        WHOLE,
        st.lists(st.builds(PeerVolume, TEXT, st.booleans(), st.booleans(), st.booleans()), max_size=4).map(
            tuple
        ),
    ),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20),
)
def test_what_is_said_is_what_is_heard(hello: Hello, welcome: Welcome, runs: list[tuple[int, int]]) -> None:
    assert Hello.from_frame(_frame(*encode_json(Kind.HELLO, hello.to_json()))) == hello
    assert Welcome.from_frame(_frame(*encode_json(Kind.WELCOME, welcome.to_json()))) == welcome
    heard = [run for each in encode_suspects(3, runs) for run in decode_suspects(_frame(*each), 100)]
    assert heard == runs


@property_test(120)
@given(spoilt(HELLO.to_json()), spoilt(WELCOME.to_json()))
def test_a_spoilt_hello_or_welcome_is_malformed_or_one(hello: Any, welcome: Any) -> None:
    for read, kind, content in (
        (Hello.from_frame, Kind.HELLO, hello),
        (Welcome.from_frame, Kind.WELCOME, welcome),
    ):
        try:
            found = read(Frame(kind, payload=as_sent(content)))
        except MalformedFrame:
            continue
        assert found.epoch >= 0
        repr(found).encode(errors="backslashreplace")


@property_test(120)
@given(
    spoilt({"row": ROW}).map(as_sent)
    | spoilt({"refusal": "superseded"}).map(as_sent)
    | ANY_JSON.map(as_sent)
    | st.binary(),
    st.sampled_from([200, 409, 500]),
    st.sampled_from([Call.ATTACH, Call.REQUEST_SOLO, Call.REQUEST_RESYNC, Call.REPORT_IN_SYNC]),
)
def test_any_answer_of_an_arbiter_is_a_row_a_refusal_or_nothing(
    content: bytes, status: int, call: Call
) -> None:
    asked = {"call": call.value, "epoch": 3, "site": "az1", "version": 7}
    found = _understand(_Reply("http://c", status, content), "s", call, asked)
    assert found is None or isinstance(found, Row | Refusal)
    if isinstance(found, Row):
        assert (found.session_id, found.epoch, found.primary) == ("s", 3, "az1")


def _frame(head: bytes, payload: bytes) -> Frame:
    frame, length = decode_header(head, 0)
    assert length == len(payload)
    frame.payload = payload
    return frame
