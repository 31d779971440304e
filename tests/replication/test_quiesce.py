"""Rule 23 of docs/safety.md in detail: who asks a primary to be quiet, and what it says when it can't."""

import errno

import pytest
from tests.replication.scene import in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.wanted import NotPossibleNow


def _codes(answers: list[object]) -> list[object]:
    return [answer.code if isinstance(answer, NotPossibleNow) else answer for answer in answers]


def test_SWITCHOVER_a_quiesce_that_is_asked_again_is_answered_like_the_first() -> None:
    """Its answer was lost: the controller calls once more, while it is on its way and when it is quiet."""
    scene = in_step()
    attempt = scene.world.arbiter.next_epoch()
    with scene.holding(Kind.FLUSH, B):
        first = scene.ask(A, "quiesce", attempt=attempt)
        scene.run(0.02)
        second = scene.ask(A, "quiesce", attempt=attempt)
        scene.run(0.02)
        assert not first + second
    scene.run()
    third = scene.ask(A, "quiesce", attempt=attempt)
    scene.run()
    version = {"version": scene.world.arbiter.rows[SESSION].version}
    assert first == second == third == [version]
    assert scene.state(A) == "quiesced"


def test_SWITCHOVER_a_later_attempt_that_comes_while_an_earlier_one_drains_is_quiet_with_it() -> None:
    """The earlier one's caller was lost, and its operation is begun anew: hosts are held already, and not longer."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    older, newer = scene.world.arbiter.next_epoch(), scene.world.arbiter.next_epoch()
    with scene.holding(Kind.FLUSH, B):
        answers = [scene.ask(A, "quiesce", attempt=older)]
        scene.run(0.02)
        answers.append(scene.ask(A, "quiesce", attempt=newer))
        scene.run(0.02)
        assert answers == [[], []]
    scene.run(0.05)
    assert answers == [[{"version": scene.world.arbiter.rows[SESSION].version}]] * 2
    assert scene.state(A) == "quiesced"


def test_SWITCHOVER_not_while_solo() -> None:
    scene = solo()
    answers = scene.ask(A, "quiesce")
    scene.run()
    assert _codes(answers) == ["not_in_step"]
    assert "the session is solo: wait until it is in step" in str(answers[0])
    assert scene.until_answered(scene.host.write(0))


@pytest.mark.parametrize("taken_back", [False, True])
def test_SWITCHOVER_not_while_a_stop_is_under_way(taken_back: bool) -> None:
    """In step still, and the permit is asked for: it would be given behind the version that quiesce tells."""
    scene = in_step()
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.world.controller.set_paused(SESSION, True)
        scene.run()
        if taken_back:
            scene.world.controller.set_paused(SESSION, False)
            scene.run()
        assert scene.state(A) == "in_step"
        answers = scene.ask(A, "quiesce")
        scene.run()
        assert _codes(answers) == ["not_in_step"]
        assert scene.until_answered(scene.host.write(0))


def test_SWITCHOVER_a_flush_of_a_quiesce_that_lost_its_link_makes_no_later_one_quiet() -> None:
    """A's disks are that slow; it drops no intents any more: the later one flushes and drops for itself."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FLUSH, A):
        first = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.world.wire.cut()
        scene.until_answered(scene.host.write(9))
        assert _codes(first) == ["lost_link"]
        scene.wait(A, "in_step")
        second = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.deliver(Kind.FLUSH, A)
        scene.run(0.02)
        assert not second
    scene.run()
    assert second == [{"version": scene.world.arbiter.rows[SESSION].version}]
    for site in (A, B):
        assert not scene.durable(site).intents
        assert not scene.world.disk(0, site).unflushed_sectors


@pytest.mark.parametrize("site", [A, B])
def test_SWITCHOVER_a_flush_that_fails_undoes_it_and_hosts_go_on(site: str) -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.world.disk(0, site).failures.append(Failure("flush", errno.EIO))
    answers = scene.ask(A, "quiesce")
    write = scene.host.write(9)
    scene.run(0.1)
    assert _codes(answers) == ["flush_failed" if site == A else "lost_link"]
    if site == A:
        assert "errno 5" in str(answers[0])
    scene.until_answered(write)


