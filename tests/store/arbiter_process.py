"""One of several processes that call the arbiter all at once: prints a JSON line per call that was answered.

python -m tests.store.arbiter_process URL SEED CALLS
"""

import asyncio
import json
import random
import sys
from dataclasses import asdict

from sqlalchemy import update
from tests.store.rows import SESSION, read

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState
from bilocate.store import arbiter
from bilocate.store.database import Database
from bilocate.store.models import Session
from bilocate.store.sequences import next_epoch

TASKS = 6
# So many of them ask for what the row allows, as they know it: by chance alone hardly any changes the primary.
PURPOSEFUL = 2
ALLOWED = {
    RowState.STALE: [Call.REQUEST_RESYNC],
    RowState.SYNCING: [Call.REPORT_IN_SYNC],
    RowState.IN_SYNC: [Call.FAIL_OVER, Call.SWITCH_OVER],
}


async def main(url: str, seed: int, calls: int) -> None:
    """Several tasks, each with a view of the row that is sometimes old."""
    database = Database(url)
    callers = (
        _caller(database, random.Random(seed * TASKS + n), calls, n < PURPOSEFUL) for n in range(TASKS)
    )
    await asyncio.gather(*callers)
    await database.close()


async def _caller(database: Database, draw: random.Random, calls: int, purposeful: bool) -> None:
    seen = (await read(database)).row()
    for _ in range(calls):
        call = draw.choice(ALLOWED[seen.state] if purposeful else list(Call))
        ask = Ask(call, seen.epoch, seen.primary, seen.version)
        if call in (Call.FAIL_OVER, Call.SWITCH_OVER):
            async with database.writing() as db:
                ask = Ask(call, version=seen.version, new_epoch=await next_epoch(db))
                answer = await arbiter.call_within(db, SESSION, ask)
        else:
            if call is Call.REQUEST_VOUCHED_SOLO:  # an operator gives the word that it needs
                async with database.writing() as db:
                    await db.execute(update(Session).values(trust_blank=True))
            answer = await arbiter.call(database, SESSION, ask)
        _tell(ask, answer)
        if isinstance(answer, Row):
            seen = answer
        elif purposeful or draw.random() < 0.7:  # the others go on with what they knew
            seen = (await read(database)).row()


def _tell(ask: Ask, answer: Row | Refusal) -> None:
    told = asdict(answer) | {"state": answer.state.value} if isinstance(answer, Row) else answer.value
    print(json.dumps({"ask": asdict(ask) | {"call": ask.call.value}, "answer": told}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
