"""Rules 22 to 26 and section 9 of docs/safety.md: changing roles. A is the primary, B the secondary, in step."""

import errno
from dataclasses import replace

from tests.replication.scene import SMALL, Scene, in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import Ask, Call, Refusal, decide
from bilocate.replication.records import Role
from bilocate.replication.wanted import CannotPromote, NotPossibleNow, OlderWanted


def _step(scene: Scene, site: str, name: str, epoch: int | None = None) -> list[object]:
    """Ask a site for a step; what it answers."""
    answers: list[object] = []
    known = scene.world.arbiter.rows[SESSION].epoch
    scene.world.agents[site].step(SESSION, name, known if epoch is None else epoch, answers.append)
    return answers


# --- 22 FAILOVER ---


def test_FAILOVER_loses_nothing_and_needs_nothing_of_the_dead_site() -> None:
    scene = in_step([SMALL, SMALL])
    writes = [scene.until_answered(host.write(0)) for host in scene.hosts]
    scene.a.kill()
    failover = scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    assert failover.done
    scene.connect(B)
    for host, write in zip(scene.hosts, writes, strict=True):
        assert scene.until_answered(host.read(0)).found == [write.number]


def test_PRECHECK_flushes_drops_all_intents_and_says_what_there_is() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    answers = _step(scene, B, "precheck")
    scene.run(0.05)
    (facts,) = answers
    assert isinstance(facts, dict)
    assert facts["consistent"]
    assert facts["dirty_bytes"] == 0
    assert not scene.durable(B).intents
    assert not scene.world.disk(0, B).unflushed_sectors
    assert scene.writer(B, 0) == write.number
    assert scene.b.sessions[SESSION].link is None  # its link is gone


def test_PRECHECK_answers_only_when_the_hold_is_durable() -> None:
    scene = in_step()
    with scene.holding(Kind.LEDGER, B, "PutSession"):
        answers = _step(scene, B, "precheck")
        scene.run(0.05)
        assert not answers
    scene.run(0.05)
    assert answers
    assert scene.b.ledger.sessions[SESSION].holds_hello


def test_PRECHECK_leaves_no_intent_of_a_write_that_came_too_late() -> None:
    """w comes while the check flushes; its intent is on its way to the ledger when the link goes.

    It must be gone by the answer: else B restarts dirty, and nobody serves.
    """
    scene = in_step()
    flushes = scene.hold(Kind.FLUSH, B)
    ledger = scene.hold(Kind.LEDGER, B, "AddIntents")
    answers = _step(scene, B, "precheck")
    scene.host.write(0)
    scene.run(0.01)
    assert scene.parked(Kind.LEDGER, B, "AddIntents")
    scene.release(flushes)
    scene.run(0.02)
    assert not answers
    scene.release(ledger)
    scene.run(0.05)
    assert answers
    assert not scene.durable(B).intents
    scene.restart(B)
    scene.run(0.05)
    assert not scene.told(B)["volumes"][0]["dirty_bytes"]


def test_PRECHECK_of_another_epoch_or_role_is_refused() -> None:
    scene = in_step()
    epoch = scene.world.arbiter.rows[SESSION].epoch
    (older,) = _step(scene, B, "precheck", epoch - 1)
    (newer,) = _step(scene, B, "precheck", epoch + 1)
    (role,) = _step(scene, A, "precheck")
    (other,) = _step(scene, B, "quiesce")
    assert isinstance(older, OlderWanted)
    assert [getattr(answer, "code", "") for answer in (newer, role, other)] == [
        "newer_epoch",
        "not_secondary",
        "not_primary",
    ]
    scene.check()


def test_HOLDHELLO_takes_no_hello_until_it_hears_the_outcome_not_even_after_a_restart() -> None:
    scene = in_step()
    _step(scene, B, "precheck")
    scene.run(0.1)
    assert scene.state(B) == "holding"
    scene.restart(B)
    scene.run(0.2)
    assert scene.state(B) == "holding"
    assert scene.told(B)["holds_hello"]
    answers = _step(scene, B, "release")
    scene.run(0.05)
    assert answers == [{}]
    scene.until_in_step()


def test_HOLDHELLO_is_kept_by_a_put_that_comes_in_the_midst_of_the_check() -> None:
    """A put of the same epoch writes the session's row as well: it must not write the hold away."""
    scene = in_step()
    scene.world.controller.reconciling = False
    hold = scene.hold(Kind.LEDGER, B, "PutSession")
    _step(scene, B, "precheck")
    scene.run(0.02)
    assert scene.state(B) == "checking"
    wanted = scene.world.controller.wanted(SESSION, B)
    scene.b.put_session(SESSION, replace(wanted, revision=wanted.revision + 1), lambda error: None)
    scene.release(hold)
    scene.run(0.05)
    assert scene.state(B) == "holding"
    scene.restart(B)
    scene.run(0.05)
    assert scene.state(B) == "holding"


def test_HOLDHELLO_a_promotion_that_could_not_flush_still_takes_no_hello() -> None:
    """The row has changed already: a write confirmed to the old primary now would make B dirty, and nobody serve."""
    scene = in_step()
    scene.a.controller_in_reach = False
    scene.until_answered(scene.host.write(0))
    failure = Failure("flush", errno.EIO)
    calls = scene.hold(Kind.CALL, B, "PUT")
    scene.world.controller.failover(SESSION)
    scene.wait(B, "holding")
    scene.world.disk(0, B).failures.append(failure)
    scene.release(calls)
    scene.run(0.3)
    assert scene.told(B)["role"] == "secondary"
    assert scene.state(B) in ("holding", "promoting")
    write = scene.host.write(8)
    scene.run(0.2)
    assert not write.ok
    scene.world.disk(0, B).failures.clear()
    scene.restart(B)  # a file whose flush failed is opened anew
    scene.wait(B, "solo")


