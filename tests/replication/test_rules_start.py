"""Rules 18 to 21 of docs/safety.md: starting again. A is the primary, B the secondary, both in step at first."""

import errno
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.replication.scene import Scene, in_step
from tests.sim.world.disk import SECTOR, Failure
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import KIB, SESSION, A, B

from bilocate.replication.frames import PeerVolume, Welcome
from bilocate.replication.limits import Limits
from bilocate.replication.marks import Marks
from bilocate.replication.primary_start import Start
from bilocate.replication.records import VolumeRecord

EXTENTS = [4 * 4096 * KIB]


# --- 18 RESTART OF A PRIMARY ---


def test_PULL_a_restarted_primary_takes_what_only_the_secondary_still_has() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    version = scene.world.arbiter.rows[SESSION].version
    scene.a.cut_power()
    assert scene.writer(A, 0) == 0
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number
    assert scene.world.arbiter.rows[SESSION].version == version + 1  # attach alone: protection was never lost
    assert not scene.a.refused


def test_PULL_a_write_that_only_this_site_has_is_undone() -> None:
    """It was never answered; the secondary's content is the truth, and both are equal again."""
    scene = in_step()
    old = scene.until_answered(scene.host.write(0))
    frames = scene.hold(Kind.FRAME, B, "WRITE")
    scene.host.write(0)
    scene.run(0.01)
    scene.world.wire.cut()
    scene.release(frames)
    scene.restart(A)
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0) == old.number


def test_PULL_waits_for_the_secondary_before_it_asks_for_a_permit() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.part()
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.restart(A)
        scene.run(0.4)
        assert not scene.parked(Kind.ASK, A, "REQUEST_SOLO")
        scene.run(0.3)
        assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.wait(A, "solo")


def test_PULL_serves_nobody_meanwhile() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    with scene.holding(Kind.FRAME, B, "PULL"):
        scene.restart(A)
        scene.wait(A, "pulling")
        scene.run(0.1)
        assert not scene.connects(A)
    scene.until_in_step()
    assert scene.connects(A)


def test_PULL_goes_on_after_a_lost_link() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.a.cut_power()
    with scene.holding(Kind.FRAME, A, "PULLED"):
        scene.a.start()
        scene.wait(A, "pulling")
        scene.run(0.02)
        scene.world.wire.cut()
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_PULLCALL_not_while_a_call_is_under_way() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.part()
    hold = scene.hold(Kind.ASK, A, "REQUEST_SOLO")
    scene.restart(A)
    scene.run(0.7)
    assert scene.parked(Kind.ASK, A, "REQUEST_SOLO")
    scene.join()
    scene.run(0.2)
    assert scene.state(A) == "waiting"
    assert scene.told(A)["link"]["up"]
    scene.release(hold)
    scene.until_in_step()


def test_PULLOWN_not_with_failed_extents_of_its_own() -> None:
    scene = in_step()
    scene.world.disk(0, A).failures.append(Failure("write", errno.EIO, 0, SECTOR))
    scene.host.write(0)
    scene.run()
    scene.world.disk(0, A).failures.clear()
    assert scene.durable(A).failed
    scene.restart(A)
    seen = set()
    while not scene.world.in_step():
        scene.run(0.001)
        seen.add(scene.state(A))
    assert "pulling" not in seen
    assert not scene.durable(A).failed


def test_PULLKEEP_the_intents_stay_until_both_have_flushed() -> None:
    for site in (A, B):
        scene = in_step()
        scene.until_answered(scene.host.write(0))
        with scene.holding(Kind.FLUSH, site):
            scene.restart(A)
            scene.wait(A, "pulling")
            scene.run(0.1)
            assert scene.state(A) == "pulling"
            assert scene.durable(A).intents == {0}
        scene.until_in_step()
        assert not scene.durable(A).intents


def test_PULLKEEP_a_flush_that_fails_behind_the_pull_keeps_the_intents_and_serves_nobody() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.a.cut_power()
    scene.world.disk(0, A).failures.append(Failure("flush", errno.EIO))
    with scene.holding(Kind.ASK, A, "REQUEST_SOLO"):
        scene.a.start()
        scene.run(0.4)
        assert not scene.connects(A)
        assert scene.durable(A).intents == {0}
        assert scene.told(A)["refusal"] == f"this site's disks can't flush: errno {errno.EIO}"
    scene.world.disk(0, A).failures.clear()
    scene.restart(A)  # a file whose flush failed is opened anew
    scene.until_in_step()
    assert scene.writer(A, 0) == write.number


