"""Between a write's frame and the own disk: the frame is on the link, the disk gets it at the end of the batch."""

import errno

import pytest
from tests.replication.scene import Scene, in_step
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.history import NEVER, HostOp, content_of
from tests.sim.world.scheduler import Kind
from tests.sim.world.site_ports import SitePorts
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.frames import Arrival, Frame, encode_json
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.requests import Op, Request, to_nobody

PLACE = 60  # the sector that is written; its extent has an intent already


class Begun:
    """A host's write whose frame is on the link, and that the own disk has not got: the batch has not ended."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        scene.until_answered(scene.host.write(50))
        self.ports: SitePorts = scene.a.sessions[SESSION]
        half = self.ports.session.half
        assert isinstance(half, PrimaryHalf)
        self.half = half
        self._batch = scene.hold(Kind.TIMER, A, "batch")
        scene.world.delays.batch_seconds = 1e-9
        self.op = scene.host.write(PLACE)
        scene.world.delays.batch_seconds = 0.0
        assert not self.written
        assert not half.path.idle

    @property
    def written(self) -> bool:
        """Whether the own disk has it."""
        return self.scene.writer(A, PLACE) == self.op.number

    def arrive(self) -> None:
        """The secondary has it."""
        scene = self.scene
        assert scene.world.run_until(lambda: scene.writer(B, PLACE) == self.op.number, 0.1)

    def end_batch(self) -> None:
        """As after every event."""
        self.scene.release(self._batch)


def _issued(scene: Scene) -> HostOp:
    return scene.world.history.issue(Op.WRITE, 0, A, PLACE, 1)


def test_rule_1_it_is_answered_once_the_own_disk_has_it_too() -> None:
    begun = Begun(in_step())
    begun.arrive()
    begun.scene.run()
    assert not begun.op.ok
    begun.end_batch()
    begun.scene.run(0.001)
    assert begun.written
    assert begun.op.ok


@pytest.mark.parametrize("keep_hosts", [False, True])
def test_rule_1_a_half_that_is_retired_never_writes_it(keep_hosts: bool) -> None:
    """Superseded, or followed by another half that is given it: nobody waits for this half's disk."""
    begun = Begun(in_step())
    begun.half.retire("another half begins", keep_hosts)
    assert begun.half.disks_idle
    begun.half.end_of_batch(begun.scene.world.scheduler.now)
    assert not begun.written
    assert not begun.op.ok
    assert len(begun.half.give_up()) == keep_hosts


def test_rule_18_a_primary_that_dies_before_it_is_written_pulls_it() -> None:
    """The secondary has it, the primary has not: its extent's intent was durable before the frame was sent."""
    begun = Begun(in_step())
    scene = begun.scene
    begun.arrive()
    scene.a.kill()
    assert not begun.written
    scene.a.start()
    scene.until_in_step()
    assert begun.written


def test_rule_24_a_primary_that_dies_before_it_is_written_gets_it_when_it_is_the_secondary() -> None:
    begun = Begun(in_step())
    scene = begun.scene
    begun.arrive()
    scene.a.kill()
    failover = scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    assert failover.done
    scene.connect(B)
    assert scene.until_answered(scene.host.read(PLACE)).found == [begun.op.number]
    scene.a.start()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert begun.written


def test_rule_18_a_primary_that_dies_and_goes_solo_takes_it_back_at_the_secondary() -> None:
    """Nobody was answered; the evidence is the intent, so the resync finds that the two sites differ (P5)."""
    begun = Begun(in_step())
    scene = begun.scene
    begun.arrive()
    scene.a.kill()
    scene.part()
    scene.a.start()
    scene.wait(A, "solo")
    assert not begun.written
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, PLACE) == scene.writer(A, PLACE) == 0


@pytest.mark.parametrize("arrives", [False, True])
def test_RESUME_sends_it_again_and_it_is_answered_once(arrives: bool) -> None:
    begun = Begun(in_step())
    scene = begun.scene
    if arrives:
        begun.arrive()
    scene.world.wire.cut()
    begun.end_batch()
    scene.run(0.001)
    assert begun.written
    assert not begun.op.ok
    scene.until_answered(begun.op)
    scene.until_in_step()
    assert scene.writer(B, PLACE) == begun.op.number


def test_SOLO_it_is_dirty_when_the_permit_comes_before_the_own_disk_has_it() -> None:
    begun = Begun(in_step())
    scene = begun.scene
    scene.part()
    scene.wait(A, "solo")
    assert not begun.written
    assert not begun.op.ok
    assert 0 in begun.half.marks[0].record.dirty
    begun.end_batch()
    scene.until_answered(begun.op)
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, PLACE) == begun.op.number


