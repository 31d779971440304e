"""The primary's write path by itself: what it sends, what it counts, what it gives up."""

import errno
from collections.abc import Sequence
from itertools import count

import pytest
from tests.replication.scene import Scene, in_step
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import A, B

from bilocate.domain.geometry import CHUNK_BYTES, EXTENT_BYTES
from bilocate.replication.frames import HEADER, KEEP_ALLOCATED
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.marks import Marks
from bilocate.replication.records import VolumeRecord
from bilocate.replication.requests import Op, Request
from bilocate.replication.write_path import WritePath


class Ports:
    """A disk that answers at once or, while it is `slow`, when the test says so; frames that only pile up."""

    def __init__(self) -> None:
        self.slow = False
        self.error = 0  # of what it answers at once
        self.at_disk: list[Request] = []
        self.sent: list[tuple[int, ...]] = []
        self.payloads: list[bytes] = []
        self.patient: list[bool] = []  # of each commit

    def write(self, request: Request) -> int | None:
        self.at_disk.append(request)
        return None if self.slow else self.error

    read = write

    def send(self, header: bytes, payload: bytes = b"") -> None:
        self.sent.append(HEADER.unpack(header))
        self.payloads.append(bytes(payload))

    def send_all(self, frames: Sequence[bytes]) -> None:
        for header, payload in zip(frames[::2], frames[1::2], strict=True):
            self.send(header, payload)

    def commit(self, changes: object, token: int, patient: bool = False) -> None:
        """Durable when the test says so."""
        self.patient.append(patient)


class Path:
    """The path of a session of two volumes: open, linked, the first extents' intents durable."""

    def __init__(self, linked: bool = True, opened: bool = True) -> None:
        self.ports = Ports()
        self.marks = [Marks(VolumeRecord(name, 4 * EXTENT_BYTES)) for name in "vw"]
        for marks in self.marks:
            marks.record.intents.add(0)
        self.flushes: list[Request] = []
        self.failed: list[Request] = []
        tokens = count(1)
        self.path = WritePath(
            self.ports,  # type: ignore[arg-type]
            self.marks,
            lambda: next(tokens),
            self.flushes.append,
            self.failed.append,
        )
        if opened:
            self.path.open = True
        if linked:
            self.path.link()
        self.answers: list[tuple[Request, int]] = []

    def ask(self, op: Op, offset: int, length: int = SECTOR, volume: int = 0, keep: bool = False) -> Request:
        """A host's request, submitted."""
        data = b"x" * length if op is Op.WRITE else b""
        request = Request(op, offset, length, self.note, data, keep_allocated=keep)
        request.volume = volume
        self.path.submit(request)
        return request

    def note(self, request: Request, error: int) -> None:
        """The host is answered."""
        self.answers.append((request, error))

    @property
    def answered(self) -> list[Request]:
        """In order."""
        return [request for request, _ in self.answers]


def test_frames_of_writes_and_zeroings_say_where_and_which() -> None:
    path = Path()
    path.ask(Op.WRITE, 3 * SECTOR, 2 * SECTOR, volume=1)
    path.ask(Op.ZERO, CHUNK_BYTES, 4 * SECTOR, volume=1)
    path.ask(Op.ZERO, 9 * CHUNK_BYTES, SECTOR, keep=True)
    assert path.ports.sent == [
        (FrameKind.WRITE, 0, 1, 2 * SECTOR, 2 * SECTOR, 1, 3 * SECTOR),
        (FrameKind.ZERO, 0, 1, 4 * SECTOR, 0, 2, CHUNK_BYTES),
        (FrameKind.ZERO, KEEP_ALLOCATED, 0, SECTOR, 0, 3, 9 * CHUNK_BYTES),
    ]
    assert path.ports.payloads == [b"x" * 2 * SECTOR, b"", b""]


def test_what_is_zeroed_reads_as_zeros_at_both_sites_and_nothing_beside_it() -> None:
    scene = in_step()
    before = scene.until_answered(scene.host.write(8, 8))
    scene.until_answered(scene.host.zero(10, 4))
    for site in (A, B):
        found = [scene.writer(site, sector) for sector in range(8, 16)]
        assert found == [before.number] * 2 + [0] * 4 + [before.number] * 2