def test_PULL_what_is_durable_for_a_link_that_is_gone_serves_nobody() -> None:
    """Behind the pull the link is lost, and pulled again on the next one: only this pull's own commit lets A serve."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    ledger = scene.hold(Kind.LEDGER, A, "PutVolume")
    scene.restart(A)
    scene.wait(A, "starting")
    scene.world.wire.cut()
    scene.wait(A, "waiting")
    scene.wait(A, "starting")
    scene.deliver(Kind.LEDGER, A, "PutVolume")
    scene.run(0.02)
    assert scene.state(A) == "starting"
    assert not scene.connects(A)
    scene.release(ledger)
    scene.until_in_step()


@pytest.mark.parametrize(
    ("change", "all_there"),
    [
        ({}, True),
        ({"consistent": False}, False),
        ({"dirty": True}, False),
        ({"everything": True}, False),
        ({"generation": "other"}, False),
        ({"generation": ""}, False),
    ],
)
@pytest.mark.parametrize("own", ["same", ""])
def test_PULL_only_from_a_secondary_that_has_all_of_every_volume(
    change: dict[str, Any], all_there: bool, own: str
) -> None:
    """A volume that was in step with none is like no other, also like one that is the same in that."""
    marks = [Marks(VolumeRecord(name, 4096, generation="same")) for name in "vw"]
    marks[1].record.generation = own
    start = Start(SimpleNamespace(marks=marks, limits=Limits()), "boot", restored=True)  # type: ignore[arg-type]
    peer = PeerVolume("same", True, False, False)
    welcome = Welcome("process", 1, (peer, replace(peer, **change)))
    assert start.peer_has_all(welcome) == (all_there and own == "same")


def test_PULL_one_that_fails_here_is_tried_again_after_longer_and_longer_pauses_and_says_why() -> None:
    """A's disk can't read a chunk that it may lack: B has it, and nobody is served until it can."""
    scene = in_step(trace=True)
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    disk = scene.world.disk(0, A)
    disk.failures.append(Failure("read", errno.EIO, 0, SECTOR))
    scene.a.start()
    begun = _pulls_within(scene, 0.5)
    assert 1 <= begun <= 4
    assert _pulls_within(scene, 10.0) <= 12  # no more than one in a second by then
    assert "can't be read here: errno 5" in scene.told(A)["refusal"]
    assert not scene.connects(A)
    assert scene.row() == "in_sync"
    disk.failures.clear()
    scene.until_in_step()
    assert scene.told(A)["refusal"] is None


def test_PULL_one_that_fails_at_the_secondary_pauses_too() -> None:
    scene = in_step(trace=True)
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    disk = scene.world.disk(0, B)
    disk.failures.append(Failure("read", errno.EIO, 0, SECTOR))
    scene.a.start()
    scene.run(1.0)
    assert _pulls_within(scene, 10.0) <= 12
    assert "can't be read" in scene.told(A)["refusal"]
    disk.failures.clear()
    scene.until_in_step()


def _pulls_within(scene: Scene, seconds: float) -> int:
    """How often A began to pull meanwhile."""
    lines = scene.world.trace.lines
    before = len(lines)
    scene.run(seconds)
    return sum("after=pulling" in line for line in lines[before:])


# --- 19 OLD MEMORY ---


def test_OLD_MEMORY_hosts_from_before_the_crash_are_refused_when_it_goes_solo() -> None:
    scene = in_step()
    lost = scene.until_answered(scene.host.write(0))
    attachment = scene.host.attachment
    scene.b.kill()
    scene.a.cut_power()
    scene.a.start()
    scene.wait(A, "solo")
    assert scene.a.connect(scene.world.volume_id(0, A), attachment, lambda reason: None) is None
    assert scene.connects(A)  # a new attachment is
    assert scene.writer(A, 0) != lost.number
    scene.restart(A)
    scene.wait(A, "solo")
    assert scene.a.connect(scene.world.volume_id(0, A), attachment, lambda reason: None) is None  # durably
    scene.b.start()
    scene.until_in_step()


def test_OLD_MEMORY_hosts_are_not_refused_after_a_mere_restart_of_the_process() -> None:
    scene = in_step()
    write = scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.restart(A)
    scene.wait(A, "solo")
    assert not scene.a.refused
    scene.connect()
    assert scene.until_answered(scene.host.read(0)).found == [write.number]


def test_OLD_MEMORY_a_volume_that_no_machine_has_served_yet_has_none() -> None:
    """Hosts that it was given to before its first session keep their attachments."""
    scene = in_step()
    assert scene.told(A)["last_resync"] is not None  # it was solo at first
    assert "refused" not in scene.a.ledger.items


def test_BOOTID_the_new_boot_is_noted_only_when_it_serves() -> None:
    """The machine crashes, the process starts, and ends before it served; the next one must still refuse."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.a.cut_power()
    asks = scene.hold(Kind.ASK, A)
    scene.a.start()
    scene.run(0.5)
    assert scene.durable(A).served_boot_id not in ("", scene.a.boot_id)
    scene.restart(A)
    scene.release(asks)
    scene.wait(A, "solo")
    assert scene.a.refused
    assert scene.durable(A).served_boot_id == scene.a.boot_id


