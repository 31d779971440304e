"""A site's ledger: commits become durable in order, after a while; a process that ends loses the rest."""

from collections import deque
from collections.abc import Callable, Sequence

from pyroaring import BitMap
from tests.sim.world.channel import Channel
from tests.sim.world.scheduler import Kind, Scheduler

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


class Ledger:
    """What is durable, and what is on its way there. It outlives the agent's process."""

    def __init__(self, scheduler: Scheduler, site: str) -> None:
        self._channel = Channel(scheduler, Kind.LEDGER, site)
        self._under_way: deque[tuple[Change, ...]] = deque()
        self.volumes: dict[str, VolumeRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.items: dict[str, str] = {}
        self.lost = False  # it could not be read when its agent last started (rule 17)
        self.rotten = False  # a bit of it has flipped: the next start finds that

    def commit(self, delay: float, changes: Sequence[Change], committed: Callable[[], None]) -> None:
        """Make the changes durable together, behind all earlier ones."""
        kept = tuple(changes)
        self._under_way.append(kept)

        def run() -> None:
            self._under_way.popleft()
            self.apply(kept)
            committed()

        self._channel.put(delay, kept[0].__class__.__name__ if kept else "nothing", kept, run)

    def apply(self, changes: Sequence[Change]) -> None:
        """They are durable now."""
        for change in changes:
            self._apply(change)

    def process_ended(self, survive: Callable[[int], int]) -> None:
        """`survive(n)`: how many of n commits under way were durable all the same, though nobody was told."""
        self._channel.take_all()
        count = survive(len(self._under_way))
        for _ in range(count):
            self.apply(self._under_way.popleft())
        self._under_way.clear()

    def lose(self) -> None:
        """Its files are gone."""
        self.volumes.clear()
        self.sessions.clear()
        self.items.clear()
        self.lost, self.rotten = True, False

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
