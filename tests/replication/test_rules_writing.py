"""Rules 1 to 3 and 6 to 8 of docs/safety.md: writing. A is the primary, B the secondary, both in step at first."""

import errno
from dataclasses import replace

import pytest
from tests.replication.scene import in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.history import content_of
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.replication.frames import Frame
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.requests import Op

EXTENTS = [4 * 4096 * KIB]  # a volume of four extents


# --- 1 WHO MAY ANSWER ---


def test_rule_1_a_write_is_not_answered_before_the_secondary_has_confirmed_it() -> None:
    scene = in_step()
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        write = scene.host.write(0)
        scene.run()
        assert scene.writer(A, 0) == scene.writer(B, 0) == write.number
        assert not write.ok
    scene.until_answered(write)


def test_rule_1_a_write_is_not_answered_before_it_is_written_here() -> None:
    scene = in_step()
    with scene.holding(Kind.DISK, A, "WRITE"):
        write = scene.host.write(0)
        scene.run()
        assert scene.writer(B, 0) == write.number
        assert not write.ok
    scene.until_answered(write)


def test_rule_1_without_a_link_and_without_a_permit_nothing_is_answered() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        scene.part()
        write, read, flush = scene.host.write(0), scene.host.read(9), scene.host.flush()
        scene.run(1.0)
        assert not any(op.ok for op in (write, read, flush))
    for op in (write, read, flush):
        scene.until_answered(op)


def test_rule_1_a_confirmation_covers_only_what_is_applied() -> None:
    """B's disk is slow with the first of two writes: a confirmation of the second must not cover it."""
    scene = in_step()
    hold = scene.hold(Kind.DISK, B, "WRITE")
    first, second = scene.host.write(0), scene.host.write(100)
    scene.run()
    one, other = scene.parked(Kind.DISK, B, "WRITE")
    scene.world.scheduler.deliver(other)
    scene.run()
    assert not first.ok
    assert not second.ok
    third = scene.host.write(200)
    scene.run()
    scene.world.scheduler.deliver(one)
    scene.run()
    assert first.ok
    assert second.ok
    assert not third.ok
    scene.release(hold)
    scene.until_answered(third)


# --- 2 WHO MAY SERVE ---


def test_rule_2_a_secondarys_volumes_are_not_exported() -> None:
    assert not in_step().connects(B)


def test_rule_2_while_tripped_a_read_that_the_disk_answers_late_is_held() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        disk = scene.hold(Kind.DISK, A, "READ")
        read = scene.host.read(0)
        scene.run()
        scene.part()
        scene.release(disk)
        scene.run(0.2)
        assert not read.ok
    scene.until_answered(read)


def test_READWAIT_a_read_of_a_write_in_flight_waits_for_its_answer() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        write = scene.host.write(1, 2)
        read = scene.host.read(0, 3)
        other = scene.host.read(50)
        scene.run()
        assert not read.ok
        assert other.ok  # it touches nothing under way
    scene.until_answered(read)
    assert read.found[1:] == [write.number] * 2
    assert write.answered < read.answered


def test_READWAIT_while_tripped_the_read_is_held_with_its_write() -> None:
    """The write's confirmation never came: the read must not show what only this site has."""
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        frames = scene.hold(Kind.FRAME, B, "WRITE")
        write = scene.host.write(0)
        read = scene.host.read(0)
        scene.part()
        scene.release(frames)
        scene.run(0.5)
        assert not write.ok
        assert not read.ok
    scene.until_answered(read)
    assert read.found == [write.number]


# --- 3 EPOCH ---


def test_EPOCH_a_promotion_begins_only_when_its_epoch_is_durable() -> None:
    scene = in_step()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "holding")
    with scene.holding(Kind.LEDGER, B, "PutVolume"):
        scene.run(0.3)
        assert scene.parked(Kind.LEDGER, B, "PutVolume")
        assert scene.told(B)["role"] == "secondary"
        assert not scene.connects(B)
        assert scene.world.arbiter.rows[SESSION].primary == B
        scene.b.kill()
    scene.b.start()
    assert scene.told(B)["role"] == "secondary"
    scene.wait(B, "solo")