def test_BOOTID_the_refusal_is_durable_before_the_boot_is_noted() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.a.cut_power()
    hold = scene.hold(Kind.LEDGER, A)
    scene.a.start()
    scene.run(1.0)
    names = [event.name for event in scene.parked(Kind.LEDGER, A)]
    assert names == ["PutSiteItem"]  # the rest waits behind it
    assert not scene.connects(A)
    scene.release(hold)
    scene.wait(A, "solo")


# --- 20 UNSURE ---


def test_UNSURE_a_secondary_that_starts_turns_its_intents_into_dirty_bits() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    assert scene.durable(B).intents == {0}
    with scene.holding(Kind.FRAME, A, "WELCOME"):
        scene.restart(B)
        scene.run(0.05)
    record = scene.durable(B)
    assert 0 in record.dirty
    assert not record.intents


def test_UNSURE_no_pull_from_a_dirty_secondary() -> None:
    """Both machines lose power; B has lost what it confirmed. Pulling from it would lose the flushed w at A."""
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    disk = scene.world.disk(0, A)
    disk.begin_flush()()  # A's cache was written back, B's was not
    scene.b.cut_power()
    scene.a.cut_power()
    write = scene.writer(A, 0)
    assert write != scene.writer(B, 0) == 0
    scene.b.start()
    scene.a.start()
    scene.until_in_step()
    assert scene.writer(A, 0) == scene.writer(B, 0) == write


def test_UNSURE_no_lossless_failover_to_a_dirty_secondary() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    with scene.holding(Kind.FLUSH, B):
        scene.b.cut_power()
    scene.b.start()
    failover = scene.world.controller.failover(SESSION)
    scene.run(0.5)
    assert not failover.done
    assert "may lack answered writes" in str(failover.error)
    assert scene.world.arbiter.rows[SESSION].primary == A
    forced = scene.world.controller.failover(SESSION, allow_data_loss=True)
    scene.run(1.0)
    assert forced.done, forced.error
    scene.wait(B, "solo")


def test_UNSURE_dirty_bits_are_durable_before_the_intents_go() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.b.kill()
    scene.part()
    with scene.holding(Kind.LEDGER, B):
        scene.b.start()
        scene.run(0.05)
        assert scene.durable(B).intents == {0}
        assert scene.state(B) == "settling"
        scene.b.kill()
    scene.b.start()
    scene.run(0.05)
    assert scene.durable(B).dirty


# --- 21 FLUSHSERVE ---


def test_FLUSHSERVE_a_primary_flushes_before_it_serves_after_a_start() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.part()
    with scene.holding(Kind.FLUSH, A):
        scene.restart(A)
        scene.wait(A, "starting")
        scene.run(0.2)
        assert not scene.connects(A)
    scene.wait(A, "solo")
    assert not scene.world.disk(0, A).unflushed_sectors


def test_FLUSHSERVE_after_a_promotion() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.kill()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "detached")
    with scene.holding(Kind.FLUSH, B):
        scene.wait(B, "starting")
        scene.run(0.2)
        assert not scene.connects(B)
    scene.wait(B, "solo")


def test_FLUSHSERVE_after_a_pull() -> None:
    scene = in_step()
    scene.until_answered(scene.host.write(0))
    scene.a.cut_power()
    scene.a.start()
    scene.until_in_step()
    assert not scene.world.disk(0, A).unflushed_sectors
    assert not scene.world.disk(0, B).unflushed_sectors
