"""Frames: there and back, byte by byte, and whatever somebody else may send."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replication.arrivals import kept

from bilocate.replication.frames import (
    DIGEST_BYTES,
    HEADER,
    PAYLOAD_BYTES_MAX,
    Frame,
    Hello,
    Kind,
    MalformedFrame,
    PeerVolume,
    Welcome,
    decode_arrival,
    decode_header,
    decode_json,
    decode_suspects,
    encode_json,
    encode_suspects,
    header,
)
from bilocate.replication.requests import Op, Request
from bilocate.site.link.codec import frame_receiver
from bilocate.site.link.settings import LinkSettings

HELLO = Hello("group", 7, "az1", "process", ("pair1", "pair2"), (1024, 2048))
WELCOME = Welcome("process", 7, (PeerVolume("g", True, False, True), PeerVolume("", False, True, False)))


def _frame(head: bytes, payload: bytes = b"") -> Frame:
    frame, length = decode_header(head, 0)
    assert length == len(payload)
    frame.payload = payload
    return frame


@pytest.mark.parametrize("kind", list(Kind))
def test_a_header_is_decoded_as_it_was_encoded(kind: Kind) -> None:
    head = header(kind, volume=3, length=4096, payload=4096, seq=1 << 40, offset=1 << 50, flags=5)
    frame, payload = decode_header(b"before" + head, 6)
    assert frame == Frame(kind, 5, 3, 4096, 1 << 40, 1 << 50)
    assert payload == 4096


def test_what_a_header_does_not_name_is_zero() -> None:
    assert decode_header(header(Kind.PING), 0) == (Frame(Kind.PING, 0, 0, 0, 0, 0), 0)


def test_a_write_arrives_as_the_request_that_it_asks_for() -> None:
    head = header(Kind.WRITE, volume=3, length=4096, payload=4096, seq=1 << 40, offset=1 << 50)
    request, payload = decode_arrival(head, 0)
    assert isinstance(request, Request)
    found = (request.op, request.volume, request.length, request.seq, request.offset)
    assert found == (Op.WRITE, 3, 4096, 1 << 40, 1 << 50)
    assert payload == 4096
    for size in (1, PAYLOAD_BYTES_MAX):
        assert decode_arrival(header(Kind.WRITE, length=size, payload=size), 0)[1] == size
    for length, payload in ((512, 511), (0, 0), (512, 0), (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX + 1)):
        with pytest.raises(MalformedFrame, match=f"{length} bytes with a payload of {payload}"):
            decode_arrival(header(Kind.WRITE, length=length, payload=payload), 0)


@pytest.mark.parametrize("kind", [0, 24, 99, 255])
def test_an_unknown_kind_is_malformed(kind: int) -> None:
    with pytest.raises(MalformedFrame, match=f"of kind {kind}"):
        decode_header(HEADER.pack(kind, 0, 0, 0, 0, 0, 0), 0)


@pytest.mark.parametrize("kind", [Kind.WRITE, Kind.COPY, Kind.PULLED])
def test_a_payload_is_as_long_as_its_length_says_and_bounded(kind: Kind) -> None:
    decode_header(header(kind, length=PAYLOAD_BYTES_MAX, payload=PAYLOAD_BYTES_MAX), 0)
    decode_header(header(kind, length=512, payload=0), 0)
    for length, payload in ((512, 511), (511, 512), (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX + 1)):
        with pytest.raises(
            MalformedFrame, match=f"{kind.name} of {length} bytes with a payload of {payload}"
        ):
            decode_header(header(kind, length=length, payload=payload), 0)


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.WRITE, Kind.COPY, Kind.PULLED}))
def test_other_payloads_are_small(kind: Kind) -> None:
    decode_header(header(kind, payload=1024 * 1024), 0)
    with pytest.raises(MalformedFrame, match=f"{kind.name} with a payload of 1048577 bytes"):
        decode_header(header(kind, payload=1024 * 1024 + 1), 0)


def test_hello_and_welcome_there_and_back() -> None:
    assert Hello.from_frame(_frame(*encode_json(Kind.HELLO, HELLO.to_json()))) == HELLO
    assert Welcome.from_frame(_frame(*encode_json(Kind.WELCOME, WELCOME.to_json()))) == WELCOME


@pytest.mark.parametrize("missing", ["session_id", "epoch", "site", "instance", "pairs", "sizes"])
def test_a_hello_without_a_field_is_malformed(missing: str) -> None:
    content = HELLO.to_json()
    del content[missing]
    with pytest.raises(MalformedFrame, match=f"HELLO without a right '{missing}'"):
        Hello.from_frame(_frame(*encode_json(Kind.HELLO, content)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", "7"),
        ("epoch", -1),
        ("epoch", True),
        ("epoch", 1.5),
        ("pairs", 3),
        ("sizes", ["x"]),
        ("sizes", None),
    ],
)
def test_a_hello_with_a_wrong_field_is_malformed(field: str, value: Any) -> None:
    with pytest.raises(MalformedFrame):
        Hello.from_frame(_frame(*encode_json(Kind.HELLO, {**HELLO.to_json(), field: value})))


@pytest.mark.parametrize(
    ("field", "value"),
    [("epoch", None), ("volumes", 1), ("volumes", [1]), ("volumes", [["g", True]]), ("volumes", [["g"] * 9])],
)
def test_a_welcome_with_a_wrong_field_is_malformed(field: str, value: Any) -> None:
    with pytest.raises(MalformedFrame, match=r"WELCOME without a right|is not a whole number"):
        Welcome.from_frame(_frame(*encode_json(Kind.WELCOME, {**WELCOME.to_json(), field: value})))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedFrame, match="BYE is not"):
        decode_json(Frame(Kind.BYE, payload=payload))
    with pytest.raises(MalformedFrame):
        Hello.from_frame(Frame(Kind.HELLO, payload=payload))


def test_only_a_hello_is_a_hello() -> None:
    with pytest.raises(MalformedFrame, match="not with WELCOME"):
        Hello.from_frame(_frame(*encode_json(Kind.WELCOME, HELLO.to_json())))


def test_suspects_there_and_back_in_as_many_frames_as_they_need() -> None:
    runs = [(n * 3, 2) for n in range(200_000)]
    frames = [_frame(*each) for each in encode_suspects(5, runs)]
    assert len(frames) > 1
    assert all(frame.volume == 5 for frame in frames)
    assert [run for frame in frames for run in decode_suspects(frame, 600_000)] == runs
    assert list(encode_suspects(0, [])) == []


def test_suspects_may_end_with_the_volumes_last_chunk() -> None:
    payload = (8).to_bytes(4) + (2).to_bytes(4)
    assert list(decode_suspects(Frame(Kind.SUSPECTS, payload=payload), 10)) == [(8, 2)]


@pytest.mark.parametrize("payload", [bytes(7), bytes(9), (8).to_bytes(4) + (3).to_bytes(4)])
def test_suspects_that_are_cut_off_or_past_the_end_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedFrame, match=r"is cut off|of a volume that has 10"):
        list(decode_suspects(Frame(Kind.SUSPECTS, payload=payload), 10))


def _messages() -> list[tuple[bytes, bytes]]:
    data = random.Random(1).randbytes(4096)
    return [
        encode_json(Kind.HELLO, HELLO.to_json()),
        (header(Kind.WRITE, volume=1, length=4096, payload=4096, seq=1, offset=8192), data),
        (header(Kind.ZERO, length=65536, seq=2), b""),
        (header(Kind.CONFIRM, seq=2), b""),
        (header(Kind.HASHES, length=2, payload=2 * DIGEST_BYTES), bytes(2 * DIGEST_BYTES)),
        (header(Kind.END, payload=1), b"g"),
    ]


@pytest.mark.parametrize("step", [1, 7, 31, 4096, 1 << 20])
def test_frames_are_the_same_however_their_bytes_arrive(step: int) -> None:
    stream = b"".join(head + payload for head, payload in _messages())
    receiver = frame_receiver(LinkSettings())
    found: list[Frame] = []
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        while piece:
            room = receiver.room()
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
            receiver.received(count)
            piece = piece[count:]
            found += map(kept, receiver.frames())
    assert receiver.malformed is None
    assert found == [_frame(head, payload) for head, payload in _messages()]


@settings(deadline=None, max_examples=500)
@given(st.binary(min_size=HEADER.size, max_size=HEADER.size))
def test_any_header_is_decoded_within_bounds_or_malformed(raw: bytes) -> None:
    try:
        frame, payload = decode_header(raw, 0)
    except MalformedFrame:
        return
    assert 0 <= payload <= PAYLOAD_BYTES_MAX
    assert frame.kind in Kind


@settings(deadline=None, max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_hello_or_malformed(content: Any) -> None:
    payload = json.dumps(content).encode()
    for read in (Hello.from_frame, Welcome.from_frame):
        with pytest.raises(MalformedFrame):
            read(Frame(Kind.HELLO, payload=payload))
