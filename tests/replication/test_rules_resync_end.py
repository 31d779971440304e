"""Rules 16 and 17 of docs/safety.md, and FAILEND: how a resync ends; lost ledgers. A is the primary, B the other."""

import errno
from dataclasses import replace

import pytest
from tests.replication.scene import SMALL, in_step, solo
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.domain.geometry import CHUNK_BYTES

CHUNK = CHUNK_BYTES // SECTOR  # in sectors


# --- 16 END ---


def test_PERMITLATE_from_the_end_on_nothing_is_answered_without_the_secondary() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    hold = scene.hold(Kind.LEDGER, A, "PutVolume")
    scene.wait(A, "draining")
    with scene.holding(Kind.DISK, B, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        assert scene.writer(A, 0) == write.number
        assert not write.ok
        assert not scene.told(A)["permit"]
    scene.release(hold)
    scene.until_answered(write)
    scene.until_in_step()


def test_PERMITLATE_in_step_there_is_no_permit_left() -> None:
    scene = solo()
    scene.join()
    scene.until_in_step()
    with scene.holding(Kind.FRAME, B, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.05)
        assert not write.ok
    scene.until_answered(write)


def test_PGEN_the_pending_generation_is_durable_before_END_is_sent() -> None:
    scene = solo()
    scene.join()
    hold = scene.hold(Kind.LEDGER, A, "PutVolume")
    scene.wait(A, "draining")
    scene.run(0.05)
    assert scene.state(B) == "receiving"
    scene.deliver(Kind.LEDGER, A, "PutVolume")
    assert scene.durable(A).pending_generation
    scene.release(hold)
    scene.until_in_step()
    assert not scene.durable(A).pending_generation


def test_PGEN_a_secondary_of_the_pending_generation_is_not_compared_whole() -> None:
    """B has ended the resync, A died before its last commit: both know the same content by two names."""
    scene = solo([4 * 4096 * KIB])
    scene.until_answered(scene.host.write(0))
    scene.join()
    hold = scene.hold(Kind.FRAME, A, "ENDED")
    scene.wait(A, "sealing")
    scene.run(0.02)
    assert scene.durable(B).generation == scene.durable(A).pending_generation != ""
    scene.a.kill()
    scene.release(hold)
    scene.a.start()
    scene.until_in_step()
    assert scene.told(A)["last_resync"]["total_bytes"] <= 4096 * KIB
    assert scene.told(A)["last_resync"]["link_bytes"] < 64 * KIB


def test_CLEARLAST_the_marks_stay_until_the_secondary_has_ended() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    hold = scene.hold(Kind.FRAME, A, "ENDED")
    scene.wait(A, "sealing")
    scene.run(0.02)
    record = scene.a.sessions[SESSION].volumes[0].marks.record
    assert 0 in record.dirty
    assert scene.durable(A).generation != scene.durable(B).generation
    scene.release(hold)
    scene.until_in_step()
    assert not scene.durable(A).dirty
    assert not record.dirty


def test_CLEARLAST_generation_and_marks_go_in_one_commit() -> None:
    scene = solo()
    scene.join()
    hold = scene.hold(Kind.LEDGER, A)
    scene.wait(A, "draining")
    scene.run(0.01)
    scene.deliver(Kind.LEDGER, A)
    scene.wait(A, "sealing")
    scene.run(0.05)
    (commit,) = scene.parked(Kind.LEDGER, A)
    assert [type(change).__name__ for change in commit.detail] == ["PutVolume", "ClearMarks"]  # type: ignore[attr-defined]
    assert scene.row() == "syncing"  # the row is told last
    scene.release(hold)
    scene.until_in_step()


def test_CLEARLAST_at_the_secondary_consistent_generation_and_marks_go_in_one_commit() -> None:
    scene = solo()
    scene.restart(B)
    scene.join()
    hold = scene.hold(Kind.LEDGER, B)
    scene.run(0.1)
    scene.deliver(Kind.LEDGER, B)  # inconsistent
    scene.run(0.1)
    (commit,) = scene.parked(Kind.LEDGER, B)
    assert [type(change).__name__ for change in commit.detail] == ["PutVolume", "ClearMarks"]  # type: ignore[attr-defined]
    assert not scene.durable(B).consistent
    scene.release(hold)
    scene.until_in_step()


def test_END_the_secondary_flushes_before_it_calls_itself_consistent() -> None:
    scene = solo()
    write = scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FLUSH, B):
        scene.wait(A, "sealing")
        scene.run(0.1)
        assert not scene.durable(B).consistent
    scene.until_in_step()
    scene.b.cut_power()
    assert scene.writer(B, 0) == write.number


def test_END_dirty_bits_that_were_made_during_the_resync_go_with_the_others() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(3 * CHUNK))
    scene.join()
    with scene.holding(Kind.FRAME, A, "HASHES"):
        scene.wait(A, "copying")
        scene.until_answered(scene.host.write(0))
        assert scene.told(A)["volumes"][0]["dirty_bytes"]
    scene.until_in_step()
    assert not scene.told(A)["volumes"][0]["dirty_bytes"]


# --- 6 FAILEND ---


