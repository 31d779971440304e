"""MEMBERS: pairs join or leave a group while it is paused; hosts stay connected, evidence stays where it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.replication.scene import SMALL, Scene, in_step
from tests.sim.world.history import HostOp
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import RowState, state_of_successor
from bilocate.domain.errors import BilocateError
from bilocate.replication.records import Role
from bilocate.replication.wanted import CannotPromote, NotPossibleNow, OlderWanted


def _paused(scene: Scene) -> None:
    scene.world.controller.set_paused(SESSION, True)
    scene.wait(A, "solo")
    scene.run(0.1)


def test_MEMBERS_a_new_row_is_no_better_than_the_worst_of_the_old() -> None:
    assert state_of_successor([RowState.IN_SYNC, RowState.SYNCING, RowState.STALE]) is RowState.SYNCING
    assert state_of_successor([RowState.IN_SYNC, RowState.STALE]) is RowState.STALE
    assert state_of_successor([]) is RowState.STALE


def test_MOMENT_a_session_made_of_others_is_never_in_sync_without_a_resync_of_its_own() -> None:
    assert state_of_successor([RowState.IN_SYNC]) is RowState.STALE
    assert state_of_successor([RowState.IN_SYNC, RowState.IN_SYNC]) is RowState.STALE


def test_MEMBERS_a_pair_leaves_into_a_session_of_its_own_and_hosts_stay_connected() -> None:
    scene = in_step([SMALL, SMALL])
    _paused(scene)
    dirty = scene.until_answered(scene.hosts[1].write(3))
    scene.world.controller.regroup({SESSION: [0], "single": [1]})
    under_way = [host.write(8) for host in scene.hosts]
    scene.run(1.0)
    for op in under_way:
        scene.until_answered(op)
    assert all(host.connection is not None for host in scene.hosts)
    for session_id in (SESSION, "single"):
        scene.world.controller.set_paused(session_id, False)
        assert scene.world.run_until(lambda session_id=session_id: scene.world.in_step(session_id), 10.0)  # type: ignore[misc]
    scene.run(0.1)
    scene.watch.evidence.equal("both in step")
    assert scene.writer(B, 3, volume=1) == dirty.number
    assert len(scene.told(A, "single")["volumes"]) == 1


def test_MEMBERS_two_sessions_become_one() -> None:
    scene = in_step([SMALL, SMALL])
    _paused(scene)
    scene.world.controller.regroup({SESSION: [0], "single": [1]})
    scene.run(1.0)
    scene.world.controller.regroup({SESSION: [0, 1]})
    scene.run(1.0)
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.told(A, "single") == {}  # ended, once its volume was taken
    assert all(host.connection is not None for host in scene.hosts)


def _apart_and_one_ahead() -> tuple[Scene, HostOp, HostOp]:
    """A pair has left, w1 was written to its volume, then w2 to the other one, and only that was synced; paused."""
    scene = in_step([SMALL, SMALL])
    _paused(scene)
    scene.world.controller.regroup({SESSION: [0], "single": [1]})
    scene.run(1.0)
    w1 = scene.until_answered(scene.hosts[1].write(3))
    w2 = scene.until_answered(scene.hosts[0].write(3))
    scene.world.controller.set_paused(SESSION, False)
    assert scene.world.run_until(
        lambda: scene.world.in_step(SESSION), 10.0
    )  # B lacks w1: they are not all equal
    _paused(scene)
    return scene, w1, w2


def test_MOMENT_volumes_that_joined_since_are_not_failed_over_to_together() -> None:
    """B would show w2 and not w1, which was answered before w2 was asked for (P3): found by seed 80001760."""
    scene, w1, w2 = _apart_and_one_ahead()
    scene.world.controller.regroup({SESSION: [0, 1]})
    scene.run(1.0)
    assert (scene.writer(B, 3, volume=0), scene.writer(B, 3, volume=1)) == (w2.number, 0)
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert "not of one moment" in str(failover.error)
    assert scene.world.arbiter.rows[SESSION].primary == A
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    _paused(scene)
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.wait(B, "solo")
    assert failover.error is None
    assert scene.writer(B, 3, volume=1) == w1.number


def test_MOMENT_each_of_them_alone_is_failed_over_to() -> None:
    scene, _, _ = _apart_and_one_ahead()
    for session_id in (SESSION, "single"):
        found: list[dict[str, Any] | BilocateError] = []
        epoch, attempt = (
            scene.world.arbiter.rows[session_id].epoch,
            scene.world.arbiter.next_epoch(),
        )
        scene.b.step(session_id, "precheck", epoch, attempt, found.append)
        scene.run(0.5)
        assert isinstance(found[0], dict)
        assert found[0]["one_moment"] is True


def test_MOMENT_what_never_was_in_step_is_of_none() -> None:
    """Whatever its volumes hold, from before they were a pair: it is no moment of this production's."""
    scene = Scene([SMALL, SMALL])
    scene.hold(Kind.FRAME, A, "WELCOME")
    scene.wait(A, "solo")
    assert all(each["consistent"] and not each["generation"] for each in scene.told(B)["volumes"])
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert "not of one moment" in str(failover.error)


