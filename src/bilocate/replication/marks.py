"""The marks of one volume at one site: intents, dirty chunks, failed extents (rules 4, 5, 6, 24).

Memory and ledger go together: every method that changes what must be durable returns the ledger changes that
make it so, and it is the caller who waits for them where the rule says so.
"""

from collections.abc import Iterable

from pyroaring import BitMap

from bilocate.domain.geometry import CHUNK_BYTES, EXTENT_BYTES, chunk_count, chunk_length, chunks_of_extent
from bilocate.replication.records import (
    SEGMENT_CHUNKS,
    AddFailed,
    AddIntents,
    Change,
    ClearMarks,
    DropIntents,
    PutDirty,
    PutVolume,
    VolumeRecord,
    dirty_segments,
)


class Marks:
    """One volume's record with the in-memory side of its intents.

    `record.intents` are durable. `committing` are on their way: extent → the commit that makes it durable.
    `touched` tells during which flush a write last entered an extent (DROPRACE). `exact` are the extents that got
    their intent since the present permit was given: all that was written there is in the dirty map (SET).
    """

    __slots__ = ("committing", "exact", "record", "touched")

    def __init__(self, record: VolumeRecord) -> None:
        self.record = record
        self.committing: dict[int, int] = {}
        self.touched: dict[int, int] = {}
        self.exact: set[int] = set()

    # --- intents ---

    def add_intents(self, extents: Iterable[int], token: int) -> AddIntents | None:
        """Begin to make intents durable with commit `token`; None when all of them are on their way already."""
        new = tuple(e for e in extents if e not in self.record.intents and e not in self.committing)
        for extent in new:
            self.committing[extent] = token
        self.exact.update(new)
        return AddIntents(self.record.volume_id, new) if new else None

    def intents_committed(self, token: int) -> None:
        """Commit `token` is durable, and all before it."""
        done = [extent for extent, number in self.committing.items() if number <= token]
        for extent in done:
            del self.committing[extent]
            self.record.intents.add(extent)

    def drop_intents(self, extents: Iterable[int]) -> list[Change]:
        """Forget intents at once, in memory first: a write that enters later marks its extent anew (DROP)."""
        gone = tuple(e for e in extents if e in self.record.intents)
        self.record.intents.difference_update(gone)
        self.exact.difference_update(gone)
        for extent in gone:
            self.touched.pop(extent, None)
        return [DropIntents(self.record.volume_id, gone)] if gone else []

    def drop_intents_as_dirty(self, extents: Iterable[int]) -> list[Change]:
        """The same while solo: all their chunks become dirty in the same commit (SOLODROP)."""
        gone = [e for e in extents if e in self.record.intents]
        return [*self.make_dirty_extents(gone), *self.drop_intents(gone)]

    # --- dirty and failed ---

    def make_dirty_extents(self, extents: Iterable[int]) -> list[Change]:
        """All chunks of the extents become dirty."""
        segments: set[int] = set()
        for extent in extents:
            chunks = chunks_of_extent(extent, self.record.size_bytes)
            if chunks:
                self.record.dirty.add_range(chunks.start, chunks.stop)
                segments.add(chunks.start // SEGMENT_CHUNKS)
        if not segments:
            return []
        return [PutDirty(self.record.volume_id, dirty_segments(self.record.dirty, segments))]

    def fail(self, extents: Iterable[int]) -> list[Change]:
        """A local write failed in these extents (STICKY)."""
        new = tuple(e for e in extents if e not in self.record.failed)
        self.record.failed.update(new)
        return [AddFailed(self.record.volume_id, new)] if new else []

    def demote(self) -> list[Change]:
        """Intents and failed extents become dirty chunks: a secondary has no other evidence (DEMOTE, UNSURE).

        An intent still on its way counts: its write may have been sent to the disk by a former life.
        """
        suspect = self.record.intents | self.record.failed | self.committing.keys()
        self.committing.clear()
        self.touched.clear()
        self.exact.clear()
        if not suspect:
            return []
        volume_id = self.record.volume_id
        self.make_dirty_extents(suspect)
        intents = tuple(sorted(self.record.intents))
        self.record.intents.clear()
        self.record.failed.clear()
        # ClearMarks also takes the dirty bits away, so the whole map follows it in the same commit.
        return [
            ClearMarks(volume_id),
            PutDirty(volume_id, dirty_segments(self.record.dirty, self._all_segments())),
            DropIntents(volume_id, intents),
        ]

    def clear(self) -> list[Change]:
        """Dirty bits and failed extents go; intents stay (END, CLEARLAST)."""
        self.record.dirty.clear()
        self.record.failed.clear()
        return [ClearMarks(self.record.volume_id)]

    def forget_past(self) -> list[Change]:
        """The pair is dissolved: a plain volume again, which is equal to no other (GENCHK)."""
        record = self.record
        record.generation = record.pending_generation = record.served_boot_id = ""
        record.consistent, record.blank = True, False
        return [*self.drop_intents(set(record.intents)), *self.clear(), self.put()]

    def put(self) -> PutVolume:
        """The volume's row as it is in memory now."""
        r = self.record
        return PutVolume(
            r.volume_id,
            r.size_bytes,
            r.max_epoch,
            r.generation,
            r.pending_generation,
            r.consistent,
            r.blank,
            r.served_boot_id,
        )

    # --- what may differ ---

    def suspects(self) -> BitMap:
        """The chunks in which this copy may differ from the other: dirty, intents and failed together (SET)."""
        return self._suspects({*self.record.intents, *self.committing})

    def suspects_under_permit(self) -> BitMap:
        """The same for a primary that holds a permit: of `exact` extents only what is dirty (SET)."""
        return self._suspects({*self.record.intents, *self.committing} - self.exact)

    def _suspects(self, extents: set[int]) -> BitMap:
        if self.record.blank:
            return self.everything()
        out = BitMap(self.record.dirty)
        for extent in extents | self.record.failed:
            chunks = chunks_of_extent(extent, self.record.size_bytes)
            out.add_range(chunks.start, chunks.stop)
        return out

    def everything(self) -> BitMap:
        """Every chunk of the volume."""
        out = BitMap()
        out.add_range(0, chunk_count(self.record.size_bytes))
        return out

    @property
    def clean(self) -> bool:
        """Nothing dirty, nothing failed and a known past: only intents may be there."""
        return not (self.record.dirty or self.record.failed or self.record.blank)

    @property
    def dirty_bytes(self) -> int:
        """Bytes in dirty chunks; a blank ledger's volume may differ everywhere."""
        record = self.record
        if record.blank:
            return record.size_bytes
        last = chunk_count(record.size_bytes) - 1
        short = CHUNK_BYTES - chunk_length(last, record.size_bytes) if last in record.dirty else 0
        return len(record.dirty) * CHUNK_BYTES - short

    @property
    def failed_bytes(self) -> int:
        """Bytes in failed extents."""
        size = self.record.size_bytes
        return sum(min(EXTENT_BYTES, size - extent * EXTENT_BYTES) for extent in self.record.failed)

    def chunk_range(self, chunk: int) -> tuple[int, int]:
        """A chunk as (offset, length) in bytes."""
        return chunk * CHUNK_BYTES, chunk_length(chunk, self.record.size_bytes)

    def _all_segments(self) -> set[int]:
        return {chunk // SEGMENT_CHUNKS for chunk in self.record.dirty}


def runs(chunks: BitMap) -> list[tuple[int, int]]:
    """A set of chunks as (first, count), in order."""
    out: list[tuple[int, int]] = []
    first = last = -1
    for chunk in chunks:
        if chunk == last + 1 and first >= 0:
            last = chunk
            continue
        if first >= 0:
            out.append((first, last - first + 1))
        first = last = chunk
    if first >= 0:
        out.append((first, last - first + 1))
    return out