def _break_reads(scene: Scene) -> None:
    scene.world.disk(0, A).failures.append(Failure("read", errno.EIO, 0, 2 * SECTOR))


def test_a_read_that_fails_at_once_is_told() -> None:
    scene = in_step()
    _break_reads(scene)
    read = scene.host.read(0)
    scene.run()
    assert read.errno == errno.EIO


def test_a_read_that_fails_late_is_told() -> None:
    scene = in_step()
    _break_reads(scene)
    with scene.holding(Kind.DISK, A, "READ"):
        read = scene.host.read(0)
        scene.run()
    scene.run()
    assert read.errno == errno.EIO


@pytest.mark.parametrize("late", [False, True])
def test_READWAIT_a_read_that_waited_and_fails_is_told(late: bool) -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(1))
    _break_reads(scene)
    disk = scene.hold(Kind.DISK, A, "READ" if late else "nothing")
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        scene.host.write(0)
        read = scene.host.read(0)
        scene.run(0.02)
    scene.release(disk)
    scene.run()
    assert read.errno == errno.EIO


def test_it_is_idle_when_the_disks_have_answered_everything() -> None:
    """What is given up must not be carried out anew while a disk still has it (P2)."""
    path = Path()
    path.ask(Op.WRITE, 0)
    waiting = [path.ask(Op.READ, 0) for _ in range(2)]
    path.ports.slow = True
    path.ask(Op.READ, 8 * SECTOR)
    path.ask(Op.READ, 9 * SECTOR)
    path.path.write_begun()
    path.path.local_done(path.ports.at_disk[-1], 0)
    path.path.confirmed(1)
    path.ask(Op.WRITE, 20 * SECTOR)
    path.ask(Op.WRITE, 21 * SECTOR)
    path.path.write_begun()
    path.path.confirmed(3)
    at_disk = [request for request in path.ports.at_disk if request.op is Op.READ or request.seq > 1]
    assert set(waiting) <= set(at_disk)
    for left in range(len(at_disk), 0, -1):
        assert path.path.local_pending == left
        assert not path.path.idle
        path.path.local_done(at_disk[left - 1], 0)
    assert path.path.local_pending == 0
    assert path.path.idle
    assert len(path.answers) == 7


@pytest.mark.parametrize(
    ("offset", "length", "chunks"),
    [
        (0, SECTOR, {0}),
        (CHUNK_BYTES - SECTOR, SECTOR, {0}),
        (CHUNK_BYTES, SECTOR, {1}),
        (CHUNK_BYTES - SECTOR, 2 * SECTOR, {0, 1}),
        (CHUNK_BYTES, 2 * CHUNK_BYTES, {1, 2}),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 2, {0, 1, 2}),
    ],
)
@pytest.mark.parametrize("op", [Op.WRITE, Op.ZERO])
def test_SOLO_exactly_the_chunks_of_a_write_are_dirty(
    op: Op, offset: int, length: int, chunks: set[int]
) -> None:
    path = Path()
    path.path.unlink()
    path.path.take_permit()
    path.ask(op, offset, length)
    assert set(path.marks[0].record.dirty) == chunks
    assert not path.marks[1].record.dirty


def test_rule_2_the_gate_is_shut_until_its_owner_opens_it() -> None:
    path = Path(linked=False, opened=False)
    asked = [path.ask(Op.READ, 0), path.ask(Op.WRITE, 0), path.ask(Op.FLUSH, 0, 0)]
    path.path.write_begun()
    assert list(path.path.held) == asked
    assert [*path.ports.at_disk, *path.flushes, *path.answered] == []


def test_STICKY_a_write_that_the_disk_fails_late_is_not_answered_as_written() -> None:
    path = Path()
    path.ports.slow = True
    write = path.ask(Op.WRITE, 0)
    path.path.write_begun()
    path.path.confirmed(1)
    path.path.local_done(write, errno.EIO)
    assert path.failed == [write]
    assert not path.answers
    path.path.answer_failed(write)
    assert path.answers == [(write, errno.EIO)]


