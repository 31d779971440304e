"""However a stream is cut, the frames are the same; whatever comes, memory is bounded."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bilocate.replication.frames import HEADER, PAYLOAD_BYTES_MAX, Kind, header
from bilocate.replication.ports import TRANSIENT_BYTES_MAX
from bilocate.site.link.codec import frame_receiver
from bilocate.site.link.settings import LinkSettings

SMALL = LinkSettings(receive_bytes=2048, own_payload_bytes=512)


def feed(stream: bytes, sizes: list[int]) -> tuple[list[tuple[int, bytes]], str | None]:
    """Push a stream in pieces of the sizes given (then as large as there is room); gives seq and payload."""
    receiver = frame_receiver(SMALL)
    got: list[tuple[int, bytes]] = []
    at = 0
    while at < len(stream) and receiver.malformed is None:
        room = receiver.room()
        assert len(room) > 0
        count = min(len(room), len(stream) - at, sizes.pop(0) if sizes else len(room))
        room[:count] = stream[at : at + count]
        receiver.received(count)
        at += count
        got += [(frame.seq, bytes(frame.payload)) for frame in receiver.frames()]
    return got, receiver.malformed


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(st.integers(0, 40), st.integers(400, 3000)), max_size=12),
    st.lists(st.integers(1, 700), max_size=60),
)
def test_any_cut_of_a_stream_gives_the_same_frames(frame: Any, lengths: list[int], sizes: list[int]) -> None:
    sent = [(number, bytes([number]) * length) for number, length in enumerate(lengths)]
    stream = b"".join(part for number, payload in sent for part in frame(number, payload))
    assert feed(stream, sizes) == (sent, None)


def test_byte_by_byte(frame: Any) -> None:
    sent = [(1, b""), (2, b"x" * 511), (3, b"y" * 512), (4, b"z" * 2500), (5, b"end")]
    stream = b"".join(part for number, payload in sent for part in frame(number, payload))
    assert feed(stream, [1] * len(stream)) == (sent, None)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=4000))
def test_garbage_never_raises(garbage: bytes) -> None:
    feed(garbage, [])


@pytest.mark.parametrize(
    "head",
    [
        header(Kind.WRITE, length=PAYLOAD_BYTES_MAX + 1, payload=PAYLOAD_BYTES_MAX + 1),
        header(Kind.WRITE, length=5, payload=4),
        header(Kind.PING, payload=1 << 30),
        b"\xff" * HEADER.size,
        bytes(HEADER.size),
    ],
)
def test_out_of_bounds_is_malformed_behind_the_good_frames(frame: Any, head: bytes) -> None:
    got, malformed = feed(b"".join(frame(1, b"good")) + head + bytes(100), [])
    assert got == [(1, b"good")]
    assert malformed


@pytest.mark.parametrize("receive_bytes", [100, TRANSIENT_BYTES_MAX + 1])
def test_a_buffer_too_small_for_a_frame_or_too_large_for_views_of_it_is_a_defect(receive_bytes: int) -> None:
    with pytest.raises(ValueError, match="buffer"):
        frame_receiver(LinkSettings(receive_bytes=receive_bytes, own_payload_bytes=512))
