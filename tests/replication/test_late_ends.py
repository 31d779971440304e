"""What ends late: a commit, a read, a timer or a call that comes to its end when what it was for is over.

Each of these is a guard of the core that random seeds hardly ever reach. A is the primary, B the secondary.
"""

import errno
from dataclasses import replace

import pytest
from tests.replication.scene import in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, QUICK, SESSION, A, B

from bilocate.replication.frames import Frame
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.records import Role

# --- the primary ---


@pytest.mark.parametrize("end", ["link lost", "undone", "superseded"])
def test_SWITCHOVER_a_quiesce_that_is_over_when_its_commit_is_durable_makes_nobody_quiet(end: str) -> None:
    """Behind its flush the link was lost, or it was undone, or a failover took A's role: hosts go on elsewhere,
    or here and alone. Quiet by it, A would hold them again, with nobody to let them go on."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    attempt = scene.world.arbiter.next_epoch()
    with scene.holding(Kind.LEDGER, A, "nothing"):
        answers = scene.ask(A, "quiesce", attempt=attempt)
        scene.run(0.02)
        assert scene.parked(Kind.LEDGER, A, "nothing")
        if end == "link lost":
            scene.part()
        elif end == "undone":
            scene.ask(A, "resume", attempt=attempt)
            scene.run(0.02)
        else:
            scene.world.controller.failover(SESSION)
            scene.wait(B, "holding")
            scene.run(0.1)
        codes = {"link lost": "lost_link", "undone": "undone", "superseded": "lost_link"}
        assert [getattr(answer, "code", "") for answer in answers] == [codes[end]]
        state = scene.state(A)
        scene.deliver(Kind.LEDGER, A, "nothing")
        assert scene.state(A) == state
    if end == "superseded":
        scene.wait(A, "alone")
        scene.wait(B, "solo")
        scene.connect(B)
    scene.join()
    scene.until_answered(scene.host.write(9))


def test_SWITCHOVER_nobody_is_quiet_while_the_row_is_unknown() -> None:
    """It is being undone, and that call's outcome is unknown: the version that would be told may be over."""
    scene = in_step()
    with scene.holding(Kind.LEDGER, A, "nothing"), scene.holding(Kind.ASK, A, "ATTACH"):
        attempt = scene.world.arbiter.next_epoch()
        asked = scene.ask(A, "quiesce", attempt=attempt)
        scene.run(0.02)
        undone = scene.ask(A, "resume", attempt=attempt)
        scene.run(0.02)
        scene.expire(Kind.ASK, A, "ATTACH")
        scene.deliver(Kind.LEDGER, A, "nothing")
        assert scene.state(A) == "quiescing"
        assert not asked + undone
    scene.until_answered(scene.host.write(0))
    assert [getattr(answer, "code", "") for answer in asked] == ["undone"]
    assert undone == [{}]


def test_PULL_chunks_that_were_read_for_a_link_that_is_gone_are_no_part_of_the_next_pull() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.a.cut_power()
        scene.a.start()
        scene.wait(A, "pulling")
        scene.run(0.02)
        scene.world.wire.cut()
        scene.run(0.01)
        scene.wait(A, "pulling")
        scene.run(0.02)
        assert len(scene.parked(Kind.CHUNKS, A)) == 2
        scene.deliver(Kind.CHUNKS, A)
        scene.run(0.02)
        assert scene.state(A) == "pulling"
        assert not scene.connects(A)
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_LOCKCOPY_chunks_that_were_read_for_a_link_that_is_gone_are_not_copied_by_the_next_resync() -> None:
    """They hold what the disk had before; the next one reads for itself, under locks of its own."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.CHUNKS, A):
        scene.join()
        scene.wait(A, "copying")
        scene.run(0.02)
        scene.world.wire.cut()
        scene.wait(A, "solo")
        write = scene.until_answered(scene.host.write(0))
        scene.wait(A, "copying")
        scene.run(0.02)
        assert len(scene.parked(Kind.CHUNKS, A)) == 2
        scene.deliver(Kind.CHUNKS, A)
        scene.run(0.02)
        assert scene.state(A) == "copying"
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


@pytest.mark.parametrize(
    "frame",
    [
        Frame(FrameKind.PULLED, 0, 0, 64 * KIB, 0, 0, bytes(64 * KIB)),
        Frame(FrameKind.PULL_DONE, 0, 0, 1, 0, 0),
    ],
)
def test_rule_27_what_is_pulled_when_no_pull_is_under_way_is_nobodys(frame: Frame) -> None:
    """No healthy secondary sends it; the session does not fail of it, and nothing is written."""
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
    scene.run()
    assert scene.writer(A, 0) == write.number
    scene.check()


# --- the secondary ---


def test_END_a_flush_that_fails_there_seals_nothing_and_the_resync_is_done_anew() -> None:
    """Sealed all the same, B would say that it is consistent, with chunks that a power cut takes away."""
    scene = solo()
    write = scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FLUSH, B):
        scene.wait(A, "sealing")
        scene.run(0.02)
        scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
        with scene.holding(Kind.FRAME, B):
            scene.deliver(Kind.FLUSH, B)
            scene.run(0.02)
            assert scene.state(B) == "alone"
            assert not scene.durable(B).consistent
            assert scene.row() == "syncing"
    scene.world.disk(0, B).failures.clear()
    scene.restart(B)  # a file whose flush failed is opened anew
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_a_secondarys_timer_that_rings_when_its_link_is_gone_does_nothing() -> None:
    """The real agent's timer is set when there is a link, and rings for it when there is none any more."""
    scene = in_step()
    scene.part()
    scene.run(2 * QUICK.heartbeat_timeout_seconds)
    ports = scene.b.sessions[SESSION]
    assert ports.link is None
    ports.session.tick(scene.world.scheduler.now)
    assert scene.state(B) == "alone"
    scene.join()
    scene.until_in_step()