def test_EPOCH_a_demotion_begins_only_when_its_epoch_is_durable() -> None:
    scene = in_step()
    with scene.holding(Kind.LEDGER, A, "PutVolume"):
        scene.world.controller.reverse(SESSION)
        scene.run(0.3)
        assert scene.parked(Kind.LEDGER, A, "PutVolume")
        assert scene.told(A)["role"] == "primary"


def test_EPOCH_a_hello_of_another_epoch_is_refused() -> None:
    """B was put into a new epoch as secondary, A does not know of it: not one write may be confirmed."""
    scene = in_step()
    scene.world.controller.reconciling = False
    wanted = scene.world.controller.wanted(SESSION, B)
    scene.b.put_session(SESSION, replace(wanted, epoch=wanted.epoch + 1), lambda error: None)
    scene.run(0.02)
    write = scene.host.write(0)
    scene.run(0.2)
    assert "epoch" in str(scene.told(A)["refusal"])
    assert scene.writer(B, 0) == 0
    assert scene.state(B) == "alone"
    assert write is not None


def test_EPOCH_a_hello_of_other_members_is_refused() -> None:
    """Of one epoch, but two histories (a database that was restored, say): a pair's write would land in another's."""
    scene = in_step()
    scene.world.controller.reconciling = False
    row = scene.world.arbiter.rows[SESSION]
    scene.world.arbiter.rows[SESSION] = replace(row, epoch=row.epoch + 1)
    there = scene.world.controller.wanted(SESSION, B)
    other = replace(there, members=(replace(there.members[0], pair_id="other"),))
    scene.b.put_session(SESSION, other, lambda error: None)
    scene.a.put_session(SESSION, scene.world.controller.wanted(SESSION, A), lambda error: None)
    scene.run(0.2)
    assert "the two sites have different pairs" in str(scene.told(A)["refusal"])
    scene.host.write(0)
    scene.run(0.2)
    assert scene.writer(B, 0) == 0


def test_EPOCH_a_volume_refuses_any_epoch_lower_than_the_highest_it_has_seen() -> None:
    scene = in_step()
    scene.world.controller.reconciling = False
    answers: list[object] = []
    lower = replace(scene.world.controller.wanted(SESSION, B), epoch=1)
    scene.b.ledger.volumes[scene.world.volume_id(0, B)].max_epoch = 5
    scene.restart(B)
    scene.b.put_session("another", lower, answers.append)
    assert getattr(answers[0], "code", "") == "older_epoch"


# --- 6 STICKY ---


def test_STICKY_a_failed_write_is_told_the_host_once_its_mark_is_durable() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(9))
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, 512))
    with scene.holding(Kind.LEDGER, A, "AddFailed"):
        write = scene.host.write(0)
        scene.run()
        assert not write.errno
        assert not scene.durable(A).failed
    scene.run()
    assert write.errno == errno.EIO
    assert scene.durable(A).failed == {0}


def test_STICKY_only_a_resync_clears_the_mark() -> None:
    scene = in_step()
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, 512))
    scene.host.write(0)
    scene.run()
    scene.world.disk(0, A).failures.clear()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    scene.restart(B)
    scene.run(1.0)
    assert scene.world.in_step()
    scene.world.controller.set_paused(SESSION, True)
    scene.wait(A, "solo")
    assert scene.durable(A).failed == {0} or scene.durable(A).failed == set()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert not scene.durable(A).failed


