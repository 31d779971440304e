"""The primary: refusals, late failures, frames at the wrong moment. A is the primary, B the secondary."""

import errno
from dataclasses import replace

from tests.replication.scene import SMALL, in_step, solo
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.primary import PrimaryHalf

# --- refusals ---


def test_EPOCH_a_primary_that_is_refused_for_its_epoch_asks_the_row_and_stops() -> None:
    """It is solo under an old permit, and roles were changed twice without it: nothing else would ever tell it."""
    scene = solo()
    scene.world.controller.reconciling = False
    scene.until_answered(scene.host.write(0))
    rows = scene.world.arbiter.rows
    epoch = scene.world.arbiter.next_epoch()
    rows[SESSION] = replace(rows[SESSION], epoch=epoch, version=rows[SESSION].version + 1)
    scene.b.put_session(SESSION, scene.world.controller.wanted(SESSION, B), lambda error: None)
    scene.run(0.1)
    assert scene.state(A) == "solo"
    scene.join()
    scene.run(0.5)
    assert scene.state(A) == "retired"
    assert "superseded" in scene.told(A)["refusal"]
    assert scene.host.connection is None
    assert not scene.connects(A)


# --- the own disk ---


def test_STICKY_a_write_that_the_own_disk_fails_late_is_told_the_host_and_marked() -> None:
    """Answered as done, it would be at B only, and A would read something else."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, SECTOR))
    with scene.holding(Kind.DISK, A, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        scene.deliver(Kind.DISK, A, "WRITE")
        scene.run(0.02)
    assert write.errno == errno.EIO
    assert scene.durable(A).failed == {0}


# --- stop ---


def test_STOP_during_a_resync_ends_it_at_once() -> None:
    """Carried to its end, hosts would wait for a secondary that an operator has just told to be left alone."""
    scene = solo()
    write = scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        scene.world.controller.set_paused(SESSION, True)
        scene.run(0.1)
        assert scene.state(A) == "solo"
        assert scene.state(B) == "alone"
    scene.run(1.0)
    assert scene.state(A) == "solo"
    assert scene.row() == "syncing"
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_sync_of_an_operator_does_not_wait_for_the_pause_behind_a_resync_that_failed() -> None:
    scene = solo(retry_seconds=20.0, retry_seconds_max=20.0)
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        scene.world.wire.cut()
        scene.run(1.0)
    assert scene.state(A) == "solo"
    scene.world.controller.set_paused(SESSION, True)
    scene.run(0.1)
    scene.world.controller.set_paused(SESSION, False)
    scene.run(1.0)
    scene.check()


# --- the end ---


def test_SWITCHOVER_who_waits_for_quiet_is_told_when_the_session_ends() -> None:
    scene = in_step()
    scene.world.controller.reconciling = False
    scene.until_answered(scene.host.write(0))
    ended: list[object] = []
    with scene.holding(Kind.FLUSH, B):
        answers = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.a.delete_session(SESSION, scene.world.arbiter.rows[SESSION].epoch, ended.append)
        scene.run(0.05)
    assert [getattr(answer, "code", "") for answer in answers] == ["superseded"]
    assert ended == [None]


def test_rule_1_a_retired_half_answers_nothing_under_the_permit_it_had() -> None:
    """It was solo; its disk ends a write when another half, of a newer epoch, is about to begin."""
    scene = solo()
    half = scene.a.sessions[SESSION].session.half
    assert isinstance(half, PrimaryHalf)
    with scene.holding(Kind.DISK, A, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        half.retire("another half begins", keep_hosts=True)
        scene.deliver(Kind.DISK, A, "WRITE")
        scene.run(0.02)
    assert not write.ok
    assert len(half.give_up()) == 1


def test_MEMBERS_a_write_that_waits_for_its_FUA_alone_is_not_written_again_by_the_next_half() -> None:
    """It would lie over what was written there since; its flush is done anew, and so are hosts' flushes."""
    scene = solo([SMALL])
    scene.world.controller.set_paused(SESSION, True)
    scene.run(0.1)
    with scene.holding(Kind.FLUSH, A):
        waiting = [scene.host.write(0, fua=True), scene.host.flush()]
        newer = scene.until_answered(scene.host.write(0))
        scene.world.controller.regroup({"another": [0]})
        scene.run(1.0)
        assert scene.told(A, "another")
        assert not any(op.ok for op in waiting)
    for op in waiting:
        scene.until_answered(op)
    assert scene.writer(A, 0) == newer.number


def test_a_retired_primary_tells_of_no_resync_that_did_not_end() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    before = scene.told(A)["last_resync"]
    half = scene.a.sessions[SESSION].session.half
    assert isinstance(half, PrimaryHalf)
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        half.retire("another half begins")
    assert scene.told(A)["resync"] is None
    assert scene.told(A)["last_resync"] == before
