"""The arbiter on a real PostgreSQL: many processes at once, and connections that are lost at every message."""

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import make_url
from tests.cutting_proxy import Cut, CuttingProxy
from tests.store.rows import SESSION, read, with_row

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState, decide
from bilocate.store import arbiter
from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.models import Session
from bilocate.store.sequences import next_epoch

PROCESSES = 3
CALLS = 40
RACES_MOST = 5
MESSAGES_MOST = 40


async def run_process(url: str, seed: int) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.arbiter_process", url, str(seed), str(CALLS),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def as_ask(told: dict[str, Any]) -> Ask:
    return Ask(**{**told, "call": Call(told["call"])})


def test_calls_of_many_processes_are_served_one_after_the_other_each_as_the_rule_says(
    postgresql_url: str,
) -> None:
    """Every accepted call is one step of the rule from the row before it, and no version is given twice.

    The race decides which calls are taken, so it is run again, a few times at most, until each kind was.
    """

    async def run() -> None:
        calls: list[dict[str, Any]] = []
        async with with_row(postgresql_url) as database:
            row = (await read(database)).row()
            for first_seed in range(0, RACES_MOST * PROCESSES, PROCESSES):
                seeds = range(first_seed, first_seed + PROCESSES)
                for told in await asyncio.gather(*(run_process(postgresql_url, seed) for seed in seeds)):
                    calls += told
                taken = {call["ask"]["call"] for call in calls if isinstance(call["answer"], dict)}
                if len(taken) == len(Call):
                    break
            final = (await read(database)).row()
        accepted = [call for call in calls if isinstance(call["answer"], dict)]
        for call in sorted(accepted, key=lambda call: int(call["answer"]["version"])):
            answer = Row(**{**call["answer"], "state": RowState(call["answer"]["state"])})
            assert decide(row, as_ask(call["ask"])) == answer
            row = answer
        assert row == final
        assert row.version == 1 + len(accepted)
        refusals = Counter(call["answer"] for call in calls if not isinstance(call["answer"], dict))
        assert refusals[Refusal.CHANGED.value] > 0, "nothing raced"
        assert len({call["ask"]["call"] for call in accepted}) == len(Call)

    asyncio.run(run())


ASKS = {
    "attach": (Ask(Call.ATTACH, epoch=1, site="az1"), RowState.IN_SYNC),
    "request_solo": (Ask(Call.REQUEST_SOLO, epoch=1, site="az1", version=1), RowState.IN_SYNC),
    "report_in_sync": (Ask(Call.REPORT_IN_SYNC, epoch=1, site="az1", version=1), RowState.SYNCING),
    "fail_over": (Ask(Call.FAIL_OVER, version=1), RowState.IN_SYNC),
}


async def ask_once(database: Database, ask: Ask) -> Row | Refusal:
    if ask.call is not Call.FAIL_OVER:
        return await arbiter.call(database, SESSION, ask)
    async with database.writing() as db:
        ask = Ask(Call.FAIL_OVER, version=ask.version, new_epoch=await next_epoch(db))
        return await arbiter.call_within(db, SESSION, ask)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.UNANSWERED], ids=lambda cut: cut.value)
@pytest.mark.parametrize("name", ASKS)
def test_FORGET_a_connection_lost_at_any_message_is_an_unknown_outcome_and_never_a_wrong_answer(
    postgresql_url: str, postgresql_server: str, name: str, cut: Cut
) -> None:
    """From the connection's first message to the commit's answer."""
    ask, state = ASKS[name]

    async def run() -> None:
        known: Counter[str] = Counter()
        async with with_row(postgresql_url, state=state) as direct:
            before = (await read(direct)).row()
            proxy = CuttingProxy(Path(postgresql_server) / ".s.PGSQL.5432")
            async with proxy.running():
                for number in range(1, MESSAGES_MOST):
                    await put_back(direct, before)
                    if not await one_loss(proxy, number, direct, before, known):
                        break
        assert number > 5, "the call took fewer messages than a transaction has"
        assert known["lost"] == number - 1
        assert known["carried out"] == (1 if cut is Cut.UNANSWERED else 0)

    async def one_loss(
        proxy: CuttingProxy, number: int, direct: Database, before: Row, known: Counter[str]
    ) -> bool:
        """Whether the message came at all."""
        through = Database(through_proxy(postgresql_url, proxy))
        proxy.cut_at(number, cut)
        answer: Row | Refusal | None = None
        try:
            answer = await ask_once(through, ask)
        except DatabaseUnavailable:
            known["lost"] += 1
        reached = proxy.reached
        proxy.cut_at(0, cut)
        after = (await read(direct)).row()
        assert reached == (answer is None), f"message {number}: {answer}"
        assert after in (before, answer or next_of(before, ask, after)), f"message {number}"
        known["carried out"] += reached and after != before
        # The same engine goes on at once, and what it says then is so.
        again = await arbiter.call(through, SESSION, Ask(Call.ATTACH, epoch=after.epoch, site=after.primary))
        assert again == (await read(direct)).row()
        await through.close()
        return reached

    asyncio.run(run())


