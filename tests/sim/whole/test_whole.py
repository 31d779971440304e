"""Worlds with real controllers do as they say, and their checkers notice what they are for."""

import asyncio
import sqlite3

import pytest
from sqlalchemy import update
from tests.sim import story
from tests.sim.checkers.violation import Violation
from tests.sim.whole.conftest import MakeWorld
from tests.sim.whole.controllers import PROJECT
from tests.sim.whole.story import WholeStory
from tests.sim.whole.world import WholeWorld
from tests.sim.world.scheduler import Kind
from tests.sim.world.world import SESSION, A, B

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.journal import Journal
from bilocate.operations.runner import Runner
from bilocate.store.models import Group

SOME = range(1, 10)  # in some of these seeds an operation is asked for


@pytest.fixture
def world(make_world: MakeWorld) -> WholeWorld:
    return make_world(2, 2)


def _perform(world: WholeWorld, controller: int, verb: str) -> list[OperationStatus | None]:
    """Ask; the list gets the status once it has ended."""
    out: list[OperationStatus | None] = []
    operations = world.controllers[controller].operations

    async def do() -> None:
        asked = await operations.perform(verb, SESSION, {}, project_id=PROJECT, requested_by="tester")
        out.append(await operations.finished(asked, 20.0))

    world.controllers[controller].run(do())
    return out


def test_a_failover_is_carried_out_by_the_real_operations(world: WholeWorld) -> None:
    ended = _perform(world, 0, "failover")
    assert world.run_until(lambda: bool(ended), 5.0)
    assert ended == [OperationStatus.SUCCEEDED]
    assert world.arbiter.rows[SESSION].primary == B
    assert world.told(B)["serving"]


def test_another_controller_takes_over_when_the_lease_has_ended(world: WholeWorld) -> None:
    calls = world.scheduler.hold(Kind.CALL, B, f"POST sessions/{SESSION}/precheck")
    _perform(world, 0, "failover")
    assert world.run_until(lambda: bool(world.scheduler.found(Kind.CALL, B)), 5.0)
    world.controllers[0].kill()
    world.scheduler.release(calls)
    assert world.run_until(lambda: world.arbiter.rows[SESSION].primary == B, 5.0)
    assert world.scheduler.now > 1.0  # not before the lease had ended
    assert world.run_until(lambda: bool(world.told(B)["serving"]), 5.0)


def test_what_a_killed_controller_had_not_committed_never_happened(world: WholeWorld) -> None:
    controller = world.controllers[0]

    async def write() -> None:
        async with controller.database.writing() as db:
            await db.execute(update(Group).values(name="never"))
            await asyncio.sleep(60.0)

    controller.run(write())
    world.run(0.5)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        world.file.open().execute("BEGIN IMMEDIATE")
    controller.kill()
    assert world.file.read("SELECT name FROM groups") == [("",)]
    world.file.open().execute("BEGIN IMMEDIATE")


def test_a_stopped_controller_does_nothing_and_then_finds_its_lease_gone(world: WholeWorld) -> None:
    calls = world.scheduler.hold(Kind.CALL, B, f"POST sessions/{SESSION}/precheck")
    _perform(world, 0, "failover")
    assert world.run_until(lambda: bool(world.scheduler.found(Kind.CALL, B)), 5.0)
    world.scheduler.freeze("c1")
    world.scheduler.release(calls)
    ended = "SELECT status, fence FROM operations WHERE finished_at IS NOT NULL"
    assert world.run_until(lambda: bool(world.file.read(ended)), 10.0)
    before = world.file.read(ended), world.arbiter.rows[SESSION].epoch
    world.scheduler.thaw("c1")
    world.run(0.1)
    assert (world.file.read(ended), world.arbiter.rows[SESSION].epoch) == before


def test_nothing_of_real_time_is_waited_for(world: WholeWorld) -> None:
    before = asyncio.events._get_running_loop()
    world.run(5.0)
    assert before is asyncio.events._get_running_loop() is None
    assert world.scheduler.now > 5.0


def test_a_defect_of_a_controller_breaks_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Journal, "claim", broken)
    with pytest.raises(Violation, match="API: runner_defect"):
        WholeStory(20).run()


def test_an_operation_that_never_ends_breaks_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, "take", lambda self, operation: None)
    monkeypatch.setattr(story, "HEAL_SECONDS", 8.0)

    def run() -> None:
        for seed in SOME:
            WholeStory(seed).run()

    with pytest.raises(Violation):
        run()


def test_the_primary_named_by_a_group_is_its_rows(world: WholeWorld) -> None:
    world.file.open().execute("UPDATE groups SET priority_site = ?", (B,))
    with pytest.raises(AssertionError, match=f"shows {B} as production, the row says {A}"):
        world.database.look()
