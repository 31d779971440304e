"""Rule 18 of docs/safety.md in detail: what a restarted primary takes from its secondary, and when that is over."""

import errno

import pytest
from pyroaring import BitMap
from tests.replication.scene import EXTENT, SECTORS_PER_CHUNK, SECTORS_PER_EXTENT, Scene, in_step
from tests.replication.test_write_path import Path
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.replication.frames import Frame, MalformedFrame
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.pull import Puller
from bilocate.replication.requests import Op


def _start_pulling(scene: Scene) -> None:
    """A lost what it wrote last, and starts again."""
    scene.a.cut_power()
    scene.a.start()
    scene.wait(A, "pulling")
    scene.run(0.05)


def test_PULL_a_chunk_that_the_disk_writes_late_lands_on_no_hosts_write() -> None:
    """Its link is gone, and the primary is to go solo: it serves nobody before its disk has ended that chunk."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.DISK, A, "WRITE"):
        _start_pulling(scene)
        assert len(scene.parked(Kind.DISK, A, "WRITE")) == 1
        scene.part()
        scene.run(2.0)
        assert not scene.connects(A)
        assert "still write what a pull brought" in scene.told(A)["refusal"]
    scene.wait(A, "solo")
    assert scene.told(A)["refusal"] is None
    scene.connect()
    write = scene.until_answered(scene.host.write(0))
    assert scene.writer(A, 0) == write.number
    scene.join()
    scene.until_in_step()


def test_PULL_the_next_one_begins_when_the_disk_has_ended_what_is_left_of_the_last() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.DISK, A, "WRITE"):
        _start_pulling(scene)
        scene.world.wire.cut()
        scene.run(0.2)
        assert scene.told(A)["link"]["up"]
        assert scene.state(A) == "waiting"
        assert len(scene.parked(Kind.DISK, A, "WRITE")) == 1
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_PULLKEEP_the_flush_behind_the_pull_waits_for_the_disk() -> None:
    """Both chunks are here, and one of them is not written yet: a flush would not make it durable."""
    scene = in_step()
    writes = [scene.until_answered(scene.host.write(chunk * SECTORS_PER_CHUNK)) for chunk in range(2)]
    with scene.holding(Kind.DISK, A, "WRITE"):
        _start_pulling(scene)
        for left in (2, 1):
            assert len(scene.parked(Kind.DISK, A, "WRITE")) == left
            assert scene.state(A) == "pulling"
            assert scene.durable(A).intents == {0}
            scene.deliver(Kind.DISK, A, "WRITE")
            scene.run(0.05)
        assert scene.state(A) == "in_step"
    assert scene.connects(A)
    for chunk, write in enumerate(writes):
        assert scene.writer(A, chunk * SECTORS_PER_CHUNK) == write.number
    scene.until_in_step()


@pytest.mark.parametrize("late", [False, True])
def test_PULL_a_chunk_that_can_not_be_written_here_keeps_hosts_away_and_says_why(late: bool) -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    disk = scene.world.disk(0, A)
    hold = scene.hold(Kind.DISK, A, "WRITE" if late else "nothing")
    scene.a.cut_power()
    disk.failures.append(Failure("write", errno.EIO, 0, SECTOR))
    scene.a.start()
    scene.wait(A, "pulling")
    if late:
        scene.run(0.05)
    scene.release(hold)
    assert scene.world.run_until(lambda: scene.told(A)["refusal"] is not None, 1.0)
    assert "can't be written at 0" in scene.told(A)["refusal"]
    assert "errno 5" in scene.told(A)["refusal"]
    with scene.holding(Kind.FRAME, B, "PULL"):
        scene.wait(A, "pulling")
        assert "errno 5" in scene.told(A)["refusal"]  # while it tries again
    assert not scene.connects(A)
    assert scene.durable(A).intents == {0}
    disk.failures.clear()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number
    assert scene.told(A)["refusal"] is None


def test_PULL_takes_zeros_as_well() -> None:
    """A's disk still has what was zeroed since; B has zeros there, and sends no bytes for them."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.until_answered(scene.host.flush())
    scene.until_answered(scene.host.zero(0))
    scene.a.cut_power()
    assert scene.writer(A, 0) != 0
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0) == 0


