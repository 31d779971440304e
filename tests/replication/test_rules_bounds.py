"""Rule 27 of docs/safety.md: bounds; and what ends a connection and nothing else."""

import errno

import pytest
from tests.replication.scene import SECTORS_PER_CHUNK, SECTORS_PER_EXTENT, Scene, in_step, solo
from tests.sim.world.disk import Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.replication.frames import Frame, MalformedFrame
from bilocate.replication.frames import Kind as FrameKind

EXTENTS = [8 * 4096 * KIB]


def test_rule_27_past_the_bound_of_unanswered_bytes_the_session_is_busy() -> None:
    scene = in_step(unanswered_bytes_max=64 * KIB)
    connection = scene.host.connection
    assert connection is not None
    with scene.holding(Kind.FRAME, A, "CONFIRM"):
        writes = [scene.host.write(first, 64) for first in (0, 128)]
        assert connection.busy()
    for write in writes:
        scene.until_answered(write)
    assert not connection.busy()


def test_rule_27_bytes_on_the_link_count_even_when_they_are_answered_under_the_permit() -> None:
    """A slow secondary in a resync: hosts are answered by the permit, the link must not grow without bound."""
    scene = solo(unanswered_bytes_max=64 * KIB)
    scene.until_answered(scene.host.write(0))
    scene.join()
    hold = scene.hold(Kind.FRAME, A, "HASHES")
    scene.wait(A, "copying")
    for first in (128, 256):
        scene.until_answered(scene.host.write(first, 64))
    connection = scene.host.connection
    assert connection is not None
    assert connection.busy()
    scene.release(hold)
    scene.until_in_step()
    assert not connection.busy()


def test_rule_27_intents_stay_within_their_bound_at_both_sites() -> None:
    scene = in_step(EXTENTS, intents_max=2)
    for turn in range(3):
        for extent in range(8):
            scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT + turn))
            scene.run(0.02)
            assert len(scene.durable(A).intents) <= 3
            assert len(scene.durable(B).intents) <= 3


def test_rule_27_intents_stay_within_their_bound_while_solo() -> None:
    scene = solo(EXTENTS, intents_max=2)
    for extent in range(8):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
        scene.run(0.02)
        assert len(scene.durable(A).intents) <= 3
    scene.join()
    scene.until_in_step()


def test_rule_27_intents_of_a_secondary_stay_within_their_bound_while_it_is_copied_to() -> None:
    """The primary has no intents then, and asks for no flush."""
    scene = Scene(EXTENTS, intents_max=2, resync_window_bytes=64 * KIB)
    for extent in range(8):
        scene.world.disk(0, B).write(extent * 4096 * KIB, 512, content(extent), scene.world.rng)
    most = 0
    while not scene.world.in_step():
        scene.run(0.002)
        record = scene.b.ledger.volumes.get(scene.world.volume_id(0, B))
        most = max(most, len(record.intents) if record is not None else 0)
    assert 0 < most <= 3


def test_a_resync_keeps_to_its_bound_and_hosts_do_not_wait_for_it() -> None:
    """32 chunks differ, and 16 may be compared in a second; nothing else happens that could wake anyone."""
    scene = solo(
        EXTENTS, resync_bytes_per_second=16 * 64 * KIB, heartbeat_seconds=5.0, heartbeat_timeout_seconds=15.0
    )
    for chunk in range(32):
        scene.until_answered(scene.host.write(chunk * 2 * SECTORS_PER_CHUNK))
    scene.join()
    scene.wait(A, "copying")
    began = scene.world.scheduler.now
    scene.run(0.3)
    asked = scene.world.scheduler.now
    scene.until_answered(scene.host.write(5 * SECTORS_PER_CHUNK))
    assert scene.world.scheduler.now - asked < 0.05
    scene.until_in_step()
    assert 1.8 < scene.world.scheduler.now - began < 2.6


def content(extent: int) -> bytes:
    """Something else than zeros."""
    return bytes([extent + 1]) * 512


def test_rule_27_no_flush_after_the_other_while_nothing_can_be_dropped() -> None:
    """Started with too many intents, and neither link nor permit: a flush would make no room, however often."""
    scene = in_step(EXTENTS, intents_max=2)
    with scene.holding(Kind.FLUSH, B):
        for extent in range(5):
            scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
        scene.part()
        assert len(scene.durable(A).intents) > 2
        scene.a.controller_in_reach = False
        scene.restart(A)
        before = scene.world.scheduler.events_run
        scene.run(0.5)
        assert scene.world.scheduler.events_run - before < 100
    scene.a.controller_in_reach = True
    scene.join()
    scene.until_in_step()


