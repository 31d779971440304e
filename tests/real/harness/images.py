"""Two sites' volumes as files: what they hold, and where they differ. Holes count as zeros."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.real.harness.record import BLOCK_BYTES, Place

CHUNK_BYTES = 64 * 1024
PIECE_BYTES = 1024 * 1024


def differing_chunks(one: Path, other: Path) -> list[int]:
    """The chunks of 64 KiB that differ, by number."""
    with one.open("rb", buffering=0) as left, other.open("rb", buffering=0) as right:
        sizes = [os.fstat(file.fileno()).st_size for file in (left, right)]
        assert sizes[0] == sizes[1], f"{one} has {sizes[0]} bytes, {other} has {sizes[1]}"
        return [
            chunk
            for start, length in _pieces(left.fileno(), right.fileno(), sizes[0])
            for chunk in _differing(left.fileno(), right.fileno(), start, length)
        ]


def assert_equal(ones: Sequence[Path], others: Sequence[Path]) -> None:
    """Each of the ones is the same, byte for byte, as the other of its number."""
    for number, (one, other) in enumerate(zip(ones, others, strict=True)):
        chunks = differing_chunks(one, other)
        assert not chunks, (
            f"volume {number}: {len(chunks)} chunks differ, the first at byte {chunks[0] * CHUNK_BYTES}"
        )


class Reader:
    """Reads blocks of one site's volumes."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._fds = [os.open(file, os.O_RDONLY) for file in files]

    def block(self, place: Place) -> bytes:
        """What is there now."""
        return os.pread(self._fds[place.volume], BLOCK_BYTES, place.offset)

    def close(self) -> None:
        """No more is read."""
        for fd in self._fds:
            os.close(fd)


def _differing(left: int, right: int, start: int, length: int) -> Iterator[int]:
    ours, theirs = os.pread(left, length, start), os.pread(right, length, start)
    if ours == theirs:
        return
    for at in range(0, length, CHUNK_BYTES):
        if ours[at : at + CHUNK_BYTES] != theirs[at : at + CHUNK_BYTES]:
            yield (start + at) // CHUNK_BYTES


def _pieces(left: int, right: int, size: int) -> Iterator[tuple[int, int]]:
    """Whole chunks wherever at least one of the files has data."""
    at = 0
    while at < size:
        at = min(_next_data(left, at, size), _next_data(right, at, size))
        at -= at % CHUNK_BYTES
        if at < size:
            length = min(PIECE_BYTES, size - at)
            yield at, length
            at += length


def _next_data(fd: int, at: int, size: int) -> int:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        return size  # only a hole follows
