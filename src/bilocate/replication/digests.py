"""Hashes of chunks as they cross the link, for a resync and for a pull: zeros are common, and cost nothing."""

from collections.abc import Iterator, Sequence

from bilocate.replication.frames import ALL_ZERO, DIGEST_BYTES
from bilocate.replication.ports import ChunkContent


def digests_of(contents: Sequence[ChunkContent]) -> tuple[int, bytes]:
    """The flags and the payload of the frame that tells them."""
    if all(content.data is None for content in contents):
        return ALL_ZERO, b""
    return 0, b"".join(content.digest for content in contents)


def differing(contents: Sequence[ChunkContent], theirs: bytes) -> Iterator[ChunkContent]:
    """Those that are not as the other site says; `theirs` are its digests, empty for zeros."""
    for index, content in enumerate(contents):
        digest = theirs[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
        if content.digest != digest and (theirs or content.data is not None):
            yield content
