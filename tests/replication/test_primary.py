"""The primary: refusals, late failures, frames at the wrong moment. A is the primary, B the secondary."""

import errno
from dataclasses import replace
from typing import Any

import pytest
from tests.replication.scene import SMALL, Scene, in_step, solo
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.frames import Frame, MalformedFrame, encode_json, encode_suspects
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.requests import Op, Request


def _half(scene: Scene) -> PrimaryHalf:
    half = scene.a.sessions[SESSION].session.half
    assert isinstance(half, PrimaryHalf)
    return half


# --- refusals ---


def test_EPOCH_a_primary_that_is_refused_for_its_epoch_asks_the_row_and_stops() -> None:
    """It is solo under an old permit, and roles were changed twice without it: nothing else would ever tell it."""
    scene = solo()
    scene.world.controller.reconciling = False
    scene.until_answered(scene.host.write(0))
    rows = scene.world.arbiter.rows
    epoch = scene.world.arbiter.next_epoch()
    rows[SESSION] = replace(rows[SESSION], epoch=epoch, version=rows[SESSION].version + 1)
    scene.b.put_session(SESSION, scene.world.controller.wanted(SESSION, B), lambda error: None)
    scene.run(0.1)
    assert scene.state(A) == "solo"
    scene.join()
    scene.run(0.5)
    assert scene.state(A) == "retired"
    assert "superseded" in scene.told(A)["refusal"]
    assert scene.host.connection is None
    assert not scene.connects(A)


def test_TRIP_a_link_that_the_secondary_lets_go_changes_what_time_it_is_to_wait_for() -> None:
    """The agent sets its timer anew behind frames of which the session says so, and sleeps too long behind others."""
    scene = in_step()
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    now, number = scene.world.scheduler.now, ports.link.number
    confirm = Frame(FrameKind.CONFIRM, seq=_half(scene).path.seq)
    farewell = Frame(FrameKind.BYE, payload=encode_json(FrameKind.BYE, {"reason": "test"})[1])
    assert not ports.session.on_frames(number, [confirm], now)
    assert ports.session.on_frames(number, [farewell, confirm], now)
    assert scene.state(A) == "tripped"


@pytest.mark.parametrize(
    ("kind", "content"),
    [(FrameKind.BYE, {"reason": "test"}), (FrameKind.FAILED, {"reason": "t", "errno": 5})],
)
def test_SOLO_how_long_it_waits_behind_a_link_that_the_secondary_ended(
    kind: FrameKind, content: dict[str, Any]
) -> None:
    """A while, for the link may come back; not at all, if the secondary has failed; no failover is being checked."""
    scene = in_step(resume_wait_seconds=0.2, failover_hold_seconds=5.0)
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    scene.world.wire.up = False
    with scene.holding(Kind.ASK, A):
        frame = Frame(kind, payload=encode_json(kind, content)[1])
        ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
        ports.after()
        scene.run(0.1)
        assert bool(scene.parked(Kind.ASK, A, "REQUEST_SOLO")) == (kind is FrameKind.FAILED)
        scene.run(0.2)
        assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.wait(A, "solo")
    scene.join()
    scene.until_in_step()


@pytest.mark.parametrize("volume", [0, 1, 9])
def test_rule_27_suspects_behind_the_welcome_or_of_no_volume_are_malformed(volume: int) -> None:
    """Volume 0 behind it, the others in front of it."""
    scene = in_step()
    half = _half(scene)
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    _, payload = next(iter(encode_suspects(volume, [(0, 1)])))
    frame = Frame(FrameKind.SUSPECTS, 0, volume, 1, payload=payload)
    if volume:
        half.welcome = None
    with pytest.raises(MalformedFrame, match=r"SUSPECTS while the primary is in_step"):
        ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)


@pytest.mark.parametrize("what", ["epoch", "volumes"])
def test_EPOCH_a_welcome_of_another_epoch_or_of_other_volumes_is_malformed(what: str) -> None:
    scene = in_step()
    half = _half(scene)
    ports = scene.a.sessions[SESSION]
    welcome = half.welcome
    assert ports.link is not None
    assert welcome is not None
    if what == "epoch":
        other = replace(welcome, epoch=welcome.epoch + 1)
    else:
        other = replace(welcome, volumes=welcome.volumes * 2)
    half.welcome = None
    frame = Frame(FrameKind.WELCOME, payload=encode_json(FrameKind.WELCOME, other.to_json())[1])
    with pytest.raises(MalformedFrame, match=r"a WELCOME of another epoch, or of other volumes"):
        ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)


