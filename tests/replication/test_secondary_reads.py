"""What a secondary reads for its primary: which questions it takes, and what it says."""

from itertools import count

import pytest

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.digests import digests_of
from bilocate.replication.frames import (
    ALL_ZERO,
    DIGEST_BYTES,
    HASH_BATCH_CHUNKS,
    HEADER,
    Frame,
    Kind,
    MalformedFrame,
)
from bilocate.replication.marks import Marks
from bilocate.replication.ports import ChunkContent
from bilocate.replication.records import VolumeRecord
from bilocate.replication.secondary_reads import Reads

SIZE = 3 * CHUNK_BYTES + 512  # a short last chunk


class Side:
    """A secondary's reads of two volumes; they end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, range, int]] = []
        self.sent: list[tuple[tuple[int, ...], bytes]] = []
        self.failures: list[tuple[str, int]] = []
        tokens = count(7)
        marks = [Marks(VolumeRecord(name, SIZE)) for name in "vw"]
        self.reads = Reads(self, marks, lambda: next(tokens), lambda *said: self.failures.append(said))  # type: ignore[arg-type]

    def read_chunks(self, volume: int, chunks: range, token: int) -> None:
        self.asked.append((volume, chunks, token))

    def send(self, header: bytes, payload: bytes = b"") -> None:
        self.sent.append((HEADER.unpack(header), payload))


def content(chunk: int, data: bytes | None) -> ChunkContent:
    """As read."""
    return ChunkContent(chunk, bytes([chunk]) * DIGEST_BYTES, data)


@pytest.mark.parametrize(
    ("volume", "first", "length"),
    [(2, 0, 1), (3, 0, 1), (0, 0, 0), (0, 0, 5), (0, 4, 1), (1, 3, 2), (0, 0, HASH_BATCH_CHUNKS + 1)],
)
@pytest.mark.parametrize("kind", [Kind.ASK, Kind.PULL])
def test_rule_27_chunks_that_are_not_the_volumes_are_malformed(
    kind: Kind, volume: int, first: int, length: int
) -> None:
    side = Side()
    with pytest.raises(MalformedFrame, match=f"{kind.name} of "):
        side.reads.take(Frame(kind, ALL_ZERO, volume, length, 0, first))
    assert not side.asked


@pytest.mark.parametrize("size", [0, DIGEST_BYTES, 2 * DIGEST_BYTES - 1, 3 * DIGEST_BYTES])
def test_rule_27_a_pull_with_other_digests_than_its_chunks_is_malformed(size: int) -> None:
    side = Side()
    with pytest.raises(MalformedFrame, match=f"2 chunks with {size} bytes"):
        side.reads.take(Frame(Kind.PULL, 0, 0, 2, 0, 0, bytes(size)))
    side.reads.take(Frame(Kind.PULL, 0, 0, 2, 0, 0, bytes(2 * DIGEST_BYTES)))
    assert len(side.asked) == 1


def test_rule_27_so_many_questions_may_be_open_and_no_more() -> None:
    side = Side()
    for _ in range(1024):
        side.reads.take(Frame(Kind.ASK, 0, 1, 4, 0, 0))
    assert side.asked[0] == (1, range(4), 7)
    with pytest.raises(MalformedFrame, match="1024 questions"):
        side.reads.take(Frame(Kind.ASK, 0, 1, 1, 0, 0))
    side.reads.done(7, 0, [content(chunk, b"x") for chunk in range(4)])
    side.reads.take(Frame(Kind.ASK, 0, 1, 1, 0, 0))


def test_hashes_say_of_which_chunks_they_are() -> None:
    side = Side()
    side.reads.take(Frame(Kind.ASK, 0, 1, 2, 0, 1))
    contents = [content(1, b"x"), content(2, None)]
    side.reads.done(7, 0, contents)
    flags, payload = digests_of(contents)
    assert side.sent == [((Kind.HASHES, flags, 1, 2, len(payload), 0, 1), payload)]


def test_PULL_chunks_that_differ_come_with_their_places_zeros_without_bytes_then_the_end() -> None:
    side = Side()
    digests = bytes([9]) * DIGEST_BYTES + bytes([2]) * DIGEST_BYTES + bytes([9]) * DIGEST_BYTES
    side.reads.take(Frame(Kind.PULL, 0, 1, 3, 0, 1, digests))
    data = bytes([1]) * CHUNK_BYTES
    side.reads.done(7, 0, [content(1, data), content(2, b"equal"), content(3, None)])
    assert side.sent == [
        ((Kind.PULLED, 0, 1, CHUNK_BYTES, len(data), 0, CHUNK_BYTES), data),
        ((Kind.PULLED, 0, 1, 512, 0, 0, 3 * CHUNK_BYTES), b""),
        ((Kind.PULL_DONE, 0, 1, 3, 0, 0, 1), b""),
    ]


def test_chunks_that_can_not_be_read_are_told_with_their_place() -> None:
    side = Side()
    side.reads.take(Frame(Kind.ASK, 0, 1, 2, 0, 1))
    side.reads.done(7, 5, [])
    assert side.failures == [("chunk 1 of volume 1 can't be read", 5)]
    assert not side.sent


def test_DISCARD_what_was_read_for_a_link_that_is_gone_goes_to_nobody() -> None:
    side = Side()
    side.reads.take(Frame(Kind.ASK, 0, 0, 1, 0, 0))
    side.reads.clear()
    side.reads.done(7, 0, [content(0, b"x")])
    side.reads.done(7, 5, [])
    assert not side.sent
    assert not side.failures
