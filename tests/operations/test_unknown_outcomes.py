"""A database connection that is lost at a commit: nobody knows its outcome, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.operations.place import Place
from tests.operations.trying import VERBS, Snapshots

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.verb import Json
from bilocate.operations.verbs import all_verbs
from bilocate.store.database import DatabaseUnavailable

COMMITS_MOST = 60  # no verb has so many


class Lost(OSError):
    """The connection was lost, says a test."""


class LosesConnection:
    """Loses it at the `number`th transaction that writes, before its commit or (`carried_out`) behind it."""

    def __init__(self, place: Place, number: int, carried_out: bool) -> None:
        self._writing = place.database.writing
        self._number, self._carried_out = number, carried_out
        self.count = 0
        place.database.writing = self.writing  # type: ignore[method-assign]

    @asynccontextmanager
    async def _lost(self) -> AsyncIterator[AsyncSession]:
        async with self._writing() as db:
            yield db
            if not self._carried_out:
                raise Lost  # as the database's own, which makes an outage of it
        raise DatabaseUnavailable(Lost())

    def writing(self, urgent: bool = False) -> AbstractAsyncContextManager[AsyncSession]:
        if urgent:
            return self._writing(True)  # the arbiter's, which the sites ask
        self.count += 1
        return self._lost() if self.count == self._number else self._writing()


@pytest.mark.parametrize("carried_out", [False, True], ids=["not-carried-out", "carried-out"])
@pytest.mark.parametrize("name", VERBS)
def test_a_connection_lost_at_any_commit_of_an_operation_leads_to_the_same_end(
    snapshots: Snapshots, name: str, carried_out: bool
) -> None:
    async def run() -> None:
        undisturbed, commits = await outcome(0)
        for number in range(1, commits + 1):
            told, _ = await outcome(number)
            assert told == undisturbed, f"lost at commit {number}"

    async def outcome(number: int) -> tuple[Json, int]:
        """What is so when it has ended, and how many transactions wrote."""
        verb = all_verbs()[name]
        attempt = await snapshots.attempt(verb, False)
        async with snapshots.place(attempt.situation) as place:
            place.operations.reconciler.on_leftover = lambda session_id: None
            operation_id = await place.begin(name, attempt.target_id, attempt.args)
            losing = LosesConnection(place, number, carried_out)
            async with asyncio.timeout(20):
                await asyncio.wait(list(place.operations.runner._carrying.values()))
            assert losing.count < COMMITS_MOST
            operation = await place.operation(operation_id)
            assert operation.status is OperationStatus.SUCCEEDED
            assert operation.lease_owner is None
            return await place.told(), losing.count

    asyncio.run(run())


@pytest.mark.parametrize("carried_out", [False, True], ids=["not-carried-out", "carried-out"])
def test_a_connection_lost_at_the_beginning_leaves_nothing_or_an_operation_that_is_taken_up(
    snapshots: Snapshots, carried_out: bool
) -> None:
    """The caller is told 503 and must look: the operation is in the journal, or it is not."""

    async def work(place: Place, group_id: str) -> None:
        LosesConnection(place, 1, carried_out)
        with pytest.raises(DatabaseUnavailable):
            await place.begin("failover", group_id, {})
        assert not place.operations.runner._carrying
        # Its own lease ends like any other's: here by another life of the controller.
        successor = place.successor()
        await successor.take_over()
        found = await place.told()
        statuses = {group[0].value for group in found["groups"].values()}
        assert statuses == ({"failed_over"} if carried_out else {"available"})
        await successor.close()

    snapshots.in_step(work)
