"""What each site is told of volumes."""

from tests.operations.place import Place, at_a_place

from bilocate.domain.operation_states import OperationStatus
from bilocate.operations.rows import volume_row
from bilocate.store.models import Pair


async def carriers(place: Place, pair_id: str) -> set[str | None]:
    """The session that both sites are told for their volumes of a pair."""
    pair: Pair = await place.row(Pair, pair_id)
    found: set[str | None] = set()
    async with place.database.reading() as db:
        for volume_id in (pair.first_volume_id, pair.second_volume_id):
            told = await volume_row(db, volume_id)
            assert told is not None
            found.add(told[1]["session_id"])
    return found


def test_a_volume_is_told_with_the_session_that_carries_it(database_url: str) -> None:
    async def work(place: Place) -> None:
        volume_id = await place.volume("az1")
        assert place.world.agents["az1"].volumes[volume_id].told_session is None
        group_id = await place.group(2)
        async with place.database.reading() as db:
            pair = await db.get(Pair, await place.pair())
        assert pair is not None
        assert await carriers(place, pair.id) == {pair.id}
        assert await place.do("update_group", group_id, add=[pair.id]) is OperationStatus.SUCCEEDED
        assert await carriers(place, pair.id) == {group_id}
        assert await place.do("update_group", group_id, remove=[pair.id]) is OperationStatus.SUCCEEDED
        assert await carriers(place, pair.id) == {pair.id}
        assert await place.do("delete_pair", pair.id) is OperationStatus.SUCCEEDED
        for site in ("az1", "az2"):
            volume = place.world.agents[site].volumes[pair.volume_at(site)]
            assert volume.told_session is None

    at_a_place(database_url, work)


def test_a_site_that_lost_its_ledger_is_told_what_carries_its_volumes(sqlite_url: str) -> None:
    """Else it would serve a replicated volume as a plain one before it hears of the session (rule 17)."""

    async def work(place: Place) -> None:
        group_id = await place.active_group()
        agent = place.world.agents["az2"]
        agent.forget(group_id)
        await place.settle()
        for volume_id in await place.volumes_of(group_id, "az2"):
            put = agent.calls.index(f"PUT volumes/{volume_id}", -20)
            assert put < max(i for i, call in enumerate(agent.calls) if call == f"PUT sessions/{group_id}")
            assert agent.volumes[volume_id].told_session == group_id
            assert agent.volumes[volume_id].session_id == group_id

    at_a_place(sqlite_url, work)
