"""A verb's call sends as many statements for a group of eight pairs as for one of two: no pair is asked for alone."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from tests.databases import statements
from tests.operations.place import Place, a_place

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.verbs import verb_named
from bilocate.store.models import Pair

VERBS = ("stop", "sync", "failover", "reverse", "extend_group", "update_group")


async def sent_by(place: Place, verb: str, pairs: int) -> list[str]:
    """What a call sends until it is journalled; what the runner does afterwards is not in it."""
    group_id = await place.group(pairs)
    if verb in ("failover", "reverse"):
        assert await place.do("sync", group_id) is OperationStatus.SUCCEEDED
        await place.settle()
    first: Pair = (await _pairs(place, group_id))[0]
    arguments: dict[str, dict[str, Any]] = {
        "extend_group": {"sizes_gib": {pair.id: 2 for pair in await _pairs(place, group_id)}},
        "update_group": {"remove": [first.id]},
    }
    args = arguments.get(verb, {})
    with statements(place.database) as sent:
        await verb_named(verb).begin(place.operations.context, group_id, args, "p", "tester")
    return sent


async def _pairs(place: Place, group_id: str) -> list[Pair]:
    async with place.database.reading() as db:
        return list(await db.scalars(select(Pair).where(Pair.group_id == group_id)))


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_asks_for_all_pairs_at_once(sqlite_url: str, verb: str) -> None:
    async def run() -> None:
        async with a_place(sqlite_url) as place:
            few, many = await sent_by(place, verb, 2), await sent_by(place, verb, 8)
            assert len(many) == len(few), many

    asyncio.run(run())