def test_rule_27_no_flush_after_the_other_while_they_fail() -> None:
    scene = in_step(EXTENTS, intents_max=2)
    scene.world.disk(0, A).failures.append(Failure("flush", errno.EIO))
    for extent in range(5):
        scene.until_answered(scene.host.write(extent * SECTORS_PER_EXTENT))
    before = scene.world.scheduler.events_run
    scene.run(0.5)
    assert scene.world.scheduler.events_run - before < 100


def test_STICKY_a_flush_of_the_secondarys_own_that_fails_trips_the_session() -> None:
    """Nobody asked for that flush; B may lack confirmed writes from then on, and the row must not say otherwise."""
    scene = in_step(EXTENTS, intents_max=2)
    scene.world.disk(0, B).failures.append(Failure("flush", errno.EIO))
    asked = scene.hold(Kind.FRAME, B, "FLUSH")  # A's own does not arrive
    for extent in range(5):
        scene.host.write(extent * SECTORS_PER_EXTENT)
    scene.run(0.1)
    assert scene.durable(B).failed
    assert scene.state(A) != "in_step"
    scene.release(asked)
    scene.world.disk(0, B).failures.clear()
    scene.restart(B)  # a file whose flush failed is opened anew
    scene.run(1.0)
    scene.until_in_step()


MALFORMED_FOR_PRIMARY = [
    Frame(FrameKind.WRITE, 0, 0, 512, 1, 0, bytes(512)),
    Frame(FrameKind.HELLO, payload=b"{}"),
    Frame(FrameKind.CONFIRM, seq=1 << 40),
    Frame(FrameKind.END, payload=b"x"),
    Frame(FrameKind.REFUSE, payload=b"["),
]

MALFORMED_FOR_SECONDARY = [
    Frame(FrameKind.WRITE, 0, 9, 512, 100, 0, bytes(512)),
    Frame(FrameKind.WRITE, 0, 0, 512, 100, 1 << 40, bytes(512)),
    Frame(FrameKind.WRITE, 0, 0, 0, 100, 0, b""),
    Frame(FrameKind.WRITE, 0, 0, 512, 100, 0, b""),
    Frame(FrameKind.ZERO, 0, 0, 512, 100, 0, bytes(512)),
    Frame(FrameKind.WRITE, 0, 0, 512, 0, 0, bytes(512)),
    Frame(FrameKind.COPY, 0, 0, 512, 100, 0, bytes(512)),
    Frame(FrameKind.ASK, 0, 0, 1, 0, 0),
    Frame(FrameKind.PULL, 0, 0, 1, 0, 0, bytes(32)),
    Frame(FrameKind.END, payload=b"x"),
    Frame(FrameKind.HELLO, payload=b"{}"),
    Frame(FrameKind.WELCOME, payload=b"{}"),
    Frame(FrameKind.CONFIRM, seq=1),
]


@pytest.mark.parametrize("frame", MALFORMED_FOR_PRIMARY, ids=lambda frame: frame.kind.name)
def test_rule_27_a_malformed_frame_ends_the_primarys_connection_and_nothing_else(frame: Frame) -> None:
    _ends_the_connection(A, frame)


@pytest.mark.parametrize("frame", MALFORMED_FOR_SECONDARY, ids=lambda frame: frame.kind.name)
def test_rule_27_a_malformed_frame_ends_the_secondarys_connection_and_nothing_else(frame: Frame) -> None:
    _ends_the_connection(B, frame)


def _ends_the_connection(site: str, frame: Frame) -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    ports = scene.world.agents[site].sessions[SESSION]
    link = ports.link
    assert link is not None
    with pytest.raises(MalformedFrame):
        ports.session.on_frames(link.number, [frame], scene.world.scheduler.now)
    ports.close_link("malformed")
    ports.session.on_link_lost(link.number, "malformed", scene.world.scheduler.now)
    ports.after()
    write = scene.host.write(1)
    scene.until_answered(write)
    scene.until_in_step()


def test_rule_27_a_pulled_chunk_of_the_wrong_size_is_malformed() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    frames = scene.hold(Kind.FRAME, A, "PULL_DONE")
    scene.restart(A)
    scene.wait(A, "pulling")
    scene.run(0.02)
    ports = scene.a.sessions[SESSION]
    assert ports.link is not None
    for frame in (
        Frame(FrameKind.PULLED, 0, 0, 512, 0, 0, bytes(512)),
        Frame(FrameKind.PULLED, 0, 0, 65536, 0, 512, bytes(65536)),
        Frame(FrameKind.PULLED, 0, 7, 65536, 0, 0, bytes(65536)),
        Frame(FrameKind.PULLED, 0, 0, 65536, 0, 1 << 40, bytes(65536)),
    ):
        with pytest.raises(MalformedFrame):
            ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
    scene.release(frames)
    scene.until_in_step()
