"""What bytes touch, at the edges."""

import pytest

from bilocate.domain.geometry import (
    CHUNK_BYTES,
    EXTENT_BYTES,
    chunk_count,
    chunk_length,
    chunks_of_extent,
    extents_of,
)


@pytest.mark.parametrize(
    ("offset", "length", "extents"),
    [
        (0, 1, range(1)),
        (0, EXTENT_BYTES, range(1)),
        (0, EXTENT_BYTES + 1, range(2)),
        (EXTENT_BYTES - 1, 1, range(1)),
        (EXTENT_BYTES - 1, 2, range(2)),
        (EXTENT_BYTES, 1, range(1, 2)),
        (3 * EXTENT_BYTES - 1, EXTENT_BYTES + 2, range(2, 5)),
    ],
)
def test_the_extents_of_bytes(offset: int, length: int, extents: range) -> None:
    assert extents_of(offset, length) == extents


def test_the_last_extent_and_the_last_chunk_may_be_short() -> None:
    size = EXTENT_BYTES + 2 * CHUNK_BYTES + 512
    assert chunk_count(size) == 67
    assert chunks_of_extent(0, size) == range(64)
    assert chunks_of_extent(1, size) == range(64, 67)
    assert [chunk_length(chunk, size) for chunk in (65, 66)] == [CHUNK_BYTES, 512]
    assert [chunk_count(each) for each in (EXTENT_BYTES, CHUNK_BYTES + 1, 1)] == [64, 2, 1]