def test_rule_27_a_link_that_is_gone_is_sent_nothing_and_counts_nothing() -> None:
    """Else a site that is solo would be busy for ever once so many bytes are written."""
    path = Path()
    path.path.shut()
    path.path.open = True
    path.path.permit_given()
    path.ask(Op.WRITE, 0)
    path.path.write_begun()
    assert len(path.answers) == 1
    assert not path.ports.sent
    assert path.path.link_bytes == 0


def test_RESUME_what_is_written_from_then_on_goes_on_the_link() -> None:
    path = Path()
    path.path.shut()
    path.path.send_again()
    path.path.open = True
    write = path.ask(Op.WRITE, 0)
    path.path.write_begun()
    assert len(path.ports.sent) == 1
    path.path.confirmed(1)
    assert path.answered == [write]


def test_RESUME_counts_again_what_is_on_the_link() -> None:
    """Bytes on the link are bounded (rule 27), and all that is under way is on it (ENDSENT)."""
    path = Path()
    path.ask(Op.WRITE, 0, 2 * SECTOR)
    path.ask(Op.WRITE, CHUNK_BYTES, 3 * SECTOR)
    path.path.write_begun()
    before = list(path.ports.sent)
    path.path.shut()
    assert path.path.link_bytes == 0
    path.path.send_again()
    assert path.path.link_bytes == 5 * SECTOR
    assert path.ports.sent == before * 2
    assert path.path.all_on_link()
    assert path.path.confirmed_seq == 0
    path.path.confirmed(2)
    assert path.path.link_bytes == 0
    assert [request.seq for request in path.answered] == [1, 2]


def test_what_is_given_up_comes_back_in_the_order_in_which_it_came() -> None:
    """Some were begun, some wait for others or for an intent, some were held; the resync's lock is nobody's."""
    path = Path()
    first = path.ask(Op.WRITE, 5 * CHUNK_BYTES, 2 * CHUNK_BYTES)
    behind = path.ask(Op.WRITE, 6 * CHUNK_BYTES)
    other = path.ask(Op.WRITE, 0, volume=1)
    without_intent = path.ask(Op.WRITE, EXTENT_BYTES)
    lock = Request(Op.READ, 0, CHUNK_BYTES, lambda request, error: None)
    path.path.lock(lock, lambda: None)
    path.path.shut()
    held = [path.ask(Op.READ, 0), path.ask(Op.WRITE, 2 * CHUNK_BYTES), path.ask(Op.FLUSH, 0, 0)]
    path.path.forget_begun()
    assert path.path.abandon() == [first, behind, other, without_intent, *held]
    assert not path.answers
    assert path.path.idle
    assert path.path.bytes == path.path.link_bytes == 0


def test_a_disk_that_answers_what_was_given_up_answers_no_host() -> None:
    path = Path()
    path.ports.slow = True
    path.ask(Op.READ, 0)
    path.ask(Op.WRITE, 4 * SECTOR)
    path.ask(Op.WRITE, 8 * SECTOR)
    path.path.write_begun()
    path.path.confirmed(2)
    path.path.abandon()
    assert (path.path.open, path.path.permit) == (False, False)
    for request in path.ports.at_disk:
        path.path.local_done(request, errno.EIO if request.offset == 8 * SECTOR else 0)
    assert not path.answers
    assert not path.failed
    assert path.path.local_pending == 0


def test_without_a_link_nothing_is_sent_and_nothing_is_answered() -> None:
    path = Path(linked=False)
    path.ask(Op.WRITE, 0)
    path.path.write_begun()
    assert not path.ports.sent
    assert not path.answers
    assert path.path.link_bytes == 0
    path.path.link()
    assert not path.path.all_on_link()  # ENDSENT: it is older than the link
    path.path.permit_given()
    assert path.path.all_on_link()
    assert len(path.answered) == 1


