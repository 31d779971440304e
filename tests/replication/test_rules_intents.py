"""Rules 4 and 5 of docs/safety.md: intents. A is the primary, B the secondary, both in step at first."""

from tests.replication.scene import SECTORS_PER_EXTENT, in_step, solo
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, A, B

EXTENTS = [4 * 4096 * KIB]  # a volume of four extents


# --- 4 INTENT ---


def test_INTENT_not_a_byte_moves_before_the_intent_is_durable() -> None:
    scene = in_step()
    with scene.holding(Kind.LEDGER, A, "AddIntents"):
        write = scene.host.write(0)
        scene.run()
        assert scene.parked(Kind.LEDGER, A, "AddIntents")
        assert scene.writer(A, 0) == scene.writer(B, 0) == 0
        assert not scene.durable(B).intents
    scene.until_answered(write)
    assert scene.durable(A).intents == {0}


def test_INTENT_a_second_write_waits_for_the_intent_that_is_on_its_way() -> None:
    scene = in_step()
    with scene.holding(Kind.LEDGER, A, "AddIntents"):
        scene.host.write(0)
        second = scene.host.write(100)
        scene.run()
        assert scene.writer(A, 100) == 0
    scene.until_answered(second)


def test_INTENT_a_write_over_two_extents_needs_both() -> None:
    scene = in_step(EXTENTS)
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.LEDGER, A, "AddIntents"):
        write = scene.host.write(SECTORS_PER_EXTENT - 1, 2)
        scene.run()
        assert scene.writer(A, SECTORS_PER_EXTENT - 1) == 0
    scene.until_answered(write)
    assert scene.durable(A).intents == {0, 1}


def test_SECINT_the_secondary_applies_nothing_before_its_intent_is_durable() -> None:
    scene = in_step()
    with scene.holding(Kind.LEDGER, B, "AddIntents"):
        write = scene.host.write(0)
        scene.run()
        assert scene.parked(Kind.LEDGER, B, "AddIntents")
        assert scene.writer(A, 0) == write.number
        assert scene.writer(B, 0) == 0
    scene.until_answered(write)
    assert scene.durable(B).intents == {0}


# --- 5 DROP ---


def test_DROPWAIT_intents_stay_until_both_sites_have_flushed() -> None:
    scene = in_step(EXTENTS, intents_max=1)
    flushes = scene.hold(Kind.FLUSH, B)
    for extent in range(3):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    flush = scene.host.flush()
    scene.run(0.1)
    assert not flush.ok
    assert scene.durable(A).intents == {0, 1, 2}
    scene.release(flushes)
    scene.until_answered(flush)
    scene.run()
    assert len(scene.durable(A).intents) <= 1


def test_DROPWAIT_intents_stay_when_the_link_was_lost_before_the_secondary_flushed() -> None:
    """B's flush fails to come; solo, nothing says that B has on disk what was answered before."""
    scene = in_step(EXTENTS, intents_max=8)
    for extent in range(3):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    scene.hold(Kind.FLUSH, B)
    flush = scene.host.flush()
    scene.run()
    scene.part()
    scene.until_answered(flush)
    assert scene.durable(A).intents == {0, 1, 2}


def test_DROP_a_resync_ends_with_a_flush_after_which_only_extents_in_use_keep_their_intents() -> None:
    """Else all that was written solo would be compared again, whole, after the next crash. w1 came behind the flush."""
    scene = solo(EXTENTS)
    for extent in range(3):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    flushes = scene.hold(Kind.FLUSH, A)
    scene.join()
    scene.wait(A, "in_step")
    scene.run(0.01)
    assert scene.parked(Kind.FLUSH, A)
    scene.until_answered(scene.host.write(0))
    scene.release(flushes)
    scene.run(0.05)
    assert scene.durable(A).intents == {0}
    assert not scene.durable(A).dirty
    scene.check()


def test_DROP_the_flush_at_the_end_of_a_resync_makes_nothing_dirty_when_the_link_is_lost_meanwhile() -> None:
    scene = solo(EXTENTS)
    scene.until_answered(scene.host.write(0))
    flushes = scene.hold(Kind.FLUSH, A)
    scene.join()
    scene.wait(A, "in_step")
    scene.run(0.01)
    scene.part()
    scene.wait(A, "solo")
    scene.release(flushes)
    scene.run(0.05)
    assert scene.durable(A).intents == {0}
    assert not scene.told(A)["volumes"][0]["dirty_bytes"]


def test_DROPRACE_an_extent_that_was_entered_while_the_flush_ran_keeps_its_intent() -> None:
    """As race 2, but the write comes after the flush began, and is answered before it ends."""
    scene = in_step(EXTENTS, intents_max=2)
    flushes = scene.hold(Kind.FLUSH, A)
    for extent in (0, 2, 3):  # past the bound: a flush to make room begins
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    w1 = scene.until_answered(scene.host.write(1))
    assert len(scene.parked(Kind.FLUSH, A)) == 1
    scene.deliver(Kind.FLUSH, A)  # its moment was its beginning: w1 is not in it
    scene.run(0.01)
    assert 0 in scene.durable(A).intents
    assert len(scene.durable(A).intents) < 3
    scene.release(flushes)
    scene.a.cut_power()
    scene.a.start()
    scene.until_in_step()
    scene.connect()
    assert scene.until_answered(scene.host.read(1)).found == [w1.number]


def test_DROP_the_secondary_drops_its_own_intents_by_the_same_rule() -> None:
    """B flushes by itself past its bound; w1 enters the extent behind that, and must keep its intent there."""
    scene = in_step(EXTENTS, intents_max=1)
    scene.hold(Kind.FLUSH, A)
    scene.hold(Kind.FLUSH, B)
    for extent in (0, 2, 3):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    w1 = scene.until_answered(scene.host.write(1))
    assert len(scene.parked(Kind.FLUSH, B)) == 1
    scene.deliver(Kind.FLUSH, B)
    scene.run(0.01)
    assert 0 in scene.durable(B).intents
    assert len(scene.durable(B).intents) < 3
    scene.b.cut_power()
    assert scene.writer(B, 1) != w1.number
    scene.b.start()
    scene.run(0.1)
    assert scene.told(B)["volumes"][0]["dirty_bytes"]


def test_SOLODROP_while_solo_a_dropped_intent_leaves_its_chunks_dirty() -> None:
    """w1 was applied by B, not by A's disk that lost power, say: whatever was before the trip may be on one side."""
    scene = in_step(EXTENTS, intents_max=1)
    for extent in range(3):
        scene.host.write(extent * SECTORS_PER_EXTENT)
    scene.hold(Kind.FLUSH, B)
    scene.run(0.02)
    scene.part()
    scene.wait(A, "solo")
    scene.until_answered(scene.host.flush())
    scene.run(0.1)
    record = scene.durable(A)
    assert len(record.intents) <= 1
    for extent in {0, 1, 2} - record.intents:
        assert extent * 64 in record.dirty
        assert extent * 64 + 63 in record.dirty