def test_STICKY_a_write_that_fails_at_the_secondary_is_not_confirmed_and_trips() -> None:
    scene = in_step()
    scene.world.disk(0, B).failures.append(Failure("write", errno.EIO, 0, 512))
    with scene.holding(Kind.ASK, A):
        write = scene.host.write(0)
        scene.run()
        assert not write.ok
        assert scene.state(A) == "tripped"
        assert scene.durable(B).failed or scene.told(B)["volumes"][0]["failed_bytes"]
    scene.world.disk(0, B).failures.clear()
    scene.until_answered(write)
    scene.until_in_step()
    assert not scene.durable(B).failed


# --- 7 OVERLAP ---


def test_OVERLAP_writes_that_overlap_are_carried_out_one_after_the_other_at_both_sites() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    holds = [scene.hold(Kind.DISK, site, "WRITE") for site in (A, B)]
    first, second, apart = scene.host.write(0, 4), scene.host.write(3, 4), scene.host.write(100)
    scene.run(0.02)
    for site in (A, B):
        assert len(scene.parked(Kind.DISK, site, "WRITE")) == 2  # `second` is at neither disk
    for hold in holds:
        scene.release(hold)
    for op in (first, second, apart):
        scene.until_answered(op)
    assert first.answered < second.answered
    assert scene.writer(A, 3) == scene.writer(B, 3) == second.number


def test_OVERLAP_the_secondary_keeps_the_order_of_the_link_when_its_disk_does_not() -> None:
    """As numbered frames that overlap, straight to B: the primary never sends two at once."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    ports = scene.b.sessions[SESSION]
    assert ports.link is not None
    number = ports.link.number
    ops = [scene.world.history.issue(Op.WRITE, 0, A, 0, 1) for _ in range(2)]
    with scene.holding(Kind.DISK, B, "WRITE"):
        for seq, op in enumerate(ops, start=1000):
            frame = Frame(FrameKind.WRITE, 0, 0, 512, seq, 0, content_of(op))
            ports.session.on_frames(number, [frame], scene.world.scheduler.now)
        assert len(scene.parked(Kind.DISK, B, "WRITE")) <= 1
        scene.run(0.01)
        assert len(scene.parked(Kind.DISK, B, "WRITE")) == 1
    scene.run(0.01)
    assert scene.writer(B, 0) == ops[1].number


# --- 8 FLUSH ---


@pytest.mark.parametrize("site", [A, B])
def test_FLUSH_is_answered_when_both_sites_have_flushed(site: str) -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FLUSH, site):
        flush = scene.host.flush()
        scene.run(0.1)
        assert not flush.ok
    scene.until_answered(flush)
    for each in (A, B):
        assert not scene.world.disk(0, each).unflushed_sectors


def test_FLUSH_covers_what_was_answered_before_it_not_what_a_flush_under_way_covers() -> None:
    scene = in_step()
    with scene.holding(Kind.FLUSH, B):
        first = scene.host.flush()
        scene.run(0.01)
        scene.until_answered(scene.host.write(0))
        second = scene.host.flush()
        scene.run(0.01)
    scene.until_answered(first)
    scene.until_answered(second)
    assert not scene.world.disk(0, A).unflushed_sectors
    assert not scene.world.disk(0, B).unflushed_sectors


def test_FLUSH_while_solo_is_answered_by_one_site() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    assert not scene.world.disk(0, A).unflushed_sectors


def test_FLUSH_of_a_write_with_FUA_is_part_of_its_answer() -> None:
    scene = in_step()
    with scene.holding(Kind.FLUSH, B):
        write = scene.host.write(0, fua=True)
        scene.run(0.1)
        assert scene.writer(B, 0) == write.number
        assert not write.ok
    scene.until_answered(write)
    assert not scene.world.disk(0, B).unflushed_sectors


def test_FLUSH_that_fails_here_is_told_the_host_and_marks_what_was_not_durable() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.world.disk(0, A).failures.append(Failure("flush", errno.EIO))
    flush = scene.host.flush()
    scene.run(0.1)
    assert flush.errno == errno.EIO
    assert scene.durable(A).failed == {0}
