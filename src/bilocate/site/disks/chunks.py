"""Reading and hashing chunks for a resync. Holes are not read. In a thread, but for a lone chunk that is in memory."""

import errno
from collections.abc import Callable, Sequence
from functools import lru_cache

from blake3 import blake3

from bilocate.domain.geometry import CHUNK_BYTES, chunk_length
from bilocate.replication.ports import ChunkContent
from bilocate.site.disks.base import Buffer


@lru_cache(maxsize=64)
def zero_digest(length: int) -> bytes:
    """The hash of a chunk of `length` zero bytes."""
    return blake3(bytes(length)).digest()


def hashed(chunk: int, data: Buffer) -> ChunkContent:
    """A chunk that was read."""
    digest = blake3(data).digest()
    return ChunkContent(chunk, digest, None if digest == zero_digest(len(data)) else data)


def read_and_hash(
    chunks: Sequence[int],
    size_bytes: int,
    read: Callable[[int, int], Buffer | int],
    next_data: Callable[[int], int],
) -> tuple[int, list[ChunkContent]]:
    """(errno, contents) of the chunks. `next_data(offset)`: where data begins; may raise OSError."""
    contents: list[ChunkContent] = []
    hole_start = hole_end = 0  # the hole found last: neighbours in it need no further question
    try:
        for chunk in chunks:
            offset, length = chunk * CHUNK_BYTES, chunk_length(chunk, size_bytes)
            if not hole_start <= offset < hole_end:
                hole_start, hole_end = offset, next_data(offset)
            if hole_end >= offset + length:
                contents.append(ChunkContent(chunk, zero_digest(length), None))
                continue
            data = read(offset, length)
            if isinstance(data, int):
                return data, []
            contents.append(hashed(chunk, data))
    except OSError as error:
        return error.errno or errno.EIO, []
    return 0, contents
