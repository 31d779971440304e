"""What a new epoch makes of the marks of a session's volumes (EPOCH, DEMOTE, rule 22): by what they were before, and by
whether the same session takes them on, another one, or one after a restart. A was the primary, B the secondary."""

from dataclasses import replace

import pytest
from tests.replication.scene import EXTENT, SECTORS_PER_EXTENT, Scene, in_step
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.geometry import CHUNK_BYTES
from bilocate.replication.records import Role, VolumeRecord
from bilocate.replication.wanted import CannotPromote, NotPossibleNow

SIZES = [2 * EXTENT, 2 * EXTENT]
OTHER = {A: B, B: A}
TAKEN_BY = ["the session", "another", "another, restarted"]


def _settled(restarted: bool, site: str) -> Scene:
    """Each volume has been written to; both sites have intents of it. Nobody tells sites anything but the test."""
    scene = in_step(SIZES)
    for host in scene.hosts:
        scene.until_answered(host.write(0))
    scene.until_answered(scene.hosts[1].write(SECTORS_PER_EXTENT))
    scene.run(0.1)
    scene.world.controller.reconciling = False
    if restarted:
        scene.part()  # so that no half gets on with what it has
        scene.restart(site)
        scene.run(0.02)
    return scene


def _put(scene: Scene, site: str, role: Role, by: str, allow_dirty: bool = False) -> object:
    """The answer to a session of a new epoch with both volumes in that role; None: it is so now."""
    session_id = SESSION if by == "the session" else "another"
    known = scene.world.controller.wanted(SESSION, site)
    new = replace(
        known,
        epoch=scene.world.arbiter.next_epoch(),
        role=role,
        peer_site=OTHER[site],
        paused=True,
        allow_dirty=allow_dirty,
    )
    answers: list[object] = []
    scene.world.agents[site].put_session(session_id, new, answers.append)
    scene.run(0.2)
    (answer,) = answers
    if answer is None:
        assert scene.told(site, session_id)["role"] == role.value
    return answer


def _records(scene: Scene, site: str) -> list[VolumeRecord]:
    """What is durable of either volume."""
    return [scene.durable(site, volume) for volume in (0, 1)]