def test_PULL_of_all_volumes_a_few_questions_at_a_time() -> None:
    scene = in_step([6 * EXTENT, 6 * EXTENT], trace=True)
    writes = [
        (volume, extent * SECTORS_PER_EXTENT, host.write(extent * SECTORS_PER_EXTENT))
        for volume, host in enumerate(scene.hosts)
        for extent in range(0, 6, 2)  # apart from each other: a question each
    ]
    for _, _, write in writes:
        scene.until_answered(write)
    with scene.holding(Kind.FRAME, B, "PULL"):
        scene.a.cut_power()
        scene.a.start()
        scene.wait(A, "pulling")
        scene.run(0.05)
        asked = [line for line in scene.world.trace.lines if line.endswith("-> send PULL")]
        assert len(asked) == 4
    scene.until_in_step()
    for volume, sector, write in writes:
        assert scene.writer(A, sector, volume) == write.number


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Frame(FrameKind.PULLED, 0, 0, 0, 0, 128 * KIB), f"0 bytes at {128 * KIB} is no chunk"),
        (Frame(FrameKind.PULLED, 0, 1, 64 * KIB, 0, 0, bytes(64 * KIB)), "PULLED of volume 1"),
        (Frame(FrameKind.PULL_DONE, 0, 1, 1, 0, 0), "PULL_DONE of volume 1"),
    ],
)
def test_rule_27_what_is_pulled_from_no_volume_or_behind_its_end_is_malformed(
    frame: Frame, words: str
) -> None:
    scene = in_step([128 * KIB])
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FRAME, A, "PULL_DONE"):
        scene.restart(A)
        scene.wait(A, "pulling")
        scene.run(0.02)
        ports = scene.a.sessions[SESSION]
        assert ports.link is not None
        with pytest.raises(MalformedFrame, match=words):
            ports.session.on_frames(ports.link.number, [frame], scene.world.scheduler.now)
    scene.until_in_step()


def test_BOOTID_a_pull_notes_the_new_boot_of_every_volume() -> None:
    """Else a later start in the same boot takes what hosts know for older than the crash, and refuses them."""
    scene = in_step([320 * KIB, 320 * KIB])
    for host in scene.hosts:
        scene.until_answered(host.write(0))
    scene.a.cut_power()
    scene.a.start()
    scene.until_in_step()
    for volume in range(2):
        assert scene.durable(A, volume).served_boot_id == scene.a.boot_id
        assert not scene.durable(A, volume).intents


def test_PULL_one_whose_end_becomes_durable_when_its_link_is_gone_puts_nobody_in_step() -> None:
    """By then the primary has asked for the permit: it is solo, and the row says so."""
    scene = in_step(trace=True)
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    before = len(scene.world.trace.lines)
    with scene.holding(Kind.LEDGER, A, "PutVolume"):
        scene.a.start()
        scene.wait(A, "starting")
        scene.run(0.02)
        scene.part()
        scene.run(1.5)
        assert scene.row() == "stale"
        assert not scene.connects(A)
    scene.wait(A, "solo")
    assert not any("after=in_step" in line for line in scene.world.trace.lines[before:])
    scene.join()
    scene.until_in_step()


def test_what_a_restarted_primary_may_lack_at_the_secondary_is_told_when_it_goes_solo() -> None:
    """By its intents alone: nobody is to be told that less may differ than does."""
    scene = in_step([2 * EXTENT])
    scene.until_answered(scene.host.write(0))
    scene.part()
    scene.restart(A)
    scene.wait(A, "solo")
    assert scene.told(A)["volumes"][0]["dirty_bytes"] == EXTENT


def test_FLUSHSERVE_a_flush_that_fails_when_it_goes_solo_says_why_nobody_is_served() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.part()
    scene.a.kill()
    scene.world.disk(0, A).failures.append(Failure("flush", errno.EIO))
    scene.a.start()
    scene.wait(A, "starting")
    scene.run(0.5)
    assert scene.told(A)["refusal"] == "this site's disks can't flush: errno 5"
    assert not scene.connects(A)


def test_PULL_a_chunk_without_bytes_is_a_zeroing_for_the_disk() -> None:
    """A write without bytes would leave there what the disk has."""
    path = Path()
    failures: list[str] = []
    puller = Puller(
        path.ports,  # type: ignore[arg-type]
        path.marks,
        lambda: 1,
        [BitMap(), BitMap()],
        lambda: None,
        failures.append,
    )
    puller.on_pulled(Frame(FrameKind.PULLED, 0, 1, 64 * KIB, 0, 64 * KIB))
    puller.on_pulled(Frame(FrameKind.PULLED, 0, 0, 64 * KIB, 0, 0, b"x" * 64 * KIB))
    zeroing, write = path.ports.at_disk
    assert (zeroing.op, zeroing.volume, zeroing.offset, zeroing.length) == (Op.ZERO, 1, 64 * KIB, 64 * KIB)
    assert (write.op, write.volume, bytes(write.payload)) == (Op.WRITE, 0, b"x" * 64 * KIB)
    assert puller.pulled_bytes == 128 * KIB
    assert not failures
