"""Rules 9 to 12 of docs/safety.md: losing the link. A is the primary, B the secondary, both in step at first."""

import pytest
from tests.replication.scene import SMALL, Scene, in_step, solo
from tests.sim.world.disk import SECTOR
from tests.sim.world.history import content_of
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.frames import Frame
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.requests import Op

# --- 9 TRIP ---


def test_TRIP_closes_the_gate_of_all_volumes_at_once() -> None:
    """B fails a write to the first volume: the second volume's write, already confirmed, is not answered either."""
    scene = in_step([SMALL, SMALL])
    with scene.holding(Kind.ASK, A):
        disk = scene.hold(Kind.DISK, A, "WRITE")
        confirmed = scene.hosts[1].write(0)
        scene.run()
        scene.part()
        scene.release(disk)
        other = scene.hosts[1].write(8)
        scene.run()
        assert not confirmed.ok
        assert not other.ok
    scene.until_answered(confirmed)
    scene.until_answered(other)


def test_TRIP_leaves_the_secondary_at_one_moment_of_all_volumes() -> None:
    """A dependent write to another volume never reaches B without the one before it (P3)."""
    scene = in_step([SMALL, SMALL])
    frames = scene.hold(Kind.FRAME, B, "WRITE")
    first = scene.hosts[0].write(0)
    scene.run(0.01)
    scene.part()
    scene.until_answered(first)  # by a permit
    second = scene.until_answered(scene.hosts[1].write(0))
    scene.release(frames)
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert failover.done
    assert scene.writer(B, 0, volume=0) == 0
    assert scene.writer(B, 0, volume=1) == 0
    assert second.ok


def test_TRIP_a_missed_heartbeat_is_a_lost_link() -> None:
    scene = in_step()
    for site in (A, B):
        scene.world.wire.black_hole(site)
    scene.run(0.7)
    assert scene.state(A) in ("tripped", "solo")
    assert scene.state(B) == "alone"
    scene.join()
    scene.until_in_step()


def test_TRIP_a_flush_that_only_the_secondary_has_done_is_not_answered_by_its_late_word() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.ASK, A):
        remote = scene.hold(Kind.FLUSH, B)
        flush = scene.host.flush()
        scene.run()
        scene.part()
        scene.run(0.2)
        assert not flush.ok
        scene.release(remote)
        scene.run()
        assert not flush.ok
    scene.until_answered(flush)


def test_CONFLINK_a_confirmation_of_an_older_connection_never_counts() -> None:
    scene = in_step()
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    old = ports.link.number
    with scene.holding(Kind.ASK, A), scene.holding(Kind.FRAME, B, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.01)
        scene.world.wire.cut()
        scene.run()  # a new connection: the write was sent again, and is held
        late = Frame(FrameKind.CONFIRM, seq=1000000)
        ports.session.on_frames(old, [late], scene.world.scheduler.now)
        assert not write.ok
    scene.until_answered(write)


def test_CONFLINK_what_was_confirmed_and_not_answered_counts_as_unconfirmed_after_a_trip() -> None:
    """B has confirmed w, A's disk is slow with it; the link is lost, B restarts as it was never there.

    Then A's disk is done: w must not be answered on the old confirmation.
    """
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        disk = scene.hold(Kind.DISK, A, "WRITE")
        write = scene.host.write(0)
        scene.run()
        scene.part()
        scene.release(disk)
        scene.run(0.3)
        assert not write.ok
    scene.until_answered(write)


def _move_production(scene: Scene) -> None:
    """To B, where a host writes then."""
    operation = scene.world.controller.failover(SESSION)
    assert scene.world.run_until(lambda: not operation.running, 5.0)
    assert operation.error is None
    scene.wait(B, "solo")
    newer = scene.world.host(0)
    assert newer.connect(B)
    scene.until_answered(newer.write(0))