@pytest.mark.parametrize("state", ["copying", "sealing"])
def test_FAILEND_a_local_failure_ends_the_resync_that_is_under_way(state: str) -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    name = "HASHES" if state == "copying" else "ENDED"
    hold = scene.hold(Kind.FRAME, A, name)
    scene.wait(A, state)
    scene.world.disk(0, A).failures.append(
        Failure("write", errno.EIO, 5 * CHUNK_BYTES, 5 * CHUNK_BYTES + SECTOR)
    )
    failed = scene.host.write(5 * CHUNK)
    scene.run(0.02)
    scene.world.disk(0, A).failures.clear()
    assert scene.state(A) in ("solo", "tripped")
    scene.release(hold)
    scene.until_in_step()
    assert failed.errno == errno.EIO
    assert scene.writer(A, 5 * CHUNK) == scene.writer(B, 5 * CHUNK)


# --- 17 BLANK ---


def test_BLANK_a_secondary_without_a_ledger_is_never_promoted_and_copied_whole() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.b.ledger.lose()
    with scene.holding(Kind.FRAME, A, "WELCOME"):
        scene.b.start()
        scene.run(0.3)
        told = scene.told(B)["volumes"][0]
        assert told["blank"]
        assert not told["consistent"]
        for allow in (False, True):
            failover = scene.world.controller.failover(SESSION, allow_data_loss=allow)
            scene.run(0.3)
            assert not failover.done
    scene.until_in_step()
    assert scene.told(A)["last_resync"]["total_bytes"] == SMALL
    assert scene.writer(B, 0) == write.number


def test_BLANK_a_primary_without_a_ledger_pulls_everything_from_a_secondary_in_step() -> None:
    """Its disk is older than the secondary's: nothing but the whole comparison would tell."""
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.a.ledger.lose()
    scene.world.disk(0, A).cache.clear()
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number
    record = scene.durable(A)
    assert not record.blank
    assert record.consistent  # it may be promoted, should it ever be the secondary
    assert record.generation == scene.durable(B).generation


def test_BLANK_a_primary_without_a_ledger_serves_nobody_while_the_secondary_is_away() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.a.kill()
    scene.a.ledger.lose()
    scene.a.start()
    scene.run(3.0)
    assert not scene.connects(A)
    assert "says that this copy is the truth" in str(scene.told(A)["refusal"])
    scene.b.start()
    scene.run(1.0)


def test_BLANK_unless_an_operator_says_that_its_copy_is_the_truth() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.a.kill()
    scene.a.ledger.lose()
    scene.a.start()
    scene.run(1.0)
    scene.world.controller.set_paused(SESSION, False, trust_blank=True)
    scene.wait(A, "solo")
    scene.b.start()
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_BLANK_a_late_put_of_an_older_epoch_makes_no_secondary_that_nobody_can_promote() -> None:
    """The new primary's ledger is lost before it hears of its promotion, then what it was before is put late."""
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    old = scene.world.controller.wanted(SESSION, B)
    with scene.holding(Kind.CALL, B, "PUT"):
        scene.world.controller.reverse(SESSION)
        scene.run(0.5)
        assert scene.parked(Kind.CALL, B, "PUT")
        scene.b.kill()
        scene.b.ledger.lose()
        scene.b.start()
        scene.b.put_session(SESSION, old, lambda error: None)
        scene.run(0.2)
        assert scene.told(B)["volumes"][0]["blank"]
        assert (scene.told(B)["role"], scene.told(B)["epoch"]) == ("secondary", old.epoch)
    scene.until_in_step()  # it pulls all of it from the old primary, which has everything
    scene.connect(B)
    assert scene.until_answered(scene.host.read(0)).found == [write.number]


def test_BLANK_a_late_put_of_an_older_epoch_leaves_an_operator_a_way_out() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    old = scene.world.controller.wanted(SESSION, B)
    scene.a.kill()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    with scene.holding(Kind.CALL, B, "PUT"):
        scene.b.kill()
        scene.b.ledger.lose()
        scene.b.start()
        scene.b.put_session(SESSION, old, lambda error: None)
        scene.run(0.2)
    scene.wait(B, "waiting")
    scene.run(0.5)
    assert not scene.connects(B)
    assert "says that this copy is the truth" in str(scene.told(B)["refusal"])
    scene.world.controller.set_paused(SESSION, False, trust_blank=True)
    scene.wait(B, "solo")
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_BLANK_an_operators_word_that_is_over_counts_no_more_when_it_comes_late() -> None:
    """A controller hung with a put in its hands; meanwhile the copies became equal, which ends the word in it."""
    scene = in_step()
    vouched = replace(scene.world.controller.wanted(SESSION, A), trust_blank=True)
    write = scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.run(0.3)  # the secondary makes sure of all it has
    scene.b.kill()
    scene.a.ledger.lose()
    scene.world.disk(0, A).cache.clear()  # with an older disk in its place
    with scene.holding(Kind.CALL, A, "PUT"):
        scene.a.start()
        scene.a.put_session(SESSION, vouched, lambda error: None)
        scene.run(3.0)
        assert not scene.connects(A)
        assert "says that this copy is the truth" in str(scene.told(A)["refusal"])
        assert scene.row() == "in_sync"
    scene.b.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_BLANK_the_word_ends_when_both_copies_are_equal_again() -> None:
    scene = in_step()
    scene.b.kill()
    scene.a.kill()
    scene.a.ledger.lose()
    scene.a.start()
    scene.world.controller.set_paused(SESSION, False, trust_blank=True)
    scene.wait(A, "solo")
    assert scene.world.controller.wishes[SESSION].trust_blank
    scene.b.start()
    scene.until_in_step()
    assert not scene.world.controller.wishes[SESSION].trust_blank
