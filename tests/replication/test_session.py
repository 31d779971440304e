"""One session at one site: what is put, and how one half follows another. A is the primary, B the secondary."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from tests.replication.scene import EXTENT, SECTORS_PER_EXTENT, SMALL, in_step
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.records import Change, PutSession, PutVolume, Role
from bilocate.replication.wanted import CannotPromote, MalformedWanted, NotPossibleNow


def test_FAILOVER_a_promotion_that_could_not_flush_says_so_and_may_be_asked_for_again() -> None:
    """Else the session would be "just taking on another state" until its process ends."""
    scene = in_step()
    scene.world.controller.reconciling = False
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    wanted = scene.world.controller.wanted(SESSION, B)
    answers: list[object] = []
    for _ in range(2):
        epoch = scene.world.arbiter.next_epoch()
        put = replace(wanted, epoch=epoch, role=Role.PRIMARY, peer_site=A)
        scene.b.put_session(SESSION, put, answers.append)
        scene.run(0.1)
    assert [getattr(answer, "code", "") for answer in answers] == ["flush_failed"] * 2


@pytest.mark.parametrize("what", ["role", "members"])
def test_REV_another_role_or_other_members_within_an_epoch_are_refused(what: str) -> None:
    scene = in_step([SMALL, SMALL])
    scene.world.controller.reconciling = False
    known = scene.world.controller.wanted(SESSION, A)
    other = (
        replace(known, role=Role.SECONDARY) if what == "role" else replace(known, members=known.members[:1])
    )
    answers: list[object] = []
    scene.a.put_session(SESSION, replace(other, revision=known.revision + 1), answers.append)
    assert isinstance(answers.pop(), MalformedWanted)
    scene.check()


def test_FAILOVER_a_refused_promotion_names_the_volume_and_how_many_bytes_of_it_may_be_lost() -> None:
    """Dirty and failed ones together: an operator decides by this number."""
    scene = in_step([2 * EXTENT])
    scene.world.controller.reconciling = False
    marks = scene.b.volumes[scene.world.volume_id(0, B)].marks
    marks.record.dirty.add(0)
    marks.record.failed.add(1)
    wanted = scene.world.controller.wanted(SESSION, B)
    epoch = scene.world.arbiter.next_epoch()
    answers: list[object] = []
    scene.b.put_session(SESSION, replace(wanted, epoch=epoch, role=Role.PRIMARY, peer_site=A), answers.append)
    (refused,) = answers
    assert isinstance(refused, CannotPromote)
    assert f"{CHUNK_BYTES + EXTENT} bytes" in str(refused)
    assert marks.record.volume_id in str(refused)


# --- volumes that go from one session to another ---


@pytest.mark.parametrize("restarted", [False, True], ids=["let-go", "restored"])
def test_INTENT_a_commit_of_a_session_whose_volumes_are_anothers_makes_no_intent_of_that_durable(
    restarted: bool,
) -> None:
    """Their numbers mean other commits: w2 would be answered, and its place known to nobody after a power cut."""
    scene = in_step([2 * EXTENT])
    scene.world.controller.set_paused(SESSION, True)
    scene.wait(A, "solo")
    scene.world.controller.regroup({"another": [0]})
    with scene.holding(Kind.CALL, "", "DELETE"):
        scene.wait_for("another", A, "solo")
        if restarted:
            scene.restart(A)
            scene.wait_for("another", A, "solo")
            scene.connect()
        assert scene.state(A) == "stopped"
        with scene.holding(Kind.LEDGER, A, "AddIntents"):
            w1 = scene.host.write(SECTORS_PER_EXTENT)
            scene.run(0.02)
            scene.a.sessions[SESSION].session.on_committed(1_000_000, scene.world.scheduler.now)
            w2 = scene.host.write(SECTORS_PER_EXTENT + 1)
            scene.run(0.02)
            assert not w2.ok
        scene.until_answered(w1)
        scene.until_answered(w2)


def test_MEMBERS_what_hosts_asked_of_a_session_that_ends_goes_to_the_next_one() -> None:
    """They stay connected, as with every change between primaries, and what they wait for is done."""
    scene = in_step()
    scene.world.controller.reconciling = False
    answers: list[object] = []
    with scene.holding(Kind.FRAME, A):  # nothing is confirmed
        write = scene.host.write(0)
        scene.run(0.02)
        scene.a.delete_session(SESSION, scene.world.arbiter.rows[SESSION].epoch, answers.append)
        scene.run(0.1)
    assert answers == [None]
    assert not write.ok
    assert scene.host.connection is not None
    scene.world.controller.regroup({"another": [0]})
    scene.world.controller.reconciling = True
    scene.until_answered(write)
    assert scene.writer(A, 0) == write.number


def test_REV_a_session_that_has_ended_takes_no_wish_of_its_epoch() -> None:
    """It would be in the ledger again, with a volume that is a plain one."""
    scene = in_step()
    scene.world.controller.reconciling = False
    session, wanted = scene.a.sessions[SESSION].session, scene.world.controller.wanted(SESSION, A)
    scene.a.delete_session(SESSION, session.epoch, lambda error: None)
    scene.run(0.1)
    with pytest.raises(NotPossibleNow) as refused:
        session.put(wanted, session.marks, scene.world.scheduler.now, lambda error: None)
    assert refused.value.code == "superseded"


# --- within an epoch ---


@pytest.mark.parametrize(("site", "role"), [(A, Role.PRIMARY), (B, Role.SECONDARY)])
def test_REV_a_new_wish_is_durable_with_the_role_that_it_is_of(site: str, role: Role) -> None:
    scene = in_step()
    scene.world.controller.reconciling = False
    sessions = scene.world.agents[site].ledger.sessions
    assert sessions[SESSION].role is role
    known = scene.world.controller.wanted(SESSION, site)
    new = replace(known, revision=known.revision + 1)
    answers: list[object] = []
    scene.world.agents[site].put_session(SESSION, new, answers.append)
    scene.run(0.02)
    assert answers == [None]
    record = sessions[SESSION]
    assert (record.role, record.epoch, record.wanted) == (role, known.epoch, new.to_text())
    assert record.holds_hello == 0


def test_GROWTH_the_new_size_is_durable_when_the_controller_hears_so() -> None:
    """Of the volume that has grown, and of no other: that one has no commit to wait for."""
    scene = in_step([EXTENT, EXTENT])
    scene.world.controller.reconciling = False
    known = scene.world.controller.wanted(SESSION, B)
    larger = (replace(known.members[0], size_bytes=2 * EXTENT), known.members[1])
    answers: list[object] = []
    new = replace(known, revision=known.revision + 1, members=larger)
    with scene.holding(Kind.LEDGER, B):
        scene.b.put_session(SESSION, new, answers.append)
        scene.run(0.02)
        commits = [cast(Sequence[Change], event.detail) for event in scene.parked(Kind.LEDGER, B)]
        assert [type(change) for commit in commits for change in commit] == [PutVolume, PutSession]
        assert not answers
    scene.run(0.02)
    assert answers == [None]
    assert [scene.durable(B, volume).size_bytes for volume in (0, 1)] == [2 * EXTENT, EXTENT]


def test_GROWTH_a_size_that_can_not_be_is_refused_behind_a_volume_without_a_past_too() -> None:
    """Of such a one any size may be put; the next one's is looked at all the same."""
    scene = in_step([SMALL, SMALL])
    scene.world.controller.reconciling = False
    scene.a.volumes[scene.world.volume_id(0, A)].marks.record.blank = True
    known = scene.world.controller.wanted(SESSION, A)
    smaller = tuple(replace(member, size_bytes=SMALL - SECTOR) for member in known.members)
    answers: list[object] = []
    new = replace(known, revision=known.revision + 1, members=smaller)
    scene.a.put_session(SESSION, new, answers.append)
    assert isinstance(answers.pop(), MalformedWanted)
    assert [each["size_bytes"] for each in scene.told(A)["volumes"]] == [SMALL, SMALL]


