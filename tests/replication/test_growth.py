"""GROWTH: a volume in a session gets larger, the secondary's first, while hosts write; a crash at any point."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.replication.scene import EXTENT, SECTORS_PER_EXTENT, SMALL, Scene, in_step, solo
from tests.sim.world.calls import Operation
from tests.sim.world.disk import SECTOR
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.replication.wanted import MalformedWanted

NEW = SECTORS_PER_EXTENT  # the first sector that the old size has not
LARGE = 3 * EXTENT


def _grow(scene: Scene) -> Operation:
    return scene.world.controller.grow(SESSION, 0, LARGE)


def _grown(scene: Scene) -> None:
    assert scene.world.run_until(lambda: _sizes(scene) == [LARGE, LARGE], 10.0), _sizes(scene)


def _sizes(scene: Scene) -> list[int]:
    return [told["volumes"][0]["size_bytes"] for told in map(scene.told, (A, B)) if told.get("volumes")]


def test_GROWTH_it_stays_in_step_and_hosts_are_answered_in_the_new_part() -> None:
    scene = in_step([EXTENT])
    before = scene.host.write(0)
    _grow(scene)
    _grown(scene)
    assert scene.state(A) == "in_step"
    new = scene.until_answered(scene.host.write(NEW + 1))
    scene.until_answered(before)
    scene.until_answered(scene.host.flush())
    assert scene.writer(B, NEW + 1) == new.number
    assert scene.told(A)["last_resync"]["total_bytes"] == EXTENT  # the first one: nothing was compared anew
    scene.check()


def test_GROWTH_the_secondary_is_ahead_and_takes_a_link_of_the_smaller_primary() -> None:
    scene = in_step([EXTENT])
    with scene.holding(Kind.CALL, A, "PUT"):
        _grow(scene)
        scene.run(0.5)
        assert _sizes(scene) == [EXTENT, LARGE]
        scene.part()
        scene.join()
        scene.wait(A, "in_step")
        scene.until_answered(scene.host.write(0))
    _grown(scene)
    scene.until_answered(scene.host.write(NEW))
    scene.until_in_step()


def test_GROWTH_a_larger_primary_has_no_secondary_until_that_has_grown() -> None:
    """The order is the controller's; should it ever be lost, nothing is confirmed by a disk that lacks the place."""
    scene = in_step([EXTENT])
    scene.world.controller.reconciling = False
    wanted = scene.world.controller.wanted(SESSION, A)
    member = replace(wanted.members[0], size_bytes=LARGE)
    larger = replace(wanted, members=(member,), revision=wanted.revision + 1)
    answers: list[object] = []
    scene.a.put_session(SESSION, larger, answers.append)
    scene.run(0.1)
    assert answers == [None]
    new = scene.host.write(NEW)
    scene.until_answered(new)  # alone, under a permit
    assert scene.row() == "stale"
    scene.run(1.0)
    assert not scene.world.in_step()
    assert "sizes" in str(scene.told(A)["refusal"])
    for site in (A, B):
        scene.world.grown[scene.world.volume_id(0, site)] = LARGE
    scene.world.controller.change(SESSION)
    scene.world.controller.reconciling = True
    assert scene.world.malformed  # the write past the secondary's end closed the link
    scene.world.malformed = 0
    scene.until_in_step()
    assert scene.writer(B, NEW) == new.number


@pytest.mark.parametrize("site", [A, B])
@pytest.mark.parametrize("power", [False, True], ids=["process", "machine"])
@pytest.mark.parametrize("moment", range(0, 60, 6))
def test_GROWTH_killed_at_any_moment_nothing_is_lost(site: str, power: bool, moment: int) -> None:
    scene = in_step([EXTENT])
    written = scene.until_answered(scene.host.write(5, fua=True))
    _grow(scene)
    scene.run(moment / 10_000)
    agent = scene.world.agents[site]
    agent.cut_power() if power else agent.kill()
    scene.run(0.3)
    agent.start()
    _grown(scene)
    scene.wait(A, "in_step", 20.0)
    if scene.host.connection is None:
        scene.connect()
    new = scene.until_answered(scene.host.write(NEW + 7))
    scene.until_in_step()
    assert scene.writer(A, 5) == scene.writer(B, 5) == written.number
    assert scene.writer(B, NEW + 7) == new.number


