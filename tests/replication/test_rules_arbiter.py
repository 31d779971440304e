"""Rules of section 3 of docs/safety.md: the arbiter's row, and what an agent may believe of it."""

from dataclasses import replace
from itertools import count

import pytest
from tests.replication.scene import in_step, solo
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide
from bilocate.domain.errors import BilocateError
from bilocate.replication.row_view import RowView
from bilocate.replication.wanted import OlderWanted

ROW = Row("group", 3, A, B, RowState.IN_SYNC, 7)
VERSIONED = [
    Call.REQUEST_SOLO,
    Call.REQUEST_VOUCHED_SOLO,
    Call.REQUEST_RESYNC,
    Call.REPORT_IN_SYNC,
    Call.FAIL_OVER,
    Call.SWITCH_OVER,
]


@pytest.mark.parametrize("call", VERSIONED)
def test_CAS_every_call_but_attach_is_refused_with_an_older_version(call: Call) -> None:
    ask = Ask(call, epoch=3, site=A, version=6, new_epoch=4, allow_data_loss=True)
    assert decide(ROW, ask) is Refusal.CHANGED


@pytest.mark.parametrize(
    "call", [Call.ATTACH, Call.REQUEST_SOLO, Call.REQUEST_RESYNC, Call.FAIL_OVER, Call.SWITCH_OVER]
)
def test_CAS_every_accepted_call_raises_the_version_by_one(call: Call) -> None:
    said = decide(ROW, Ask(call, epoch=3, site=A, version=7, new_epoch=4))
    assert isinstance(said, Row)
    assert said.version == 8


def test_CAS_a_permit_request_of_an_earlier_moment_does_nothing_later() -> None:
    """A asks for solo, gives the request up, comes in step again; only then the request arrives."""
    scene = in_step()
    hold = scene.hold(Kind.ASK, A, "REQUEST_SOLO")
    scene.part()
    scene.run(0.3)
    late = scene.expire(Kind.ASK, A, "REQUEST_SOLO")
    scene.world.scheduler.parked.remove(late)
    scene.release(hold)
    scene.join()
    scene.until_in_step()
    late.run()
    assert scene.row() == "in_sync"
    scene.run(0.2)
    scene.check()


def test_REPLY_only_the_answer_to_the_call_under_way_is_believed() -> None:
    """The answer to a call that was given up comes while another is under way, and after it."""
    scene = in_step()
    hold = scene.hold(Kind.ASK, A)
    scene.part()
    scene.run(0.2)
    session = scene.a.sessions[SESSION].session
    permit = replace(scene.world.arbiter.rows[SESSION], state=RowState.STALE)
    scene.expire(Kind.ASK, A, "REQUEST_SOLO")
    scene.run(0.2)
    assert scene.parked(Kind.ASK, A, "ATTACH")
    for call_id in range(20):
        if call_id != 3:  # attach at the start, ..., the one under way is not answered here
            session.on_answer(call_id, permit, scene.world.scheduler.now)
    under_way = [event.name for event in scene.parked(Kind.ASK, A)]
    assert under_way[-1] == "ATTACH"
    scene.release(hold)


def test_REPLY_one_call_at_a_time() -> None:
    asked: list[tuple[int, Call, int, int]] = []

    class Ports:
        def ask_arbiter(self, *call: int) -> None:
            asked.append(call)  # type: ignore[arg-type]

    view = RowView(Ports(), 3, count(1))  # type: ignore[arg-type]
    assert view.ask(Call.ATTACH)
    assert not view.ask(Call.ATTACH)
    assert view.answered(2, ROW) is None
    assert view.pending is Call.ATTACH
    assert view.row is None
    assert view.answered(1, ROW) == (Call.ATTACH, ROW)
    assert view.row == ROW
    assert view.answered(1, replace(ROW, version=9)) is None
    assert view.row == ROW
    assert view.ask(Call.REQUEST_SOLO)
    assert asked == [(1, Call.ATTACH, 3, 0), (2, Call.REQUEST_SOLO, 3, 7)]


@pytest.mark.parametrize("outcome", [None, Refusal.CHANGED, Refusal.STATE, Refusal.SUPERSEDED])
def test_FORGET_without_a_row_in_the_answer_the_row_is_unknown_until_attach(outcome: Refusal | None) -> None:
    class Ports:
        def ask_arbiter(self, *call: object) -> None: ...

    view = RowView(Ports(), 3, count(1))  # type: ignore[arg-type]
    view.ask(Call.ATTACH)
    view.answered(1, ROW)
    view.ask(Call.REQUEST_SOLO)
    view.answered(2, outcome)
    assert view.row is None
    assert not view.ask(Call.REQUEST_SOLO)
    assert view.ask(Call.ATTACH)