def test_STICKY_it_fails_here_though_the_secondary_has_it() -> None:
    begun = Begun(in_step())
    scene = begun.scene
    begun.arrive()
    _break_place(scene, A)
    with scene.holding(Kind.LEDGER, A):
        begun.end_batch()
        scene.run(0.02)
        assert begun.op.answered == NEVER
    scene.run(0.02)
    assert begun.op.errno == errno.EIO
    assert scene.durable(A).failed == {0}


def test_DROPRACE_a_flush_that_begins_before_it_is_written_keeps_its_intent() -> None:
    begun = Begun(in_step())
    begun.half.flushes.drop_idle()
    begun.end_batch()
    begun.scene.until_answered(begun.op)
    begun.scene.run(0.1)
    assert begun.scene.durable(A).intents == {0}


def test_READWAIT_a_read_of_it_waits() -> None:
    begun = Begun(in_step())
    read = begun.scene.host.read(PLACE)
    begun.scene.run(0.02)
    assert not read.ok
    begun.end_batch()
    assert begun.scene.until_answered(read).found == [begun.op.number]


def test_LOCKCOPY_the_resync_reads_its_chunk_behind_it() -> None:
    """Begun while solo, without a link: the resync must not read what the disk had before it."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    scene.part()
    scene.wait(A, "solo")
    begun = Begun(scene)
    scene.join()
    scene.wait(A, "copying")
    scene.run(0.1)
    assert scene.state(A) == "copying"
    begun.end_batch()
    scene.until_in_step()
    assert scene.writer(B, PLACE) == begun.op.number


def test_SECINT_what_waits_for_its_intent_stays_as_it_came() -> None:
    """The payload is a view of the receive buffer, and the next frames come into that."""
    scene = in_step()
    ports = scene.b.sessions[SESSION]
    assert ports.link is not None
    op = _issued(scene)
    buffer = bytearray(content_of(op))
    with scene.holding(Kind.LEDGER, B, "AddIntents"):
        ports.session.on_frames(
            ports.link.number, [_write(1000, memoryview(buffer))], scene.world.scheduler.now
        )
        ports.after()
        scene.run(0.02)
        buffer[:] = bytes(len(buffer))
    scene.run(0.02)
    assert scene.writer(B, PLACE) == op.number


def _break_place(scene: Scene, site: str) -> None:
    scene.world.disk(0, site).failures.append(
        Failure("write", errno.EIO, PLACE * SECTOR, (PLACE + 1) * SECTOR)
    )


def _write(seq: int, data: bytes | memoryview) -> Request:
    request = Request(Op.WRITE, PLACE * SECTOR, SECTOR, to_nobody, data)
    request.seq = seq
    return request


def _farewell() -> Frame:
    return Frame(FrameKind.BYE, payload=encode_json(FrameKind.BYE, {"reason": "test"})[1])


def test_DISCARD_what_follows_in_a_batch_on_a_link_that_was_let_go_counts_for_nothing() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    ports = scene.b.sessions[SESSION]
    assert ports.link is not None
    op = _issued(scene)
    frames: list[Arrival] = [_farewell(), _write(1000, content_of(op))]
    ports.session.on_frames(ports.link.number, frames, scene.world.scheduler.now)
    ports.after()
    assert scene.writer(B, PLACE) != op.number


def test_CONFLINK_a_confirmation_behind_the_end_of_the_link_in_one_batch_never_counts() -> None:
    begun = Begun(in_step())
    assert begun.ports.link is not None
    frames = [_farewell(), Frame(FrameKind.CONFIRM, seq=begun.half.path.seq)]
    begun.ports.session.on_frames(begun.ports.link.number, frames, begun.scene.world.scheduler.now)
    begun.end_batch()
    begun.scene.run(0.001)
    assert begun.written
    assert not begun.op.ok


def test_STICKY_what_follows_in_a_batch_on_a_write_that_fails_is_not_applied() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    ports = scene.b.sessions[SESSION]
    assert ports.link is not None
    first, second = _issued(scene), _issued(scene)
    _break_place(scene, B)
    frames = [_write(1000, content_of(first)), _write(1001, content_of(second))]
    ports.session.on_frames(ports.link.number, frames, scene.world.scheduler.now)
    scene.world.disk(0, B).failures.clear()
    ports.after()
    assert scene.writer(B, PLACE) not in (first.number, second.number)