def test_GROWTH_what_was_answered_in_the_new_part_is_known_after_a_crash_of_the_primary() -> None:
    scene = in_step([EXTENT])
    _grow(scene)
    _grown(scene)
    new = scene.until_answered(scene.host.write(NEW + 3))
    scene.a.cut_power()
    scene.run(0.1)
    scene.a.start()
    scene.wait(A, "in_step", 20.0)
    scene.connect()
    read = scene.until_answered(scene.host.read(NEW + 3))
    assert list(read.found) == [new.number]
    scene.until_in_step()


def test_GROWTH_a_failover_to_a_secondary_that_was_grown_alone_takes_the_other_site_along() -> None:
    scene = in_step([EXTENT])
    with scene.holding(Kind.CALL, A, "PUT"):
        _grow(scene)
        scene.run(0.5)
    assert _sizes(scene)[1] == LARGE
    scene.a.kill()
    scene.world.controller.failover(SESSION)
    scene.wait(B, "solo", 20.0)
    scene.connect(B)
    new = scene.until_answered(scene.host.write(NEW))
    scene.a.start()
    _grown(scene)
    scene.world.controller.set_paused(SESSION, False)
    scene.until_in_step()
    assert _sizes(scene) == [LARGE, LARGE]
    assert scene.writer(A, NEW) == new.number


def test_GROWTH_while_it_copies_and_while_it_is_solo() -> None:
    scene = solo([EXTENT])
    dirty = scene.until_answered(scene.host.write(9))
    _grow(scene)
    _grown(scene)
    new = scene.until_answered(scene.host.write(NEW))
    scene.join()
    scene.until_in_step()
    assert scene.writer(B, 9) == dirty.number
    assert scene.writer(B, NEW) == new.number


def test_GROWTH_during_a_resync_what_comes_into_the_new_part_is_at_both_sites() -> None:
    scene = solo([EXTENT])
    scene.until_answered(scene.host.write(9))
    held = scene.hold(Kind.DISK, A, "read_chunks")
    scene.join()
    scene.wait(A, "copying")
    _grow(scene)
    _grown(scene)
    new = scene.host.write(NEW)
    scene.run(0.05)
    scene.release(held)
    scene.until_answered(new)
    scene.until_in_step()
    assert scene.writer(B, NEW) == new.number


def test_GROWTH_a_secondary_with_a_new_ledger_takes_no_smaller_primary() -> None:
    """It does not know how its disk came to its size: beyond the primary's end nothing would be compared."""
    scene = in_step([EXTENT])
    with scene.holding(Kind.CALL, A, "PUT"):
        _grow(scene)
        scene.run(0.5)
        scene.b.kill()
        scene.b.ledger.lose()
        scene.world.disk(0, B).bring(NEW, b"x" * SECTOR)  # whatever disk was brought there
        scene.b.start()
        scene.run(2.0)
        assert not scene.world.in_step()
    _grown(scene)
    scene.until_in_step()
    assert scene.writer(B, NEW) == scene.writer(A, NEW) == 0


BAD: list[tuple[int, Callable[[int], int]]] = [
    (EXTENT, lambda size: size - SECTOR),
    (SMALL, lambda size: size + EXTENT),
]


@pytest.mark.parametrize(("size", "wanted_size"), BAD, ids=["smaller", "from-a-part-of-an-extent"])
def test_GROWTH_a_size_that_can_not_be_is_refused_and_nothing_changes(
    size: int, wanted_size: Callable[[int], int]
) -> None:
    scene = in_step([size])
    wanted = scene.world.controller.wanted(SESSION, A)
    member = replace(wanted.members[0], size_bytes=wanted_size(size))
    answers: list[object] = []
    scene.a.put_session(SESSION, replace(wanted, members=(member,)), answers.append)
    assert isinstance(answers.pop(), MalformedWanted)
    assert _sizes(scene) == [size, size]
    scene.check()