def test_TRIP_a_primary_that_hung_notices_its_lost_link_before_it_answers_a_read() -> None:
    """A is stopped, B is promoted and written to; A goes on and finds a read that came meanwhile. Its timers are as
    late as the read, and go first: what A has is old."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.stop()
    read = scene.host.read(0)
    _move_production(scene)
    scene.run(scene.world.limits.heartbeat_timeout_seconds + 0.3)
    scene.a.go_on()
    scene.run(1.0)
    assert not read.ok


def test_TRIP_a_primary_that_hung_takes_no_frame_of_before_for_a_sign_of_life() -> None:
    """A is stopped with a heartbeat of B in its socket; then the link falls silent, and B is promoted and written to. A
    goes on and finds that heartbeat first, and a read behind it. The heartbeat is as old as the silence."""
    scene = in_step()
    heartbeat = scene.hold(Kind.FRAME, A, "PING")
    while not scene.parked(Kind.FRAME, A, "PING"):
        scene.run(0.01)
    scene.a.stop()
    scene.release(heartbeat)
    scene.world.wire.black_hole(A)
    scene.world.wire.black_hole(B)
    _move_production(scene)
    read = scene.host.read(0)
    scene.run(scene.world.limits.heartbeat_timeout_seconds + 0.3)
    scene.a.go_on()
    scene.run(1.0)
    assert not read.ok


# --- 10 RESUME ---


def test_RESUME_sends_all_that_is_unconfirmed_again_in_order_and_goes_on() -> None:
    scene = in_step()
    before = scene.world.arbiter.rows[SESSION].version
    frames = scene.hold(Kind.FRAME, B, "WRITE")
    scene.host.write(0)
    second, third = scene.host.write(0), scene.host.write(8)
    scene.run(0.02)
    assert scene.parked(Kind.FRAME, B, "WRITE")
    scene.world.wire.cut()
    scene.release(frames)
    scene.run(0.1)
    assert scene.writer(B, 0) == second.number
    assert scene.writer(B, 8) == third.number
    assert scene.world.arbiter.rows[SESSION].version == before  # nobody was asked
    scene.check()


def test_RESUME_not_after_a_permit_was_asked_for() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.part()
        scene.run(0.3)
        assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
        scene.join()
        scene.run(0.2)
        assert scene.state(A) == "tripped"
    scene.until_in_step()


def test_RESUME_not_after_a_permit_was_asked_for_and_the_answer_lost() -> None:
    """The row may be stale by now: going on in step with it would last for ever."""
    scene = in_step()
    answers = scene.hold(Kind.ANSWER, A, "REQUEST_SOLO")
    scene.part()
    scene.run(0.2)
    assert scene.row() == "stale"
    with scene.holding(Kind.ASK, A):
        scene.drop(Kind.ANSWER, A, "REQUEST_SOLO")
        scene.join()
        scene.run(0.2)
        assert scene.state(A) == "tripped"
    scene.release(answers)
    scene.until_in_step()


def test_RESUME_not_with_a_secondary_whose_machine_lost_what_it_had_confirmed() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.b.cut_power()
    scene.b.start()
    assert scene.writer(B, 0) == 0
    scene.wait(A, "copying")
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_RESUME_not_with_a_restarted_secondary_that_has_nothing_dirty() -> None:
    """B was flushed and its intents dropped, then it restarts: clean, but of another instance.

    Its present instance has not confirmed what the last one did; rule 10 goes by the instance alone.
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    version = scene.world.arbiter.rows[SESSION].version
    scene.b.kill()
    scene.b.ledger.volumes[scene.world.volume_id(0, B)].intents.clear()
    scene.b.start()
    scene.until_in_step()
    assert scene.world.arbiter.rows[SESSION].version > version


def test_RESUME_not_with_another_generation() -> None:
    scene = in_step()
    ports = scene.b.sessions[SESSION]
    ports.volumes[0].marks.record.generation = "of another pair"
    version = scene.world.arbiter.rows[SESSION].version
    scene.world.wire.cut()
    scene.until_in_step()
    assert scene.world.arbiter.rows[SESSION].version > version
    assert scene.told(A)["last_resync"]["total_bytes"] == SMALL


def test_RESUME_not_with_a_dirty_secondary() -> None:
    scene = in_step()
    ports = scene.b.sessions[SESSION]
    ports.volumes[0].marks.make_dirty_extents([0])
    version = scene.world.arbiter.rows[SESSION].version
    scene.world.wire.cut()
    scene.until_in_step()
    assert scene.world.arbiter.rows[SESSION].version > version


