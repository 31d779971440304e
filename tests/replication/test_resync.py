"""The copying of a resync by itself (rules 13 to 15): what is asked, locked, sent and counted."""

import errno
from collections.abc import Sequence

import pytest
from pyroaring import BitMap
from tests.replication.scene import SECTORS_PER_CHUNK, solo
from tests.replication.test_write_path import Path
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind as Event
from tests.sim.world.world import KIB, A, B

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.digests import digests_of
from bilocate.replication.frames import (
    ALL_ZERO,
    HASH_BATCH_CHUNKS,
    HEADER,
    Frame,
    Kind,
    MalformedFrame,
    PeerVolume,
    Welcome,
)
from bilocate.replication.marks import Marks
from bilocate.replication.pace import Pace
from bilocate.replication.ports import ChunkContent
from bilocate.replication.records import VolumeRecord
from bilocate.replication.requests import Op
from bilocate.replication.resync import LOCKED_CHUNKS, Copier, batches_of, set_of

NOW = 5.0
ZERO_DIGEST = bytes(32)


def content(chunk: int, fill: int) -> ChunkContent:
    """A chunk of one byte's value."""
    return ChunkContent(chunk, bytes([fill]) * 32, bytes([fill]) * CHUNK_BYTES)


class Copy:
    """A resync over a path under the permit, which is linked; reads end when the test says so."""

    def __init__(
        self, chunks: Sequence[BitMap], window_chunks: int = 1000, chunks_per_second: float = 0.0
    ) -> None:
        self.path = Path()
        self.path.path.take_permit()
        self.reads: list[tuple[int, range, int]] = []
        self.path.ports.read_chunks = lambda *read: self.reads.append(read)  # type: ignore[attr-defined]
        self.ends: list[int] = []
        self.failures: list[str] = []
        self.tokens = iter(range(100, 10_000))
        self.copier = Copier(
            self.path.ports,  # type: ignore[arg-type]
            self.path.path,
            self.path.marks,
            lambda: next(self.tokens),
            window_chunks * CHUNK_BYTES,
            Pace(int(chunks_per_second * CHUNK_BYTES)),
            chunks,
            NOW,
            lambda: self.ends.append(1),
            self.failures.append,
        )
        self.copier.go_on(NOW)

    def sent(self, kind: Kind) -> list[tuple[int, int, int]]:
        """Frames of a kind as (volume, offset, length)."""
        return [(frame[2], frame[6], frame[3]) for frame in self.path.ports.sent if frame[0] == kind]

    def hashes(self, volume: int, first: int, count: int, peer: Sequence[ChunkContent] = ()) -> None:
        """The secondary's digests; all zeros without `peer`."""
        payload = digests_of(peer)[1] if peer else b""
        flags = 0 if peer else ALL_ZERO
        self.copier.on_hashes(Frame(Kind.HASHES, flags, volume, count, 0, first, payload))

    def read(self, fill: int) -> None:
        """The first read under way ends: chunks of this byte."""
        _, chunks, token = self.reads.pop(0)
        assert self.copier.on_chunks(token, 0, [content(chunk, fill) for chunk in chunks], NOW)


def test_SET_each_volume_by_its_own_past() -> None:
    marks = [Marks(VolumeRecord(name, 4 * CHUNK_BYTES)) for name in "abcd"]
    for each, generation in zip(marks, ("old", "same", "same", "same"), strict=True):
        each.record.generation = generation
        each.record.dirty.add(0)
    marks[2].record.blank = True
    peers = [PeerVolume("new" if n == 0 else "same", True, n == 3, False) for n in range(4)]
    theirs = [BitMap([2]) for _ in marks]
    found = set_of(marks, Welcome("i", 1, tuple(peers)), theirs)
    everything = {0, 1, 2, 3}
    assert [set(chunks) for chunks in found] == [everything, {0, 2}, everything, everything]


def test_a_resync_copies_what_differs_in_every_volume() -> None:
    scene = solo([320 * KIB, 640 * KIB, 320 * KIB])
    for volume, host in enumerate(scene.hosts):
        scene.until_answered(host.write((volume + 1) * SECTORS_PER_CHUNK))
        scene.until_answered(host.write(4 * SECTORS_PER_CHUNK))
    scene.until_answered(scene.hosts[1].write(9 * SECTORS_PER_CHUNK))
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 9 * SECTORS_PER_CHUNK, 1) == scene.writer(A, 9 * SECTORS_PER_CHUNK, 1) != 0
    for volume in range(3):
        own, other = scene.durable(A, volume), scene.durable(B, volume)
        assert own.generation == other.generation != ""
        assert not own.pending_generation
        assert not own.dirty


def test_ORDER_a_mark_of_the_row_whose_outcome_is_unknown_is_asked_for_again() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    hold = scene.hold(Event.ASK, A, "REQUEST_RESYNC")
    scene.join()
    scene.wait(A, "marking")
    scene.run()
    scene.expire(Event.ASK, A, "REQUEST_RESYNC")
    scene.drop(Event.ASK, A, "REQUEST_RESYNC")
    scene.run(0.02)
    assert scene.state(A) == "marking"
    assert scene.row() == "stale"
    scene.release(hold)
    scene.until_in_step()