def test_UNDO_who_waits_for_quiet_is_told_that_it_was_undone() -> None:
    scene = in_step()
    with scene.holding(Kind.FLUSH, B):
        attempt = scene.world.arbiter.next_epoch()
        asked = scene.ask(A, "quiesce", attempt=attempt)
        scene.run(0.02)
        undone = scene.ask(A, "resume", attempt=attempt)
        write = scene.host.write(0)
        scene.until_answered(write)
        assert _codes(asked) == ["undone"]
        assert undone == [{}]
        late = scene.ask(A, "quiesce", attempt=attempt)
        scene.run()
        assert _codes(late) == ["older_attempt"]
        assert f"attempt {attempt} is over" in str(late[0])
    scene.run()
    assert scene.state(A) == "in_step"  # the flush's end makes nobody quiet


def test_UNDO_an_older_quiesces_end_is_no_end_of_the_next_one() -> None:
    """The second is undone only when it is asked for."""
    scene = in_step()
    for _ in range(2):
        attempt = scene.world.arbiter.next_epoch()
        asked = scene.ask(A, "quiesce", attempt=attempt)
        scene.run()
        assert asked == [{"version": scene.world.arbiter.rows[SESSION].version}]
        scene.run(0.3)
        assert scene.state(A) == "quiesced"
        scene.ask(A, "resume", attempt=attempt)
        scene.run()
        assert scene.state(A) == "in_step"
    scene.until_answered(scene.host.write(0))


def test_SWITCHOVER_no_intent_is_left_at_the_moment_in_which_it_says_that_it_is_quiet() -> None:
    """A write was under way when it was asked: the flush that counts begins behind that write's answer."""
    scene = in_step()
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        scene.host.write(0)
        scene.run(0.01)
        answers = scene.ask(A, "quiesce")
        scene.run(0.02)
    assert scene.world.run_until(lambda: bool(answers), 1.0)
    assert not scene.durable(A).intents
    assert not scene.durable(B).intents


def test_SWITCHOVER_the_flush_of_a_quiesce_that_was_undone_makes_no_later_one_quiet() -> None:
    """The disks are slow: it was undone, hosts went on, and the next one began while they still flushed for it.

    That flush covers nothing of what hosts wrote between: quiet by it, the row would move to B with an intent there, a
    restart of B would make B dirty, and then nobody serves.
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FLUSH, A):
        first = scene.world.arbiter.next_epoch()
        scene.ask(A, "quiesce", attempt=first)
        scene.run(0.02)
        scene.ask(A, "resume", attempt=first)
        scene.run(0.02)
        assert scene.state(A) == "in_step"
        scene.until_answered(scene.host.write(9))
        second = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.deliver(Kind.FLUSH, A)
        scene.run(0.02)
        assert not second
    assert scene.world.run_until(lambda: bool(second), 1.0)
    for site in (A, B):
        assert not scene.durable(site).intents
        assert not scene.world.disk(0, site).unflushed_sectors


def test_SWITCHOVER_the_commit_of_a_quiesce_that_was_undone_makes_no_later_one_quiet() -> None:
    """A write's intent is behind that commit: quiet by it, A would have an intent when the row moves, and be dirty."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.LEDGER, A, "nothing"):
        first = scene.world.arbiter.next_epoch()
        scene.ask(A, "quiesce", attempt=first)
        scene.run(0.02)
        scene.ask(A, "resume", attempt=first)
        scene.run(0.02)
        assert scene.state(A) == "in_step"
        scene.host.write(9)
        second = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.deliver(Kind.LEDGER, A, "nothing")
        assert not second
    assert scene.world.run_until(lambda: bool(second), 1.0)
    for site in (A, B):
        assert not scene.durable(site).intents
        assert not scene.world.disk(0, site).unflushed_sectors
