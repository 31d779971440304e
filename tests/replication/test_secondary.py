"""The secondary: slow disks, failures, frames at the wrong moment. A is the primary, B the secondary."""

import errno

import pytest
from tests.replication.scene import SMALL, Scene, in_step, solo
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.frames import Frame, MalformedFrame, encode_json
from bilocate.replication.frames import Kind as FrameKind

# --- slow disks ---


def test_STICKY_a_write_that_the_secondarys_disk_fails_late_is_not_confirmed_and_trips() -> None:
    """Confirmed all the same, it would be answered with nothing of it at B, and B called equal."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    scene.world.disk(0, B).failures.append(Failure("write", errno.EIO, 0, SECTOR))
    with scene.holding(Kind.ASK, A), scene.holding(Kind.DISK, B, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        scene.deliver(Kind.DISK, B, "WRITE")
        scene.run(0.02)
        assert not write.ok
        assert scene.state(A) == "tripped"
        assert scene.durable(B).failed == {0}
    scene.world.disk(0, B).failures.clear()
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_DISCARD_the_last_of_what_the_disk_still_has_ends_before_a_hello_is_answered() -> None:
    """Two writes are at B's slow disk when the link is lost; the first to end is not enough."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    with scene.holding(Kind.DISK, B, "WRITE"):
        scene.host.write(0)
        scene.host.write(8)
        scene.run(0.02)
        scene.world.wire.cut()
        scene.run(0.05)
        assert len(scene.parked(Kind.DISK, B, "WRITE")) == 2
        scene.deliver(Kind.DISK, B, "WRITE")
        scene.run(0.02)
        assert scene.state(B) == "alone"
    scene.until_in_step()


def test_PRECHECK_leaves_no_intent_of_a_write_of_an_older_link_that_the_disk_ended_late() -> None:
    """It is under write no more: else B kept its intent for ever, and was dirty after each restart."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    with scene.holding(Kind.DISK, B, "WRITE"):
        scene.host.write(0)
        scene.run(0.02)
        scene.world.wire.cut()
        scene.run(0.05)
    scene.until_in_step()
    answers = scene.ask(B, "precheck")
    scene.run(0.05)
    assert answers
    assert not scene.durable(B).intents


# --- flushes ---


def test_FLUSH_that_fails_at_the_secondary_trips_and_is_answered_by_a_permit_only() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    with scene.holding(Kind.ASK, A):
        flush = scene.host.flush()
        scene.run(0.02)
        assert not flush.ok
        assert scene.state(A) == "tripped"
        assert scene.durable(B).failed == {0}
    scene.until_answered(flush)
    scene.world.disk(0, B).failures.clear()
    scene.restart(B)  # a file whose flush failed is opened anew
    scene.until_in_step()
    assert scene.writer(B, 0) == write.number


def test_a_hosts_flush_takes_no_intent_away_at_the_secondary_while_there_is_room() -> None:
    """Each one would cost a commit, and the next write one more, and wait for it."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    scene.run(0.02)
    assert scene.durable(B).intents == {0}


# --- frames at the wrong moment ---


def test_ORDER_a_write_before_the_first_resync_is_asked_for_is_malformed() -> None:
    """A new session's first link: B is not durably inconsistent yet."""
    scene = Scene([SMALL])
    with scene.holding(Kind.FRAME, B, "RESYNC"):
        scene.wait(B, "welcomed")
        ports = scene.b.sessions[SESSION]
        assert ports.link is not None
        for kind in (FrameKind.WRITE, FrameKind.ZERO):
            frame = Frame(kind, 0, 0, SECTOR, 1, 0, bytes(SECTOR) if kind is FrameKind.WRITE else b"")
            with pytest.raises(MalformedFrame, match=r"before STEP or RESYNC"):
                ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
    scene.until_in_step()


def test_rule_27_a_second_hello_on_a_link_is_malformed() -> None:
    """Taken, it would have all that came before it forgotten, in the midst of a session that is in step."""
    scene = in_step()
    ports = scene.b.sessions[SESSION]
    half = ports.session.half
    assert ports.link is not None
    assert half is not None
    hello = Frame(FrameKind.HELLO, payload=encode_json(FrameKind.HELLO, half.hello.to_json())[1])
    with pytest.raises(MalformedFrame, match=r"HELLO while the secondary is following"):
        ports.session.on_frames(ports.link.number, [hello], scene.world.scheduler.now)
    scene.check()


def test_rule_27_a_generation_that_is_no_text_ends_in_a_resync_of_everything() -> None:
    """The agent does not end of it: B has a generation then that nobody else has."""
    scene = solo()
    scene.until_answered(scene.host.write(0))
    scene.join()
    with scene.holding(Kind.FRAME, B, "END"):
        scene.wait(A, "sealing")
        ports = scene.b.sessions[SESSION]
        assert ports.link is not None
        end = Frame(FrameKind.END, payload=b"\xff")
        ports.session.on_frames(ports.link.number, [end], scene.world.scheduler.now)
        scene.run(0.02)
    scene.run(0.1)
    assert scene.world.run_until(scene.world.in_step, 5.0)
    assert scene.told(A)["last_resync"]["total_bytes"] == SMALL


def test_END_makes_every_volume_consistent_in_one_commit() -> None:
    scene = solo([SMALL, SMALL])
    for host in scene.hosts:
        scene.until_answered(host.write(0))
    scene.join()
    scene.wait(A, "copying")
    scene.until_in_step()
    for volume in (0, 1):
        record = scene.durable(B, volume)
        assert record.consistent
        assert record.generation == scene.durable(A, volume).generation
        assert not record.dirty


# --- the link ---


def test_PRECHECK_tells_for_how_long_it_has_not_followed_when_it_was_silence_that_ended_the_link() -> None:
    scene = in_step()
    scene.run(5.0)
    for site in (A, B):
        scene.world.wire.black_hole(site)
    scene.wait(B, "alone")
    scene.run(1.0)
    answers = scene.ask(B, "precheck")
    scene.run(0.1)
    (facts,) = answers
    assert isinstance(facts, dict)
    assert 1.0 <= facts["behind_seconds"] <= 2.0


def test_PRECHECK_waits_for_a_write_that_the_disk_still_has_while_the_link_is_there() -> None:
    """A host's write is confirmed with the check's first flush; none is held for longer than that."""
    scene = in_step()
    scene.until_answered(scene.host.write(50))
    with scene.holding(Kind.FRAME, A, "BYE"), scene.holding(Kind.DISK, B, "WRITE"):
        write = scene.host.write(0)
        scene.run(0.02)
        answers = scene.ask(B, "precheck")
        scene.run(0.02)
        assert scene.state(B) == "checking"
        assert not answers
        scene.deliver(Kind.DISK, B, "WRITE")
        scene.run(0.02)
        assert answers
        assert not scene.durable(B).intents
        assert not scene.world.disk(0, B).unflushed_sectors
    assert scene.writer(B, 0) == write.number
