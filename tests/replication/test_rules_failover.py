"""Rule 22 of docs/safety.md: failover. A is the primary, B the secondary, in step."""

import errno
from dataclasses import replace

from tests.replication.scene import SMALL, in_step
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import Ask, Call, Refusal, decide
from bilocate.replication.records import Role
from bilocate.replication.wanted import CannotPromote, NotPossibleNow, OlderWanted

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
    answers = scene.ask(B, "precheck")
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
        answers = scene.ask(B, "precheck")
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
    answers = scene.ask(B, "precheck")
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


def test_PRECHECK_tells_for_how_long_the_secondary_has_not_followed() -> None:
    """What an operator who allows data loss may lose at most."""
    scene = in_step()
    scene.run(20.0)
    scene.part()
    scene.wait(A, "solo")
    scene.run(5.0)
    answers = scene.ask(B, "precheck")
    scene.run(0.1)
    (facts,) = answers
    assert isinstance(facts, dict)
    assert 5.0 <= facts["behind_seconds"] <= 10.0
    assert facts["behind_seconds"] == round(facts["behind_seconds"], 3)


def test_PRECHECK_of_a_secondary_that_has_not_followed_since_its_start_tells_no_time() -> None:
    scene = in_step()
    scene.a.kill()
    scene.restart(B)
    scene.run(0.2)
    answers = scene.ask(B, "precheck")
    scene.run(0.1)
    (facts,) = answers
    assert isinstance(facts, dict)
    assert facts["behind_seconds"] is None


def test_PRECHECK_of_a_copy_that_can_not_be_promoted_tells_so_and_disturbs_nothing() -> None:
    for spoilt in ({"consistent": False}, {"blank": True}):
        scene = in_step()
        half = scene.b.sessions[SESSION].session.half
        assert half is not None
        for name, value in spoilt.items():
            setattr(half.marks[0].record, name, value)
        (facts,) = scene.ask(B, "precheck")
        assert isinstance(facts, dict)
        assert (facts["consistent"], facts["blank"]) == ("consistent" not in spoilt, "blank" in spoilt)
        scene.run(0.1)
        assert scene.state(B) == "following"
        assert not scene.told(B)["holds_hello"]


def test_PRECHECK_counts_extents_that_failed_as_what_may_be_missing() -> None:
    scene = in_step()
    half = scene.b.sessions[SESSION].session.half
    assert half is not None
    half.marks[0].record.failed.add(0)
    answers = scene.ask(B, "precheck")
    scene.run(0.1)
    (facts,) = answers
    assert isinstance(facts, dict)
    assert facts["dirty_bytes"] == SMALL


def test_PRECHECK_while_the_secondary_still_settles_is_told_to_come_again() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.b.kill()
    scene.world.controller.reconciling = False
    with scene.holding(Kind.LEDGER, B):
        scene.b.start()
        scene.run(0.01)
        assert scene.state(B) == "settling"
        (busy,) = scene.ask(B, "precheck")
        assert isinstance(busy, NotPossibleNow)
        assert (busy.code, str(busy)) == ("busy", "the secondary is settling: try again")


def test_PRECHECK_of_another_epoch_or_role_is_refused() -> None:
    scene = in_step()
    epoch = scene.world.arbiter.rows[SESSION].epoch
    (older,) = scene.ask(B, "precheck", epoch - 1)
    (newer,) = scene.ask(B, "precheck", epoch + 1)
    (role,) = scene.ask(A, "precheck")
    (other,) = scene.ask(B, "quiesce")
    assert isinstance(older, OlderWanted)
    assert [getattr(answer, "code", "") for answer in (newer, role, other)] == [
        "newer_epoch",
        "not_secondary",
        "not_primary",
    ]
    scene.check()


def test_HOLDHELLO_takes_no_hello_until_it_hears_the_outcome_not_even_after_a_restart() -> None:
    scene = in_step()
    scene.ask(B, "precheck")
    scene.run(0.1)
    assert scene.state(B) == "holding"
    scene.restart(B)
    scene.run(0.2)
    assert scene.state(B) == "holding"
    assert scene.told(B)["holds_hello"]
    answers = scene.ask(B, "release")
    scene.run(0.05)
    assert answers == [{}]
    scene.until_in_step()


def test_HOLDHELLO_is_over_after_a_restart_too_when_the_failover_was_given_up() -> None:
    """The release is durable before it is answered: a secondary that restarts takes hellos."""
    scene = in_step()
    scene.ask(B, "precheck")
    scene.run(0.1)
    with scene.holding(Kind.LEDGER, B, "PutSession"):
        answers = scene.ask(B, "release")
        scene.run(0.05)
        assert not answers
    scene.run(0.05)
    assert answers == [{}]
    assert scene.b.ledger.sessions[SESSION].holds_hello == 0
    scene.restart(B)
    scene.until_in_step()


def test_PRECHECK_whose_flush_fails_says_so_and_holds_nothing() -> None:
    scene = in_step()
    flushes = scene.hold(Kind.FLUSH, B)
    answers = scene.ask(B, "precheck")
    scene.run(0.02)
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    scene.release(flushes)
    scene.run(0.1)
    (refused,) = answers
    assert isinstance(refused, NotPossibleNow)
    assert refused.code == "flush_failed"
    assert f"errno {errno.EIO}" in str(refused)
    assert scene.state(B) not in ("checking", "holding")
    assert not scene.told(B)["holds_hello"]


def test_PRECHECK_that_is_given_up_in_the_midst_tells_whoever_asked() -> None:
    scene = in_step()
    attempt = scene.world.arbiter.next_epoch()
    with scene.holding(Kind.FLUSH, B):
        answers = scene.ask(B, "precheck", attempt=attempt)
        scene.run(0.02)
        scene.ask(B, "release", attempt=attempt)
        scene.run(0.02)
        (refused,) = answers
        assert isinstance(refused, NotPossibleNow)
        assert (refused.code, str(refused)) == ("released", "the failover was given up meanwhile")
    scene.run(0.05)
    assert scene.told(B)["holds_hello"] in (0, False)
    scene.until_in_step()


def test_HOLDHELLO_is_kept_by_a_put_that_comes_in_the_midst_of_the_check() -> None:
    """A put of the same epoch writes the session's row as well: it must not write the hold away."""
    scene = in_step()
    scene.world.controller.reconciling = False
    hold = scene.hold(Kind.LEDGER, B, "PutSession")
    scene.ask(B, "precheck")
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
        scene.ask(B, "precheck")
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