# --- 11 SOLO ---


def test_SOLO_asks_only_after_a_short_wait() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        scene.part()
        scene.run(0.05)
        assert not scene.parked(Kind.ASK, A)
        scene.run(0.1)
        assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.wait(A, "solo")


def test_SOLO_every_unconfirmed_writes_chunk_is_dirty_before_it_is_answered() -> None:
    scene = in_step()
    with scene.holding(Kind.FRAME, B, "WRITE"):
        write = scene.host.write(128)
        scene.run(0.02)
        scene.part()
    scene.until_answered(write)
    assert 1 in scene.a.sessions[SESSION].volumes[0].marks.record.dirty
    assert 0 in scene.durable(A).intents  # the evidence, until the bit is durable
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 128) == write.number


def test_SOLO_a_writes_chunk_is_dirty_before_it_is_answered() -> None:
    scene = solo()
    write = scene.until_answered(scene.host.write(128))
    assert 1 in scene.a.sessions[SESSION].volumes[0].marks.record.dirty
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 128) == write.number


def test_SOLO_zeros_are_dirty_too() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(128))
    scene.part()
    scene.wait(A, "solo")
    zeros = scene.until_answered(scene.host.zero(127, 2))
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 128) == 0
    assert zeros.ok


def test_SOLO_what_was_dirty_in_memory_only_is_told_by_its_intent_after_a_crash() -> None:
    scene = solo()
    write = scene.until_answered(scene.host.write(128))
    scene.restart(A)
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 128) == write.number


def test_SOLO_without_a_controller_it_keeps_holding_and_asks_again() -> None:
    scene = in_step()
    scene.a.controller_in_reach = False
    scene.part()
    write = scene.host.write(0)
    scene.run(2.0)
    assert not write.ok
    scene.a.controller_in_reach = True
    scene.until_answered(write)
    assert scene.state(A) == "solo"


# --- 12 DISCARD ---


@pytest.mark.parametrize("restart_a", [False, True])
def test_DISCARD_what_the_disk_still_has_ends_before_a_hello_is_answered(restart_a: bool) -> None:
    """B's disk is slow with w1. Link lost, RESUME sends w1 again, then w2 over it: w1's first copy must not win."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    hold = scene.hold(Kind.DISK, B, "WRITE")
    scene.host.write(0)
    scene.run(0.02)
    (stuck,) = scene.parked(Kind.DISK, B, "WRITE")
    scene.world.wire.cut()
    if restart_a:
        scene.restart(A)
    scene.run(0.05)
    assert scene.state(B) == "alone"  # connected, but not welcomed
    scene.release(hold)
    scene.until_in_step()
    if restart_a:
        scene.connect()
    w2 = scene.until_answered(scene.host.write(0))
    assert scene.writer(B, 0) == w2.number
    assert stuck is not None


def test_DISCARD_what_is_not_at_the_disk_yet_never_gets_there() -> None:
    """w1 waits at B for its intent when the link is lost; A dies with it. B must not write it later."""
    scene = in_step()
    intents = scene.hold(Kind.LEDGER, B, "AddIntents")
    scene.host.write(0)
    scene.run(0.02)
    scene.a.kill()
    scene.run(0.02)
    scene.release(intents)
    scene.run(0.05)
    assert scene.writer(B, 0) == 0


def test_DISCARD_what_waits_at_the_secondary_for_another_write_is_forgotten() -> None:
    """Two frames overlap, the first is at B's slow disk when the link is lost: the second never gets there."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    ports = scene.b.sessions[SESSION]
    assert ports.link is not None
    number = ports.link.number
    ops = [scene.world.history.issue(Op.WRITE, 0, A, 0, 1) for _ in range(2)]
    with scene.holding(Kind.DISK, B, "WRITE"):
        for seq, op in enumerate(ops, start=1000):
            frame = Frame(FrameKind.WRITE, 0, 0, SECTOR, seq, 0, content_of(op))
            ports.session.on_frames(number, [frame], scene.world.scheduler.now)
        scene.part()
    scene.run(0.05)
    assert scene.writer(B, 0) == ops[0].number
