"""Leases: one controller at a time carries an operation on, and there always is one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.operations.place import QUICK, SETTINGS, Place, at_a_place
from tests.operations.trial import end_lease
from tests.operations.trying import Snapshots

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.injection import Injection
from bilocate.operations.runner import Runner
from bilocate.operations.runner_errors import LeaseLost
from bilocate.store.columns import new_id
from bilocate.store.database import DatabaseUnavailable
from bilocate.store.journal_models import Operation
from bilocate.store.models import Group, Volume

OTHER = replace(SETTINGS, controller_name="other")
SCANNING = replace(QUICK, lease_seconds=60.0, scan_every_seconds=0.02)


async def begun_and_dropped(place: Place, verb: str, target_id: str, args: dict[str, Any]) -> str:
    """An operation whose controller dies before its first step."""

    def die(*_: object) -> None:
        raise asyncio.CancelledError

    place.operations.runner = Runner(place.operations.context, Injection(die))
    operation_id = await place.begin(verb, target_id, args)
    await asyncio.wait([place.operations.runner._carrying[operation_id]])
    return operation_id


async def owner_of(place: Place, operation_id: str) -> str | None:
    operation: Operation = await place.row(Operation, operation_id)
    return operation.lease_owner


def test_another_controller_waits_for_the_end_of_a_lease_this_one_does_not(database_url: str) -> None:
    async def work(place: Place) -> None:
        args = {"size_gib": 1, "volume_type": "t", "site": "az1"}
        volume_id = new_id()
        operation_id = await begun_and_dropped(place, "create_volume", volume_id, args)
        other = place.successor(OTHER)
        assert await other.operations.journal.claim() == []
        assert str(await owner_of(place, operation_id)).startswith("controller/")
        # Its own next life knows that nobody carries it on any more.
        again = place.successor()
        await again.take_over()
        assert (await place.row(Volume, volume_id)).status.value == "available"
        await other.close()
        await again.close()

    at_a_place(database_url, work)


def test_another_controller_takes_over_what_nobody_renews(database_url: str) -> None:
    async def work(place: Place) -> None:
        args = {"size_gib": 1, "volume_type": "t", "site": "az1"}
        volume_id = new_id()
        operation_id = await begun_and_dropped(place, "create_volume", volume_id, args)
        other = place.successor(OTHER)
        await other.operations.runner.start()
        async with asyncio.timeout(20):
            while (await place.row(Operation, operation_id)).finished_at is None:
                await asyncio.sleep(0.02)
        assert (await place.row(Volume, volume_id)).status.value == "available"
        await other.close()

    short = replace(SETTINGS, timing=replace(QUICK, lease_seconds=0.3, scan_every_seconds=0.02))
    at_a_place(database_url, work, short)


def test_a_controller_that_is_ending_takes_over_nothing_and_those_who_stay_do(database_url: str) -> None:
    async def work(place: Place) -> None:
        args = {"size_gib": 1, "volume_type": "t", "site": "az1"}
        volume_id = new_id()
        operation_id = await begun_and_dropped(place, "create_volume", volume_id, args)
        ending, staying = (place.successor(replace(OTHER, timing=SCANNING)) for _ in range(2))
        ending.operations.take_over_no_more()
        await ending.operations.runner.start()
        await end_lease(place, operation_id)
        await asyncio.sleep(0.5)  # many looks at what nobody carries on
        assert (await place.row(Operation, operation_id)).finished_at is None
        await staying.operations.runner.start()
        async with asyncio.timeout(20):
            while (await place.row(Operation, operation_id)).finished_at is None:
                await asyncio.sleep(0.02)
        for other in (ending, staying):
            await other.close()

    at_a_place(database_url, work)


def test_who_has_lost_the_lease_changes_nothing_any_more(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        other = place.successor(OTHER)

        async def lose() -> None:
            async with place.database.writing() as db:
                operation = await db.get(Operation, operation_id)
                assert operation is not None
                operation.lease_owner = other.operations.journal.owner

        az2 = place.world.agents["az2"]
        az2.before["POST precheck"] = lose
        operation_id = await place.begin("failover", group_id, {})
        await asyncio.wait(list(place.operations.runner._carrying.values()))
        az2.before.clear()
        operation = await place.operation(operation_id)
        assert (operation.status, operation.step) == (OperationStatus.RUNNING, "look")
        other.operations.runner.take(operation)
        assert await other.end_of(operation_id) is OperationStatus.SUCCEEDED
        await other.close()

    snapshots.in_step(work)


def test_who_claims_an_operation_anew_can_do_nothing_by_what_it_knew_of_it_before(
    snapshots: Snapshots,
) -> None:
    """The lease went to another controller, and came back: the owner is the same, what was done is not. Only the fence
    tells. Without it the old task would commit its step a second time, and take back what is past its return."""

    async def work(place: Place, group_id: str) -> None:
        other = place.successor(OTHER)
        waiting, go_on = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            waiting.set()
            await go_on.wait()

        place.world.agents["az2"].before["POST precheck"] = hang
        operation_id = await place.begin("failover", group_id, {})
        await asyncio.wait_for(waiting.wait(), 20)
        old = await place.operation(operation_id)
        await end_lease(place, operation_id)
        (taken,) = await other.operations.journal.claim()
        assert (taken.id, taken.fence) == (operation_id, old.fence + 1)
        await end_lease(place, operation_id)
        (again,) = await place.operations.journal.claim()
        assert again.lease_owner == old.lease_owner
        for lost in (old, taken):
            with pytest.raises(LeaseLost):
                async with place.database.writing() as db:
                    await place.operations.journal.guard(db, lost)
        # The hanging task is ended, and a new one goes on from what the journal knows.
        place.world.agents["az2"].before.clear()
        place.operations.runner.take(again)
        go_on.set()
        assert await place.end_of(operation_id) is OperationStatus.SUCCEEDED
        assert (await place.row(Group, group_id)).status.value == "failed_over"
        await other.close()

    snapshots.in_step(work)


def test_a_controller_that_hung_asks_whether_the_operation_is_its_own_before_it_speaks_to_sites(
    snapshots: Snapshots,
) -> None:
    async def work(place: Place, group_id: str) -> None:
        other = place.successor(OTHER)
        begun = asyncio.Event()

        async def lose() -> None:
            await end_lease(place, operation_id)
            assert len(await other.operations.journal.claim()) == 1
            # As after a long stop of the whole process.
            place.operations.runner._held_at[operation_id] -= 3600
            begun.set()

        runner = place.operations.runner
        original = place.operations.journal.done_steps

        async def slow(operation: str) -> dict[str, Any]:
            if not begun.is_set():
                await lose()
            return await original(operation)

        place.operations.journal.done_steps = slow  # type: ignore[method-assign, assignment]
        told = {site: agent.taken for site, agent in place.world.agents.items()}
        operation_id = await place.begin("failover", group_id, {})
        await asyncio.wait(list(runner._carrying.values()))
        assert {site: agent.taken for site, agent in place.world.agents.items()} == told
        assert (await place.operation(operation_id)).step is None
        await other.close()

    snapshots.in_step(work)


def test_a_database_that_is_away_for_a_while_ends_no_operation(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        real = place.database.writing
        left = 5

        @asynccontextmanager
        async def away(urgent: bool = False) -> AsyncIterator[Any]:
            nonlocal left
            if left:
                left -= 1
                raise DatabaseUnavailable(OSError("away"))
            async with real() as db:
                yield db

        operation_id = await place.begin("failover", group_id, {})
        place.database.writing = away  # type: ignore[method-assign]
        assert await place.end_of(operation_id) is OperationStatus.SUCCEEDED
        assert left == 0

    snapshots.in_step(work)


def test_the_watch_survives_a_defect(snapshots: Snapshots) -> None:
    """Without it no lease is renewed and nothing is taken over."""

    async def work(place: Place, group_id: str) -> None:
        journal = place.operations.journal
        real, calls = journal.claim, 0

        async def claim(earlier_lives: bool = True) -> list[Operation]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ZeroDivisionError
            return await real()

        journal.claim = claim  # type: ignore[method-assign]
        await place.operations.runner.start()
        async with asyncio.timeout(20):
            while calls < 3:
                await asyncio.sleep(0.01)

    quick = replace(SETTINGS, timing=replace(QUICK, scan_every_seconds=0.01))
    snapshots.in_step(work, quick)


def test_an_orderly_stop_leaves_operations_to_others_at_once(snapshots: Snapshots) -> None:
    async def work(place: Place, group_id: str) -> None:
        never = asyncio.Event()

        async def wait() -> None:
            await never.wait()

        place.world.agents["az2"].before["POST precheck"] = wait
        operation_id = await place.begin("failover", group_id, {})
        async with asyncio.timeout(20):
            while (await place.operation(operation_id)).step != "look":
                await asyncio.sleep(0.01)
        await place.operations.runner.stop()
        assert await owner_of(place, operation_id) is None
        place.world.agents["az2"].before.clear()
        other = place.successor(OTHER)
        await other.take_over()
        assert (await place.row(Group, group_id)).status.value == "failed_over"
        await other.close()

    snapshots.in_step(work)
