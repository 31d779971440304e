"""Rules 23 to 26 and section 9 of docs/safety.md: changing roles. A is the primary, B the secondary, in step."""

from tests.replication.scene import SMALL, in_step, solo
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import Ask, Call, Refusal
from bilocate.replication.records import Role
from bilocate.replication.wanted import NotPossibleNow

# --- 23 SWITCHOVER ---


def test_SWITCHOVER_copies_nothing_and_loses_nothing() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    copies = scene.hold(Kind.FRAME, "", "COPY")
    asks = scene.hold(Kind.FRAME, "", "ASK")
    switchover = scene.world.controller.reverse(SESSION)
    scene.run(0.5)
    assert switchover.done
    scene.until_in_step()
    scene.release(copies)
    scene.release(asks)
    assert scene.host.connection is None
    scene.connect(B)
    assert scene.until_answered(scene.host.read(0)).found == [write.number]


def test_SWITCHOVER_quiesce_drains_flushes_and_drops_all_intents_at_both() -> None:
    scene = in_step()
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        write = scene.host.write(0)
        scene.run(0.01)
        answers = scene.ask(A, "quiesce")
        scene.run(0.05)
        assert not answers  # a write is under way
    scene.run(0.05)
    assert answers
    assert write.ok
    for site in (A, B):
        assert not scene.durable(site).intents
        assert not scene.world.disk(0, site).unflushed_sectors


def test_SWITCHOVER_quiesce_waits_for_both_flushes() -> None:
    for site in (A, B):
        scene = in_step()
        scene.until_answered(scene.host.write(0))
        with scene.holding(Kind.FLUSH, site):
            answers = scene.ask(A, "quiesce")
            scene.run(0.1)
            assert not answers
        scene.run(0.05)
        assert answers


def test_SWITCHOVER_hosts_are_held_while_it_is_quiesced() -> None:
    scene = in_step()
    scene.ask(A, "quiesce")
    scene.run(0.05)
    assert scene.state(A) == "quiesced"
    write, read = scene.host.write(0), scene.host.read(0)
    scene.run(0.2)
    assert not write.ok
    assert not read.ok
    assert scene.host.connection is not None


def test_QVER_the_version_is_the_one_that_the_primary_knows() -> None:
    scene = in_step()
    answers = scene.ask(A, "quiesce")
    scene.run(0.05)
    assert answers == [{"version": scene.world.arbiter.rows[SESSION].version}]


def test_QVER_a_permit_that_was_given_meanwhile_kills_the_switchover() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    calls = scene.hold(Kind.CALL, A, "quiesce answered")
    switchover = scene.world.controller.reverse(SESSION)
    scene.wait(A, "quiesced")
    scene.part()
    scene.wait(A, "solo")
    scene.release(calls)
    scene.run(0.3)
    assert not switchover.done
    assert scene.world.arbiter.rows[SESSION].primary == A


def test_UNDO_raises_the_version_before_hosts_go_on() -> None:
    scene = in_step()
    scene.ask(A, "quiesce")
    scene.run(0.05)
    version = scene.world.arbiter.rows[SESSION].version
    write = scene.host.write(0)
    with scene.holding(Kind.ASK, A):
        answers = scene.ask(A, "resume")
        scene.run(0.1)
        assert [event.name for event in scene.parked(Kind.ASK, A)] == ["ATTACH"]
        assert not write.ok
        assert not answers
    scene.until_answered(write)
    assert answers == [{}]
    late = Ask(Call.SWITCH_OVER, version=version, new_epoch=9)
    assert scene.world.arbiter.call(SESSION, late) is Refusal.CHANGED


def test_UNDO_by_itself_after_a_while_when_nobody_comes_back() -> None:
    scene = in_step(quiesce_timeout_seconds=0.3)
    answers = scene.ask(A, "quiesce")
    scene.run(0.05)
    (told,) = answers
    assert isinstance(told, dict)
    write = scene.host.write(0)
    scene.run(0.2)
    assert not write.ok
    scene.until_answered(write)
    late = Ask(Call.SWITCH_OVER, version=told["version"], new_epoch=9)
    assert scene.world.arbiter.call(SESSION, late) is Refusal.CHANGED


