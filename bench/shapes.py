"""The shapes of load: what is read or written, in which blocks, at which depth."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True)
class Shape:
    """Random requests of one size; `depth` of them are always under way."""

    operation: str  # "read" or "write"
    block_bytes: int
    depth: int

    @property
    def name(self) -> str:
        """As it is given to --rows."""
        return f"{self.operation}-{self.block}-{self.depth}"

    @property
    def block(self) -> str:
        """The block size, as fio spells it."""
        return f"{self.block_bytes // MIB}m" if self.block_bytes >= MIB else f"{self.block_bytes // KIB}k"

    @property
    def title(self) -> str:
        """As a table shows it."""
        size = (
            f"{self.block_bytes // MIB} MiB" if self.block_bytes >= MIB else f"{self.block_bytes // KIB} KiB"
        )
        return f"{self.operation} {size}, depth {self.depth}"

    @property
    def is_large(self) -> bool:
        """Whether people ask for its MB/s rather than its IOPS."""
        return self.block_bytes >= 64 * KIB


_SIZES = ((4 * KIB, 1), (4 * KIB, 16), (4 * KIB, 64), (64 * KIB, 8), (MIB, 8))
WRITES = tuple(Shape("write", block, depth) for block, depth in _SIZES)
READS = tuple(Shape("read", block, depth) for block, depth in _SIZES)
QUICK = (WRITES[0], WRITES[1], WRITES[4], READS[1])
ALL = WRITES + READS