def test_MOMENT_volumes_that_left_and_came_back_are_of_one_still() -> None:
    scene = in_step([SMALL, SMALL])
    _paused(scene)
    scene.until_answered(scene.hosts[1].write(3))
    scene.world.controller.regroup({SESSION: [0], "single": [1]})
    scene.run(1.0)
    scene.world.controller.regroup({SESSION: [0, 1]})
    scene.run(1.0)
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.wait(B, "solo")
    assert failover.error is None


def test_MOMENT_a_secondary_of_several_moments_refuses_a_promotion_that_allows_for_no_loss() -> None:
    scene, _, _ = _apart_and_one_ahead()
    scene.world.controller.regroup({SESSION: [0, 1]})
    scene.run(1.0)
    scene.world.controller.reconciling = False
    wanted = scene.world.controller.wanted(SESSION, B)
    promoted = replace(wanted, epoch=scene.world.arbiter.next_epoch(), role=Role.PRIMARY, peer_site=A)
    answers: list[object] = []
    scene.b.put_session(SESSION, promoted, answers.append)
    scene.run(0.5)
    assert isinstance(answers[0], CannotPromote)
    assert "not known to be of one moment" in str(answers[0])
    scene.b.put_session(SESSION, replace(promoted, allow_dirty=True), answers.append)
    scene.run(0.5)
    assert answers[1] is None


def test_MEMBERS_a_session_whose_volumes_were_taken_stays_stopped_after_a_restart() -> None:
    scene = in_step([SMALL])
    _paused(scene)
    scene.world.controller.regroup({"another": [0]})
    scene.hold(Kind.CALL, "", "DELETE")
    scene.run(1.0)
    assert scene.told(A, SESSION)["state"] == "stopped"
    scene.restart(A)
    scene.run(0.1)
    assert scene.told(A, SESSION)["state"] == "stopped"
    scene.wait_for("another", A, "solo")


def test_MEMBERS_a_volume_that_a_later_epoch_took_is_not_given_back_to_an_earlier_one() -> None:
    scene = in_step([SMALL])
    _paused(scene)
    old = scene.world.controller.wanted(SESSION, A)
    scene.world.controller.regroup({"another": [0]})
    scene.run(1.0)
    answers: list[object] = []
    scene.a.put_session(SESSION, old, answers.append)
    scene.a.put_session("third", replace(old, epoch=old.epoch), answers.append)
    assert all(isinstance(answer, OlderWanted) for answer in answers)
    assert scene.told(A, "another")["serving"]


def test_MEMBERS_what_a_disk_still_has_ends_before_the_new_session_begins() -> None:
    """w1 is at A's slow disk when the session changes: carried out anew later, it would lie over a newer write."""
    scene = in_step([SMALL])
    _paused(scene)
    disk = scene.hold(Kind.DISK, A, "WRITE")
    w1 = scene.host.write(0)
    scene.run(0.02)
    scene.world.controller.regroup({"another": [0]})
    scene.run(0.5)
    assert scene.told(A, "another") == {}
    scene.release(disk)
    scene.until_answered(w1)
    w2 = scene.until_answered(scene.host.write(0))
    scene.run(0.2)
    assert scene.writer(A, 0) == w2.number


def test_MEMBERS_ending_a_session_forgets_the_pairs_past() -> None:
    scene = in_step([SMALL])
    scene.world.controller.reconciling = False
    answers: list[object] = []
    epoch = scene.world.arbiter.rows[SESSION].epoch
    scene.a.delete_session(SESSION, epoch - 1, answers.append)
    assert isinstance(answers.pop(), OlderWanted)
    scene.a.delete_session(SESSION, epoch, answers.append)
    scene.run(0.1)
    assert answers == [None]
    record = scene.durable(A)
    assert record.generation == ""
    assert not record.intents
    assert not record.dirty
    assert not record.failed
    assert SESSION not in scene.a.ledger.sessions


CHANGES = ("put", "let_go", "end")


@pytest.mark.parametrize("first", CHANGES)
@pytest.mark.parametrize("second", CHANGES)
def test_MEMBERS_of_two_changes_at_once_the_second_is_refused_and_the_first_is_told_of_its_end(
    first: str, second: str
) -> None:
    """The disk still has w1, so the first one waits; the second, had it taken its place, would be told instead."""
    scene = in_step([SMALL])
    scene.world.controller.reconciling = False
    disk = scene.hold(Kind.DISK, A, "WRITE")
    scene.host.write(0)
    scene.run(0.02)
    told: list[str] = []
    _change(scene, first, 5, lambda: told.append("first"))
    with pytest.raises(NotPossibleNow):
        _change(scene, second, 6, lambda: told.append("second"))
    scene.run(0.1)
    assert not told
    scene.release(disk)
    scene.run(0.1)
    assert told == ["first"]
    _change(scene, "end", 6, lambda: told.append("third"))
    scene.run(0.1)
    assert told == ["first", "third"]


def _change(scene: Scene, kind: str, epoch: int, done: Callable[[], None]) -> None:
    ports = scene.a.sessions[SESSION]
    session, now = ports.session, scene.world.scheduler.now
    try:
        match kind:
            case "put":
                wanted = replace(scene.world.controller.wanted(SESSION, A), epoch=epoch)
                session.put(wanted, session.marks, now, lambda error: done())
            case "let_go":
                session.let_go(now, done)
            case _:
                session.end(epoch, now, lambda error: done())
    finally:
        ports.after()
