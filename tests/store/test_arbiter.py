"""The arbiter's row over real databases: compare-and-set under many callers at once."""

import asyncio

import pytest
from sqlalchemy import func, select
from tests.store.rows import SESSION, read, with_row

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState
from bilocate.store import arbiter
from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.sequences import next_epoch


def test_a_call_is_decided_as_the_pure_rule_says_and_kept(database_url: str) -> None:
    async def run() -> None:
        async with with_row(database_url) as database:
            attached = await arbiter.call(database, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))
            assert attached == Row(SESSION, 1, "az1", "az2", RowState.IN_SYNC, 2)
            solo = Ask(Call.REQUEST_SOLO, epoch=1, site="az1", version=2)
            assert await arbiter.call(database, SESSION, solo) == Row(
                SESSION, 1, "az1", "az2", RowState.STALE, 3
            )
            assert await arbiter.call(database, SESSION, solo) is Refusal.CHANGED
            row = await read(database)
            assert row.row() == Row(SESSION, 1, "az1", "az2", RowState.STALE, 3)
            assert row.behind_since is not None

    asyncio.run(run())


def test_a_session_without_a_row_is_superseded(database_url: str) -> None:
    async def run() -> None:
        async with with_row(database_url) as database:
            ask = Ask(Call.ATTACH, epoch=1, site="az1")
            assert await arbiter.call(database, "no-such", ask) is Refusal.SUPERSEDED

    asyncio.run(run())


def test_in_sync_ends_what_an_operator_allowed_for_once(database_url: str) -> None:
    async def run() -> None:
        exceptions = {"state": RowState.SYNCING, "trust_blank": True, "allow_dirty": True}
        async with with_row(database_url, **exceptions) as database:
            ask = Ask(Call.REPORT_IN_SYNC, epoch=1, site="az1", version=1)
            assert isinstance(await arbiter.call(database, SESSION, ask), Row)
            row = await read(database)
            assert (row.trust_blank, row.allow_dirty, row.revision) == (False, False, 2)
            assert row.behind_since is None

    asyncio.run(run())


@pytest.mark.parametrize("stands", [True, False])
def test_BLANK_a_permit_by_an_operators_word_is_given_only_while_it_stands(
    database_url: str, stands: bool
) -> None:
    async def run() -> None:
        async with with_row(database_url, trust_blank=stands) as database:
            ask = Ask(Call.REQUEST_VOUCHED_SOLO, epoch=1, site="az1", version=1)
            said = await arbiter.call(database, SESSION, ask)
            row = await read(database)
            assert (isinstance(said, Row), row.version) == ((True, 2) if stands else (False, 1))
            assert stands or said is Refusal.STATE

    asyncio.run(run())


def test_of_many_callers_with_one_version_exactly_one_is_served(database_url: str) -> None:
    """CAS: the primary asks for its permit while operators fail over, from two controllers at once."""

    async def run() -> None:
        async with with_row(database_url) as database:
            other = Database(database_url)

            async def fail_over(place: Database) -> Row | Refusal:
                async with place.writing() as db:
                    ask = Ask(Call.FAIL_OVER, version=1, new_epoch=await next_epoch(db))
                    return await arbiter.call_within(db, SESSION, ask)

            solo = Ask(Call.REQUEST_SOLO, epoch=1, site="az1", version=1)
            answers = await asyncio.gather(
                *(fail_over(place) for place in (database, other) for _ in range(6)),
                *(arbiter.call(place, SESSION, solo) for place in (database, other) for _ in range(6)),
            )
            served = [answer for answer in answers if isinstance(answer, Row)]
            assert len(served) == 1
            row = await read(database)
            assert row.row() == served[0]
            assert row.version == 2
            await other.close()

    asyncio.run(run())


def test_attaches_at_once_are_all_served_and_all_counted(database_url: str) -> None:
    async def run() -> None:
        async with with_row(database_url) as database:
            ask = Ask(Call.ATTACH, epoch=1, site="az1")
            answers = await asyncio.gather(*(arbiter.call(database, SESSION, ask) for _ in range(12)))
            versions = sorted(answer.version for answer in answers if isinstance(answer, Row))
            assert versions == list(range(2, 14))

    asyncio.run(run())


def test_epochs_rise_and_are_never_given_twice(database_url: str) -> None:
    async def run() -> None:
        async with with_row(database_url) as database:
            other = Database(database_url)

            async def draw(place: Database) -> int:
                async with place.writing() as db:
                    return await next_epoch(db)

            drawn = await asyncio.gather(*(draw(place) for place in (database, other) for _ in range(10)))
            assert sorted(drawn) == list(range(2, 22))
            await other.close()

    asyncio.run(run())


def test_a_transaction_that_fails_leaves_the_row_and_gives_the_epoch_again(database_url: str) -> None:
    async def run() -> None:
        async with with_row(database_url) as database:

            async def fail_over_and_fail() -> None:
                async with database.writing() as db:
                    ask = Ask(Call.FAIL_OVER, version=1, new_epoch=await next_epoch(db))
                    assert isinstance(await arbiter.call_within(db, SESSION, ask), Row)
                    raise RuntimeError

            with pytest.raises(RuntimeError):
                await fail_over_and_fail()
            assert (await read(database)).row() == Row(SESSION, 1, "az1", "az2", RowState.IN_SYNC, 1)
            async with database.writing() as db:
                assert await next_epoch(db) == 2

    asyncio.run(run())


def test_a_locked_sqlite_file_is_an_outage_and_no_answer(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bilocate.store.database.SQLITE_BUSY_TIMEOUT_MS", 50)

    async def run() -> None:
        async with with_row(sqlite_url) as database:
            other = Database(sqlite_url)
            async with other.writing() as holding:
                await holding.connection()  # begins the transaction
                with pytest.raises(DatabaseUnavailable, match="locked"):
                    await arbiter.call(database, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))
            assert isinstance(
                await arbiter.call(database, SESSION, Ask(Call.ATTACH, epoch=1, site="az1")), Row
            )
            await other.close()

    asyncio.run(run())


def test_a_lost_postgresql_connection_is_an_outage_and_the_next_call_works(postgresql_url: str) -> None:
    async def run() -> None:
        async with with_row(postgresql_url) as database:
            killer = Database(postgresql_url)

            async def attach_on_a_lost_connection() -> None:
                async with database.writing() as db:
                    pid = (await db.execute(select(func.pg_backend_pid()))).scalar_one()
                    async with killer.writing() as other:
                        await other.execute(select(func.pg_terminate_backend(pid)))
                    await arbiter.call_within(db, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))

            with pytest.raises(DatabaseUnavailable):
                await attach_on_a_lost_connection()
            row = await arbiter.call(database, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))
            assert isinstance(row, Row)
            assert row.version == 2
            await killer.close()

    asyncio.run(run())
