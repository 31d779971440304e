"""Rules 13 to 15 of docs/safety.md: resync. A is the primary, B the secondary."""

import errno
from dataclasses import replace

from tests.replication.scene import SECTORS_PER_EXTENT, SMALL, Scene, in_step, solo
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.geometry import CHUNK_BYTES, EXTENT_BYTES
from bilocate.replication.records import Role
from bilocate.replication.wanted import CannotPromote

CHUNK = CHUNK_BYTES // SECTOR  # in sectors
EXTENTS = [4 * EXTENT_BYTES]


def _names(scene: Scene, site: str) -> list[str]:
    """Frames that are parked on their way to a site."""
    return [event.name for event in scene.parked(Kind.FRAME, site)]


# --- 13 SET ---


def test_SET_what_is_dirty_here_is_copied_and_nothing_else() -> None:
    scene = solo()
    write = scene.until_answered(scene.host.write(2 * CHUNK))
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 2 * CHUNK) == write.number
    resync = scene.told(A)["last_resync"]
    assert resync["differing_bytes"] == CHUNK_BYTES
    assert resync["total_bytes"] <= SMALL


def test_SET_intents_are_compared_too() -> None:
    """w1 was at A's disk only when A's process ended: nothing but its intent knows of it."""
    scene = in_step()
    frames = scene.hold(Kind.FRAME, B, "WRITE")
    w1 = scene.host.write(0)
    scene.run(0.01)
    scene.part()
    scene.a.kill()
    scene.release(frames)
    scene.a.start()
    scene.wait(A, "solo")
    scene.join()
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0) == w1.number


def test_SET_failed_extents_are_compared_too() -> None:
    scene = in_step()
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, SECTOR))
    scene.host.write(0)
    scene.run()
    scene.world.disk(0, A).failures.clear()
    ports = scene.a.sessions[SESSION]
    ports.volumes[0].marks.record.intents.clear()  # were it not for the mark, nothing would tell
    scene.world.controller.set_paused(SESSION, True)
    scene.wait(A, "solo")
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0)
    assert not scene.durable(A).failed


def test_SET_what_the_secondary_suspects_is_compared_too() -> None:
    """After a lossy failover B holds alone what it was answered for: only B's dirty bits tell of it."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert failover.done
    assert scene.writer(A, 0)
    assert not scene.durable(B).dirty
    assert not scene.durable(B).intents
    scene.join()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0) == 0


def test_SET_is_taken_after_the_secondarys_hello_so_that_nothing_solo_is_missed() -> None:
    scene = solo()
    scene.join()
    with scene.holding(Kind.FRAME, A, "READY"):
        scene.wait(A, "marking")
        write = scene.until_answered(scene.host.write(3 * CHUNK))  # under the permit, behind the welcome
    scene.until_in_step()
    assert scene.writer(B, 3 * CHUNK) == write.number


def test_SET_every_host_write_from_then_on_goes_on_the_link_inside_the_set_or_not() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, A, "HASHES"):
        scene.wait(A, "copying")
        outside = scene.until_answered(scene.host.write(3 * CHUNK))
        scene.run(0.01)
        assert scene.writer(B, 3 * CHUNK) == outside.number
    scene.until_in_step()


def _compared(scene: Scene, site: str = A) -> int:
    """How many bytes the last resync compared."""
    return int(scene.told(site)["last_resync"]["total_bytes"])


def test_SET_an_extent_first_written_under_the_permit_is_compared_where_it_was_written() -> None:
    scene = solo(EXTENTS)
    writes = [scene.until_answered(scene.host.write(sector)) for sector in (0, 5 * CHUNK, SECTORS_PER_EXTENT)]
    scene.join()
    scene.until_in_step()
    assert _compared(scene) == 3 * CHUNK_BYTES
    assert [scene.writer(B, write.first) for write in writes] == [write.number for write in writes]


def test_SET_a_new_primary_compares_what_it_wrote_and_all_that_the_old_one_suspects() -> None:
    scene = in_step(EXTENTS)
    scene.until_answered(scene.host.write(0))  # A's intent of extent 0
    scene.a.kill()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo")
    scene.connect(B)
    new = scene.until_answered(scene.host.write(SECTORS_PER_EXTENT + CHUNK))
    scene.a.start()
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert _compared(scene, B) == EXTENT_BYTES + CHUNK_BYTES
    assert scene.writer(A, new.first) == new.number


def test_SET_after_a_restart_an_extent_with_an_intent_is_compared_whole() -> None:
    """The dirty map was in memory; the intent is all that knows of w1."""
    scene = solo(EXTENTS)
    w1 = scene.until_answered(scene.host.write(3 * CHUNK))
    scene.restart(A)
    scene.wait(A, "solo")
    scene.connect()
    w2 = scene.until_answered(scene.host.write(SECTORS_PER_EXTENT))
    scene.join()
    scene.until_in_step()
    assert _compared(scene) == EXTENT_BYTES + CHUNK_BYTES
    assert [scene.writer(B, write.first) for write in (w1, w2)] == [w1.number, w2.number]


def test_SET_an_extent_with_an_intent_from_before_the_permit_is_compared_whole() -> None:
    """What was written there before is in no dirty map. w2 touches such an extent, and one that is new."""
    scene = in_step(EXTENTS)
    scene.until_answered(scene.host.write(CHUNK))
    scene.part()
    scene.wait(A, "solo")
    w2 = scene.until_answered(scene.host.write(SECTORS_PER_EXTENT - 1, 2))
    scene.join()
    scene.until_in_step()
    assert _compared(scene) == EXTENT_BYTES + CHUNK_BYTES
    assert scene.writer(B, SECTORS_PER_EXTENT) == w2.number


def test_SET_another_permit_begins_anew() -> None:
    """Between the two permits a write is in no dirty map: w2, while the session was in step."""
    scene = solo(EXTENTS)
    scene.until_answered(scene.host.write(0))
    scene.join()
    scene.until_in_step()
    scene.until_answered(scene.host.write(CHUNK))
    scene.part()
    scene.wait(A, "solo")
    scene.join()
    scene.until_in_step()
    assert _compared(scene) == EXTENT_BYTES


def test_SET_holes_stay_holes() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.zero(0))
    scene.join()
    frames = scene.hold(Kind.FRAME, B, "COPY")
    scene.run(0.2)
    assert not _names(scene, B)
    scene.release(frames)
    scene.until_in_step()


def test_GENCHK_a_secondary_of_another_past_is_compared_whole() -> None:
    """B's ledger says clean, of another generation; its content differs where neither side has a mark."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    scene.b.kill()
    record = scene.durable(B)
    record.generation = "of another pair"
    record.intents.clear()
    for site in (A, B):
        scene.durable(site).intents.clear()
    scene.a.kill()
    scene.world.disk(0, B).cache.clear()
    scene.b.start()
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(B, 0) == scene.writer(A, 0) != 0


