"""The ten races that an exhaustive search found in an earlier wording of the rules. A is the primary, B the other."""

import errno
from dataclasses import replace

from tests.replication.scene import SECTORS_PER_EXTENT, in_step
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.replication.records import Role


def test_race_1_READWAIT_a_value_is_read_and_its_primary_crashes() -> None:
    """
    A                                      B
    w1 is taken and written
    a host reads w1: it must wait          (w1 has not arrived)
    process ends, starts, pulls            never had w1
    the host reads the old value           - fine, for nobody has read w1
    """
    scene = in_step()
    old = scene.until_answered(scene.host.write(0))
    scene.hold(Kind.FRAME, B, "WRITE")
    scene.host.write(0)
    read = scene.host.read(0)
    scene.run()
    assert not read.ok  # P4 would notice the rest, but this is the rule
    scene.world.wire.cut()
    scene.restart(A)
    scene.until_in_step()
    scene.connect()
    assert scene.until_answered(scene.host.read(0)).found == [old.number]


def test_race_2_DROPRACE_a_write_reaches_its_disk_behind_the_flush() -> None:
    """
    A                                      B
    w1 is taken, its disk is slow          applies w1
    a flush begins; the disk flushes       flushes
    w1 is written                          confirms both
    the intent must stay
    power cut: w1 is gone                  has w1
    starts, pulls w1 by its intent
    """
    scene = in_step([4 * 4096 * KIB], intents_max=3)
    for extent in (1, 2, 3):  # with w1's they are so many that a flush wants to drop some
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    with scene.holding(Kind.DISK, A, "WRITE"):
        w1 = scene.host.write(0)
        scene.run()
        assert scene.parked(Kind.DISK, A, "WRITE")
        assert len(scene.durable(A).intents) < 4
    scene.until_answered(w1)
    assert 0 in scene.durable(A).intents
    scene.a.cut_power()
    scene.a.start()
    scene.until_in_step()
    scene.connect()
    assert scene.until_answered(scene.host.read(0)).found == [w1.number]


def test_race_3_OVERLAP_the_older_of_two_overlapping_writes_is_sent_again() -> None:
    """
    A                                      B
    w1, w2 overlap; w1's disk is slow      applies what it gets, confirms
    w2 must wait for w1
    link lost, RESUME sends w1 again       applies w1: over w2, if it had w2
    w2 is answered                         has w2 last
    failover                               shows w2
    """
    scene = in_step()
    scene.until_answered(scene.host.write(8))
    with scene.holding(Kind.DISK, A, "WRITE"):
        scene.host.write(0)
        w2 = scene.host.write(0)
        scene.run()
        scene.world.scheduler.deliver(scene.parked(Kind.DISK, A, "WRITE")[-1])  # the newest that is there
        scene.world.wire.cut()
        scene.run()
    scene.until_answered(w2)
    assert scene.writer(B, 0) == w2.number
    scene.run()
    scene.check()


def test_race_4_BOOTID_a_permit_request_from_before_the_crash_is_carried_out_after_it() -> None:
    """
    A                                      arbiter           B
    asks for solo                          (on its way)      away
    power cut; an answered write is lost
    starts                                 in_sync → stale
    attaches: reads "stale"
    goes solo; old attachments are refused all the same
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    attachment = scene.host.attachment
    hold = scene.hold(Kind.ASK, A, "REQUEST_SOLO")
    scene.part()
    scene.run(0.3)
    assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.a.cut_power()
    assert scene.writer(A, 0) == 0
    scene.deliver(Kind.ASK, A, "REQUEST_SOLO")
    scene.release(hold)
    assert scene.row() == "stale"
    scene.a.start()
    scene.wait(A, "solo")
    assert attachment in scene.a.refused
    assert attachment in scene.a.ledger.items["refused"].split()


def test_race_5_DEMOTE_a_failed_mark_on_a_secondary_is_in_nobodys_set() -> None:
    """
    A                                      B
    w1 fails here                          has w1
    switchover: A is secondary             primary
    the failed extent is dirty now         copies it: equal
    """
    scene = in_step()
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, 512))
    w1 = scene.host.write(0)
    scene.run()
    assert w1.errno == errno.EIO
    assert scene.writer(B, 0) == w1.number
    scene.world.disk(0, A).failures.clear()
    switchover = scene.world.controller.reverse(SESSION)
    scene.run(1.0)
    assert switchover.done
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0)


def test_race_6_FAILEND_a_write_fails_after_its_chunk_was_copied() -> None:
    """
    A                                      B
    solo; a resync copies all
    END is sent                            flushes, persists
    w1 fails here                          has w1
    the resync ends without success: the newer mark must not be cleared by its last commit
    """
    scene = in_step()
    scene.part()
    scene.wait(A, "solo")
    scene.until_answered(scene.host.write(0))
    ended = scene.hold(Kind.FRAME, A, "ENDED")
    scene.join()
    scene.wait(A, "sealing")
    scene.run(0.02)
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, 512))
    w1 = scene.host.write(0)
    scene.run(0.02)
    scene.world.disk(0, A).failures.clear()
    scene.release(ended)
    scene.until_in_step()
    assert scene.until_answered(scene.host.read(0)).ok
    assert w1.errno == errno.EIO
    assert scene.writer(A, 0) == scene.writer(B, 0)


def test_race_7_PULLCALL_a_permit_is_granted_while_the_primary_pulls() -> None:
    """
    A                                      arbiter           B
    starts, attaches: in_sync                                away
    asks for a permit                      (on its way)
                                                             comes back
    must not pull: a call is under way
                                           in_sync → stale
    the answer is lost
    not in step while the row says stale
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.restart(A)
    hold = scene.hold(Kind.ASK, A, "REQUEST_SOLO")
    scene.run(0.7)
    assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.b.start()
    scene.run(0.2)
    assert scene.state(A) == "waiting"
    answer = scene.hold(Kind.ANSWER, A, "REQUEST_SOLO")
    scene.release(hold)
    scene.run(0.01)
    assert scene.row() == "stale"
    scene.drop(Kind.ANSWER, A, "REQUEST_SOLO")
    scene.release(answer)
    scene.until_in_step()


