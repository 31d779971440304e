"""MEMBERS: one transaction retires the old rows and makes the new ones, no better than the worst of the old."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import select

from bilocate.domain.arbiter import Ask, Call, Refusal, RowState
from bilocate.store import arbiter
from bilocate.store.database import Database
from bilocate.store.membership import close_session, join, leave, members_of, open_session
from bilocate.store.models import Group, Pair, Session
from bilocate.store.schema import upgrade

Work = Callable[[Database], Awaitable[None]]


def on_a_database(url: str, work: Work) -> None:
    async def run() -> None:
        database = Database(url)
        await upgrade(database)
        async with database.writing() as db:
            db.add(Group(id="group", project_id="p", priority_site="az1"))
            for name in ("a", "b", "c"):
                pair = Pair(
                    id=name,
                    project_id="p",
                    first_volume_id=f"{name}1",
                    second_volume_id=f"{name}2",
                    first_site="az1",
                    second_site="az2",
                    priority_site="az1",
                    size_gib=1,
                    volume_type="t",
                )
                db.add(pair)
                await db.flush()
                await open_session(db, name, "az1", "az2", [pair], trust_blank=name == "c")
        await work(database)
        await database.close()

    asyncio.run(run())


async def rows(database: Database) -> dict[str, Session]:
    async with database.reading() as db:
        return {session.id: session for session in await db.scalars(select(Session))}


async def in_state(database: Database, **states: RowState) -> None:
    async with database.writing() as db:
        for session_id, state in states.items():
            session = await db.get(Session, session_id)
            assert session is not None
            session.state = state
            if state is RowState.IN_SYNC:
                session.behind_since = None  # as the arbiter does


async def change(database: Database, joining: list[str], leaving: list[str]) -> None:
    async with database.writing() as db:
        await join(db, "group", "az1", "az2", joining)
        await leave(db, "group", leaving)


async def members(database: Database, session_id: str) -> list[str]:
    async with database.reading() as db:
        return [pair.id for pair in await members_of(db, session_id)]


def test_joining_makes_one_row_of_the_worst_state_under_a_new_epoch(database_url: str) -> None:
    async def work(database: Database) -> None:
        await in_state(database, a=RowState.IN_SYNC, b=RowState.STALE)
        await change(database, ["a", "b"], [])
        found = await rows(database)
        assert sorted(found) == ["c", "group"]
        group = found["group"]
        assert (group.state, group.epoch, group.paused) == (RowState.STALE, 4, True)
        assert await members(database, "group") == ["a", "b"]
        old = Ask(Call.ATTACH, epoch=1, site="az1")
        assert await arbiter.call(database, "a", old) is Refusal.SUPERSEDED

    on_a_database(database_url, work)


def test_MOMENT_a_group_of_pairs_in_sync_is_in_sync_only_by_a_resync_of_its_own(database_url: str) -> None:
    async def work(database: Database) -> None:
        await in_state(database, a=RowState.IN_SYNC, b=RowState.IN_SYNC)
        await change(database, ["a", "b"], [])
        group = (await rows(database))["group"]
        assert group.state is RowState.STALE
        assert group.behind_since is not None

    on_a_database(database_url, work)


def test_MOMENT_who_leaves_a_group_in_sync_is_in_sync_only_by_a_resync_of_its_own(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a", "b"], [])
        await in_state(database, group=RowState.IN_SYNC)
        await change(database, [], ["a"])
        found = await rows(database)
        for name in ("group", "a"):
            assert found[name].state is RowState.STALE
            assert found[name].behind_since is not None

    on_a_database(database_url, work)


def test_a_change_retires_the_groups_old_epoch(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a"], [])
        before = (await rows(database))["group"]
        await change(database, ["b"], [])
        after = (await rows(database))["group"]
        assert after.epoch > before.epoch
        assert after.version > before.version
        old = Ask(Call.ATTACH, epoch=before.epoch, site="az1")
        assert await arbiter.call(database, "group", old) is Refusal.SUPERSEDED

    on_a_database(database_url, work)


def test_those_that_leave_have_higher_epochs_than_the_group_they_left(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a", "b", "c"], [])
        await change(database, [], ["a", "c"])
        found = await rows(database)
        assert sorted(found) == ["a", "c", "group"]
        assert min(found["a"].epoch, found["c"].epoch) > found["group"].epoch
        assert found["a"].paused
        assert await members(database, "group") == ["b"]
        assert await members(database, "a") == ["a"]

    on_a_database(database_url, work)


def test_an_emptied_group_does_not_spoil_who_joins_next(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a"], [])
        await change(database, [], ["a"])
        assert await members(database, "group") == []
        await in_state(database, a=RowState.SYNCING, b=RowState.IN_SYNC)
        await change(database, ["b"], [])
        assert (await rows(database))["group"].state is RowState.STALE

    on_a_database(database_url, work)


def test_repeating_a_change_changes_nothing(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a", "b"], [])
        first = {name: session.epoch for name, session in (await rows(database)).items()}
        await change(database, ["a", "b"], [])
        assert {name: session.epoch for name, session in (await rows(database)).items()} == first
        await change(database, [], ["b"])
        first = {name: session.epoch for name, session in (await rows(database)).items()}
        await change(database, [], ["b"])
        assert {name: session.epoch for name, session in (await rows(database)).items()} == first

    on_a_database(database_url, work)


def test_an_operators_word_is_carried_along(database_url: str) -> None:
    async def work(database: Database) -> None:
        await change(database, ["a", "c"], [])
        assert (await rows(database))["group"].trust_blank
        await change(database, ["b"], ["a"])
        assert (await rows(database))["a"].trust_blank

    on_a_database(database_url, work)


def test_a_closed_session_leaves_its_pairs_without_one(database_url: str) -> None:
    async def work(database: Database) -> None:
        async with database.writing() as db:
            await close_session(db, "a")
            await close_session(db, "a")
        async with database.reading() as db:
            pair: Any = await db.get(Pair, "a")
        assert pair.session_id is None

    on_a_database(database_url, work)