# --- hosts ---


def test_READWAIT_where_holes_are_is_told_by_the_primary_alone_and_where_no_write_is_under_way() -> None:
    scene = in_step([EXTENT, EXTENT])
    primary, secondary = (agent.sessions[SESSION].session for agent in (scene.a, scene.b))
    scene.until_answered(scene.hosts[1].write(8))
    with scene.holding(Kind.DISK, A, "WRITE"):
        scene.hosts[1].write(8)
        scene.run(0.02)
        asked = [(1, 8), (1, 7), (1, 9), (0, 8)]
        told = [primary.undisturbed(volume, sector * SECTOR, SECTOR) for volume, sector in asked]
        assert told == [False, True, True, True]
        assert not primary.undisturbed(1, 7 * SECTOR, 2 * SECTOR)
        assert not secondary.undisturbed(0, 0, SECTOR)
    assert primary.busy() is secondary.busy() is False


# --- who asks whom ---


@pytest.mark.parametrize(("site", "call"), [(B, "precheck"), (B, "release"), (A, "quiesce"), (A, "resume")])
def test_LATE_a_call_of_an_epoch_that_was_not_put_here_yet_is_answered_so(site: str, call: str) -> None:
    """Whoever asked waits for that answer: it puts the session first, and asks again."""
    scene = in_step()
    answers = scene.ask(site, call, epoch=scene.world.arbiter.rows[SESSION].epoch + 1)
    scene.run(0.02)
    assert [getattr(answer, "code", "") for answer in answers] == ["newer_epoch"]
    scene.check()


def test_EPOCH_a_hello_says_who_the_primary_is_and_which_life_of_its_process() -> None:
    scene = in_step()
    primary, secondary = (agent.sessions[SESSION].session for agent in (scene.a, scene.b))
    assert primary.half is not None
    assert secondary.half is not None
    hellos = [primary.half.hello, secondary.half.hello]
    assert [hello.site for hello in hellos] == [A, A]
    assert [hello.instance for hello in hellos] == [primary.instance, ""]
    assert primary.instance != secondary.instance
