"""Byte comparison of two sparse files: data is compared wherever either of them has any."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Comparison:
    """What a comparison saw; `first_difference` is a byte offset, None when the files are equal."""

    compared_bytes: int
    first_difference: int | None


def compare(first: Path, second: Path) -> Comparison:
    """Compare two files of any kind, byte by byte; holes count as zeros."""
    compared = 0
    with first.open("rb", buffering=0) as one, second.open("rb", buffering=0) as two:
        size = os.fstat(one.fileno()).st_size
        if size != os.fstat(two.fileno()).st_size:
            return Comparison(0, min(size, os.fstat(two.fileno()).st_size))
        for start, length in _pieces(one.fileno(), two.fileno(), size):
            left, right = os.pread(one.fileno(), length, start), os.pread(two.fileno(), length, start)
            if left != right:
                at = next(index for index, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
                return Comparison(compared, start + at)
            compared += length
    return Comparison(compared, None)


def _pieces(one: int, two: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of pieces that hold data in at least one of the files, in order."""
    at = 0
    while at < size:
        at = min(_next_data(one, at, size), _next_data(two, at, size))
        if at < size:
            length = min(PIECE_BYTES - at % PIECE_BYTES, size - at)
            yield at, length
            at += length


def _next_data(fd: int, at: int, size: int) -> int:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        return size  # ENXIO: only a hole follows