def test_ENDSENT_a_write_is_on_the_link_that_is_there_when_it_begins() -> None:
    path = Path(linked=False)
    path.path.link()
    assert path.path.confirmed_seq == 0
    path.ask(Op.WRITE, 0)
    assert path.path.all_on_link()


def test_rule_27_what_is_answered_and_what_is_confirmed_counts_no_more() -> None:
    path = Path()
    asked = [path.ask(Op.WRITE, place * CHUNK_BYTES, (place + 1) * SECTOR) for place in range(3)]
    path.path.write_begun()
    assert path.path.bytes == path.path.link_bytes == 6 * SECTOR
    path.path.confirmed(1)
    assert path.path.bytes == path.path.link_bytes == 5 * SECTOR
    path.path.confirmed(3)
    assert path.path.bytes == path.path.link_bytes == 0
    assert path.answered == asked


def test_a_batch_of_requests_is_taken_in_its_order() -> None:
    path = Path()
    batch = [Request(Op.WRITE, place * SECTOR, SECTOR, path.note, b"x" * SECTOR) for place in range(3)]
    path.path.submit_all(batch)
    path.path.write_begun()
    assert path.ports.at_disk == batch
    path.path.confirmed(3)
    assert path.answered == batch


def test_LOCKCOPY_a_lock_that_is_given_up_while_it_waits_lets_those_behind_it_begin() -> None:
    """The link is lost meanwhile: nothing is read for it, and no write hangs behind it."""
    path = Path()
    path.ask(Op.WRITE, 0)
    begun: list[str] = []
    locks = [Request(Op.READ, 0, CHUNK_BYTES, lambda request, error: None) for _ in range(2)]
    for lock in locks:
        path.path.lock(lock, lambda: begun.append("read"))
    path.ask(Op.WRITE, 0)
    for lock in locks:
        path.path.unlock(lock)
    path.path.write_begun()
    path.path.confirmed(1)
    path.path.write_begun()
    assert not begun
    assert len(path.ports.at_disk) == 2
    path.path.confirmed(2)
    assert len(path.answered) == 2
    assert path.path.idle
    # What comes later may stand where a lock that is no more stood in memory: it is a host's like any other.
    later = locks[0]
    path.ask(Op.WRITE, 0)
    later.done = path.note
    path.path.submit(later)
    path.path.write_begun()
    path.path.confirmed(3)
    assert path.answered[-1] is later


def test_TRIP_what_is_held_stays_held_in_order_when_the_gate_shuts_again_meanwhile() -> None:
    """The first that goes on fails, and the gate shuts."""
    path = Path()
    path.path.shut()
    first = Request(Op.READ, 0, SECTOR, lambda request, error: path.path.shut())
    path.path.submit(first)
    others = [path.ask(Op.READ, place * SECTOR) for place in (1, 2)]
    path.path.open = True
    path.path.admit_held()
    late = path.ask(Op.READ, 3 * SECTOR)
    assert path.ports.at_disk == [first]
    path.path.open = True
    path.path.admit_held()
    assert path.answered == [*others, late]


def test_a_batch_of_requests_goes_in_the_order_in_which_it_came() -> None:
    path = Path()
    sent_before_flush: list[int] = []
    path.path._on_flush = lambda request: sent_before_flush.append(len(path.ports.sent))
    ops = [Op.WRITE, Op.ZERO, Op.FLUSH, Op.WRITE, Op.WRITE]
    places = [0, 1, 0, 0, 2]  # the fourth waits for the first
    requests = [
        Request(op, place * SECTOR, 0 if op is Op.FLUSH else SECTOR, path.note, b"x" * SECTOR)
        for op, place in zip(ops, places, strict=True)
    ]
    path.path.submit_all(requests)
    assert sent_before_flush == [2]
    assert [request.seq for request in requests] == [1, 2, 0, 0, 3]
    assert path.path.bytes == 4 * SECTOR
    path.path.write_begun()
    path.path.confirmed(3)
    path.path.write_begun()
    path.path.confirmed(4)
    assert [request for request, _ in path.answers] == [requests[0], requests[1], requests[4], requests[3]]
    assert path.path.bytes == path.path.link_bytes == 0
