"""The bytes of replies in the transmission phase."""

import errno
from collections.abc import Iterable
from struct import pack

from bilocate.site.nbd import protocol as nbd
from bilocate.site.target import Allocation


def simple(cookie: int, code: int) -> bytes:
    """A reply without data."""
    return nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, nbd.wire_errno(code), cookie)


def data_header(cookie: int, offset: int, length: int) -> bytes:
    """What stands before a read's bytes in a structured reply; an empty read has no data chunk."""
    if length == 0:
        return _chunk(cookie, nbd.REPLY_NONE, b"")
    return nbd.DATA_CHUNK.pack(
        nbd.STRUCTURED_REPLY_MAGIC, nbd.REPLY_FLAG_DONE, nbd.REPLY_OFFSET_DATA, cookie, 8 + length, offset
    )


def error_chunk(cookie: int, code: int) -> bytes:
    """A failure in a structured reply."""
    return _chunk(cookie, nbd.REPLY_ERROR, pack(">IH", nbd.wire_errno(code), 0))


def block_status(cookie: int, ranges: Iterable[Allocation], length_max: int, only_first: bool) -> bytes:
    """Alike neighbours joined, at most `length_max` bytes told; an error when there is nothing to tell."""
    joined: list[list[int]] = []
    for length, hole, reads_zero in ranges:
        length = min(length, length_max)
        if length <= 0:
            continue
        length_max -= length
        state = (nbd.STATE_HOLE if hole else 0) | (nbd.STATE_ZERO if reads_zero else 0)
        if joined and joined[-1][1] == state:
            joined[-1][0] += length
        elif joined and only_first:
            break
        else:
            joined.append([length, state])
    if not joined:
        return error_chunk(cookie, errno.EIO)
    told = b"".join(pack(">II", length, state) for length, state in joined)
    return _chunk(cookie, nbd.REPLY_BLOCK_STATUS, pack(">I", nbd.ALLOCATION_ID) + told)


def _chunk(cookie: int, kind: int, payload: bytes) -> bytes:
    header = nbd.CHUNK.pack(nbd.STRUCTURED_REPLY_MAGIC, nbd.REPLY_FLAG_DONE, kind, cookie, len(payload))
    return header + payload