def through_proxy(url: str, proxy: CuttingProxy) -> str:
    there = make_url(url).set(
        host="127.0.0.1", port=proxy.port, query={"sslmode": "disable", "gssencmode": "disable"}
    )
    return there.render_as_string(hide_password=False)


def next_of(before: Row, ask: Ask, after: Row) -> Row:
    """The row behind the call; a new epoch is whichever the sequence gave."""
    asked = Ask(ask.call, version=ask.version, new_epoch=after.epoch) if ask.call is Call.FAIL_OVER else ask
    if asked.new_epoch and asked.new_epoch <= before.epoch:
        return before
    decided = decide(before, asked)
    assert isinstance(decided, Row)
    return decided


async def put_back(database: Database, row: Row) -> None:
    async with database.writing() as db:
        values = {
            "epoch": row.epoch,
            "version": row.version,
            "state": row.state,
            "primary_site": row.primary,
            "secondary_site": row.secondary,
        }
        await db.execute(update(Session).where(Session.id == SESSION).values(**values))


def test_a_server_that_falls_silent_is_a_lost_connection(
    postgresql_url: str, postgresql_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody closes it: at every message the call ends all the same."""
    silence = "bilocate.store.postgresql.SILENCE_SECONDS"
    monkeypatch.setattr(
        "bilocate.store.postgresql.CONNECT_TIMEOUT_SECONDS", 2
    )  # the least that the driver takes

    async def run() -> None:
        async with with_row(postgresql_url) as direct:
            proxy = CuttingProxy(Path(postgresql_server) / ".s.PGSQL.5432")
            async with proxy.running():
                for number in range(2, MESSAGES_MOST):
                    through = Database(through_proxy(postgresql_url, proxy))
                    proxy.cut_at(number, Cut.SILENT)
                    # For this call alone: a server that speaks may need longer than that on a busy machine.
                    with monkeypatch.context() as impatient:
                        impatient.setattr(silence, 0.3)
                        async with asyncio.timeout(10):
                            with suppress(DatabaseUnavailable):
                                await arbiter.call(through, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))
                    reached = proxy.reached
                    proxy.cut_at(0, Cut.SILENT)
                    again = await arbiter.call(through, SESSION, Ask(Call.ATTACH, epoch=1, site="az1"))
                    assert again == (await read(direct)).row()
                    await through.close()
                    if not reached:
                        break
        assert number > 5

    asyncio.run(run())


def test_a_controller_that_hangs_in_a_transaction_keeps_the_row_from_nobody_for_long(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends it; when it wakes its transaction is void."""
    monkeypatch.setattr("bilocate.store.postgresql.IDLE_IN_TRANSACTION_MS", 300)

    async def run() -> None:
        async with with_row(postgresql_url) as hanging:
            other = Database(postgresql_url)
            ask = Ask(Call.ATTACH, epoch=1, site="az1")

            async def hang_in_a_transaction() -> None:
                async with hanging.writing() as db:
                    assert isinstance(await arbiter.call_within(db, SESSION, ask), Row)
                    async with asyncio.timeout(10):
                        served = await arbiter.call(other, SESSION, ask)
                    assert isinstance(served, Row)
                    assert served.version == 2

            with pytest.raises(DatabaseUnavailable):
                await hang_in_a_transaction()
            assert (await read(other)).version == 2
            await other.close()

    asyncio.run(run())


def test_READ_COMMITTED_is_set_whatever_the_server_prefers(postgresql_url: str) -> None:
    """By it an update judges the row as it is when it gets it, and a look after a lost race sees who won it."""

    async def run() -> None:
        first = Database(postgresql_url)
        name = make_url(postgresql_url).database
        async with first.writing() as db:
            await db.execute(
                text(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")
            )
        await first.close()
        database = Database(postgresql_url)
        async with database.writing() as db:
            assert (await db.execute(text("SHOW transaction_isolation"))).scalar_one() == "read committed"
        await database.close()

    asyncio.run(run())
