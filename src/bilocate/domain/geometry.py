"""Sizes everything else counts in: the extent of the intent log and the chunk of the dirty map."""

EXTENT_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
CHUNKS_PER_EXTENT = EXTENT_BYTES // CHUNK_BYTES
GIB = 1024**3


def extents_of(offset: int, length: int) -> range:
    """The extents that bytes [offset, offset + length) touch; length must be positive."""
    return range(offset // EXTENT_BYTES, (offset + length - 1) // EXTENT_BYTES + 1)


def chunks_of_extent(extent: int, size_bytes: int) -> range:
    """The chunks of one extent of a volume of `size_bytes`; the last extent may be short."""
    first = extent * CHUNKS_PER_EXTENT
    return range(first, min(first + CHUNKS_PER_EXTENT, chunk_count(size_bytes)))


def chunk_count(size_bytes: int) -> int:
    """How many chunks a volume has; the last may be short."""
    return (size_bytes + CHUNK_BYTES - 1) // CHUNK_BYTES


def chunk_length(chunk: int, size_bytes: int) -> int:
    """The bytes of one chunk: CHUNK_BYTES but for a short last one."""
    return min(CHUNK_BYTES, size_bytes - chunk * CHUNK_BYTES)