# --- the arbiter ---


def test_SOLO_without_a_controller_it_asks_only_now_and_then() -> None:
    scene = in_step(trace=True, arbiter_retry_seconds=0.5)
    scene.a.controller_in_reach = False
    scene.part()
    lines = scene.world.trace.lines
    before = len(lines)
    scene.run(3.0)
    assert 4 <= sum("-> ask_arbiter" in line for line in lines[before:]) <= 7


def test_SOLO_a_permit_that_was_refused_for_its_version_is_asked_for_again_at_once() -> None:
    """The row is there and the controller well: hosts are held for nothing."""
    scene = in_step(arbiter_retry_seconds=20.0)
    asks = scene.hold(Kind.ASK, A, "REQUEST_SOLO")
    scene.part()
    scene.run(0.2)
    rows = scene.world.arbiter.rows
    rows[SESSION] = replace(rows[SESSION], version=rows[SESSION].version + 1)
    scene.release(asks)
    scene.wait(A, "solo", 0.5)


# --- the own disk ---


def test_STICKY_a_write_that_the_own_disk_fails_late_is_told_the_host_and_marked() -> None:
    """Answered as done, it would be at B only, and A would read something else."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, SECTOR))
    with scene.holding(Kind.DISK, A, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        scene.deliver(Kind.DISK, A, "WRITE")
        scene.run(0.02)
    assert write.errno == errno.EIO
    assert scene.durable(A).failed == {0}


def test_FAILEND_a_permit_is_asked_for_at_once() -> None:
    """Hosts are held without one, and there is no link that may come back."""
    scene = solo(resume_wait_seconds=5.0)
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, A, "ENDED"):
        scene.wait(A, "sealing")
        scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, SECTOR))
        scene.world.wire.up = False
        failed = scene.host.write(0)
        scene.wait(A, "solo", 0.2)
    assert failed.errno == errno.EIO
    scene.world.disk(0, A).failures.clear()
    scene.join()
    scene.until_in_step()


# --- stop ---


def test_STOP_whose_call_has_no_outcome_is_asked_for_again() -> None:
    """The row is unknown then, and nothing but an attach is allowed."""
    scene = in_step()
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.world.controller.set_paused(SESSION, True)
        scene.run(0.1)
        scene.expire(Kind.ASK, A, "REQUEST_SOLO")
        scene.run(0.5)
        assert scene.state(A) == "in_step"
    scene.wait(A, "solo")
    scene.run()
    assert scene.state(B) == "alone"


def test_STOP_during_a_resync_ends_it_at_once() -> None:
    """Carried to its end, hosts would wait for a secondary that an operator has just told to be left alone."""
    scene = solo()
    write = scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        scene.world.controller.set_paused(SESSION, True)
        scene.run(0.1)
        assert scene.state(A) == "solo"
        assert scene.state(B) == "alone"
    scene.run(1.0)
    assert scene.state(A) == "solo"
    assert scene.row() == "syncing"
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_sync_of_an_operator_does_not_wait_for_the_pause_behind_a_resync_that_failed() -> None:
    scene = solo(retry_seconds=20.0, retry_seconds_max=20.0)
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        scene.world.wire.cut()
        scene.run(1.0)
    assert scene.state(A) == "solo"
    scene.world.controller.set_paused(SESSION, True)
    scene.run(0.1)
    scene.world.controller.set_paused(SESSION, False)
    scene.run(1.0)
    scene.check()


# --- hosts ---


def test_READWAIT_where_holes_are_is_told_only_with_an_open_gate_and_where_no_write_is_under_way() -> None:
    """It is a read: what it tells of a write in flight, or of a site whose link is lost, may turn out not to be."""
    scene = in_step()
    session = scene.a.sessions[SESSION].session
    scene.until_answered(scene.host.write(50))
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        scene.host.write(8)
        scene.run(0.02)
        assert not session.undisturbed(0, 8 * SECTOR, SECTOR)
        assert not session.undisturbed(0, 0, 9 * SECTOR)
        assert session.undisturbed(0, 9 * SECTOR, SECTOR)
        assert session.undisturbed(0, 7 * SECTOR, SECTOR)
    scene.run()
    assert session.undisturbed(0, 8 * SECTOR, SECTOR)
    with scene.holding(Kind.ASK, A):
        scene.part()
        assert not session.undisturbed(0, 8 * SECTOR, SECTOR)
    assert not scene.b.sessions[SESSION].session.undisturbed(0, 8 * SECTOR, SECTOR)


def test_rule_1_a_batch_of_requests_is_taken_until_the_half_is_retired() -> None:
    scene = in_step()
    ports = scene.a.sessions[SESSION]
    told: list[int] = []
    flushes = [Request(Op.FLUSH, 0, 0, lambda request, errno: told.append(errno)) for _ in range(4)]
    ports.submit_all(flushes[:2])
    scene.run()
    assert told == [0, 0]
    _half(scene).retire("another half begins")
    ports.submit_all(flushes[2:])
    scene.run()
    assert told == [0, 0]


# --- telling ---


def test_a_restarted_primary_that_is_solo_tells_of_all_that_may_differ() -> None:
    """What was dirty in memory only is known by its intent: an operator who reads "0 bytes" would fail over, or not."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.restart(A)
    scene.wait(A, "solo")
    assert scene.told(A)["volumes"][0]["dirty_bytes"] == SMALL
    scene.join()
    scene.until_in_step()


