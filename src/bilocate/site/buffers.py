"""Memory for large payloads that is used again.

A new buffer is zeroed first, page by page: 60 us for 1 MiB in a warm cache, where writing it costs 180.
"""

import ctypes
import sys
from collections.abc import Sequence

KIB = 1024
MIB = 1024 * KIB

# Zeroing shorter ones costs less than looking for one; longer ones are rare, and much to keep for nobody.
KEPT_LENGTH_MIN = 256 * KIB
KEPT_LENGTH_MAX = 4 * MIB
# As much as hosts' writes of 1 MiB at depth 16 take at once.
KEPT_BYTES_MAX = 16 * MIB
# The kernel copies 1 MiB from here into the page cache in 57 us, and in 95 from a place that is no multiple of 32, as
# half of those are that the heap gives (AMD EPYC, Linux 6.18).
ALIGNMENT_BYTES = 64


class Buffers:
    """Gives out buffers and keeps some of them. Used on the event loop only."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: list[bytearray] = []
        self.kept_bytes = 0

    def take(self, length: int) -> bytearray:
        """A buffer of `length` bytes whose content is anything: fill it whole before it is given on.

        Nobody gives it back. It is given out again only when nothing else refers to it: no request, no view, no
        transport that has it to send, no thread. That is what its count of references tells, in the end.
        """
        if not KEPT_LENGTH_MIN <= length <= KEPT_LENGTH_MAX:
            return bytearray(length)
        found = _find_unused(self._kept, length)
        if found is None:
            found = _aligned(length)
            self._make_room(length)
            if self.kept_bytes + length <= self._bytes_max:
                self._kept.append(found)
                self.kept_bytes += length
        return found

    def _make_room(self, length: int) -> None:
        """Forget those of other lengths that nobody uses, if the new one would not find room."""
        if self.kept_bytes + length > self._bytes_max:
            self._kept = [each for each in self._kept if len(each) == length]
            self.kept_bytes = sum(map(len, self._kept))


def _aligned(length: int) -> bytearray:
    """A new buffer. CPython takes bytes off the front of one by moving where it begins."""
    found = bytearray(length + ALIGNMENT_BYTES)
    del found[: -_address(found) % ALIGNMENT_BYTES]
    del found[length:]
    return found


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _find_unused(kept: Sequence[bytearray], length: int) -> bytearray | None:
    """The first: it is the likeliest to be in the CPU's cache."""
    for each in kept:
        if sys.getrefcount(each) == _UNUSED and len(each) == length:
            return each
    return None


def _references_when_unused() -> int:
    """What `_find_unused` counts for a buffer that is only kept; it is not the same in every Python."""
    for each in [bytearray(1)]:
        return sys.getrefcount(each)
    raise AssertionError


_UNUSED = _references_when_unused()

# One for the process: hosts' connections, links and disks take from the same.
payloads = Buffers()