def test_PGEN_a_generation_of_a_resync_whose_link_is_gone_ends_no_other() -> None:
    """It becomes durable when the next resync is as far: END carries the next one's, once that is durable."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    ledger = scene.hold(Event.LEDGER, A, "PutVolume")
    scene.join()
    scene.wait(A, "draining")
    scene.run(0.02)
    scene.world.wire.cut()
    scene.wait(A, "tripped")
    scene.wait(A, "draining")
    scene.run(0.02)
    scene.deliver(Event.LEDGER, A, "PutVolume")
    scene.run(0.02)
    assert scene.state(A) == "draining"
    scene.release(ledger)
    scene.until_in_step()


def test_questions_are_as_long_as_a_frame_takes_and_cover_the_set_once() -> None:
    long = HASH_BATCH_CHUNKS + 3
    assert batches_of([BitMap(range(5, 5 + long)), BitMap([1, 2, 9])]) == [
        (0, 5, HASH_BATCH_CHUNKS),
        (0, 5 + HASH_BATCH_CHUNKS, 3),
        (1, 1, 2),
        (1, 9, 1),
    ]


def test_the_window_counts_what_is_asked_and_what_is_copied_and_not_confirmed() -> None:
    """Rule 27: what a slow secondary has not applied bounds what is read and sent."""
    copy = Copy([BitMap([0, 2, 4]), BitMap([1, 3, 5])], window_chunks=2)
    assert copy.sent(Kind.ASK) == [(0, 0, 1), (0, 2, 1)]
    copy.hashes(0, 0, 1)
    copy.hashes(0, 2, 1)
    copy.read(1)
    copy.read(2)
    assert copy.sent(Kind.COPY) == [(0, 0, CHUNK_BYTES), (0, 2 * CHUNK_BYTES, CHUNK_BYTES)]
    assert len(copy.sent(Kind.ASK)) == 2
    copy.copier.confirmed(1, NOW)
    assert copy.sent(Kind.ASK)[2:] == [(0, 4, 1)]
    copy.copier.confirmed(2, NOW)
    assert copy.sent(Kind.ASK)[3:] == [(1, 1, 1)]
    copy.hashes(0, 4, 1)
    copy.hashes(1, 1, 1, [content(1, 7)])
    copy.read(3)
    assert len(copy.sent(Kind.ASK)) == 4
    copy.read(7)  # equal: nothing to copy, and room at once
    assert copy.sent(Kind.ASK)[4:] == [(1, 3, 1)]
    copy.copier.confirmed(3, NOW)
    copy.hashes(1, 3, 1)
    copy.hashes(1, 5, 1)
    copy.read(4)
    assert not copy.ends
    copy.read(5)
    assert len(copy.ends) == 1
    assert copy.sent(Kind.COPY)[2:] == [
        (volume, chunk * CHUNK_BYTES, CHUNK_BYTES) for volume, chunk in ((0, 4), (1, 3), (1, 5))
    ]
    copy.copier.confirmed(5, NOW)
    assert len(copy.ends) == 1


def test_progress_tells_bytes_of_the_set_of_what_is_compared_what_differs_and_the_link() -> None:
    copy = Copy([BitMap([0, 2]), BitMap([1])])
    copy.hashes(0, 0, 1)
    copy.hashes(0, 2, 1, [content(2, 9)])
    copy.hashes(1, 1, 1, [content(1, 9)])
    for fill in (1, 2, 9):
        copy.read(fill)
    progress = copy.copier.progress
    assert progress.total_bytes == progress.done_bytes == 3 * CHUNK_BYTES
    assert progress.differing_bytes == 2 * CHUNK_BYTES
    frames = 3 + 2  # questions and copies
    assert progress.link_bytes == frames * HEADER.size + 2 * 32 + 2 * CHUNK_BYTES
    assert progress.started == 5.0


def test_it_is_done_only_when_the_last_answer_and_the_last_read_are_here() -> None:
    copy = Copy([BitMap([0, 2])])
    copy.hashes(0, 0, 1)
    copy.read(1)
    copy.copier.confirmed(1, NOW)
    copy.copier.go_on(NOW)
    assert not copy.ends  # the second question is open
    copy.hashes(0, 2, 1)
    copy.copier.go_on(NOW)
    assert not copy.ends  # its chunk is being read
    copy.read(1)
    assert len(copy.ends) == 1


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Kind.HASHES, ALL_ZERO, 0, 2, 0, 1),
        Frame(Kind.HASHES, ALL_ZERO, 1, 2, 0, 0),
        Frame(Kind.HASHES, ALL_ZERO, 0, 1, 0, 0),
        Frame(Kind.HASHES, 0, 0, 1, 0, 0, bytes(32)),
        Frame(Kind.HASHES, 0, 0, 2, 0, 0, bytes(63)),
        Frame(Kind.HASHES, 0, 0, 2, 0, 0),
    ],
)
def test_rule_27_hashes_that_answer_no_question_are_malformed(frame: Frame) -> None:
    copy = Copy([BitMap([0, 1]), BitMap()])
    with pytest.raises(MalformedFrame, match="nobody asked for"):
        copy.copier.on_hashes(frame)
    assert not copy.reads


def test_hashes_are_taken_once() -> None:
    copy = Copy([BitMap([0]), BitMap()])
    copy.hashes(0, 0, 1)
    with pytest.raises(MalformedFrame):
        copy.hashes(0, 0, 1)


def test_LOCKCOPY_a_write_into_a_chunk_waits_until_it_was_read_and_sent() -> None:
    copy = Copy([BitMap([0])])
    copy.hashes(0, 0, 1)
    read = copy.path.ask(Op.READ, 0)
    copy.path.ask(Op.WRITE, 0)
    assert read in copy.path.answered  # reads go on
    assert not copy.sent(Kind.WRITE)
    copy.read(1)
    assert [frame[0] for frame in copy.path.ports.sent][-2:] == [Kind.COPY, Kind.WRITE]


@pytest.mark.parametrize("error", [0, 5])
def test_LOCKCOPY_the_locks_are_freed_when_the_resync_ends_badly(error: int) -> None:
    """The link is lost, or a chunk can't be read here: no write waits for ever."""
    copy = Copy([BitMap(range(LOCKED_CHUNKS + 1))])
    copy.hashes(0, 0, LOCKED_CHUNKS + 1)
    copy.path.ask(Op.WRITE, LOCKED_CHUNKS * CHUNK_BYTES)
    assert len(copy.reads) == 2
    _, _, token = copy.reads.pop()
    if error:
        assert copy.copier.on_chunks(token, error, [], NOW)
        where = f"{CHUNK_BYTES} bytes at {LOCKED_CHUNKS * CHUNK_BYTES} of volume 0"
        assert copy.failures == [f"{where} can't be read here: errno {error}"]
    else:
        copy.copier.abandon()
        assert not copy.copier.on_chunks(token, 0, [], NOW)
    assert len(copy.sent(Kind.WRITE)) == 1
    assert not copy.ends