# --- the end ---


def test_SWITCHOVER_who_waits_for_quiet_is_told_when_the_session_ends() -> None:
    scene = in_step()
    scene.world.controller.reconciling = False
    scene.until_answered(scene.host.write(0))
    ended: list[object] = []
    with scene.holding(Kind.FLUSH, B):
        answers = scene.ask(A, "quiesce")
        scene.run(0.02)
        scene.a.delete_session(SESSION, scene.world.arbiter.rows[SESSION].epoch, ended.append)
        scene.run(0.05)
    assert [getattr(answer, "code", "") for answer in answers] == ["superseded"]
    assert ended == [None]


def test_rule_1_a_retired_half_answers_nothing_under_the_permit_it_had() -> None:
    """It was solo; its disk ends a write when another half, of a newer epoch, is about to begin."""
    scene = solo()
    half = _half(scene)
    with scene.holding(Kind.DISK, A, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        half.retire("another half begins", keep_hosts=True)
        scene.deliver(Kind.DISK, A, "WRITE")
        scene.run(0.02)
    assert not write.ok
    assert len(half.give_up()) == 1


def test_MEMBERS_a_write_that_waits_for_its_FUA_alone_is_not_written_again_by_the_next_half() -> None:
    """It would lie over what was written there since; its flush is done anew, and so are hosts' flushes."""
    scene = solo([SMALL])
    scene.world.controller.set_paused(SESSION, True)
    scene.run(0.1)
    with scene.holding(Kind.FLUSH, A):
        waiting = [scene.host.write(0, fua=True), scene.host.flush()]
        newer = scene.until_answered(scene.host.write(0))
        scene.world.controller.regroup({"another": [0]})
        scene.run(1.0)
        assert scene.told(A, "another")
        assert not any(op.ok for op in waiting)
    for op in waiting:
        scene.until_answered(op)
    assert scene.writer(A, 0) == newer.number


def test_FLUSH_that_was_answered_is_not_done_anew_by_the_next_half() -> None:
    scene = in_step()
    half = _half(scene)
    told: list[tuple[Request, int]] = []
    flush = Request(Op.FLUSH, 0, 0, lambda request, errno: told.append((request, errno)))
    half.submit(flush)
    scene.run()
    assert told == [(flush, 0)]
    half.retire("another half begins", keep_hosts=True)
    assert half.give_up() == []


@pytest.mark.parametrize("end", ["retired", "link lost"])
def test_a_resync_that_did_not_end_is_not_told_as_the_last_one(end: str) -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    before = scene.told(A)["last_resync"]
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        if end == "retired":
            _half(scene).retire("another half begins")
        else:
            scene.part()
    assert scene.told(A)["resync"] is None
    assert scene.told(A)["last_resync"] == before
