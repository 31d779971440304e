"""How fast a resync may go: a bound in bytes a second, or none."""

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.frames import HASH_BATCH_CHUNKS

# A piece is begun at once and then waited for: shorter ones spread what a bound leaves.
PIECE_SECONDS = 0.1


class Pace:
    """Tells when the next piece may begin. Times are of one steady clock; what was not used is not saved up."""

    __slots__ = ("_bytes_per_second", "due")

    def __init__(self, bytes_per_second: int) -> None:
        """0: no bound."""
        self._bytes_per_second = bytes_per_second
        self.due = float("-inf")

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return self._bytes_per_second > 0

    @property
    def piece_chunks(self) -> int:
        """How many chunks are begun at once, at most."""
        if not self.bounded:
            return HASH_BATCH_CHUNKS
        return max(1, min(HASH_BATCH_CHUNKS, int(self._bytes_per_second * PIECE_SECONDS) // CHUNK_BYTES))

    def allows(self, now: float) -> bool:
        """Whether the next piece may begin."""
        return now >= self.due

    def begun(self, size: int, now: float) -> None:
        """A piece of so many bytes has begun."""
        if self.bounded:
            self.due = max(self.due, now) + size / self._bytes_per_second

    def spared(self, size: int) -> None:
        """So many bytes of it cost neither disk nor link."""
        if self.bounded:
            self.due -= size / self._bytes_per_second
