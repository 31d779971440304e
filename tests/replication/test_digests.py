"""Hashes of chunks as they cross the link: what is told equal is equal, zeros too (P5)."""

import pytest
from tests.replication.test_secondary_reads import content

from bilocate.replication.digests import differing, digests_of
from bilocate.replication.frames import ALL_ZERO, DIGEST_BYTES

ONE, TWO, THREE = (bytes([fill]) * DIGEST_BYTES for fill in (1, 2, 3))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((None, None, None), (ALL_ZERO, b"")),
        ((b"x", b"x", b"x"), (0, ONE + TWO + THREE)),
        ((None, b"x", None), (0, ONE + TWO + THREE)),
    ],
)
def test_only_chunks_that_are_all_zeros_are_told_without_digests(
    data: tuple[bytes | None, ...], told: tuple[int, bytes]
) -> None:
    assert digests_of([content(chunk, each) for chunk, each in enumerate(data, start=1)]) == told


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (ONE + TWO + THREE, []),
        (THREE + TWO + ONE, [1, 3]),
        (TWO + THREE + ONE, [1, 2, 3]),
        (ONE + TWO + TWO, [3]),
    ],
)
def test_each_chunk_is_compared_with_its_own_digest(theirs: bytes, found: list[int]) -> None:
    own = [content(1, b"x"), content(2, None), content(3, b"x")]
    assert [each.chunk for each in differing(own, theirs)] == found


def test_where_the_other_site_has_zeros_all_that_is_none_differs() -> None:
    own = [content(1, b"x"), content(2, None), content(3, b"x")]
    assert [each.chunk for each in differing(own, b"")] == [1, 3]