@pytest.mark.parametrize("by", TAKEN_BY)
def test_DEMOTE_a_primary_that_is_put_as_a_secondary_has_its_intents_as_dirty_chunks(by: str) -> None:
    """Also where a group was made anew while its site was away, so that the new session never was a primary there."""
    scene = _settled("restarted" in by, A)
    before = [set(record.intents) for record in _records(scene, A)]
    assert all(before)
    assert _put(scene, A, Role.SECONDARY, by) is None
    for record, extents in zip(_records(scene, A), before, strict=True):
        assert record.served_boot_id == ""
        assert not record.intents
        assert {chunk * CHUNK_BYTES // EXTENT for chunk in record.dirty} == extents


@pytest.mark.parametrize("by", TAKEN_BY)
def test_EPOCH_a_primary_that_stays_one_keeps_its_marks(by: str) -> None:
    """With its intents made dirty it would copy what it need not."""
    scene = _settled("restarted" in by, A)
    before = [(set(record.intents), record.served_boot_id) for record in _records(scene, A)]
    assert all(intents for intents, _ in before)
    assert _put(scene, A, Role.PRIMARY, by) is None
    assert [(set(record.intents), record.served_boot_id) for record in _records(scene, A)] == before
    assert not any(record.dirty for record in _records(scene, A))


@pytest.mark.parametrize("by", ["the session", "another"])
def test_EPOCH_a_secondary_that_stays_one_stays_fit_to_be_promoted(by: str) -> None:
    scene = _settled(False, B)
    assert all(record.intents for record in _records(scene, B))
    assert _put(scene, B, Role.SECONDARY, by) is None
    assert not any(record.dirty for record in _records(scene, B))


def test_DEMOTE_what_a_promoted_copy_may_lack_is_in_its_dirty_map() -> None:
    """A dirty bit is what a resync copies; intents of its own would be dropped with the writes of the new epoch."""
    scene = _settled(False, B)
    before = [set(record.intents) for record in _records(scene, B)]
    assert all(before)
    assert _put(scene, B, Role.PRIMARY, "the session") is None
    for record, extents in zip(_records(scene, B), before, strict=True):
        assert {chunk * CHUNK_BYTES // EXTENT for chunk in record.dirty} == extents


@pytest.mark.parametrize("by", TAKEN_BY)
def test_rule_22_no_dirty_copy_of_a_secondary_is_promoted_whoever_asks(by: str) -> None:
    scene = _settled("restarted" in by, B)
    marks = scene.b.volumes[scene.world.volume_id(1, B)].marks
    marks.record.dirty.add(0)
    refused = _put(scene, B, Role.PRIMARY, by)
    assert isinstance(refused, CannotPromote)
    assert marks.record.volume_id in str(refused)
    assert _put(scene, B, Role.PRIMARY, by, allow_dirty=True) is None


@pytest.mark.parametrize("by", TAKEN_BY)
def test_rule_22_a_primary_is_no_promotion_and_may_have_dirty_chunks(by: str) -> None:
    """What it wrote alone is dirty, and lacks nothing."""
    scene = _settled("restarted" in by, A)
    scene.a.volumes[scene.world.volume_id(1, A)].marks.record.dirty.add(0)
    assert _put(scene, A, Role.PRIMARY, by) is None


@pytest.mark.parametrize("by", TAKEN_BY)
def test_rule_22_a_plain_volume_becomes_a_primary_whatever_is_marked(by: str) -> None:
    """It has no past: nobody has a copy that it could lack something of."""
    scene = _settled("restarted" in by, A)
    for volume in (0, 1):
        record = scene.a.volumes[scene.world.volume_id(volume, A)].marks.record
        record.generation = record.served_boot_id = ""
        record.dirty.add(0)
    assert _put(scene, A, Role.PRIMARY, by) is None


@pytest.mark.parametrize("by", TAKEN_BY)
@pytest.mark.parametrize("what", ["dirty", "inconsistent"])
def test_rule_22_any_copy_may_be_a_secondary_again(by: str, what: str) -> None:
    """That is how it is mended."""
    scene = _settled("restarted" in by, B)
    record = scene.b.volumes[scene.world.volume_id(1, B)].marks.record
    if what == "dirty":
        record.dirty.add(0)
    else:
        record.consistent = False
    assert _put(scene, B, Role.SECONDARY, by) is None


def test_EPOCH_what_hosts_asked_of_a_primary_goes_to_its_next_epoch() -> None:
    scene = _settled(False, A)
    rows, epoch = scene.world.arbiter.rows, scene.world.arbiter.next_epoch()
    new = replace(scene.world.controller.wanted(SESSION, A), epoch=epoch)
    with scene.holding(Kind.FRAME, A):  # nothing is confirmed
        write = scene.hosts[0].write(5)
        scene.run(0.02)
        rows[SESSION] = replace(rows[SESSION], epoch=epoch, version=rows[SESSION].version + 1)
        scene.a.put_session(SESSION, new, lambda error: None)
        scene.run(0.02)
        assert not write.ok
    scene.until_answered(write)
    assert scene.writer(A, 5) == write.number


def test_EPOCH_a_secondary_that_is_busy_says_so_and_is_asked_again() -> None:
    """The code is what a controller goes by. Here it has just started, and makes its intents dirty (UNSURE)."""
    scene = _settled(False, B)
    with scene.holding(Kind.LEDGER, B):
        scene.restart(B)
        answer = _put(scene, B, Role.SECONDARY, "the session")
        assert isinstance(answer, NotPossibleNow)
        assert answer.code == "busy"
    scene.run(0.02)
    assert _put(scene, B, Role.SECONDARY, "the session") is None