def test_race_8_HOLDHELLO_a_write_is_confirmed_after_the_check_and_the_secondary_restarts() -> None:
    """
    A                                      B                                  controller
                                           check passed, holds hellos, durably
                                           process ends, starts
    dials, and must be refused             still holds
    w1 is not answered                                                        the row changes
    superseded                             clean: promoted, serves
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    row = scene.world.arbiter.rows[SESSION]
    scene.world.controller.reconciling = False
    answers = scene.hold(Kind.CALL, B, "precheck answered")
    failover = scene.world.controller.failover(SESSION)
    scene.wait(B, "holding")
    scene.restart(B)
    w1 = scene.host.write(0)
    scene.run(0.2)
    assert not w1.ok
    assert scene.state(B) == "holding"
    scene.release(answers)
    scene.run(0.5)
    assert failover.done, failover.error
    assert scene.world.arbiter.rows[SESSION].epoch > row.epoch
    scene.wait(B, "solo")
    assert scene.host.connection is None


def test_race_9_a_quiesce_leaves_no_intent_at_the_secondary() -> None:
    """
    A                                      B                                  controller
    quiesces: flushes, drops intents       flushes, drops intents
                                           process ends, starts: nothing dirty
                                                                              the row changes
                                           promoted
    """
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    answers = scene.hold(Kind.CALL, A, "quiesce answered")
    switchover = scene.world.controller.reverse(SESSION)
    scene.wait(A, "quiesced")
    assert not scene.durable(A).intents
    assert not scene.durable(B).intents
    scene.restart(B)
    scene.release(answers)
    scene.run(0.5)
    assert switchover.done, switchover.error
    scene.until_in_step()
    assert scene.world.arbiter.rows[SESSION].primary == B


def test_race_10_a_promotion_flushes_before_it_persists_the_epoch() -> None:
    """
    A                                      B                                  controller
    w1 is answered                         has w1, not flushed
                                           (no check came, or w1 after it)    the row changes
                                           promotion: flush, then epoch
                                           power cut before the flush
    has w1, healthy                        is not primary without w1
    """
    scene = in_step()
    w1 = scene.until_answered(scene.host.write(0))
    flushes = scene.hold(Kind.FLUSH, B)
    row = scene.world.arbiter.rows[SESSION]
    wanted = scene.world.controller.wanted(SESSION, B)
    scene.world.controller.reconciling = False
    promoted: list[object] = []
    scene.b.put_session(
        SESSION,
        replace(wanted, epoch=row.epoch + 1, role=Role.PRIMARY, peer_site=A),
        promoted.append,
    )
    scene.run(0.2)
    assert not promoted
    assert scene.b.ledger.sessions[SESSION].epoch == row.epoch
    scene.b.cut_power()
    scene.release(flushes)
    scene.b.start()
    scene.run(0.1)
    assert scene.b.ledger.sessions[SESSION].role is Role.SECONDARY
    assert scene.writer(A, 0) == w1.number
