"""LATE, of rules 22 and 23: calls of an attempt to change roles that arrive late, twice or out of order do nothing.

A is the primary, B the secondary, in step. Attempts have numbers that rise.
"""

import errno
from dataclasses import replace

from tests.replication.scene import Scene, in_step
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import Ask, Call, Row
from bilocate.replication.attempts import Attempts
from bilocate.replication.records import Role
from bilocate.replication.wanted import NotPossibleNow


def without_controller() -> Scene:
    """In step, and A can't ask the arbiter: neither may it go on alone, nor does the row move."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.world.controller.reconciling = False
    scene.a.controller_in_reach = False
    return scene


def refused(answers: list[object]) -> bool:
    (answer,) = answers
    return isinstance(answer, NotPossibleNow) and answer.code == "older_attempt"


def test_LATE_a_release_of_an_earlier_failover_does_not_lift_a_newer_hold() -> None:
    """
    A                                      B                                  controller
    in step, without controller                                               failover 1 is checked, and refused
                                           released                           releases; asks once more
    resumes                                                                   (the second release is on its way)
                                           check 2 passed, holds hellos       failover 2
                                           the late release comes: still holds
    dials, and must be refused             process ends, starts: still holds
    w1 is not answered                                                        the row changes
                                           clean: promoted, serves
    """
    scene = without_controller()
    first, second = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    row = scene.world.arbiter.rows[SESSION]
    scene.ask(B, "precheck", attempt=first)
    scene.run(0.1)
    scene.ask(B, "release", attempt=first)
    scene.wait(A, "in_step")
    checked = scene.ask(B, "precheck", attempt=second)
    scene.wait(B, "holding")
    assert scene.ask(B, "release", attempt=first) == [{}]
    w1 = scene.host.write(0)
    scene.run(0.3)
    assert not w1.ok
    scene.restart(B)
    scene.run(0.3)
    assert scene.state(B) == "holding"
    (facts,) = checked
    assert isinstance(facts, dict)
    ask = Ask(Call.FAIL_OVER, version=row.version, new_epoch=second)
    assert isinstance(scene.world.arbiter.call(SESSION, ask), Row)
    scene.world.observers.failed_over(B, False)
    scene.b.put_session(SESSION, scene.world.controller.wanted(SESSION, B), lambda error: None)
    scene.wait(B, "solo")
    assert not w1.ok


def test_LATE_a_restarted_secondary_still_knows_whose_hold_it_is() -> None:
    scene = without_controller()
    older, newer = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    scene.ask(B, "precheck", attempt=newer)
    scene.run(0.1)
    scene.restart(B)
    scene.run(0.1)
    scene.ask(B, "release", attempt=older)
    scene.run(0.3)
    assert scene.state(B) == "holding"
    scene.ask(B, "release", attempt=newer)
    scene.a.controller_in_reach = True
    scene.until_in_step()


def test_LATE_a_check_that_comes_after_its_release_leaves_no_hold() -> None:
    """Its caller waited in vain, gave it up, and released: only then the check is carried out."""
    scene = in_step()
    attempt = scene.world.arbiter.next_epoch()
    assert not scene.ask(B, "release", attempt=attempt)  # answered once it is durable
    scene.run()
    assert refused(scene.ask(B, "precheck", attempt=attempt))
    scene.run()
    scene.check()


def test_LATE_a_check_of_an_earlier_failover_does_not_take_a_newer_hold_over() -> None:
    """Else a late release of that earlier one would lift it."""
    scene = without_controller()
    older, newer = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    scene.ask(B, "precheck", attempt=newer)
    scene.wait(B, "holding")
    assert refused(scene.ask(B, "precheck", attempt=older))
    scene.ask(B, "release", attempt=older)
    scene.run(0.3)
    assert scene.state(B) == "holding"


def test_LATE_a_hold_that_is_on_its_way_to_the_ledger_becomes_the_newest_ones() -> None:
    """B has asked its ledger to hold for the first when the second comes: that it holds for the second is durable
    before the second is answered."""
    scene = without_controller()
    older, newer = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    ledger = scene.hold(Kind.LEDGER, B, "PutSession")
    scene.ask(B, "precheck", attempt=older)
    scene.run(0.05)
    assert scene.parked(Kind.LEDGER, B, "PutSession")
    checked = scene.ask(B, "precheck", attempt=newer)
    scene.deliver(Kind.LEDGER, B, "PutSession")
    assert not checked
    scene.release(ledger)
    scene.run(0.05)
    assert checked
    assert scene.b.ledger.sessions[SESSION].holds_hello == newer


def test_LATE_a_check_that_begins_before_the_release_of_the_last_is_durable_is_answered() -> None:
    scene = without_controller()
    flushes = scene.hold(Kind.FLUSH, B)
    first = scene.ask(B, "precheck")
    scene.run(0.01)
    assert scene.state(B) == "checking"
    with scene.holding(Kind.LEDGER, B, "PutSession"):
        scene.ask(B, "release")
        assert [getattr(answer, "code", "") for answer in first] == ["released"]
        second = scene.ask(B, "precheck")
        scene.release(flushes)
        scene.run(0.05)
    scene.run(0.05)
    assert isinstance(second[0], dict)
    assert scene.state(B) == "holding"


def test_LATE_a_check_that_is_given_up_in_the_midst_leaves_both_in_step() -> None:
    scene = in_step()
    with scene.holding(Kind.FLUSH, B):
        scene.ask(B, "precheck")
        scene.run(0.01)
        assert scene.state(B) == "checking"
        scene.ask(B, "release")
        scene.run(0.01)
    scene.until_in_step()
    assert scene.state(B) == "following"


def test_LATE_no_release_lifts_the_hold_of_a_promotion_that_could_not_flush() -> None:
    """The row has changed: a release of a failover of before would let the old primary in again."""
    scene = without_controller()
    older = scene.world.arbiter.next_epoch()
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    wanted = scene.world.controller.wanted(SESSION, B)
    new = scene.world.arbiter.next_epoch()
    scene.b.put_session(
        SESSION, replace(wanted, epoch=new, role=Role.PRIMARY, peer_site=A), lambda error: None
    )
    scene.wait(B, "holding")
    scene.ask(B, "release", attempt=older)
    scene.run(0.3)
    assert scene.state(B) == "holding"
    scene.restart(B)
    scene.run(0.05)
    scene.ask(B, "release", attempt=older)
    scene.run(0.3)
    assert scene.state(B) == "holding"


def test_LATE_a_resume_of_an_earlier_reversal_does_not_let_hosts_of_a_newer_one_go_on() -> None:
    scene = in_step()
    older, newer = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    version = scene.world.arbiter.rows[SESSION].version
    scene.ask(A, "quiesce", attempt=newer)
    scene.wait(A, "quiesced")
    assert scene.ask(A, "resume", attempt=older) == [{}]
    scene.run(0.1)
    assert scene.state(A) == "quiesced"
    assert scene.world.arbiter.rows[SESSION].version == version
    scene.ask(A, "resume", attempt=newer)
    scene.until_in_step()


def test_LATE_a_quiesce_that_comes_after_its_resume_holds_no_host() -> None:
    scene = in_step()
    attempt = scene.world.arbiter.next_epoch()
    assert scene.ask(A, "resume", attempt=attempt) == [{}]
    assert refused(scene.ask(A, "quiesce", attempt=attempt))
    scene.until_answered(scene.host.write(0))
    scene.check()


def test_LATE_calls_count_until_their_attempt_is_over_or_a_newer_one_is_heard_of() -> None:
    attempts = Attempts()
    assert not attempts.begin(0)  # the number of no attempt: a hold for it would be none
    assert attempts.begin(1)
    assert attempts.begin(1)  # asked twice: its caller waits for an answer
    assert attempts.begin(3)
    assert not attempts.begin(2)
    assert not attempts.end(2)
    assert attempts.begin(3)
    assert attempts.end(3)
    assert attempts.end(3)
    assert not attempts.begin(3)
    assert attempts.end(5)  # it came before what it ends
    assert not attempts.begin(5)
    assert attempts.begin(6)
    assert attempts.newest == 6
