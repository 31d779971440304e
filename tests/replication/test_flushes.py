"""The primary's flushes: which answers they count, and which intents may go behind them."""

from tests.replication.scene import EXTENT, SECTORS_PER_EXTENT, Scene, in_step, solo
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.geometry import CHUNKS_PER_EXTENT
from bilocate.replication.frames import Frame
from bilocate.replication.frames import Kind as FrameKind

EXTENTS = [8 * EXTENT]


def test_DROPWAIT_a_flush_that_a_stop_cuts_short_drops_no_intent_without_its_dirty_bits() -> None:
    """It began for both sites, and ends by this one's answer alone: B may still lose what it confirmed (P5)."""
    scene = in_step(EXTENTS, intents_max=2)
    with scene.holding(Kind.FLUSH, B):
        writes = [scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT)) for extent in range(5)]
        scene.run()
        scene.world.controller.set_paused(SESSION, True)
        scene.wait(A, "solo")
        scene.run()
        record = scene.durable(A)
        assert len(record.intents) < len(writes)
        for extent in range(len(writes)):
            assert extent in record.intents or extent * CHUNKS_PER_EXTENT in record.dirty
        scene.b.cut_power()
    scene.b.start()
    assert scene.writer(B, 0) != writes[0].number
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    for extent, write in enumerate(writes):
        assert scene.writer(B, extent * SECTORS_PER_EXTENT) == write.number


def test_a_hosts_flush_takes_no_intent_away_while_there_is_room() -> None:
    """They go when there is no room for more: each that goes makes the next write into its extent wait."""
    scene = in_step(EXTENTS, intents_max=3)
    for extent in range(3):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    scene.until_answered(scene.host.flush())
    scene.run()
    assert scene.durable(A).intents == scene.durable(B).intents == {0, 1, 2}


def test_FLUSH_an_answer_to_another_flush_is_no_answer_to_this_one() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    scene.until_answered(scene.host.write(1))
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    with scene.holding(Kind.FLUSH, B):
        flush = scene.host.flush()
        scene.run(0.02)
        frame = Frame(FrameKind.FLUSHED, seq=1)
        ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
        scene.run(0.02)
        assert not flush.ok
    scene.until_answered(flush)


def _evidence(scene: Scene, volume: int, extent: int) -> bool:
    """Whether A's ledger says that a write into this extent's first chunk may be here alone."""
    record = scene.durable(A, volume)
    return extent in record.intents or extent * CHUNKS_PER_EXTENT in record.dirty


def test_rule_27_past_the_bound_half_of_the_intents_stay_those_entered_last() -> None:
    scene = in_step(EXTENTS, intents_max=4)
    for extent in range(5):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    scene.run()
    kept = scene.durable(A).intents
    assert len(kept) == 2
    assert 4 in kept


def test_rule_27_the_bound_is_one_for_all_volumes() -> None:
    for scene in (in_step(EXTENTS * 2, intents_max=3), solo(EXTENTS * 2, intents_max=3)):
        for extent in range(3):
            for host in scene.hosts:
                scene.until_answered(host.write(extent * SECTORS_PER_EXTENT))
            scene.run()
            assert sum(len(scene.durable(A, volume).intents) for volume in range(2)) <= 3
        if scene.state(A) == "solo":
            assert all(_evidence(scene, volume, extent) for volume in range(2) for extent in range(3))


def test_SOLODROP_during_a_resync_too() -> None:
    """Hosts are answered by the permit: that the secondary is linked and flushes does not make it equal."""
    scene = solo(EXTENTS, intents_max=2)
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, A, "HASHES"):
        scene.wait(A, "copying")
        for extent in range(1, 6):
            scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
            scene.run()
        assert len(scene.durable(A).intents) <= 3
        assert all(_evidence(scene, 0, extent) for extent in range(6))
    scene.until_in_step()


def test_FLUSHSERVE_a_flush_of_a_start_that_was_given_up_counts_for_no_other() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FLUSH, A):
        scene.restart(A)
        scene.wait(A, "pulling")
        scene.run(0.1)
        scene.part()
        scene.wait(A, "starting")
        scene.run()
        assert len(scene.parked(Kind.FLUSH, A)) == 2
        scene.deliver(Kind.FLUSH, A)
        scene.run(0.2)
        assert not scene.connects(A)
    scene.wait(A, "solo")


def test_rule_27_a_secondary_that_makes_room_by_itself_trips_nothing_and_keeps_half() -> None:
    """The primary's flush does not arrive; the secondary's own is nobody's failure."""
    scene = in_step(EXTENTS, trace=True, intents_max=4)
    before = len(scene.world.trace.lines)
    with scene.holding(Kind.FRAME, B, "FLUSH"):
        for extent in range(4):
            scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
        scene.run(0.01)
        assert scene.durable(B).intents == {0, 1, 2, 3}
        scene.host.write(4 * SECTORS_PER_EXTENT)
        scene.run(0.02)
        kept = scene.durable(B).intents
        assert len(kept) == 2
        assert 4 in kept
    scene.run()
    assert scene.state(A) == "in_step"
    assert not any("before=in_step" in line for line in scene.world.trace.lines[before:])