@pytest.mark.parametrize("released", [False, True])
def test_HOLDHELLO_a_hold_that_is_durable_when_its_session_is_over_is_nobodys(released: bool) -> None:
    """The pair is taken apart while a check's hold is on its way to the ledger, whether it was given up or not."""
    scene = in_step()
    scene.world.controller.reconciling = False
    attempt = scene.world.arbiter.next_epoch()
    ended: list[object] = []
    with scene.holding(Kind.LEDGER, B, "PutSession"):
        checked = scene.ask(B, "precheck", attempt=attempt)
        scene.run(0.05)
        assert scene.state(B) == "checking"
        if released:
            scene.ask(B, "release", attempt=attempt)
        scene.b.delete_session(SESSION, scene.world.arbiter.rows[SESSION].epoch, ended.append)
        scene.run(0.02)
        assert [getattr(answer, "code", "") for answer in checked] == [
            "released" if released else "superseded"
        ]
        assert not ended
    scene.run(0.05)
    assert ended == [None]
    assert SESSION not in scene.b.ledger.sessions


# --- the session ---


def test_MEMBERS_a_late_put_of_the_old_epoch_is_refused_before_the_new_one_is_durable() -> None:
    """The old session has let its volumes go, and the new one has not begun: no volume tells of a newer epoch yet."""
    scene = in_step()
    scene.world.controller.set_paused(SESSION, True)
    scene.wait(A, "solo")
    scene.run(0.1)
    old = scene.world.controller.wanted(SESSION, A)
    scene.hold(Kind.CALL, "", "DELETE")
    answers: list[object] = []
    with scene.holding(Kind.LEDGER, A, "nothing"):
        scene.world.controller.regroup({"another": [0]})
        scene.run(0.5)
        scene.deliver(Kind.LEDGER, A, "nothing")  # the old half has ended
        scene.run(0.02)
        assert scene.state(A) == "stopped"
        assert scene.parked(Kind.LEDGER, A, "nothing")
        scene.a.put_session(SESSION, replace(old, revision=old.revision + 1), answers.append)
        scene.run(0.02)
    scene.wait_for("another", A, "solo")
    assert [getattr(answer, "code", "") for answer in answers] == ["superseded"]
    assert scene.a.ledger.sessions[SESSION].wanted == old.to_text()


def test_PRECHECK_while_the_site_is_being_promoted_is_told_to_come_again() -> None:
    """ "It is no secondary" would be wrong yet: the promotion may still fail."""
    scene = in_step()
    scene.world.controller.reconciling = False
    epoch = scene.world.arbiter.rows[SESSION].epoch
    wanted = scene.world.controller.wanted(SESSION, B)
    with scene.holding(Kind.FLUSH, B):
        put = replace(wanted, epoch=scene.world.arbiter.next_epoch(), role=Role.PRIMARY, peer_site=A)
        scene.b.put_session(SESSION, put, lambda error: None)
        scene.run(0.02)
        answers = [one for name in ("precheck", "release", "quiesce") for one in scene.ask(B, name, epoch)]
    assert [getattr(answer, "code", "") for answer in answers] == ["busy"] * 3


def test_MEMBERS_a_quiesce_of_a_session_that_has_let_its_volumes_go_is_told_to_come_again() -> None:
    scene = in_step()
    scene.world.controller.reconciling = False
    epoch = scene.world.arbiter.rows[SESSION].epoch
    wanted = scene.world.controller.wanted(SESSION, A)
    scene.a.put_session(
        "another", replace(wanted, epoch=scene.world.arbiter.next_epoch()), lambda error: None
    )
    scene.run(0.1)
    assert scene.state(A) == "stopped"
    answers = scene.ask(A, "quiesce", epoch) + scene.ask(A, "precheck", epoch)
    assert [getattr(answer, "code", "") for answer in answers] == ["busy", "busy"]