def test_a_secondary_is_asked_anew_when_a_chunk_can_not_be_read_here() -> None:
    """A resync that failed is tried again; the host is served meanwhile."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    disk = scene.world.disk(0, A)
    disk.failures.append(Failure("read", errno.EIO, 0, 512))
    scene.join()
    scene.run(1.0)
    assert not scene.world.in_step()
    scene.until_answered(scene.host.write(9))
    disk.failures.clear()
    scene.until_in_step()


def test_a_bound_on_speed_asks_a_piece_at_a_time() -> None:
    copy = Copy([BitMap(range(100))], chunks_per_second=320)
    assert copy.sent(Kind.ASK) == [(0, 0, 32)], "a tenth of a second of it"
    assert copy.copier.due == pytest.approx(NOW + 0.1)
    copy.copier.go_on(NOW + 0.09)
    assert len(copy.sent(Kind.ASK)) == 1
    for later in (0.1, 0.2, 0.3):
        copy.copier.go_on(NOW + later + 1e-9)
    assert copy.sent(Kind.ASK)[1:] == [(0, 32, 32), (0, 64, 32), (0, 96, 4)]
    assert copy.copier.due < 0, "nothing is left to ask"


def test_a_bound_on_speed_and_a_full_window() -> None:
    """Whoever waits for the window is called by what makes room, not by the clock."""
    copy = Copy([BitMap(range(100))], window_chunks=32, chunks_per_second=320)
    assert copy.copier.due < 0
    copy.copier.go_on(NOW + 1)
    assert len(copy.sent(Kind.ASK)) == 1


def test_a_bound_on_speed_does_not_hold_up_what_is_empty_at_both_sites() -> None:
    copy = Copy([BitMap(range(100))], chunks_per_second=320)
    copy.hashes(0, 0, 32)
    for _, chunks, token in (copy.reads.pop(0), copy.reads.pop(0)):
        zeros = [ChunkContent(chunk, ZERO_DIGEST, None) for chunk in chunks]
        assert copy.copier.on_chunks(token, 0, zeros, NOW)
    assert copy.sent(Kind.ASK)[1:] == [(0, 32, 32)]
    copy.hashes(0, 32, 32)
    copy.read(1)
    assert len(copy.sent(Kind.COPY)) == LOCKED_CHUNKS
    assert len(copy.sent(Kind.ASK)) == 2
    assert copy.copier.due == pytest.approx(NOW + 0.1), "what had to be copied was not spared"


def test_a_bound_on_speed_counts_what_is_compared_and_equal() -> None:
    copy = Copy([BitMap(range(LOCKED_CHUNKS))], chunks_per_second=LOCKED_CHUNKS * 4)
    peer = [content(chunk, 1) for chunk in range(LOCKED_CHUNKS)]
    for first in range(0, LOCKED_CHUNKS, 6):
        count = min(6, LOCKED_CHUNKS - first)
        copy.copier.go_on(NOW + first)
        copy.hashes(0, first, count, peer[first : first + count])
        before = copy.copier.due
        copy.read(1)
        assert copy.copier.due == before
    assert not copy.sent(Kind.COPY)