def test_FORGET_a_permit_that_was_given_and_not_heard_of_is_no_in_sync() -> None:
    """A restarts while B is away; its permit request is carried out, the answer lost; B comes back.

    Whoever goes on with the old row pulls, and is in step while the row says stale.
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.restart(A)
    answers = scene.hold(Kind.ANSWER, A, "REQUEST_SOLO")
    scene.run(0.7)
    assert scene.row() == "stale"
    scene.b.start()
    scene.b.ledger.volumes[scene.world.volume_id(0, B)].dirty.clear()
    scene.drop(Kind.ANSWER, A, "REQUEST_SOLO")
    scene.release(answers)
    seen: set[str] = set()
    while not scene.world.in_step():
        scene.run(0.002)
        seen.add(scene.state(A))
    assert "pulling" not in seen
    scene.until_in_step()


def test_ATTACH_a_started_primary_asks_nothing_else_and_serves_nobody_before_it() -> None:
    scene = in_step()
    asks = scene.hold(Kind.ASK, A)
    scene.restart(A)
    scene.run(1.0)
    assert {event.name for event in scene.parked(Kind.ASK, A)} == {"ATTACH"}
    assert not scene.connects(A)
    scene.release(asks)
    scene.until_in_step()


def test_ATTACH_a_promoted_primary_takes_nothing_from_what_a_controller_puts() -> None:
    scene = in_step()
    asks = scene.hold(Kind.ASK, B)
    scene.world.controller.failover(SESSION)
    scene.wait(B, "detached")
    scene.run(1.0)
    assert {event.name for event in scene.parked(Kind.ASK, B)} == {"ATTACH"}
    assert not scene.connects(B)
    scene.release(asks)
    scene.wait(B, "solo")


def test_ATTACH_raises_the_version_so_that_a_former_lifes_calls_are_dead() -> None:
    scene = solo()
    scene.join()
    late = Ask(
        Call.REQUEST_SOLO,
        scene.world.arbiter.rows[SESSION].epoch,
        A,
        scene.world.arbiter.rows[SESSION].version,
    )
    scene.restart(A)
    scene.run(0.1)
    assert scene.world.arbiter.call(SESSION, late) is Refusal.CHANGED


def test_REV_an_older_epoch_or_revision_is_refused_and_changes_nothing() -> None:
    scene = in_step()
    scene.world.controller.set_paused(SESSION, False)  # revision 2
    scene.run(0.1)
    wanted = scene.world.controller.wanted(SESSION, A)
    answers: list[BilocateError | None] = []
    scene.a.put_session(SESSION, replace(wanted, revision=wanted.revision - 1, paused=True), answers.append)
    scene.a.put_session(SESSION, replace(wanted, epoch=wanted.epoch - 1, revision=99), answers.append)
    scene.run(0.1)
    assert [getattr(answer, "code", None) for answer in answers] == ["older_revision", "older_epoch"]
    assert all(isinstance(answer, OlderWanted) for answer in answers)
    assert scene.told(A)["revision"] == wanted.revision
    scene.check()


def test_REV_a_lower_epoch_is_refused_whatever_its_members() -> None:
    scene = in_step()
    session = scene.a.sessions[SESSION].session
    lower = replace(scene.world.controller.wanted(SESSION, A), epoch=session.epoch - 1, members=())
    with pytest.raises(OlderWanted):
        session.put(lower, [], scene.world.scheduler.now, lambda error: None)


def test_REV_the_same_again_is_fine() -> None:
    scene = in_step()
    answers: list[BilocateError | None] = []
    for _ in range(2):
        scene.a.put_session(SESSION, scene.world.controller.wanted(SESSION, A), answers.append)
        scene.b.put_session(SESSION, scene.world.controller.wanted(SESSION, B), answers.append)
        scene.run(0.1)
    assert answers == [None] * 4
    scene.check()


def test_SUPERSEDED_a_primary_that_hears_of_another_stops_and_disconnects_its_hosts() -> None:
    scene = in_step()
    scene.part()
    scene.world.arbiter.call(
        SESSION, Ask(Call.FAIL_OVER, version=scene.world.arbiter.rows[SESSION].version, new_epoch=9)
    )
    scene.world.observers.failed_over(B, False)
    scene.world.controller.reconciling = False
    write = scene.host.write(0)
    scene.run(0.5)
    assert scene.state(A) == "retired"
    assert scene.host.connection is None
    assert not write.ok
    assert not scene.connects(A)


def test_FORGET_a_row_that_is_forgotten_allows_no_call_but_attach() -> None:
    class Ports:
        def ask_arbiter(self, *call: object) -> None: ...

    view = RowView(Ports(), 3, count(1))  # type: ignore[arg-type]
    view.ask(Call.ATTACH)
    view.answered(1, ROW)
    view.forget()
    assert view.row is None
    assert not view.ask(Call.REQUEST_SOLO)
    assert view.ask(Call.ATTACH)