def test_HOLDHELLO_a_living_primary_waits_a_while_before_it_asks_for_a_permit() -> None:
    scene = in_step()
    with scene.holding(Kind.ASK, A):
        _step(scene, B, "precheck")
        scene.run(0.4)
        assert scene.state(A) == "tripped"
        assert not scene.parked(Kind.ASK, A)
        scene.run(0.4)
        assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")


def test_FAILOVER_is_refused_when_the_living_primary_won_the_race() -> None:
    scene = in_step()
    calls = scene.hold(Kind.CALL, B, "precheck answered")
    failover = scene.world.controller.failover(SESSION)
    scene.wait(A, "solo")
    scene.release(calls)
    scene.run(0.3)
    assert not failover.done
    assert scene.world.arbiter.rows[SESSION].primary == A
    assert not scene.told(B)["holds_hello"]
    scene.until_in_step()


def test_FAILOVER_the_version_is_that_of_before_the_check() -> None:
    row = in_step().world.arbiter.rows[SESSION]
    moved = replace(row, version=row.version + 1)
    assert decide(moved, Ask(Call.FAIL_OVER, version=row.version, new_epoch=9)) is Refusal.CHANGED


def test_FAILOVER_promotes_only_behind_a_flush() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.world.controller.reconciling = False
    wanted = replace(scene.world.controller.wanted(SESSION, B), epoch=9, role=Role.PRIMARY, peer_site=A)
    with scene.holding(Kind.FLUSH, B):
        answers: list[object] = []
        scene.b.put_session(SESSION, wanted, answers.append)
        scene.run(0.1)
        assert not answers
        assert scene.b.ledger.sessions[SESSION].epoch < 9
        assert scene.world.disk(0, B).unflushed_sectors
    scene.run(0.05)
    assert answers == [None]
    assert not scene.world.disk(0, B).unflushed_sectors
    assert scene.writer(B, 0) == write.number


def test_FAILOVER_turns_what_the_new_primary_may_lack_itself_into_dirty_bits() -> None:
    """B has intents when it is put as primary (a switchover's drop came later than a write, say)."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.world.controller.reconciling = False
    wanted = replace(
        scene.world.controller.wanted(SESSION, B), epoch=9, role=Role.PRIMARY, peer_site=A, allow_dirty=True
    )
    assert scene.durable(B).intents
    scene.b.put_session(SESSION, wanted, lambda error: None)
    scene.run(0.05)
    assert 0 in scene.durable(B).dirty
    assert not scene.durable(B).intents


def test_FAILOVER_a_dirty_secondary_refuses_to_be_promoted_unless_an_operator_says_so() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.restart(B)
    scene.run(0.05)
    scene.world.controller.reconciling = False
    wanted = replace(scene.world.controller.wanted(SESSION, B), epoch=9, role=Role.PRIMARY, peer_site=A)
    answers: list[object] = []
    scene.b.put_session(SESSION, wanted, answers.append)
    assert isinstance(answers.pop(), CannotPromote)
    assert scene.told(B)["role"] == "secondary"
    scene.b.put_session(SESSION, replace(wanted, allow_dirty=True), answers.append)
    scene.run(0.1)
    assert answers == [None]


def test_FAILOVER_a_put_while_the_secondary_still_settles_is_told_to_come_again() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.b.kill()
    scene.world.controller.reconciling = False
    with scene.holding(Kind.LEDGER, B):
        scene.b.start()
        scene.run(0.01)
        assert scene.state(B) == "settling"
        wanted = replace(
            scene.world.controller.wanted(SESSION, B),
            epoch=9,
            role=Role.PRIMARY,
            peer_site=A,
            allow_dirty=True,
        )
        answers: list[object] = []
        scene.b.put_session(SESSION, wanted, answers.append)
        assert isinstance(answers.pop(), NotPossibleNow)
    scene.run(0.05)
    scene.b.put_session(SESSION, wanted, answers.append)
    scene.run(0.1)
    assert answers == [None]


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
        answers = _step(scene, A, "quiesce")
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
            answers = _step(scene, A, "quiesce")
            scene.run(0.1)
            assert not answers
        scene.run(0.05)
        assert answers


def test_SWITCHOVER_hosts_are_held_while_it_is_quiesced() -> None:
    scene = in_step()
    _step(scene, A, "quiesce")
    scene.run(0.05)
    assert scene.state(A) == "quiesced"
    write, read = scene.host.write(0), scene.host.read(0)
    scene.run(0.2)
    assert not write.ok
    assert not read.ok
    assert scene.host.connection is not None


def test_QVER_the_version_is_the_one_that_the_primary_knows() -> None:
    scene = in_step()
    answers = _step(scene, A, "quiesce")
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
    _step(scene, A, "quiesce")
    scene.run(0.05)
    version = scene.world.arbiter.rows[SESSION].version
    write = scene.host.write(0)
    with scene.holding(Kind.ASK, A):
        answers = _step(scene, A, "resume")
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
    answers = _step(scene, A, "quiesce")
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
    answers = _step(scene, A, "quiesce")
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
        answers = _step(scene, A, "quiesce")
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