def test_GENCHK_the_first_resync_compares_everything() -> None:
    scene = Scene([SMALL])
    scene.world.disk(0, B).write(3 * CHUNK_BYTES, SECTOR, bytes(range(256)) * 2, scene.world.rng)
    assert scene.world.run_until(scene.world.in_step, 5.0)
    scene.check()


# --- 14 ORDER ---


def test_ORDER_the_row_is_marked_before_the_secondary_is_told() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.ASK, A, "REQUEST_RESYNC"):
        scene.join()
        scene.run(0.2)
        assert scene.state(A) == "marking"
        assert scene.state(B) == "welcomed"
        assert scene.durable(B).consistent
    scene.until_in_step()


def test_ORDER_the_secondary_persists_inconsistent_before_the_first_chunk_comes() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    ledger = scene.hold(Kind.LEDGER, B)
    scene.join()
    scene.run(0.2)
    assert scene.row() == "syncing"
    assert scene.state(A) == "marking"
    assert scene.durable(B).consistent
    assert scene.writer(B, 0) == 0
    scene.release(ledger)
    with scene.holding(Kind.FRAME, B, "COPY"):
        scene.run(0.1)
        assert not scene.durable(B).consistent
    scene.until_in_step()
    assert scene.durable(B).consistent


def test_ORDER_a_copy_that_a_resync_was_writing_is_never_promoted() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, B, "COPY"):
        scene.wait(B, "receiving")
        scene.run(0.05)
        scene.part()
        failover = scene.world.controller.failover(SESSION, allow_data_loss=True)
        scene.run(0.5)
        assert not failover.done
        assert "inconsistent" in str(failover.error)
        scene.restart(B)
        answers: list[object] = []
        wanted = replace(
            scene.world.controller.wanted(SESSION, B), epoch=99, role=Role.PRIMARY, allow_dirty=True
        )
        scene.world.controller.reconciling = False
        scene.run(0.05)
        scene.b.put_session(SESSION, wanted, answers.append)
        assert isinstance(answers[0], CannotPromote)


def test_ORDER_a_permit_is_held_while_copying_so_hosts_are_answered_without_the_secondary() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, A):
        scene.run(0.01)
        scene.until_answered(scene.host.write(1))


# --- 15 LOCKCOPY, ENDSENT ---


def test_LOCKCOPY_no_write_begins_between_the_reading_of_a_chunk_and_its_sending() -> None:
    """The chunk as read is older than w2: it must not reach B behind w2."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.world.delays.chunks_early = True  # what is read shows the moment of the question
    scene.join()
    with scene.holding(Kind.CHUNKS, A):
        scene.run(0.2)
        assert scene.parked(Kind.CHUNKS, A)
        w2 = scene.host.write(0)
        scene.run(0.01)
    scene.until_answered(w2)
    scene.until_in_step()
    assert scene.writer(B, 0) == w2.number


def test_LOCKCOPY_a_chunk_is_not_read_while_a_write_into_it_is_under_way() -> None:
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.world.delays.chunks_early = True
    disk = scene.hold(Kind.DISK, A, "WRITE")
    w2 = scene.host.write(0)
    scene.join()
    scene.run(0.2)
    assert scene.state(A) == "copying"
    scene.release(disk)
    scene.until_answered(w2)
    scene.until_in_step()
    assert scene.writer(B, 0) == w2.number


def test_ENDSENT_the_end_waits_for_writes_that_are_not_on_the_link() -> None:
    """w was begun before the link was there, its disk is slow: it is in the set, and the end comes behind it."""
    scene = solo()
    disk = scene.hold(Kind.DISK, A, "WRITE")
    write = scene.host.write(0)
    scene.run(0.01)
    scene.join()
    scene.run(0.3)
    assert scene.state(A) == "copying"
    assert scene.told(A)["permit"]
    scene.release(disk)
    scene.until_answered(write)
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_ENDSENT_a_write_answered_under_the_permit_is_at_the_secondary_before_the_end() -> None:
    """w is answered under the permit while chunks are copied; its frame is slow. END must come behind it."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    frames = scene.hold(Kind.FRAME, A, "HASHES")
    scene.wait(A, "copying")
    hold = scene.hold(Kind.DISK, B, "WRITE")
    write = scene.until_answered(scene.host.write(3 * CHUNK))
    scene.release(frames)
    scene.run(0.1)
    assert scene.row() == "syncing"
    assert not scene.durable(B).consistent
    scene.release(hold)
    scene.until_in_step()
    assert scene.writer(B, 3 * CHUNK) == write.number