def test_UNDO_a_quiesced_primary_that_lost_its_link_goes_on_only_with_a_new_version() -> None:
    """The link breaks and is back at once. Going on with the version that quiesce told would let the switchover
    commit behind writes that B has intents for: B restarts, is dirty, and nobody serves."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    answers = scene.ask(A, "quiesce")
    scene.run(0.05)
    (told,) = answers
    assert isinstance(told, dict)
    scene.world.wire.cut()
    write = scene.host.write(0)
    scene.until_answered(write)
    late = Ask(Call.SWITCH_OVER, version=told["version"], new_epoch=9)
    assert scene.world.arbiter.call(SESSION, late) is Refusal.CHANGED
    scene.until_in_step()


def test_UNDO_a_trip_while_it_quiesces_ends_it() -> None:
    scene = in_step()
    with scene.holding(Kind.FLUSH, B):
        answers = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.world.wire.cut()
        scene.run(0.02)
    (said,) = answers
    assert isinstance(said, NotPossibleNow)
    scene.until_in_step()


# --- 24 DEMOTE ---


def test_DEMOTE_intents_and_failed_extents_become_dirty_bits_in_one_commit() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.part()
    scene.wait(A, "solo")
    scene.until_answered(scene.host.write(8))
    scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    record = scene.durable(A)
    assert scene.told(A)["role"] == "secondary"
    assert 0 in record.dirty
    assert not record.intents
    assert not record.failed


def test_DEMOTE_forgets_the_permit_and_what_was_not_answered() -> None:
    scene = in_step()
    scene.a.controller_in_reach = False
    scene.part()
    lost = scene.host.write(0)
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    scene.connect(B)
    kept = scene.until_answered(scene.host.write(0))
    scene.a.controller_in_reach = True
    scene.join()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert not lost.ok
    assert scene.writer(A, 0) == kept.number


def test_DEMOTE_waits_for_what_the_disk_still_has() -> None:
    """A's disk is slow with w1 when A is demoted: written later, it would lie over what the new primary sends."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    disk = scene.hold(Kind.DISK, A, "WRITE")
    scene.host.write(0)
    scene.run(0.02)
    scene.part()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    scene.run(0.5)
    assert scene.a.ledger.sessions[SESSION].role is Role.PRIMARY
    scene.release(disk)
    scene.run(0.5)
    assert scene.a.ledger.sessions[SESSION].role is Role.SECONDARY
    scene.join()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()


# --- 25 REPROTECT, 26 STOP ---


def test_REPROTECT_the_old_primary_joins_and_only_what_differs_is_copied() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    scene.connect(B)
    write = scene.until_answered(scene.host.write(128))
    scene.a.start()
    scene.run(0.5)
    assert scene.state(B) == "solo"  # nobody has asked for a reprotect
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(A, 128) == write.number
    assert scene.told(B)["last_resync"]["differing_bytes"] == 64 * 1024


def test_STOP_the_permit_comes_before_the_link_goes() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.world.controller.set_paused(SESSION, True)
        scene.run(0.1)
        assert scene.state(A) == "in_step"
        write = scene.until_answered(scene.host.write(0))
        assert scene.writer(B, 0) == write.number
    scene.wait(A, "solo")
    assert scene.row() == "stale"
    scene.run(0.05)
    later = scene.until_answered(scene.host.write(0))
    scene.run(0.5)
    assert scene.writer(B, 0) == write.number != later.number
    assert scene.state(B) == "alone"


def test_STOP_the_secondary_stays_at_one_moment_of_all_volumes() -> None:
    """w1 is on its way to B when the link goes; w2 depends on it. B must not have w2 without w1 (P3)."""
    scene = in_step([SMALL, SMALL])
    for host in scene.hosts:
        scene.until_answered(host.write(50))
    hold = scene.hold(Kind.DISK, B, "WRITE")
    w1 = scene.hosts[0].write(0)
    scene.run(0.01)
    scene.world.controller.set_paused(SESSION, True)
    scene.until_answered(w1)
    scene.until_answered(scene.hosts[1].write(0))
    scene.release(hold)
    scene.run(0.5)
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert failover.done
    assert scene.writer(B, 0, volume=1) == 0


# --- section 9: the forced failover ---


def test_FORCED_an_isolated_old_primary_that_returns_is_counted_and_overwritten() -> None:
    scene = solo()
    scene.a.controller_in_reach = False
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.wait(B, "solo")
    assert failover.done
    alone = scene.until_answered(scene.host.write(0))  # A has a permit and does not know
    scene.a.controller_in_reach = True
    scene.run(0.6)
    assert scene.told(A)["role"] == "secondary"
    assert scene.told(A)["volumes"][0]["dirty_bytes"] >= 64 * 1024
    scene.join()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(A, 0) != alone.number


def test_FORCED_without_the_operators_word_a_stale_row_is_refused() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    failover = scene.world.controller.failover(SESSION)
    scene.run(0.5)
    assert not failover.done
    assert scene.world.arbiter.rows[SESSION].primary == A
