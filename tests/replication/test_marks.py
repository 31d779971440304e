"""Marks: memory and ledger go together. Every change that is given out makes the ledger as the record is."""

from pyroaring import BitMap
from tests.sim.world.ledger import Ledger
from tests.sim.world.scheduler import Scheduler
from tests.sim.world.trace import Trace

from bilocate.domain.geometry import CHUNK_BYTES, CHUNKS_PER_EXTENT, EXTENT_BYTES
from bilocate.replication.marks import Marks, runs
from bilocate.replication.records import SEGMENT_CHUNKS, AddIntents, Change, VolumeRecord, dirty_segments

SIZE = 3 * EXTENT_BYTES + 5 * CHUNK_BYTES + 512  # a short last extent with a short last chunk
CHUNKS = 3 * CHUNKS_PER_EXTENT + 6


class Site:
    """A volume's marks, and a ledger that takes every change at once."""

    def __init__(self, size_bytes: int = SIZE) -> None:
        self.ledger = Ledger(Scheduler(Trace()), "az1")
        self.marks = Marks(VolumeRecord("v", size_bytes))
        self.ledger.apply([self.marks.put()])

    def take(self, changes: list[Change]) -> None:
        """They are durable; memory and ledger are the same."""
        self.ledger.apply(changes)
        durable, record = self.ledger.volumes["v"], self.marks.record
        assert durable.intents == record.intents
        assert durable.failed == record.failed
        assert durable.dirty == record.dirty

    def intend(self, *extents: int) -> None:
        """Intents, durable."""
        change = self.marks.add_intents(extents, 1)
        assert change is not None
        self.marks.intents_committed(1)
        self.take([change])


def test_intents_count_only_when_their_commit_is_durable() -> None:
    marks = Site().marks
    assert marks.add_intents([1, 2], 5) == AddIntents("v", (1, 2))
    assert marks.add_intents([2, 3], 6) == AddIntents("v", (3,))
    assert marks.add_intents([1, 2], 7) is None
    assert not marks.record.intents
    marks.intents_committed(5)
    assert marks.record.intents == {1, 2}
    assert marks.add_intents([1], 8) is None
    marks.intents_committed(6)
    assert marks.record.intents == {1, 2, 3}
    assert not marks.committing


def test_intents_on_their_way_are_suspects_too() -> None:
    marks = Site().marks
    marks.add_intents([1], 5)
    assert set(marks.suspects()) == set(range(CHUNKS_PER_EXTENT, 2 * CHUNKS_PER_EXTENT))


def test_DROP_forgets_what_is_there_and_nothing_else() -> None:
    site = Site()
    site.intend(0, 1)
    site.marks.touched[0] = 4
    site.take(site.marks.drop_intents([0, 7]))
    assert site.marks.record.intents == {1}
    assert 0 not in site.marks.touched
    assert site.marks.drop_intents([0]) == []


def test_SOLODROP_makes_all_chunks_of_the_extent_dirty_in_the_same_commit() -> None:
    site = Site()
    site.intend(0, 3)
    site.take(site.marks.drop_intents_as_dirty([3]))
    assert set(site.marks.record.dirty) == set(range(3 * CHUNKS_PER_EXTENT, CHUNKS))
    assert site.marks.record.intents == {0}


def test_DEMOTE_turns_intents_failed_and_what_is_on_its_way_into_dirty_bits() -> None:
    site = Site()
    site.intend(0)
    site.take(site.marks.fail([1]))
    site.marks.add_intents([3], 9)
    site.take(site.marks.make_dirty_extents([2]))
    site.take(site.marks.demote())
    assert set(site.marks.record.dirty) == set(range(CHUNKS))
    assert not site.marks.committing


def test_DEMOTE_of_a_failed_mark_alone() -> None:
    site = Site()
    site.take(site.marks.fail([1]))
    site.take(site.marks.demote())
    assert set(site.marks.record.dirty) == set(range(CHUNKS_PER_EXTENT, 2 * CHUNKS_PER_EXTENT))
    assert not site.marks.record.failed


def test_DEMOTE_without_marks_changes_nothing() -> None:
    assert Site().marks.demote() == []


def test_DEMOTE_makes_bits_durable_that_were_in_memory_only() -> None:
    """What a solo primary made dirty is told by its intent until then."""
    site = Site()
    site.intend(0)
    site.marks.record.dirty.add(2)
    site.take(site.marks.demote())
    assert 2 in site.ledger.volumes["v"].dirty


def test_STICKY_marks_are_added_once_and_cleared_with_the_dirty_bits() -> None:
    site = Site()
    site.intend(2)
    site.take(site.marks.fail([0, 1]))
    assert site.marks.fail([1]) == []
    assert not site.marks.clean
    site.take(site.marks.make_dirty_extents([3]))
    site.take(site.marks.clear())
    assert site.marks.clean
    assert site.marks.record.intents == {2}  # intents stay (END)


def test_BLANK_suspects_everything() -> None:
    marks = Marks(VolumeRecord("v", SIZE, blank=True))
    assert set(marks.suspects()) == set(range(CHUNKS))
    assert not marks.clean


def test_SET_suspects_are_dirty_intents_and_failed_together() -> None:
    site = Site()
    site.intend(3)
    site.take(site.marks.fail([0]))
    site.marks.record.dirty.add(70)
    expected = {*range(CHUNKS_PER_EXTENT), 70, *range(3 * CHUNKS_PER_EXTENT, CHUNKS)}
    assert set(site.marks.suspects()) == expected


def test_segments_of_the_dirty_map_are_whole_and_absolute() -> None:
    dirty = BitMap([1, SEGMENT_CHUNKS - 1, SEGMENT_CHUNKS, 3 * SEGMENT_CHUNKS + 7])
    segments = dirty_segments(dirty, {0, 1, 2})
    assert segments[2] == b""
    assert set(BitMap.deserialize(segments[0])) == {1, SEGMENT_CHUNKS - 1}
    assert set(BitMap.deserialize(segments[1])) == {SEGMENT_CHUNKS}


def test_runs_of_a_set() -> None:
    assert runs(BitMap()) == []
    assert runs(BitMap([0])) == [(0, 1)]
    assert runs(BitMap([0, 1, 2, 5, 7, 8])) == [(0, 3), (5, 1), (7, 2)]


def test_GENCHK_a_volume_of_a_dissolved_pair_is_plain_again_and_equal_to_no_other() -> None:
    site = Site()
    record = site.marks.record
    record.generation, record.pending_generation, record.served_boot_id = "g", "h", "boot"
    record.consistent, record.blank = False, True
    site.take(site.marks.forget_past())
    durable = site.ledger.volumes["v"]
    for each in (record, durable):
        assert (each.generation, each.pending_generation, each.served_boot_id) == ("", "", "")
        assert (each.consistent, each.blank) == (True, False)


def test_BOOTID_a_volumes_row_is_kept_whole() -> None:
    site = Site()
    site.marks.record.served_boot_id, site.marks.record.generation = "boot", "g"
    site.take([site.marks.put()])
    durable = site.ledger.volumes["v"]
    assert (durable.served_boot_id, durable.generation) == ("boot", "g")
