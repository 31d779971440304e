"""What a ledger holds, and what each change makes of it: the same in every simulated world."""

from collections.abc import Sequence

from pyroaring import BitMap

from bilocate.replication.records import (
    SEGMENT_CHUNKS,
    AddFailed,
    AddIntents,
    Change,
    ClearMarks,
    DropIntents,
    DropSession,
    DropVolume,
    PutDirty,
    PutSession,
    PutSiteItem,
    PutVolume,
    SessionRecord,
    VolumeRecord,
)


class Stored:
    """Volumes, sessions and items, as they are durable now."""

    def __init__(self) -> None:
        self.volumes: dict[str, VolumeRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.items: dict[str, str] = {}

    def apply(self, changes: Sequence[Change]) -> None:
        """They are durable now."""
        for change in changes:
            self._apply(change)

    def load(self) -> tuple[dict[str, VolumeRecord], dict[str, SessionRecord]]:
        """Fresh records, as a process that starts reads them."""
        volumes = {volume_id: _copy(record) for volume_id, record in self.volumes.items()}
        sessions = {
            session_id: SessionRecord(r.session_id, r.epoch, r.role, r.wanted, r.holds_hello)
            for session_id, r in self.sessions.items()
        }
        return volumes, sessions

    def _apply(self, change: Change) -> None:
        match change:
            case AddIntents():
                self.volumes[change.volume_id].intents.update(change.extents)
            case DropIntents():
                self.volumes[change.volume_id].intents.difference_update(change.extents)
            case PutDirty():
                self._put_dirty(change)
            case AddFailed():
                self.volumes[change.volume_id].failed.update(change.extents)
            case ClearMarks():
                self.volumes[change.volume_id].dirty = BitMap()
                self.volumes[change.volume_id].failed.clear()
            case PutVolume():
                self._put_volume(change)
            case DropVolume():
                self.volumes.pop(change.volume_id, None)
            case PutSession():
                self.sessions[change.session_id] = SessionRecord(
                    change.session_id, change.epoch, change.role, change.wanted, change.holds_hello
                )
            case DropSession():
                self.sessions.pop(change.session_id, None)
            case PutSiteItem():
                self.items[change.key] = change.value

    def _put_volume(self, change: PutVolume) -> None:
        record = self.volumes.setdefault(change.volume_id, VolumeRecord(change.volume_id, change.size_bytes))
        record.size_bytes = change.size_bytes
        record.max_epoch = change.max_epoch
        record.generation = change.generation
        record.pending_generation = change.pending_generation
        record.consistent = change.consistent
        record.blank = change.blank
        record.served_boot_id = change.served_boot_id

    def _put_dirty(self, change: PutDirty) -> None:
        dirty = self.volumes[change.volume_id].dirty
        for segment, chunks in change.segments.items():
            dirty.remove_range(segment * SEGMENT_CHUNKS, (segment + 1) * SEGMENT_CHUNKS)
            if chunks:
                dirty |= BitMap.deserialize(chunks)
        self.volumes[change.volume_id].dirty = dirty


def _copy(record: VolumeRecord) -> VolumeRecord:
    return VolumeRecord(
        record.volume_id,
        record.size_bytes,
        record.max_epoch,
        record.generation,
        record.pending_generation,
        record.consistent,
        record.blank,
        record.served_boot_id,
        set(record.intents),
        BitMap(record.dirty),
        set(record.failed),
    )
