"""Compare two disks byte by byte."""

from pathlib import Path

from bench.errors import BenchError
from bench.shapes import MIB

STEP_BYTES = 4 * MIB


def assert_same(one: Path, two: Path) -> None:
    """:raises BenchError: at the first difference."""
    with one.open("rb") as left, two.open("rb") as right:
        offset = 0
        while True:
            some, other = left.read(STEP_BYTES), right.read(STEP_BYTES)
            if some != other:
                raise BenchError(f"{one} and {two} differ near byte {offset}: the copies are not equal")
            if not some:
                return
            offset += len(some)
